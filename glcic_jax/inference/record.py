"""What made the results in a folder, kept beside them: so that a second run can say where its options differ."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.system.atomic import atomic_file
from glcic_jax.system.json_fields import JsonError, read_json

RECORD = ".glcic-complete.json"
_FORMAT = "glcic-jax results"

Options = Mapping[str, str | int | bool | None]


class Record:
    """The options that made each result of a folder, by its path in it. Threads may share one."""

    def __init__(self, folder: Path):
        """folder: where the results lie; what an earlier run recorded there is read, if it can be."""
        self._folder = folder
        self._lock = threading.Lock()
        self._results: dict[str, Options] = {}
        try:
            content = read_json(folder / RECORD, "the file")
            if content.text("format") == _FORMAT:
                results = content.section("results")
                self._results = {name: results.section(name).values for name in results.values}
        except (OSError, JsonError):  # none, or not ours: nothing is known of what is there
            pass

    def differences(self, result: Path, options: Options) -> list[str]:
        """In what the options that made a result differ from these: "dilate_px 0 then, 10 now"."""
        then = self._results.get(self._name(result))
        if then is None:
            return []
        return [
            f"{key} {_in_words(then.get(key))} then, {_in_words(value)} now"
            for key, value in options.items()
            if then.get(key) != value
        ]

    def add(self, result: Path, options: Options) -> None:
        """Notes that these options made a result."""
        with self._lock:
            self._results[self._name(result)] = dict(options)

    def write(self) -> None:
        """Puts it into the folder; a folder that cannot be written to goes without."""
        with self._lock:
            content = {"format": _FORMAT, "results": dict(sorted(self._results.items()))}
        try:
            with atomic_file(self._folder / RECORD) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except (OSError, UserError):
            pass

    def _name(self, result: Path) -> str:
        return result.relative_to(self._folder).as_posix()


def _in_words(value: object) -> str:
    if value is None:
        return "none"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
