"""Which split an image belongs to: by lists that its source brings along, else by the folders that it lies in."""

import re
from collections.abc import Callable, Iterator

DEFAULT_SPLIT = "train"

_LIST = re.compile(r"(?:places365_)?(train|val|test)(?:_\w+)?\.txt")
_NUMBERED_LIST = "list_eval_partition.txt"  # CelebA's: every image with the number of its split
_NUMBERS = {"0": "train", "1": "val", "2": "test"}

_FOLDER = re.compile(r"(train|val|test)(_256|_large)?")


def is_list(name: str) -> bool:
    """Whether a file of that name says which images are in which split."""
    base = name.rpartition("/")[2]
    return base == _NUMBERED_LIST or _LIST.fullmatch(base) is not None


def read_list(name: str, text: str) -> Iterator[tuple[str, str]]:
    """(path, split) of each line of a list; numbers after a path are class labels and say nothing here."""
    base = name.rpartition("/")[2]
    match = _LIST.fullmatch(base)
    for line in text.splitlines():
        path, _, number = line.strip().rpartition(" ")
        if not number.isdigit():
            path, number = line.strip(), ""
        split = match[1] if match else _NUMBERS.get(number, "")
        if path and split:
            yield path.strip().removeprefix("./").lstrip("/"), split


def split_of(name: str, listed: Callable[[str], str | None]) -> str:
    """The split of an image by its path.

    Lists name images relative to some folder above them, so the path and every shorter end of it are looked up.
    Otherwise a folder called train, val or test decides (also val_256, train_large and the like).
    """
    folders = name.split("/")[:-1]
    for start in range(len(folders) + 1):
        if found := listed("/".join([*folders[start:], name.rpartition("/")[2]])):
            return found
    for folder in folders:
        if match := _FOLDER.fullmatch(folder):
            return match[1]
    return DEFAULT_SPLIT
