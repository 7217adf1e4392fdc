"""Images per second of preparing on one core, next to nothing but decoding the same images."""

import argparse
import tempfile
import time
from pathlib import Path

from glcic_jax.system.paths import user_pattern
from glcic_jax.tools.speed.contenders import measure_in_turn
from glcic_jax.tools.speed.rows import Rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--source", required=True, type=user_pattern, help="folder or archive of photographs")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is taken (default: %(default)s)")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """One table: its title and rows."""
    contenders = {"bare cv2.imdecode": bare_decoding, "prepare": preparing}
    measurements = measure_in_turn(contenders, options.source, cores=1, rounds=options.rounds)
    bare = measurements["bare cv2.imdecode"]
    rows: Rows = [
        {
            "": name,
            "images/s": round(measured.rate, 1),
            "of bare decoding": f"{measured.rate / bare.rate:.0%}",
            "peak MiB": round(measured.peak_mib),
        }
        for name, measured in measurements.items()
    ]
    return {f"{options.source}, one core, median of {options.rounds}": rows}


def bare_decoding(source: str) -> dict[str, float]:
    """Reading every image and decoding it, nothing else."""
    import cv2
    import numpy as np

    from glcic_jax.data.images import is_image_name
    from glcic_jax.prepare.sources import open_source

    cv2.setNumThreads(1)
    images, start, opened = 0, time.perf_counter(), open_source(source)
    for entry in opened.entries:
        if not entry.reason and is_image_name(entry.name):
            images += cv2.imdecode(np.frombuffer(entry.read(), np.uint8), cv2.IMREAD_COLOR) is not None
    opened.close()
    return {"images": images, "seconds": time.perf_counter() - start}


def preparing(source: str) -> dict[str, float]:
    """The whole command, with one worker."""
    from glcic_jax.prepare.pipeline import prepare
    from glcic_jax.prepare.plan import Settings

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        manifest = prepare([source], Path(folder) / "set", Settings(), workers=1)
        seconds = time.perf_counter() - start
    return {"images": sum(split.count for split in manifest.splits.values()), "seconds": seconds}
