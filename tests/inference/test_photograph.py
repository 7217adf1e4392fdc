"""Photographs of every kind: only the hole changes, in the pixels and in what the file says beside them."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from glcic_jax.errors import UserError
from glcic_jax.inference.photograph import read_photograph
from tests.support.hostile import png_header
from tests.support.pictures import photograph

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURE = photograph(1, 60, 44)
HOLE = np.zeros((60, 44), bool)
HOLE[20:33, 10:30] = HOLE[40, 40] = True


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a maker"
    exif[0x8769] = {0x9003: "2020:02:03 04:05:06"}
    loaded = Image.Exif()
    loaded.load(exif.tobytes())
    return loaded


def reopened(path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def deep(channels: int) -> np.ndarray:
    """16-bit samples with something in their low bytes."""
    rng = np.random.default_rng(2)
    return rng.integers(0, 65536, (60, 44, channels), dtype=np.uint16)


def write(path, kind: str) -> None:
    """A file of the kind, with as much beside the pixels as it can hold."""
    rgb = Image.fromarray(PICTURE)
    alpha = Image.fromarray(photograph(3, 60, 44)[..., 0])
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_itxt("Comment", "ein Kommentar — länger", lang="de", zip=True)
    beside = {"dpi": (300, 300), "icc_profile": PROFILE, "exif": exif_of(1)}
    if kind in ("RGB", "L", "P", "1"):
        rgb.convert(kind).save(path, pnginfo=text, **beside)
    elif kind in ("RGBA", "LA"):
        picture = rgb.convert(kind)
        picture.putalpha(alpha)
        picture.save(path, pnginfo=text, **beside)
    elif kind == "grey16":
        Image.fromarray(deep(1)[..., 0]).save(path, pnginfo=text, **beside)
    elif kind in ("RGB16", "RGBA16"):
        cv2.imwrite(str(path), deep(3 if kind == "RGB16" else 4))
        if path.suffix == ".png":  # OpenCV writes none of these: put them behind the header
            shown = io.BytesIO()
            rgb.save(shown, "PNG", pnginfo=text, **beside)
            extra = shown.getvalue()[33 : shown.getvalue().index(b"IDAT") - 4]
            data = path.read_bytes()
            path.write_bytes(data[:33] + extra + data[33:])
    elif kind == "webp":
        rgb.save(path, lossless=True, icc_profile=PROFILE, exif=exif_of(1))
    elif kind == "lzw":
        rgb.save(path, compression="tiff_lzw", description="what it shows", dpi=(300, 300), icc_profile=PROFILE)
    elif kind == "tiff":
        rgb.convert("RGBA").save(path, description="what it shows", **beside)
    elif kind == "bmp":
        rgb.save(path, dpi=(300, 300))
    else:  # "turned5", ...: stored in an orientation of EXIF's
        orientation = int(kind[-1])
        inverse = {6: 8, 8: 6}.get(orientation, orientation)
        exif = exif_of(inverse)
        stored = Image.fromarray(PICTURE)
        stored.getexif()[0x0112] = inverse
        stored = ImageOps.exif_transpose(stored)
        exif[0x0112] = orientation
        stored.save(path, exif=exif, dpi=(300, 300), icc_profile=PROFILE)


KINDS = {
    "RGB": ".png", "L": ".png", "P": ".png", "1": ".png", "RGBA": ".png", "LA": ".png", "grey16": ".png",
    "RGB16": ".png", "RGBA16": ".png", "webp": ".webp", "lzw": ".tiff", "tiff": ".tif", "bmp": ".bmp",
    **{f"turned{n}": ".png" for n in range(2, 9)},
}  # fmt: skip


def stored_bits(path) -> np.ndarray:
    """All channels at full depth, by another library than the one that wrote them, upright."""
    deep_kinds = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if deep_kinds is not None and deep_kinds.dtype == np.uint16:
        return deep_kinds
    image = reopened(path)
    if image.mode in ("P", "1"):
        image = image.convert("RGB" if image.mode == "P" else "L")
    return np.array(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_hole_changes(tmp_path, kind):
    before, after = tmp_path / f"before{KINDS[kind]}", tmp_path / f"after{KINDS[kind]}"
    write(before, kind)
    opened = read_photograph(before)
    assert opened.pixels.shape == (60, 44, 3) and opened.notes == []
    painted = opened.pixels ^ np.asarray(255, opened.pixels.dtype)
    opened.save(after, painted, HOLE)
    first, second = stored_bits(before), stored_bits(after)
    assert first.shape == second.shape and first.dtype == second.dtype
    np.testing.assert_array_equal(first[~HOLE], second[~HOLE])
    colors = np.s_[..., : 3 if first.ndim == 3 and first.shape[-1] >= 3 else 1]
    assert (first[HOLE][colors] != second[HOLE][colors]).mean() > 0.9
    if opened.alpha is not None:  # left as it is in the hole too
        np.testing.assert_array_equal(first[..., -1], second[..., -1])
    one, other = reopened(before), reopened(after)
    assert one.format == other.format
    for key in ("icc_profile", "dpi", "exif", "Title", "Comment"):
        assert one.info.get(key) == other.info.get(key), key
    assert dict(one.getexif().get_ifd(0x8769)) == dict(other.getexif().get_ifd(0x8769))
    if one.format == "TIFF":
        assert one.tag_v2[270] == other.tag_v2[270] == "what it shows"
        assert (one.info["compression"] == "raw") == (other.info["compression"] == "raw")


def test_pixels_are_upright(tmp_path):
    for orientation in range(2, 9):
        path = tmp_path / f"{orientation}.png"
        write(path, f"turned{orientation}")
        np.testing.assert_array_equal(read_photograph(path).pixels, PICTURE)


@pytest.mark.parametrize("orientation", [1, 6])
def test_jpeg(tmp_path, orientation):
    """The same tables, subsampling and segments; known pixels keep within what coding them again costs."""
    path, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    big = photograph(4, 160, 240)
    options = {"quality": 80, "subsampling": 1, "dpi": (72, 72), "comment": b"a comment", "progressive": True}
    Image.fromarray(big).save(path, exif=exif_of(orientation), icc_profile=PROFILE, **options)
    data = path.read_bytes()
    segment = b"\xff\xed\x00\x10Photoshop 3.0\0"  # IPTC, which Pillow itself cannot write
    path.write_bytes(data[:2] + segment + data[2:])
    opened = read_photograph(path)
    pixels = opened.pixels
    hole = np.zeros(pixels.shape[:2], bool)
    hole[50:60, 70:90] = True
    opened.save(out, np.where(hole[..., None], 255 - pixels, pixels), hole)
    one, other = reopened(path), reopened(out)
    assert one.info.keys() == other.info.keys()
    for key in one.info.keys() - {"progression"}:
        assert one.info[key] == other.info[key], key
    assert one.quantization == other.quantization and one.layer == other.layer
    assert one.getexif()[0x0112] == orientation and segment in out.read_bytes()
    after = read_photograph(out).pixels
    far = np.ones_like(hole)
    far[32:80, 48:112] = False  # blocks that hold no part of the hole
    assert np.abs(after[far].astype(int) - pixels[far]).mean() < 0.3
    assert np.abs(after[hole].astype(int) - (255 - pixels)[hole]).mean() < 12


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_into_another_format_the_picture_is_upright(tmp_path, suffix):
    path, out = tmp_path / "a.png", tmp_path / f"b{suffix}"
    write(path, "turned6")
    if suffix == ".png":
        path = path.rename(tmp_path / "a.tif")
        reopened(path).save(path, "TIFF", exif=exif_of(6), icc_profile=PROFILE, dpi=(300, 300))
    opened = read_photograph(path)
    opened.save(out, opened.pixels, HOLE)
    found = reopened(out)
    assert found.size == (44, 60) and found.getexif().get(0x0112, 1) == 1
    np.testing.assert_allclose(np.array(found.convert("RGB")), PICTURE, atol=12 if suffix == ".jpg" else 0)
    if suffix != ".bmp":
        assert found.info["icc_profile"] == PROFILE
        assert found.getexif()[0x010F] == "a maker" and found.getexif().get_ifd(0x8769)[0x9003].startswith("2020")


@pytest.mark.parametrize(("kind", "suffix"), [("RGBA16", ".tif"), ("RGB16", ".tif"), ("grey16", ".tif")])
def test_deep_tiff(tmp_path, kind, suffix):
    path = tmp_path / "a.png"
    write(path, kind)
    opened = read_photograph(path)
    opened.save(tmp_path / f"b{suffix}", opened.pixels, HOLE)
    again = read_photograph(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(again.stored.samples[~HOLE], opened.stored.samples[~HOLE])
    assert again.stored.samples.dtype == np.uint16 and again.stored.source.info["icc_profile"] == PROFILE
    again.save(tmp_path / "c.png", again.pixels, HOLE)
    last = read_photograph(tmp_path / "c.png")
    np.testing.assert_array_equal(last.stored.samples[~HOLE], opened.stored.samples[~HOLE])
    assert last.stored.source.info["icc_profile"] == PROFILE
    again.save(tmp_path / "d.jpg", again.pixels, HOLE)
    assert read_photograph(tmp_path / "d.jpg").stored.samples.dtype == np.uint8


def test_cmyk(tmp_path):
    path, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    Image.fromarray(PICTURE).convert("CMYK").save(path, quality=95, subsampling=0)
    opened = read_photograph(path)
    opened.save(out, 255 - opened.pixels, HOLE)
    found = reopened(out)
    assert found.mode == "CMYK"
    assert np.abs(np.array(found).astype(int) - opened.stored.samples)[~HOLE].mean() < 4
    opened.save(tmp_path / "c.png", opened.pixels, HOLE)
    np.testing.assert_array_equal(np.array(reopened(tmp_path / "c.png")), opened.pixels)


def test_transparent_colors_are_white_and_can_become_opaque(tmp_path):
    layer = np.full((20, 20, 4), 90, np.uint8)
    layer[..., 3] = 255
    layer[5:9, 5:9] = 0
    Image.fromarray(layer).save(tmp_path / "a.png")
    opened = read_photograph(tmp_path / "a.png")
    hole = opened.alpha == 0
    assert (opened.pixels[hole] == 255).all() and (opened.pixels[~hole] == 90).all()
    opened.save(tmp_path / "b.png", np.full((20, 20, 3), 7, np.uint8), hole, opaque=True)
    found = np.array(reopened(tmp_path / "b.png"))
    assert (found[hole] == (7, 7, 7, 255)).all()
    np.testing.assert_array_equal(found[~hole], layer[~hole])


def test_several_pictures_in_a_file_are_told(tmp_path):
    frames = [Image.fromarray(photograph(seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    opened = read_photograph(tmp_path / "a.tif")
    assert "holds 2 pictures; only the first" in opened.notes[0]


def test_bad_files(tmp_path):
    good = io.BytesIO()
    Image.fromarray(PICTURE).save(good, "PNG")
    for name, data, message in (
        ("empty.png", b"", "the file is empty"),
        ("page.png", b"<html>", "not an image"),
        ("cut.png", good.getvalue()[:500], "truncated"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"cannot read the photograph .*{name}: .*{message}"):
            read_photograph(tmp_path / name)
    (tmp_path / "bomb.png").write_bytes(png_header(50_000, 50_000))
    with pytest.raises(UserError, match=r"bomb.png: 50000 x 50000 px, more than 268 megapixels"):
        read_photograph(tmp_path / "bomb.png")
    with pytest.raises(UserError, match=r"gone.png"):
        read_photograph(tmp_path / "gone.png")


@pytest.mark.parametrize("dpi", [(72.0, b"\xd6"), (72,), (0, float("nan")), "72", (1e30, 1e30)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_resolution_that_is_none(tmp_path, dpi, suffix):
    Image.fromarray(PICTURE).save(tmp_path / "photo.tif", dpi=(72, 72))
    photo = read_photograph(tmp_path / "photo.tif")
    photo.stored.source.info["dpi"] = dpi
    photo.save(tmp_path / f"result{suffix}", PICTURE, PICTURE[..., 0] < 9)
    assert read_photograph(tmp_path / f"result{suffix}").pixels.shape == PICTURE.shape


def swap_tables(data: bytes) -> bytes:
    """The same JPEG with its two quantisation tables under each other's number."""
    changed = bytearray(data)
    frame = data.index(b"\xff\xc0")
    for channel in range(data[frame + 9]):
        changed[frame + 12 + 3 * channel] ^= 1
    place = 0
    while (place := data.find(b"\xff\xdb", place)) >= 0:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        for table in range(place + 4, end, 65):
            changed[table] ^= 1
        place = end
    return bytes(changed)


