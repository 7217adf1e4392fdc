"""A loader that hangs, fails or ends, and the one who waits for it."""

import threading

import pytest

from glcic_jax.run.prefetch import Prefetcher


def test_batches_come_in_order():
    with Prefetcher(iter([1, 2, 3])) as ahead:
        assert [ahead.next(lambda: False) for _ in range(3)] == [1, 2, 3]


def test_a_loader_that_hangs():
    hangs, looks = threading.Event(), []

    def batches():
        yield 1
        hangs.wait()

    with Prefetcher(batches()) as ahead:
        assert ahead.next(lambda: True) == 1, "what is there comes first"
        assert ahead.next(lambda: bool(looks) or looks.append(1)) is None, "asked again and again"
    hangs.set()


def test_a_loader_that_fails():
    def batches():
        yield 1
        raise OSError("gone")

    with Prefetcher(batches()) as ahead:
        ahead.next(lambda: False)
        with pytest.raises(OSError, match="gone"):
            ahead.next(lambda: False)


def test_nobody_fetches_the_rest():
    with Prefetcher(iter(range(100))) as ahead:
        assert ahead.next(lambda: False) == 0
    for thread in threading.enumerate():
        if thread.name == "prefetch":
            thread.join(5)
            assert not thread.is_alive()
