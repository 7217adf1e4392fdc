"""Runs through a folder of inputs that once went wrong, and says for each whether the right thing happens now.

    python -m tests.support.faults FOLDER [NAME...]

FOLDER holds `commands/NN_name/` with inputs, `files/` with photographs and masks in unusual encodings and `cards/` with
hostile model cards. Needs nothing else: models are made on the way. Cases that other commands than `complete` and
`evaluate` are about are not looked at here.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from glcic_jax.cli.main import run
from glcic_jax.data.mask_files import MaskReading, read_marks
from glcic_jax.data.pixels import read_pixels
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.photograph import read_photograph
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import shaken


class Wrong(AssertionError):
    """What happened is not what should."""


def complete(*arguments: str) -> tuple[int, str]:
    """Exit code and all that was said."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = run("complete", list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception:
            code, _ = 99, text.write(traceback.format_exc())
    return code, text.getvalue()


def expect(right: bool, said: str) -> str:
    """Raises: Wrong with what was said."""
    if not right:
        raise Wrong(" ".join(said.split())[-300:])
    return " ".join(said.split())[-160:]


def shown(path: Path) -> np.ndarray:
    """Upright RGB, by Pillow alone."""
    with Image.open(path) as opened:
        return np.array(ImageOps.exif_transpose(opened).convert("RGB"))


def hole_of(photo: Path, result: Path) -> np.ndarray:
    """Where the two differ: bool (H, W)."""
    return (shown(photo) != shown(result)).any(-1)


def labels_and_paint() -> str:
    expected = np.asarray(Image.open("mask01.png")) > 0
    for name in ("mask01.png", "mask16_01.png", "palette_voc.png", "red.png"):
        code, said = complete("photo.png", "--mask", name, "--output", "o.png")
        expect(code == 0 and not (hole_of(Path("photo.png"), Path("o.png")) & ~expected).any(), f"{name}: {said}")
        expect((hole_of(Path("photo.png"), Path("o.png")) & expected).sum() > 0.9 * expected.sum(), f"{name}: {said}")
    code, said = complete("photo.png", "--mask", "two_levels.png", "--output", "o.png")
    expect(code == 2 and "level 100" in said and "--mask_level=100" in said, said)
    code, said = complete("photo.png", "--mask", "two_levels.png", "--mask_level=100", "--output", "o.png")
    return expect(code == 0, said)


def transparent_holes() -> str:
    for name in ("rgba_hole_transparent.png", "rgba_black_strokes.png"):
        code, said = complete("photo.png", "--mask", name, "--output", "o.png")
        expect(code == 2 and "--mask_transparent" in said, said)
        more = ["--invert_mask"] if "strokes" in name else []
        code, said = complete("photo.png", "--mask", name, "--mask_transparent", *more, "--output", "o.png")
        alpha = np.asarray(Image.open(name))[..., 3]
        hole = alpha > 127 if more else alpha <= 127
        expect(code == 0 and not (hole_of(Path("photo.png"), Path("o.png")) & ~hole).any(), said)
    return said.strip()


def turned_mask() -> str:
    code, said = complete("exif6.png", "--mask", "exif_stored.png", "--output", "o.png")
    hole = np.asarray(Image.open("exif_up.png")) > 127
    changed = hole_of(Path("exif6.png"), Path("o.png"))
    return expect(code == 0 and not (changed & ~hole).any() and "turned" in said, said)


def erased_hole() -> str:
    code, said = complete("erased.png", "--mask", "mask.png", "--output", "o.png")
    alpha, hole = np.asarray(Image.open("o.png"))[..., 3], np.asarray(Image.open("mask.png").convert("L")) > 127
    return expect(code == 0 and alpha[hole].min() == 255 and "opaque" in said, said)


def heic() -> str:
    code, said = complete("IMG_0001.heic", "--mask", "mask.png", "--output", "o.png")
    expect(code == 2 and ("HEIC" in said or "heif" in said.lower()), said)
    code, said = complete("folder", "--mask", "mask.png", "--output", "out")
    return expect(code == 1 and "IMG_0001.HEIC" in said and "1 failed" in said, said)


def nested_names() -> str:
    for mask in ("masks", "one.png"):
        code, said = complete("photos", "--mask", mask, "--output", "out", "--overwrite")
        results = sorted(str(p) for p in Path("out").rglob("*.jpg"))
        expect(code == 0 and results == [f"out/day{d}/IMG_000{n}.jpg" for d, n in ((1, 1), (2, 1), (2, 2))], said)
    return said.strip()


