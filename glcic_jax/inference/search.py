"""Photographs and masks on disk: what folders and patterns hold, and which mask belongs to which photograph."""

import glob
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from glcic_jax.data.images import SUFFIXES, is_image_name
from glcic_jax.errors import UserError

# image.png goes with image.png, image_mask.png and, as LaMa names them, image_mask001.png in the masks' folder.
_MASK_NAME = re.compile(r"(?P<stem>.+?)_mask\d*$", re.DOTALL)
_LOSSLESS = (".png", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Found:
    """A file, and its path below the folder that was searched: the name alone of one that was named itself.

    root: that folder; None if the file was named itself.
    """

    path: Path
    inside: PurePath
    root: Path | None = None

    @property
    def key(self) -> str:
        """What pairs it: the path without ending, in Unicode's composed form (macOS writes names decomposed)."""
        return unicodedata.normalize("NFC", self.inside.with_suffix("").as_posix())


@dataclass
class Search:
    """What was found, and notes for people on what was left out."""

    files: list[Found] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_folder_or_pattern(pattern: str) -> bool:
    """Whether it is a folder or a glob pattern, not a file's name."""
    return Path(pattern).is_dir() or (glob.has_magic(pattern) and not Path(pattern).exists())


def find_images(patterns: Sequence[str], output: Path | None = None, may_be_none: bool = False) -> Search:
    """The images that files, folders and glob patterns name, in order.

    Args:
        patterns: folders are searched with their subfolders, but for hidden files and folders and links to folders.
        output: a folder below them that is not searched, since the results lie there.
        may_be_none: whether a pattern may name none.

    Raises: UserError if one of the patterns names none, unless it may.

    """
    search = Search()
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            some = _keep_images(_walk(path, output, search.notes), path, search.notes)
        elif is_folder_or_pattern(pattern):
            matching = (Path(name) for name in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 (absolute too)
            files = [file for file in matching if file.is_file() and not _is_inside(file, output)]
            some = _keep_images(files, _root_of(pattern), search.notes)
        else:
            some = [Found(path, PurePath(path.name))]
        if not some and not may_be_none:
            raise UserError(f"no image in {pattern}; known kinds: {', '.join(SUFFIXES)}")
        search.files.extend(some)
    search.files = list({file.path: file for file in reversed(search.files)}.values())[::-1]
    return search


def leave_out_masks(photographs: Search, masks: Sequence[Found] | None, mask: Path | None = None) -> Search:
    """The photographs without the masks among them; files that were named themselves stay.

    Args:
        masks: all masks; None where there is one for all, or none. mask: that one.

    Raises: UserError if of two files nobody can tell which one is the mask.

    """
    by_key: dict[tuple[Path | None, str], list[Found]] = {}
    for file in photographs.files:
        by_key.setdefault((file.root, file.key), []).append(file)
    mask_roots = {_absolute(file.path): file.root for file in masks or []}
    kept, named_like_masks, notes = [], [], [*photographs.notes]
    for file in photographs.files:
        if file.root is None or (masks is None and mask is not None and _absolute(file.path) == _absolute(mask)):
            kept += [file] if file.root is None else []
        elif (named_after := _photograph_key(file)) is not None and (file.root, named_after) in by_key:
            named_like_masks.append(str(file.path))
        elif not _is_among_masks(file, by_key[file.root, file.key], mask_roots):
            kept.append(file)
    if named_like_masks and masks is None:
        notes.append(f"left out as masks of other photographs: {_shorten(named_like_masks)}")
    return Search(kept, notes)


def pair(photographs: Sequence[Found], masks: Sequence[Found]) -> dict[Found, list[Found]]:
    """The masks of each photograph, by their paths below the folders."""
    by_key: dict[str, list[Found]] = {}
    for file in photographs:
        by_key.setdefault(file.key, []).append(file)
    pairs: dict[Found, list[Found]] = {file: [] for file in photographs}
    for mask in masks:
        same_name = [file for file in by_key.get(mask.key, []) if _absolute(file.path) != _absolute(mask.path)]
        for file in same_name or by_key.get(_photograph_key(mask) or "", []):
            pairs[file].append(mask)
    return pairs


def _is_among_masks(file: Found, same_key: Sequence[Found], mask_roots: dict[Path, Path | None]) -> bool:
    """Whether a file is one of the masks, and not a photograph that only lies beside them."""
    if _absolute(file.path) not in mask_roots:
        return False
    root = mask_roots[_absolute(file.path)]
    if root is None or file.root is None or _absolute(root) != _absolute(file.root):
        return True  # in a folder of masks, somewhere among the photographs
    if len(same_key) == 1:
        return False
    lossless = [other for other in same_key if other.path.suffix.lower() in _LOSSLESS]
    if len(same_key) > 2 or len(lossless) != 1:
        other = next(other for other in same_key if other != file)
        raise UserError(f"{file.path} and {other.path}: which is the mask? call it {file.path.stem}_mask.png")
    return file is lossless[0]


def _photograph_key(mask: Found) -> str | None:
    """The key of the photograph that a mask is named after, unless it has simply the same name."""
    matched = _MASK_NAME.fullmatch(mask.key)
    return matched["stem"] if matched else None


def _keep_images(files: Iterable[Path], root: Path, notes: list[str]) -> list[Found]:
    """The files that are named like images; the others are noted."""
    some, others = [], []
    for path in files:
        if is_image_name(path.name):
            some.append(Found(path, path.relative_to(root), root))
        else:
            others.append(str(path))
    if others:
        notes.append(f"left out {len(others)} files that are not named like images: {_shorten(others)}")
    return some


def _walk(folder: Path, output: Path | None, notes: list[str]) -> Iterator[Path]:
    """Files of a folder and its subfolders in order, however deep; hidden ones and links to folders left out."""
    to_do = [folder]
    while to_do:
        path = to_do.pop()
        try:
            if path.is_dir() and (path == folder or not path.is_symlink()):
                inside = sorted(path.iterdir(), reverse=True)
                to_do += [one for one in inside if not one.name.startswith(".") and not _is_folder(one, output)]
            elif path.is_file():
                yield path
        except OSError as error:
            notes.append(f"cannot search {path}: {error.strerror}")


def _is_folder(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.name == folder.name and _absolute(path) == _absolute(folder)


def _is_inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and _absolute(path).is_relative_to(_absolute(folder))


def _root_of(pattern: str) -> Path:
    """The folder in front of the first part of a pattern that has wildcards."""
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _absolute(path: Path) -> Path:
    return path.resolve()


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
