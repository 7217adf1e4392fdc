"""A model's card, `card.json`: which networks its files hold, and what whoever uses them has to know.

Sections are frozen dataclasses; a card from a file is checked once, here, for the types and ranges of all of them.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, object]
"""A JSON object whose keys are not ours to fix."""

FORMAT = "glcic-jax model"
FORMAT_VERSION = 1


class CardError(ValueError):
    """A section of a card is not what it must be; the message names the field and the value."""


class NewerCardError(CardError):
    """The card is of another format or of a newer version."""


def _require(fits: bool, field: str, value: object, rule: str) -> None:
    if not fits:
        raise CardError(f"{field} is {_shorten(value)}; {rule}")


def _shorten(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= 80 else f"{text[:80]}..."


@dataclasses.dataclass(frozen=True)
class NetworkFile:
    """A file of weights and the network that they are for: its fields by name, as JSON values."""

    file: str
    sha256: str
    network: Json

    def __post_init__(self) -> None:
        """Raises: CardError."""
        beside = self.file == Path(self.file).name != "" and len(self.file) < 256 and self.file.isprintable()
        _require(beside, "file", self.file, "it must be a file beside the card")
        _require(bool(self.network), "network", self.network, "it must describe the network")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Sizes of the samples that a model was trained on, and how many steps it took.

    hole_px: sides of rectangular holes, (smallest, largest); hole_shares: how often each kind of hole was drawn.
    """

    steps: int | None = None
    batch_size: int | None = None
    crop_px: int
    hole_px: tuple[int, int]
    hole_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    window_px: int | None = None

    def __post_init__(self) -> None:
        """Raises: CardError."""
        _require(0 < self.hole_px[0] <= self.hole_px[1], "hole_px", self.hole_px, "it must be (smallest, largest)")
        for name in ("crop_px", "steps", "batch_size", "window_px"):
            value = getattr(self, name)
            _require(value is None or value >= (name != "steps"), name, value, "it is too small")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where weights come from: the recipe with all its keys, the sources of the photographs, versions of programs."""

    config: Json = dataclasses.field(default_factory=dict)
    sources: list[Json] = dataclasses.field(default_factory=list)
    images: int | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    def without_folders(self) -> "Provenance":
        """The same, to be handed on: folders of the machine are nobody's business, their names are enough."""
        names = {key: Path(str(self.config[key])).name for key in ("data_dir", "init_from") if self.config.get(key)}
        return dataclasses.replace(self, config={**self.config, **names})


@dataclasses.dataclass(frozen=True)
class Licences:
    """Terms of the code, of the weights, and of the photographs that they were trained on."""

    code: str
    weights: str
    data: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What a model that is handed on says of itself: data, cost, scores and limits, and the note on its licence.

    attribution: the file beside the card that names who made the photographs.
    """

    data: str
    steps: int | None = None
    samples: int | None = None
    cost: str
    scores: Json = dataclasses.field(default_factory=dict)
    limits: str
    licence_note: str
    attribution: str | None = None


@dataclasses.dataclass(frozen=True)
class Completing:
    """How a model completes best, unless somebody wants it otherwise: blend, whether its results are blended."""

    blend: bool = False


@dataclasses.dataclass(frozen=True)
class Card:
    """All of `card.json`. Sections that it lacks are None.

    completion, context_encoder: the network that completes, one of the two.
    discriminator, patch_discriminator: the one that judges, needed for further training alone.
    convention: for people, how arrays are to be read.
    """

    written_by: str = ""
    convention: dict[str, str] = dataclasses.field(default_factory=dict)
    trained: Trained | None = None
    provenance: Provenance | None = None
    licences: Licences | None = None
    published: Published | None = None
    completing: Completing | None = None
    completion: NetworkFile | None = None
    context_encoder: NetworkFile | None = None
    discriminator: NetworkFile | None = None
    patch_discriminator: NetworkFile | None = None


def card_from_json(text: str) -> Card:
    """Reads the text of a `card.json`; sections and fields that this version does not know are left out.

    Raises: NewerCardError for another format or a newer version, CardError naming the first field that does not fit.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise CardError(f"it is not JSON: {error}") from error
    except RecursionError:
        raise CardError("it is nested too deeply") from None
    _require(isinstance(values, dict), "the card", values, "it must be an object")
    found, version = values.get("format"), values.get("format_version")
    _require(isinstance(version, int), "format_version", version, "it must be a whole number")
    if found != FORMAT or version > FORMAT_VERSION:
        raise NewerCardError(f"format {_shorten(found)} version {_shorten(version)}")
    card: Card = _checked(values, Card, "")
    return card


def card_to_json(card: Card) -> str:
    """The text of a `card.json`: the format, then all sections that there are."""

    def given(items: list[tuple[str, Any]]) -> Json:
        return {name: value for name, value in items if value is not None}

    sections = dataclasses.asdict(card, dict_factory=given)
    return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **sections}, indent=2) + "\n"


def _checked(value: Any, kind: Any, place: str) -> Any:
    """The JSON value as `kind`, a type as the sections are annotated with. Raises: CardError naming the place."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # ... | None
        return None if value is None else _checked(value, arguments[0], place)
    if dataclasses.is_dataclass(kind):
        _require(isinstance(value, dict), place, value, "it must be an object")
        return _section(value, kind, place)
    if origin in (dict, Mapping):
        _require(isinstance(value, dict), place, value, "it must be an object")
        return {key: _checked(entry, arguments[1], f"{place}.{key}") for key, entry in value.items()}
    if origin in (list, tuple):
        _require(isinstance(value, list), place, value, "it must be a list")
        _require(origin is list or len(value) == len(arguments), place, value, f"it must have {len(arguments)} entries")
        return origin(_checked(entry, arguments[0], place) for entry in value)
    if kind is not object:
        numbers = (int, float) if kind is float else kind
        _require(not isinstance(value, float) or math.isfinite(value), place, value, "it must be finite")
        fits = isinstance(value, numbers) and (kind is bool or not isinstance(value, bool))
        rules = {str: "it must be text", int: "it must be a whole number", bool: "it must be true or false"}
        _require(fits, place, value, rules.get(kind, "a number"))
    return value


def _section(values: Json, kind: Any, place: str) -> Any:
    hints = typing.get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        name = f"{place}.{field.name}".removeprefix(".")
        if field.name in values:
            found[field.name] = _checked(values[field.name], hints[field.name], name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CardError(f"{name} is missing")
    try:
        return kind(**found)
    except CardError as error:
        raise CardError(f"{place}.{error}") from error
