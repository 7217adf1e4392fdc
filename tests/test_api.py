"""The Python that docs/api.md promises: options by keyword alone, one order of arguments, docstrings with shapes."""

import importlib
import inspect
import re

import pytest

from tests.support.paths import ROOT

ORDER = ["path", "network", "variables", "state", "batch", "output", "image", "mask", "window"]
"""Arguments that several functions share come in this order."""
ARRAYS = {"output", "image", "mask", "window", "found", "expected", "fake_logit", "real_logit"}
SHAPE = re.compile(r"\((N|H|W|\.\.\.)(, ?[\w.+ ]+)*,?\)")


def find_documented() -> list[str]:
    return re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.M)


def resolve(name: str):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def callables() -> dict[str, object]:
    """Every function on the page, methods and members of modules included, by name."""
    found = {}
    for name in find_documented():
        thing = resolve(name)
        members = vars(thing) if inspect.ismodule(thing) or inspect.isclass(thing) else {}
        found |= {
            f"{name}.{member}": value
            for member, value in members.items()
            if inspect.isfunction(value) and value.__module__ == thing.__dict__.get("__module__", name)
            if not member.startswith("_") or member == "__call__"
        }
        if inspect.isfunction(thing):
            found[name] = thing
    return found


CALLABLES = callables()


def positional(function) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]


def test_the_page_names_what_there_is():
    assert len(find_documented()) >= 15 and len(CALLABLES) >= 25
    for name in find_documented():
        assert inspect.getdoc(resolve(name)), name


@pytest.mark.parametrize("name", CALLABLES)
def test_options_are_given_by_keyword(name):
    assert [p.name for p in positional(CALLABLES[name]) if p.default is not p.empty] == []


@pytest.mark.parametrize("name", CALLABLES)
def test_one_order_of_arguments(name):
    shared = [p.name for p in positional(CALLABLES[name]) if p.name in ORDER]
    assert shared == sorted(shared, key=ORDER.index)


@pytest.mark.parametrize("name", CALLABLES)
def test_docstrings_say_shapes(name):
    """The function's own, or, where all of a module have the same, the module's."""
    function = CALLABLES[name]
    said = inspect.getdoc(function)
    assert said, "no docstring"
    if ARRAYS & {p.name for p in positional(function)}:
        assert SHAPE.search(said) or SHAPE.search(inspect.getdoc(inspect.getmodule(function))), said


def test_a_shape_is_told_from_other_brackets():
    assert SHAPE.search("image (N, H, W, 3) float") and SHAPE.search("(..., H, W, 1)") and SHAPE.search("(N,)")
    assert not SHAPE.search("the paper (section 3)") and not SHAPE.search("(image, mask)")
