"""The page in a real Chromium: painting with mouse, fingers and keys, completing, comparing, saving."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.models.shipped import shipped_model
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from tests.support.browser import chromium, fetch_axe
from tests.support.pictures import photograph
from tests.support.serving import ColdModels, running, save_tiny_model

WATCH_POLICY = (
    "window.broken = []; document.addEventListener('securitypolicyviolation', e => broken.push(e.blockedURI))"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    save_tiny_model(folder / "one")
    save_tiny_model(folder / "two", seed=7)
    write_image(folder / "photo.png", photograph(3, 120, 160))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    Image.fromarray(photograph(4, 120, 160)).save(folder / "turned.jpg", exif=exif, quality=90)
    Image.fromarray(photograph(5, 100, 90)).save(folder / "scan.tif")
    return folder


@pytest.fixture(scope="module")
def address(folder):
    with running(ColdModels([folder / "one", folder / "two"]), Limits(), Access()) as address:
        yield address


@pytest.fixture(scope="module")
def context(folder):
    with chromium(
        folder / "profile", viewport={"width": 1100, "height": 760}, has_touch=True, locale="en-GB"
    ) as context:
        context.add_init_script(WATCH_POLICY)
        context.set_default_timeout(60_000)  # machines of tests may be busy
        yield context


@pytest.fixture
def page(context, address):
    """The page, loaded; afterwards nothing has broken its policy, raised an error or left this machine."""
    page = context.new_page()
    errors, asked = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if is_error(line) else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    assert page.evaluate("broken") == []
    assert errors == []
    assert all(url.startswith((address, "blob:")) for url in asked), asked
    page.close()


@pytest.fixture
def shoot(tmp_path):
    """Saves a picture of the page; with GLCIC_SCREENSHOTS, in that folder."""
    target = Path(os.environ.get("GLCIC_SCREENSHOTS", tmp_path))
    return lambda page, name: page.screenshot(path=target / f"{name}.png")


def is_error(line) -> bool:
    """Refused requests, which the browser reports by itself, are not."""
    return line.type == "error" and not line.text.startswith("Failed to load resource")


def open_file(page, path):
    page.set_input_files("#file", path)
    page.wait_for_selector("#editor:not([hidden])")
    says(page, Path(path).name)


def place(page, x, y):
    """A point of a photograph, in shares of its sides, on the screen."""
    box = page.locator("#canvas").bounding_box()
    # The photograph lies in the middle, 8 px or more from each border.
    width, height = (int(side) for side in page.get_attribute("#canvas", "data-size").split())
    scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    return left + x * width * scale, top + y * height * scale


def paint(page, *points):
    """A stroke of the mouse through points in shares of the sides."""
    on_screen = [place(page, *point) for point in points]
    page.mouse.move(*on_screen[0])
    page.mouse.down()
    for point in on_screen[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def says(page, text, where="status"):
    page.wait_for_selector(f"#{where}:has-text('{text}')")


def completed(page):
    says(page, "Completed in")


def saved(page, button, target):
    with page.expect_download() as waiting:
        page.click(button)
    waiting.value.save_as(target)
    return waiting.value.suggested_filename


def completes_the_same(folder, name, mask, result, *options, texture=True):
    """Whether `glcic complete` makes the same bytes of a photograph and the mask that the page saved."""
    own = result.with_name(f"own{result.suffix}")
    options = (*options, "--copy_texture") if texture else options
    assert (
        run("complete", [str(folder / name), f"--model={folder}/one", f"--mask={mask}", f"--output={own}", *options])
        == 0
    )
    return own.read_bytes() == result.read_bytes()


def test_a_photograph_with_the_mouse(page, folder, tmp_path, shoot):
    shoot(page, "start")
    open_file(page, folder / "photo.png")
    assert page.is_disabled("#complete") and page.is_disabled("#undo")
    paint(page, (0.4, 0.4), (0.55, 0.5))
    paint(page, (0.8, 0.8))
    page.check("[name=tool][value=rectangle]")
    paint(page, (0.1, 0.6), (0.2, 0.9))
    page.click("#undo")
    page.click("#undo")
    page.click("#redo")
    page.check("[name=tool][value=erase]")
    paint(page, (0.55, 0.5))
    shoot(page, "painted")
    assert saved(page, "#download-mask", tmp_path / "mask.png") == "photo_mask.png"
    mask = read_image(tmp_path / "mask.png")[..., 0] > 0
    assert mask[50, 66] and mask[95, 127] and not mask[60, 87] and not mask[90, 24]
    page.click("#complete")
    completed(page)
    shoot(page, "compared")
    assert saved(page, "#download", tmp_path / "result.png") == "photo_completed.png"
    before, after = read_image(folder / "photo.png"), read_image(tmp_path / "result.png")
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any(-1).mean() > 0.9
    assert completes_the_same(folder, "photo.png", tmp_path / "mask.png", tmp_path / "result.png")


def test_the_slider_shows_both(page, folder):
    """Left of the divider the photograph, right of it the result."""
    open_file(page, folder / "photo.png")
    paint(page, (0.5, 0.5))
    x, y = place(page, 0.5, 0.5)
    page.click("#complete")
    completed(page)
    shown = []
    for value in ("0", "100"):
        page.locator("#slider").fill(value)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # is drawn
        clip = {"x": x - 6, "y": y - 30, "width": 12, "height": 12}
        shown.append(page.screenshot(clip=clip))
    assert shown[0] != shown[1]
    page.click("#compare")
    assert page.is_hidden("#slider-row")


def test_again_on_the_result_and_back(page, folder, tmp_path):
    open_file(page, folder / "photo.png")
    paint(page, (0.3, 0.3))
    page.click("#complete")
    completed(page)
    saved(page, "#download", tmp_path / "first.png")
    page.click("#compare")
    paint(page, (0.7, 0.7))
    page.uncheck("#coarse")
    page.check("#blend")
    page.uncheck("#texture")
    saved(page, "#download-mask", tmp_path / "second_mask.png")
    page.click("#complete")
    page.wait_for_selector("#slider-row:not([hidden])")
    assert saved(page, "#download", tmp_path / "second.png") == "photo_completed.png"
    assert completes_the_same(
        tmp_path, "first.png", tmp_path / "second_mask.png", tmp_path / "second.png", "--blend", "--nocoarse",
        f"--model={folder}/one", texture=False,
    )  # fmt: skip
    for _ in range(3):  # to the result, its stroke, the first photograph with its stroke
        page.click("#undo")
    page.wait_for_selector("#download:disabled")
    assert page.is_enabled("#complete")
    page.click("#undo")
    page.wait_for_selector("#undo:disabled")
    for _ in range(4):
        page.click("#redo")
    page.wait_for_selector("#redo:disabled")
    assert page.is_enabled("#download")


def test_files_of_other_kinds(page, folder, tmp_path):
    """A JPEG that EXIF turns, with what else it says kept; a TIFF, which no browser shows."""
    for name, size in (("turned.jpg", "120 × 160"), ("scan.tif", "90 × 100")):
        open_file(page, folder / name)
        says(page, size)
        paint(page, (0.5, 0.5), (0.6, 0.5))
        saved(page, "#download-mask", tmp_path / "mask.png")
        page.click("#complete")
        completed(page)
        result = tmp_path / name
        assert saved(page, "#download", result) == name.replace(".", "_completed.")
        assert completes_the_same(folder, name, tmp_path / "mask.png", result)
    with Image.open(tmp_path / "turned.jpg") as turned:
        assert turned.getexif()[0x010F] == "maker"
    page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    says(page, "not an image", "error")


def test_the_other_model(page, folder, tmp_path):
    open_file(page, folder / "photo.png")
    paint(page, (0.5, 0.5))
    saved(page, "#download-mask", tmp_path / "mask.png")
    page.select_option("#model", "two")
    page.click("#complete")
    completed(page)
    saved(page, "#download", tmp_path / "result.png")
    assert not completes_the_same(folder, "photo.png", tmp_path / "mask.png", tmp_path / "result.png")
    assert completes_the_same(
        folder, "photo.png", tmp_path / "mask.png", tmp_path / "result.png", f"--model={folder}/two"
    )


def test_keys_alone(page, folder, tmp_path, shoot):
    """From the file's button on: painted, completed and saved without any pointer."""
    open_file(page, folder / "photo.png")
    page.locator("#canvas").focus()
    for key in ("ArrowLeft", " ", "ArrowRight", "ArrowRight", "ArrowDown", " ", "]"):
        page.keyboard.press(key)
    shoot(page, "keys")
    assert "Painted to" in page.inner_text("#status")
    page.keyboard.press("Control+z")
    assert page.is_disabled("#complete")
    page.keyboard.press("Control+y")
    page.keyboard.press("Enter")
    completed(page)
    for _ in range(40):
        if page.evaluate("document.activeElement.id") == "download":
            break
        page.keyboard.press("Tab")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "result.png")
    assert (read_image(tmp_path / "result.png") != read_image(folder / "photo.png")).any()


