"""The benchmark of training: the real command at tiny sizes, its arithmetic, and a yardstick that is known."""

import json
import math
import multiprocessing
import time

import pytest

from glcic_jax.cli.main import run
from glcic_jax.errors import UserError
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.costs import completion_cost
from glcic_jax.tools.speed import yardstick as benchmark_yardstick
from glcic_jax.tools.speed.timing import ROUND_SECS, Stopwatch
from glcic_jax.tools.speed.yardstick import PLAIN, REFERENCE, TUNED, Sizes, Yardstick
from tests.support.launching import fails, launch

TINY = ("train", "--px=32", "--batch=2", "--width=0.0625", "--rounds=1")
PARTS = ["forward", "stage 1", "stage 2", "stage 3"]

# Steps that last 10 ms times their stage, half of that when tuned; painting lasts 20 ms; stage 2 fails.
YARDSTICK = """
import time

class Trainer:
    def __init__(self, *, crop_px, window_px, batch_size, width, device, tuned):
        assert (crop_px, window_px, batch_size, width, device) == (32, 16, 2, 0.0625, "cpu")
        self.tuned = tuned

    def forward(self):
        time.sleep(0.02)

    def step(self, stage):
        if stage == 2:
            raise ValueError("no such stage")
        time.sleep(0.01 * stage / (2 if self.tuned else 1))
"""


def figures(path) -> list[list[dict]]:
    return list(json.loads(path.read_text()).values())


@pytest.mark.long
def test_every_part_is_measured(tmp_path):
    result = launch("benchmark", *TINY, f"--json={tmp_path}/figures.json")
    assert result.returncode == 0, result.stderr
    assert max(len(line.rstrip()) for line in result.stdout.splitlines()) <= 100
    speed, gaps, on = figures(tmp_path / "figures.json")
    on = {row[""]: row["value"] for row in on}
    product, copying = next(on[what] for what in on if "GFLOP/s" in what), on["copying, GB/s read and written"]
    assert product > 0 and copying > 0 and on["CPU cores"] >= 1 and on["jax"]
    assert [row["part"] for row in speed] == [row["part"] for row in gaps] == PARTS
    for row, beside in zip(speed, gaps, strict=True):
        assert row["who"] == "ours" and row["ours / it"] is None
        assert 0 < row["least"] == row["images/s"] == row["most"]  # one round
        assert row["compile s"] > 0 and row["needs MB"] > 0
        assert beside["measured ms"] == pytest.approx(1e3 / row["images/s"])
        assert beside["GFLOP/s"] == pytest.approx(row["images/s"] * beside["GFLOP/image"])
        assert beside["share"] == pytest.approx(beside["GFLOP/s"] / product)
        assert beside["product ms"] == pytest.approx(1e3 * beside["GFLOP/image"] / product)
        assert beside["copying ms"] == pytest.approx(beside["MB/image"] / copying)
        floor = max(beside["product ms"], beside["copying ms"])
        assert floor > 0 and beside["gap"] == pytest.approx(beside["measured ms"] / floor)
    assert 1e9 * gaps[0]["GFLOP/image"] == completion_cost(CompletionNetwork(width_multiplier=0.0625), 32).total
    # A step does all that painting does, and more.
    assert all(row["needs MB"] > speed[0]["needs MB"] for row in speed[1:])
    assert all(row["MB/image"] > gaps[0]["MB/image"] for row in gaps[1:])


