"""Asks `glcic serve` for more than it can do, and looks at what comes back.

    python -m tests.support.load_eraser --requests=2000 --clients=64

Photographs of 1 to 12 megapixels, JPEG and PNG, with holes of 64 px; a third of the clients hang up midway. Every
answer is compared with the bytes of `glcic complete`. In the end the server is told to stop while twelve clients wait.
Prints figures, and exits with 1 if an answer was wrong or an accepted request was lost.
"""

import argparse
import io
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from PIL import Image

from glcic_jax.cli.main import run
from tests.support.paths import ROOT
from tests.support.pictures import photograph
from tests.support.serving import save_tiny_model

SIZES = ((900, 1200), (1500, 2000), (2100, 2800), (3000, 4000))


class Case(NamedTuple):
    """A form that is asked with, as bytes with its headers, and the right answer."""

    head: bytes
    body: bytes
    answer: bytes


class Figures:
    """What clients saw. Threads share one."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.secs: list[float] = []


def make_cases(folder: Path, model: Path) -> list[Case]:
    cases = []
    for number, (height, width) in enumerate(SIZES):
        for suffix in (".jpg", ".png"):
            file = folder / f"{number}{suffix}"
            Image.fromarray(photograph(number, height, width)).save(file, quality=90)
            mask = np.zeros((height, width), np.uint8)
            mask[height // 2 : height // 2 + 64, width // 3 : width // 3 + 64] = 255
            buffer = io.BytesIO()
            Image.fromarray(mask).save(buffer, "PNG")
            (folder / "mask.png").write_bytes(buffer.getvalue())
            out = folder / f"out{suffix}"
            command = [str(file), f"--mask={folder}/mask.png", f"--model={model}", f"--output={out}"]
            assert run("complete", command) == 0
            files = {"image": (file.name, file.read_bytes()), "mask": ("mask.png", buffer.getvalue())}
            request = httpx.Request("POST", "http://x", files=files)
            body = request.read()
            head = (
                "POST /api/v1/inpaint HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: {request.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            cases.append(Case(head.encode(), body, out.read_bytes()))
    return cases


def ask(port: int, case: Case, figures: Figures, rng: random.Random, hangs_up: bool) -> str:
    """One request; what came of it."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
            if hangs_up:
                part = rng.choice((len(case.body) // 2, len(case.body)))
                connection.sendall(case.head + case.body[:part])
                time.sleep(rng.random() * 2)
                return "hung up"
            connection.sendall(case.head)
            connection.sendall(case.body)
            with connection.makefile("rb") as answer:
                status = answer.readline().split()
                headers = {}
                while line := answer.readline().strip():
                    name, _, value = line.decode().partition(": ")
                    headers[name.lower()] = value
                data = answer.read()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "cut"
    if len(status) < 2:
        return "cut"
    if status[1] == b"503":
        time.sleep(min(float(headers["retry-after"]), 5) * rng.random())
    if status[1] == b"200":
        figures.secs.append(time.monotonic() - began)
        return "right" if data == case.answer else "WRONG"
    return status[1].decode()


def main(requests: int, clients: int) -> int:
    figures, left, stopping = Figures(), iter(range(requests)), threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save_tiny_model(folder / "model")
        cases = make_cases(folder, model)
        command = [sys.executable, str(ROOT / "launch" / "serve.py"), f"--model={model}", "--port=0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        port = int(server.stdout.readline().split(":")[2].split("/")[0])
        lock = threading.Lock()

        def client(number: int) -> None:
            rng = random.Random(number)
            while not stopping.is_set():
                with lock:
                    if next(left, None) is None:
                        return
                figures.seen[ask(port, rng.choice(cases), figures, rng, rng.random() < 1 / 3)] += 1

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        secs, during = time.monotonic() - began, Counter(figures.seen)
        highest = _highest_mb(server.pid)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        code = _stop_under_load(server, port, cases, figures)
    figures.secs.sort()
    print(f"{requests} requests of {clients} clients in {secs:.0f} s: {dict(during)}")
    print(f"right answers after {_share(figures.secs, 0.5):.1f} s (p50), {_share(figures.secs, 0.99):.1f} s (p99)")
    print(f"highest memory of the server: {highest:.0f} MB")
    print(*(line for line in metrics.splitlines() if "given_up" in line and not line.startswith("#")), sep="\n")
    print(f"while it was stopped: {dict(figures.seen - during)}; exit code {code}")
    return int(figures.seen["WRONG"] > 0 or during["cut"] > 0 or (figures.seen - during)["cut"] > 0 or code != 0)


def _stop_under_load(server: subprocess.Popen[str], port: int, cases: list[Case], figures: Figures) -> int:
    """Twelve requests that are all accepted, then SIGTERM: each of them has to be answered."""

    def one(number: int) -> None:
        figures.seen[ask(port, cases[0], figures, random.Random(number), False)] += 1

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    server.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    return server.wait(300)


def _highest_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _share(values: list[float], share: float) -> float:
    return values[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    sys.exit(main(options.requests, options.clients))