def test_fingers_on_a_telephone(page, folder, tmp_path, shoot):
    """390 px wide: one finger paints, two zoom and paint nothing, and nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 780})
    shoot(page, "telephone_start")
    open_file(page, folder / "photo.png")
    fingers = page.context.new_cdp_session(page)

    def touch(kind, *points):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    (x0, y0), (x1, y1) = place(page, 0.3, 0.5), place(page, 0.6, 0.5)
    touch("touchStart", (x0, y0))
    for share in (0.3, 0.6, 1):
        touch("touchMove", (x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
    touch("touchEnd")
    shoot(page, "telephone_painted")
    saved(page, "#download-mask", tmp_path / "mask.png")
    mask = read_image(tmp_path / "mask.png")[..., 0] > 0
    assert mask[60, 50] and mask[60, 70] and mask[60, 94] and not mask[60, 130]
    page.locator("h1").scroll_into_view_if_needed()
    (x0, y0), (x1, y1) = place(page, 0.3, 0.5), place(page, 0.6, 0.5)
    touch("touchStart", (x0, y0))
    touch("touchStart", (x0, y0), (x1, y1))
    touch("touchMove", (x0 - 30, y0), (x1 + 30, y1))
    touch("touchEnd")
    saved(page, "#download-mask", tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "mask.png").read_bytes()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#complete")
    completed(page)
    shoot(page, "telephone_compared")


def test_japanese_and_the_demonstration(page, shoot):
    page.select_option("#language", "ja")
    assert page.inner_text("#choose") == "写真を選ぶ" and page.get_attribute("html", "lang") == "ja"
    page.click("#demonstrate")
    page.wait_for_selector("#editor:not([hidden])")
    says(page, "640 × 427")
    paint(page, (0.5, 0.5))
    shoot(page, "japanese")
    english, japanese = page.evaluate(
        "import('/words.js').then(({say, speak}) => ['en', 'ja'].map(l => [speak(l), say('keysText')][1]))"
    )
    assert english.startswith("On the") and "矢印" in japanese


def test_accessibility(page, folder, tmp_path_factory):
    """axe-core finds nothing serious, on the first screen, while painting and with the result."""
    script = fetch_axe(tmp_path_factory.mktemp("axe"))
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.reload()
    page.wait_for_selector("body[data-ready]")

    def violations():
        page.evaluate(script)
        found = page.evaluate("axe.run().then(({violations}) => violations)")
        return [(v["id"], v["impact"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]

    assert violations() == []
    open_file(page, folder / "photo.png")
    paint(page, (0.5, 0.5))
    assert violations() == []
    page.click("#complete")
    completed(page)
    page.emulate_media(color_scheme="dark")
    assert violations() == []


@pytest.mark.long
def test_pictures_of_the_docs(context, shoot):
    """With the model that ships: docs/eraser.png and docs/eraser_telephone.png, if GLCIC_SCREENSHOTS names docs."""
    with running(ColdModels([shipped_model()]), Limits(), Access()) as address:
        page = context.new_page()
        page.set_viewport_size({"width": 1100, "height": 790})
        page.goto(address)
        page.click("#demonstrate")
        says(page, "640 × 427")
        page.locator("#size").fill("58")
        paint(page, (0.502, 0.33), (0.502, 0.62), (0.502, 0.9))
        shoot(page, "eraser")
        page.click("#complete")
        completed(page)
        page.set_viewport_size({"width": 390, "height": 780})
        page.locator("#slider").fill("25")
        shoot(page, "eraser_telephone")
        page.close()
