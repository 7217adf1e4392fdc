"""Mutates image files, model cards, weights and benchmark manifests, and looks at what reading them does.

    python -m tests.support.fuzz images 20000
    python -m tests.support.fuzz cards 5000
    python -m tests.support.fuzz manifests 5000

Right is: read, or refused with a reason in one line. Wrong is any other exception, a file written outside, or memory
beyond LARGEST_MB. Prints what went wrong, the slowest case and the memory used; exits with 1 if anything went wrong.
"""

import argparse
import copy
import io
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glcic_jax.data.images import ImageError, encode_record, read_mask
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import make_benchmark, open_benchmark
from glcic_jax.evaluation.report import read_scored_methods
from glcic_jax.inference.files import plan_one
from glcic_jax.inference.masks import HoleSource, list_concerns
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.system.checksum import sha256_of
from tests.support.encodings import Encoding, write
from tests.support.hostile import good_files
from tests.support.networks import shaken
from tests.support.pictures import photograph

LARGEST_MB = 2500  # JAX and all libraries take about a quarter of it
WRONG_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 1e30, -1e30, 1e999, float("nan"), 2**70, "", "x", "../../../etc/passwd", "/etc/passwd",
    "a" * 5000, "\0", "\ud800", [], [1], [[1]], [None] * 3, {}, {"a": 1}, [float("nan")] * 3, [-5, -5], [0, 0],
    [1e30, 1], ["64"], {"file": "x", "sha256": 3, "network": []},
]  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, a piece moved, doubled, cut out, or the end cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        place = rng.randrange(len(changed)) if rng.random() < 0.5 else rng.randrange(min(len(changed), 400))
        changed[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    way = rng.random()
    start, length = rng.randrange(len(changed)), rng.randrange(64)
    if way < 0.1:
        del changed[rng.randrange(len(changed)) :]
    elif way < 0.2:
        del changed[start : start + length]
    elif way < 0.3:
        changed[start:start] = changed[start : start + length]
    return bytes(changed)


def mutate_json(value: Any, rng: random.Random) -> Any:
    """One or a few values of a JSON tree replaced, left out or doubled."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 5])):
        places = list(_places(value))
        if not places:
            return rng.choice(WRONG_VALUES)
        holder, key = rng.choice(places)
        way = rng.random()
        if way < 0.15 and isinstance(holder, dict):
            del holder[key]
        elif way < 0.25 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(rng.choice(WRONG_VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def image_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Small files of all encodings."""
    rng = np.random.default_rng(0)
    seeds = [(Path(name).suffix, data) for name, data in good_files().items() if len(data) < 60_000]
    for kind, mode, bits, more in (
        ("png", "LA", 16, {}), ("png", "RGB", 16, {"clear_level": True}), ("png", "P", 4, {"clear_level": True}),
        ("png", "RGBA", 8, {"orientation": 6}), ("tif", "RGB", 16, {"planar": True, "deflated": True}),
        ("tif", "RGBA", 16, {"premultiplied": True}), ("tif", "L", 16, {"white_is_zero": True, "tiled": True}),
        ("tif", "RGBA", 8, {"orientation": 8}),
    ):  # fmt: skip
        encoding = Encoding(kind, mode, bits, **more)
        path = folder / f"seed.{kind}"
        palette = rng.integers(0, 256, (16, 3), dtype=np.uint8)
        write(path, rng.integers(0, 2**bits, (24, 20, encoding.channels)).astype(np.uint16), encoding, palette)
        seeds.append((path.suffix, path.read_bytes()))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    for suffix, kind in ((".jpg", "JPEG"), (".tif", "TIFF"), (".webp", "WEBP"), (".png", "PNG")):
        buffer = io.BytesIO()
        Image.fromarray(photograph(3, 40, 50)).save(buffer, kind, exif=exif, dpi=(72, 72))
        seeds += [(suffix, buffer.getvalue())] * 3
    return seeds


def fuzz_images(count: int, folder: Path, rng: random.Random) -> "Findings":
    """Photographs completed by a stand-in, read as masks, and made into records."""
    seeds, findings = image_seeds(folder), Findings(folder)
    for number in range(count):
        suffix, seed = rng.choice(seeds)
        data = mutate_bytes(seed, rng)
        path = folder / f"case{suffix}"
        path.write_bytes(data)
        job = plan_one(path, HoleSource(rectangle=(3, 4, 9, 8)), folder / "result", ".png" if number % 2 else None)

        def paint(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
            return np.iinfo(pixels.dtype).max - pixels, []

        findings.look(number, data, lambda job=job: job.run(paint, preview=False))
        if number % 4 == 0:
            findings.look(number, data, lambda path=path: read_mask(path))
            findings.look(number, data, lambda data=data: encode_record(data, 64))
    return findings


def fuzz_cards(count: int, folder: Path, rng: random.Random) -> "Findings":
    """Model folders loaded, and what `complete` asks of their cards before it paints."""
    network = CompletionNetwork(width_multiplier=0.03125)
    model = folder / "model"
    trained = {"crop_px": 64, "hole_px": [8, 16], "steps": 3, "hole_shares": {"rectangles": 1.0}}
    model_folder.save(model, (network, shaken(network)), None)
    card = json.loads((model / "card.json").read_text()) | {"trained": trained, "completing": {"blend": True}}
    weights = (model / "completion.safetensors").read_bytes()
    hole = np.zeros((40, 40), bool)
    hole[5:30, 5:30] = True
    findings = Findings(folder)
    for number in range(count):
        changed = json.dumps(mutate_json(card, rng)).encode()
        if rng.random() < 0.15:
            changed = mutate_bytes(json.dumps(card).encode(), rng)
        elif rng.random() < 0.15:
            (model / "completion.safetensors").write_bytes(mutate_bytes(weights, rng))
            true_sum = {
                **card,
                "completion": {**card["completion"], "sha256": sha256_of(model / "completion.safetensors")},
            }
            changed = json.dumps(true_sum).encode()
        (model / "card.json").write_bytes(changed)

        def load() -> None:
            _, _, read = model_folder.load(model)
            list_concerns(hole, read, True)

        findings.look(number, changed, load)
        (model / "completion.safetensors").write_bytes(weights)
    return findings


def fuzz_manifests(count: int, folder: Path, rng: random.Random) -> "Findings":
    """Manifests of benchmarks, and scores."""
    photographs = [(str(seed), lambda seed=seed: photograph(seed, 40, 40)) for seed in range(3)]
    make_benchmark(
        photographs, folder / "bench", kinds=["rect"], count=3, crop_px=32, short_side_px=32, hole_px=(8, 12),
        strokes={}, seed=0,
    )  # fmt: skip
    path, scores = folder / "bench" / "manifest.json", folder / "scores.json"
    manifest = json.loads(path.read_text())
    row = {"group": "all", "method": "mean", "cases": 3, "l1": [0.1, 0.1, 0.1]}
    report = {"benchmark": str(folder / "bench"), "manifest_sha256": "0" * 64, "summary": [row, row]}
    findings = Findings(folder)
    for number in range(count):
        for file, content, read in (
            (path, manifest, lambda: open_benchmark(folder / "bench")),
            (scores, report, lambda: read_scored_methods(folder)),
        ):
            changed = json.dumps(mutate_json(content, rng)).encode()
            if rng.random() < 0.2:
                changed = mutate_bytes(json.dumps(content).encode(), rng)
            file.write_bytes(changed)
            findings.look(number, changed, read)
    return findings


class Findings:
    """What went wrong so far."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.outside = set(folder.parent.iterdir())
        self.wrong: dict[str, tuple[int, bytes]] = {}
        self.refused, self.read = 0, 0
        self.slowest = (0.0, -1)

    def look(self, number: int, data: bytes, action: Callable[[], object]) -> None:
        """Does it, and judges how it ends."""
        began = time.monotonic()
        try:
            action()
            self.read += 1
        except (UserError, ImageError) as error:
            self.refused += 1
            if "\n" in str(error) or len(str(error)) > 1000:
                self.wrong.setdefault(f"message of {len(str(error))} characters: {str(error)[:100]!r}", (number, data))
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.wrong.setdefault(
                f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {str(error)[:200]}",
                (number, data),
            )
        self.slowest = max(self.slowest, (time.monotonic() - began, number))

    def report(self, keep: Path | None) -> int:
        """Prints it; returns how many kinds of wrong there were."""
        if new := set(self.folder.parent.iterdir()) - self.outside:
            self.wrong[f"files outside: {sorted(str(path) for path in new)[:3]}"] = (-1, b"")
        used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if used_mb > LARGEST_MB:
            self.wrong[f"{used_mb} MB of memory"] = (-1, b"")
        for text, (number, data) in self.wrong.items():
            print(f"WRONG, case {number}: {text}")
            if keep is not None and data:
                keep.mkdir(exist_ok=True)
                (keep / f"case{number}").write_bytes(data)
        print(
            f"{self.read:,} read, {self.refused:,} refused, {len(self.wrong)} kinds of wrong; "
            f"slowest {self.slowest[0]:.2f} s (case {self.slowest[1]}); {used_mb:,} MB"
        )
        return len(self.wrong)


FUZZERS = {"images": fuzz_images, "cards": fuzz_cards, "manifests": fuzz_manifests}


def main() -> int:
    """Parses the arguments and fuzzes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=FUZZERS)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the bytes of what went wrong")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    try:
        (place / "work").mkdir()
        os.chdir(place / "work")
        return min(
            FUZZERS[options.what](options.count, place / "work", random.Random(options.seed)).report(options.keep), 1
        )
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
