"""README.md and docs/*.md: as short as promised, with commands, recipes and links that exist."""

import re
import shlex

import pytest

from glcic_jax.cli.main import COMMANDS
from glcic_jax.recipes import load_recipe, recipe_path
from tests.support.launching import launch
from tests.support.paths import ROOT

README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "reference" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND_LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.M | re.S) for line in block.splitlines()
]


def anchors(page) -> set[str]:
    """Those that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_length():
    words = [word for word in README.read_text().split() if re.search(r"[A-Za-z0-9]", word)]
    assert 700 <= len(words) <= 900


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_one_spelling_of_commands():
    """`glcic VERB`, but for the one line that says what launch/ is."""
    assert README.read_text().count("launch/") == 1
    verbs = {shlex.split(line)[1] for line in COMMAND_LINES if line.startswith("glcic ")}
    assert {"prepare", "doctor", "train", "complete"} <= verbs <= set(COMMANDS)


def test_options_of_the_commands():
    """Recipes can be read with the changes shown; every other option is in the command's help."""
    lines = [shlex.split(line)[1:] for line in COMMAND_LINES if line.startswith("glcic ")]
    helps = {verb: launch(verb, "--help").stdout for verb in {verb for verb, *_ in lines}}
    for verb, *arguments in lines:
        changes = [argument for argument in arguments if argument.startswith("--config.")]
        for argument in arguments:
            option, _, value = argument.partition("=")
            if option == "--config":
                load_recipe(recipe_path(value), changes)
            if option.startswith("--") and argument not in changes:
                assert re.search(rf"{option}\b", helps[verb]), argument


def test_names_of_folders_files_and_targets():
    text = README.read_text()
    for folder in re.findall(r"^\| `(\w+/(?:\w+/)?)`", text, re.M):
        assert (ROOT / folder).is_dir(), folder
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", " ".join(re.findall(r"`[^`]+`|^make .*$", text, re.M))):
        assert re.search(rf"^{target}:", makefile, re.M), target