def named_like_masks() -> str:
    code, said = complete("photos", "--mask", "m.png", "--output", "out")
    return expect(code == 0 and len(list(Path("out").glob("*.jpg"))) == 3, said)


def shared_folders() -> str:
    code, said = complete("shared", "--mask", "shared", "--output", "out")
    expect(code == 0 and sorted(p.name for p in Path("out").glob("*.*g")) == ["cat.jpg", "dog.jpg"], said)
    code, said = complete("shared", "--mask", "shared", "--output", "out2", "--format", "png")
    expect(code == 0 and sorted(p.name for p in Path("out2").glob("*.png")) == ["cat.png", "dog.png"], said)
    code, said = complete("pm", "--mask", "pm/masks", "--output", "out3")
    return expect(code == 0 and [p.name for p in Path("out3").glob("*.*G")] == ["a.JPG"], said)


def unicode_names() -> str:
    code, said = complete("photos", "--mask", "masks", "--output", "out")
    return expect(code == 0 and "1 completed" in said, said)


def stale_results() -> str:
    code, said = complete("photos", "--mask", "m.png", "--output", "out")
    before = Path("out/cat.jpg").read_bytes()
    code, said = complete("photos", "--mask", "m.png", "--dilate_px", "10", "--output", "out")
    expect(code == 0 and "dilate_px 0 then, 10 now" in said and "--overwrite" in said, said)
    code, said = complete("photos", "--mask", "m.png", "--dilate_px", "10", "--output", "out", "--overwrite")
    return expect(code == 0 and Path("out/cat.jpg").read_bytes() != before, said)


def output_inside() -> str:
    for count in ("2 completed, 0 were", "0 completed, 2 were"):
        code, said = complete("photos", "--mask", "m.png", "--output", "photos/completed")
        expect(code == 0 and count in said, said)
    return said.strip()


def missing_folder() -> str:
    for output in ("results/", "other"):
        code, said = complete("photo.png", "--mask", "mask.png", "--output", output)
        expect(code == 0 and (Path(output) / "photo.png").is_file(), said)
    return said.strip()


def array_ranges() -> str:
    photo = shown(Path("in/photo.png"))
    mask, soft, noisy = (np.asarray(Image.open(f"in/{name}").convert("L"))[..., None] for name in
                         ("mask.png", "soft.png", "jpegmask.jpg"))  # fmt: skip
    completer, said = Completer(os.environ["GLCIC_MODEL"]), []
    for image in (photo.astype(np.float32), photo / 127.5 - 1, photo.astype(np.uint16), np.full(photo.shape, np.nan)):
        try:
            completer(image, mask)
        except UserError as error:
            said.append(str(error))
        else:
            raise Wrong(f"{image.dtype} up to {image.max()} was taken")
    for values in (soft, noisy, soft / 255):
        changed = (completer(photo, values) != photo).any(-1)
        half = values[..., 0] > (127 if values.dtype == np.uint8 else 0.5)
        expect(not (changed & ~half).any() and (changed & half).sum() > 0.9 * half.sum(), f"{values.dtype} mask")
    try:
        completer(np.stack([photo, photo]), mask)
    except UserError as error:
        return expect(str(photo.shape)[1:-1] in str(error), str(error))
    raise Wrong("one mask for two images was taken")


def tilde() -> str:
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save("photo.png")
    os.environ["HOME"] = str(Path("home").absolute())
    Path("home").mkdir()
    code, said = complete("photo.png", "--rectangle=5,5,9,9", "--output=~/o.png")
    return expect(code == 0 and Path("home/o.png").exists() and not Path("~").exists(), said)


def lab_tiff() -> str:
    code, said = complete("lab.tif", "--mask", "mask.png", "--output", "o.tif")
    with Image.open("o.tif") as opened:
        return expect(code == 0 and opened.mode == "RGB" and "icc_profile" not in opened.info and "LAB" in said, said)


CASES: dict[str, Callable[[], str]] = {
    "01": labels_and_paint,
    "02": transparent_holes,
    "04": turned_mask,
    "05": erased_hole,
    "06": heic,
    "08": nested_names,
    "10": named_like_masks,
    "11": shared_folders,
    "12": unicode_names,
    "13": stale_results,
    "14": output_inside,
    "15": missing_folder,
    "28": array_ranges,
    "29": tilde,
    "30": lab_tiff,
}


