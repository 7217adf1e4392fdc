"""More shards than the system opens files: every record right, and none counted as damaged."""

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glcic_jax.data import shards
from glcic_jax.data.manifest import Manifest, Split, read_manifest, write_manifest
from glcic_jax.data.shards import Records, open_split, write_shard
from glcic_jax.errors import UserError
from tests.support.paths import ROOT


def make_set(folder, count, records_each=2):
    """Shards whose records say which they are."""
    folder.mkdir()
    written = tuple(
        write_shard(
            folder / f"train-{number:05d}-of-{count:05d}.array_record",
            (f"{number} {place}".encode() * 50 for place in range(records_each)),
        )
        for number in range(count)
    )
    write_manifest(folder, Manifest(splits={"train": Split(count * records_each, (0.5,) * 3, (1, 1, 1), written)}))
    return folder


READ_ALL = """
import sys, random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from glcic_jax.data.manifest import read_manifest
from glcic_jax.data.shards import open_split
folder = Path(sys.argv[1])
records = open_split(folder, read_manifest(folder), "train")
order = random.Random(0).sample(range(len(records)), len(records)) * 2
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(records.__getitem__, order))
assert found == [f"{index // 2} {index % 2}".encode() * 50 for index in order], "a wrong record"
print(len(found))
"""


def read_all(folder, limit):
    return subprocess.run(
        ["bash", "-c", f'ulimit -n {limit} && exec "$@"', "-", sys.executable, "-c", READ_ALL, str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_sixty_shards_with_fifty_files(tmp_path):
    result = read_all(make_set(tmp_path / "set", 60), 50)
    assert (result.returncode, result.stdout) == (0, "240\n"), result.stderr


@pytest.mark.slow
def test_1500_shards_with_1024_files(tmp_path):
    result = read_all(make_set(tmp_path / "set", 1500), 1024)
    assert (result.returncode, result.stdout) == (0, "6000\n"), result.stderr


def test_running_out_of_files_is_no_damage(tmp_path):
    """The rest of the program may need files at any time: shards are closed for it, and no record is given up."""
    folder = make_set(tmp_path / "set", 12)
    records = open_split(folder, read_manifest(folder), "train")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 40, hard))
        fresh = Records([folder / shard.file for shard in read_manifest(folder).splits["train"].shards], [2] * 12)
        for index in range(6):
            fresh[index]
        with pytest.raises(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(fresh.__getitem__, range(24)), *pool.map(records.__getitem__, range(24))]
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == [f"{index // 2} {index % 2}".encode() * 50 for index in range(24)] * 2


@pytest.mark.parametrize("words", ["Stale file handle", "Input/output error"])
def test_an_error_that_passes_is_no_damaged_record(tmp_path, monkeypatch, words):
    """What a file server says in a bad moment must not put another image in this one's place."""
    folder, failures = make_set(tmp_path / "set", 1), [2]
    real = shards.ArrayRecordReader

    class Failing(real):
        def read(self, places):
            if failures[0]:
                failures[0] -= 1
                raise RuntimeError(f"pread() failed: {words}; reading {folder}; at byte 64")
            return super().read(places)

    monkeypatch.setattr("glcic_jax.system.retry.time.sleep", lambda secs: None)
    monkeypatch.setattr(shards, "ArrayRecordReader", Failing)
    records = Records([folder / "train-00000-of-00001.array_record"], [2])
    assert records[1] == b"0 1" * 50
    failures[0] = 100
    with pytest.raises(UserError, match=f"cannot read the shard .*: {words}; mend that"):
        records[0]


def test_a_shard_that_cannot_be_opened_is_no_damaged_record(tmp_path):
    folder = make_set(tmp_path / "set", 1)
    records = Records([folder / "train-00000-of-00001.array_record"], [2])
    (folder / "train-00000-of-00001.array_record").unlink()
    with pytest.raises(UserError, match=r"cannot read the shard .*: No such file"):
        records[0]
