"""Time and memory of completing a photograph: by windows, as a whole image, and as a whole image in PyTorch.

Each figure comes from a process of its own, with random weights, which take the same time as trained ones.
"""

import argparse
import functools
import importlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glcic_jax.tools.local_processes import build_environment
from glcic_jax.tools.speed.rows import Row, Rows
from glcic_jax.tools.speed.yardstick import add_argument, load, require

REPEATS = 3
_PARTS_FILE = "parts.json"


class Cost(NamedTuple):
    """secs: the fastest of some repeats, after compiling; memory_gb: the process's peak, imports and all."""

    secs: float
    memory_gb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--sizes_px", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="of square photographs"
    )
    parser.add_argument("--holes_px", type=int, nargs="+", default=[32, 64, 128, 256, 512], help="of square holes")
    parser.add_argument("--hole_px", type=int, default=128, help="the hole where the photograph's size changes")
    parser.add_argument("--size_px", type=int, default=2048, help="the photograph where the hole's size changes")
    parser.add_argument("--whole_up_to_px", type=int, default=2048, help="beyond it the whole image is extrapolated")
    parser.add_argument("--width_multiplier", type=float, default=1.0, help="of the network")
    add_argument(parser)
    parser.add_argument("--megapixels", type=float, default=24, help="of the JPEG for the command's cold start")


def measure(options: argparse.Namespace) -> dict[str, Rows]:
    """Three tables: by the photograph's size, by the hole's, and the command's cold start."""
    if options.yardstick:
        require(options.yardstick)
    width = options.width_multiplier
    photographs: Rows = []
    for size in options.sizes_px:
        row: Row = {
            "photograph": f"{size} px",
            "windows": _cell(_cost(measure_windows, size, options.hole_px, width)),
            "whole image": _beyond(options, size, measure_whole, width),
        }
        if options.yardstick:
            row["PyTorch"] = _beyond(options, size, measure_pytorch, width, options.yardstick)
        photographs.append(row)
    holes: Rows = [
        {"hole": f"{hole} px", "windows": _cell(_cost(measure_windows, options.size_px, hole, width))}
        for hole in options.holes_px
    ]
    parts: Rows = [{"part": name, "secs": secs} for name, secs in measure_cold_start(options.megapixels, width).items()]
    return {
        f"hole of {options.hole_px} px": photographs,
        f"photograph of {options.size_px} px": holes,
        f"glcic complete, {options.megapixels:g} megapixels, hole of 128 px": parts,
    }


def _beyond(options: argparse.Namespace, size: int, measure: Callable[..., Cost], *arguments: Any) -> str:
    """The cost of a whole image; beyond some size it is extrapolated in proportion to the pixels."""
    measured = min(size, options.whole_up_to_px)
    cost = Cost(*(value * (size / measured) ** 2 for value in _cost(measure, measured, *arguments)))
    return ("" if size == measured else "about ") + _cell(cost)


@functools.cache  # the largest whole image stands in for all larger ones
def _cost(measure: Callable[..., Cost], *arguments: Any) -> Cost:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def _cell(cost: Cost) -> str:
    return f"{cost.secs:.2f} s, {cost.memory_gb:.2f} GB"


def measure_windows(size_px: int, hole_px: int, width: float) -> Cost:
    """A square hole in the middle of a square photograph."""
    from glcic_jax.inference.completer import Completer
    from glcic_jax.models.card import Card

    completer, image, mask = Completer((*_network(width), Card())), *_scene(size_px, hole_px)
    return _fastest(lambda: completer(image, mask))


def measure_whole(size_px: int, width: float) -> Cost:
    """The network on all pixels."""
    import jax

    network, variables = _network(width)
    apply = jax.jit(network.apply)
    image, mask = _scene(size_px, 128)
    return _fastest(lambda: np.asarray(apply(variables, image / np.float32(255), mask)))


