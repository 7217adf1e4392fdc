"""The shapes and types in signatures, checked at every call of a network, a loss or a step."""

import contextlib
from collections.abc import Iterator

import jaxtyping
from beartype import BeartypeConf, FrozenDict, beartype

from glcic_jax.models.protocols import Network

CHECKED = [
    *(
        f"glcic_jax.models.{name}"
        for name in (
            "completion",
            "context_encoder",
            "convolution",
            "discriminator",
            "layers",
            "normalization",
            "transposed",
        )
    ),
    *(f"glcic_jax.training.{name}" for name in ("accumulation", "judgement", "losses", "mesh", "passes")),
    *(f"glcic_jax.training.{name}" for name in ("rival_steps", "step")),
]
"""What computes. What only holds arrays also holds their shapes, their shardings or nothing in their place."""

check_types = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # a whole number will do for a float
        hint_overrides=FrozenDict({Network: object}),  # a protocol that cannot be asked for
    )
)


def check_shapes() -> None:
    """From now on, in modules that are imported later."""
    jaxtyping.install_import_hook(CHECKED, f"{__name__}.check_types")


@contextlib.contextmanager
def without_checks() -> Iterator[None]:
    """Calls in here are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
