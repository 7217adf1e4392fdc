"""One request's work: bytes of a photograph and of a mask into the bytes that `glcic complete` would write."""

import io
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from glcic_jax.data.pixels import ImageError
from glcic_jax.errors import UserError
from glcic_jax.inference.complete_files import Options
from glcic_jax.inference.encoding import FORMATS, format_of
from glcic_jax.inference.files import MADE_OPAQUE, is_erased
from glcic_jax.inference.masks import HoleSource, check_size
from glcic_jax.inference.photograph import Photograph, parse_photograph
from glcic_jax.inference.texture import load_patchmatch, plan_pieces
from glcic_jax.serve.models import Models
from glcic_jax.serve.refusals import GivenUp, Refusal

MEDIA_TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "BMP": "image/bmp",
}  # fmt: skip
LARGEST_TEXTURE_PX = 2_000_000
"""Hole and surroundings, in pixels, into which texture is copied: it takes a minute, and cannot be stopped."""
_MASK = HoleSource(file=Path("that was sent"), content=b"")


@dataclass(frozen=True)
class Task:
    """What a request asks for.

    Fields:
        image, mask: bytes of files.
        suffix: the ending of the photograph's name, which decides the format of the result; "" if it has no name.
        model: its name. blend, coarse, copy_texture: as in `complete_files.Options`.
    """

    image: bytes
    mask: bytes
    suffix: str = ""
    model: str = ""
    blend: bool | None = None
    coarse: bool = True
    copy_texture: bool = False
    seed: str = "0"


class Erased(NamedTuple):
    """The bytes of an image file, what it is, and notes for people."""

    data: bytes
    media_type: str
    notes: list[str]


@dataclass
class Progress:
    """How far a request has come; its thread counts windows, and stops where the client is gone or time is up.

    Fields:
        state: reading, waiting, painting or done.
        windows: that have been begun.
    """

    paint_secs: float
    state: str = "reading"
    windows: int = 0
    gone: threading.Event = field(default_factory=threading.Event)
    began: float | None = None

    def watch(self) -> None:
        """Called before each window. Raises: GivenUp, Refusal."""
        now = time.monotonic()
        self.began = self.began or now
        if self.gone.is_set():
            raise GivenUp
        if now - self.began > self.paint_secs:
            raise Refusal(422, f"painting took longer than {self.paint_secs:g} s; paint less of the photograph at once")
        self.windows += 1


def erase(task: Task, models: Models, max_pixels: int, progress: Progress) -> Erased:
    """Completes a photograph. Raises: UserError, Refusal, GivenUp."""
    opened = _parse(task.image, max_pixels)
    pixels, alpha = opened.pixels, opened.alpha
    check_size(pixels)
    source = HoleSource(file=_MASK.file, content=task.mask)
    hole, notes = source.find_hole(pixels, alpha, opened.stored.orientation)
    if task.copy_texture:
        _check_texture(hole)
    options = Options(Path(task.model), task.coarse, task.blend, task.copy_texture)
    paint = models.paint_with(options, progress.watch)
    painted, painting_notes = paint(pixels, hole[..., None])
    erased = is_erased(alpha, hole)
    suffix = _suffix(task.suffix, opened)
    encoded = opened.encode(suffix, painted, hole, opaque=erased)
    said = [*opened.notes, *notes, *([MADE_OPAQUE] if erased else []), *painting_notes, *encoded.notes]
    return Erased(encoded.data, MEDIA_TYPES[FORMATS[suffix]], said)


def preview(image: bytes, max_pixels: int) -> Erased:
    """A photograph of a kind that browsers do not show as an upright PNG. Raises: UserError."""
    opened = _parse(image, max_pixels)
    buffer = io.BytesIO()
    Image.fromarray(opened.stored.rgb8()).save(buffer, "PNG", compress_level=1)
    return Erased(buffer.getvalue(), "image/png", opened.notes)


def _check_texture(hole: np.ndarray) -> None:
    """Raises: UserError if it cannot be copied here; Refusal if it would take too long."""
    load_patchmatch()
    if max((piece.hole.size for piece in plan_pieces(hole)), default=0) > LARGEST_TEXTURE_PX:
        raise Refusal(422, "the hole is too large to copy texture into it here; paint less at once, or go without")


def _parse(image: bytes, max_pixels: int) -> Photograph:
    try:
        return parse_photograph(image, Path("the photograph"), max_pixels)
    except ImageError as error:
        raise UserError(f"cannot read the photograph: {error}; send another file") from error


def _suffix(suffix: str, opened: Photograph) -> str:
    """As `glcic complete` has it: by the photograph's name, or by its contents where it has none."""
    if suffix:
        return suffix.lower() if suffix.lower() in FORMATS else ".png"
    kind = format_of(opened.stored.source)
    return next((ending for ending, name in FORMATS.items() if name == kind), ".png")
