"""What a preparation was asked to do: remembered in its spool, so that only the same request continues it."""

import dataclasses
import json
from dataclasses import dataclass

from glcic_jax.data.manifest import PreparedSource


@dataclass(frozen=True)
class Settings:
    """What becomes of the images.

    split: for all images; None goes by lists and folders called train, val or test, and where the sources have no
        val, sets `val_fraction` of the images apart, chosen by their content.
    max_short_side_px: larger images are scaled down to this.
    min_short_side_px: smaller images are left out.
    """

    split: str | None = None
    val_fraction: float = 0.02
    max_short_side_px: int = 512
    min_short_side_px: int = 32

    def source(self, name: str, identity: str) -> PreparedSource:
        """A source of that name as the manifest lists it."""
        return PreparedSource(name, **dataclasses.asdict(self), identity=identity)


@dataclass(frozen=True)
class Plan:
    """Sources and settings."""

    sources: tuple[PreparedSource, ...]
    settings: Settings

    def to_json(self) -> str:
        """As text, for `from_json`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that `to_json` wrote."""
        about = json.loads(text)
        return cls(tuple(PreparedSource(**source) for source in about["sources"]), Settings(**about["settings"]))

    def asks_the_same(self, other: "Plan") -> bool:
        """Whether the sources have the same names, and the settings are the same."""
        return _names(self) == _names(other) and self.settings == other.settings

    def changes_since(self, old: "Plan") -> str:
        """What differs, each value with the one that it had."""
        names = (_names(old), _names(self))
        values = zip(dataclasses.asdict(old.settings).items(), dataclasses.asdict(self.settings).items(), strict=True)
        pairs = [names, *values]
        return ", ".join(f"{now} was {was}" for was, now in pairs if was != now)


def _names(plan: Plan) -> list[str]:
    return [source.name for source in plan.sources]
