"""Checksums of a state, one for each array, computed where the arrays are, so that a save need not wait for them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Leaf(NamedTuple):
    """One array: its shape, its type, and the weighted sum of its bits modulo 2**32."""

    shape: tuple[int, ...]
    dtype: str
    checksum: int


@jax.jit
def device_checksums(tree: Any) -> Any:
    """uint32 () for every array of a tree.

    Every 32-bit word is weighted with an odd number that depends on its place: a change of one word always changes the
    sum, any other damage fails to do so once in four thousand million times.
    """
    return jax.tree.map(_checksum, tree)


def leaf_checksums(tree: Any, checksums: Any) -> dict[str, Leaf]:
    """Every array of a tree by its place, with its checksum; waits for the device."""
    sums = dict(_by_place(jax.device_get(checksums)))
    return {place: Leaf(tuple(x.shape), str(x.dtype), int(sums[place])) for place, x in _by_place(tree)}


def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every array by its place, such as "completion/params/conv1/kernel"."""
    return {place: tuple(leaf.shape) for place, leaf in _by_place(tree)}


def first_difference(there: dict[str, tuple[int, ...]], here: dict[str, tuple[int, ...]]) -> str:
    """Words for the first array whose shape differs, "" if none does."""
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            return f"{name} has shape {there.get(name, 'none')} there, {here.get(name, 'none')} here"
    return ""


def text_checksum(about: Mapping[str, object]) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _checksum(x: jax.Array) -> jax.Array:
    small = x.dtype.itemsize < 4
    words = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}") if small else jnp.uint32)
    words = words.astype(jnp.uint32).reshape(-1)
    weights = 2 * jax.lax.iota(jnp.uint32, words.size) + 1
    return jnp.sum(words * weights, dtype=jnp.uint32)


def _by_place(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]
