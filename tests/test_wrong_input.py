"""Wrong input and machines in trouble: every command answers with one readable line and its exit code.

Never with a traceback. All in this process, through the function that the command `glcic` calls.
"""

import errno
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.manifest import MANIFEST
from glcic_jax.models import folder as model_folder
from glcic_jax.models.completion import CompletionNetwork
from tests.support.networks import shaken
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph
from tests.support.tiny import TINY_SIZES

MASK = "--mask=mask.png"
RECTANGLE = "--rectangle=5,5,9,9"
TRAIN = [f"--config={ROOT}/tests/support/tiny_recipe.py", "--workdir=run", *TINY_SIZES, "--config.batch_size=8"]
DATA = "--config.data_dir=data"

# Command line, and what the line says.
CASES: dict[str, tuple[str, str]] = {
    "no such command": ("paint x", "no command 'paint'; there are"),
    # complete
    "no photograph": (f"complete gone.png {MASK}", "gone.png.*No such file"),
    "an empty photograph": (f"complete empty.png {MASK}", "empty.png.*the file is empty"),
    "a text as photograph": (f"complete text.png {MASK}", "text.png.*not an image"),
    "a photograph cut off": (f"complete cut.jpg {MASK}", "cut.jpg.*truncated"),
    "a photograph of 8 px": (f"complete tiny.png {RECTANGLE}", "only 8 x 8 px"),
    "a photograph of floats": (f"complete floats.tif {RECTANGLE}", "floating-point pixels"),
    "a photograph as large as a bomb": (f"complete photo.png {MASK} --max_megapixels=0.001", "more than 0 megapixels"),
    "a limit of nothing": (f"complete photo.png {MASK} --max_megapixels=0", "--max_megapixels is '0'"),
    "a folder without an output": (f"complete photos {MASK}", "give --output=FOLDER"),
    "a folder without images": (f"complete nothing {MASK} --output=out", "no image in nothing"),
    "no mask": ("complete photo.png --mask=gone.png", "gone.png.*No such file"),
    "a text as mask": ("complete photo.png --mask=text.png", "text.png.*not an image"),
    "an empty mask": ("complete photo.png --mask=black.png", "nothing in it is marked|black.png is empty"),
    "a mask of everything": ("complete photo.png --mask=white.png", "the whole photograph|one colour"),
    "a mask of another size": ("complete photo.png --mask=small.png", "48 x 40 px and the mask small.png 20 x 16 px"),
    "no way to a hole": ("complete photo.png", "one of the arguments --mask"),
    "two ways to a hole": (f"complete photo.png {MASK} {RECTANGLE}", "not allowed with argument"),
    "half a rectangle": ("complete photo.png --rectangle=1,2", "rectangle is '1,2'"),
    "a rectangle elsewhere": ("complete photo.png --rectangle=900,900,5,5", "no pixel of the rectangle"),
    "no colour": ("complete photo.png --mask_color=#12", "mask_color is '#12'"),
    "no labels": (f"complete photo.png {MASK} --mask_labels=x", "mask_labels is 'x'"),
    "a level above white": (f"complete photo.png {MASK} --mask_level=300", "invalid choice"),
    "two readings of a mask": (f"complete photo.png {MASK} --mask_level=9 --mask_labels=1", "give one of --mask_level"),
    "a reading without a mask": (f"complete photo.png {RECTANGLE} --mask_level=9", "say how to read a --mask file"),
    "no transparency": ("complete photo.png --mask_from_alpha", "no alpha channel"),
    "a hole that shrinks": (f"complete photo.png {MASK} --dilate_px=-1", "dilate_px is -1"),
    "no workers": (f"complete photos {MASK} --output=out --workers=0", "--workers is 0; it must be at least 1"),
    "no model": (f"complete photo.png {MASK} --model=gone", "gone"),
    "a folder that is no model": (f"complete photo.png {MASK} --model=nothing", "nothing"),
    "a broken card": (f"complete photo.png {MASK} --model=broken_card", "is not a model's card"),
    "weights cut off": (f"complete photo.png {MASK} --model=cut_weights", "completion.safetensors"),
    "an unknown kind of result": (f"complete photo.png {MASK} --output=o.xyz", "unknown image type '.xyz'"),
    "a result in no folder": (f"complete photo.png {MASK} --output=gone/o.png", "the folder .*gone does not exist"),
    "a result on the photograph": (f"complete photo.png {MASK} --output=photo.png", "would overwrite photo.png"),
    "no home folder": (f"complete ~nobody-at-all/photo.png {MASK}", "cannot tell which folder ~nobody-at-all means"),
    # prepare
    "no source": ("prepare --output=out", "no --source"),
    "a source that is not there": ("prepare --source=gone --output=out", "no source gone"),
    "a source without images": ("prepare --source=nothing --output=out", "no readable image in nothing"),
    "a source that is a text": ("prepare --source=text.png --output=out", "neither a folder nor a tar or zip archive"),
    "a share above all": ("prepare --source=photos --output=out --val_fraction=2", "--val_fraction is 2.0"),
    "a share that is no number": ("prepare --source=photos --output=out --val_fraction=x", "invalid float value"),
    "sizes that cross": ("prepare --source=photos --output=out --min_short_side_px=900", "must not exceed"),
    "a split with a space": ("prepare --source=photos --output=out --split=../x", "--split is '../x'"),
    "a part too far": ("prepare --source=photos --output=out --part=3/2", "--part is '3/2'"),
    "nothing to merge": ("prepare --output=out --merge", "out"),
    "nothing to verify": ("prepare --output=nothing --verify", "no shards in nothing"),
    "an output that is a file": ("prepare --source=photos --output=text.png", "text.png"),
    "nobody to work": ("prepare --source=photos --output=out --workers=0", "--workers is 0"),
    # train, and what takes recipes
    "no recipe": ("train --config=places3", "no recipe places3"),
    "a recipe that is none": ("train --config=not_a_recipe.py", "not_a_recipe.py is not a recipe: ZeroDivisionError"),
    "a key that is none": ("train --config=quickstart --config.batchsize=3", "unknown config key"),
    "a key of a part that is none": ("train @ --config.complete.width_multiplier=1", "unknown config key: 'complete'"),
    "a key within a number": ("train --config=quickstart --config.seed.x=1", "unknown config key"),
    "an output that is none": (f"train @ {DATA} --config.completion.output=relu", "relu"),
    "a value of another type": ("train --config=quickstart --config.batch_size=many", "batch_size"),
    "a value out of range": ("train --config=quickstart --config.batch_size=0", "config.batch_size is 0"),
    "a crop that does not halve": ("train --config=quickstart --config.crop_px=33", "config.crop_px is 33"),
    "an optimiser that is none": (
        f"train @ {DATA} --config.completion_optimizer.name=adamm", "config.completion_optimizer",
    ),
    "an argument of none": ("train --config=quickstart --epochs=3", "Unknown command line flag 'epochs'"),
    "half a place": ("train --config=quickstart --process_id=1", "give all three"),
    "no scheduler": ("train --config=quickstart --multi_process", "no scheduler"),
    "no data": ("train @ --config.data_dir=gone", "no shards in gone"),
    "a broken manifest": ("train @ --config.data_dir=broken_manifest", "is not a manifest"),
    "a shard gone": ("train @ --config.data_dir=shard_gone", "is missing; prepare the data again"),
    "a shard cut off": ("train @ --config.data_dir=shard_cut", "bytes, its manifest says"),
    "a batch that does not divide": (f"train @ {DATA} --config.batch_size=7", "batch_size is 7"),
    "weights from nowhere": (f"train @ {DATA} --config.init_from=nothing", "neither a model .* nor checkpoints"),
    "a folder that is a file": (f"train @ {DATA} --workdir=text.png", "text.png"),
    "a model folder of others": (f"train @ {DATA} --workdir=others", "others/model"),
    "holes of no recipe": ("holes --config=gone --output=h.png", "no recipe gone"),
    "no holes": ("holes --config=quickstart --output=h.png --count=0", "--count is 0"),
    "holes in no folder": ("holes --config=quickstart --output=gone/h.png", "gone does not exist"),
    "a doctor without a recipe": ("doctor --config=gone", "no recipe gone"),
    "a quickstart of another key": ("quickstart --config.step=3", "unknown config key"),
    # the others
    "a report on nothing": ("report nothing", "nothing"),
    "a publication of nothing": (
        "publish --workdir=nothing --output=o --data=d --licence_note=l --limits=l --cost=c", "nothing",
    ),
    "a benchmark of nothing": ("evaluate make --images=gone --output=b", "gone"),
    "a benchmark of no holes": ("evaluate make --images=photos --output=b --hole_px=a", "--hole_px is 'a'"),
    "a benchmark of unknown masks": ("evaluate make --images=photos --output=b --masks=stars", "stars"),
    "scores on nothing": ("evaluate score --benchmark=gone --output=s --rival=mean", "gone"),
    "scores of nobody": ("evaluate score --benchmark=bench --output=s", "nothing to score|give"),
    "an unknown rival": ("evaluate score --benchmark=bench --output=s --rival=magic", "magic"),
    "results that are not there": ("evaluate score --benchmark=bench --output=s --results=gone", "gone"),
    "a method with a slash": ("evaluate score --benchmark=bench --output=s --results=a/b=x", "a/b"),
    "a figure of nothing": ("evaluate figure --scores=gone --output=f", "gone"),
    "an import of nothing": ("import gone.pt --output=m", "gone.pt"),
    "an import of a text": ("import text.png --output=m", "text.png"),
    "an export of nothing": ("export gone --format=torch --output=m.pt", "gone"),
    "an export to the unknown": ("export model --format=tf --output=m", "invalid choice"),
    "a study of no seeds": ("study --data=data --workdir=s --seeds=x", "seeds"),
    "a study of no budget": ("study --data=data --workdir=s --budgets=5", "budgets"),
    "a study of no cells": ("study --data=data --workdir=s --cells=x", "x"),
    "speed of the unknown": ("benchmark everything", "invalid choice"),
    "speed of no data": ("benchmark loader --data=gone", "no shards in gone"),
    "no processes": ("local -n 0 -- x", "-n is 0"),
    "processes of nothing": ("local -n 2", "arguments of train are missing"),
    "chaos in a place taken": ("chaos --workdir=nothing -- --config=quickstart", "exists already"),
    "chaos of nothing": ("chaos --workdir=chaos", "arguments of train are missing"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, shards) -> Path:
    """A folder with all that the cases name."""
    here = tmp_path_factory.mktemp("wrong")
    pixels = photograph(1, 40, 48)
    Image.fromarray(pixels).save(here / "photo.png")
    Image.fromarray(pixels[:8, :8]).save(here / "tiny.png")
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(here / "floats.tif")
    for name, size, level in (("black", (48, 40), 0), ("white", (48, 40), 255), ("small", (20, 16), 255)):
        Image.new("L", size, level).save(here / f"{name}.png")
    mask = np.zeros((40, 48), np.uint8)
    mask[5:20, 5:20] = 255
    Image.fromarray(mask).save(here / "mask.png")
    Image.fromarray(mask[:16, :20]).save(here / "small.png")
    (here / "empty.png").touch()
    (here / "text.png").write_text("no image at all\n" * 40)
    (here / "cut.jpg").write_bytes(encoded(photograph(2))[:700])
    (here / "not_a_recipe.py").write_text("1 / 0\n")
    for name in ("nothing", "photos", "others/model"):
        (here / name).mkdir(parents=True)
    (here / "others" / "model" / "thesis.doc").write_text("years of work")
    for index in range(3):
        (here / "photos" / f"{index}.jpg").write_bytes(encoded(photograph(index)))
    network = CompletionNetwork(width_multiplier=0.03125)
    model_folder.save(here / "model", (network, shaken(network)), None)
    for name, file, change in (
        ("broken_card", "card.json", lambda data: data[: len(data) // 2]),
        ("cut_weights", "completion.safetensors", lambda data: data[:-100]),
    ):
        shutil.copytree(here / "model", here / name)
        (here / name / file).write_bytes(change((here / name / file).read_bytes()))
    (here / "data").symlink_to(shards)
    shard = next(shards.glob("train*")).name
    for name in ("broken_manifest", "shard_gone", "shard_cut"):
        shutil.copytree(shards, here / name)
    (here / "broken_manifest" / MANIFEST).write_text("{")
    (here / "shard_gone" / shard).unlink()
    (here / "shard_cut" / shard).write_bytes((shards / shard).read_bytes()[:-10])
    assert run("evaluate", ["make", f"--images={here / 'photos'}", f"--output={here / 'bench'}", "--count=1",
                            "--crop_px=64", "--hole_px=8,16", "--masks=rect"]) == 0  # fmt: skip
    return here


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    """The working folder; nothing that `train` sets for its process is set for this one."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("GLCIC_MODEL", str(place / "model"))
    for name in ("tune_cpu", "keep_compiled_programs"):
        monkeypatch.setattr(f"glcic_jax.cli.train.{name}", lambda: None)
    for name in ("SLURM_PROCID", "GLCIC_COORDINATOR"):
        monkeypatch.delenv(name, raising=False)


def answer(line: str, capsys) -> tuple[int, str]:
    """Exit code and the error's line; whatever else goes wrong raises."""
    command, *arguments = line.split()
    if "@" in arguments:
        arguments[arguments.index("@") : arguments.index("@") + 1] = TRAIN
    capsys.readouterr()
    try:
        code = run(command, arguments)
    except SystemExit as error:  # of argparse, which prints its usage before the line
        code = int(error.code or 0)
    said = capsys.readouterr().err
    errors = [text for text in said.splitlines() if re.match(r"[\w ]+: error: ", text)]
    assert "Traceback" not in said and len(errors) == 1 and said.rstrip().endswith(errors[0]), said
    return code, errors[0]


@pytest.mark.parametrize("name", CASES)
def test_wrong_input(name, capsys):
    line, expected = CASES[name]
    code, said = answer(line, capsys)
    assert code == 2 and re.search(expected, said), said


def fail(error):
    def raising(*arguments, **more):
        raise error

    return raising


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12884901888 bytes.")
NO_LIBRARY = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

# What fails, with what; the command line; exit code, and what the line says.
TROUBLES = {
    "a full disk": (
        "glcic_jax.inference.photograph.encode", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "o.png"),
        f"complete photo.png {MASK} --output=o.png", 2, "No space left on device",
    ),
    "a disk that fails": (
        "glcic_jax.inference.photograph.read_file", OSError(errno.EIO, os.strerror(errno.EIO), "photo.png"),
        f"complete photo.png {MASK} --output=o.png", 2, "Input/output error",
    ),
    "no open files left": (
        "glcic_jax.inference.photograph.read_file", OSError(errno.EMFILE, os.strerror(errno.EMFILE), "photo.png"),
        f"complete photo.png {MASK} --output=o.png", 2, "Too many open files",
    ),
    "no memory on the device": (
        "glcic_jax.inference.completer._apply", EXHAUSTED,
        f"complete photo.png {MASK} --output=o.png", 2, "photo.png: not enough memory to paint it",
    ),
    "no memory on the host": (
        "glcic_jax.inference.photograph.encode", MemoryError(),
        f"complete photo.png {MASK} --output=o.png", 2, "out of memory; give it less at once",
    ),
    "a library that is missing": (
        "glcic_jax.inference.photograph.encode", NO_LIBRARY,
        f"complete photo.png {MASK} --output=o.png", 2, "libGL.so.1.*install that package anew",
    ),
    "Ctrl-C": (
        "glcic_jax.inference.photograph.encode", KeyboardInterrupt(),
        f"complete photo.png {MASK} --output=o.png", 130, "interrupted",
    ),
    "a full disk under shards": (
        "glcic_jax.prepare.pipeline.Index", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        "prepare --source=photos --output=full --workers=1", 2, "No space left on device",
    ),
    "a file server that is gone": (
        "glcic_jax.data.manifest.read_json", OSError(errno.EACCES, os.strerror(errno.EACCES)),
        f"train @ {DATA}", 2, "manifest.json cannot be read .Permission denied.",
    ),
    "no memory to train": (
        "glcic_jax.run.begin.initial_state", EXHAUSTED, f"train @ {DATA}", 2, "out of memory: 12.*config.microbatches",
    ),
    "a full disk under a run": (
        "glcic_jax.run.session.write_config", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        f"train @ {DATA}", 2, "No space left on device; mend that",
    ),
    "a device that fails": (
        "glcic_jax.run.begin.initial_state", jax.errors.JaxRuntimeError("INTERNAL: uncorrectable ECC error"),
        f"train @ {DATA}", 1, "the device or its driver failed .INTERNAL: uncorrectable ECC error.",
    ),
    "a loss that is not finite": (
        "glcic_jax.run.begin.initial_state", FloatingPointError("step 3: the loss is nan"),
        f"train @ {DATA}", 3, "the loss is nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TROUBLES)
def test_a_machine_in_trouble(name, capsys, monkeypatch):
    where, error, line, code, expected = TROUBLES[name]
    monkeypatch.setattr(where, fail(error))
    assert (found := answer(line, capsys))[0] == code and re.search(expected, found[1]), found


def test_there_are_many():
    commands = {line.split()[0] for line, _ in CASES.values()}
    assert len(CASES) + len(TROUBLES) >= 60 and len(commands) >= 15
