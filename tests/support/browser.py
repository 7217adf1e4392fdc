"""A real Chromium, where there is one."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = "axe-core@4.11.0"


@contextlib.contextmanager
def chromium(profile: Path, **options: Any) -> Iterator[Any]:
    """Playwright's context of a browser with a profile of its own; skips the test where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install 'glcic-jax[browser]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(
            profile, executable_path=program, headless=True, args=FLAGS, **options
        )
        yield context
        context.close()


def fetch_axe(folder: Path) -> str:
    """The script of axe-core, from npm into a folder of the test; skips the test where it cannot be had."""
    if shutil.which("npm") is None:
        pytest.skip("no npm, which brings axe-core")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, AXE]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("axe-core cannot be had from npm")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
