"""All of `doctor`'s checks in their order; each uses what those before it could find out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from glcic_jax.cli import doctor_machine
from glcic_jax.cli.doctor_run import Data, newest_step, workdir_disk
from glcic_jax.cli.doctor_steps import Steps, state_bytes, state_shapes
from glcic_jax.cli.findings import Finding, Mark, guarded
from glcic_jax.training.init_from import check_conventions, read_weights
from glcic_jax.training.mesh import check_batch_size, make_mesh
from glcic_jax.training.setup import Config, build_problem, check, stages
from glcic_jax.training.step import Problem

_GREY = (0.5, 0.5, 0.5)  # the mean colour where no data tell it; it changes neither size nor speed


class Doctor:
    """The checks of one recipe on this machine, in three parts, to be called in their order."""

    def __init__(self, config: Config, workdir: Path, measure_steps: bool):
        self._config, self._workdir, self._measure_steps = config, workdir, measure_steps
        self._devices: list[Any] = []
        self._data = Data(config)
        self._problem: Problem | None = None
        self._shapes: Any = None
        self._fits_devices = False

    def machine(self) -> Iterator[Finding]:
        """Versions, devices, GPU, memory, all-reduce."""
        yield from doctor_machine.versions()
        yield from guarded("devices", self._find_devices)
        if self._devices:
            yield from guarded("all-reduce", lambda: [doctor_machine.all_reduce(self._devices)])

    def run(self) -> Iterator[Finding]:
        """Data, recipe, workdir and disk, weights to start from."""
        config = self._config
        yield from guarded("data", self._data.check)
        yield from guarded("recipe", self._check_recipe)
        yield from guarded("batch size", self._check_batch_size)
        if self._problem is not None:
            state = state_bytes(self._shapes)
            yield from guarded("workdir", lambda: workdir_disk(self._workdir, config, state))
        if config.init_from:
            yield from guarded("init_from", self._check_weights)

    def speed(self) -> Iterator[Finding]:
        """The loader's rate, steps of every stage, time to the end."""
        rates: list[float] = []
        if self._problem is None or self._data.reader is None:
            yield Finding(Mark.WARNING, "loader", "not measured", "mend what is above")
        else:
            yield from guarded("loader", lambda: self._loader(rates))
        if not self._measure_steps:
            return
        if self._problem is None or not self._fits_devices:
            yield Finding(Mark.WARNING, "steps", "not measured", "mend what is above")
            return
        steps = Steps(
            self._config,
            self._problem,
            self._shapes,
            make_mesh(self._devices),
            done=newest_step(self._workdir),
            loader_rate=rates[0] if rates else None,
        )
        yield from guarded("steps", steps.check)

    def _find_devices(self) -> Iterator[Finding]:
        try:
            self._devices = jax.local_devices()
        except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform could be opened
            asked = os.environ.get("JAX_PLATFORMS")
            reason = (str(error).strip().splitlines() or ["no platform could be opened"])[0]
            hint = f"JAX_PLATFORMS={asked} allows no other; unset it" if asked else ""
            yield Finding(Mark.PROBLEM, "devices", f"JAX finds none: {reason}", hint)
            return
        platforms = [device.platform for device in self._devices]
        yield doctor_machine.accelerator(platforms, doctor_machine.nvidia_signs(), dict(os.environ))
        yield from doctor_machine.devices_and_memory(self._devices)

    def _check_recipe(self) -> Iterator[Finding]:
        config = self._config
        check(config)
        manifest = self._data.manifest
        mean_color = tuple(manifest["splits"]["train"]["mean_color"]) if manifest else _GREY
        problem = build_problem(config, mean_color)
        self._shapes = state_shapes(config, problem)  # tries the networks on these sizes
        self._problem = problem
        steps = " + ".join(f"{stage.stop - stage.start:,}" for stage in stages(config))
        yield Finding(Mark.OK, "recipe", f"{steps} steps of {config.batch_size} samples, {config.crop_px} px")

    def _check_batch_size(self) -> Iterator[Finding]:
        if self._devices:
            check_batch_size(self._config.batch_size, make_mesh(self._devices), self._config.microbatches)
            self._fits_devices = True
        yield from ()

    def _check_weights(self) -> Iterator[Finding]:
        weights = read_weights(Path(self._config.init_from))
        check_conventions(weights, self._config.completion)
        yield Finding(Mark.OK, "init_from", str(weights.path))

    def _loader(self, rates: list[float]) -> Iterator[Finding]:
        rate, threads = self._data.rate()
        rates.append(rate)
        yield Finding(Mark.OK, "loader", f"{rate:,.0f} images/s with {threads} thread(s)")
