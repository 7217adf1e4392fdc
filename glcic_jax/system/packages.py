"""Packages that not everybody needs: the extras of this one."""

import importlib

from glcic_jax.errors import UserError

_TRAINING = {"array_record", "grain", "ml_collections", "optax", "orbax", "tensorboardX", "zstandard"}
"""What the extra `train` brings: completing photographs does without."""

INSTALL_TRAINING = "install it: pip install 'glcic-jax[train]'"
"""Advice in errors."""


def require_extra(extra: str, purpose: str, *modules: str) -> None:
    """Raises: UserError saying what to install for the purpose, if one of the modules cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(
                f"{purpose} needs {module} ({error}); install it: pip install 'glcic-jax[{extra}]'"
            ) from error


def describe_missing_package(error: ImportError) -> str | None:
    """What to install, if a package of the extra `train` could not be imported, or the system; None otherwise."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError):
        return None
    if package == "fcntl":
        return (
            "this command needs Linux or macOS, or Windows' Subsystem for Linux (WSL); completing photographs works "
            "without"
        )
    if package not in _TRAINING:
        return None
    return f"this command needs {package}, which completing photographs does without; {INSTALL_TRAINING}"
