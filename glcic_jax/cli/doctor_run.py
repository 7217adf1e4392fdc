"""A run's needs as `doctor` sees them: disk for its checkpoints, its data, the loader's rate."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glcic_jax.cli.doctor_machine import cores
from glcic_jax.cli.findings import Finding, Mark, size
from glcic_jax.data.decoding import decode_jpeg
from glcic_jax.data.loader import batches
from glcic_jax.data.reading import Reader
from glcic_jax.data.shards import open_split, read_manifest
from glcic_jax.training.setup import Config, run_samples, stages

_DECODED_RECORDS = 16
_MEASURED_SECS = 5.0


def disk(free: int, state: int, keep: int, stage_ends: int, present: int) -> Finding:
    """Whether the checkpoints of a run find room.

    Args:
        free: bytes free where the workdir is, or will be.
        state: bytes of one checkpoint.
        keep: config.keep_checkpoints.
        stage_ends: checkpoints that stay for good.
        present: bytes of those that are there already.

    """
    count = keep + stage_ends + 1  # the one being written exists beside all others
    needed, room = count * state, free + present
    said = f"{size(room)} for {count} checkpoints of {size(state)}, {size(needed)} in all"
    if room < needed:
        hint = f"free {size(needed - room)}, give another --workdir, or lower --config.keep_checkpoints"
        return Finding(Mark.PROBLEM, "disk", said, hint)
    if room < 1.5 * needed:
        return Finding(Mark.WARNING, "disk", said, "that is little: logs, grids and other runs need some too")
    return Finding(Mark.OK, "disk", said)


def workdir_disk(workdir: Path, config: Config, state: int) -> Iterator[Finding]:
    """`disk` for a workdir that may not be there yet."""
    place = workdir.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        yield Finding(Mark.PROBLEM, "workdir", f"{place} is a file", "give another --workdir")
        return
    try:
        with (place / ".glcic-doctor").open("w"):  # permissions alone do not tell of a read-only mount
            pass
        (place / ".glcic-doctor").unlink()
    except OSError as error:
        yield Finding(Mark.PROBLEM, "workdir", f"cannot write to {place}: {error.strerror}", "give another --workdir")
        return
    step = newest_step(workdir)
    begun = (
        f"goes on from step {step}" if step else "not there yet: it will be made" if place != workdir.absolute() else ""
    )
    yield Finding(Mark.OK, "workdir", f"{workdir}" + (f", {begun}" if begun else ""))
    present = sum(file.stat().st_size for file in (workdir / "checkpoints").rglob("*") if file.is_file())
    ends = sum(stage.stop > stage.start for stage in stages(config))
    yield disk(shutil.disk_usage(place).free, state, config.keep_checkpoints, ends, present)


def newest_step(workdir: Path) -> int:
    """Steps that a run has behind it, by its newest checkpoint."""
    return max((int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()), default=0)


class Data:
    """The data set of a recipe; what could be opened of it is kept for later checks."""

    def __init__(self, config: Config):
        self._config, self._folder = config, Path(config.data_dir)
        self.manifest: dict[str, Any] | None = None
        self.reader: Reader | None = None

    def check(self) -> Iterator[Finding]:
        """Manifest, sizes of the shards, first records. Raises: UserError."""
        manifest = read_manifest(self._folder)
        records = open_split(self._folder, manifest, "train")
        self.manifest, self.reader = manifest, Reader(records, self._config.max_damaged_share)
        yield self._split("train", records)
        if "val" in manifest["splits"]:
            yield self._split("val", open_split(self._folder, manifest, "val"))
        else:
            advice = f"add one: python launch/prepare.py --source=PHOTOGRAPHS --output={self._folder} --split=val"
            yield Finding(Mark.WARNING, "split val", "none: no validation scores and no grids", advice)

    def _split(self, name: str, records: Any) -> Finding:
        assert self.manifest is not None
        shards = self.manifest["splits"][name]["shards"]
        count = min(_DECODED_RECORDS, len(records))
        for index in range(count):
            try:
                decode_jpeg(records[index])
            except ValueError as error:
                advice = "python launch/prepare.py --verify --output=" + str(self._folder)
                return Finding(Mark.PROBLEM, f"split {name}", f"record {index} cannot be read: {error}", advice)
        total = size(sum(shard["bytes"] for shard in shards))
        said = f"{len(records):,} photographs in {len(shards)} shard(s), {total}; the first {count} decode"
        return Finding(Mark.OK, f"split {name}", said)

    def rate(self) -> tuple[float, int]:
        """Images per second that the loader delivers by itself, and its threads."""
        config, threads = self._config, min(8, cores())
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
