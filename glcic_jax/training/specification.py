"""What the training steps need besides arrays."""

import dataclasses

import optax

from glcic_jax.models.protocols import Completion, Discriminator


@dataclasses.dataclass(frozen=True)
class TrainingSpecification:
    """Networks, optimisers and losses of a training: all that a step needs besides arrays.

    completion_optimizer: of stage 1, and of stage 3 unless `joint_completion_optimizer` is another, whose state has
        the same structure.
    completion_loss: "squared" or "absolute" error.
    completion_loss_over: the pixels of the "image", as in the paper, or of the "hole".
    alpha: weight of the adversarial loss beside that error (paper: 0.0004).
    discriminator_loss_weight: factor of all that D minimises; Adam hardly feels it, Adadelta does (paper: 1).
    saturating: C minimises log(1 - D) as the paper writes it, instead of -log D.
    balance_gradients_steps: for so many steps, counted from `joint_start_step`, the adversarial gradient at C's
        output is scaled to the norm of the error's, instead of by alpha (paper, section 3.4); of each microbatch by
        itself.
    adversarial_ratio: the norm of the adversarial gradient at C's output beside that of the error's, held at this in
        every step; 0: weighed by alpha. Of each microbatch by itself.
    r1_weight, r1_every_steps: in every so many steps D's loss holds weight / 2 x the squared gradient of its logits
        with respect to real photographs (R1), times the steps in between.
    feature_matching_weight: of the distance between D's features of photographs and of their completions, beside the
        adversarial loss.
    average_half_life_samples: of the exponential average of C's weights; 0: there is none.
    microbatches: parts that a device works through one after the other, for one update (`accumulation.py`).
    remat: compute normalisations and activations again for the gradient, instead of keeping them.
    """

    completion: Completion
    discriminator: Discriminator
    completion_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    window_px: int
    joint_completion_optimizer: optax.GradientTransformation | None = None
    completion_loss: str = "squared"
    completion_loss_over: str = "image"
    alpha: float = 4e-4
    discriminator_loss_weight: float = 1.0
    saturating: bool = False
    balance_gradients_steps: int = 0
    joint_start_step: int = 0
    adversarial_ratio: float = 0.0
    r1_weight: float = 0.0
    r1_every_steps: int = 16
    feature_matching_weight: float = 0.0
    average_half_life_samples: float = 0.0
    microbatches: int = 1
    remat: bool = False

    @property
    def joint_optimizer(self) -> optax.GradientTransformation:
        """C's optimiser in stage 3."""
        return self.joint_completion_optimizer or self.completion_optimizer
