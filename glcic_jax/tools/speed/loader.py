"""Images per second and core: this loader, a PyTorch DataLoader that does the same with Pillow, and bare decoding."""

import argparse
import functools
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.system.paths import user_path
from glcic_jax.tools.speed.contenders import measure_in_turn
from glcic_jax.tools.speed.rows import Rows

BATCH_SIZE = 16
FAR_STEP = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", required=True, type=user_path, help="folder of prepared shards")
    parser.add_argument("--config", default="places2", help="recipe whose samples are made (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1500, help="measured in each round (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=1, help="that everyone may use (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is taken (default: %(default)s)")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """One table: its title and rows."""
    contenders: dict[str, Callable[..., dict[str, float]]] = {
        "bare cv2.imdecode": bare_decoding,
        "this loader": this_loader,
    }
    try:
        import torch  # noqa: F401 (only whether it is there)
    except ImportError:
        note = "; install torch to compare with a DataLoader"
    else:
        note = ""
        contenders |= {
            "DataLoader, Pillow, uint8": functools.partial(pillow_dataloader, floats=False),
            "DataLoader, Pillow, float": functools.partial(pillow_dataloader, floats=True),
        }
    arguments = (options.data, options.config, options.images, options.cores)
    measurements = measure_in_turn(contenders, *arguments, cores=options.cores, rounds=options.rounds)
    ours, bare = measurements["this loader"], measurements["bare cv2.imdecode"]
    rows: Rows = [
        {
            "": name,
            "images/s/core": round(measured.rate, 1),
            "of bare decoding": f"{measured.rate / bare.rate:.0%}",
            "this loader is": f"{ours.rate / measured.rate:.2f} x",
            "peak MiB": round(measured.peak_mib),
            "first batch s": f"{measured.extra['first_batch_s']:.2f}" if "first_batch_s" in measured.extra else "",
            f"from step {FAR_STEP:,}": f"{measured.extra['far']:,.0f}" if "far" in measured.extra else "",
        }
        for name, measured in measurements.items()
    ]
    crops = f"{_recipe(options.config).crop_px} px crops by {options.config}"
    return {f"{options.data}, {crops}, {options.cores} core(s), median of {options.rounds}{note}": rows}


def bare_decoding(data: Path, recipe: str, images: int, cores: int) -> dict[str, float]:
    """Nothing but decoding whole records, on as many threads as cores."""
    from concurrent.futures import ThreadPoolExecutor

    import cv2

    cv2.setNumThreads(1)
    records = _records(data)
    jpegs = [np.frombuffer(records[i % len(records)], np.uint8) for i in _spread(images, len(records))]
    with ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        for _ in pool.map(lambda jpeg: cv2.imdecode(jpeg, cv2.IMREAD_COLOR) is None, jpegs):
            pass
        return {"images": images, "seconds": time.perf_counter() - start}


def this_loader(data: Path, recipe: str, images: int, cores: int) -> dict[str, float]:
    """Batches as the training loop gets them, from step 0 and from far on."""
    began = time.perf_counter()
    from glcic_jax.data.loader import batches, training_samples
    from glcic_jax.data.reading import Reader
    from glcic_jax.run.setup import hole_drawer

    config = _recipe(recipe)
    samples = training_samples(
        Reader(_records(data), 0.0),
        seed=0,
        short_side_px=config.short_side_px,
        crop_px=config.crop_px,
        flip=config.flip,
        window_px=config.window_px,
        draw_hole=hole_drawer(config),
    )
    steps = -(-images // BATCH_SIZE)

    def timed(first: int) -> tuple[float, float]:
        ahead = batches(samples, batch_size=BATCH_SIZE, start_step=first, stop_step=first + steps + 1, threads=cores)
        next(ahead)
        start = time.perf_counter()
        for _ in range(steps):
            next(ahead)
        return start, steps * BATCH_SIZE / (time.perf_counter() - start)

    first_batch, near = timed(0)
    _, far = timed(FAR_STEP)
    return {"images": near, "seconds": 1.0, "far": far / cores, "first_batch_s": first_batch - began}


def pillow_dataloader(data: Path, recipe: str, images: int, cores: int, floats: bool) -> dict[str, float]:
    """PyTorch's DataLoader with one worker a core; `floats`: tensors in [0, 1], channels first, as torchvision does."""
    import torch.utils.data

    images -= images % BATCH_SIZE
    dataset = PillowSamples(data, recipe, images + BATCH_SIZE, floats)
    loader = torch.utils.data.DataLoader(dataset, BATCH_SIZE, num_workers=cores)
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    for _ in batches:
        pass
    return {"images": images, "seconds": time.perf_counter() - start}


class PillowSamples:
    """The loader's samples the usual way: Pillow decodes and scales the whole photograph, then cuts."""

    def __init__(self, data: Path, recipe: str, count: int, floats: bool):
        self._data, self._recipe, self._count, self._floats = data, recipe, count, floats
        self._records: Any = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Image, mask and both windows."""
        from PIL import Image

        from glcic_jax.data.holes import random_window
        from glcic_jax.run.setup import hole_drawer

        if self._records is None:  # in the worker
            self._records, self._config = _records(self._data), _recipe(self._recipe)
            self._draw_hole = hole_drawer(self._config)
        config, rng = self._config, np.random.default_rng(index)
        record = int(rng.integers(len(self._records)))
        image: Image.Image = Image.open(io.BytesIO(self._records[record])).convert("RGB")
        scale = int(rng.integers(config.short_side_px[0], config.short_side_px[1] + 1)) / min(image.size)
        size = [max(config.crop_px, round(side * scale)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
        x, y = (int(rng.integers(side - config.crop_px + 1)) for side in size)
        image = image.crop((x, y, x + config.crop_px, y + config.crop_px))
        if config.flip and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask, window = self._draw_hole(rng)
        arrays = (np.array(image), mask)
        if self._floats:
            first = (np.ascontiguousarray(array.transpose(2, 0, 1)) for array in arrays)
            arrays = (next(first).astype(np.float32) / 255, next(first).astype(np.float32))
        return *arrays, window, random_window(rng, config.crop_px, config.window_px)


def _records(data: Path) -> Any:
    from glcic_jax.data.manifest import read_manifest
    from glcic_jax.data.shards import open_split

    return open_split(data, read_manifest(data), "train")


def _recipe(name: str) -> Any:
    from glcic_jax.run.config import Config

    return Config.from_config_dict(load_recipe(recipe_path(name), []))


def _spread(images: int, records: int) -> Iterator[int]:
    """Record numbers all over the set."""
    return (i * 7919 % records for i in range(images))
