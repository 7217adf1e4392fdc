"""With which words and codes a run ends."""

import jax
import jax.numpy as jnp
import pytest

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.run.failures import describe_failure

GLOO = "FAILED_PRECONDITION: Gloo all-reduce failed: [pair.cc:547] Connection closed by peer [127.0.0.1]:4711"
EARLY = "UNKNOWN: Gloo AllGather failed: [pair.cc:538] Read error [127.0.0.1]:4711: Connection reset by peer"
SILENT = "DEADLINE_EXCEEDED: Barrier timed out. Id: shutdown"


@pytest.mark.parametrize(
    ("error", "alone", "among_several"),
    [
        (UserError("mend it"), ExitCode.USER_ERROR, ExitCode.USER_ERROR),
        (FloatingPointError("a loss"), ExitCode.NOT_FINITE, ExitCode.NOT_FINITE),
        (OSError(28, "No space left on device"), ExitCode.USER_ERROR, ExitCode.USER_ERROR),
        (PermissionError(13, "Permission denied"), ExitCode.USER_ERROR, ExitCode.USER_ERROR),
        (MemoryError(), ExitCode.USER_ERROR, ExitCode.USER_ERROR),
        (ModuleNotFoundError("No module named 'grain'", name="grain"), ExitCode.USER_ERROR, ExitCode.USER_ERROR),
        (ConnectionResetError(104, "Connection reset by peer"), ExitCode.USER_ERROR, ExitCode.PEER_LOST),
        (jax.errors.JaxRuntimeError(GLOO), ExitCode.FAILED, ExitCode.PEER_LOST),
        (ValueError(EARLY), ExitCode.FAILED, ExitCode.PEER_LOST),
        (jax.errors.JaxRuntimeError(SILENT), ExitCode.FAILED, ExitCode.PEER_LOST),
        (jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE"), ExitCode.FAILED, ExitCode.FAILED),
        (TypeError("an error of ours"), ExitCode.FAILED, ExitCode.FAILED),
        (ValueError("no connection between these shapes"), ExitCode.FAILED, ExitCode.FAILED),
    ],
)
def test_codes(error, alone, among_several):
    """76 makes a scheduler start all processes again: only for what another start mends."""
    assert describe_failure(error).code is alone
    failure = describe_failure(error, process_count=2)
    assert failure.code is among_several
    assert failure.is_ours == (among_several is ExitCode.FAILED and isinstance(error, TypeError | ValueError))
    assert failure.message and "\n" not in failure.message


def test_out_of_memory():
    """What was asked for, what is there, and the way out."""
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.block_until_ready(jnp.zeros(1 << 46, jnp.float32))
    for error in (
        caught.value,
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory trying to allocate 9.5GiB"),
    ):
        failure = describe_failure(error, process_count=3)
        assert failure.code is ExitCode.USER_ERROR and not failure.is_ours
        assert "out of memory: " in failure.message and "iB asked for at once" in failure.message
        assert "iB free" in failure.message
        assert "config.microbatches" in failure.message and "config.remat" in failure.message
    assert "256 TiB asked for" in describe_failure(caught.value).message
