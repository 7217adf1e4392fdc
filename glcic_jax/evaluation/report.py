"""What `evaluate score` reports: means over groups of cases, by method, as `scores.json` keeps them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.evaluation.intervals import Estimate
from glcic_jax.system.json_fields import JsonError, JsonFields, read_json

JSON = "scores.json"


@dataclass(frozen=True)
class SummaryRow:
    """One method on one group of cases.

    Fields:
        metrics: the mean of each metric.
        ahead: by how much the first method is better than this one, from the differences case by case.
    """

    group: str
    method: str
    cases: int
    metrics: Mapping[str, Estimate]
    ahead: Mapping[str, Estimate]

    def to_json(self) -> dict[str, object]:
        """As in `scores.json`: metrics beside the other fields, an Estimate as [mean, low, high]."""
        return {
            "group": self.group,
            "method": self.method,
            "cases": self.cases,
            **self.metrics,
            "ahead": dict(self.ahead),
        }


@dataclass(frozen=True)
class PerceptualBasis:
    """What a perceptual metric rests on.

    Fields:
        backbone: the network. resizer: what scales images to its size.
        unit: of the figure, None where it has none. versions: of the packages.
    """

    backbone: str
    resizer: str
    unit: str | None
    cases: int
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        """As in `scores.json`, without a unit where there is none."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class PerceptualReport:
    """Metrics of whole composites; empty if none were wanted.

    Fields:
        about: what each metric rests on.
        values: of each method and metric: "mean", and "spread" or "low" and "high" where they are known.
        warnings: for people.
    """

    about: Mapping[str, PerceptualBasis] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreReport:
    """Everything that was measured.

    Fields:
        benchmark: the absolute path of its folder. manifest_sha256: of its manifest.
        notes: of each method, for people; methods without notes are left out.
        settings: of each model, how it completed.
        summary: rows of the group "all" first.
    """

    benchmark: str
    manifest_sha256: str
    cases: int
    notes: Mapping[str, list[str]]
    settings: Mapping[str, str]
    summary: list[SummaryRow]
    perceptual: PerceptualReport

    def to_json(self) -> dict[str, object]:
        """As in `scores.json`."""
        return {
            "benchmark": self.benchmark,
            "manifest_sha256": self.manifest_sha256,
            "cases": self.cases,
            "notes": dict(self.notes),
            "settings": dict(self.settings),
            "summary": [row.to_json() for row in self.summary],
            "perceptual": {
                "about": {name: basis.to_json() for name, basis in self.perceptual.about.items()},
                "values": {method: dict(values) for method, values in self.perceptual.values.items()},
                "warnings": list(self.perceptual.warnings),
            },
        }


@dataclass(frozen=True)
class ScoredMethods:
    """What `scores.json` says of who was scored, and on which benchmark; see `ScoreReport`."""

    benchmark: str
    manifest_sha256: str
    methods: tuple[str, ...]


def read_scored_methods(folder: Path) -> ScoredMethods:
    """Reads that of a folder with scores. Raises: UserError if it holds none, or none that could be ours."""
    path = folder / JSON
    try:
        content = read_json(path, "the file")
        rows = [JsonFields(row, "a row of the summary").text("method") for row in content.items("summary")]
        methods = tuple(dict.fromkeys(rows))
        if not methods:
            raise JsonError("its summary is empty")
        for method in methods:
            if not is_method_name(method):
                raise JsonError(f"a method is called {method[:80]!r}")
        return ScoredMethods(content.text("benchmark"), content.text("manifest_sha256"), methods)
    except (OSError, JsonError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the --output of evaluate score") from error


def is_method_name(name: str) -> bool:
    """Whether a folder in `results/` can be called so, and lies there."""
    return bool(name) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|') and name.isprintable()
