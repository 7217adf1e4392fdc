"""What D does in a training step: it looks at real and completed photographs, and learns to tell them apart.

Every function sees one device's share of a batch, inside `shard_map`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from glcic_jax.data.batch import Batch
from glcic_jax.models.completion import composite
from glcic_jax.models.discriminator import crop_windows
from glcic_jax.models.protocols import Variables
from glcic_jax.training.losses import discriminator_loss
from glcic_jax.training.mesh import from_previous_sample
from glcic_jax.training.passes import Metrics, Passed, run_network, to_float, vary_over_mesh
from glcic_jax.training.specification import TrainingSpecification


class Contest(NamedTuple):
    """A batch as D meets it: completed photographs, and real ones with holes and windows that may be others'.

    A D that sees masks gets real photographs with the masks of other samples, or it could tell them by the mask.
    """

    image: Shaped[Array, "n h w 3"]
    mask: Shaped[Array, "n h w 1"]
    fake_window: Int[Array, "n 2"]
    real_mask: Shaped[Array, "n h w 1"]
    real_window: Int[Array, "n 2"]


def contest(spec: TrainingSpecification, batch: Batch) -> Contest:
    """The batch, with the holes that real photographs are shown with: each one's is the sample's before it."""
    if not spec.discriminator.mask_channel:
        return Contest(batch.image, batch.mask, batch.fake_window, batch.mask, batch.real_window)
    real_mask, real_window = (from_previous_sample(array) for array in (batch.mask, batch.fake_window))
    return Contest(batch.image, batch.mask, batch.fake_window, real_mask, real_window)


def judge(
    spec: TrainingSpecification,
    params: Any,
    stats: Any,
    image: Float[Array, "n h w 3"],
    mask: Shaped[Array, "n h w 1"],
    origins: Int[Array, "n 2"],
) -> Passed:
    """D's logits (N,) or (N, patches) with the batch's statistics; the moved running ones; features by layer."""
    return run_network(spec, spec.discriminator, params, stats, *_look(spec, image, mask, origins))


def _look(
    spec: TrainingSpecification,
    image: Float[Array, "n h w 3"],
    mask: Shaped[Array, "n h w 1"],
    origins: Int[Array, "n 2"],
) -> tuple[Float[Array, "n h w c"], Float[Array, "n {spec.window_px} {spec.window_px} c"]]:
    """What D sees: the image, with the mask as a fourth channel if it sees masks, and its windows at `origins`."""
    if spec.discriminator.mask_channel:
        image = jnp.concatenate([image, (mask > 0).astype(image.dtype)], axis=-1)
    return image, crop_windows(image, origins, spec.window_px)


def judgement(
    spec: TrainingSpecification,
    params: Any,
    stats: Any,
    output: Float[Array, "n h w 3"],
    shown: Contest,
    step: Int[Array, ""],
) -> tuple[tuple[Any, Metrics], Any]:
    """D's gradient and metrics, and its running statistics, moved by a pass over real images, then completed ones.

    The gradient is that of what D minimises times its weight; the metrics are without the weight.

    Args:
        spec, params, stats: D's.
        output: what C painted.
        shown: the batch.
        step: int32 (), the number of steps behind.

    """
    image = to_float(shown.image)
    completed = composite(output, image, shown.mask)

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        real_logit, moved, _ = judge(spec, params, stats, image, shown.real_mask, shown.real_window)
        fake_logit, moved, _ = judge(spec, params, moved, completed, shown.mask, shown.fake_window)
        loss = discriminator_loss(real_logit, fake_logit).mean()
        metrics = judgement_metrics(loss, real_logit, fake_logit)
        if spec.r1_weight:
            penalty = r1_penalty(spec, params, stats, shown, step)
            loss, metrics = loss + spec.r1_weight / 2 * penalty, metrics | {"r1_penalty": penalty}
        return spec.discriminator_loss_weight * loss, (moved, metrics)

    grads, (moved, metrics) = jax.grad(loss_of, has_aux=True)(params)
    return (grads, metrics), moved


def judgement_metrics(
    loss: Float[Array, ""], real_logit: Float[Array, " n *patches"], fake_logit: Float[Array, " n *patches"]
) -> Metrics:
    """D's loss, the shares that it gets right, and its mean logits."""
    return {
        "discriminator_loss": loss,
        "accuracy_real": jnp.mean(real_logit > 0, dtype=loss.dtype),
        "accuracy_completed": jnp.mean(fake_logit < 0, dtype=loss.dtype),
        "logit_real": real_logit.mean(),
        "logit_completed": fake_logit.mean(),
    }


def judge_held_out(
    spec: TrainingSpecification, variables: Variables, completed: Float[Array, "n h w 3"], batch: Batch
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """D's logits (N,), of patches their mean, for photographs that it does not learn from, and for their composites.

    D normalises with its running statistics. As in training, a D that sees masks gets each photograph with the mask
    of the sample before it.
    """
    image, real_mask, real_window = to_float(batch.image), batch.mask, batch.real_window
    if spec.discriminator.mask_channel:
        real_mask, real_window = jnp.roll(batch.mask, 1, axis=0), jnp.roll(batch.fake_window, 1, axis=0)

    def logits(image: jax.Array, mask: jax.Array, origins: jax.Array) -> jax.Array:
        found: jax.Array = spec.discriminator.apply(variables, *_look(spec, image, mask, origins))
        return found.reshape(len(found), -1).mean(axis=1)

    return logits(image, real_mask, real_window), logits(completed, batch.mask, batch.fake_window)


def r1_penalty(
    spec: TrainingSpecification, params: Any, stats: Any, shown: Contest, step: Int[Array, ""]
) -> Float[Array, ""]:
    """Squared norm of the gradient of D's summed logits at a real photograph, mean over the samples: R1.

    (Mescheder et al. 2018, equation 9.) It is computed in every `r1_every_steps`-th step, and counts for those between
    (Karras et al. 2020, appendix B); 0 in the others. Values are in [0, 1]: in [-1, 1] it would be a quarter.
    """
    image = to_float(shown.image)

    def total(image: jax.Array, params: Any) -> jax.Array:
        return judge(spec, params, stats, image, shown.real_mask, shown.real_window).output.sum()

    def penalty(params: Any) -> jax.Array:
        gradient = jax.grad(total)(image, params)
        return spec.r1_every_steps * jnp.mean(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)))

    def nothing(params: Any) -> jax.Array:
        zero: jax.Array = vary_over_mesh(jnp.zeros((), image.dtype))
        return zero

    if spec.r1_every_steps == 1:
        return penalty(params)
    found: jax.Array = jax.lax.cond(step % spec.r1_every_steps == 0, penalty, nothing, params)
    return found
