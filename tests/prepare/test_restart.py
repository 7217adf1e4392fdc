"""Preparing in pieces: interrupted anywhere, on several workers or hosts, the bytes are always the same."""

import errno
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from glcic_jax.data.manifest import MANIFEST
from glcic_jax.data.shards import find_damage
from glcic_jax.errors import UserError
from glcic_jax.prepare import blocks as blocks_module
from glcic_jax.prepare import merge as merge_module
from glcic_jax.prepare import pipeline as prepare_module
from glcic_jax.prepare import spool as spool_module
from glcic_jax.prepare.pipeline import SPOOL, Part, merge, prepare, spool_part
from glcic_jax.prepare.plan import Settings
from tests.support.hostile import make_folder
from tests.support.paths import ROOT
from tests.support.pictures import encoded, photograph


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few files make many blocks and shards."""
    monkeypatch.setattr(blocks_module, "BLOCK_FILES", 7)
    monkeypatch.setattr(merge_module, "SHARD_BYTES", 20_000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_folder(folder)
    return folder


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def expected(corpus, tmp_path):
    prepare([str(corpus)], tmp_path / "expected", Settings(val_fraction=0.2))
    found = bytes_in(tmp_path / "expected")
    assert len(found) > 5  # several shards
    return found


def test_workers_and_parts_do_not_matter(corpus, expected, tmp_path):
    prepare([str(corpus)], tmp_path / "two workers", Settings(val_fraction=0.2), workers=2)
    assert bytes_in(tmp_path / "two workers") == expected
    for number in (2, 0, 1):
        if number != 2:
            with pytest.raises(UserError, match="are not done; run first --part="):
                merge(tmp_path / "parts", 0, lambda *_: None)
        spool_part([str(corpus)], tmp_path / "parts", Settings(val_fraction=0.2), Part(number, 3), 0, lambda *_: None)
    merge(tmp_path / "parts", 0, lambda *_: None)
    assert bytes_in(tmp_path / "parts") == expected


class Killed(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (spool_module.Index, "add"),
        (spool_module.Index, "begin"),
        (spool_module.Index, "finish"),
        (spool_module.zlib, "crc32"),
        (merge_module, "write_shard"),
        (merge_module, "_description"),
        (merge_module, "_remove_buckets_below"),
        (merge_module.Path, "rename"),
        (merge_module, "write_manifest"),
        (merge_module.shutil, "rmtree"),
    ],
)
def test_killed_at_every_step(corpus, expected, tmp_path, monkeypatch, where, name):
    """Each call of these functions is once the last thing that a run does."""
    original = getattr(where, name)
    calls = kills = 0

    def deadly(*arguments, **options):
        nonlocal calls, kills
        calls += 1
        if calls > kills:
            kills += 1
            raise Killed
        return original(*arguments, **options)

    monkeypatch.setattr(where, name, deadly)
    for _ in range(200):
        calls = 0
        try:
            prepare([str(corpus)], tmp_path / "out", Settings(val_fraction=0.2))
        except Killed:
            continue
        break
    assert kills >= 1 and bytes_in(tmp_path / "out") == expected


@pytest.mark.parametrize(("where", "name"), [(prepare_module, "spool_block"), (merge_module, "write_shard")])
def test_a_full_disk_loses_nothing(corpus, expected, tmp_path, monkeypatch, where, name):
    original, calls = getattr(where, name), 0

    def full_at_the_third_call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **options)

    monkeypatch.setattr(where, name, full_at_the_third_call)
    with pytest.raises(UserError, match=r"No space left on device; make room .* the same command goes on"):
        prepare([str(corpus)], tmp_path / "out", Settings(val_fraction=0.2))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SPOOL]
    prepare([str(corpus)], tmp_path / "out", Settings(val_fraction=0.2))
    assert bytes_in(tmp_path / "out") == expected


def test_a_disk_that_fills_up_while_shards_are_written(corpus, tmp_path, monkeypatch):
    class Full:
        def __init__(self, *arguments):
            pass

        def write(self, *record):
            raise RuntimeError("write() failed: No space left on device; writing x.array_record; at byte 7")

        close = write

    monkeypatch.setattr("glcic_jax.data.shards.ArrayRecordWriter", Full)
    with pytest.raises(UserError, match=r"write\(\) failed: No space left on device; make room"):
        prepare([str(corpus)], tmp_path / "out", Settings())


def test_a_spool_knows_what_it_was_begun_with(corpus, tmp_path):
    out = tmp_path / "out"
    spool_part([str(corpus)], out, Settings(), Part(), 0, lambda *_: None)
    with pytest.raises(UserError, match=r"begun from other .* settings .*max_short_side_px.* delete .*partial-prepare"):
        prepare([str(corpus)], out, Settings(max_short_side_px=100))
    with pytest.raises(UserError, match="is being prepared in 1 part"):
        spool_part([str(corpus)], out, Settings(), Part(0, 2), 0, lambda *_: None)
    (corpus / "new.jpg").write_bytes(encoded(photograph(1)))
    try:
        with pytest.raises(UserError, match=r"have changed since .* delete"):
            prepare([str(corpus)], out, Settings())
    finally:
        (corpus / "new.jpg").unlink()


def test_the_same_again_is_done_already_and_others_are_refused(photographs, corpus, tmp_path):
    prepare([str(photographs)], tmp_path / "out", Settings())
    before = bytes_in(tmp_path / "out")
    prepare([str(photographs)], tmp_path / "out", Settings())
    with pytest.raises(UserError, match="already holds 'train'"):
        prepare([str(corpus)], tmp_path / "out", Settings())
    assert bytes_in(tmp_path / "out") == before


def test_damage_is_found(photographs, tmp_path):
    manifest = prepare([str(photographs)], tmp_path, Settings())
    assert find_damage(tmp_path, manifest) == []
    first, second, *_ = sorted(tmp_path.glob("*.array_record"))
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 1
    first.write_bytes(data)
    second.rename(tmp_path / "other.array_record")
    assert [line.partition(" ")[2] for line in sorted(find_damage(tmp_path, manifest))] == [
        "is not in the manifest",
        "has other bytes than it was written with",
        "is missing",
    ]


def command(source, output, *options):
    launch = [sys.executable, str(ROOT / "launch" / "prepare.py"), f"--source={source}", f"--output={output}"]
    return [*launch, "--workers=2", *options]


def test_two_runs_at_once(corpus, tmp_path):
    """The second one is refused while the first one waits for its stream."""
    first = subprocess.Popen(
        command("-", tmp_path / "out"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(corpus / "plain.jpg", "plain.jpg")
        archive.add(corpus / "rgb.png", "rgb.png")
    data = stream.getvalue().rstrip(b"\0")
    first.stdin.write(data)
    first.stdin.flush()
    lock = tmp_path / "out" / SPOOL / "part-0-of-1" / "lock"
    for _ in range(600):
        if lock.exists() and lock.read_text():
            break
        time.sleep(0.05)
    second = subprocess.run(command(corpus, tmp_path / "out"), capture_output=True, text=True)
    assert second.returncode == 2 and f"is in use by process {first.pid}" in second.stderr
    first.communicate(bytes(10_240))
    assert first.returncode == 0 and (tmp_path / "out" / MANIFEST).exists()
    assert not (tmp_path / "out" / SPOOL).exists()


@pytest.mark.long
def test_twenty_kills(tmp_path):
    """SIGKILL at random moments of the real command with two workers."""
    with tarfile.open(tmp_path / "photographs.tar", "w") as archive:
        for index in range(1500):
            info, data = tarfile.TarInfo(f"{index}.jpg"), encoded(photograph(index))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    start = time.perf_counter()
    subprocess.run(command(tmp_path / "photographs.tar", tmp_path / "expected"), check=True, capture_output=True)
    whole = time.perf_counter() - start
    rng, kills = random.Random(0), 0
    while kills < 20:
        run = subprocess.Popen(
            command(tmp_path / "photographs.tar", tmp_path / "out"), stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            run.wait(rng.uniform(0.2, 1.1) * whole)
            assert run.returncode == 0
            assert bytes_in(tmp_path / "out") == bytes_in(tmp_path / "expected")
            shutil.rmtree(tmp_path / "out")
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            kills += 1
    subprocess.run(command(tmp_path / "photographs.tar", tmp_path / "out"), check=True, capture_output=True)
    assert bytes_in(tmp_path / "out") == bytes_in(tmp_path / "expected")
