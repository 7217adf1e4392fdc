"""The house rules that a program can check."""

import ast
import dataclasses
import subprocess
import sys

import pytest

from tests.support.house import House, imports_of_tests, private_names
from tests.support.paths import ROOT

PACKAGE = ROOT / "glcic_jax"
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FREE = {"errors", "exit_codes", "system", "version", ""}  # what everybody may import; "" is the front door

# Which rooms a room may import from; nothing goes upwards.
ALLOWED = {
    "system": set(),
    "models": set(),
    "data": set(),
    "prepare": {"data"},
    "training": {"models", "data"},
    "inference": {"models", "data"},
    "serve": {"inference", "interop", "models", "data"},
    "interop": {"models"},
    "evaluation": {"inference", "models", "data"},
    "run": {"training", "models", "data", "evaluation"},
    "tools": {"interop", "run", "training", "models", "data", "prepare", "inference", "evaluation", "recipes"},
    "cli": {
        "serve",
        "interop",
        "tools",
        "run",
        "training",
        "models",
        "data",
        "prepare",
        "inference",
        "evaluation",
        "recipes",
    },
}


@pytest.fixture(scope="module")
def house():
    return House(ROOT)


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room, house):
    """Imports inside functions are counted too."""
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        assert house.rooms(file) <= ALLOWED[room] | FREE | {room}, file


def test_the_data_package_imports_nothing():
    assert len(ast.parse((PACKAGE / "data" / "__init__.py").read_text()).body) == 1  # its docstring


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("glcic_jax.inference.completer", ("grain", "orbax", "array_record", "tensorboardX")),
        ("glcic_jax.prepare.pipeline", ("jax", "flax")),
        ("glcic_jax.cli.main", ("jax", "flax", "cv2", "grain")),
        ("glcic_jax.cli.complete", ("jax", "flax", "scipy", "rich")),
        ("glcic_jax.cli.serve", ("jax", "flax", "starlette", "uvicorn")),
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
    from glcic_jax.recipes import load_recipe
    from glcic_jax.run.config import Config

    used = {
        node.attr
        for file in (PACKAGE / "run").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)
        if getattr(node.value, "id", getattr(node.value, "attr", "")) == "config"
    }
    keys = set(load_recipe(ROOT / "configs" / "places2.py", []))
    assert keys == {field.name for field in dataclasses.fields(Config)}
    assert keys <= used | {"data_dir", "init_from"}  # as `Config.data_folder` and `Config.weights_path`


def test_no_import_circles(house):
    """Imports inside functions are counted too."""
    assert house.circles() == []


def test_the_loop_imports_little(house):
    assert house.count_imports(house.package / "run" / "loop.py") <= 15


def test_a_step_is_found_in_few_files(house):
    assert len(house.files_to_a_step()) <= 4, house.files_to_a_step()


def test_dictionaries_have_types(house):
    found = house.untyped_dictionaries()
    assert found.total() <= 10, found


def test_nothing_asks_which_network_it_has(house):
    assert house.network_checks() == []


def test_the_command_line_only_parses(house):
    assert house.package_sizes()["cli"][1] <= 1_200  # one parser a verb


def test_functions_fit_a_screen(house):
    long = {name: lines for name, lines in house.function_lines().items() if lines > 60}
    assert not long


def test_tests_import_no_tests():
    assert {file: found for file in TESTS if (found := imports_of_tests(file))} == {}


def test_tests_use_no_private_names():
    found = [name for file in TESTS for name in private_names(file)]
    assert len(found) <= 4, found
