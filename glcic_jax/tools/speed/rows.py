"""The tables of a benchmark of speed: their rows, how they are printed, and where they go as JSON."""

import json
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from glcic_jax.system.atomic import atomic_file

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = dict[str, Cell]
"""By heading; None where there is no figure."""
Rows: TypeAlias = list[Row]


def print_tables(tables: dict[str, Rows]) -> None:
    """Prints tables under their titles; a heading without any figure is left out."""
    console = Console()
    for title, rows in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        headings = [heading for heading in rows[0] if any(row[heading] is not None for row in rows)]
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index else "left", no_wrap=not index, overflow="fold")
        for row in rows:
            table.add_row(*(_format(row[heading]) for heading in headings))
        console.print(table)


def write_tables(path: Path, tables: dict[str, Rows]) -> None:
    """Writes tables as JSON."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(tables, indent=1) + "\n")


def _format(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.2g}" if 0 < abs(cell) < 0.1 else f"{cell:,.2f}"
