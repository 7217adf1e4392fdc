"""Images per second of preparing on one core, beside nothing but decoding the same images."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from glcic_jax.cli.measuring import side_by_side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--source", required=True, help="folder or archive of photographs")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is taken (default: %(default)s)")


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """One table: its title and rows."""
    contenders = {"bare cv2.imdecode": bare_decoding, "prepare": preparing}
    found = side_by_side(contenders, options.source, cores=1, rounds=options.rounds)
    bare = found["bare cv2.imdecode"]
    rows = [
        {
            "": name,
            "images/s": round(measured.rate, 1),
            "of bare decoding": f"{measured.rate / bare.rate:.0%}",
            "peak MiB": round(measured.peak_mib),
        }
        for name, measured in found.items()
    ]
    return {f"{options.source}, one core, median of {options.rounds}": rows}


def bare_decoding(source: str) -> dict[str, float]:
    """Reading every image and decoding it, nothing else."""
    import cv2
    import numpy as np

    from glcic_jax.data.images import is_image_name
    from glcic_jax.data.sources import open_source

    cv2.setNumThreads(1)
    images, start, opened = 0, time.perf_counter(), open_source(source)
    for entry in opened.entries:
        if not entry.reason and is_image_name(entry.name) and (read := entry.where.read if entry.where else entry.read):
            images += cv2.imdecode(np.frombuffer(read(), np.uint8), cv2.IMREAD_COLOR) is not None
    opened.close()
    return {"images": images, "seconds": time.perf_counter() - start}


def preparing(source: str) -> dict[str, float]:
    """The whole command, with one worker."""
    from glcic_jax.data.prepare import Settings, prepare

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        manifest = prepare([source], Path(folder) / "set", Settings(), workers=1)
        seconds = time.perf_counter() - start
    return {"images": sum(split["count"] for split in manifest["splits"].values()), "seconds": seconds}
