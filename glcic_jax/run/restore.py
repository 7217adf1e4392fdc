"""Reading checkpoints: none is trusted unseen, and only what is shown to be damaged is called so.

An error of the machine, the network or the program says nothing about a checkpoint: it is raised, and every checkpoint
stays where it is.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from glcic_jax.errors import UserError
from glcic_jax.run.checkpoint_folder import (
    STATE,
    free_damaged_name,
    list_damaged,
    list_steps,
    read_about_json,
    stored_form,
)
from glcic_jax.run.checksums import Leaf, device_checksums, first_difference, leaf_checksums, shapes, text_checksum
from glcic_jax.run.events import EventLog
from glcic_jax.run.origin import Origin
from glcic_jax.run.processes import all_agree, as_first_says, is_first
from glcic_jax.run.signature import Damaged, Signature, is_signed, verify_signature
from glcic_jax.system.retry import retry
from glcic_jax.training.state import TrainState


class Restored(NamedTuple):
    """A checkpoint that was read."""

    state: TrainState
    origin: Origin
    step: int


def restore_newest(
    folder: Path,
    like: TrainState,
    sharding: jax.sharding.Sharding,
    *,
    check: Callable[[int, Origin], None],
    say: Callable[[str], None],
    events: EventLog | None = None,
    restart: bool = False,
) -> Restored | None:
    """The newest intact checkpoint; None if there never was one.

    Damaged ones are renamed, so that nobody takes them for good ones again.

    Args:
        folder: where the checkpoints are.
        like: shapes of the state.
        sharding: where the arrays go.
        check: refuses a checkpoint of another run by raising.
        say: told about damaged ones.
        events: told about damaged ones.
        restart: None also if all checkpoints are damaged.

    Raises: what `check` raises; UserError if the state does not fit this network, if the files cannot be read, or if
    there were checkpoints and none is intact.

    """
    while (step := as_first_says(max(list_steps(folder), default=-1))) >= 0:
        path = folder / str(step)
        damage = ""
        with _explained(path):
            try:
                signature, origin = _inspect(folder, step)
            except Damaged as error:
                damage = str(error)
            if all_agree(not damage):
                check(step, origin)
                try:
                    state = _restore(path, like, sharding, signature)
                except Damaged as error:
                    damage = str(error)
                if all_agree(not damage):
                    return Restored(state, origin, step)
        _set_aside(path, free_damaged_name(folder, step), damage or "another process found it so", say, events)
    if (damaged := list_damaged(folder)) and not restart:
        raise UserError(
            f"no checkpoint in {folder} is intact, only {', '.join(damaged)}: nothing is left to continue from; put a "
            "good copy there, or give --restart to train from the beginning"
        )
    return None


def read_checkpoint(path: Path) -> tuple[Any, Origin]:
    """The state in one checkpoint's folder as nested dictionaries of NumPy arrays, and what it was trained from.

    Raises: UserError if it is damaged or cannot be read.
    """
    try:
        with _explained(path):
            signature = verify_signature(path)
            origin = _read_origin(path, signature)
            # The types are those of the checkpoint, which may have been trained in 64 bits.
            with jax.enable_x64(True), _damage_found(signature), ocp.StandardCheckpointer() as checkpointer:
                metadata = checkpointer.metadata((path / STATE).absolute()).item_metadata.tree
                target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
                state = checkpointer.restore((path / STATE).absolute(), target)
                if signature:
                    _compare(state, signature.leaves)
    except Damaged as error:
        raise UserError(f"the checkpoint {path} is damaged ({error}); give another one") from error
    return state, origin


def _inspect(folder: Path, step: int) -> tuple[Signature | None, Origin]:
    """Everything about a checkpoint but its arrays. Raises: Damaged."""
    signature = verify_signature(folder / str(step))  # first: Orbax does not take damaged files well
    if signature is None and any(is_signed(folder / str(older)) for older in list_steps(folder)):
        raise Damaged("its save was cut off before its checksums were written")
    return signature, _read_origin(folder / str(step), signature)


def _read_origin(path: Path, signature: Signature | None) -> Origin:
    """Raises: Damaged."""
    with _damage_found(signature):
        about = retry(lambda: read_about_json(path))
    if signature and signature.about != text_checksum(about):
        raise Damaged("what was saved beside the state has changed")
    try:
        return Origin.from_json(about)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"what was saved beside the state is not complete ({error})") from error


def _restore(path: Path, like: TrainState, sharding: jax.sharding.Sharding, signature: Signature | None) -> TrainState:
    """The state, with every array compared with its checksum where there are some.

    Raises: Damaged; UserError if it was saved from another network.
    """
    wanted = shapes(like)
    with _damage_found(signature):
        stored = retry(lambda: _stored_shapes(path))
    signed = {name: leaf.shape for name, leaf in signature.leaves.items()} if signature else stored
    if difference := first_difference(signed, wanted):
        raise UserError(
            f"the checkpoint {path} does not fit this config: {difference}; "
            "use the config that it was made with, or another --workdir"
        )
    # Looked at first: a restore that fails half-way leaves its reads behind.
    if difference := first_difference(stored, wanted):
        raise Damaged(difference)
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), stored_form(like))
    with _damage_found(signature), ocp.StandardCheckpointer() as checkpointer:
        stored = checkpointer.restore((path / STATE).absolute(), target)
    if signature:
        _compare(stored, signature.leaves)
    return like.replace(**stored) if isinstance(like, TrainState) else stored


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with ocp.StandardCheckpointer() as checkpointer:
        described = checkpointer.metadata((path / STATE).absolute()).item_metadata
    if described is None:  # which Orbax says of files that it cannot make sense of
        raise ValueError("it does not say which arrays it holds")
    return shapes(described.tree)


def _compare(state: Any, signed: dict[str, Leaf]) -> None:
    for name, leaf in leaf_checksums(state, device_checksums(state)).items():
        if leaf != signed.get(name):
            raise Damaged(f"{name} is not as it was saved")


def _set_aside(path: Path, aside: Path, damage: str, say: Callable[[str], None], events: EventLog | None) -> None:
    """Renames a damaged checkpoint."""
    say(f"the checkpoint of step {path.name} is damaged ({damage}); it is now {aside}, and the one before is used")
    if is_first():
        path.rename(aside)
        if events:
            events.record("damaged", step=int(path.name), why=damage, moved_to=str(aside))
    as_first_says(0)  # nobody looks before it has been renamed


@contextlib.contextmanager
def _damage_found(signature: Signature | None) -> Iterator[None]:
    """What Orbax raises for files that are cut, altered or gone is Damaged, if nobody has compared them yet.

    Files that are as they were signed are not damaged, whatever it says.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error  # Orbax wraps what it met in a bare Exception
        if not isinstance(cause, (ValueError, KeyError, FileNotFoundError, NotADirectoryError, EOFError)):
            raise
        words = f"{error} {cause}"
        of_machine = "RESOURCE_EXHAUSTED" in words or ("OS error" in words and "No such file" not in words)
        if signature is not None or of_machine:
            raise
        raise Damaged(_first_line(error)) from error


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Names the checkpoint in what the system says of its files."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the checkpoint {path} cannot be read now ({error.strerror or error}); nothing was changed: run the same "
            "command again, or move that folder away to go on from the one before"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
