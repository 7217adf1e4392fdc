"""Which split an image belongs to: by lists that its source brings along, else by the folders that it lies in."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

DEFAULT_SPLIT = "train"

_LIST = re.compile(r"(?:places365_)?(train|val|test)(?:_\w+)?\.txt")
_NUMBERED_LIST = "list_eval_partition.txt"  # CelebA's: every image with the number of its split
_NUMBERS = {"0": "train", "1": "val", "2": "test"}

# train, Training, val2017, valid, Validation, val_256, test-images, train_large_2, test_a.zip, val.tar, ...
_MORE = r"(?:[-_. ]?(?:\d+|set|images?|imgs?|data|split|part|large|small|standard|challenge|hq|hr|lr)|[-_. ][a-z])*"
_FOLDER = re.compile(
    rf"(?:(train)(?:ing)?|(val)(?:id(?:ation)?)?|(test)(?:ing)?){_MORE}(?:\.tar\S*|\.tgz|\.zip)?", re.I
)
_LIKE_A_SPLIT = re.compile(r"(?:.*[-_. ])?(?:train|val|valid|validation|test|eval|dev)(?:[-_. \d].*)?", re.I)

_LEAST_HARM = ("test", "val", "train")
"""Which of several lists is believed: what may be for measuring must not be trained on."""


def is_list(name: str) -> bool:
    """Whether a file of that name says which images are in which split."""
    base = name.rpartition("/")[2]
    return base == _NUMBERED_LIST or _LIST.fullmatch(base) is not None


def read_list(name: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(path, split) of each line of a list; numbers after a path are class labels and say nothing here.

    Lists name images relative to their own folder or to another one, so each path comes as it stands, and with the
    folder of the list `name` in front.
    """
    folder, _, base = name.rpartition("/")
    match = _LIST.fullmatch(base)
    for line in lines:
        path, _, number = line.strip().rpartition(" ")
        if not number.isdigit():
            path, number = line.strip(), ""
        split = match[1] if match else _NUMBERS.get(number, "")
        path = path.strip().removeprefix("./").lstrip("/")
        if path and split:
            yield path, split
            if folder:
                yield f"{folder}/{path}", split


def split_of(name: str, listed: Callable[[str], Collection[str]]) -> str:
    """The split of an image by its path.

    The path and every shorter end of it are looked up among the lists' paths, `listed`, which gives the splits that
    name it. Where several do (two lists of bare names, "1.jpg" in both), the folders decide between them. Without
    lists, a folder called train, val or test decides (also Validation, val2017, train_large and the like).
    """
    *folders, base = name.split("/")
    by_folder = next((split for folder in folders if (split := folder_split(folder))), "")
    for start in range(len(folders) + 1):
        if splits := listed("/".join([*folders[start:], base])):
            if by_folder in splits:
                return by_folder
            return next(split for split in _LEAST_HARM if split in splits)
    return by_folder or DEFAULT_SPLIT


def folder_split(folder: str) -> str:
    """The split that a folder's or an archive's name stands for, or nothing."""
    match = _FOLDER.fullmatch(folder)
    return next(part.lower() for part in match.groups() if part) if match else ""


def looks_like_a_split(folder: str) -> bool:
    """Whether a folder's name has a split in it but was not taken for one, which is worth a word."""
    return not folder_split(folder) and _LIKE_A_SPLIT.fullmatch(folder) is not None
