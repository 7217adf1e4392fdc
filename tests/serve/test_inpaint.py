"""POST /api/v1/inpaint: what clients of IOPaint send, forms, and everything that is refused with a line."""

import base64
import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from glcic_jax.cli.main import run
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from tests.support.hostile import bad_files, good_files
from tests.support.pictures import encoded, photograph
from tests.support.serving import running

LIMITS = Limits(body_bytes=1_000_000, max_pixels=1_000_000)


@pytest.fixture(scope="module")
def client(models):
    with running(models, LIMITS, Access()) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def mask_png(height=80, width=96) -> bytes:
    mask = np.zeros((height, width), np.uint8)
    mask[30:50, 40:60] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def by_command(tiny_model, tmp_path_factory):
    """The bytes that `glcic complete` makes of a file."""
    folder = tmp_path_factory.mktemp("command")

    def complete(name: str, data: bytes, mask: bytes, *options: str) -> bytes:
        (folder / name).write_bytes(data)
        (folder / "mask.png").write_bytes(mask)
        out = folder / f"out{(folder / name).suffix}"
        arguments = [str(folder / name), f"--mask={folder}/mask.png", f"--model={tiny_model}", f"--output={out}"]
        assert run("complete", [*arguments, *options]) == 0
        return out.read_bytes()

    return complete


def test_a_client_of_iopaint(client, by_command):
    """As its page and its users' scripts ask, data URLs or not; the answer is the command's, bit for bit."""
    image, mask = encoded(photograph(1)), mask_png()
    expected = by_command("photo.jpg", image, mask)
    extra = {
        "ldm_steps": 20, "ldm_sampler": "plms", "hd_strategy": "Crop", "hd_strategy_crop_margin": 128, "prompt": "",
        "sd_seed": 42, "sd_strength": 1.0, "cv2_radius": 4, "paint_by_example_example_image": None,
    }  # fmt: skip
    for start in ("", "data:image/jpeg;base64,", "data:image/png;charset=utf-8;base64,"):
        body = {"image": start + base64_of(image), "mask": start + base64_of(mask), **extra}
        answer = client.post("/api/v1/inpaint", json=body)
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        assert answer.content == expected
        assert answer.headers["x-seed"] == "42" and json.loads(answer.headers["x-notes"]) == []
    assert client.get("/api/v1/model").json()["name"] == "tiny"


