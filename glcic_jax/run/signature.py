"""The signature of a checkpoint: `checksums.json`, written beside it once everything else is on the disk.

It has the SHA-256 of every file, a checksum of every array as it was in memory, and one of itself. A checkpoint
without one was not finished; one that does not match it is damaged.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from glcic_jax.run.checksums import Leaf, leaf_checksums, text_checksum
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.checksum import sha256_of
from glcic_jax.system.retry import retry

CHECKSUMS = "checksums.json"


class Damaged(Exception):
    """A checkpoint is not what was saved."""


class Signature(NamedTuple):
    """What a checkpoint was signed with.

    about: checksum of what lies beside the state. leaves: the arrays of the state by their place in it.
    """

    about: str
    leaves: dict[str, Leaf]


class _Signed(TypedDict):
    """The file, without the checksum of itself."""

    files: dict[str, str]
    about: str
    leaves: Mapping[str, tuple[Sequence[int], str, int]]


def sign(path: Path, like: Any, checksums: Any, about: Mapping[str, object]) -> None:
    """Adds the signature to a checkpoint whose files are all there, and reads it again.

    Args:
        path: folder of the checkpoint.
        like: shapes and types of the state.
        checksums: of the state, see `device_checksums`.
        about: what was saved beside it.

    Raises: OSError, UserError or Damaged if it is not on the disk afterwards.
    """
    signed: _Signed = {
        "files": _files(path),
        "about": text_checksum(about),
        "leaves": leaf_checksums(like, checksums),
    }
    with atomic_file(path / CHECKSUMS) as partial:
        partial.write_text(json.dumps({**signed, "own": text_checksum(signed)}))
    if not is_signed(path):
        raise Damaged(f"{CHECKSUMS} cannot be read back")


def is_signed(path: Path) -> bool:
    """Whether a checkpoint has a whole signature; its files are not looked at. Raises: OSError."""
    try:
        return _read(path) is not None
    except Damaged:
        return False


def verify_signature(path: Path) -> Signature | None:
    """The signature, once every file is as it was signed; None if there is none.

    Raises: Damaged if something is missing or has changed; OSError if the files cannot be read, also after some tries,
    which says nothing about them.
    """
    signed = retry(lambda: _read(path))
    if signed is None:
        return None
    present = retry(lambda: _files(path))
    for name, checksum in signed["files"].items():
        if present.get(name) != checksum:
            raise Damaged(f"the file {name} {'has changed' if name in present else 'is gone'}")
    return Signature(signed["about"], {name: Leaf(tuple(s), d, c) for name, (s, d, c) in signed["leaves"].items()})


def _read(path: Path) -> _Signed | None:
    try:
        text = (path / CHECKSUMS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise Damaged(f"{CHECKSUMS} has changed") from error
    try:
        signed = json.loads(text)
        whole: bool = signed.pop("own") == text_checksum(signed)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Damaged(f"{CHECKSUMS} has changed") from error
    if not whole:
        raise Damaged(f"{CHECKSUMS} has changed")
    return signed


def _files(path: Path) -> dict[str, str]:
    """SHA-256 of every file that Orbax wrote."""
    files = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith((CHECKSUMS, ".partial-")))
    return {file.relative_to(path).as_posix(): sha256_of(file) for file in files}
