"""For photographs and masks of any encoding: known pixels equal, the hole where it was drawn, by command and API.

`PROPERTY_EXAMPLES=2000 pytest tests/inference/test_properties.py` looks at more cases than a test run has time for.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_mask
from glcic_jax.inference.completer import Completer
from glcic_jax.inference.masks import HoleSource
from glcic_jax.inference.photograph import read_photograph
from glcic_jax.models.card import Card
from tests.support.encodings import Encoding, read, write

pytest.importorskip("hypothesis")  # of the extra `dev`
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "60"))
SIZES = [(17, 23), (24, 16), (19, 19)]  # few, since a program is compiled for each


@dataclass(frozen=True)
class Negative:
    """A network that paints the negative of the whole image: any pixel that it paints differs from before."""

    margin_px = None

    def check_hole(self, hole):
        pass

    def apply(self, variables, image, mask):
        return 1 - image


COMPLETER = Completer((Negative(), {}, Card()))


@pytest.fixture(autouse=True)
def negative(monkeypatch):
    monkeypatch.setattr("glcic_jax.inference.complete_files.load_completer", lambda model: COMPLETER)


@st.composite
def encodings(draw) -> Encoding:
    kind = draw(st.sampled_from(["png", "tif"]))
    orientation = draw(st.integers(1, 8))
    if kind == "png":
        mode = draw(st.sampled_from(["L", "LA", "RGB", "RGBA", "P"]))
        bits = draw(st.sampled_from({"L": [1, 2, 4, 8, 16], "P": [1, 2, 4, 8]}.get(mode, [8, 16])))
        clear = mode in ("L", "RGB", "P") and draw(st.booleans())
        return Encoding(kind, mode, bits, orientation, clear_level=clear)
    mode = draw(st.sampled_from(["L", "RGB", "RGBA", "LA"]))
    flags = [draw(st.booleans()) for _ in range(5)]
    return Encoding(
        kind, mode, draw(st.sampled_from([8, 16])), orientation, planar=flags[0] and len(mode) > 1,
        white_is_zero=flags[1] and mode == "L", premultiplied=flags[2] and "A" in mode,
        deflated=flags[3], tiled=flags[4],
    )  # fmt: skip


@st.composite
def holes(draw, size) -> np.ndarray:
    """Neither empty nor full, with at least one pixel that is known."""
    height, width = size
    hole = np.zeros(size, bool)
    for _ in range(draw(st.integers(1, 3))):
        y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        hole[y : y + draw(st.integers(1, height)), x : x + draw(st.integers(1, width))] = True
    hole[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = False
    if not hole.any():
        hole[0, 0] = True
    return hole


def samples_of(encoding: Encoding, size: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2**encoding.bits, (*size, encoding.channels)).astype(np.uint16)
    samples[0, 0] = samples[-1, -1] = 2**encoding.bits - 1  # so that 16 bits are seen to be used
    if encoding.premultiplied:
        samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
    return samples


def write_mask(draw, path: Path, hole: np.ndarray) -> list[str]:
    """A mask file of any kind; returns the options that read it."""
    ways = ["white", "labels", "deep", "red", "palette", "layer", "transparent", "inverted", "chosen", "grey"]
    way = draw(st.sampled_from(ways))
    orientation = draw(st.integers(1, 8))
    marked = hole[..., None].astype(np.uint16)
    if way in ("white", "inverted"):
        encoding = draw(encodings().filter(lambda e: e.mode in ("L", "RGB") and not e.clear_level))
        level = marked if way == "white" else 1 - marked
        write(
            path.with_suffix(f".{encoding.kind}"),
            (level * (2**encoding.bits - 1)).repeat(encoding.channels, -1),
            encoding,
        )
        path.with_suffix(f".{encoding.kind}").rename(path)
        return ["--invert_mask"] if way == "inverted" else []
    encoding = {
        "deep": Encoding("png", "L", 16, orientation), "red": Encoding("png", "RGB", 8, orientation),
        "palette": Encoding("png", "P", 4, orientation), "layer": Encoding("png", "RGBA", 8, orientation),
        "transparent": Encoding("png", "RGBA", 8, orientation),
    }.get(way, Encoding("png", "L", 8, orientation))  # fmt: skip
    palette = np.array([(0, 0, 0), (128, 0, 0)] + [(9, 200, 30)] * 14, np.uint8)
    if way == "layer" and hole.mean() > 0.4:
        way = "transparent"
    written = {
        "labels": marked, "deep": marked, "red": marked * (250, 10, 20), "palette": marked, "grey": 90 * marked,
        "layer": marked * 255, "transparent": np.concatenate([200 + 0 * marked.repeat(3, -1), 255 - 255 * marked], -1),
        "chosen": 40 * marked,
    }[way]  # fmt: skip
    if way == "layer":
        written = written.repeat(4, -1)
    write(path, written, encoding, palette)
    return {"transparent": ["--mask_transparent"], "chosen": ["--mask_labels=40"]}.get(way, [])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), encodings(), st.sampled_from(SIZES), st.integers(0, 2**32))
def test_known_pixels_and_holes(data, encoding, size, seed):
    hole = data.draw(holes(size))
    with tempfile.TemporaryDirectory() as folder:
        photo, mask, result = (Path(folder) / name for name in (f"p.{encoding.kind}", "m.png", f"r.{encoding.kind}"))
        samples = samples_of(encoding, size, seed)
        palette = np.random.default_rng(seed).integers(0, 256, (2 ** min(encoding.bits, 8), 3), dtype=np.uint8)
        write(photo, samples, encoding, palette)
        options = write_mask(data.draw, mask, hole)
        assert run("complete", [str(photo), f"--mask={mask}", f"--output={result}", "--noblend", *options]) == 0
        check_file(photo, result, hole)
        check_api(photo, mask, hole, options)


def check_file(photo: Path, result: Path, hole: np.ndarray) -> None:
    before, after = read(photo), read(result)
    scale = {1: 255, 2: 85, 4: 17}.get(before.bits, 1)  # samples of less than 8 bits are stored in 8
    colors = before.colors.astype(int) * scale
    assert after.bits == max(before.bits, 8) and after.premultiplied == before.premultiplied
    assert colors.shape[-1] == after.colors.shape[-1]
    np.testing.assert_array_equal(after.colors[~hole], colors[~hole])
    if before.alpha is None:
        np.testing.assert_array_equal(after.colors[hole], 2**after.bits - 1 - colors[hole])
        assert after.alpha is None
    else:
        alpha = before.alpha.astype(int) * scale
        np.testing.assert_array_equal(after.alpha[~hole], alpha[~hole])
        erased = (alpha[hole] <= (2**after.bits - 1) // 2).any()
        np.testing.assert_array_equal(after.alpha[hole], 2**after.bits - 1 if erased else alpha[hole])


def check_api(photo: Path, mask: Path, hole: np.ndarray, options: list[str]) -> None:
    image = read_photograph(photo).pixels
    if options:
        return  # masks that need an option have it in `HoleSource`, which the command uses
    np.testing.assert_array_equal(read_mask(mask)[..., 0] > 0, hole)
    np.testing.assert_array_equal(HoleSource(file=mask).find_hole(image).mask, hole)
    completed = COMPLETER(image, read_mask(mask))
    np.testing.assert_array_equal(completed != image, hole[..., None].repeat(3, -1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from(SIZES).flatmap(holes),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.float16]),
    st.sampled_from([bool, np.uint8, np.uint16, np.int64, np.float32]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_arrays_of_every_type(hole, image_type, mask_type, whole_range, seed):
    """The same holes from masks of every type, whether they hold 0 and 1 or their whole range."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(image_type).max if np.dtype(image_type).kind == "u" else 1
    image = rng.integers(0, 65536, (*hole.shape, 3)) / 65535 * top
    image[0, 0] = top
    image = image.round().astype(image_type) if top > 1 else image.astype(image_type)
    mask_top = {np.uint8: 255, np.uint16: 65535, np.int64: 255}.get(mask_type, 1) if whole_range else 1
    mask = (hole[..., None] * mask_top).astype(mask_type)
    completed = COMPLETER(image, mask)
    assert completed.dtype == image.dtype
    known = ~hole
    np.testing.assert_array_equal(completed[known], image[known])
    expected = top - image[hole].astype(np.float64)
    np.testing.assert_allclose(completed[hole], expected, rtol=0, atol=0 if top > 1 else 1e-3)
