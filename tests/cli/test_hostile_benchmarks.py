"""Manifests and scores that somebody made by hand: refused in one line, and nothing outside their folder is touched."""

import json

import pytest

from glcic_jax.cli.main import run
from glcic_jax.evaluation.benchmark import open_benchmark
from tests.support.benchmarks import error

HOSTILE = {
    "case name": lambda m: m["cases"][0].update(name="../../x"),
    "file": lambda m: m["cases"][0].update(image="../../../etc/passwd"),
    "absolute file": lambda m: m["cases"][0].update(mask="/etc/passwd"),
    "twice": lambda m: m["cases"].append(m["cases"][0]),
    "checksum": lambda m: m["cases"][0].update(image_sha256=7),
    "share": lambda m: m["cases"][0].update(share=float("nan")),
    "huge share": lambda m: m["cases"][0].update(share=1e999),
    "cases": lambda m: m.update(cases={"a": 1}),
    "case": lambda m: m.update(cases=[[]]),
    "version": lambda m: m.update(format_version=float("inf")),
    "format": lambda m: m.update(format=["x"]),
    "kinds": lambda m: m.update(kinds=[1]),
    "hole_px": lambda m: m.update(hole_px=[1]),
    "seed": lambda m: m.update(seed=True),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_manifests(copy, tmp_path, capsys, name):
    """Refused in a line that names the value; no file outside the benchmark is read or written."""
    manifest = json.loads((copy / "manifest.json").read_text())
    HOSTILE[name](manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    score = ["score", f"--benchmark={copy}", f"--output={tmp_path}/scores", "--rival=mean"]
    assert "manifest.json is not a benchmark's manifest (" in error(capsys, score)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


def test_deep_manifests_and_links_out_of_a_benchmark(copy, tmp_path, capsys):
    score = ["score", f"--benchmark={copy}", f"--output={tmp_path}/scores", "--rival=mean"]
    case = open_benchmark(copy).cases[0]
    image = copy / "images" / f"{case.name}.png"
    image.rename(tmp_path / "outside.png")
    image.symlink_to(tmp_path / "outside.png")
    assert "is a link out of the benchmark's folder" in error(capsys, score)
    (copy / "manifest.json").write_text("[" * 100_000)
    assert "it is nested too deeply" in error(capsys, score)


def test_hostile_scores(benchmark, tmp_path, capsys):
    scores = tmp_path / "scores"
    assert run("evaluate", ["score", f"--benchmark={benchmark}", f"--output={scores}", "--rival=mean"]) == 0
    report = json.loads((scores / "scores.json").read_text())
    report["summary"][0]["method"] = "../../elsewhere"
    (scores / "scores.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert "a method is called '../../elsewhere'" in error(capsys, ["figure", f"--scores={scores}", "--output=x"])
