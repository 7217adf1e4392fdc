"""Checkpoints of a run, by Orbax: the newest few, and one at every stage's end for good."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from glcic_jax.errors import UserError
from glcic_jax.training.state import TrainState

STATE, ABOUT = "state", "about"


class Checkpoints:
    """The checkpoints below one folder; a context manager, since leaving unclosed loses a save under way."""

    def __init__(self, folder: Path, keep_latest: int, keep_steps: Sequence[int] = ()):
        """Opens the folder. keep_latest: how many stay; keep_steps: which stay for good."""
        self.folder = folder
        policies = [checkpoint_managers.LatestN(keep_latest), checkpoint_managers.CustomSteps(keep_steps)]
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                cleanup_tmp_directories=True,
            ),
            item_names=(STATE, ABOUT),
        )

    def latest_step(self) -> int | None:
        """The newest step that can be restored."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, about: dict[str, Any]) -> None:
        """Saves in the background what is not saved yet; `about` is JSON."""
        if step == self._manager.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(**{STATE: ocp.args.StandardSave(state), ABOUT: ocp.args.JsonSave(about)}),
            force=True,
        )

    def about(self, step: int) -> dict[str, Any]:
        """What was saved beside the state of a step. Raises: UserError if it cannot be read."""
        return read_about(self.folder / str(step))

    def restore(self, step: int, like: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
        """The state saved at a step, with the shapes of `like` (arrays or their shapes), placed as `sharding` says.

        Raises: UserError if it does not fit this network or cannot be read.
        """
        path = self.folder / str(step)
        # Looked at first: a restore that fails half-way leaves its reads behind.
        if difference := first_difference(saved_shapes(path / STATE), shapes(like)):
            raise UserError(
                f"the checkpoint {path} does not fit this config: {difference}; "
                "use the config that it was made with, or another --workdir"
            )
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(**{STATE: ocp.args.StandardRestore(target)}))
        except (ValueError, KeyError, OSError) as error:
            raise _unreadable(path, error) from error
        return restored[STATE]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()  # waits for the save under way


def read_about(path: Path) -> dict[str, Any]:
    """What was saved beside the state in one checkpoint's folder. Raises: UserError if it cannot be read."""
    try:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
            return checkpointer.restore((path / ABOUT).absolute())
    except (ValueError, KeyError, OSError) as error:
        raise _unreadable(path, error) from error


def saved_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array in the state saved below `path`, by its place in the tree. Raises: UserError."""
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return shapes(checkpointer.metadata(path.absolute()).item_metadata.tree)
    except (ValueError, KeyError, OSError, AttributeError) as error:
        raise _unreadable(path, error) from error


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


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"the checkpoint {path} cannot be read ({reason}); delete it to use the one before, or start anew")
