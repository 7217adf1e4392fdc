"""The services of one training run: opened together, closed in order."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from jax.sharding import Mesh

from glcic_jax.run.begin import Beginning, restore_or_begin
from glcic_jax.run.checkpoint import Checkpoints
from glcic_jax.run.config import Config
from glcic_jax.run.dataset import Dataset
from glcic_jax.run.events import EVENTS, EventLog
from glcic_jax.run.export import export_model
from glcic_jax.run.health import Health
from glcic_jax.run.metrics_file import METRICS, has_scores, read_metrics_file
from glcic_jax.run.origin import Origin
from glcic_jax.run.prefetch import Prefetcher
from glcic_jax.run.processes import as_first_says, is_first, run_on_first
from glcic_jax.run.profile import Profile
from glcic_jax.run.progress import FirstStep, Progress
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import build_specification
from glcic_jax.run.telemetry import Telemetry
from glcic_jax.run.validation import Validation
from glcic_jax.run.watchdog import Watchdog
from glcic_jax.run.workdir import hold_workdir, write_config
from glcic_jax.training.judgement import judge_held_out
from glcic_jax.training.mesh import check_batch_size, make_mesh
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState

ShouldStop = Callable[[int], bool]
FEW_PHOTOGRAPHS = 10
"""Scores on fewer of them are said to be of little worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """What a run works with while it trains.

    spec: with the mean colour that the weights were trained to see.
    should_stop: asked with the number of steps done; all processes ask, and all get the same answer.
    """

    config: Config
    workdir: Path
    mesh: Mesh
    spec: TrainingSpecification
    dataset: Dataset
    batches: Prefetcher
    validation: Validation | None
    checkpoints: Checkpoints
    telemetry: Telemetry
    events: EventLog
    progress: Progress
    first_step: FirstStep
    profile: Profile
    health: Health
    watchdog: Watchdog
    should_stop: ShouldStop

    def stops_while_waiting(self, step: int) -> bool:
        """Whether to stop while waiting for data, which several processes could not agree on."""
        return jax.process_count() == 1 and self.should_stop(step)

    def may_go_on(self, step: int) -> bool:
        """Whether to go on with something that takes long; resets the watchdog."""
        self.watchdog.reset()
        return not self.should_stop(step)

    def lacks_scores(self, step: int) -> bool:
        """Whether the validation at `step` was not written down before the run was stopped."""
        return not as_first_says(is_first() and has_scores(read_metrics_file(self.workdir / METRICS), step))

    def export(self, step: int, state: TrainState) -> None:
        """Writes the model after `step` steps; several processes wait for it."""

        def write() -> None:
            export_model(self.workdir / "model", self.config, self.spec, state, self.dataset.manifest)
            self.events.record("exported", step=step)

        run_on_first(write, self.watchdog.reset)


@contextlib.contextmanager
def open_session(
    config: Config,
    workdir: Path,
    progress: Progress,
    *,
    should_stop: ShouldStop,
    devices: Sequence[jax.Device] | None,
    allow_config_change: bool,
    restart: bool,
) -> Iterator[tuple[Session, Beginning]]:
    """Checks what can be checked, takes the lock, finds where to begin, and opens the rest. Raises: UserError."""
    first_step = FirstStep(progress.say)
    mesh = make_mesh(list(devices) if devices else None)
    check_batch_size(config.batch_size, mesh, config.microbatches)
    dataset = Dataset.open(config)
    spec = build_specification(config, dataset.mean_color)
    with hold_workdir(workdir), Watchdog(config.watchdog_secs) as watchdog, contextlib.ExitStack() as stack:
        device = mesh.devices.flat[0].device_kind
        progress.say(f"{mesh.size} x {device}, {len(dataset.photographs)} photographs, {workdir}")
        events = EventLog(workdir / EVENTS if is_first() else None, progress.say)
        events.record("started", process_count=jax.process_count(), device_count=mesh.size)
        beginning = restore_or_begin(
            config,
            spec,
            shards=dataset.checksums,
            checkpoints=workdir / "checkpoints",
            mesh=mesh,
            say=progress.say,
            events=events,
            allow_config_change=allow_config_change,
            restart=restart,
        )
        write_config(workdir, config)
        telemetry = Telemetry(workdir, beginning.step, progress.say, writes=is_first())
        health = Health(config.adversarial == "fooling")
        if is_first():  # the others tell nobody, and the file server has better things to do
            health.replay(workdir / METRICS)
        profile = Profile(config.profile_steps if is_first() else (0, 0), workdir / "profile", progress.say)
        session = Session(
            config=config,
            workdir=workdir,
            mesh=mesh,
            spec=beginning.spec,
            dataset=dataset,
            checkpoints=stack.enter_context(_open_checkpoints(config, workdir, beginning, dataset, progress, events)),
            telemetry=stack.enter_context(telemetry),
            events=events,
            progress=stack.enter_context(progress),
            first_step=first_step,
            profile=stack.enter_context(profile),
            validation=_open_validation(config, beginning.spec, dataset, mesh, progress),
            batches=stack.enter_context(Prefetcher(dataset.batches(config, beginning.step))),
            health=health,
            watchdog=watchdog,
            should_stop=should_stop,
        )
        yield session, beginning


def _open_checkpoints(
    config: Config, workdir: Path, beginning: Beginning, dataset: Dataset, progress: Progress, events: EventLog
) -> Checkpoints:
    return Checkpoints(
        workdir / "checkpoints",
        Origin.of_run(config, dataset.checksums, beginning.spec.completion.mean_color),
        keep_latest=config.keep_checkpoints,
        keep_steps=[stage.stop for stage in stages(config) if stage],
        say=progress.say,
        events=events,
    )


def _open_validation(
    config: Config, spec: TrainingSpecification, dataset: Dataset, mesh: Mesh, progress: Progress
) -> Validation | None:
    samples = dataset.validation_samples(config)
    if samples is None:
        progress.say(f"{dataset.folder} has no split 'val': training goes on without validation scores and grids")
        return None
    if (photographs := dataset.validation_photographs) < FEW_PHOTOGRAPHS:
        progress.say(
            f"only {photographs} photograph(s) to validate on, shown with many holes: PSNR will say little about "
            "others; --val_fraction of prepare sets more apart"
        )
    judges = functools.partial(judge_held_out, spec)
    return Validation(spec.completion, samples, config.batch_size, config.grid_samples, mesh, judges)
