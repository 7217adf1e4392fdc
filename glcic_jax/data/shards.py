"""ArrayRecord shards, one JPEG a record: written, checked against their manifest, and read by index."""

import bisect
import concurrent.futures
import errno
import itertools
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from glcic_jax.data.manifest import MANIFEST, SHARD_SUFFIX, Manifest, Shard
from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.checksum import sha256_of
from glcic_jax.system.durability import flush_file
from glcic_jax.system.packages import INSTALL_TRAINING
from glcic_jax.system.retry import retry

try:
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
except ImportError as error:
    raise UserError(
        f"shards need ArrayRecord ({error}), which completing photographs does without; {INSTALL_TRAINING}; there are "
        "packages for Linux and macOS, on Windows use its Subsystem for Linux (WSL)"
    ) from error

_COUNTING_THREADS = 16
_MOST_ATTEMPTS = 20
_FAILED_CALL = re.compile(r"\w+\(\) failed: (?P<words>[^;]*)")
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)  # of the process, of the system


def write_shard(path: Path, records: Iterable[bytes]) -> Shard:
    """Writes one shard, whole or not at all; returns how the manifest describes it. Raises: OSError."""
    count = 0
    with atomic_file(path) as partial:
        # One record a group for random access; JPEGs do not shrink a second time.
        writer = ArrayRecordWriter(str(partial), "group_size:1,uncompressed")
        try:
            try:
                for record in records:
                    writer.write(record)
                    count += 1
            finally:
                writer.close()
        except RuntimeError as error:  # what the writer raises for a full disk, say
            raise OSError(errno.EIO, str(error).partition(";")[0]) from error
        flush_file(partial)
        return Shard(path.name, count, partial.stat().st_size, sha256_of(partial))


def find_damage(
    folder: Path,
    manifest: Manifest,
    on_progress: Callable[[float, int], None] = lambda share, shards: None,
) -> list[str]:
    """Reads every shard whole; says of each that is not as the manifest describes it what is wrong."""
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    damage = []
    for number, shard in enumerate(shards, start=1):
        path = folder / shard.file
        if not path.is_file():
            damage.append(f"{path} is missing")
        elif path.stat().st_size != shard.bytes:
            damage.append(f"{path} has {path.stat().st_size} bytes, not {shard.bytes}")
        elif sha256_of(path) != shard.sha256:
            damage.append(f"{path} has other bytes than it was written with")
        on_progress(number / len(shards), 1)
    known = {shard.file for shard in shards}
    strangers = (path for path in sorted(folder.glob(f"*{SHARD_SUFFIX}")) if path.name not in known)
    return damage + [f"{path} is not in the manifest" for path in strangers]


def open_split(folder: Path, manifest: Manifest, split: str) -> "Records":
    """The JPEGs of one split by index, after checking that its shards are as large as the manifest says.

    Raises: UserError if the split or a shard is missing, or a shard has another size or number of records.
    """
    if split not in manifest.splits:
        raise UserError(
            f"{folder / MANIFEST} has no split {split!r}, only {sorted(manifest.splits)}; add it with: "
            f"python launch/prepare.py --source=PHOTOGRAPHS --output={folder} --split={split}"
        )
    advice = "prepare the data again, or copy the folder whole"
    shards = manifest.splits[split].shards
    for shard in shards:
        path = folder / shard.file
        try:
            size = retry(path.stat).st_size
        except FileNotFoundError:
            raise UserError(f"the shard {path} is missing; {advice}") from None
        if size != shard.bytes:
            raise UserError(f"the shard {path} has {size} bytes, its manifest says {shard.bytes}; {advice}")
    records = Records([folder / shard.file for shard in shards], [shard.count for shard in shards])
    with concurrent.futures.ThreadPoolExecutor(_COUNTING_THREADS) as pool:
        counts = pool.map(records.count_in, range(len(shards)))
        for shard, count in zip(shards, counts, strict=True):
            if count != shard.count:
                raise UserError(
                    f"the shard {folder / shard.file} holds {count} records, its manifest says {shard.count}; {advice}"
                )
    return records


