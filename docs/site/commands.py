"""The page of commands, from the parsers themselves: what `glcic VERB --help` prints."""

import contextlib
import io
import os
import re
from unittest import mock

from glcic_jax.cli import benchmark, evaluate
from glcic_jax.cli.main import COMMANDS, run

_SUBCOMMANDS = {"evaluate": tuple(evaluate.COMMANDS), "benchmark": tuple(benchmark.MEASUREMENTS)}


def describe_commands() -> str:
    """A table of all commands, then the help of each."""
    rows = ["| command | what it does |", "|---|---|"]
    rows += [f"| [`glcic {name}`](#glcic-{name}) | {purpose} |" for name, purpose in COMMANDS.items()]
    parts = ["\n".join(rows)]
    for name in COMMANDS:
        parts.append(f"## glcic {name}\n\n```text\n{read_help(name)}\n```")
        parts += [
            f"### glcic {name} {what}\n\n```text\n{read_help(name, what)}\n```" for what in _SUBCOMMANDS.get(name, ())
        ]
    return "\n\n".join(parts)


def read_help(*words: str) -> str:
    """What a command prints for --help, at 100 columns, with `glcic` in front and the same on every machine."""
    said = io.StringIO()
    columns = mock.patch.dict(os.environ, {"COLUMNS": "100"})
    with columns, contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        run(words[0], [*words[1:], "--help"])
    text = said.getvalue().rstrip()
    text = re.sub(r"one a core, \d+\)", "one a core)", text)
    return re.sub(r"^usage: ", "usage: glcic ", text)
