"""WORKDIR/metrics.jsonl: the figures of a run, one JSON object a line, in the order of its steps.

Figures of an interval and scores of a validation have "step", "stage" and "time" (seconds since 1970); other lines have
"step" and a text, such as "alarm".
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.retry import retry

METRICS = "metrics.jsonl"

Record: TypeAlias = dict[str, Any]
"""Numbers by name, and perhaps a text."""


def read_metrics_file(path: Path) -> list[Record]:
    """The lines of a metrics file; one that was cut off by a kill is left out, as is a file that is not there."""
    records = []
    for line in _text(path).splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records


def has_scores(records: Iterable[Record], step: int) -> bool:
    """Whether the validation at `step` is among them."""
    return any(record["step"] == step and "hole_psnr" in record for record in records)


def forget_after(path: Path, step: int) -> None:
    """Keeps only the lines up to `step`. Raises: OSError."""
    kept = [json.dumps(record) + "\n" for record in read_metrics_file(path) if record["step"] <= step]
    with atomic_file(path) as partial:
        partial.write_text("".join(kept))


def _text(path: Path) -> str:
    """Raises: OSError if it is there and cannot be read."""
    try:
        return retry(path.read_text)
    except FileNotFoundError:
        return ""
