"""Checkpoints of a run, by Orbax: the newest few, and one at every stage's end for good; none is trusted unseen.

In each lies `checksums.json`, written once Orbax has finished: of every file, and of every array as it was in memory.
"""

import contextlib
import errno
import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from glcic_jax.atomic import atomic_file
from glcic_jax.checksum import sha256_of
from glcic_jax.errors import UserError
from glcic_jax.training.checksums import Leaf, described, device_checksums, text_checksum
from glcic_jax.training.processes import all_agree, as_first_says, is_first
from glcic_jax.training.state import TrainState

STATE, ABOUT = "state", "about"
CHECKSUMS = "checksums.json"


class Damaged(Exception):
    """A checkpoint is not what was saved."""


class Checkpoints:
    """Saves below one folder; a context manager, since leaving unclosed loses a save under way."""

    def __init__(self, folder: Path, keep_latest: int, keep_steps: Sequence[int] = ()):
        """Opens the folder and clears away what killed saves left there.

        keep_latest: how many stay; keep_steps: which stay for good.
        """
        self.folder = folder
        policies = [checkpoint_managers.LatestN(keep_latest), checkpoint_managers.CustomSteps(keep_steps)]
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
            cleanup_tmp_directories=True,
        )
        self._manager = self._open()
        self._writing: threading.Thread | None = None
        self._failure = ""

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(self.folder.absolute(), options=self._options, item_names=(STATE, ABOUT))

    def save(self, step: int, state: TrainState, about: dict[str, Any]) -> None:
        """Saves in the background what is not saved yet; `about` is JSON. What goes wrong shows in `failure`."""
        self.wait()
        if step in steps_in(self.folder):
            return
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
        self._failure = _want_of_room(self.folder, like)
        if not all_agree(not self._failure):
            self._failure = self._failure or "another process has no room on its disk"
            return
        alone = jax.process_count() == 1
        if alone:
            state, checksums = _copied(state)  # the next step takes the memory of the original
        else:
            checksums = device_checksums(state)
            # Orbax lets processes wait for each other by a collective operation: all in the same order.
            self._hand_over(step, state, about)
        # Else not even what Orbax does before it returns holds up the training.
        arguments = (step, like, checksums, about, state if alone else None)
        self._writing = threading.Thread(target=self._write, args=arguments, name="checkpoint", daemon=True)
        self._writing.start()

    def failure(self) -> str:
        """What went wrong with the last save, as far as one knows without waiting; "" if nothing.

        Every process has to ask, and all get an answer if one of them has one.
        """
        if self._writing is not None and not self._writing.is_alive():
            self.wait()
        failure, self._failure = self._failure, ""
        if all_agree(not failure):
            return ""
        self.wait()
        # Orbax goes on raising what one save met; a new manager also clears away what it left.
        with contextlib.suppress(Exception):
            self._manager.close()
        self._manager = self._open()
        return failure or "another process could not write its part"

    def wait(self) -> None:
        """Until the save under way is on the disk, or has failed."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _write(self, step: int, like: Any, checksums: Any, about: dict[str, Any], state: TrainState | None) -> None:
        """Waits for the save, which begins here if there is a state, and signs it."""
        if state is not None:
            self._hand_over(step, state, about)
            del state
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # whatever the threads that write met
            self._failure = _words(error)
        if is_first() and not self._failure:
            self._sign(self.folder / str(step), like, checksums, about)

    def _hand_over(self, step: int, state: TrainState, about: dict[str, Any]) -> None:
        """Gives Orbax a state; it has its own copy afterwards."""
        items = {STATE: ocp.args.StandardSave(state), ABOUT: ocp.args.JsonSave(about)}
        try:
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)
        except (OSError, ValueError) as error:
            self._failure = _words(error)

    def _sign(self, path: Path, like: Any, checksums: Any, about: dict[str, Any]) -> None:
        """Adds the checksums to a checkpoint that is whole."""
        try:
            with atomic_file(path / CHECKSUMS) as partial:
                signed = {
                    "files": _files(path),
                    "about": text_checksum(about),
                    "leaves": described(like, checksums),
                }
                partial.write_text(json.dumps(signed | {"own": text_checksum(signed)}))
        except (OSError, UserError) as error:
            self._failure = _words(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.wait()
        with contextlib.suppress(OSError, ValueError):  # what a save met, told before
            self._manager.close()


def _want_of_room(folder: Path, like: Any) -> str:
    """Words for a disk that has less room than a state of these shapes takes; "" if it has enough."""
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    free = shutil.disk_usage(folder).free
    return "" if free > needed else f"no space left: {needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free"


@jax.jit
def _copied(state: TrainState) -> tuple[TrainState, Any]:
    """The same in memory of its own, and its checksums: by itself a copy would not run in the background on CPUs."""
    return jax.tree.map(jnp.copy, state), device_checksums(state)


def steps_in(folder: Path) -> list[int]:
    """The steps that have a whole checkpoint in a folder, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(child.name) for child in folder.iterdir() if child.name.isdigit())


