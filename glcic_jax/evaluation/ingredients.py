"""What a benchmark is made from: photographs of a folder or a data set, and a recipe's strokes in its size."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from glcic_jax.data.decoding import decode_jpeg
from glcic_jax.data.images import read_image
from glcic_jax.data.manifest import MANIFEST, read_manifest
from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import Photograph
from glcic_jax.inference.search import find_images, leave_out_masks


def list_photographs(place: Path) -> list[Photograph]:
    """Photographs of a folder tree, or the validation records of a prepared data set. Raises: UserError."""
    if (place / MANIFEST).is_file():
        from glcic_jax.data.shards import open_split  # needs ArrayRecord, which the light installation lacks

        records = open_split(place, read_manifest(place), "val")

        def read_record(index: int) -> np.ndarray:
            return decode_jpeg(records[index])

        return [(f"val {index}", partial(read_record, index)) for index in range(len(records))]
    if not place.is_dir():
        raise UserError(f"no folder of photographs {place}; give --images=FOLDER")
    photographs = leave_out_masks(find_images([str(place)]), None).files
    return [(file.inside.as_posix(), partial(read_image, file.path)) for file in photographs]


def scale_strokes(parameters: Mapping[str, object], scale: float) -> dict[str, object]:
    """Parameters of strokes, for crops that are `scale` times as large; their share is left out."""
    scaled = {key: value for key, value in parameters.items() if key != "share"}
    for key, value in scaled.items():
        if key.endswith("_px") and isinstance(value, tuple):
            scaled[key] = tuple(max(1, round(end * scale)) for end in value)
    return scaled
