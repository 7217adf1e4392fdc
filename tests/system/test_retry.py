"""Only what may pass is tried again."""

import errno

import pytest

from glcic_jax.system.retry import retry


def failing(*numbers):
    left, calls = list(numbers), []

    def operation():
        calls.append(None)
        if left:
            raise OSError(left.pop(0), "words")
        return "done"

    return operation, calls


def test_transient_errors():
    operation, calls = failing(errno.ESTALE, errno.EINTR, errno.EIO)
    assert retry(operation, (0.0, 0.0, 0.0)) == "done" and len(calls) == 4
    operation, calls = failing(*[errno.EIO] * 9)
    with pytest.raises(OSError, match="words"):
        retry(operation, (0.0, 0.0))
    assert len(calls) == 3


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC, errno.EACCES])
def test_errors_that_stay(number):
    operation, calls = failing(number)
    with pytest.raises(OSError, match="words"):
        retry(operation, (0.0,))
    assert len(calls) == 1
