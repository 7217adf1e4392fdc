"""What a run needs around it: room on the disk for its checkpoints, its data, and how fast they load."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glcic_jax.data.decoding import decode_jpeg
from glcic_jax.data.loader import batches
from glcic_jax.data.manifest import Manifest, read_manifest
from glcic_jax.data.reading import Reader
from glcic_jax.data.shards import open_split
from glcic_jax.run.checkpoint_folder import list_steps
from glcic_jax.run.config import Config
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import run_samples
from glcic_jax.system.cores import usable_cores
from glcic_jax.system.units import format_bytes
from glcic_jax.tools.doctor.checks import Check, Status

_DECODED_RECORDS = 16
_MEASURED_SECS = 5.0


def check_disk(free: int, state: int, keep: int, stage_ends: int, present: int) -> Check:
    """Whether there is room for the checkpoints of a run.

    Args:
        free: bytes free where the workdir is, or will be.
        state: bytes of one checkpoint.
        keep: config.keep_checkpoints.
        stage_ends: checkpoints that are kept for good.
        present: bytes of the checkpoints that are there already.

    """
    count = keep + stage_ends + 1  # the one being written exists beside all others
    needed, usable = count * state, free + present
    result = f"{format_bytes(usable)} for {count} checkpoints of {format_bytes(state)}, {format_bytes(needed)} in all"
    if usable < needed:
        advice = f"free {format_bytes(needed - usable)}, give another --workdir, or lower --config.keep_checkpoints"
        return Check(Status.PROBLEM, "disk", result, advice)
    if usable < 1.5 * needed:
        return Check(Status.WARNING, "disk", result, "that is little: logs, grids and other runs need some too")
    return Check(Status.OK, "disk", result)


def check_workdir(workdir: Path, config: Config, state: int) -> Iterator[Check]:
    """Whether a workdir, which may not exist yet, can be written to and has room."""
    place = workdir.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        yield Check(Status.PROBLEM, "workdir", f"{place} is a file", "give another --workdir")
        return
    try:
        with (place / ".glcic-doctor").open("w"):  # permissions alone do not tell of a read-only mount
            pass
        (place / ".glcic-doctor").unlink()
    except OSError as error:
        yield Check(Status.PROBLEM, "workdir", f"cannot write to {place}: {error.strerror}", "give another --workdir")
        return
    step = find_newest_step(workdir)
    state_of_run = ""
    if step:
        state_of_run = f", goes on from step {step}"
    elif place != workdir.absolute():
        state_of_run = ", not there yet: it will be made"
    yield Check(Status.OK, "workdir", f"{workdir}{state_of_run}")
    # Only these make room for new ones; those that were set aside as damaged stay until somebody removes them.
    folders = (workdir / "checkpoints" / str(step) for step in list_steps(workdir / "checkpoints"))
    present = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    ends = sum(stage.stop > stage.start for stage in stages(config))
    yield check_disk(shutil.disk_usage(place).free, state, config.keep_checkpoints, ends, present)


def find_newest_step(workdir: Path) -> int:
    """The step of a run's newest checkpoint; 0 without one."""
    return max((int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()), default=0)


class Data:
    """The data set of a recipe; what could be opened is kept for later checks."""

    def __init__(self, config: Config):
        self._config, self._folder = config, config.data_folder
        self.manifest: Manifest | None = None
        self.reader: Reader | None = None

    def check(self) -> Iterator[Check]:
        """Manifest, sizes of the shards, first records. Raises: UserError."""
        manifest = read_manifest(self._folder)
        records = open_split(self._folder, manifest, "train")
        self.manifest, self.reader = manifest, Reader(records, self._config.max_damaged_share)
        yield self._check_split("train", records)
        if "val" in manifest.splits:
            yield self._check_split("val", open_split(self._folder, manifest, "val"))
        else:
            advice = f"add one: python launch/prepare.py --source=PHOTOGRAPHS --output={self._folder} --split=val"
            yield Check(Status.WARNING, "split val", "none: no validation scores and no grids", advice)

    def _check_split(self, name: str, records: Any) -> Check:
        assert self.manifest is not None
        shards = self.manifest.splits[name].shards
        count = min(_DECODED_RECORDS, len(records))
        for index in range(count):
            try:
                decode_jpeg(records[index])
            except ValueError as error:
                advice = "python launch/prepare.py --verify --output=" + str(self._folder)
                return Check(Status.PROBLEM, f"split {name}", f"record {index} cannot be read: {error}", advice)
        total = format_bytes(sum(shard.bytes for shard in shards))
        result = f"{len(records):,} photographs in {len(shards)} shard(s), {total}; the first {count} decode"
        return Check(Status.OK, f"split {name}", result)

    def measure_rate(self) -> tuple[float, int]:
        """Images per second of the loader alone, and the number of its threads."""
        config, threads = self._config, min(8, usable_cores())
        assert self.reader is not None
        samples = run_samples(config, self.reader)
        ahead = batches(samples, batch_size=config.batch_size, start_step=0, stop_step=5 * threads, threads=threads)
        for _ in range(threads):  # all threads are in full swing only then
            next(ahead)
        start, count = time.perf_counter(), 0
        for _ in ahead:
            count += config.batch_size
            if time.perf_counter() - start > _MEASURED_SECS:
                break
        return count / (time.perf_counter() - start), threads