def test_compiling_alone(tmp_path):
    """Nothing is run, so the full-size networks at a batch that no laptop holds are no trouble."""
    arguments = ("train", "--px=256", "--batch=512", "--compile_only", "--parts=forward", f"--json={tmp_path}/f.json")
    result = launch("benchmark", *arguments)
    assert result.returncode == 0, result.stderr
    ((row,), on) = figures(tmp_path / "f.json")
    assert row["part"] == "forward" and row["GFLOP/image"] == pytest.approx(65.1, abs=0.1)
    photographs, largest_map = 512 * 256 * 256 * 3 * 4 / 1e6, 512 * 256 * 256 * 64 * 4 / 1e6
    assert row["needs MB"] > photographs + largest_map and row["compile s"] > 0
    assert row["MB/image"] * 512 > photographs + largest_map
    assert {"device", "jax"} <= {row[""] for row in on}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--px=30", "--px is 30; it must be a multiple of 4"),
        ("--px=8", "at least 16"),
        ("--batch=0", "--batch is 0"),
        ("--rounds=0", "--rounds is 0"),
        ("--parts=forward,4", "--parts has '4'; there are forward, 1, 2, 3"),
        ("--parts=", "--parts has ''"),
        ("--dtype=float8", "compute_dtype is 'float8'; it must be one of"),
        ("--width=0", "width_multiplier is 0.0; it must lie in"),
        ("--widths=0.5,0", "width_multiplier is 0.0; it must lie in"),
        ("--network=gone", "no recipe gone; give a file, or one of"),
        ("--config=gone", "no recipe gone; give a file, or one of"),
        ("--config=tadax", "only the paper's is measured"),
        ("--yardstick=gone.py", "--yardstick is gone.py, which is no file"),
        ("--tuned", "add --yardstick"),
    ],
)
def test_bad_arguments(argument, message, capsys):
    assert run("benchmark", [*TINY, argument]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said


def test_a_bad_argument_in_a_process_of_its_own():
    fails(launch("benchmark", *TINY, "--parts=4"), "--parts has '4'")


def test_without_pytorch(tmp_path, capsys, monkeypatch):
    (tmp_path / "yardstick.py").write_text(YARDSTICK)
    monkeypatch.setattr(benchmark_yardstick.importlib.util, "find_spec", lambda name: None)
    assert run("benchmark", [*TINY, f"--yardstick={tmp_path}/yardstick.py"]) == 2
    assert "pip install torch" in capsys.readouterr().err


def test_rounds_are_long_enough(monkeypatch):
    """The clock is the test's: a step takes 30 ms, the first one much longer."""
    clock, done = [0.0], []

    def steps(count):
        clock[0] += 0.03 * count if done else 9
        done.append(count)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    watch = Stopwatch(steps)
    assert watch.step_secs() == pytest.approx(0.03)
    assert watch.step_secs() == pytest.approx(0.03)
    assert done == [1, 1, math.ceil(ROUND_SECS / 0.03), math.ceil(ROUND_SECS / 0.03)]


@pytest.fixture
def yardstick(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "yardstick.py"
    path.write_text(YARDSTICK)
    with Yardstick(path, Sizes(32, 16, 2, 0.0625), "cpu") as running:
        yield running


@pytest.mark.slow
def test_a_yardstick_s_rounds(yardstick):
    assert yardstick.threads >= 1
    for who, part, seconds in ((PLAIN, "forward", 0.02), (TUNED, "forward", 0.02), (PLAIN, "3", 0.03),
                               (TUNED, "1", 0.005), (PLAIN, "1", 0.01)):  # fmt: skip
        assert seconds <= yardstick.step_secs(who, part) < 1.5 * seconds, (who, part)
    with pytest.raises(UserError, match=r"yardstick\.py: ValueError: no such stage"):
        yardstick.step_secs(PLAIN, "2")


@pytest.mark.slow
def test_a_yardstick_s_death_is_told(yardstick):
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(UserError, match="its process has died"):
        yardstick.step_secs(PLAIN, "1")


@pytest.mark.slow
def test_beside_a_yardstick(yardstick, tmp_path):
    """The whole command: the yardstick's known rates stand beside ours."""
    arguments = (*TINY, "--parts=forward", "--tuned", f"--yardstick={yardstick.path}", f"--json={tmp_path}/f.json")
    result = launch("benchmark", *arguments)
    assert result.returncode == 0, result.stderr
    speed, _, on = figures(tmp_path / "f.json")
    ours, plain, tuned = speed
    assert [row["who"] for row in speed] == ["ours", PLAIN, TUNED]
    for row in (plain, tuned):
        assert 70 < row["images/s"] <= 2 / 0.02
        assert row["ours / it"] == pytest.approx(ours["images/s"] / row["images/s"])
    assert {"torch", "its threads"} <= {row[""] for row in on}


# Steps that last 10 ms at width 0.0625 and 30 ms at 0.125; it wants to hear what the recipe `small` does with C.
OF_TWO_WIDTHS = """
import time

class Trainer:
    def __init__(self, *, width, normalization, residual, negative_slope, output, **_):
        assert (normalization, residual, negative_slope, output) == ("none", True, 0.2, "linear")
        self.secs = {0.0625: 0.01, 0.125: 0.03}[width]

    def step(self, stage):
        assert stage == 1
        time.sleep(self.secs)
"""


@pytest.mark.long
def test_several_widths_of_another_recipe_s_network_in_one_table(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "yardstick.py").write_text(OF_TWO_WIDTHS)
    arguments = ("train", "--px=32", "--batch=2", "--widths=0.0625,0.125", "--network=small", "--parts=1", "--rounds=2")
    arguments += (f"--yardstick={tmp_path}/yardstick.py", f"--json={tmp_path}/f.json")
    result = launch("benchmark", *arguments)
    assert result.returncode == 0, result.stderr
    assert max(len(line.rstrip()) for line in result.stdout.splitlines()) <= 100
    rows, on = figures(tmp_path / "f.json")
    assert [(row["width"], row["part"]) for row in rows] == [(0.0625, "stage 1"), (0.125, "stage 1")]
    for row, secs in zip(rows, (0.01, 0.03), strict=True):
        ours, theirs = row["ours, images/s"], row["PyTorch, images/s"]
        assert 0.7 * 2 / secs < theirs <= 2 / secs and row["share"] > 0
        assert row["ours / PyTorch"] == pytest.approx(ours / theirs)
        assert row["PyTorch from"] <= 1.5 * row["ours / PyTorch"] and 1.5 * row["PyTorch to"] >= row["ours / PyTorch"]
    assert "torch" in {row[""] for row in on}


def test_the_network_of_another_recipe_costs_what_it_costs_there(tmp_path):
    """It is another program, as its memory shows; the operations are those of convolutions, which both have."""
    rows = []
    for network in ([], ["--network=small"]):
        arguments = [*TINY[:3], "--widths=0.0625,0.125", "--parts=1", "--compile_only", *network]
        assert run("benchmark", [*arguments, f"--json={tmp_path}/f.json"]) == 0
        rows.append(figures(tmp_path / "f.json")[0])
    for paper, small in zip(*rows, strict=True):
        assert paper["width"] == small["width"] and small["needs MB"] != paper["needs MB"]
        cost = completion_cost(CompletionNetwork(width_multiplier=paper["width"]), 32).total
        assert 1e9 * paper["GFLOP/image"] > 2.5 * cost and small["GFLOP/image"] == paper["GFLOP/image"]


def test_a_discriminator_that_the_yardstick_lacks(tmp_path, capsys):
    pytest.importorskip("torch")
    (tmp_path / "yardstick.py").write_text(YARDSTICK)
    assert run("benchmark", [*TINY, "--px=128", "--config=small", f"--yardstick={tmp_path}/yardstick.py"]) == 2
    assert "--network=small" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("who", [PLAIN, TUNED])
def test_the_implementation_in_reference_is_the_yardstick_by_default(who):
    pytest.importorskip("torch")
    small = (("negative_slope", 0.2), ("normalization", "none"), ("residual", True), ("output", "linear"))
    for departures in ((), small):
        with Yardstick(REFERENCE, Sizes(32, 16, 2, 0.0625, departures), "cpu") as running:
            assert all(running.step_secs(who, part) > 0 for part in ("forward", "1", "2", "3"))
