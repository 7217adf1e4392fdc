"""The loop: the steps of all three stages, and what is due between them."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from glcic_jax.run.config import Config
from glcic_jax.run.finite import explained_by_stage, require_finite
from glcic_jax.run.interval import Interval
from glcic_jax.run.progress import Progress
from glcic_jax.run.schedule import Stage, due_after, stages
from glcic_jax.run.session import Session, open_session
from glcic_jax.training.mesh import map_over_mesh, put_batch
from glcic_jax.training.rival_steps import cooperative_joint_step, deaf_joint_step
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import Step, completion_step, discriminator_step, joint_step

JOINT_STEPS: dict[str, Step] = {
    "fooling": joint_step,
    "none": deaf_joint_step,
    "cooperative": cooperative_joint_step,
}
"""The step of stage 3 by the recipe's key `adversarial`."""


class Stopped(Exception):
    """The run was asked to stop and has saved; the same command continues it."""


def train(
    config: Config,
    workdir: Path,
    progress: Progress,
    *,
    should_stop: Callable[[int], bool] = lambda step: False,
    devices: Sequence[jax.Device] | None = None,
    allow_config_change: bool = False,
    restart: bool = False,
) -> TrainState:
    """Trains from the newest checkpoint in `workdir`, or from the start, to the end; leaves `workdir/model`.

    Args:
        config: the recipe.
        workdir: folder of the run, created if missing.
        progress: where the run shows how it goes.
        should_stop: asked with the number of steps done, after every step and during what takes long: validation
            and, if this is the only process, waiting for data.
        devices: all, unless given.
        allow_config_change: go on although the recipe or the data are not those that the run was started with.
        restart: start from the beginning if there are checkpoints and all are damaged.

    Raises: UserError for what a user can mend; Stopped after saving, if should_stop said so;
        FloatingPointError if a loss or a parameter is not finite.
    """
    with open_session(
        config,
        workdir,
        progress,
        should_stop=should_stop,
        devices=devices,
        allow_config_change=allow_config_change,
        restart=restart,
    ) as (session, (_, state, step)):
        plan = stages(config)
        if any(step == stage.stop for stage in plan if stage):
            session.export(step, state)  # the run may have been stopped between this checkpoint and the model
        if step >= plan[-1].stop:
            progress.say(f"all {plan[-1].stop} steps are done already")
        for stage in plan:
            if (
                stage.start < step <= stage.stop
                and due_after(step, stage, config).validate
                and session.lacks_scores(step)
            ):
                _validate(session, stage, step, state)
            if step < stage.stop:
                with explained_by_stage(stage, session.checkpoints.folder):
                    state, step = _run_stage(session, stage, step, state), stage.stop
                session.export(step, state)
        session.events.record("finished", step=step)
    return state


def choose_step(stage: Stage, config: Config) -> Step:
    """The step that a stage of this recipe repeats."""
    return (completion_step, discriminator_step, JOINT_STEPS[config.adversarial])[stage.number - 1]


def _run_stage(session: Session, stage: Stage, done: int, state: TrainState) -> TrainState:
    """The steps of a stage that are left after `done` steps of the run."""
    step_on_mesh = map_over_mesh(functools.partial(choose_step(stage, session.config), spec=session.spec), session.mesh)
    session.progress.start_stage(stage, done)
    interval = Interval(session.config.batch_size)
    for step in range(done + 1, stage.stop + 1):
        session.watchdog.reset()
        with interval.waiting_for_data():
            batch = session.batches.next(functools.partial(session.stops_while_waiting, step - 1))
        if batch is None:
            raise _stop(session, step - 1, state)
        placed = put_batch(session.mesh, batch)
        session.first_step.begin()
        no_copies = jax.transfer_guard("disallow")  # a hidden one would cost speed every step
        with session.profile.step(step - 1, interval.pending), no_copies:
            state, metrics = step_on_mesh(state, placed)
        session.first_step.end(metrics)
        interval.add(step, metrics)
        due, stop = due_after(step, stage, session.config), session.should_stop(step)
        if any(due) or stop:
            interval.fetch()
        if due.log:
            _log(session, stage, step, interval.read(), state)
        if stop:  # before anything that takes long
            raise _stop(session, step, state)
        if due.validate or due.save:  # the figures are from before the update
            require_finite(state, step)
        if due.validate:
            _validate(session, stage, step, state)
        if step == stage.stop:
            session.checkpoints.save_for_sure(step, state)
        elif due.save:
            session.checkpoints.save(step, state)
        if any(due) or step == done + 1:  # the first step compiles
            interval.restart_clock()
        session.progress.advance(step)
    return state


def _log(session: Session, stage: Stage, step: int, figures: dict[str, float], state: TrainState) -> None:
    """Tells the figures of an interval, and what they and the data give cause to tell."""
    figures |= session.telemetry.log_damaged(step, session.dataset.photographs.damaged())
    session.telemetry.scalars(step, stage.number, figures)
    session.events.record("logged", step=step)
    session.progress.log(step, figures)
    session.telemetry.log_alarms(step, session.health.read(step, stage.number, figures))
    session.checkpoints.save_again_if_failed(step, state)


def _validate(session: Session, stage: Stage, step: int, state: TrainState) -> None:
    """Scores and pictures of the state after `step` steps. Raises: Stopped, if asked to meanwhile."""
    if session.validation is None:
        return
    session.events.record("validating", step=step)
    judge = state.discriminator.variables if stage.number > 1 else None
    result = session.validation(state.best_completion, judge, functools.partial(session.may_go_on, step))
    if result is None:
        raise _stop(session, step, state)
    scores, grid = result
    session.telemetry.scalars(step, stage.number, scores)
    session.telemetry.grid(step, grid)
    session.progress.log_validation(step, scores)
    session.telemetry.log_alarms(step, session.health.read(step, stage.number, scores))


def _stop(session: Session, step: int, state: TrainState) -> Stopped:
    """Saves the state after `step` steps; returns what to raise."""
    require_finite(state, step)
    session.checkpoints.save_for_sure(step, state)
    session.events.record("stopped", step=step)
    return Stopped(f"stopped after step {step}, saved in {session.workdir}; the same command continues")
