"""The loop: one pass over the steps of all three stages, with everything that has side effects around it."""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from glcic_jax.atomic import atomic_file
from glcic_jax.data.loader import batches, fixed_samples
from glcic_jax.data.reading import Reader
from glcic_jax.data.shards import open_split, read_manifest
from glcic_jax.errors import UserError
from glcic_jax.lock import locked
from glcic_jax.models import folder as model_folder
from glcic_jax.training.checkpoint import Checkpoints, restore_newest
from glcic_jax.training.export import export_model
from glcic_jax.training.health import Health
from glcic_jax.training.init_from import check_conventions, initialised_from, read_weights
from glcic_jax.training.mesh import check_batch_size, make_mesh, map_over_mesh, put_batch, put_replicated, replicated
from glcic_jax.training.processes import Watchdog, is_first
from glcic_jax.training.profile import Profile
from glcic_jax.training.progress import Progress
from glcic_jax.training.resume import changed_keys, check_continues
from glcic_jax.training.run import Run, read_metrics, require_finite
from glcic_jax.training.setup import (
    Config,
    Stage,
    build_problem,
    check,
    hole_drawer,
    initial_state,
    run_samples,
    stages,
)
from glcic_jax.training.state import TrainState
from glcic_jax.training.step import Problem
from glcic_jax.training.telemetry import METRICS, Meter, NoTelemetry, Telemetry
from glcic_jax.training.validation import Validation
from glcic_jax.training.waiting import Ahead


class Stopped(Exception):
    """The run was asked to stop and has saved; the same command continues it."""


