"""Which arrays differ between devices inside `jax.shard_map`.

JAX keeps the mesh axes over which an array varies in its type, and requires both sides of an operation to agree. The
attribute that tells them has changed its name between JAX versions and is not documented; it is read only here.
"""

import jax


def varying_axes(x: jax.Array) -> frozenset[str]:
    """Mesh axes over which x varies; none outside `jax.shard_map`."""
    axes: frozenset[str] = jax.typeof(x).manual_axis_type.varying
    return axes


def vary_over(x: jax.Array, axes: frozenset[str]) -> jax.Array:
    """The same values, typed as varying over these mesh axes as well."""
    missing = tuple(sorted(axes - varying_axes(x)))
    return jax.lax.pcast(x, missing, to="varying") if missing else x
