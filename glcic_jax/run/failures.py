"""Which exit code and which words an error ends a run with."""

import re
from typing import NamedTuple

import jax

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.memory import describe_out_of_memory, host_memory
from glcic_jax.system.packages import describe_missing_package
from glcic_jax.system.units import format_bytes

# What JAX, its coordination service, Gloo and NCCL say when another process does not answer any more.
_PEER = re.compile(
    r"gloo|nccl|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED|connection|heartbeat|barrier|coordination|peer|socket",
    re.IGNORECASE,
)

_STATUS = re.compile(r"[A-Z_]+: ")


class Failure(NamedTuple):
    """What is told of an error.

    Fields:
        message: one line.
        code: of the process.
        is_ours: an error in the program, whose traceback helps.

    """

    message: str
    code: ExitCode
    is_ours: bool = False


def describe_failure(error: Exception, process_count: int = 1) -> Failure:
    """What to tell of an error that ends a run of so many processes."""
    if isinstance(error, UserError):
        return Failure(str(error), ExitCode.USER_ERROR)
    if isinstance(error, ImportError) and (missing := describe_missing_package(error)):
        return Failure(missing, ExitCode.USER_ERROR)
    if isinstance(error, FloatingPointError):
        return Failure(str(error), ExitCode.NOT_FINITE)
    if memory := describe_out_of_memory(error):
        return Failure(
            f"{memory}{_memory_there()}; take a smaller config.batch_size or config.crop_px, or more "
            "config.microbatches, or config.remat=True",
            ExitCode.USER_ERROR,
        )
    words = _first_line(error)
    if process_count > 1 and _tells_of_a_lost_peer(error):
        return Failure(
            f"another process is gone or silent ({words}); start all again, they go on from the last checkpoint",
            ExitCode.PEER_LOST,
        )
    if isinstance(error, OSError):
        return Failure(f"{words}; mend that and run the same command again", ExitCode.USER_ERROR)
    if isinstance(error, jax.errors.JaxRuntimeError):
        return Failure(
            f"the device or its driver failed ({words}); the same command goes on from the last checkpoint",
            ExitCode.FAILED,
        )
    return Failure(f"{type(error).__name__}: {words}; an error in the program", ExitCode.FAILED, is_ours=True)


def _tells_of_a_lost_peer(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or (
        (isinstance(error, jax.errors.JaxRuntimeError) or _has_status(error)) and _PEER.search(str(error)) is not None
    )


def _has_status(error: Exception) -> bool:
    """Whether XLA's words come as a plain ValueError, as those of a program that fails while JAX still starts it do."""
    return isinstance(error, ValueError) and _STATUS.match(str(error)) is not None


def _memory_there() -> str:
    """What the devices have, in words to go on with; "" where nobody tells."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit", 0) if device.platform != "cpu" else host_memory()[1]
    return f", {format_bytes(limit)} {'free' if device.platform == 'cpu' else 'on each device'}" if limit else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