@pytest.mark.slow
def test_a_folder_of_a_hundred(client, tiny_model, tmp_path):
    """Sent by four threads of a user's script, in two formats: as `glcic complete` makes them of the folder."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "mask.png").write_bytes(mask_png())
    for number in range(100):
        name, kind = (f"{number}.png", "PNG") if number % 2 else (f"{number}.jpg", "JPEG")
        (tmp_path / "photos" / name).write_bytes(encoded(photograph(number), kind))
    command = [str(tmp_path / "photos"), f"--mask={tmp_path}/mask.png", f"--output={tmp_path}/own"]
    assert run("complete", [*command, f"--model={tiny_model}"]) == 0

    def send(file) -> bytes:
        body = {"image": base64_of(file.read_bytes()), "mask": base64_of(mask_png()), "ldm_steps": 30}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{client.base_url}/api/v1/inpaint", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    files = sorted((tmp_path / "photos").iterdir())
    with ThreadPoolExecutor(4) as pool:
        for file, made in zip(files, pool.map(send, files), strict=True):
            assert (tmp_path / "own" / file.name).read_bytes() == made, file.name


def test_a_form(client, by_command):
    image, mask = encoded(photograph(2), "PNG"), mask_png()
    files = {"image": ("p.png", image), "mask": ("../../etc/passwd", mask)}
    answer = client.post("/api/v1/inpaint", files=files, data={"blend": "true", "coarse": "false", "model": "tiny"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert answer.content == by_command("p.png", image, mask, "--blend", "--nocoarse")
    plain = client.post("/api/v1/inpaint", files=files).content
    assert plain == by_command("p.png", image, mask) != answer.content


def test_texture(client, by_command, monkeypatch):
    image, mask = encoded(photograph(2), "PNG"), mask_png()
    files = {"image": ("p.png", image), "mask": ("m.png", mask)}
    answer = client.post("/api/v1/inpaint", files=files, data={"copy_texture": "true"})
    assert answer.content == by_command("p.png", image, mask, "--copy_texture") != by_command("p.png", image, mask)
    assert client.get("/api/v1/models").json()["copies_texture"] is True
    monkeypatch.setattr("glcic_jax.serve.erasing.LARGEST_TEXTURE_PX", 100)
    refused(client.post("/api/v1/inpaint", files=files, data={"copy_texture": "true"}), 422, "too large")


@pytest.mark.parametrize(("name", "kind"), [("a.tiff", "tiff"), ("still.webp", "webp"), ("a.bmp", "bmp"),
                                            ("still.gif", "png"), ("colour 16.png", "png")])  # fmt: skip
def test_other_formats(client, by_command, name, kind):
    """Each comes back in its own, or as PNG where that cannot be written."""
    data, mask = good_files()[name], mask_png()
    answer = client.post("/api/v1/inpaint", json={"image": base64_of(data), "mask": base64_of(mask)})
    assert answer.status_code == 200 and answer.headers["content-type"] == f"image/{kind}"
    if kind in name:
        assert answer.content == by_command(name, data, mask)


def refused(answer, status, *words):
    assert answer.status_code == status, answer.text
    line = answer.json()["error"]
    assert "\n" not in line and answer.json()["detail"] == line
    for word in words:
        assert word in line


def test_images_that_cannot_be_used(client):
    """The hostile corpus, as photograph and as mask: each gets a line that says what is wrong."""
    good, mask = base64_of(encoded(photograph(3))), base64_of(mask_png())
    decodable = {"animated.gif", "animated.webp", "animated.png", "1 px.png", "narrow.jpg", "no suffix", "flipped.png",
                 "copy of plain.jpg.jpg"}  # fmt: skip
    for name, (data, _) in bad_files().items():
        if name in decodable:
            continue
        text = base64_of(data) or "===="
        for body in ({"image": text, "mask": mask}, {"image": good, "mask": text}):
            answer = client.post("/api/v1/inpaint", json=body)
            assert 400 <= answer.status_code < 500, name
            refused(answer, answer.status_code)
    for name, message in (("1 px.png", "only 1 x 1 px"), ("huge.png", "more than 1 megapixels")):
        body = {"image": base64_of(bad_files()[name][0]), "mask": mask}
        refused(client.post("/api/v1/inpaint", json=body), 422, message)
    small = base64_of(mask_png(60, 60))
    refused(client.post("/api/v1/inpaint", json={"image": good, "mask": small}), 422, "96 x 80 px", "60 x 60 px")
    black = base64_of(encoded(np.zeros((80, 96, 3), np.uint8), "PNG"))
    refused(client.post("/api/v1/inpaint", json={"image": good, "mask": black}), 422, "is empty")


def test_requests_that_cannot_be_read(client):
    good, mask = base64_of(encoded(photograph(3))), base64_of(mask_png())
    json_type = {"content-type": "application/json"}

    def post(content=b"", headers=json_type, **more):
        return client.post("/api/v1/inpaint", content=content, headers=headers, **more)

    refused(post(b""), 400, "no JSON")
    refused(post(b"[1]"), 400, "no JSON object")
    refused(post(b"[" * 100_000), 400, "no JSON")
    refused(post(b'{"image": "x"}', {"content-type": "text/csv"}), 415, "text/csv")
    refused(post(b"--x\r\n", {"content-type": "multipart/form-data; boundary=y"}), 400)
    refused(post(b"x", {"content-type": "multipart/form-data"}), 400, "form")
    refused(client.post("/api/v1/inpaint", files={"image": b"x"}), 400, "0 files called 'mask'")
    refused(client.post("/api/v1/inpaint", json={"image": good}), 400, "'mask' is missing")
    refused(client.post("/api/v1/inpaint", json={"image": good, "mask": "§§"}), 400, "'mask' is no base64")
    refused(client.post("/api/v1/inpaint", json={"image": good, "mask": mask, "blend": "maybe"}), 400, "'blend'")
    half_a_letter = json.dumps({"image": good, "mask": mask, "blend": "\ud800"}).encode()
    refused(post(half_a_letter), 400, "\\ud800")
    refused(client.post("/api/v1/inpaint", json={"image": good, "mask": mask, "model": "x"}), 404, "there are tiny")
    refused(client.post("/api/v1/inpaint", json={"image": "A" * 1_100_000, "mask": mask}), 413, "1 MB")
    chunks = (b"A" * 100_000 for _ in range(12))
    refused(post(chunks), 413, "1 MB")
    refused(client.get("/api/v1/inpaint"), 405)
    refused(client.get("/main.py"), 404)


def test_preview(client):
    answer = client.post("/api/v1/preview", files={"image": good_files()["a.tiff"]})
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.format == "PNG" and shown.size == Image.open(io.BytesIO(good_files()["a.tiff"])).size
    refused(client.post("/api/v1/preview", files={"image": b"hello"}), 422, "not an image")


def test_what_is_described_is_what_there_is(client):
    """OpenAPI's paths answer by their methods; metrics count; the page knows the models."""
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method in methods:
            answer = client.request(method, path.replace("{ticket}", "12345678"))
            assert answer.status_code != 404 and answer.status_code != 405, path
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/api/v1/models").json()["models"][0] == {
        "name": "tiny", "blend": False, "trained_px": 64, "licence_note": ""
    }  # fmt: skip
    text = client.get("/metrics").text
    assert 'glcic_requests_total{path="/health",status="200"}' in text
    assert "glcic_complete_seconds_count" in text and "glcic_waiting 0" in text and "glcic_held_bytes 0" in text
