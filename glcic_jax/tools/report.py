"""A run's folder as one HTML page: scores, cost, alarms, curves beside the project's own, and grids."""

import html
import json
from pathlib import Path

from rich.console import Console

from glcic_jax.data.images import read_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.page import render_page, render_picture, render_table
from glcic_jax.run.config import Config
from glcic_jax.run.health import Figures, Health
from glcic_jax.run.metrics_file import METRICS, read_metrics_file
from glcic_jax.system.atomic import atomic_file, require_parent
from glcic_jax.system.units import format_seconds
from glcic_jax.tools.study.curves import Curve, Line, hole_shares, plot, references, svg, write_curve

GRIDS = 6
"""At most so many are shown, evenly over the run."""
_GRID_PX = 1100

# Title, whether the axis is logarithmic, and figures with their names; a plot without any is left out.
_PLOTS: tuple[tuple[str, bool, dict[str, str]], ...] = (
    ("C's error, as its loss counts it", True, {"completion_loss": "error"}),
    ("adversarial losses", False, {"discriminator_loss": "D", "adversarial_loss": "C"}),
    ("D is right", False, {"accuracy_real": "on real", "accuracy_completed": "on completed"}),
    ("D's mean logits", False, {"logit_real": "real", "logit_completed": "completed"}),
    (
        "gradients at C's output (norms)",
        True,
        {"output_gradient_squared_error": "error", "output_gradient_adversarial": "adversarial x alpha"},
    ),
    (
        "D is right on held-out images",
        False,
        {"val_accuracy_real": "on real", "val_accuracy_completed": "on completed"},
    ),
    (
        "inside holes, beside photographs",
        False,
        {
            "hole_contrast": "contrast",
            "hole_detail": "fine detail (luma)",
            "hole_chroma_detail": "fine detail (chroma)",
        },
    ),
    ("inside holes", False, {"hole_grid": "share of detail on the grid", "hole_clipped": "clipped values"}),
    ("images/s", False, {"images_per_second": "images/s"}),
)

Records = list[Figures]


