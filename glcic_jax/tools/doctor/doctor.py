"""Every check of `doctor`, in order; each uses what the ones before it found out."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict
from rich.console import Console

from glcic_jax.run.config import Config
from glcic_jax.run.init_from import check_conventions, read_weights
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import build_specification
from glcic_jax.tools.doctor import machine
from glcic_jax.tools.doctor.checks import Check, Status, print_checks, run_check
from glcic_jax.tools.doctor.run_folder import Data, check_workdir, find_newest_step
from glcic_jax.tools.doctor.steps import StepTimer
from glcic_jax.tools.synthetic import count_state_bytes, state_shapes
from glcic_jax.training.mesh import check_batch_size, make_mesh
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState

_GREY = (0.5, 0.5, 0.5)  # the mean colour while no data give it; it changes neither size nor speed


def examine(recipe: ConfigDict, workdir: Path, measure_steps: bool) -> list[Check]:
    """Runs all checks, prints them in three tables, and returns them."""
    console, doctor = Console(), Doctor(recipe, workdir, measure_steps)
    results: list[Check] = []
    for title, status, checks in (
        ("This machine", "looking at this machine", doctor.check_machine()),
        ("The run", "looking at data and disk", doctor.check_run()),
        ("Speed", "measuring loader and training steps (--nosteps leaves the steps out)", doctor.check_speed()),
    ):
        with console.status(status):
            section = list(checks)
        print_checks(console, title, section)
        results += section
    return results


class Doctor:
    """The checks of one recipe on this machine, in three parts, to be called in this order."""

    def __init__(self, recipe: ConfigDict, workdir: Path, measure_steps: bool):
        self._recipe, self._workdir, self._measure_steps = recipe, workdir, measure_steps
        self._config: Config | None = None
        self._devices: list[jax.Device] = []
        self._data: Data | None = None
        self._spec: TrainingSpecification | None = None
        self._shapes: TrainState | None = None
        self._fits_devices = False
        self._loader_rate: float | None = None

    def check_machine(self) -> Iterator[Check]:
        """Versions, devices, GPU, memory, all-reduce."""
        yield from machine.check_versions()
        if hasattr(os, "getloadavg"):
            yield from machine.check_load(os.getloadavg()[0], os.cpu_count() or 1)
        yield from run_check("devices", self._check_devices)
        if self._devices:
            yield from run_check("all-reduce", lambda: [machine.check_all_reduce(self._devices)])

    def check_run(self) -> Iterator[Check]:
        """Recipe, data, batch size, workdir and disk, weights to start from."""
        yield from run_check("recipe", self._read_recipe)
        if self._config is None or self._data is None:
            return
        config, data = self._config, self._data
        yield from run_check("data", data.check)
        yield from run_check("recipe", lambda: self._check_recipe(config, data))
        yield from run_check("batch size", lambda: self._check_batch_size(config))
        if self._shapes is not None:
            state_bytes = count_state_bytes(self._shapes)
            yield from run_check("workdir", lambda: check_workdir(self._workdir, config, state_bytes))
        if config.init_from:
            yield from run_check("init_from", lambda: self._check_weights(config))

    def check_speed(self) -> Iterator[Check]:
        """The loader's rate, the steps of every stage, the time to the end."""
        config, data = self._config, self._data
        if self._spec is None or data is None or data.reader is None:
            yield Check(Status.WARNING, "loader", "not measured", "mend what is above")
        else:
            yield from run_check("loader", lambda: self._check_loader(data))
        if not self._measure_steps:
            return
        if config is None or self._spec is None or self._shapes is None or not self._fits_devices:
            yield Check(Status.WARNING, "steps", "not measured", "mend what is above")
            return
        timer = StepTimer(
            config,
            self._spec,
            self._shapes,
            make_mesh(self._devices),
            done=find_newest_step(self._workdir),
            loader_rate=self._loader_rate,
        )
        yield from run_check("steps", timer.check)

    def _read_recipe(self) -> Iterator[Check]:
        self._config = Config.from_config_dict(self._recipe)
        self._data = Data(self._config)
        yield from ()

    def _check_devices(self) -> Iterator[Check]:
        try:
            self._devices = jax.local_devices()
        except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform could be opened
            platforms = os.environ.get("JAX_PLATFORMS")
            reason = (str(error).strip().splitlines() or ["no platform could be opened"])[0]
            advice = f"JAX_PLATFORMS={platforms} allows no other; unset it" if platforms else ""
            yield Check(Status.PROBLEM, "devices", f"JAX finds none: {reason}", advice)
            return
        kinds = [device.platform for device in self._devices]
        yield machine.check_accelerator(kinds, machine.find_nvidia_signs(), dict(os.environ))
        yield from machine.check_devices(self._devices)

    def _check_recipe(self, config: Config, data: Data) -> Iterator[Check]:
        manifest = data.manifest
        mean_color = manifest.splits["train"].mean_color if manifest else _GREY
        spec = build_specification(config, mean_color)
        self._shapes = state_shapes(config, spec)  # tries the networks on these sizes
        self._spec = spec
        steps = " + ".join(f"{stage.stop - stage.start:,}" for stage in stages(config))
        yield Check(Status.OK, "recipe", f"{steps} steps of {config.batch_size} samples, {config.crop_px} px")

    def _check_batch_size(self, config: Config) -> Iterator[Check]:
        if self._devices:
            check_batch_size(config.batch_size, make_mesh(self._devices), config.microbatches)
            self._fits_devices = True
        yield from ()

    def _check_weights(self, config: Config) -> Iterator[Check]:
        assert config.weights_path is not None
        weights = read_weights(config.weights_path)
        check_conventions(weights, config)
        yield Check(Status.OK, "init_from", str(weights.path))

    def _check_loader(self, data: Data) -> Iterator[Check]:
        self._loader_rate, threads = data.measure_rate()
        yield Check(Status.OK, "loader", f"{self._loader_rate:,.0f} images/s with {threads} thread(s)")
