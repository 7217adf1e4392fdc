"""The page without a server, in a real Chromium without a network: as a site and as one file."""

import functools
import http.server
import io
import shutil
import threading
from base64 import b64decode, b64encode

import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.inference.completer import Completer
from glcic_jax.serve import offline_page
from glcic_jax.serve.offline_page import fetch_runtime, join_modules, write_offline_page
from tests.support.browser import chromium
from tests.support.pictures import encoded, photograph, random_mask

COMPLETE = """async ([image, mask, name]) => {
  const engine = await import('./engine.js');
  const blob = text => fetch('data:image/png;base64,' + text).then(answer => answer.blob());
  const task = {image: await blob(image), mask: await blob(mask), name};
  const done = await engine.complete(task, () => {}, new AbortController().signal);
  const bytes = new Uint8Array(await done.blob.arrayBuffer());
  return [btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join('')), done.notes];
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline") / "site"
    if shutil.which("npm") is None:
        pytest.skip("no npm, which brings ONNX Runtime Web")
    try:
        runtime = fetch_runtime()
    except UserError as error:
        if "npm cannot bring" not in str(error):
            raise
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline_page, "fetch_runtime", lambda: runtime)  # once is enough
        assert run("export", [str(tiny_model), "--format=web", f"--output={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser"), viewport={"width": 1000, "height": 700}, locale="en") as context:
        context.set_default_timeout(60_000)
        context.route(
            "http*://**", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort()
        )
        yield context


@pytest.fixture(scope="module")
def site(folder):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def levels_apart(completer, image, mask, result):
    """How many values differ, and by how much at most, from what the program paints; known pixels may not."""
    expected = completer(image, mask, coarse=False, blend=False).astype(int)
    np.testing.assert_array_equal(result[mask[..., 0] == 0], image[mask[..., 0] == 0])
    assert np.ptp(expected[mask[..., 0] > 0], axis=0).max() > 1 or mask.sum() < 1000  # it paints no single colour
    apart = np.abs(expected - result)
    return (apart > 0).sum(), apart.max()


def test_the_site_paints_as_the_program(context, site, tiny_model):
    """Twenty photographs with holes anywhere, of sizes that are no multiples of 4 too."""
    page = context.new_page()
    page.goto(site)
    page.wait_for_selector("body[data-ready]")
    completer, rng, different, values = Completer(tiny_model), np.random.default_rng(0), 0, 0
    for number in range(20):
        height, width = (int(side) for side in rng.integers(60, 200, 2))
        if number == 0:
            height, width = 520, 700
        image, mask = photograph(number, height, width), random_mask(rng, height, width)
        picture = encoded(mask[..., 0] * 255, "PNG")
        answer, _ = page.evaluate(
            COMPLETE, [b64encode(encoded(image, "PNG")).decode(), b64encode(picture).decode(), "x.png"]
        )
        result = np.asarray(Image.open(io.BytesIO(b64decode(answer))).convert("RGB")).astype(int)
        count, most = levels_apart(completer, image, mask, result)
        assert most <= 1
        different, values = different + count, values + 3 * int(mask.sum())
    print(f"{different} of {values} values are a level apart")
    assert different <= values / 10_000 + 1
    page.close()


def test_the_single_file(context, folder, tiny_model, tmp_path):
    """From the disk, by the page's own brushes; nothing is asked of any network."""
    page, asked, broken = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto((folder / "eraser.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    assert page.is_hidden("#blend") and "not the GPU" in page.inner_text("#privacy")
    write_image(tmp_path / "photo.png", photograph(3, 300, 400))
    page.set_input_files("#file", tmp_path / "photo.png")
    page.wait_for_selector("#status:has-text('400 × 300')")
    box = page.locator("#canvas").bounding_box()
    page.locator("#size").fill("100")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    for button, name in (("#download-mask", "mask.png"), ("#download", "result.png")):
        if button == "#download":
            page.click("#complete")
            page.wait_for_selector("#status:has-text('Completed in')")
        with page.expect_download() as waiting:
            page.click(button)
        waiting.value.save_as(tmp_path / name)
    image, mask, result = (read_image(tmp_path / f"{name}.png") for name in ("photo", "mask", "result"))
    count, most = levels_apart(Completer(tiny_model), image, mask[..., :1], result.astype(int))
    assert most <= 1 and count <= 3 * (mask > 0).sum() / 10_000 + 1
    assert broken == [] and all(url.startswith(("file:", "blob:", "data:")) for url in asked)
    page.close()


def test_another_runtime_is_refused(monkeypatch, tmp_path, tiny_model):
    """Whatever npm brings must be what is known."""
    fake = tmp_path / "npm"
    fake.write_text("#!/bin/sh\necho hello > evil.tgz\n")
    fake.chmod(0o755)
    monkeypatch.setattr(offline_page.shutil, "which", lambda _: str(fake))
    with pytest.raises(UserError, match="npm brought another onnxruntime-web"):
        write_offline_page(tiny_model, tmp_path / "out", half=False)
    monkeypatch.setattr(offline_page.shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="install Node"):
        write_offline_page(tiny_model, tmp_path / "out", half=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="is there already"):
        write_offline_page(tiny_model, tmp_path, half=False)


def test_modules_are_joined():
    joined = join_modules({"one": "export const a = 1;\nexport function f() {}\n",
                           "two": 'import { a as b, f } from "./one.js";\nf(b);\n'})  # fmt: skip
    assert "import" not in joined and "export" not in joined
    assert "const { a: b, f } = modules.one;" in joined and "return { a, f };" in joined
