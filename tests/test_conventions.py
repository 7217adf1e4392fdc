"""The house rules that a program can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "glcic_jax"
FREE = {
    "errors",
    "atomic",
    "allocator",
    "checksum",
    "compilation",
    "lock",
    "",
}  # what everybody may import; "" is the version

# Which rooms a room may import from; nothing goes upwards.
ALLOWED = {
    "models": set(),
    "data": set(),
    "evaluation": {"inference", "models", "data"},
    "training": {"models", "data", "evaluation"},
    "inference": {"models", "data"},
    "cli": {"models", "data", "training", "inference", "evaluation"},
}


def imported_rooms(file: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "glcic_jax":
            rooms.add(([*node.module.split("."), ""])[1])
        elif isinstance(node, ast.Import):
            rooms |= {([*a.name.split("."), ""])[1] for a in node.names if a.name.split(".")[0] == "glcic_jax"}
    return rooms


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        assert imported_rooms(file) <= ALLOWED[room] | FREE | {room}, file


def test_the_data_package_imports_nothing():
    assert len(ast.parse((PACKAGE / "data" / "__init__.py").read_text()).body) == 1  # its docstring


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("glcic_jax.inference.completer", ("grain", "orbax", "array_record", "tensorboardX")),
        ("glcic_jax.data.prepare", ("jax", "flax")),
        ("glcic_jax.cli.main", ("jax", "flax", "cv2", "grain")),
        ("glcic_jax.cli.complete", ("jax", "flax", "scipy", "rich")),
    ],
)
def test_light_imports(module, unwanted):
    """Inference runs where Grain and Orbax have no wheels; preparing does not wait for JAX."""
    code = f"import sys, {module}; print([m for m in {unwanted!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_files_stay_small():
    for file in [*PACKAGE.rglob("*.py"), *(ROOT / "configs").glob("*.py"), *(ROOT / "launch").glob("*.py")]:
        assert len(file.read_text().splitlines()) <= 350, file
        assert file.name not in ("utils.py", "helpers.py", "common.py"), file


def test_every_recipe_key_is_used_and_every_used_key_is_in_a_recipe():
    from glcic_jax.cli.recipes import load_recipe

    source = "".join(file.read_text() for file in (PACKAGE / "training").glob("*.py"))
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "config"
    }
    used |= {"completion_optimizer", "discriminator_optimizer"}  # by name, in _optimizer
    keys = set(load_recipe(ROOT / "configs" / "places2.py", []))
    assert used - {"to_dict", "items"} == keys
