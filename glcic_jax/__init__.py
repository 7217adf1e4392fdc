"""Globally and locally consistent image completion (GLCIC) in JAX.

network, variables, card = glcic_jax.load("runs/places2/model")
output = network.apply(variables, image, mask)       # image in [0, 1], mask 1 = hole
completed = glcic_jax.composite(output, image, mask)
"""

import importlib
from typing import TYPE_CHECKING, Any

from glcic_jax.version import __version__

if TYPE_CHECKING:
    from glcic_jax.models.completion import composite
    from glcic_jax.models.folder import load

__all__ = ["__version__", "composite", "load"]

_HOMES = {"composite": "glcic_jax.models.completion", "load": "glcic_jax.models.folder"}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that preparing data does not wait for JAX to import.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
