"""What a device can do at best, measured: the rate of a large matrix product, and the memory's bandwidth."""

import functools
import statistics

import jax
import jax.numpy as jnp

from glcic_jax.tools.speed.timing import Stopwatch

_SMALLEST, _LARGEST = 1024, 8192
_ENOUGH_SECS = 0.1
_COPIED_VALUES = 2**27


class Floors:
    """The two rates of JAX's first device: medians over as many measurements as were asked for.

    A product is at JAX's default precision for its type, as the networks' convolutions are (TF32 for float32 on
    NVIDIA's GPUs).
    """

    def __init__(self, dtype: str):
        """dtype: of the matrices, whose size is chosen so that the product takes a while."""
        self.size = _SMALLEST
        self._multiply = self._product(dtype)
        while self.size < _LARGEST and self._multiply.step_secs() < _ENOUGH_SECS:
            self.size *= 2
            self._multiply = self._product(dtype)
        self._product_secs: list[float] = []
        self._copy_secs: list[float] = []

    def measure(self) -> None:
        """Both, once."""
        self._product_secs.append(self._multiply.step_secs())
        self._copy_secs.append(_copy_secs())

    @property
    def product_rate(self) -> float:
        """Operations per second."""
        return 2 * self.size**3 / statistics.median(self._product_secs)

    @property
    def bandwidth(self) -> float:
        """Bytes per second, read and written together."""
        return 2 * 4 * _COPIED_VALUES / statistics.median(self._copy_secs)

    def _product(self, dtype: str) -> Stopwatch:
        keys = jax.random.split(jax.random.key(0))
        # Numbers that are really random: zeros cost GPUs less power, and so less time.
        left, right = (jax.random.normal(key, (self.size, self.size), dtype) for key in keys)
        multiply = jax.jit(jnp.matmul)

        def run(steps: int) -> None:
            for _ in range(steps):
                product = multiply(left, right)
            product.block_until_ready()

        return Stopwatch(run)


@functools.partial(jax.jit, donate_argnums=0)
def _successor(values: jax.Array) -> jax.Array:
    return values + 1  # a copy alone would run on one core of a CPU


def _copy_secs() -> float:
    """Seconds of reading and writing a large array; it is given back, so that the steps have its memory."""
    values = jnp.zeros(_COPIED_VALUES, jnp.float32)

    def run(steps: int) -> None:
        nonlocal values
        for _ in range(steps):
            values = _successor(values)
        values.block_until_ready()

    return Stopwatch(run).step_secs()
