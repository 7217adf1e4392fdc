"""Finding and loading recipes: `configs/*.py` in a clone, the same files inside the installed package."""

import runpy
import sys
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

import glcic_jax
from glcic_jax.errors import UserError


def recipe_path(given: str) -> Path:
    """The file of a recipe, given as a path (configs/places2.py) or by name (places2). Raises: UserError."""
    path = Path(given)
    if path.is_file():
        return path
    for folder in _folders():
        candidate = folder / f"{path.stem}.py"
        if candidate.is_file() and given in (path.stem, f"configs/{path.stem}.py"):
            return candidate
    known = sorted({recipe.stem for folder in _folders() for recipe in folder.glob("*.py")})
    raise UserError(f"no recipe {given}; give a file, or one of {', '.join(known)}")


def load_recipe(path: Path, overrides: list[str]) -> ml_collections.ConfigDict:
    """A recipe with changes such as `--config.batch_size=16`.

    Overlays import the recipe that they change by its bare name, as scripts in one folder do.
    Raises: UserError for an unknown key, or a value of the wrong type.
    """
    values = flags.FlagValues()
    arguments = ["train", f"--config={path}", *overrides]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=arguments)
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in (path.parent.absolute(), *_folders())]
    try:
        _require_recipe(path)
        rest = values(arguments)
        config = values.config
    except (AttributeError, KeyError) as error:
        raise UserError(f"unknown config key: {error.args[0]}; see {path} for the keys") from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(f"{error}; see {path} for the keys and their types") from error
    finally:
        sys.path[:] = before
    if rest[1:]:
        raise UserError(f"unknown argument {rest[1]!r}; changes are written --config.KEY=VALUE")
    return config


def _require_recipe(path: Path) -> None:
    """Raises UserError if the file by itself is no recipe, so that later errors are those of the changes."""
    try:
        get_config = runpy.run_path(str(path))["get_config"]
        get_config()
    except Exception as error:
        raise UserError(
            f"{path} is not a recipe: {type(error).__name__}: {error}; compare configs/places2.py"
        ) from error


def _folders() -> list[Path]:
    """Where recipes ship: inside the installed package, or beside it in a clone."""
    package = Path(glcic_jax.__file__).parent
    return [folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir()][:1]
