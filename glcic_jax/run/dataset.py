"""The prepared data set that a run trains on."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import jax

from glcic_jax.data.batch import Batch
from glcic_jax.data.loader import batches, fixed_samples
from glcic_jax.data.manifest import Manifest, read_manifest
from glcic_jax.data.reading import Reader
from glcic_jax.data.shards import open_split
from glcic_jax.run.config import Config
from glcic_jax.run.schedule import stages
from glcic_jax.run.setup import hole_drawer, run_samples


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Shards, opened. photographs: the training split."""

    folder: Path
    manifest: Manifest
    photographs: Reader

    @classmethod
    def open(cls, config: Config) -> Self:
        """Raises: UserError if a shard is missing, or is not as large as the manifest says."""
        folder = config.data_folder
        manifest = read_manifest(folder)
        return cls(folder, manifest, Reader(open_split(folder, manifest, "train"), config.max_damaged_share))

    @property
    def mean_color(self) -> tuple[float, float, float]:
        """RGB in [0, 1] over all training photographs."""
        return self.manifest.splits["train"].mean_color

    @property
    def checksums(self) -> tuple[str, ...]:
        """SHA-256 of each training shard, in order: they fix the data."""
        return tuple(shard.sha256 for shard in self.manifest.splits["train"].shards)

    def batches(self, config: Config, start_step: int) -> Iterator[Batch]:
        """This process's share of the batches from `start_step` to the end of the run."""
        return batches(
            run_samples(config, self.photographs),
            batch_size=config.batch_size,
            start_step=start_step,
            stop_step=stages(config)[-1].stop,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    @property
    def validation_photographs(self) -> int:
        """How many the split "val" has, 0 if there is no such split."""
        return self.manifest.splits["val"].count if "val" in self.manifest.splits else 0

    def validation_samples(self, config: Config) -> Batch | None:
        """Fixed samples of the split "val"; None if there is no such split."""
        if "val" not in self.manifest.splits:
            return None
        return fixed_samples(
            Reader(open_split(self.folder, self.manifest, "val"), config.max_damaged_share),
            count=config.validation_samples,
            short_side_px=config.short_side_px[0],
            crop_px=config.crop_px,
            draw_hole=hole_drawer(config),
        )
