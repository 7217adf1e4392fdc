"""Scores as one HTML page, with the pictures side by side; nothing is loaded from elsewhere."""

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image

from glcic_jax.evaluation.benchmark import Benchmark, Case
from glcic_jax.evaluation.report import ScoreReport, SummaryRow
from glcic_jax.evaluation.scoring import METRICS, CaseScores, Results
from glcic_jax.evaluation.tables import format_interval, format_notes, format_perceptual
from glcic_jax.system.atomic import atomic_file

PAGE = "index.html"
SHOWN = 90
"""Cases with pictures: a third of them the worst, a third the best, a third in between; all if there are no more."""

Cell = tuple[str, str | float]
"""A cell's text, and the value that its column is sorted by."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1440px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .3em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th button { font: inherit; font-weight: 600; border: 0; background: none; cursor: pointer; padding: 0 }
th button::after { content: " \\2195"; color: #999 }
figure { display: inline-block; margin: 0 .4em .4em 0; vertical-align: top }
figcaption { font-size: 12px; color: #555; text-align: center }
img { display: block; max-width: 100% }
section.case img { width: 160px }
svg { max-width: 49%; height: auto }
pre { font-size: 12px; overflow-x: auto }
.scroll { overflow-x: auto }
.note { color: #8a4b00 }
section.case { border-top: 1px solid #ddd; padding: .8em 0 }
"""

_SCRIPT = """
for (const button of document.querySelectorAll('th button')) button.onclick = () => {
  const head = button.closest('th'), table = head.closest('table'), body = table.tBodies[0];
  const at = [...head.parentNode.children].indexOf(head), down = button.dataset.down !== '1';
  button.dataset.down = down ? '1' : '';
  const key = row => row.children[at].dataset.value ?? row.children[at].textContent;
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)], numbers = !isNaN(x) && !isNaN(y);
    return (numbers ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
  });
  body.append(...rows);
};
const choose = document.querySelector('#order'), shown = document.querySelector('#cases');
if (choose) choose.onchange = () => {
  const [key, sign] = choose.value.split(' ');
  shown.append(...[...shown.children].sort((a, b) => (a.dataset[key] - b.dataset[key]) * sign));
};
"""


def write_page(
    folder: Path,
    benchmark: Benchmark,
    results: list[Results],
    scores: dict[str, CaseScores],
    report: ScoreReport,
) -> None:
    """Tables of means, cases with pictures from the first method's worst on, and a table of all cases."""
    first = results[0].method
    order = np.argsort(scores[first]["psnr"], kind="stable")
    parts = [
        f"<h1>{html.escape(benchmark.folder.name)}: {len(benchmark.cases)} cases</h1>",
        *(f'<p class="note">{html.escape(note)}</p>' for note in format_notes(report)),
        "<h2>Means inside the hole</h2><p>With 95% bootstrap intervals over the cases.</p>",
        _render_means(report.summary),
        _render_perceptual(report),
        f"<h2>Pictures</h2><p>{_say_which(len(order), first)} Order: {_render_chooser(list(scores))}</p>",
        '<div id="cases">',
        *(_render_case(index, benchmark.cases[index], results, scores) for index in _choose_cases(order)),
        "</div><h2>All cases</h2>",
        _render_all_cases(benchmark, scores),
    ]
    with atomic_file(folder / PAGE) as partial:
        partial.write_text(render_page(benchmark.folder.name, "\n".join(parts), _SCRIPT), encoding="utf-8")


def render_page(title: str, body: str, script: str = "") -> str:
    """A whole page."""
    end = f"<script>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{body}{end}'
        "</body></html>\n"
    )


def render_picture(image: np.ndarray, caption: str, longest_px: int = 256) -> str:
    """A picture inside the page: uint8 (H, W, 3) as a JPEG, scaled down if a side is longer than `longest_px`."""
    opened = Image.fromarray(image)
    opened.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    opened.save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'


def render_table(headings: list[str], rows: list[list[Cell]]) -> str:
    """A table that a click on a heading sorts."""
    head = "".join(f'<th><button type="button">{html.escape(h)}</button></th>' for h in headings)
    body = "".join(
        "<tr>" + "".join(f'<td data-value="{html.escape(str(v))}">{html.escape(t)}</td>' for t, v in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _render_means(summary: list[SummaryRow]) -> str:
    rows: list[list[Cell]] = []
    for row in summary:
        figures = [(format_interval(metric, row.metrics[metric]), row.metrics[metric].mean) for metric in METRICS]
        rows.append([(row.group, row.group), (row.method, row.method), (str(row.cases), row.cases), *figures])
    return render_table(["group", "method", "cases", *METRICS.values()], rows)


def _render_perceptual(report: ScoreReport) -> str:
    lines = format_perceptual(report)
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""


def _choose_cases(order: np.ndarray) -> list[int]:
    """The cases with pictures, from the worst to the best."""
    count, third = len(order), SHOWN // 3
    if count <= SHOWN:
        return [int(index) for index in order]
    between = np.linspace(third, count - third - 1, SHOWN - 2 * third).round().astype(int)
    return [*order[:third].tolist(), *order[between].tolist(), *order[-third:].tolist()]


def _say_which(count: int, first: str) -> str:
    if count <= SHOWN:
        return f"All cases, {html.escape(first)}'s worst first."
    third = SHOWN // 3
    return (
        f"{html.escape(first)}'s {third} worst and {third} best, and {SHOWN - 2 * third} in between; "
        "the order is among these alone."
    )


def _render_chooser(methods: list[str]) -> str:
    options = "".join(
        f'<option value="m{number} {sign}">{html.escape(method)}, {words} first</option>'
        for number, method in enumerate(methods)
        for sign, words in ((1, "worst"), (-1, "best"))
    )
    return f'<select id="order">{options}</select>'


def _render_case(index: int, case: Case, results: list[Results], scores: dict[str, CaseScores]) -> str:
    hole = np.where(case.mask > 0, 255, case.image).astype(np.uint8)
    shown = [render_picture(case.image, "photograph"), render_picture(hole, f"{case.kind}, {case.share:.0%}")]
    keys = ""
    for number, result in enumerate(results):
        psnr = scores[result.method]["psnr"][index]
        keys += f' data-m{number}="{psnr:.4f}"'
        shown.append(render_picture(result.composites[index], f"{result.method}: {psnr:.2f} dB"))
    return f'<section class="case"{keys}><div>{html.escape(case.name)}</div>{"".join(shown)}</section>'


def _render_all_cases(benchmark: Benchmark, scores: dict[str, CaseScores]) -> str:
    rows: list[list[Cell]] = []
    for index, case in enumerate(benchmark.cases):
        psnr = [(f"{values['psnr'][index]:.2f}", values["psnr"][index]) for values in scores.values()]
        rows.append([(case.name, case.name), (case.kind, case.kind), (f"{case.share:.1%}", case.share), *psnr])
    return render_table(["case", "kind", "hole", *(f"{method} PSNR" for method in scores)], rows)
