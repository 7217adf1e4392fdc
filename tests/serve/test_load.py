"""More requests than can be done: refused, given up, too slow; and a stop that loses none of those accepted."""

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from glcic_jax.serve.app import make_app
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from glcic_jax.serve.server import bind, make_server
from tests.support.pictures import encoded, photograph
from tests.support.serving import PaintsBlack, running


class SlowModels(PaintsBlack):
    """Paints when it is allowed to, and counts."""

    def __init__(self):
        self.may_go_on, self.begun, self.done = threading.Event(), 0, 0

    def paint_with(self, options, watch):
        def paint(pixels, mask):
            watch()
            self.begun += 1
            while not self.may_go_on.wait(0.02):
                watch()
            self.done += 1
            return np.zeros_like(pixels), []

        return paint


def a_form():
    mask = np.zeros((80, 96), np.uint8)
    mask[30:50, 40:60] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"image": ("p.png", encoded(photograph(1), "PNG")), "mask": ("m.png", buffer.getvalue())}


@contextlib.contextmanager
def slow_server(**limits) -> Iterator[tuple[SlowModels, httpx.Client]]:
    models = SlowModels()
    with (
        running(models, Limits(**{"workers": 1, **limits}), Access()) as address,
        httpx.Client(base_url=address, timeout=30, limits=httpx.Limits(max_connections=50)) as client,
    ):
        yield models, client
        models.may_go_on.set()


def until(true, secs=20):
    end = time.monotonic() + secs
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def gauge(client, name):
    line = next(line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_a_full_line_is_refused_and_comes_again():
    with slow_server(waiting=2) as (models, client), ThreadPoolExecutor(3) as pool:
        accepted = [pool.submit(client.post, "/api/v1/inpaint", files=a_form()) for _ in range(3)]
        until(lambda: models.begun == 1 and gauge(client, "glcic_waiting") == 2)
        refused = client.post("/api/v1/inpaint", files=a_form())
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert "2 photographs wait already" in refused.json()["error"]
        models.may_go_on.set()
        assert [answer.result().status_code for answer in accepted] == [200] * 3
        assert client.post("/api/v1/inpaint", files=a_form()).status_code == 200
        assert gauge(client, "glcic_held_bytes") == gauge(client, "glcic_working") == 0


def hang_up_after_sending(client) -> None:
    """Sends a whole request, and leaves without its answer."""
    request = client.build_request("POST", "/api/v1/inpaint", files=a_form())
    body = request.read()
    connection = socket.create_connection((client.base_url.host, client.base_url.port))
    head = f"POST /api/v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.headers['content-type']}\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    time.sleep(0.1)
    connection.close()


def test_who_hangs_up_is_dropped():
    """While it waits it is never painted; while it is painted it stops at the next window."""
    with slow_server() as (models, client), ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/api/v1/inpaint", files=a_form())
        until(lambda: models.begun == 1)
        for _ in range(3):
            hang_up_after_sending(client)
        until(lambda: 'glcic_given_up_total{when="waiting"} 3' in client.get("/metrics").text)
        assert gauge(client, "glcic_waiting") == 0
        models.may_go_on.set()
        assert first.result().status_code == 200 and models.begun == 1
        models.may_go_on.clear()
        hang_up_after_sending(client)
        until(lambda: 'glcic_given_up_total{when="painting"} 1' in client.get("/metrics").text)
        assert gauge(client, "glcic_working") == 0 and models.done == 1


def test_times():
    """Bodies that trickle in, turns that do not come, painting without end, connections that say nothing."""
    with slow_server(body_secs=0.3, wait_secs=0.5, paint_secs=1, idle_secs=0.4) as (models, client):
        connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)
        connection.putrequest("POST", "/api/v1/inpaint")
        for name, value in (("Content-Type", "application/json"), ("Content-Length", "1000")):
            connection.putheader(name, value)
        connection.endheaders(b"{")
        assert connection.getresponse().status == 408
        connection.close()
        with socket.create_connection((client.base_url.host, client.base_url.port)) as silent:
            silent.settimeout(20)
            assert silent.recv(1) == b""
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.post, "/api/v1/inpaint", files=a_form())
            until(lambda: models.begun == 1)
            late = client.post("/api/v1/inpaint", files=a_form())
            assert late.status_code == 503 and "its turn had not come" in late.json()["error"]
            assert first.result().status_code == 422 and "took longer than 1 s" in first.result().json()["error"]


def test_bodies_together_are_bounded():
    size = len(httpx.Request("POST", "http://x", files=a_form()).read())
    with slow_server(held_bytes=size * 2) as (models, client), ThreadPoolExecutor(2) as pool:
        held = [pool.submit(client.post, "/api/v1/inpaint", files=a_form()) for _ in range(2)]
        until(lambda: gauge(client, "glcic_working") + gauge(client, "glcic_waiting") == 2)
        assert client.post("/api/v1/inpaint", files=a_form()).status_code == 503
        models.may_go_on.set()
        assert [answer.result().status_code for answer in held] == [200, 200]


def test_progress():
    with slow_server() as (models, client), ThreadPoolExecutor(2) as pool:
        for ticket in ("first-ticket", "second-ticket"):
            pool.submit(client.post, f"/api/v1/inpaint?ticket={ticket}", files=a_form())
            until(
                lambda ticket=ticket: (
                    client.get(f"/api/v1/progress/{ticket}").json()["state"] in ("painting", "waiting")
                )
            )
        assert client.get("/api/v1/progress/second-ticket").json() == {"state": "waiting", "ahead": 0, "windows": 0}
        assert client.get("/api/v1/progress/first-ticket").json()["state"] == "painting"
        models.may_go_on.set()
        until(lambda: client.get("/api/v1/progress/first-ticket").json()["state"] == "unknown")


def test_a_stop_loses_nothing_accepted():
    models, limits = SlowModels(), Limits(workers=1)
    listening, up = bind("127.0.0.1", 0), threading.Event()
    server = make_server(make_app(models, limits, Access()), limits, up.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert up.wait(20)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with httpx.Client(base_url=address, timeout=30) as client, ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(client.post, "/api/v1/inpaint", files=a_form()) for _ in range(4)]
        until(lambda: models.begun == 1 and gauge(client, "glcic_waiting") == 3)
        server.should_exit = True
        time.sleep(0.5)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/health", timeout=5)
        models.may_go_on.set()
        assert [answer.result().status_code for answer in accepted] == [200] * 4
    thread.join(20)
    assert not thread.is_alive() and models.done == 4
