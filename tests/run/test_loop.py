"""What a run leaves behind, and what it starts from."""

import io
import json
import re
import shutil

import jax
import numpy as np
import pytest
from rich.console import Console

import glcic_jax
from glcic_jax.data.manifest import read_manifest
from glcic_jax.errors import UserError
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.run.init_from import check_conventions, load_weights_into, read_weights
from glcic_jax.run.loop import Stopped, train
from glcic_jax.run.progress import Progress
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import build_specification, initial_state
from tests.support.tiny import checked


@pytest.fixture(scope="module")
def finished(request, tmp_path_factory):
    """One finished run, shared by the tests of this module."""
    return {}


@pytest.fixture
def run(finished, tiny, tmp_path_factory, quiet):
    if not finished:
        finished["workdir"] = tmp_path_factory.mktemp("run")
        finished["state"] = train(checked(tiny), finished["workdir"], Progress(quiet))
    return finished


def test_outputs(run, tiny):
    workdir, state = run["workdir"], run["state"]
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    by_step = {}
    for line in lines:
        by_step.setdefault(line["step"], {}).update(line)
    assert sorted(by_step) == [2, 4, 5, 6, 7, 8, 10]  # every second step, every fifth, and the stages' ends
    assert by_step[4]["stage"] == 1 and by_step[6]["stage"] == 2 and by_step[10]["stage"] == 3
    assert {"completion_loss", "images_per_second", "data_wait_share"} <= by_step[2].keys()
    assert {"discriminator_loss", "accuracy_real", "accuracy_completed"} <= by_step[6].keys()
    assert {"adversarial_loss", "completion_loss", "hole_l1", "hole_psnr"} <= by_step[10].keys()
    assert sorted(p.name for p in (workdir / "grids").iterdir()) == [f"{step:08d}.png" for step in (4, 5, 7, 10)]
    assert list((workdir / "tensorboard").iterdir())
    _network, variables, card = glcic_jax.load(workdir / "model")
    assert card.trained.steps == 10 and card.trained.hole_px == (8, 16)
    assert card.trained.hole_shares == {"rectangles": 1.0}
    assert card.provenance.images == 32
    np.testing.assert_array_equal(variables["params"]["conv1"]["kernel"], state.completion.params["conv1"]["kernel"])
    assert int(state.step) == 10


def test_a_profile_of_two_steps(tiny, tmp_path):
    """In TensorBoard's format, where the run says; the keys of telemetry do not bind a run."""
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps, tiny.profile_steps = 4, 0, 0, (1, 3)
    told = io.StringIO()
    train(checked(tiny), tmp_path / "run", Progress(Console(file=told, width=200)))
    traces = list((tmp_path / "run" / "profile" / "plugins" / "profile").glob("*/*.xplane.pb"))
    assert len(traces) == 1 and traces[0].stat().st_size
    assert f"a profile from step 1 on is in {tmp_path / 'run' / 'profile'}" in told.getvalue()
    assert told.getvalue().count("first step after") == 1
    tiny.profile_steps = (0, 0)
    train(checked(tiny), tmp_path / "run", Progress(Console(file=io.StringIO())))


