"""`glcic VERB ...`: finds the command, and turns errors that a user can mend into one line and exit code 2."""

import importlib
import io
import sys
from collections.abc import Callable

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.memory import describe_out_of_memory
from glcic_jax.system.packages import describe_missing_package
from glcic_jax.version import __version__

COMMANDS = {
    "prepare": "photographs into shards",
    "holes": "a recipe's holes as a picture, and how much they cover",
    "train": "shards into a model, by a recipe",
    "local": "several processes of train on this machine, for trying them out",
    "chaos": "whether a run survives what a cluster may do to it, by doing it",
    "doctor": "what to know before a long run: devices, disk, data, speed, time to the end",
    "complete": "a photograph and a mask into a completed photograph",
    "serve": "the eraser: a page in the browser and an HTTP interface that complete photographs",
    "report": "a run's folder into one page: scores, cost, alarms, curves, grids",
    "evaluate": "completions, of any tool, scored beside every rival on a frozen benchmark",
    "study": "one change at a time around the paper's recipe: table and plots over seeds and budgets",
    "import": "other programs' completion networks into a model folder",
    "export": "a model folder for other programs",
    "publish": "a run's model into a small folder to hand on, in half precision",
    "benchmark": "speed, beside well-known programs, measured side by side",
    "quickstart": "all of it in minutes, on photographs that scikit-image ships",
}
_MODULES = {"import": "import_model"}
"""Of commands that are called like one of Python's keywords."""


def main() -> int:
    """The console script `glcic`."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text, nor terminals know every letter
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print("usage: glcic COMMAND [--help] ...\n")
        for name, purpose in COMMANDS.items():
            print(f"  {name:<12}{purpose}")
        print("\n  --version   which one this is")
        return ExitCode.DONE if len(sys.argv) > 1 else ExitCode.USER_ERROR
    if sys.argv[1] == "--version":
        print(f"glcic-jax {__version__}")
        return ExitCode.DONE
    return run(sys.argv[1], sys.argv[2:])


def run(command: str, arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    if command not in COMMANDS:
        return _fail("glcic", f"no command {command!r}; there are {', '.join(COMMANDS)}", ExitCode.USER_ERROR)
    try:
        module = importlib.import_module(f"glcic_jax.cli.{_MODULES.get(command, command)}")
        main: Callable[[list[str]], int] = module.main
        return main(arguments)
    except UserError as error:
        return _fail(command, str(error), ExitCode.USER_ERROR)
    except FloatingPointError as error:
        return _fail(command, str(error), ExitCode.NOT_FINITE)
    except OSError as error:  # no space left, no right to write, ...
        return _fail(command, f"{error}; mend that and run the same command again", ExitCode.USER_ERROR)
    except KeyboardInterrupt:
        return _fail(command, "interrupted", ExitCode.INTERRUPTED)
    except ImportError as error:
        if missing := describe_missing_package(error):
            return _fail(command, missing, ExitCode.USER_ERROR)
        if ".so" not in str(error):
            raise
        return _fail(
            command,
            f"a library that a Python package needs cannot be loaded ({error}); install that package anew, or the "
            "library with the system's package manager",
            ExitCode.USER_ERROR,
        )
    except (MemoryError, RuntimeError) as error:  # JAX's errors are RuntimeErrors
        memory = describe_out_of_memory(error)
        if not memory:
            raise
        return _fail(command, f"{memory}; give it less at once, or a machine with more", ExitCode.USER_ERROR)


def _fail(command: str, message: str, code: int) -> int:
    print(f"{command}: error: {' '.join(message.split())}", file=sys.stderr)
    return code