def restore_newest(
    folder: Path,
    like: TrainState,
    sharding: jax.sharding.Sharding,
    check: Callable[[int, dict[str, Any]], None],
    say: Callable[[str], None],
) -> tuple[TrainState, dict[str, Any], int] | None:
    """The newest intact checkpoint: state, what was saved beside it, step; None if there is none.

    Damaged ones are renamed, so that nobody takes them for good ones again.

    Args:
        folder: where the checkpoints are.
        like: shapes of the state.
        sharding: where the arrays go.
        check: refuses a checkpoint of another run by raising.
        say: told about damaged ones.

    Raises: what `check` raises; UserError if the state does not fit this network.

    """
    while (step := as_first_says(max(steps_in(folder), default=-1))) >= 0:
        path = folder / str(step)
        found, problem = None, ""
        try:
            signed = _signature(path)  # first: Orbax does not take damaged files well
            if not signed and any((folder / str(older) / CHECKSUMS).exists() for older in steps_in(folder)):
                raise Damaged("its save was cut off before its checksums were written")
            about = read_about(path)
            if signed and signed["about"] != text_checksum(about):
                raise Damaged("what was saved beside the state has changed")
        except Damaged as error:
            problem = str(error)
        if all_agree(not problem):
            check(step, about)
            try:
                found = _restore(path, like, sharding, signed and signed["leaves"]), about, step
            except Damaged as error:
                problem = str(error)
            if all_agree(not problem):
                return found
        aside = _free_name(folder / f"damaged-{step}")
        say(f"the checkpoint of step {step} is damaged ({problem}); it is now {aside}, and the one before is used")
        if is_first():
            path.rename(aside)
        as_first_says(0)  # nobody looks before it has been renamed
    return None


def read_checkpoint(path: Path) -> tuple[Any, dict[str, Any]]:
    """The state in one checkpoint's folder as nested dictionaries of NumPy arrays, and what was saved beside it.

    Raises: UserError if it is damaged.
    """
    try:
        signed, about = _signature(path), read_about(path)
        # The types are those of the checkpoint, which may have been trained in 64 bits.
        with jax.enable_x64(True), _damage(), ocp.StandardCheckpointer() as checkpointer:
            metadata = checkpointer.metadata((path / STATE).absolute()).item_metadata.tree
            target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
            state = checkpointer.restore((path / STATE).absolute(), target)
            if signed:
                _compare(state, signed["leaves"])
    except Damaged as error:
        raise UserError(f"the checkpoint {path} is damaged ({error}); give another one") from error
    return state, about


def read_about(path: Path) -> dict[str, Any]:
    """What was saved beside the state in one checkpoint's folder. Raises: Damaged if it cannot be read."""
    with _damage(), ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
        about = checkpointer.restore((path / ABOUT).absolute())
        if not isinstance(about, dict):
            raise Damaged("what was saved beside the state is gone")
        return about


def saved_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array in the state saved below `path`, by its place in the tree. Raises: Damaged."""
    with _damage(), ocp.StandardCheckpointer() as checkpointer:
        return shapes(checkpointer.metadata(path.absolute()).item_metadata.tree)


def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every leaf by its place, such as "completion/params/conv1/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


def first_difference(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> str:
    """Words for the first array that differs, "" if none does."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            return f"{name} has shape {found.get(name, 'none')} there, {wanted.get(name, 'none')} here"
    return ""


def _restore(
    path: Path, like: TrainState, sharding: jax.sharding.Sharding, signed: dict[str, Leaf] | None
) -> TrainState:
    """The state, with every array compared with its checksum where there are some.

    Raises: Damaged; UserError if it was saved from another network.
    """
    wanted = shapes(like)
    saved = {name: leaf.shape for name, leaf in signed.items()} if signed else saved_shapes(path / STATE)
    if difference := first_difference(saved, wanted):
        raise UserError(
            f"the checkpoint {path} does not fit this config: {difference}; "
            "use the config that it was made with, or another --workdir"
        )
    # Looked at first: a restore that fails half-way leaves its reads behind.
    if difference := first_difference(saved_shapes(path / STATE), wanted):
        raise Damaged(difference)
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)
    with _damage(), ocp.StandardCheckpointer() as checkpointer:
        state = checkpointer.restore((path / STATE).absolute(), target)
    if signed:
        _compare(state, signed)
    return state


def _compare(state: Any, signed: dict[str, Leaf]) -> None:
    for name, leaf in described(state, device_checksums(state)).items():
        if leaf != signed.get(name):
            raise Damaged(f"{name} is not as it was saved")


def _signature(path: Path) -> dict[str, Any] | None:
    """What `Checkpoints._sign` wrote, once all files are as it saw them; None if a kill came before it.

    Raises: Damaged.
    """
    if not (path / CHECKSUMS).exists():
        return None
    with _damage():
        signed = json.loads((path / CHECKSUMS).read_text())
        if signed.pop("own") != text_checksum(signed):
            raise Damaged(f"{CHECKSUMS} has changed")
        leaves = {
            name: Leaf(tuple(shape), dtype, checksum) for name, (shape, dtype, checksum) in signed["leaves"].items()
        }
        found = _files(path)
        for name, checksum in signed["files"].items():
            if found.get(name) != checksum:
                raise Damaged(f"the file {name} {'has changed' if name in found else 'is gone'}")
        return {"about": signed["about"], "leaves": leaves}


def _files(path: Path) -> dict[str, str]:
    """SHA-256 of every file that Orbax wrote."""
    files = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith((CHECKSUMS, ".partial-")))
    return {file.relative_to(path).as_posix(): sha256_of(file) for file in files}


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Whatever Orbax raises for files that are cut, altered or gone is Damaged; want of memory or of rights is not."""
    try:
        yield
    except (Damaged, MemoryError, PermissionError):
        raise
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error) or getattr(error, "errno", None) in (errno.EMFILE, errno.ENOSPC):
            raise
        raise Damaged(_words(error)) from error


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}-{number}") if number else path for number in itertools.count())
    return next(name for name in names if not name.exists())


def _words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