def train(
    config: Config,
    workdir: Path,
    progress: Progress,
    should_stop: Callable[[int], bool] = lambda step: False,
    devices: list[jax.Device] | None = None,
    allow_config_change: bool = False,
) -> TrainState:
    """Trains from the newest checkpoint in `workdir`, or from the start, to the end; leaves `workdir/model`.

    Args:
        config: a recipe; see configs/places2.py for the keys.
        workdir: folder of the run, created if missing.
        progress: where the run shows how it goes.
        should_stop: asked after every step, with the number of steps done, and during what takes long: validation
            and, if this is the only process, waiting for data.
        devices: all, unless given.
        allow_config_change: go on although the recipe or the data are not those that the run was started with.

    Raises: UserError for what a user can mend; Stopped after saving, if should_stop said so;
        FloatingPointError if a loss or a parameter is not finite.
    """
    check(config)
    began = time.perf_counter()
    mesh = make_mesh(devices)
    check_batch_size(config.batch_size, mesh, config.microbatches)
    data_dir = Path(config.data_dir)
    manifest = read_manifest(data_dir)
    reader = Reader(open_split(data_dir, manifest, "train"), config.max_damaged_share)
    problem = build_problem(config, tuple(manifest["splits"]["train"]["mean_color"]))
    plan = stages(config)
    total = plan[-1].stop
    model_folder.require_replaceable(workdir / "model")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use {workdir} as --workdir: {error.strerror}; choose another") from error
    samples = run_samples(config, reader)
    stage_ends = [stage.stop for stage in plan if stage.stop > stage.start]
    folder = workdir / "checkpoints"
    lock = locked(workdir / "lock", f"the run in {workdir}") if is_first() else contextlib.nullcontext()
    with lock, Watchdog(config.watchdog_secs) as watchdog:
        progress.say(f"{mesh.size} x {mesh.devices.flat[0].device_kind}, {len(reader)} photographs, {workdir}")
        problem, state, step = _start(config, problem, manifest, folder, mesh, progress, allow_config_change)
        if is_first():
            with atomic_file(workdir / "config.json") as partial:
                partial.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
        if step in stage_ends and is_first():  # it may have been stopped between this checkpoint and the model
            export_model(workdir / "model", config, problem, state, manifest)
        if step >= total:
            progress.say(f"all {total} steps are done already")
        with (
            Checkpoints(folder, config.keep_checkpoints, stage_ends) as checkpoints,
            Telemetry(workdir, step, progress.say) if is_first() else NoTelemetry() as telemetry,
            progress,
            Profile(config.profile_steps if is_first() else (0, 0), workdir / "profile", progress.say) as profile,
        ):
            health = Health(config.adversarial == "fooling")
            health.replay(workdir / METRICS)
            validation = _open_validation(config, problem, data_dir, manifest, mesh, progress)
            run = Run(
                config,
                workdir,
                mesh,
                problem,
                manifest,
                reader,
                validation,
                checkpoints,
                telemetry,
                progress,
                should_stop,
                watchdog,
                health,
                profile,
                began,
            )
            global_batches = batches(
                samples,
                batch_size=config.batch_size,
                start_step=step,
                stop_step=total,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            with Ahead(global_batches) as ahead:
                for stage in plan:
                    if stage.start < step <= stage.stop and run.owes_validation(step, step == stage.stop):
                        _validate(run, step, stage, state)
                    if max(step, stage.start) < stage.stop:
                        state = _run_stage(run, stage, state, max(step, stage.start), ahead)
                        if is_first():
                            export_model(workdir / "model", config, problem, state, manifest)
    return state


def _run_stage(run: Run, stage: Stage, state: TrainState, first: int, ahead: Ahead) -> TrainState:
    """Steps `first` ... `stage.stop` - 1."""
    config = run.config
    step_on_mesh = map_over_mesh(functools.partial(stage.step, problem=run.problem), run.mesh)
    run.progress.start_stage(stage, first)
    meter, interval = Meter(), []
    previous: dict[str, jax.Array] | None = None
    for done in range(first + 1, stage.stop + 1):
        run.watchdog.pat()
        asked = time.perf_counter()
        batch = ahead.next(functools.partial(run.stops_alone, done - 1))
        if batch is None:
            raise _stopped(run, done - 1, stage, state)
        waited = time.perf_counter() - asked
        placed = put_batch(run.mesh, batch)
        dispatched = time.perf_counter()
        no_copies = jax.transfer_guard("disallow")  # a hidden one would cost speed every step
        with run.profile.step(done - 1, previous), no_copies:
            state, metrics = step_on_mesh(state, placed)
        run.tell_first_step(metrics, dispatched)
        if previous is not None:
            # Read one step late: the device computes this step while the host reads the last one's figures.
            interval.append(read_metrics(previous, done - 1, stage, run.checkpoints.folder))
        previous = metrics
        meter.count(config.batch_size, waited)
        last, stop = done == stage.stop, run.should_stop(done)
        log, validate, save = (
            last or done % every == 0
            for every in (config.log_every_steps, config.validate_every_steps, config.checkpoint_every_steps)
        )
        if log or validate or save or stop:
            interval.append(read_metrics(previous, done, stage, run.checkpoints.folder))
            previous = None
        if log:
            values = _means(interval) | meter.read() | run.tell_damaged(done)
            run.telemetry.scalars(done, stage.number, values)
            run.progress.log(done, values)
            run.tell_alarms(done, stage, values)
            interval.clear()
            run.save_again_if_failed(done, state)
        if stop:  # before anything that takes long
            raise _stopped(run, done, stage, state)
        if validate or save:  # the figures are from before the update
            require_finite(state, done, stage, run.checkpoints.folder)
        if validate:
            _validate(run, done, stage, state)
        if last:
            run.save_for_sure(done, state)
        elif save:
            run.save(done, state)
        if log or validate or save or done == first + 1:  # the first step compiles
            meter.restart()
        run.progress.advance(done)
    return state


def _validate(run: Run, done: int, stage: Stage, state: TrainState) -> None:
    """Scores and pictures of the state after `done` steps. Raises: Stopped, if asked to meanwhile."""
    if run.validation is None:
        return
    found = run.validation(state.completion, functools.partial(run.still_alive, done))
    if found is None:
        raise _stopped(run, done, stage, state)
    scores, grid = found
    run.telemetry.scalars(done, stage.number, scores)
    run.telemetry.grid(done, grid)
    run.progress.log_validation(done, scores)
    run.tell_alarms(done, stage, scores)


def _stopped(run: Run, done: int, stage: Stage, state: TrainState) -> Stopped:
    """What to raise, once the state after `done` steps is saved."""
    require_finite(state, done, stage, run.checkpoints.folder)
    run.save_for_sure(done, state)
    return Stopped(f"stopped after step {done}, saved in {run.workdir}; the same command continues")


def _start(
    config: Config,
    problem: Problem,
    manifest: dict[str, Any],
    checkpoints: Path,
    mesh: Mesh,
    progress: Progress,
    allow_config_change: bool,
) -> tuple[Problem, TrainState, int]:
    """The state with its step: of the newest checkpoint, of config.init_from, or the initial one.

    With it the problem, whose mean colour is the one that the weights were trained to see.
    """

    def seen_by(mean_color: tuple[float, float, float]) -> Problem:
        return dataclasses.replace(problem, completion=problem.completion.clone(mean_color=mean_color))

    def check_about(step: int, about: dict[str, Any]) -> None:
        if not allow_config_change:
            check_continues(config, manifest, about, step)
        elif changed := changed_keys(config, about, step):
            progress.say(f"the config has changed: {', '.join(changed)}")

    # Only the shapes: computing the initial values would compile for seconds, to throw them away.
    like = jax.eval_shape(lambda: initial_state(config, problem))
    if found := restore_newest(checkpoints, like, replicated(mesh), check_about, progress.say):
        state, about, step = found
        progress.say(f"continuing from the checkpoint of step {step}")
        return seen_by(tuple(about["mean_color"])), state, step
    if config.init_from:
        weights = read_weights(Path(config.init_from))
        check_conventions(weights, config.completion)
        problem = seen_by(weights.mean_color)
        state, said = initialised_from(weights, initial_state(config, problem))
        progress.say(said)
    else:
        state = initial_state(config, problem)
    return problem, put_replicated(mesh, state), 0


def _open_validation(
    config: Config, problem: Problem, data_dir: Path, manifest: dict[str, Any], mesh: Mesh, progress: Progress
) -> Validation | None:
    if "val" not in manifest["splits"]:
        progress.say(f"{data_dir} has no split 'val': training goes on without validation scores and grids")
        return None
    samples = fixed_samples(
        Reader(open_split(data_dir, manifest, "val"), config.max_damaged_share),
        count=config.validation_samples,
        short_side_px=config.short_side_px[0],
        crop_px=config.crop_px,
        draw_hole=hole_drawer(config),
    )
    return Validation(problem.completion, samples, config.batch_size, config.grid_samples, mesh)


def _means(interval: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in interval])) for name in interval[0]}
