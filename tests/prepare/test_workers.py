"""Workers that die: the work goes on without the file that kills them, which is named."""

import os
import signal
import subprocess
import sys

import pytest

from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import open_split
from glcic_jax.errors import UserError
from glcic_jax.prepare.workers import map_unordered
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph


def square(number):
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_death_without_rescue_is_an_error():
    with pytest.raises(UserError, match="a worker process died"):
        list(map_unordered(square, range(20), 2))


def test_a_death_with_rescue_costs_one_task():
    alone = []

    def rescue(task, do_alone):
        alone.append(task)
        result = do_alone(task)  # None when this task killed its process; 0 is a result like any other
        return -1 if result is None else result

    found = sorted(map_unordered(square, range(30), 2, rescue))
    assert found == sorted([-1, *(n * n for n in range(30) if n != 13)])
    assert 13 in alone and len(alone) <= 5


# What Python runs before anything else: pictures 97 px wide kill whoever looks at their colours.
DEADLY = """
import os
from PIL import Image
original = Image.Image.histogram
def histogram(self, *arguments):
    if self.width == 97:
        os.kill(os.getpid(), 9)
    return original(self, *arguments)
Image.Image.histogram = histogram
"""


def test_a_file_that_kills_its_worker_is_left_out_by_name(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DEADLY)
    (tmp_path / "photos").mkdir()
    for index in range(20):
        width = 97 if index in (5, 17) else 96
        (tmp_path / "photos" / f"{index:02d}.jpg").write_bytes(encoded(photograph(index, 80, width)))
    result = subprocess.run(
        [sys.executable, "launch/prepare.py", f"--source={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}",
         "--workers=2", "--split=train"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(tmp_path / "out")
    assert [file.name for file in manifest.left_out] == ["05.jpg", "17.jpg"]
    assert all("the process that decoded it died" in file.reason for file in manifest.left_out)
    records = open_split(tmp_path / "out", manifest, "train")
    assert sorted(records) == sorted(encoded(photograph(index, 80, 96)) for index in range(20) if index not in (5, 17))