def measure_pytorch(size_px: int, width: float, yardstick: Path) -> Cost:
    """The yardstick's network on all pixels."""
    import torch

    network = load(yardstick).CompletionNetwork(width).eval()
    image, mask = torch.zeros(1, 3, size_px, size_px), torch.zeros(1, 1, size_px, size_px)
    with torch.inference_mode():
        return _fastest(lambda: network(image, mask))


def _fastest(work: Callable[[], Any]) -> Cost:
    work()  # compiles
    secs = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        secs.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB, on macOS in bytes
    return Cost(min(secs), peak / (2**30 if sys.platform == "darwin" else 2**20))


def _network(width: float) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    from glcic_jax.models.completion import CompletionNetwork

    network = CompletionNetwork(width_multiplier=width, precision=jax.lax.Precision.HIGHEST)
    image = jnp.zeros((1, 16, 16, 3))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image, image[..., :1])
    rng = np.random.default_rng(0)
    return network, jax.tree.map(lambda leaf: rng.uniform(0.02, 0.05, leaf.shape).astype(np.float32), shapes)


def _scene(size_px: int, hole_px: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), np.uint8)
    mask = np.zeros((size_px, size_px, 1), np.uint8)
    start = (size_px - hole_px) // 2 + 1  # not on the network's stride
    mask[start : start + hole_px, start : start + hole_px] = 1
    return image, mask


def measure_cold_start(megapixels: float, width: float) -> dict[str, float]:
    """Seconds of the command, without and with compiled programs on disk, and of its parts one by one."""
    import cv2
    from PIL import Image

    from glcic_jax.models import folder as model_folder

    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, height * 3 // 16, 3), np.uint8)
    photograph = cv2.resize(coarse, (height * 3 // 2, height), interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory(prefix="glcic-jax-benchmark-") as name:
        place = Path(name)
        Image.fromarray(photograph).save(place / "photo.jpg", quality=92)
        mask = np.zeros(photograph.shape[:2], np.uint8)
        mask[height // 2 : height // 2 + 128, height // 2 : height // 2 + 128] = 255
        Image.fromarray(mask).save(place / "mask.png")
        model_folder.save(place / "model", _network(width), None)
        cached = {
            "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        environment, secs = build_environment(None), dict[str, float]()
        for title in ("the command, first time", "the command, compiled before"):
            command = [sys.executable, "-P", "-m", "glcic_jax", "complete"]
            command += ["photo.jpg", "--mask=mask.png", "--model=model", "--output=out.jpg"]
            began = time.perf_counter()
            subprocess.run(command, cwd=place, env=environment | cached, check=True, stdout=subprocess.DEVNULL)
            secs[title] = time.perf_counter() - began
        command = [sys.executable, "-P", "-c", "from glcic_jax.tools.speed.complete import time_parts; time_parts()"]
        subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)
        parts: dict[str, float] = json.loads((place / _PARTS_FILE).read_text())
    return secs | parts


def time_parts() -> None:
    """Does what the command does, one part after the other, in a folder that `measure_cold_start` has filled.

    The seconds go to a JSON file there.
    """
    secs: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        secs[f"  {name}"] = round(time.perf_counter() - began, 3)
        return result

    def of(module: str, attribute: str) -> Any:
        return getattr(importlib.import_module(f"glcic_jax.{module}"), attribute)

    read = timed("importing NumPy, Pillow and OpenCV", lambda: of("inference.photograph", "read_photograph"))
    completer_class = timed("importing JAX and Flax", lambda: of("inference.completer", "Completer"))
    completer = timed("loading the model", lambda: completer_class("model"))
    photograph = timed("decoding the photograph (while JAX is imported)", lambda: read(Path("photo.jpg")))
    source, pixels = of("inference.masks", "HoleSource")(Path("mask.png")), photograph.pixels
    hole = timed("decoding the mask (while JAX is imported)", lambda: source.hole(pixels, None))
    timed("tracing, compiling, painting", lambda: completer(pixels, hole[..., None]))
    painted = timed("painting alone", lambda: completer(pixels, hole[..., None]))
    timed("encoding and writing", lambda: photograph.save(Path("out.jpg"), painted, hole))
    Path(_PARTS_FILE).write_text(json.dumps(secs))
