"""Results of checks and how they are shown: ok, warning or problem, each with what to do about it."""

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from glcic_jax.errors import UserError


class Status(enum.Enum):
    """How serious a result is; the value is its colour."""

    OK = "green"
    WARNING = "yellow"
    PROBLEM = "bold red"


class Check(NamedTuple):
    """The result of one check: its subject, what was observed, and what to do about it."""

    status: Status
    subject: str
    result: str
    advice: str = ""


def run_check(subject: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The results of a check; an error that it raises becomes a result, so that the other checks still run."""
    try:
        yield from check()
    except UserError as error:
        result, _, advice = str(error).partition("; ")
        yield Check(Status.PROBLEM, subject, result, advice)
    except (OSError, RuntimeError, ValueError) as error:  # JAX's errors are RuntimeErrors
        lines = str(error).strip().splitlines() or [""]
        yield Check(Status.PROBLEM, subject, f"{type(error).__name__}: {lines[0]}")


def print_checks(console: Console, title: str, checks: Iterable[Check]) -> None:
    """Prints a table of results under a title."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading, min_width in (("", 8), ("what", 15), ("found", None), ("what to do", None)):
        table.add_column(heading, min_width=min_width, overflow="fold")
    for status, subject, result, advice in checks:
        table.add_row(Text(status.name.lower(), style=status.value), Text(subject), Text(result), Text(advice))
    console.print(table)
    console.print()
