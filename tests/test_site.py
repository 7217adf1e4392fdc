"""The site: what stands on its pages is so, and the examples of its first page run."""

import ast
import dataclasses
import re
import shlex

import numpy as np
import pytest
import yaml

from glcic_jax.cli.main import COMMANDS, run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.models.card import Card
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.health import ALARMS
from tests.support.paths import ROOT
from tests.support.pictures import photograph
from tests.support.tiny import TINY_SIZES, checked

DOCS = ROOT / "docs"
SIZES = [*TINY_SIZES, "--config.batch_size=8", "--config.holes.brush.width_px=(2, 4)"]
TINY = {
    "prepare": ["--val_fraction=0.2", "--workers=1"],
    "train": [
        *SIZES, "--config.completion_steps=1", "--config.discriminator_steps=1",
        "--config.joint_steps=1", "--config.validation_samples=8", "--config.grid_samples=1",
    ],
    "doctor": [*SIZES, "--nosteps"],
}  # fmt: skip
"""What the test adds to the commands of a page, so that they take seconds."""


@pytest.fixture
def site(monkeypatch):
    """What builds the site."""
    monkeypatch.syspath_prepend(DOCS / "site")


def pages(nav) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    return set().union(*(pages(entry) for entry in (nav.values() if isinstance(nav, dict) else nav)))


def test_every_page_is_in_the_menu():
    found = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert {path.name for path in DOCS.glob("*.md")} <= found


def test_every_key_of_a_recipe_is_explained(site):
    from recipe_keys import FULL, read_groups

    keys = [key for group in read_groups(FULL.read_text()) for key in group.keys]
    assert [key.name for key in keys if not key.words] == []
    shown = {key.name: ast.literal_eval(key.value) for key in keys}
    recipe = load_recipe(FULL, [])
    for name, value in recipe.to_dict().items():
        below = {key.removeprefix(f"{name}."): shown[key] for key in shown if key.startswith(f"{name}.")}
        assert shown.get(name, below) == value, name


def test_what_recipes_change(site):
    from recipe_keys import describe_overlays

    text = describe_overlays()
    assert "| `crop_px` | `160` | `256` |" in text and text.count("\n### ") + 1 == len(
        list((ROOT / "configs").glob("*.py"))
    )


def test_every_command_and_option_is_listed(site):
    from commands import describe_commands

    text = describe_commands()
    assert set(re.findall(r"^## glcic (\w+)$", text, re.M)) == set(COMMANDS)
    assert len(re.findall(r"^usage: glcic ", text, re.M)) == len(re.findall(r"^##", text, re.M))
    assert "--mask_from_alpha" in text and "--perceptual" in text and "--compile_only" in text


def test_every_alarm_is_described():
    rows = re.findall(r"^\| ([^|]+) \| [\d, al]+ \|", (DOCS / "training_health.md").read_text(), re.M)
    assert rows == [alarm.name for alarm in ALARMS]


def test_formats():
    text = (DOCS / "formats.md").read_text()
    events = set()
    for file in (ROOT / "glcic_jax" / "run").glob("*.py"):
        events |= set(re.findall(r"\.record\(\s*\"(\w+)\"", file.read_text()))
    assert len(events) >= 9
    for name in events | {field.name for field in dataclasses.fields(Card)} - {"written_by"}:
        assert re.search(rf"`{name}\b", text), name


def examples() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (DOCS / "start.md").read_text(), re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("glcic ")]


def test_the_recipes_of_the_first_page():
    """With the changes shown, and with those of the test below."""
    trainings = [arguments for verb, *arguments in examples() if verb == "train"]
    assert len(trainings) == 3
    for arguments in trainings:
        path = recipe_path(arguments[0].removeprefix("--config="))
        changes = [argument for argument in arguments if argument.startswith("--config.")]
        checked(load_recipe(path, changes))
        checked(load_recipe(path, changes + TINY["train"]))


@pytest.mark.long
def test_the_commands_of_the_first_page(photographs, tmp_path, monkeypatch, capsys):
    """With tiny networks, and the Python of the page on the API."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(photographs)
    image, hole = photograph(3, 48, 60), np.zeros((48, 60, 3), np.uint8)
    hole[16:26, 20:34] = 255
    write_image(tmp_path / "photo.jpg", image)
    write_image(tmp_path / "mask.png", hole)
    assert len(examples()) == 8
    for command, *arguments in examples():
        code = run(command, arguments + TINY.get(command, []))
        assert code == 0, (command, arguments, capsys.readouterr())
    assert (tmp_path / "photo_completed_preview.jpg").exists() or (tmp_path / "photo_preview.jpg").exists()
    assert (tmp_path / "runs" / "look" / "report.html").exists() and (tmp_path / "runs" / "tuned" / "model").is_dir()
    exec(re.search(r"^```python\n(.*?)^```$", (DOCS / "api.md").read_text(), re.M | re.S)[1], {})
    known = hole[..., 0] == 0
    np.testing.assert_array_equal(
        read_image(tmp_path / "completed.png")[known], read_image(tmp_path / "photo.jpg")[known]
    )
