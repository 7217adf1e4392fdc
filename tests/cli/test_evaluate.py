"""`glcic evaluate`: make, score and figure, and every bad input of them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, read_mask, write_image
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import open_benchmark
from glcic_jax.evaluation.perceptual import check_count
from glcic_jax.evaluation.report import PerceptualBasis
from glcic_jax.evaluation.rivals import RIVALS, telea
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Completing
from glcic_jax.models.completion import CompletionNetwork
from tests.support.benchmarks import MAKE, error
from tests.support.networks import shaken


@pytest.fixture
def results(benchmark, tmp_path):
    """Somebody's tool: Telea, called by names."""
    folder = tmp_path / "out"
    folder.mkdir()
    for path in sorted((benchmark / "images").iterdir()):
        write_image(folder / path.name, telea(read_image(path), read_mask(benchmark / "masks" / path.name)))
    return folder


def test_a_benchmark_is_fixed_by_its_seed(photographs, benchmark, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        assert run("evaluate", [*MAKE, f"--images={photographs}", f"--output={tmp_path}/{name}", f"--seed={seed}"]) == 0
    first, same, other = (
        json.loads((f / "manifest.json").read_text()) for f in (benchmark, tmp_path / "same", tmp_path / "other")
    )
    assert first == same and first["cases"] != other["cases"]
    assert [case["kind"] for case in first["cases"]] == ["rect", "thin", "medium", "thick"] * 3
    for case in open_benchmark(benchmark).cases:
        assert case.image.shape == (48, 48, 3) and 0 < case.mask.mean() == case.share < 1
        if case.kind == "rect":
            rows, columns = (np.flatnonzero(case.mask[..., 0].any(axis)) for axis in (1, 0))
            assert 12 <= len(rows) <= 24 and 12 <= len(columns) <= 24 and case.mask.sum() == len(rows) * len(columns)


def test_shards_and_central_holes(shards, tmp_path):
    """Of prepared data only what was never trained on; the hole of the Context Encoder."""
    arguments = ["make", f"--images={shards}", f"--output={tmp_path}/b", "--masks=central", "--count=3"]
    assert run("evaluate", [*arguments, "--crop_px=32", "--hole_px=16"]) == 0
    expected = np.zeros((32, 32, 1), np.uint8)
    expected[8:24, 8:24] = 1
    opened = open_benchmark(tmp_path / "b")
    assert all((case.mask == expected).all() for case in opened.cases)
    assert all(entry.source.startswith("val ") for entry in opened.manifest.cases)


def test_score_and_figure(benchmark, results, tmp_path, capsys):
    """A tool's folder gives the figures that the same method gives inside; a model completes first."""
    network = CompletionNetwork(width_multiplier=0.03125)
    model_folder.save(tmp_path / "model", (network, shaken(network, seed=3)), None)
    scores = tmp_path / "scores"
    arguments = [
        "score", f"--benchmark={benchmark}", f"--output={scores}",
        f"--model=ours={tmp_path}/model", f"--results=tool={results}", "--rival=telea", "--rival=mean",
    ]  # fmt: skip
    assert run("evaluate", arguments) == 0
    assert "inside the hole, 12 cases" in capsys.readouterr().out
    report = json.loads((scores / "scores.json").read_text())
    means = {row["method"]: row for row in report["summary"] if row["group"] == "all"}
    assert list(means) == ["ours", "tool", "telea", "mean"] and report["notes"] == {}
    for metric in ("l1", "l2", "psnr", "ssim", "rim_l1"):
        assert means["tool"][metric] == means["telea"][metric]
    assert {row["group"] for row in report["summary"]} >= {"kind rect", "kind thin", "kind medium", "kind thick"}
    with (scores / "scores.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 12 * 4
    l1 = [float(row["l1"]) for row in rows if row["method"] == "ours"]
    assert means["ours"]["l1"][0] == pytest.approx(np.mean(l1), abs=1e-6)
    differences = [float(row["l1"]) for row in rows if row["method"] == "mean"] - np.array(l1)
    assert means["mean"]["ahead"]["l1"][0] == pytest.approx(differences.mean(), abs=1e-5)
    markdown, page = (scores / "scores.md").read_text(), (scores / "index.html").read_text()
    assert "| ours |" in markdown and "By how much ours is ahead" in markdown
    assert page.count("<figure>") == 12 * 6 and 'src="http' not in page
    case = open_benchmark(benchmark).cases[0]
    composite = read_image(scores / "results" / "ours" / f"{case.name}.png")
    np.testing.assert_array_equal(composite[case.mask[..., 0] == 0], case.image[case.mask[..., 0] == 0])

    figure = ["figure", f"--scores={scores}", f"--output={tmp_path}/figure.png"]
    for more in (["--count=3"], [f"--cases={case.name}", "--methods=ours,telea", "--transposed"]):
        assert run("evaluate", [*figure, *more]) == 0
        with Image.open(tmp_path / "figure.png") as drawn:
            assert drawn.width > 300 and drawn.height > 300
        assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert "no case 'gone'" in error(capsys, [*figure, "--cases=gone"])
    moved = benchmark.rename(benchmark.with_name("moved"))
    assert "is no longer at" in error(capsys, figure)
    assert run("evaluate", [*figure, f"--benchmark={moved}", "--count=12"]) == 0
    moved.rename(benchmark)
    assert "no method 'gone'" in error(capsys, [*figure, "--methods=gone"])
    assert "--count is 13" in error(capsys, [*figure, "--count=13"])
    assert "give the --output of evaluate score" in error(capsys, ["figure", "--scores=gone", "--output=x.png"])


def test_an_onnx_file_beside_a_model(benchmark, tmp_path, capsys):
    """Our own file scores as the model does."""
    pytest.importorskip("onnxruntime")
    network = CompletionNetwork(width_multiplier=0.03125)
    model_folder.save(tmp_path / "model", (network, shaken(network, seed=3)), None)
    file, scores = tmp_path / "m.onnx", tmp_path / "scores"
    assert run("export", [f"{tmp_path}/model", "--format=onnx", f"--output={file}"]) == 0
    score = ["score", f"--benchmark={benchmark}", f"--output={scores}", f"--model=ours={tmp_path}/model"]
    assert run("evaluate", [*score, f"--onnx=file={file}"]) == 0
    report = json.loads((scores / "scores.json").read_text())
    means = {row["method"]: row for row in report["summary"] if row["group"] == "all"}
    assert list(means) == ["ours", "file"] and "m.onnx by ONNX Runtime" in report["settings"]["file"]
    assert means["file"]["psnr"][0] == pytest.approx(means["ours"]["psnr"][0], abs=1e-3)
    assert "no file gone" in error(capsys, [*score, "--onnx=file=gone"])
    assert "two methods are called ours" in error(capsys, [*score, f"--onnx=ours={file}"])


def test_changes_outside_the_hole_are_told_and_do_not_score(benchmark, results, tmp_path, capsys):
    for path in list(results.iterdir())[:5]:
        hole = read_mask(benchmark / "masks" / path.name) > 0
        image = read_image(path)
        write_image(path, np.where(hole, image, 255 - image))
    arguments = ["score", f"--benchmark={benchmark}", f"--output={tmp_path}/scores", f"--results={results}"]
    assert run("evaluate", [*arguments, "--rival=telea"]) == 0
    assert "5 of 12 results were changed outside the hole, by up to 2" in capsys.readouterr().out
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    first, second = (row for row in report["summary"] if row["group"] == "all")
    assert first["method"] == "out" and first["l1"] == second["l1"]


def test_bad_results(benchmark, results, tmp_path, capsys):
    score = ["score", f"--benchmark={benchmark}", f"--output={tmp_path}/scores"]
    assert "nothing to score" in error(capsys, score)
    assert "no rival 'magic'; there are mean, telea" in error(capsys, [*score, "--rival=magic"])
    assert "two methods are called mean" in error(capsys, [*score, f"--results=mean={results}", "--rival=mean"])
    assert "no model folder gone" in error(capsys, [*score, "--model=gone"])
    assert "no folder of results gone" in error(capsys, [*score, "--results=gone"])
    assert "holds no scores" in error(
        capsys, ["score", f"--benchmark={benchmark}", f"--output={results}", "--rival=mean"]
    )
    some = sorted(results.iterdir())
    write_image(some[3], read_image(some[3])[:-1])
    assert f"{some[3].stem} of out has 48 x 47 px, its image 48 x 48 px" in error(
        capsys, [*score, f"--results={results}"]
    )
    some[3].write_text("<html>")
    assert f"cannot read the image {some[3]}" in error(capsys, [*score, f"--results={results}"])
    some[3].unlink()
    some[5].unlink()
    assert f"2 of 12 results are missing in {results}, the first is {some[3].name}" in error(
        capsys, [*score, f"--results={results}"]
    )
    for path in results.iterdir():
        path.rename(path.with_name("0" + path.name))
    assert "results of another benchmark, or renamed" in error(capsys, [*score, f"--results={results}"])
    assert not (tmp_path / "scores").exists()


def test_bad_benchmarks(copy, photographs, tmp_path, capsys):
    score = ["score", f"--benchmark={copy}", f"--output={tmp_path}/scores", "--rival=mean"]
    manifest = json.loads((copy / "manifest.json").read_text())
    entry = manifest["cases"][4]
    mask = copy / entry["mask"]
    write_image(mask, np.zeros((48, 48, 3), np.uint8))
    assert f"{mask} has changed since the benchmark was made" in error(capsys, score)
    from glcic_jax.system.checksum import sha256_of

    entry["mask_sha256"] = sha256_of(mask)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert f"the mask {mask} covers nothing" in error(capsys, score)
    mask.unlink()
    assert f"{mask} is missing" in error(capsys, score)
    (copy / "manifest.json").write_text("{}")
    assert "is not a benchmark's manifest" in error(capsys, score)
    assert "is no benchmark" in error(capsys, ["score", "--benchmark=gone", "--output=x", "--rival=mean"])

    make = ["make", f"--images={photographs}", f"--output={tmp_path}/new"]
    assert "only 40 photographs can be used, not 300" in error(capsys, make)
    assert "no masks of kind 'huge'" in error(capsys, [*make, "--masks=huge"])
    assert "leave nothing of 64 px" in error(capsys, [*make, "--crop_px=64"])
    assert "--hole_px is 'x'" in error(capsys, [*make, "--hole_px=x"])
    assert "no folder of photographs gone" in error(capsys, ["make", "--images=gone", f"--output={tmp_path}/new"])
    assert "a benchmark is frozen" in error(
        capsys, ["make", f"--images={photographs}", f"--output={copy}", "--count=2"]
    )
    assert not (tmp_path / "new").exists()


def test_what_fails_fails_before_anything_is_completed(benchmark, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(RIVALS, "mean", lambda image, mask: pytest.fail("it completed"))
    score = ["score", f"--benchmark={benchmark}", "--rival=mean"]
    assert "no folder of results" in error(capsys, [*score, "--results=gone", f"--output={tmp_path}/scores"])
    assert "does not exist; create it first" in error(capsys, [*score, f"--output={tmp_path}/gone/scores"])


def test_perceptual_metrics_are_shown(benchmark, tmp_path, capsys, monkeypatch):
    """With a stand-in for the networks, whose weights are downloads."""

    class Constant:
        def __init__(self, names):
            assert names == ["kid"]

        def describe_basis(self, cases):
            return {"kid": PerceptualBasis("none", "none", None, cases, {"torch": "0"})}

        def __call__(self, benchmark, results):
            return {"kid": {"mean": 0.25, "spread": 0.125}}

    monkeypatch.setattr("glcic_jax.evaluation.compare.Perceptual", Constant)
    score = ["score", f"--benchmark={benchmark}", f"--output={tmp_path}/scores", "--rival=mean", "--perceptual=kid"]
    assert run("evaluate", score) == 0
    shown = capsys.readouterr().out, *((tmp_path / "scores" / name).read_text() for name in ("scores.md", "index.html"))
    for text in shown:
        assert "| mean | 0.2500 ± 0.1250 |" in text and "KID: 12 cases; backbone none; resizer none" in text


def test_perceptual_metrics_without_packages_or_with_few_cases(benchmark, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics.image", None)
    score = ["score", f"--benchmark={benchmark}", f"--output={tmp_path}/scores", "--rival=mean"]
    assert "no metric 'is'; there are kid, fid, lpips" in error(capsys, [*score, "--perceptual=is"])
    for names, cases, smallest_px, words in (
        (["fid"], 1, 64, "FID needs a covariance"),
        (["kid"], 3, 64, "KID needs at least 4 cases"),
        (["lpips"], 12, 31, "LPIPS needs images of 32 px, the smallest has 31"),
    ):
        with pytest.raises(UserError, match=words):
            check_count(names, cases, smallest_px)
    assert run("evaluate", [*score, "--perceptual=fid"]) == 2
    said = capsys.readouterr()
    assert "FID of 12 cases, fewer than 2048, comes out far too large; look at KID instead" in said.out
    assert "fid need torchmetrics" in said.err and "pip install 'glcic-jax[eval]'" in said.err


def test_models_are_blended_as_their_cards_say(benchmark, tmp_path, capsys):
    """`score --model` does what `complete` does, and says it."""
    network = CompletionNetwork(width_multiplier=0.03125)
    for name, card in (("plain", None), ("blends", Card(completing=Completing(blend=True)))):
        model_folder.save(tmp_path / name, (network, shaken(network, seed=3)), None, card)
    models = [f"--model={tmp_path}/plain", f"--model={tmp_path}/blends"]
    l1 = {}
    for way in ("", "--blend", "--noblend"):
        scores = tmp_path / f"scores{way}"
        assert (
            run("evaluate", ["score", f"--benchmark={benchmark}", f"--output={scores}", *models, *filter(None, [way])])
            == 0
        )
        assert ("plain: not blended, as its card recommends" in capsys.readouterr().out) == (not way)
        report = json.loads((scores / "scores.json").read_text())
        l1[way] = {row["method"]: row["l1"][0] for row in report["summary"] if row["group"] == "all"}
    assert l1["--blend"]["plain"] == l1["--blend"]["blends"] == l1[""]["blends"]
    assert l1["--noblend"]["plain"] == l1["--noblend"]["blends"] == l1[""]["plain"] != l1[""]["blends"]
    assert "blends: blended, as its card recommends" in (tmp_path / "scores" / "scores.md").read_text()


def test_others_files_in_an_older_output_stay(benchmark, tmp_path):
    scores = tmp_path / "scores"
    score = ["score", f"--benchmark={benchmark}", f"--output={scores}"]
    assert run("evaluate", [*score, "--rival=mean"]) == 0
    mine = ["notes.txt", "results/mine/x.png", "results/mean/figure.png"]
    for name in mine:
        (scores / name).parent.mkdir(exist_ok=True)
        (scores / name).write_text("mine")
    assert run("evaluate", [*score, "--rival=telea"]) == 0
    assert all((scores / name).read_text() == "mine" for name in mine)
    assert len(list((scores / "results" / "telea").iterdir())) == 12
    assert [p.name for p in (scores / "results" / "mean").iterdir()] == ["figure.png"]


def test_a_figure_keeps_its_name(benchmark, tmp_path):
    scores = tmp_path / "scores"
    assert run("evaluate", ["score", f"--benchmark={benchmark}", f"--output={scores}", "--rival=mean"]) == 0
    assert run("evaluate", ["figure", f"--scores={scores}", f"--output={tmp_path}/cmp_lr0.1", "--count=1"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"scores", "cmp_lr0.1.png", "cmp_lr0.1.pdf"}


def test_results_too_good_to_be_true(benchmark, tmp_path, capsys):
    score = ["score", f"--benchmark={benchmark}", f"--output={tmp_path}/scores"]
    copied, inverted, nearly = (tmp_path / name for name in ("copied", "inverted", "nearly"))
    for folder in (copied, inverted, nearly):
        folder.mkdir()
    for number, case in enumerate(open_benchmark(benchmark).cases):
        write_image(copied / f"{case.name}.png", case.image)
        write_image(inverted / f"{case.name}.png", np.where(case.mask > 0, case.image, 255 - case.image))
        noise = np.random.default_rng(number).integers(-1, 2, case.image.shape)
        write_image(nearly / f"{case.name}.png", (case.image + noise).clip(0, 255).astype(np.uint8))
    assert "hold the photograph itself in the hole: they were never completed" in error(
        capsys, [*score, f"--results={copied}"]
    )
    assert "they were completed with inverted masks" in error(capsys, [*score, f"--results={inverted}"])
    assert run("evaluate", [*score, f"--results={nearly}"]) == 0
    for said in (capsys.readouterr().out, (tmp_path / "scores" / "scores.md").read_text()):
        assert "SUSPICIOUS: 12 of 12 results are nearer to the photograph than painting gets" in said
    case = open_benchmark(benchmark).cases[0]
    write_image(nearly / f"{case.name}.webp", case.image)
    assert "are two results of one case" in error(capsys, [*score, f"--results={nearly}"])