def test_validation_scores_are_those_of_numpy(run, tiny, shards):
    from glcic_jax.data.loader import fixed_samples
    from glcic_jax.data.manifest import read_manifest
    from glcic_jax.data.reading import Reader
    from glcic_jax.data.shards import open_split
    from glcic_jax.run.setup import hole_drawer

    reader = Reader(open_split(shards, read_manifest(shards), "val"), 0.0)
    samples = fixed_samples(reader, count=8, short_side_px=40, crop_px=32, draw_hole=hole_drawer(checked(tiny)))
    network, variables, _ = glcic_jax.load(run["workdir"] / "model")
    psnr, l1 = [], []
    for image, mask in zip(samples.image / 255, samples.mask[..., 0] > 0, strict=True):
        output = network.apply(variables, image.astype(np.float32), mask[..., None])
        error = np.asarray(output, np.float64)[mask] - image[mask]
        psnr.append(-10 * np.log10(np.mean(error**2)))
        l1.append(np.abs(error).mean())
    last = json.loads((run["workdir"] / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["hole_psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert last["hole_l1"] == pytest.approx(np.mean(l1), rel=1e-3)


@pytest.mark.parametrize("what", ["model", ".", "checkpoints", "checkpoints/4"])
def test_starting_from_weights(run, tiny, tmp_path, quiet, what):
    """With no steps of its own before it, stage 2 begins at exactly those weights; C then stays as it is."""
    tiny.init_from = str(run["workdir"] / what)
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps = 0, 1, 0
    state = train(checked(tiny), tmp_path / "tuned", Progress(quiet))
    found = np.asarray(state.completion.params["conv1"]["kernel"])
    final = np.asarray(run["state"].completion.params["conv1"]["kernel"])
    assert np.array_equal(found, final) == (what != "checkpoints/4")
    before = np.asarray(run["state"].discriminator.params["head"]["kernel"])
    after = np.asarray(state.discriminator.params["head"]["kernel"])
    if what != "checkpoints/4":  # D came along: one step away from the trained one, not from a random one
        assert np.abs(after - before).max() < 0.01


def test_weights_that_do_not_fit(run, tiny, tmp_path, quiet):
    tiny.init_from = str(run["workdir"] / "model")
    tiny.completion.width_multiplier = 0.0625
    with pytest.raises(UserError, match=r"completion network in .* does not fit this config: .* has shape"):
        train(checked(tiny), tmp_path / "tuned", Progress(quiet))
    tiny.init_from = str(tmp_path)
    with pytest.raises(UserError, match="holds neither a model"):
        train(checked(tiny), tmp_path / "tuned", Progress(quiet))


@pytest.mark.parametrize("what", ["model", "checkpoints/4"])
@pytest.mark.parametrize(("key", "value"), [("output", "tanh"), ("hole_fill", "0.0"), ("negative_slope", 0.2)])
def test_weights_keep_their_conventions(run, tiny, what, key, value):
    weights = read_weights(run["workdir"] / what)
    check_conventions(weights, checked(tiny))
    tiny.completion[key] = value
    with pytest.raises(UserError, match=f"config.completion.{key} is .* were trained with"):
        check_conventions(weights, checked(tiny))


@pytest.mark.parametrize("what", ["model", "checkpoints/4"])
@pytest.mark.parametrize(("key", "value"), [("negative_slope", 0.2), ("vector_activation", False)])
def test_the_discriminator_keeps_its_conventions(run, tiny, what, key, value):
    tiny.discriminator[key] = value
    weights = read_weights(run["workdir"] / what)
    with pytest.raises(UserError, match=rf"config.discriminator.{key} is .* --config.discriminator.{key}="):
        check_conventions(weights, checked(tiny))


def test_weights_in_another_precision(run, tiny, tmp_path, quiet, float64):
    """The run computes, saves and continues in its own."""
    tiny.compute_dtype, tiny.init_from = "float64", str(run["workdir"] / "model")
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps = 2, 0, 0
    with pytest.raises(Stopped):
        train(checked(tiny), tmp_path / "tuned", Progress(quiet), should_stop=lambda step: step == 1)
    state = train(checked(tiny), tmp_path / "tuned", Progress(quiet))
    leaves = jax.tree.leaves((state.completion, state.discriminator))
    assert {leaf.dtype for leaf in leaves if np.issubdtype(leaf.dtype, np.floating)} == {np.dtype("float64")}
    assert not list((tmp_path / "tuned" / "checkpoints").glob("damaged-*"))


def test_weights_bring_their_mean_color(run, tiny, tmp_path, quiet, photographs):
    """The data's own mean colour would be another input than the weights were trained on."""
    prepare([str(photographs / "a")], tmp_path / "a", Settings(val_fraction=0.2))
    tiny.data_dir, tiny.init_from = str(tmp_path / "a"), str(run["workdir"] / "model")
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps = 1, 0, 0
    train(checked(tiny), tmp_path / "tuned", Progress(quiet))
    before, after = (glcic_jax.load(folder / "model")[0] for folder in (run["workdir"], tmp_path / "tuned"))
    own = read_manifest(tmp_path / "a").splits["train"].mean_color
    assert after.mean_color == before.mean_color != own


def test_a_discriminator_of_other_sizes_starts_anew(run, tiny):
    tiny.window_px, tiny.hole_px = 32, (8, 16)
    weights = read_weights(run["workdir"] / "model")
    spec = build_specification(checked(tiny), weights.mean_color)
    state, said = load_weights_into(initial_state(checked(tiny), spec), weights)
    assert "made for other sizes" in said
    np.testing.assert_array_equal(
        state.completion.params["conv1"]["kernel"], run["state"].completion.params["conv1"]["kernel"]
    )


def test_damaged_records_are_told_and_too_many_end_the_run(tiny, shards, tmp_path):
    """One of 32 records cannot be read: the run goes on without it, and says so."""
    shutil.copytree(shards, tmp_path / "shards")
    shard = next((tmp_path / "shards").glob("train-*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 8] ^= 255
    shard.write_bytes(data)
    tiny.data_dir, tiny.max_damaged_share = str(tmp_path / "shards"), 0.05
    tiny.discriminator_steps, tiny.joint_steps, tiny.completion_steps = 0, 0, 8
    console = Console(file=io.StringIO(), width=200)
    train(checked(tiny), tmp_path / "run", Progress(console))
    assert re.search(
        r"step \d: record \d+ of 32 cannot be read: number \d+ in train-.* the next one", console.file.getvalue()
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["damaged_record"] for line in lines if "damaged_record" in line]
    assert [line["damaged_records"] for line in lines if "damaged_records" in line][-1] == 1.0
    tiny.max_damaged_share = 0.01
    with pytest.raises(UserError, match="1 of 32 records cannot be read, more than"):
        train(checked(tiny), tmp_path / "other", Progress(console))


def test_what_is_no_model_is_not_replaced(tiny, tmp_path, quiet):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="would be replaced by the model, but it is not one"):
        train(checked(tiny), tmp_path, Progress(quiet))
    assert (tmp_path / "model" / "thesis.txt").read_text() == "years of work"


def test_running_a_finished_run_again_changes_nothing(run, tiny, quiet):
    before = (run["workdir"] / "model" / "completion.safetensors").read_bytes()
    state = train(checked(tiny), run["workdir"], Progress(quiet))
    assert int(state.step) == 10
    assert (run["workdir"] / "model" / "completion.safetensors").read_bytes() == before


def test_an_update_that_is_not_finite_is_not_saved(tiny, tmp_path, quiet):
    """The loss of the last step is still finite; what it did to the parameters is not."""
    tiny.completion_optimizer = {"name": "sgd", "learning_rate": float("inf")}
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps = 1, 0, 0
    tiny.batch_size = 64
    with pytest.raises(FloatingPointError, match="a parameter of the completion network is not finite at step 1"):
        train(checked(tiny), tmp_path / "run", Progress(quiet))
    assert not (tmp_path / "run" / "model").exists()
    assert not [p for p in (tmp_path / "run" / "checkpoints").iterdir() if p.name.isdigit()]


def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path, quiet):
    tiny.completion_optimizer = {"name": "sgd", "learning_rate": 1e30}
    with pytest.raises(FloatingPointError, match=r"is not finite at step \d \(stage 1"):
        train(checked(tiny), tmp_path / "run", Progress(quiet))
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("crop_px", 30, "crop_px is 30; it must be a multiple of 4"),
        ("crop_px", 64, "short_side_px is"),
        ("window_px", 40, "window_px is 40"),
        ("hole_px", (16, 8), "hole_px is"),
        ("hole_px", (8, 20), "holes must fit into config.window_px"),
        ("joint_steps", -1, "cannot be negative"),
        ("log_every_steps", 0, "at least 1"),
        ("compute_dtype", "float8", "one of float32, bfloat16"),
        ("hole_px", (8.5, 12.5), "range of whole pixels"),
        ("holes.brush.share", -1.0, "holes.brush.share is -1.0; it cannot be negative"),
        ("holes.rectangles.share", 0.0, "every share in config.holes is 0"),
        ("holes.rectangles.count", (0, 1), "holes.rectangles.count is (0, 1); it must be a range of whole numbers"),
        ("holes.thin.length_px", (9, 3), "holes.thin.length_px is (9, 3)"),
        ("holes.thick.box_share", 1.5, "holes.thick.box_share is 1.5; it must lie in 0 to 1"),
        ("holes.brush.share", 1.0, "holes.brush.width_px is (12, 39); strokes must fit into config.window_px"),
        ("profile_steps", (5, 3), "profile_steps is (5, 3); it must be (first, stop)"),
        ("seed", -1, "seed is -1"),
        ("alpha", float("nan"), "alpha is nan"),
    ],
)
def test_values_that_cannot_work(tiny, key, value, message):
    tiny.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=re.escape(message)):
        checked(tiny)


def test_a_hole_leaves_something(tiny):
    tiny.window_px, tiny.hole_px = 32, (16, 32)
    checked(tiny)
    tiny.hole_px = (32, 32)
    with pytest.raises(UserError, match="a hole must leave something"):
        checked(tiny)


def test_stages(tiny):
    assert [(s.number, s.start, s.stop) for s in stages(checked(tiny))] == [(1, 0, 4), (2, 4, 7), (3, 7, 10)]