class Records:
    """The records of shards by index; may be used by many threads.

    Of thousands of shards only so many are open at a time as the system allows, the last used ones.
    """

    def __init__(self, paths: Sequence[Path], counts: Sequence[int]):
        """counts: the records of each shard."""
        self._paths = paths
        self._ends = [*itertools.accumulate(counts)]
        self._readers: OrderedDict[int, ArrayRecordReader] = OrderedDict()
        self._most_open = _allowed_open_files()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> bytes:
        """Raises: ValueError naming a record that is damaged; UserError if its shard cannot be read at all."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = bisect.bisect(self._ends, index)
        place = index - (self._ends[shard - 1] if shard else 0)
        try:
            record: bytes = self._ask(shard, lambda reader: reader.read([place])[0])
        except RuntimeError as error:
            raise ValueError(f"number {place} in {self._paths[shard].name} is damaged ({error})") from error
        return record

    def count_in(self, shard: int) -> int:
        """How many records a shard holds by its own account. Raises: UserError if it cannot be read."""
        try:
            count: int = self._ask(shard, lambda reader: reader.num_records())
        except RuntimeError as error:
            raise UserError(
                f"the shard {self._paths[shard]} cannot be read ({error}); prepare the data again, or copy the folder "
                "whole"
            ) from error
        return count

    def _ask(self, shard: int, question: Callable[[ArrayRecordReader], Any]) -> Any:
        """Asks a shard's reader, again where what the system says may pass by itself.

        Raises: RuntimeError of the reader, whose cause lies in the shard's bytes; UserError for what does not.
        """

        def ask() -> Any:
            try:
                return question(self._reader(shard))
            except RuntimeError as error:
                if (of_system := _system_error(error)) is None:
                    raise
                with self._lock:  # a handle that has become stale stays so
                    self._readers.pop(shard, None)
                raise of_system from error

        try:
            return retry(ask)
        except OSError as error:
            raise UserError(
                f"cannot read the shard {self._paths[shard]}: {error.strerror}; mend that and run the same command "
                "again"
            ) from error

    def _reader(self, shard: int) -> ArrayRecordReader:
        """Raises: RuntimeError if it cannot be opened."""
        with self._lock:
            if shard in self._readers:
                self._readers.move_to_end(shard)
                return self._readers[shard]
        reader = self._open(self._paths[shard])
        with self._lock:
            self._readers[shard] = reader
            self._close_all_but(self._most_open)
        return reader

    def _open(self, path: Path) -> ArrayRecordReader:
        """A reader; where the system opens no more files, others are closed first. Raises: RuntimeError."""
        for attempt in range(_MOST_ATTEMPTS):
            reader = ArrayRecordReader(str(path), options="readahead_buffer_size:0", file_reader_buffer_size=32768)
            if reader.ok():
                return reader
            try:
                reader.read([0])  # says why not; to count, it would say 0
            except RuntimeError as error:
                of_system = _system_error(error)
                if of_system is None or of_system.errno not in _NO_DESCRIPTORS or attempt == _MOST_ATTEMPTS - 1:
                    raise
            self._close_half()
            time.sleep(0.01 * attempt)
        raise RuntimeError(f"{path} cannot be opened")

    def _close_half(self) -> None:
        """Leaves room for the files of the rest of the program, now and from now on."""
        with self._lock:
            self._most_open = max(1, len(self._readers) // 2)
            self._close_all_but(self._most_open)

    def _close_all_but(self, count: int) -> None:
        while len(self._readers) > count:
            self._readers.popitem(last=False)  # closed with its last reference: a thread may be reading from it


def _allowed_open_files() -> int:
    """A number of shards that leaves files to the rest of the program."""
    try:
        import resource
    except ImportError:  # Windows
        return 256
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 4096 if limit == resource.RLIM_INFINITY else max(16, min(4096, limit - 256))


def _system_error(error: RuntimeError) -> OSError | None:
    """What a call of the system failed with, which says nothing about a shard; None if the shard itself is wrong."""
    failed = _FAILED_CALL.match(str(error))
    if failed is None:
        return None
    number = next((number for number in errno.errorcode if os.strerror(number) == failed["words"]), errno.EIO)
    return OSError(number, failed["words"])
