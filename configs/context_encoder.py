"""The Context Encoder, a rival (Pathak et al. 2016), on small scenes: 128 px, the central 64 px missing (overlay).

    python launch/prepare.py --source=SCENES --output=data/scenes128
    python launch/train.py --config=configs/context_encoder.py

Another network, the same data, loop and tools. Its loss is 0.999 x squared error + 0.001 x adversarial; its
discriminator sees the central square alone, and both learn together from the first step. Adam as its authors set it,
C's steps ten times D's. Left out: the ten-fold weight of a 7 px rim, where its square overlaps what is known.

Cost: 30,000 steps of 64 images, as scenes128, for a fair comparison. To be expected: docs/results.md has a shorter
run at a quarter of the width.
"""

import ml_collections
import scenes128


def get_config() -> ml_collections.ConfigDict:
    """scenes128 with another network and its losses."""
    config = scenes128.get_config()
    config.context_encoder = ml_collections.ConfigDict({"image_px": 128, "width_multiplier": 1.0})
    config.hole_px = (64, 64)
    config.window_px = 64
    config.holes.rectangles.central = True
    config.real_window_on_hole = True
    config.completion_steps = 0
    config.discriminator_steps = 0
    config.joint_steps = 30_000
    # Theirs: 0.999 x mean over the square in [-1, 1]. Ours: mean over all pixels, four times as many, in [0, 1]: 16
    # times less. Only the ratio of the two terms counts.
    config.alpha = 0.001 / (0.999 * 16)
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 2e-3, "b1": 0.5})
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 2e-4, "b1": 0.5})
    return config
