"""shtamura/glcic, the reimplementation of a Qiita article, as its code really trains (overlay on places2).

    python launch/prepare.py --source=places365standard_easyformat.tar --output=data/places2
    python launch/train.py --config=configs/shtamura.py

One Adam minimises the squared error + alpha x D's own loss over C and D together, so that C helps D instead of
fooling it. (Here D's gradient is not scaled by alpha, which Adam undoes but for its epsilon.) Leaky ReLU, tanh, black
holes, no mask channel, no activation after the 1024-vectors, and D looks at the same place of real and completed
images. Left out: letterboxing (photographs are cropped here), windows that are not centred on the hole, and Keras's
constants of BatchNorm (momentum 0.99, eps 1e-3).

Cost: 30,000 steps of 16 images at 256 px, 160,000 images a stage. To be expected: faint shapes, as its author got.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2 with that code's choices."""
    config = places2.get_config()
    config.batch_size = 16
    config.completion_steps = 10_000
    config.discriminator_steps = 10_000
    config.joint_steps = 10_000
    config.short_side_px = (256, 256)
    config.hole_px = (64, 96)
    config.real_window_on_hole = True
    config.completion.negative_slope = 0.3
    config.completion.output = "tanh"
    config.completion.hole_fill = "0.0"
    config.completion.mask_channel = False
    config.discriminator.negative_slope = 0.3
    config.discriminator.vector_activation = False
    config.initial_values = "he_uniform"
    config.adversarial = "cooperative"
    config.alpha = 0.0004 / 4  # its squared error is of values in [-1, 1], four times ours
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    return config
