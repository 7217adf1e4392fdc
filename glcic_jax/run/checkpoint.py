"""Checkpoints of a run, saved by Orbax: the newest few, and one at every stage's end for good.

A checkpoint counts as saved once its signature is on the disk (`signature.py`). Reading them: `restore.py`.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from glcic_jax.errors import UserError
from glcic_jax.run.checkpoint_folder import ABOUT, STATE, list_steps, read_about_json, stored_form
from glcic_jax.run.checksums import device_checksums
from glcic_jax.run.events import EventLog
from glcic_jax.run.origin import Origin
from glcic_jax.run.processes import all_agree, as_first_says, is_first
from glcic_jax.run.signature import is_signed, sign
from glcic_jax.training.state import TrainState


class _Unsigned(NamedTuple):
    """What it takes to sign a checkpoint."""

    step: int
    like: Any
    checksums: Any
    about: Mapping[str, object]


class Checkpoints:
    """Saves below one folder, in the background; a context manager, since leaving unclosed loses a save under way.

    With several processes all have to call the same methods in the same order.
    """

    def __init__(
        self,
        folder: Path,
        origin: Origin,
        *,
        keep_latest: int,
        keep_steps: Sequence[int] = (),
        say: Callable[[str], None] = lambda text: None,
        events: EventLog | None = None,
    ):
        """Opens the folder and clears away what killed saves left there.

        Args:
            folder: made if missing.
            origin: saved beside every state.
            keep_latest: how many stay.
            keep_steps: which stay for good.
            say: told what goes wrong.
            events: told of every save.

        """
        self.folder, self._about, self._say = folder, origin.to_json(), say
        self._events = events or EventLog(None)
        policies = [checkpoint_managers.LatestN(keep_latest), checkpoint_managers.CustomSteps(keep_steps)]
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
            cleanup_tmp_directories=True,
        )
        self._manager = self._open()
        self._writing: threading.Thread | None = None
        self._unsigned: _Unsigned | None = None
        self._failure = ""

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(self.folder.absolute(), options=self._options, item_names=(STATE, ABOUT))

    def save(self, step: int, state: TrainState) -> None:
        """Saves in the background what is not saved yet; says so if the save before it failed."""
        self.wait()
        if failure := self.failure():
            self._say(f"step {step}: the last checkpoint could not be saved ({failure})")
        self._begin(step, state)

    def save_again_if_failed(self, step: int, state: TrainState) -> None:
        """Says so if the last save failed, and begins another one."""
        if failure := self.failure():
            self._say(f"step {step}: the last checkpoint could not be saved ({failure}); trying again")
            self._begin(step, state)

    def save_for_sure(self, step: int, state: TrainState) -> None:
        """Saves, and waits until it is on the disk. Raises: UserError if it cannot be."""
        failure = ""
        for _ in range(2):
            self.save(step, state)
            self.wait()
            failure = self.failure()
            if not failure:
                return
        kept = list_steps(self.folder)
        raise UserError(
            f"the checkpoint of step {step} cannot be saved in {self.folder} ({failure}); make room and run the same "
            f"command again: it goes on from {f'step {kept[-1]}' if kept else 'the start'}"
        )

    def failure(self) -> str:
        """What went wrong with the last save, as far as one knows without waiting; "" if nothing.

        A checkpoint that only lacks its signature is signed again first.
        """
        if self._writing is not None and not self._writing.is_alive():
            self.wait()
        if self._unsigned is not None and self._writing is None:
            self._failure = self._sign(self._unsigned)
        failure, self._failure = self._failure, ""
        if all_agree(not failure):
            return ""
        self.wait()
        failure = failure or self._failure or "another process could not write its part"
        self._failure = ""
        # Orbax goes on raising what one save met; a new manager also clears away what it left.
        with contextlib.suppress(Exception):
            self._manager.close()
        self._manager = self._open()
        return failure

    def wait(self) -> None:
        """Until the save under way is on the disk, or has failed."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _begin(self, step: int, state: TrainState) -> None:
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
        if as_first_says(step in list_steps(self.folder)):
            if is_first() and not is_signed(self.folder / str(step)):
                about = read_about_json(self.folder / str(step))  # perhaps of another version
                self._failure = self._sign(_Unsigned(step, like, device_checksums(state), about))
            return
        self._unsigned = None  # what cannot be signed by now is replaced by this save
        self._failure = missing_space(self.folder, like)
        if not all_agree(not self._failure):
            self._fail(step, self._failure or "another process has no room on its disk")
            return
        self._events.record("saving", step=step)
        alone = jax.process_count() == 1
        if alone:
            state, checksums = _copy(state)  # the next step takes the memory of the original
        else:
            checksums = device_checksums(state)
            # Orbax lets processes wait for each other by a collective operation: all in the same order.
            try:
                self._hand_over(step, state)
            except Exception as error:  # told by `failure`, after the others were told too
                self._fail(step, _words(error))
        # Else not even what Orbax does before it returns holds up the training.
        arguments = (_Unsigned(step, like, checksums, self._about), state if alone else None)
        self._writing = threading.Thread(target=self._write, args=arguments, name="checkpoint", daemon=True)
        self._writing.start()

    def _write(self, unsigned: _Unsigned, state: TrainState | None) -> None:
        """Waits for the save, which begins here if there is a state, and signs it."""
        try:
            if state is not None:
                self._hand_over(unsigned.step, state)
                del state
            self._manager.wait_until_finished()
        except BaseException as error:  # nobody else would hear of it: this thread has no caller
            self._fail(unsigned.step, _words(error))
        if is_first() and not self._failure:
            self._failure = self._sign(unsigned)

    def _hand_over(self, step: int, state: TrainState) -> None:
        """Gives Orbax a state; it has its own copy afterwards."""
        items = {STATE: ocp.args.StandardSave(stored_form(state)), ABOUT: ocp.args.JsonSave(self._about)}
        self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def _sign(self, unsigned: _Unsigned) -> str:
        """Signs a checkpoint whose files are all there; returns why it could not be, or ""."""
        try:
            sign(self.folder / str(unsigned.step), unsigned.like, unsigned.checksums, unsigned.about)
        except BaseException as error:  # as in `_write`
            self._unsigned = unsigned
            self._events.record("save_failed", step=unsigned.step, why=_words(error))
            return _words(error)
        self._unsigned = None
        self._events.record("saved", step=unsigned.step)
        return ""

    def _fail(self, step: int, why: str) -> None:
        self._failure = why
        self._events.record("save_failed", step=step, why=why)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.wait()
        with contextlib.suppress(Exception):  # what a save met, told before
            self._manager.close()


def missing_space(folder: Path, like: Any) -> str:
    """Words for a disk that has less room than a state of these shapes takes; "" if it has enough."""
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    free = shutil.disk_usage(folder).free
    return "" if free > needed else f"no space left: {needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free"


@jax.jit
def _copy(state: TrainState) -> tuple[TrainState, Any]:
    """The same in memory of its own, and its checksums: by itself a copy would not run in the background on CPUs."""
    return jax.tree.map(jnp.copy, state), device_checksums(state)


def _words(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
