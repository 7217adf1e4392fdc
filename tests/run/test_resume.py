"""Stopped at step k and run again: bit-equal to an uninterrupted run, inside every stage and on the borders."""

import io

import jax
import numpy as np
import pytest
from rich.console import Console

from glcic_jax.errors import UserError
from glcic_jax.models.folder import read_card
from glcic_jax.prepare.pipeline import prepare
from glcic_jax.prepare.plan import Settings
from glcic_jax.run.loop import Stopped, train
from glcic_jax.run.metrics_file import METRICS
from glcic_jax.run.progress import Progress
from glcic_jax.run.restore import restore_newest
from glcic_jax.run.setup import build_specification, initial_state
from glcic_jax.training.mesh import make_mesh, replicated
from tests.support.tiny import checked, tiny_recipe

DEVICES = 2  # of the fake ones; the promise holds for a fixed number


def run(config, workdir, console, stop_at=None):
    return train(
        checked(config),
        workdir,
        Progress(console),
        should_stop=lambda step: step == stop_at,
        devices=jax.devices()[:DEVICES],
    )


def arrays(state):
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}


def metrics_of(workdir):
    return [line.split('"time"')[0] for line in (workdir / METRICS).read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """What a run that nobody stops leaves: arrays by name, and lines of metrics."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    state = run(tiny_recipe(shards), workdir, Console(file=io.StringIO()))
    return arrays(state), metrics_of(workdir)


@pytest.mark.parametrize("stop_at", [4, 8, *(pytest.param(step, marks=pytest.mark.long) for step in (2, 6, 7))])
def test_every_place(tiny, tmp_path, quiet, undisturbed, stop_at):
    """Stages end at steps 4, 7 and 10."""
    whole, metrics = undisturbed
    assert metrics
    with pytest.raises(Stopped, match=f"stopped after step {stop_at}"):
        run(tiny, tmp_path / "run", quiet, stop_at)
    resumed = arrays(run(tiny, tmp_path / "run", quiet))
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert metrics_of(tmp_path / "run") == metrics, "nothing is logged twice or lost"


def test_during_a_validation(tiny, tmp_path, quiet, undisturbed):
    """It is given up, and made good when the run goes on."""
    asked = []

    def during_the_first(step):
        asked.append(step)
        return asked.count(5) == 2  # once after the step, then after the validation's first batch

    whole, metrics = undisturbed
    with pytest.raises(Stopped, match="stopped after step 5"):
        train(
            checked(tiny),
            tmp_path / "run",
            Progress(quiet),
            should_stop=during_the_first,
            devices=jax.devices()[:DEVICES],
        )
    resumed = arrays(run(tiny, tmp_path / "run", quiet))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert metrics_of(tmp_path / "run") == metrics


def test_killed_between_checkpoints(tiny, tmp_path, quiet, undisturbed):
    """A run that could not save goes on from the checkpoint before, and ends the same."""
    whole, _ = undisturbed

    class Killed(BaseException):
        pass

    def kill(step):
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        train(checked(tiny), tmp_path / "killed", Progress(quiet), should_stop=kill, devices=jax.devices()[:DEVICES])
    resumed = arrays(run(tiny, tmp_path / "killed", quiet))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    kept = {int(p.name) for p in (tmp_path / "killed" / "checkpoints").iterdir() if p.name.isdigit()}
    assert {4, 7, 10} <= kept, "the checkpoints at the stages' ends stay for good"


def test_another_specification_is_refused(tiny, tmp_path, quiet):
    """Whatever would change the run silently is named; what only shows or keeps is free, and so are later steps."""
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 5)
    for change, named in (
        ({"seed": 1}, r"seed \(0 then, 1 now\)"),
        ({"batch_size": 16}, "batch_size"),
        ({"hole_px": (8, 12)}, "hole_px"),
        ({"holes.rectangles.count": (1, 2)}, "holes.rectangles.count"),
        ({"completion.output": "tanh"}, r"completion.output \('sigmoid' then, 'tanh' now\)"),
        ({"completion.width_multiplier": 0.0625}, "completion.width_multiplier"),
        ({"completion_steps": 5}, r"completion_steps \(4 then, 5 now\)"),
    ):
        changed = tiny.copy_and_resolve_references()
        changed.update_from_flattened_dict(change)
        with pytest.raises(UserError, match=f"started with another config: .*{named}"):
            run(changed, tmp_path / "run", quiet)
    tiny.log_every_steps, tiny.discriminator_steps, tiny.joint_steps = 3, 2, 4
    assert int(run(tiny, tmp_path / "run", quiet).step) == 10


def test_other_data_are_refused(tiny, tmp_path, quiet, photographs):
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 2)
    prepare([str(photographs / "a")], tmp_path / "others", Settings(val_fraction=0.2))
    tiny.data_dir = str(tmp_path / "others")
    with pytest.raises(UserError, match="started with other data"):
        run(tiny, tmp_path / "run", quiet)


def test_checkpoint_of_another_network(tiny, tmp_path, quiet):
    """Shapes are compared too: a checkpoint may lie."""
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 2)
    tiny.completion.width_multiplier = 0.0625
    like = jax.eval_shape(lambda: initial_state(checked(tiny), build_specification(checked(tiny), (0.5, 0.5, 0.5))))
    one = replicated(make_mesh(jax.devices()[:1]))
    with pytest.raises(UserError, match=r"does not fit this config: completion/.* there, .* here"):
        restore_newest(tmp_path / "run" / "checkpoints", like, one, check=lambda *_: None, say=print)


def test_a_damaged_checkpoint_is_set_aside(tiny, tmp_path, quiet, undisturbed):
    """The run goes on from the one before, and ends as if nothing had happened."""
    whole, _ = undisturbed
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 6)
    data = max((tmp_path / "run" / "checkpoints" / "6" / "state").rglob("d/*"), key=lambda path: path.stat().st_size)
    altered = bytearray(data.read_bytes())
    altered[len(altered) // 2] ^= 1
    data.write_bytes(altered)
    console = Console(file=io.StringIO(), width=300)
    resumed = arrays(run(tiny, tmp_path / "run", console))
    said = console.file.getvalue()
    assert "the checkpoint of step 6 is damaged" in said and "continuing from the checkpoint of step 5" in said
    assert (tmp_path / "run" / "checkpoints" / "damaged-6").is_dir()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_a_change_can_be_allowed(tiny, tmp_path, quiet):
    tiny.discriminator_steps = tiny.joint_steps = 0
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 3)
    tiny.alpha = 0.01
    with pytest.raises(UserError, match=r"alpha \(0.0004 then, 0.01 now\).* --allow_config_change"):
        run(tiny, tmp_path / "run", quiet)
    console = Console(file=io.StringIO(), width=300)
    devices = jax.devices()[:DEVICES]
    state = train(checked(tiny), tmp_path / "run", Progress(console), devices=devices, allow_config_change=True)
    assert int(state.step) == 4 and "the config has changed: alpha (0.0004 then, 0.01 now)" in console.file.getvalue()


def test_two_runs_in_one_folder(tiny, tmp_path, quiet):
    (tmp_path / "lock").write_text("process 1 on a host that is no more")  # a stale one is no hindrance
    with pytest.raises(UserError, match=r"the run in .* is in use by process \d+ on "):
        train(
            checked(tiny),
            tmp_path,
            Progress(quiet),
            should_stop=lambda step: bool(run(tiny, tmp_path, quiet)),
            devices=jax.devices()[:DEVICES],
        )


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(9,), pytest.param((3, 6, 9), marks=pytest.mark.long)])
def test_every_option_of_small_budgets_resumes(tiny, tmp_path, quiet, stops):
    """No normalisation, an average of weights, schedules, D's options: in every stage, by this loop and Orbax."""
    tiny.update_from_flattened_dict(
        {
            "completion.normalization": "none", "completion.residual": True, "completion.upsampling": "nearest",
            "completion.output": "linear", "completion.negative_slope": 0.2, "initial_values": "he",
            "completion_loss": "absolute", "completion_loss_over": "hole", "completion_schedule": "cosine",
            "completion_warmup_steps": 2, "completion_clip_norm": 0.1, "completion_average_half_life_samples": 16,
            "discriminator.normalization": "none", "discriminator.spectral_normalization": True,
            "discriminator.patch_logits": True, "discriminator.mask_channel": True, "discriminator_schedule": "cosine",
            "discriminator_clip_norm": 1.0, "r1_weight": 1.0, "r1_every_steps": 2, "adversarial_ratio": 0.5,
            "feature_matching_weight": 1.0,
        }
    )  # fmt: skip
    whole = arrays(run(tiny, tmp_path / "undisturbed", quiet))
    assert any("average" in name for name in whole)
    for stop_at in stops:
        with pytest.raises(Stopped):
            run(tiny, tmp_path / "run", quiet, stop_at)
    resumed = arrays(run(tiny, tmp_path / "run", quiet))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    card = read_card(tmp_path / "run" / "model")
    assert card.completion.network["normalization"] == "none" and card.completion.network["output"] == "linear"
