"""What a state was trained from: it lies beside the state in every checkpoint, as "about"."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import jax

import glcic_jax
from glcic_jax.run.config import Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What a state was trained from.

    config: the recipe, as `Config.to_dict` gives it; of a checkpoint, perhaps of another version of this program.
    data: SHA-256 of the training shards, in order: they fix the data.
    mean_color: RGB in [0, 1], that C was trained to see in holes.
    versions: of what the result may depend on.
    """

    config: Mapping[str, Any]
    data: tuple[str, ...]
    mean_color: tuple[float, float, float]
    versions: Mapping[str, str]

    @classmethod
    def of_run(cls, config: Config, shards: tuple[str, ...], mean_color: tuple[float, float, float]) -> Self:
        """That of a run of this program. shards: the SHA-256 of each."""
        return cls(config=config.to_dict(), data=shards, mean_color=mean_color, versions=versions())

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises: KeyError, TypeError or ValueError if something is missing."""
        r, g, b = values["mean_color"]
        return cls(
            config=dict(values["config"]),
            data=tuple(values["data"]),
            mean_color=(r, g, b),
            versions=dict(values.get("versions", {})),
        )

    def to_json(self) -> Mapping[str, object]:
        """As it is written."""
        return {
            "config": dict(self.config),
            "data": list(self.data),
            "mean_color": list(self.mean_color),
            "versions": dict(self.versions),
        }


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"glcic-jax": glcic_jax.__version__, "jax": jax.__version__, "backend": jax.default_backend()}
