"""`glcic VERB ...`: finds the command, and turns errors that a user can mend into one line and exit code 2."""

import importlib
import sys
from collections.abc import Callable

from glcic_jax.errors import UserError

COMMANDS = {
    "prepare": "photographs into shards",
    "holes": "a recipe's holes as a picture, and how much they cover",
    "train": "shards into a model, by a recipe",
    "local": "several processes of train on this machine, for trying them out",
    "chaos": "whether a run survives what a cluster may do to it, by doing it",
    "doctor": "what to know before a long run: devices, disk, data, speed, time to the end",
    "complete": "a photograph and a mask into a completed photograph",
    "report": "a run's folder into one page: scores, cost, alarms, curves, grids",
    "evaluate": "completions, of any tool, scored beside every rival on a frozen benchmark",
    "study": "one change at a time around the paper's recipe: table and plots over seeds and budgets",
    "publish": "a run's model into a small folder to hand on, in half precision",
    "benchmark": "speed, beside well-known programs, measured side by side",
    "quickstart": "all of it in minutes, on photographs that scikit-image ships",
}

EXIT_USER_ERROR = 2
EXIT_NOT_FINITE = 3


def main() -> int:
    """The console script `glcic`."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print("usage: glcic COMMAND [--help] ...\n")
        for name, purpose in COMMANDS.items():
            print(f"  {name:<12}{purpose}")
        return 0 if len(sys.argv) > 1 else EXIT_USER_ERROR
    return run(sys.argv[1], sys.argv[2:])


def run(command: str, arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    if command not in COMMANDS:
        return _fail("glcic", f"no command {command!r}; there are {', '.join(COMMANDS)}", EXIT_USER_ERROR)
    try:
        module = importlib.import_module(f"glcic_jax.cli.{command}")
        main: Callable[[list[str]], int] = module.main
        return main(arguments)
    except UserError as error:
        return _fail(command, str(error), EXIT_USER_ERROR)
    except FloatingPointError as error:
        return _fail(command, str(error), EXIT_NOT_FINITE)
    except OSError as error:  # no space left, no right to write, ...
        return _fail(command, f"{error}; mend that and run the same command again", EXIT_USER_ERROR)
    except KeyboardInterrupt:
        return _fail(command, "interrupted", 130)
    except ImportError as error:
        if "libGL" not in str(error):
            raise
        return _fail(
            command,
            f"OpenCV needs a system library that is missing ({error}); on Debian and Ubuntu: apt install libgl1",
            EXIT_USER_ERROR,
        )


def _fail(command: str, message: str, code: int) -> int:
    print(f"{command}: error: {' '.join(message.split())}", file=sys.stderr)
    return code