def high_tables(data: bytes) -> bytes:
    """The same with tables 2 and 3."""
    changed = bytearray(data)
    frame = data.index(b"\xff\xc0")
    for channel in range(data[frame + 9]):
        changed[frame + 12 + 3 * channel] += 2
    place = 0
    while (place := data.find(b"\xff\xdb", place)) >= 0:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        for table in range(place + 4, end, 65):
            changed[table] += 2
        place = end
    return bytes(changed)


NOISY = (photograph(4, 160, 240) * 0.8 + 25 + np.random.default_rng(0).integers(-8, 9, (160, 240, 3))).astype(np.uint8)


def jpeg(**options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISY).save(buffer, "JPEG", quality=85, **options)
    return buffer.getvalue()


def sampled(factor: int) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    return cv2.imencode(".jpg", NOISY[..., ::-1], options)[1].tobytes()


JPEGS = {
    "4:2:0": lambda: jpeg(subsampling=2),
    "4:2:2": lambda: jpeg(subsampling=1),
    "4:4:4, progressive": lambda: jpeg(subsampling=0, progressive=True),
    "4:4:0": lambda: sampled(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
    "4:1:1": lambda: sampled(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    "RGB": lambda: jpeg(keep_rgb=True, subsampling=0),
    "swapped tables": lambda: swap_tables(jpeg(subsampling=2)),
    "tables 2 and 3": lambda: high_tables(jpeg(subsampling=2)),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_of_every_kind_lose_next_to_nothing(tmp_path, kind):
    """In blocks without a hole: with tables or sampling of its own, 1 to 3 levels on average would be lost."""
    (tmp_path / "a.jpg").write_bytes(JPEGS[kind]())
    opened = read_photograph(tmp_path / "a.jpg")
    hole = np.zeros((160, 240), bool)
    hole[50:60, 70:90] = True
    notes = opened.save(tmp_path / "b.jpg", np.where(hole[..., None], 255 - opened.pixels, opened.pixels), hole)
    after = read_photograph(tmp_path / "b.jpg")
    far = np.ones_like(hole)
    far[32:80, 48:112] = False
    difference = np.abs(after.pixels.astype(int) - opened.pixels)[far]
    assert difference.mean() < 0.1 and difference.max() <= 3
    assert bool(notes) == (kind in ("4:4:0", "4:1:1"))
    colors = [
        [sorted(one.stored.source.quantization[number]) for *_, number in one.stored.source.layer]
        for one in (opened, after)
    ]
    assert colors[0][0] == colors[1][0] and (notes or colors[0] == colors[1])


def test_pictures_that_a_format_cannot_hold(tmp_path):
    Image.fromarray(np.zeros((16, 17_000, 3), np.uint8)).save(tmp_path / "a.png")
    opened = read_photograph(tmp_path / "a.png")
    hole = np.zeros((16, 17_000), bool)
    hole[4:6, 4:6] = True
    with pytest.raises(UserError, match="a side has 17,000 px, and WEBP holds up to 16,383"):
        opened.save(tmp_path / "b.webp", opened.pixels, hole)
    assert not (tmp_path / "b.webp").exists()


def test_alpha_in_the_hole_shows_what_was_painted(tmp_path):
    """Half transparent, on white paper, as the network saw it."""
    layer = np.dstack([np.full((20, 20, 3), 40, np.uint8), np.full((20, 20), 200, np.uint8)])
    Image.fromarray(layer).save(tmp_path / "a.png")
    opened = read_photograph(tmp_path / "a.png")
    hole = np.zeros((20, 20), bool)
    hole[5:9, 5:9] = True
    painted = np.full((20, 20, 3), (200, 150, 90), np.uint8)
    opened.save(tmp_path / "b.png", painted, hole)
    shown = read_photograph(tmp_path / "b.png")
    assert (shown.alpha == 200).all()
    assert np.abs(shown.pixels[hole].astype(int) - (200, 150, 90)).max() <= 1
    np.testing.assert_array_equal(shown.pixels[~hole], opened.pixels[~hole])


def test_twelve_bits_in_sixteen(tmp_path):
    """The range stays the file's, and white is white in other formats."""
    samples = np.random.default_rng(0).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    samples[0, 0] = 4095
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", metadata=None)
    opened = read_photograph(tmp_path / "a.tif")
    hole = np.zeros((20, 30), bool)
    hole[5:9, 5:9] = True
    opened.save(tmp_path / "b.tif", 65535 - opened.pixels, hole)
    found = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(found[~hole], samples[~hole])
    assert np.abs(found[hole].astype(int) - (4095 - samples[hole].astype(int))).max() <= 1
    opened.save(tmp_path / "c.png", opened.pixels, hole)
    np.testing.assert_allclose(read_photograph(tmp_path / "c.png").pixels, samples * (65535 / 4095), atol=0.5)
