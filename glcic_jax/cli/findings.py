"""What a check found, and tables of it: ok, warning or problem, each with the way out."""

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from glcic_jax.errors import UserError


class Mark(enum.Enum):
    """How grave it is; the value is its colour."""

    OK = "green"
    WARNING = "yellow"
    PROBLEM = "bold red"


class Finding(NamedTuple):
    """One line: `what` was looked at, what was `found`, and what to do about it."""

    mark: Mark
    what: str
    found: str
    hint: str = ""


def guarded(what: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The check's findings; an error that it meets is one of them, so that the other checks still run."""
    try:
        yield from check()
    except UserError as error:
        found, _, hint = str(error).partition("; ")
        yield Finding(Mark.PROBLEM, what, found, hint)
    except (OSError, RuntimeError, ValueError) as error:  # JAX's errors are RuntimeErrors
        lines = str(error).strip().splitlines() or [""]
        yield Finding(Mark.PROBLEM, what, f"{type(error).__name__}: {lines[0]}")


def print_table(console: Console, title: str, findings: Iterable[Finding]) -> None:
    """Prints findings under a title."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, min_width=8 if heading == "" else 15 if heading == "what" else None, overflow="fold")
    for mark, what, found, hint in findings:
        table.add_row(Text(mark.name.lower(), style=mark.value), Text(what), Text(found), Text(hint))
    console.print(table)
    console.print()


def size(count: float) -> str:
    """Bytes in words, such as 1.5 GiB."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        del units[0]
    digits = 0 if units[0] == "bytes" or count >= 100 else 1
    return f"{count:.{digits}f} {units[0]}"


def duration(secs: float) -> str:
    """Seconds in words, such as 2 d 5 h."""
    if secs < 1:
        return f"{secs * 1000:.0f} ms"
    if secs < 60:
        return f"{secs:.1f} s"
    minutes = round(secs / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(secs / 3600)
    return f"{hours // 24} d {hours % 24} h"
