"""Files that are not in a set, each with its reason: a few in the manifest, the whole list beside it."""

import dataclasses
import itertools
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from glcic_jax.data.manifest import LEFT_OUT_LIST, LeftOut, Manifest
from glcic_jax.errors import UserError
from glcic_jax.prepare.archives import is_end
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.durability import flush_file

MOST_IN_MANIFEST = 200
_MOST_BYTES_IN_MANIFEST = 200_000
_EXAMPLES_OF_A_KIND = 3
_MOST_KINDS = 100
_OTHER_KINDS = "other reasons"


def kind_of(reason: str) -> str:
    """A reason without the names and numbers in it, so that all "same bytes as ..." are of one kind."""
    return re.sub(r"\b(as|to|after|in) .*|\d+", "...", reason)[:200]


def count_kinds(manifest: Manifest) -> Counter[str]:
    """How many files were left out for each kind of reason."""
    return Counter(manifest.left_out_kinds or Counter(kind_of(file.reason) for file in manifest.left_out))


class LeftOutFiles:
    """Any number of them, in the order of their sources and names; a context manager."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a temporary file, once it no longer fits SQLite's small cache
        self._database.execute("CREATE TABLE files (source, name, reason)")

    def add(self, files: Iterable[LeftOut]) -> None:
        """More of them, in any order."""
        self._database.executemany("INSERT INTO files VALUES (?, ?, ?)", map(dataclasses.astuple, files))

    def __iter__(self) -> Iterator[LeftOut]:
        for row in self._database.execute("SELECT * FROM files ORDER BY source, name, reason"):
            yield LeftOut(*row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()


def add_to_manifest(manifest: Manifest, files: Iterable[LeftOut], base: int, folder: Path) -> Manifest:
    """The manifest of a set with more files left out; where they are too many for it, writes the list in `folder`.

    base: the place of these files' first source among those of the whole set.
    """

    def everything() -> Iterator[LeftOut]:
        if manifest.left_out_kinds:  # a kill may have left a list that is further than the manifest
            yield from itertools.islice(_read_list(folder), manifest.left_out_count)
        else:
            yield from manifest.left_out
        for file in files:
            yield dataclasses.replace(file, source=base + file.source)

    few: list[LeftOut] = []
    examples: dict[str, list[LeftOut]] = defaultdict(list)
    kinds: Counter[str] = Counter()
    size = 0
    with atomic_file(folder / LEFT_OUT_LIST) as partial:
        with partial.open("w", encoding="utf-8") as lines:
            for file in everything():
                line = json.dumps(dataclasses.asdict(file), ensure_ascii=False)
                lines.write(line + "\n")
                size += len(line)
                kind = kind_of(file.reason)
                kinds[kind if kind in kinds or len(kinds) < _MOST_KINDS else _OTHER_KINDS] += 1
                if len(few) <= MOST_IN_MANIFEST:
                    few.append(file)
                if is_end(file.name) or (len(examples[kind]) < _EXAMPLES_OF_A_KIND and len(examples) <= _MOST_KINDS):
                    examples[kind].append(file)
        flush_file(partial)
        fits = len(few) <= MOST_IN_MANIFEST and size <= _MOST_BYTES_IN_MANIFEST
    if fits:
        (folder / LEFT_OUT_LIST).unlink()
        return dataclasses.replace(manifest, left_out=tuple(few), left_out_kinds={})
    shown = [file for of_kind in examples.values() for file in of_kind]
    return dataclasses.replace(manifest, left_out=_within_limits(shown), left_out_kinds=dict(kinds.most_common()))


def _within_limits(files: list[LeftOut]) -> tuple[LeftOut, ...]:
    """As many as fit into a manifest, ends of archives first."""
    files.sort(key=lambda file: not is_end(file.name))
    kept: list[LeftOut] = []
    size = 0
    for file in files:
        size += len(file.name) + len(file.reason)
        if size > _MOST_BYTES_IN_MANIFEST or len(kept) == 2 * MOST_IN_MANIFEST:
            break
        kept.append(file)
    return tuple(sorted(kept, key=dataclasses.astuple))


def _read_list(folder: Path) -> Iterator[LeftOut]:
    path = folder / LEFT_OUT_LIST
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                about = json.loads(line)
                yield LeftOut(int(about["source"]), str(about["name"]), str(about["reason"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy it again, or prepare the data again") from error