def check_photographs(folder: Path) -> dict[str, str]:
    """Each photograph with a hole in negative: all else must stay, by the file's own depth."""
    found = {}
    for path in sorted(folder.iterdir()):
        copy = Path(path.name).absolute()
        shutil.copyfile(path, copy)
        opened = read_photograph(copy)
        pixels = opened.pixels
        hole = np.zeros(pixels.shape[:2], bool)
        hole[10:20, 12:25] = True
        result = copy.with_name(f"result{path.suffix}")
        opened.save(result, np.iinfo(pixels.dtype).max - pixels, hole)
        again = read_pixels(result.read_bytes())
        far = np.ones_like(hole)
        far[0:32, 0:48] = path.suffix == ".png"  # JPEG codes blocks
        known = far & ~hole if path.suffix == ".jpg" else ~hole
        difference = int(np.abs(again.rgb().astype(int) - pixels)[known].max(initial=0))
        same = again.samples.dtype == opened.stored.samples.dtype and again.mode == opened.stored.mode
        right = same and difference <= (16 if path.suffix == ".jpg" else 0)
        found[path.name] = f"{'right' if right else 'WRONG'}: {again.mode}, known pixels differ by {difference}"
    for name, marked in {
        "label01.png": True,
        "red.png": True,
        "pal_voc.png": True,
        "white_alpha_hole.png": False,
    }.items():
        if (folder / name).exists():
            try:
                said = f"{read_marks(folder / name).marked.mean():.1%} hole"
                right = marked
            except UserError as error:
                said, right = str(error), not marked and "--mask_transparent" in str(error)
                hole = read_marks(folder / name, MaskReading(transparent=True)).marked
                right = right and 0 < hole.mean() < 0.5
            found[f"mask {name}"] = f"{'right' if right else 'WRONG'}: {said}"
    return found


def check_cards(folder: Path, model: Path) -> dict[str, str]:
    """A command with each card beside the weights of a model: refused in a line, or harmless."""
    found = {}
    for case in sorted(folder.iterdir()):
        copy = Path(f"model_{case.name}")
        shutil.copytree(model, copy)
        card = json.loads((model / "card.json").read_text())
        text = (case / "card.json").read_text(errors="replace")
        with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError):
            hostile = json.loads(text)
            own = hostile.get("completion")
            if (
                isinstance(own, dict)
                and isinstance(own.get("network"), dict)
                and own.get("file") == "completion.safetensors"
            ):
                own["network"] = {**card["completion"]["network"], **{
                    key: value for key, value in own["network"].items() if key == "mean_color"}}  # fmt: skip
                if isinstance(own.get("sha256"), str):
                    own["sha256"] = card["completion"]["sha256"]
            text = json.dumps(hostile)
        (copy / "card.json").write_text(text)
        Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save("photo.png")
        code, said = complete("photo.png", "--rectangle=5,5,9,9", "--output=o.png", f"--model={copy}")
        right = code in (0, 2) and "Traceback" not in said and (code == 0 or len(said.strip().splitlines()) == 1)
        found[case.name] = f"{'right' if right else 'WRONG'}: exit {code}, {' '.join(said.split())[:150]}"
    return found


def main(folder: Path, names: list[str]) -> int:
    """Prints a line a case; returns how many went wrong."""
    wrong = 0
    folder = folder.absolute()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        network = CompletionNetwork(width_multiplier=0.03125)
        model = Path(place) / "model"
        model_folder.save(model, (network, shaken(network)), None)
        os.environ["GLCIC_MODEL"] = str(model)
        for case in sorted((folder / "commands").iterdir()):
            number = case.name[:2]
            if number not in CASES or (names and number not in names):
                continue
            here = Path(place) / case.name
            shutil.copytree(case, here, copy_function=shutil.copyfile)
            for path in [here, *here.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            os.chdir(here)
            try:
                print(f"{case.name}: right: {CASES[number]()}")
            except Exception as error:  # whatever goes wrong is what is looked for
                wrong += 1
                print(f"{case.name}: WRONG: {type(error).__name__}: {error}")
        (Path(place) / "files").mkdir()
        os.chdir(Path(place) / "files")
        lines = {} if names else {**check_photographs(folder / "files"), **check_cards(folder / "cards", model)}
        for name, line in lines.items():
            print(f"{name}: {line}")
        wrong += sum("WRONG" in line for line in lines.values())
        os.chdir("/")
    print(f"{wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]), sys.argv[2:]), 1))
