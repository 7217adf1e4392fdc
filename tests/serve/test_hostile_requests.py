"""Ten thousand damaged requests: each gets an answer, none an error of the server's own, and it goes on as before."""

import io
import json
import random
import resource
import socket
from base64 import b64encode
from collections import Counter

import httpx
import numpy as np
import pytest
from PIL import Image

from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from tests.support.fuzz import image_seeds, mutate_bytes, mutate_json
from tests.support.hostile import bad_files
from tests.support.pictures import encoded, photograph
from tests.support.serving import PaintsBlack, running

REQUESTS = 10_000


def mask_png() -> bytes:
    mask = np.zeros((80, 96), np.uint8)
    mask[30:50, 40:60] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def damaged(client, rng, seeds):
    """A request as bytes: JSON or a form of good images with a few bytes or values changed."""
    images = [rng.choice(seeds)[1], mask_png()]
    if rng.random() < 0.6:
        images = [mutate_bytes(image, rng) if rng.random() < 0.7 else image for image in images]
    if rng.random() < 0.5:
        fields = {
            "image": b64encode(images[0]).decode(),
            "mask": b64encode(images[1]).decode(),
            "sd_seed": 3,
            "blend": True,
        }
        fields = mutate_json(fields, rng) if rng.random() < 0.4 else fields
        content, kind = json.dumps(fields).encode(), {"content-type": "application/json"}
        request = client.build_request("POST", "/api/v1/inpaint", content=content, headers=kind)
    else:
        request = client.build_request(
            "POST", "/api/v1/inpaint", files=dict(zip(("image", "mask"), images, strict=True))
        )
    body = request.read()
    if rng.random() < 0.4:
        body = mutate_bytes(body, rng)
    head = f"POST /api/v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.headers['content-type']}\r\n"
    return head, body


@pytest.mark.long
# Files in memory, of forms that break off within a file: the form's reader leaves them to Python to release.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damaged_requests(tmp_path):
    rng, statuses = random.Random(0), Counter()
    seeds = [*image_seeds(tmp_path), *((name, data) for name, (data, _) in bad_files().items() if data)]
    limits = Limits(max_pixels=4_000_000, body_secs=1)
    with running(PaintsBlack(), limits, Access()) as address, httpx.Client(base_url=address, timeout=60) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(REQUESTS):
            head, body = damaged(client, rng, seeds)
            status = ask(client, head, body, rng)
            statuses[status] += 1
            assert status in (0, 200) or 400 <= status < 500, (number, status)
            if number % 1000 == 0:
                assert client.get("/health").status_code == 200
        files = {"image": encoded(photograph(1)), "mask": mask_png()}
        assert client.post("/api/v1/inpaint", files=files).status_code == 200
        assert 'status="500"' not in client.get("/metrics").text and "glcic_held_bytes 0" in client.get("/metrics").text
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{REQUESTS} requests: {dict(sorted(statuses.items()))}; memory grew by {grown:.0f} MB")
    assert statuses[200] > REQUESTS / 20 and statuses[422] > REQUESTS / 20 and grown < 1000


def ask(client, head: str, body: bytes, rng) -> int:
    """The status of the answer; 0 if the connection was cut, by us or after a head that cannot be read."""
    way = rng.random()
    if way < 0.03:
        head = mutate_bytes(head.encode(), rng).decode("latin-1")
    length = rng.choice((len(body) - 5, "x", "-1", 10**12)) if way > 0.97 else len(body)
    data = f"{head}Content-Length: {length}\r\nConnection: close\r\n\r\n".encode("latin-1") + body
    if 0.03 < way < 0.05:
        data = data[: rng.randrange(len(data))]
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            if way > 0.97 or 0.03 < way < 0.05:
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(64)
        except OSError:
            return 0
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