def write_report(workdir: Path, output: Path, curve_file: Path | None) -> None:
    """Writes the page and prints the alarms.

    Args:
        workdir: folder of the run, which may be under way.
        output: the page.
        curve_file: where the validation curve goes as JSON, if anywhere.

    Raises: UserError if the folder is no run's, or holds no figures yet.

    """
    config = _read_config(workdir)
    records = [record for record in read_metrics_file(workdir / METRICS) if "stage" in record]
    if not records:
        raise UserError(f"{workdir / METRICS} holds no figures yet; wait for the first {config.log_every_steps} steps")
    require_parent(output)
    name = workdir.absolute().name
    alarms = Health(config.adversarial == "fooling").replay(workdir / METRICS)
    curve = make_validation_curve(name, config, records)
    body = [
        f"<h1>{html.escape(name)}</h1>",
        _facts(config, records, workdir),
        "<h2>Alarms</h2>" + _alarms(alarms),
        "<h2>Curves</h2>" + _curves(config, records, curve),
        "<h2>Grids</h2><p>Photographs, holes, completions of fixed validation samples.</p>" + _grids(workdir),
        f"<h2>Recipe</h2><pre>{html.escape(json.dumps(config.to_dict(), indent=1))}</pre>",
    ]
    with atomic_file(output) as partial:
        partial.write_text(render_page(name, "\n".join(body)), encoding="utf-8")
    if curve_file:
        write_curve(curve_file, curve._replace(name=curve_file.stem))
    console = Console()
    for step, alarm in alarms:
        console.print(f"step {step}: ALARM: {alarm}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"wrote {output}", highlight=False, markup=False, soft_wrap=True)


def _read_config(workdir: Path) -> Config:
    """The recipe that a run was started with. Raises: UserError."""
    try:
        return Config.from_dict(json.loads((workdir / "config.json").read_text()))
    except (OSError, ValueError, TypeError, AttributeError, UserError) as error:
        raise UserError(f"{workdir} is no run's folder: config.json cannot be read ({error})") from error


def make_validation_curve(name: str, config: Config, records: Records) -> Curve:
    """Scores by samples seen."""
    batch = config.batch_size
    points = [
        (int(r["step"]) * batch, round(r["hole_l1"], 4), round(r["hole_psnr"], 2)) for r in records if "hole_psnr" in r
    ]
    steps = f"{config.completion_steps} / {config.discriminator_steps} / {config.joint_steps}"
    network = config.context_encoder or config.completion
    photographs = Path(config.data_dir).name
    about = f"batch {batch}, {steps} steps, width {network.width_multiplier}, photographs {photographs!r}"
    return Curve(name, about, config.crop_px, config.hole_px, hole_shares(config.holes), points)


def _facts(config: Config, records: Records, workdir: Path) -> str:
    """The run in numbers; its cost is the time of its steps, without compiling, validating and interruptions."""
    total = config.completion_steps + config.discriminator_steps + config.joint_steps
    step, before, secs = int(records[-1]["step"]), 0.0, 0.0
    for record in records:
        if "images_per_second" in record:
            secs += (record["step"] - before) * config.batch_size / record["images_per_second"]
            before = record["step"]
    rows = [
        ("steps", f"{step:,} of {total:,}"),
        ("samples", f"{step * config.batch_size:,}"),
        ("cost", f"{format_seconds(secs)} of steps on {_device(workdir)}"),
        ("from first to last figure", format_seconds(records[-1]["time"] - records[0]["time"])),
    ]
    if scored := [record for record in records if "hole_psnr" in record]:
        best = max(scored, key=lambda record: record["hole_psnr"])
        for name, record in (("last", scored[-1]), ("best", best)):
            scores = f"in-hole PSNR {record['hole_psnr']:.2f} dB, L1 {record['hole_l1']:.4f}"
            rows.append((f"{name} validation", f"{scores} at step {record['step']:,}"))
    return render_table(["what", "figure"], [[(name, name), (value, value)] for name, value in rows])


def _device(workdir: Path) -> str:
    card = workdir / "model" / "card.json"
    try:
        versions = json.loads(card.read_text())["provenance"]["versions"]
    except (OSError, ValueError, KeyError):
        return "a device that is named once a stage is over"
    return f"{versions['backend']}, jax {versions['jax']}"


def _alarms(alarms: list[tuple[int, str]]) -> str:
    if not alarms:
        return "<p>None.</p>"
    return "<ul>" + "".join(f'<li class="note">{html.escape(alarm)}</li>' for _, alarm in alarms) + "</ul>"


def _curves(config: Config, records: Records, curve: Curve) -> str:
    borders = [config.completion_steps, config.completion_steps + config.discriminator_steps]
    borders = [border for border in borders if 0 < border <= records[-1]["step"]]
    parts = []
    if curve.points:
        batch = config.batch_size
        others = references(curve)
        for title, which in (("validation: in-hole PSNR (dB)", 2), ("validation: in-hole L1", 1)):
            lines = [
                Line(shown.name, [p[0] for p in shown.points], [p[which] for p in shown.points], faint)
                for shown, faint in [(curve, False), *((other, True) for other in others)]
            ]
            parts.append(svg(plot(title, "samples seen", lines, tuple(b * batch for b in borders))))
        words = "; ".join(f"{other.name}: {other.about}" for other in others)
        parts.append(
            f"<p>Dotted: {html.escape(words)}.</p>" if others else "<p>No reference curve has these sizes.</p>"
        )
    for title, logarithmic, names in _PLOTS:
        lines = []
        for name, label in names.items():
            readings = [record for record in records if name in record]
            if readings:
                lines.append(Line(label, [r["step"] for r in readings], [r[name] for r in readings]))
        if lines:
            parts.append(svg(plot(title, "steps", lines, tuple(borders), logarithmic)))
    return "".join(parts)


def _grids(workdir: Path) -> str:
    # Others are not finished yet, or were left behind by a kill.
    grids = sorted(path for path in (workdir / "grids").glob("*.png") if path.stem.isdigit())
    count = min(GRIDS, len(grids))
    chosen = [grids[round(i * (len(grids) - 1) / max(1, count - 1))] for i in range(count)]
    return (
        "".join(render_picture(read_image(path), f"step {int(path.stem):,}", _GRID_PX) for path in chosen)
        or "<p>None.</p>"
    )
