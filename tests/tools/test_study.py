"""`glcic study`: which runs it makes, that it goes on, and its arithmetic. The training itself is tested elsewhere."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

import glcic_jax.tools.single_run
from glcic_jax.cli.main import run
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.loop import Stopped
from glcic_jax.system.lock import locked
from glcic_jax.tools.study.results import student_mean
from glcic_jax.tools.study.trials import VARIANTS

ARGUMENTS = ["--data=data", "--budgets=1600:50/10/40,3200:18/2/80", "--seeds=0,1,2"]


@pytest.fixture
def trained(monkeypatch):
    """Runs that training was asked for; in its place a file of figures whose PSNR follows a formula."""
    asked = []

    def train(config, workdir, progress, should_stop):
        asked.append((config, workdir))
        if len(asked) == 3:  # a figure that is not finite
            workdir.mkdir(parents=True)
            raise FloatingPointError("completion_loss is not finite at step 2")
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "config.json").write_text(json.dumps(config.to_dict()))
        total = config.completion_steps + config.discriminator_steps + config.joint_steps
        if len(asked) == 5:  # somebody stops the study
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop(total)
            raise Stopped("stopped after step 1")
        psnr = 15 + 2 * (config.adversarial == "cooperative") + 0.1 * config.seed + total / 1000
        lines = [
            {"step": total, "stage": 3, "hole_psnr": psnr + d, "hole_l1": 0.1, "hole_contrast": 0.5}
            for d in (9, -0.1, 0.1, 0, 0.2, -5)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    monkeypatch.setattr("glcic_jax.tools.single_run.train", train)
    monkeypatch.setattr("glcic_jax.tools.study.study.read_manifest", lambda folder: {})
    monkeypatch.setattr("glcic_jax.tools.study.study.open_split", lambda folder, manifest, split: [])
    return asked


def test_one_change_at_a_time():
    """Cells change one thing each, but for the first, which changes none, and the combinations of a group's changes."""
    names, changes = list(VARIANTS), [frozenset(change) for change in VARIANTS.values()]
    article, small = names.index("article"), names.index("small budgets")
    assert changes[0] == frozenset() and small == len(names) - 1
    for group in (changes[1:article], changes[article + 1 : small]):
        assert all(len(change) == 1 for change in group) and len(frozenset().union(*group)) == len(group) > 4
    deaf = VARIANTS["C deaf to D"][0]
    assert changes[article] == frozenset().union(*changes[1:article]) - {deaf}
    assert changes[small] == frozenset().union(*changes[article + 1 : small])


def test_the_cell_of_small_budgets_has_that_recipe_s_values():
    """What it changes in the paper's recipe is what small has there; the half-life goes by the budget."""
    cell, recipe = (load_recipe(recipe_path(name), []) for name in ("study", "small"))
    for change in VARIANTS["small budgets"]:
        change(cell)
    for key in ("normalization", "residual", "output"):
        assert cell.completion[key] == recipe.completion[key]
    keys = ("initial_values", "loss", "loss_over", "optimizer", "schedule", "clip_norm")
    for key in (key if key == "initial_values" else f"completion_{key}" for key in keys):
        assert cell.to_dict()[key] == recipe.to_dict()[key]


