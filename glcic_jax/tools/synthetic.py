"""A recipe's state and batches without data and without a run: for measuring steps, and for knowing what they need."""

from typing import Any

import jax
import numpy as np

from glcic_jax.data.batch import Batch
from glcic_jax.data.holes import random_window
from glcic_jax.data.loader import stack
from glcic_jax.run.config import Config
from glcic_jax.run.setup import hole_drawer, initial_state
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.state import TrainState


def state_shapes(config: Config, spec: TrainingSpecification) -> TrainState:
    """Shapes and types of a run's state, without computing it."""
    return jax.eval_shape(lambda: initial_state(config, spec))


def count_state_bytes(shapes: TrainState) -> int:
    """Size of a state with those shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def make_batch(config: Config) -> Batch:
    """Noise with the recipe's holes, in the recipe's sizes."""
    rng = np.random.default_rng(0)
    draw_hole = hole_drawer(config)
    samples = []
    for _ in range(config.batch_size):
        mask, window = draw_hole(rng)
        image = rng.integers(0, 256, (config.crop_px, config.crop_px, 3), dtype=np.uint8)
        samples.append(Batch(image, mask, window, random_window(rng, config.crop_px, config.window_px)))
    return stack(samples)


def make_state(shapes: TrainState) -> TrainState:
    """Small positive numbers: as fast to train from as initial values, whose computation would take long to compile."""
    rng = np.random.default_rng(0)

    def fill(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if np.issubdtype(leaf.dtype, np.integer):
            return np.zeros(leaf.shape, leaf.dtype)
        return rng.random(leaf.shape, np.float32).astype(leaf.dtype) / 50

    return jax.tree.map(fill, shapes)


def needed_bytes(compiled: Any) -> int:
    """Memory that a compiled function needs on each device, arguments included; 0 if the compiler does not tell."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes
