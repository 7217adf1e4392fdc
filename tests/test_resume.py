"""Stopped at step k and run again: bit-equal to an uninterrupted run, inside every stage and on the borders."""

import io

import jax
import numpy as np
import pytest
from rich.console import Console

from glcic_jax.data.prepare import Settings, prepare
from glcic_jax.errors import UserError
from glcic_jax.training.checkpoint import restore_newest
from glcic_jax.training.loop import Stopped, train
from glcic_jax.training.mesh import make_mesh, replicated
from glcic_jax.training.progress import Progress
from glcic_jax.training.setup import build_problem, initial_state
from glcic_jax.training.telemetry import METRICS
from tests.conftest import tiny_recipe

DEVICES = 2  # of the fake ones; the promise holds for a fixed number


def run(config, workdir, console, stop_at=None):
    return train(
        config,
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


def test_every_place(tiny, tmp_path, quiet, undisturbed):
    """Stages end at steps 4, 7 and 10."""
    whole, metrics = undisturbed
    assert metrics
    for stop_at in (2, 4, 7, 8):
        workdir = tmp_path / str(stop_at)
        with pytest.raises(Stopped, match=f"stopped after step {stop_at}"):
            run(tiny, workdir, quiet, stop_at)
        resumed = arrays(run(tiny, workdir, quiet))
        assert resumed.keys() == whole.keys()
        for name, value in whole.items():
            np.testing.assert_array_equal(resumed[name], value, err_msg=f"stopped at {stop_at}: {name}")
        assert metrics_of(workdir) == metrics, "nothing is logged twice or lost"


def test_during_a_validation(tiny, tmp_path, quiet, undisturbed):
    """It is given up, and made good when the run goes on."""
    asked = []

    def during_the_first(step):
        asked.append(step)
        return asked.count(5) == 2  # once after the step, then after the validation's first batch

    whole, metrics = undisturbed
    with pytest.raises(Stopped, match="stopped after step 5"):
        train(tiny, tmp_path / "run", Progress(quiet), during_the_first, jax.devices()[:DEVICES])
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
        train(tiny, tmp_path / "killed", Progress(quiet), kill, jax.devices()[:DEVICES])
    resumed = arrays(run(tiny, tmp_path / "killed", quiet))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    kept = {int(p.name) for p in (tmp_path / "killed" / "checkpoints").iterdir() if p.name.isdigit()}
    assert {4, 7, 10} <= kept, "the checkpoints at the stages' ends stay for good"


def test_another_problem_is_refused(tiny, tmp_path, quiet):
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
    like = jax.eval_shape(lambda: initial_state(tiny, build_problem(tiny, (0.5, 0.5, 0.5))))
    one = replicated(make_mesh(jax.devices()[:1]))
    with pytest.raises(UserError, match=r"does not fit this config: completion/.* there, .* here"):
        restore_newest(tmp_path / "run" / "checkpoints", like, one, lambda *_: None, print)


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
    with pytest.raises(Stopped):
        run(tiny, tmp_path / "run", quiet, 9)
    tiny.alpha = 0.01
    with pytest.raises(UserError, match=r"alpha \(0.0004 then, 0.01 now\).* --allow_config_change"):
        run(tiny, tmp_path / "run", quiet)
    console = Console(file=io.StringIO(), width=300)
    devices = jax.devices()[:DEVICES]
    state = train(tiny, tmp_path / "run", Progress(console), devices=devices, allow_config_change=True)
    assert int(state.step) == 10 and "the config has changed: alpha (0.0004 then, 0.01 now)" in console.file.getvalue()


def test_two_runs_in_one_folder(tiny, tmp_path, quiet):
    (tmp_path / "lock").write_text("process 1 on a host that is no more")  # a stale one is no hindrance
    with pytest.raises(UserError, match=r"the run in .* is in use by process \d+ on "):
        train(tiny, tmp_path, Progress(quiet), lambda step: bool(run(tiny, tmp_path, quiet)), jax.devices()[:DEVICES])
