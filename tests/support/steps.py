"""Small steps of the three stages, on as many devices as a test wants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.training.mesh import AXIS, make_mesh, map_over_mesh, put_batch, put_replicated
from glcic_jax.training.specification import TrainingSpecification
from glcic_jax.training.step import completion_step, discriminator_step, joint_step
from tests.support.comparison import norm_relative, split_dead_biases
from tests.support.small import drawn_state

STEPS = {"completion": completion_step, "discriminator": discriminator_step, "joint": joint_step}
SIZE, WINDOW, BATCH = 32, 16, 16


def spec(sync: bool = True, **options) -> TrainingSpecification:
    common = {"width_multiplier": 0.0625, "statistics_axis": AXIS if sync else None}
    adadelta = optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-6)
    return TrainingSpecification(
        CompletionNetwork(**common),
        ContextDiscriminator(**common),
        adadelta,
        adadelta,
        window_px=WINDOW,
        **options,
    )


def batches(count: int) -> list[Batch]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        mask = np.zeros((BATCH, SIZE, SIZE, 1), np.uint8)
        for sample in mask:
            y, x = rng.integers(0, SIZE - 12, 2)
            sample[y : y + 12, x : x + 10] = 1
        image = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
        windows = rng.integers(0, SIZE - WINDOW + 1, (2, BATCH, 2)).astype(np.int32)
        made.append(Batch(image, mask, *windows))
    return made


def initial(setup: TrainingSpecification, dtype):
    return drawn_state(setup, crop_px=SIZE, dtype=dtype)


def after(setup: TrainingSpecification, step, devices: int, dtype, made: list[Batch], state=None):
    mesh = make_mesh(jax.devices()[:devices])
    state = put_replicated(mesh, initial(setup, dtype) if state is None else state)
    compiled = map_over_mesh(functools.partial(step, spec=setup), mesh)
    for batch in made:
        if (
            dtype == jnp.float64 and batch.image.dtype == np.uint8
        ):  # float from the start: the step turns 8-bit values into float32
            batch = batch._replace(image=batch.image.astype(np.float64) / 255)
        state, metrics = compiled(state, put_batch(mesh, batch))
    return jax.device_get((state, metrics))


def differences(one, eight) -> dict[str, float]:
    found = {}
    for role in ("completion", "discriminator"):
        a, b = getattr(one, role), getattr(eight, role)
        (dead_a, live_a), (dead_b, live_b) = split_dead_biases(a.params), split_dead_biases(b.params)
        found[f"{role} parameters"] = norm_relative(live_b, live_a)
        found[f"{role} dead biases (absolute)"] = max(float(np.abs(dead_a[k] - dead_b[k]).max()) for k in dead_a)
        found[f"{role} statistics"] = norm_relative(b.batch_stats, a.batch_stats)
    return found
