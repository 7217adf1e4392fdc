"""Prepares photographs that scikit-image ships, trains on them in three stages, and completes them; no download."""

from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

import glcic_jax
from glcic_jax.data.holes import mask_of, rectangle
from glcic_jax.data.images import contact_sheet, decode, read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.metrics import hole_psnr
from glcic_jax.exit_codes import ExitCode
from glcic_jax.inference.completer import Completer
from glcic_jax.prepare.plan import Settings
from glcic_jax.prepare.reporting import prepare_and_report
from glcic_jax.run.config import Config
from glcic_jax.tools.single_run import train_alone

# The natural colour photographs of the wheel; of the stereo pair one picture only, since the other shows it again.
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
TERMS = (
    "photographs inside the scikit-image wheel: astronaut, chelsea, coffee and rocket are public domain or CC0; "
    "motorcycle is of the Middlebury 2014 stereo set, which states no licence"
)
SHORT_SIDE_PX = 256
TILE_PX = 128
STRIDE_PX = 32  # of overlapping training tiles


def run_quickstart(config: Config, workdir: Path) -> int:
    """Runs all of it; returns the exit code. config: the recipe, whose data folder is filled here."""
    console = Console()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say("1. Photographs: five from scikit-image, cut into tiles; the right edge of each is kept for the test.")
    photographs, shards = workdir / "photographs", Path(config.data_dir)
    if not (shards / "manifest.json").exists():
        cut_tiles(photographs)
        settings = Settings(val_fraction=0.0, max_short_side_px=TILE_PX)
        prepare_and_report([str(photographs)], shards, settings, 0, console)
    begins = (
        f"beginning with the weights in {config.init_from}" if config.init_from else "beginning with random weights"
    )
    say(f"2. Training: C alone, D alone, both together, {begins}. The curves: tensorboard --logdir {workdir}")
    if code := train_alone(config, workdir, console):
        return code
    say(
        f"done. The model is {workdir}/model; complete a photograph with:\n"
        f"  python launch/complete.py PHOTO.jpg --mask=MASK.png --model={workdir}/model"
    )
    say("3. Completing holes in the regions that no training crop has seen.")
    scores, holes = complete_test_tiles(workdir)
    say(f"   in-hole PSNR, mean over {holes} holes:")
    for name, value in scores.items():
        say(f"     {name:<28}{value:6.2f} dB")
    pictures = f"{workdir}/completions.png (photograph, hole, completion, the same with texture copied, Telea)"
    say(f"   look at {pictures} and at {workdir}/grids/")
    say("   With photographs of your own: README.md, train your own.")
    return ExitCode.DONE


def cut_tiles(folder: Path) -> None:
    """Cuts the photographs into folder/train and folder/val; no training tile overlaps a test tile."""
    try:
        import skimage
    except ImportError:
        raise UserError(
            "the quickstart needs scikit-image for its photographs; install it: pip install 'glcic-jax[quickstart]'"
        ) from None
    source = Path(skimage.__file__).parent / "data"
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        photograph = decode((source / name).read_bytes())
        scale = SHORT_SIDE_PX / min(photograph.size)
        pixels = np.array(photograph.resize((round(photograph.width * scale), round(photograph.height * scale))))
        h, w = pixels.shape[:2]
        border = w - TILE_PX
        for split, lefts, stride in (
            ("train", _starts(border, STRIDE_PX), STRIDE_PX),
            ("val", [border], TILE_PX),
        ):
            for y in _starts(h, stride):
                for x in lefts:
                    tile = pixels[y : y + TILE_PX, x : x + TILE_PX]
                    write_image(folder / split / f"{Path(name).stem}_{y}_{x}.png", tile)


def _starts(length_px: int, stride_px: int) -> list[int]:
    """Where tiles begin that lie wholly within a length."""
    return list(range(0, length_px - TILE_PX + 1, stride_px))


def complete_test_tiles(workdir: Path) -> tuple[dict[str, float], int]:
    """Completes a hole in each crop-sized square of the test tiles, and writes the picture.

    Returns: the mean in-hole PSNR of each method in dB, and the number of holes.
    """
    network, variables, card = glcic_jax.load(workdir / "model")
    completer = Completer((network, variables, card))
    assert card.trained is not None  # this run wrote it
    side, hole_px = card.trained.crop_px, card.trained.hole_px
    mean = (np.array(network.mean_color) * 255).round().astype(np.uint8)
    scores: dict[str, list[float]] = {}
    shown: list[list[np.ndarray]] = [[] for _ in range(5)]
    rng = np.random.default_rng(0)
    for path in sorted((workdir / "photographs" / "val").iterdir()):
        tile = read_image(path)
        for index, corner in enumerate(np.ndindex(TILE_PX // side, TILE_PX // side)):
            y, x = (side * c for c in corner)
            image, mask = tile[y : y + side, x : x + side], mask_of(rectangle(rng, side, hole_px), side)
            results = {
                "mean colour": np.where(mask > 0, mean, image),
                "OpenCV Telea": cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA),
                "this model": completer(image, mask),
            }
            for name, result in results.items():
                batch = (array[None] for array in (result / 255, image / 255, mask))
                scores.setdefault(name, []).append(float(hole_psnr(*batch)[0]))
            if index == 0:
                hole = np.where(mask > 0, 255, image).astype(np.uint8)
                textured = completer(image, mask, copy_texture=True)
                pictures = (image, hole, results["this model"], textured, results["OpenCV Telea"])
                for row, picture in zip(shown, pictures, strict=True):
                    row.append(picture.repeat(2, axis=0).repeat(2, axis=1))  # small: shown twice as large
    write_image(workdir / "completions.png", contact_sheet(shown))
    return {name: float(np.mean(values)) for name, values in scores.items()}, len(scores["this model"])