def test_all_runs_then_a_table(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chosen = [*ARGUMENTS, f"--workdir={tmp_path}/study", "--cells=paper,C helps D"]
    assert run("study", chosen) == 75 and len(trained) == 5
    assert run("study", chosen) == 0
    assert len(trained) == 13  # the one that was stopped again, no other, not even the one that diverged
    assert trained[5][1] == trained[4][1]
    assert "11 of 12 runs are done, 1 diverged" in capsys.readouterr().out
    config, workdir = trained[1]
    assert workdir == tmp_path / "study" / "1600_50-10-40" / "c_helps_d" / "seed0" and config.data_dir == "data"
    assert (config.completion_steps, config.discriminator_steps, config.joint_steps) == (50, 10, 40)
    assert config.adversarial == "cooperative" and config.validate_every_steps == 5
    assert [c.adversarial for c, _ in trained[:4]] == ["fooling", "cooperative"] * 2

    results = json.loads((tmp_path / "study" / "study.json").read_text())
    rows = {(row["samples"], row["cell"]): row for row in results["rows"]}
    assert rows[3200, "paper"]["psnr"][0] == pytest.approx(15.3) and rows[3200, "paper"]["psnr"][2] == 3
    assert rows[3200, "C helps D"]["ahead_of_paper"][:2] == pytest.approx([2, 0], abs=1e-9)
    assert rows[1600, "paper"]["psnr"][2] == 2 and rows[1600, "C helps D"]["ahead_of_paper"][2] == 2
    table = (tmp_path / "study" / "table.md").read_text()
    assert (
        "| 3,200 (18 % / 2 % / 80 %) | C helps D | 3 | 17.30 ± 0.25 | 0.1000 ± 0.0000 | 0.50 ± 0.00 |" in table
        and "+2.00 ± 0.00 dB" in table
    )
    assert "- diverged: paper, 1,600 samples, seed 1" in table
    for name in ("psnr.png", "differences.png", "contrast.png"):
        with Image.open(tmp_path / "study" / name) as picture:
            assert picture.width > 800
    assert run("study", [*chosen, "--results_only"]) == 0 and len(trained) == 13
    # Runs of another recipe are not taken for this one's.
    capsys.readouterr()
    assert run("study", [*chosen, "--config.completion.width_multiplier=0.5"]) == 2 and len(trained) == 13
    assert "another recipe: completion.width_multiplier (0.25 then, 0.5 now)" in capsys.readouterr().err


def test_a_run_in_other_hands_is_left_alone(trained, tmp_path, monkeypatch, capsys):
    """Another process holds the first run's lock; the others are trained."""
    train = glcic_jax.tools.single_run.train

    def train_unless_locked(config, workdir, progress, should_stop):
        workdir.mkdir(parents=True, exist_ok=True)
        with locked(workdir / "lock", f"the run in {workdir}"):
            train(config, workdir.with_name("elsewhere"), progress, should_stop=should_stop)
            for file in workdir.with_name("elsewhere").iterdir():
                file.rename(workdir / file.name)

    monkeypatch.setattr("glcic_jax.tools.single_run.train", train_unless_locked)
    first = tmp_path / "study" / "1600_50-10-40" / "paper" / "seed0"
    first.mkdir(parents=True)
    chosen = [*ARGUMENTS, f"--workdir={tmp_path}/study", "--cells=paper", "--seeds=0,1"]
    with locked(first / "lock", "that run"):
        assert run("study", [*chosen, "--budgets=1600:50/10/40"]) == 0
    said = capsys.readouterr().out
    assert f"left to another process: the run in {first} is in use by process {os.getpid()}" in said.replace("\n", " ")
    assert "1 of 2 runs are done" in said and len(trained) == 1
    assert run("study", [*chosen, "--budgets=1600:50/10/40"]) == 0 and len(trained) == 2


def test_student_intervals():
    """Against the table of Student's t for two degrees of freedom, and on simulated seeds."""
    assert student_mean([1.0, 2.0, 3.0])[:2] == pytest.approx((2, 4.303 / 3**0.5), rel=1e-3)
    assert student_mean([1.0]).half is None
    rng = np.random.default_rng(0)
    found = [student_mean(rng.normal(5, 2, 3)) for _ in range(1000)]
    assert 0.93 <= np.mean([abs(mean.mean - 5) <= mean.half for mean in found]) <= 0.97


def test_data_without_validation_are_refused_before_any_training(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("glcic_jax.tools.single_run.train", lambda *a, **k: asked.append(a))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text(
        json.dumps({"format": "glcic-jax shards", "format_version": 1, "splits": {"train": {}}})
    )
    assert run("study", [f"--data={tmp_path}/data", f"--workdir={tmp_path}/study"]) == 2 and asked == []
    assert str(tmp_path / "data") in capsys.readouterr().err


def test_bad_input(tmp_path, capsys):
    base = ["--data=data", f"--workdir={tmp_path}/study"]
    for argument, message in (
        ("--cells=paper,magic", "no cell 'magic'; there are paper, leaky ReLU"),
        ("--seeds=a", "--seeds is 'a'"),
        ("--budgets=100", "--budgets has '100'"),
        ("--budgets=100:50/50/10", "--budgets has '100:50/50/10'"),
        ("--budgets=0:50/25/25", "--budgets has '0:50/25/25'"),
        ("--config.batchsize=1", "batchsize"),
    ):
        assert run("study", [*base, argument]) == 2
        line = capsys.readouterr().err.strip()
        assert message in line and "\n" not in line
    assert not (tmp_path / "study").exists()
