"""Finding and loading recipes: `configs/*.py` in a clone, the same files inside the installed package."""

import ast
import re
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import ml_collections
from absl import flags
from ml_collections import config_flags

import glcic_jax
from glcic_jax.errors import UserError
from glcic_jax.system.paths import user_path

_CHANGE = re.compile(r"--?config\.(?P<key>[\w.]+)(?:=(?P<value>.*))?", re.DOTALL)
_OPTIMIZER_KEY = re.compile(r"(?P<optimizer>\w+_optimizer)\.(?P<argument>\w+)")


def recipe_path(given: str) -> Path:
    """The file of a recipe, given as a path (configs/places2.py) or by name (places2). Raises: UserError."""
    path = user_path(given)
    if path.is_file():
        return path
    for folder in _folders():
        candidate = folder / f"{path.stem}.py"
        if candidate.is_file() and given in (path.stem, f"configs/{path.stem}.py"):
            return candidate
    known = sorted({recipe.stem for folder in _folders() for recipe in folder.glob("*.py")})
    raise UserError(f"no recipe {given}; give a file, or one of {', '.join(known)}")


def load_recipe(path: Path, overrides: list[str]) -> ml_collections.ConfigDict:
    """A recipe with changes such as `--config.batch_size=16`; of several changes of one key the last one counts.

    Another `name` of an optimiser takes away its arguments, which were those of the old one. Any argument can be given,
    whether the recipe has it or not.

    Overlays import the recipe that they change by its bare name, as scripts in one folder do.
    Raises: UserError for an unknown key, or a value of the wrong type.
    """
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in (path.parent.absolute(), *_folders())]
    try:
        changes = _split_changes(overrides, _read_recipe(path))
        values = flags.FlagValues()
        arguments = ["train", f"--config={path}", *changes.arguments]
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=arguments)
        rest = values(arguments)
        config: ml_collections.ConfigDict = values.config
    except (AttributeError, KeyError) as error:
        raise UserError(f"unknown config key: {error.args[0]}; see {path} for the keys") from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(f"{error}; see {path} for the keys and their types") from error
    finally:
        sys.path[:] = before
    if rest[1:]:
        raise UserError(f"unknown argument {rest[1]!r}; changes are written --config.KEY=VALUE")
    for optimizer, given in changes.optimizers.items():
        before = config[optimizer].to_dict() if config[optimizer] is not None else {}
        config[optimizer] = ml_collections.ConfigDict(_change_optimizer(before, given))
    return config


class _Changes(NamedTuple):
    """What the command line changes: arguments for ml_collections, and the arguments of optimisers."""

    arguments: list[str]
    optimizers: dict[str, dict[str, str]]


def _split_changes(overrides: list[str], recipe: ml_collections.ConfigDict) -> _Changes:
    """Every key once, with its last value. Else values of tuples would be appended to each other."""
    last: dict[str, str] = {}
    optimizers: dict[str, dict[str, str]] = {}
    rest = iter(overrides)
    for argument in rest:
        change = _CHANGE.fullmatch(argument)
        if change is None:  # such as --noconfig.flip
            last[argument] = argument
            continue
        key, value = change["key"], change["value"]
        if value is None and not isinstance(_value_of(recipe, key), bool):  # --config.batch_size 16
            value = next(rest, None)
        found = _OPTIMIZER_KEY.fullmatch(key)
        if found and value is not None and found["optimizer"] in recipe:
            optimizers.setdefault(found["optimizer"], {})[found["argument"]] = value
        else:
            last[key] = f"--config.{key}" if value is None else f"--config.{key}={value}"
    return _Changes(list(last.values()), optimizers)


def _value_of(recipe: ml_collections.ConfigDict, key: str) -> object:
    """What a recipe has at a key such as "completion.output"; None if there is nothing."""
    value: object = recipe
    for part in key.split("."):
        if not isinstance(value, ml_collections.ConfigDict) or part not in value:
            return None
        value = value[part]
    return value


def _change_optimizer(before: Mapping[str, object], given: Mapping[str, str]) -> dict[str, object]:
    values = {key: value if key == "name" else _literal(value) for key, value in given.items()}
    return values if values.get("name", before.get("name")) != before.get("name") else {**before, **values}


def _literal(text: str) -> object:
    """A number, a truth value, None or a tuple; else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _read_recipe(path: Path) -> ml_collections.ConfigDict:
    """Raises UserError if the file by itself is no recipe, so that later errors are those of the changes."""
    try:
        recipe: ml_collections.ConfigDict = runpy.run_path(str(path))["get_config"]()
    except Exception as error:
        raise UserError(
            f"{path} is not a recipe: {type(error).__name__}: {error}; compare configs/places2.py"
        ) from error
    if not isinstance(recipe, ml_collections.ConfigDict):
        raise UserError(f"{path} is not a recipe: get_config returns {type(recipe).__name__}, not a ConfigDict")
    return recipe


def _folders() -> list[Path]:
    """Where recipes ship: inside the installed package, or beside it in a clone."""
    package = Path(glcic_jax.__file__).parent
    return [folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir()][:1]
