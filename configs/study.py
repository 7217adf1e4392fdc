"""The paper's recipe at the size of the study (docs/study.md): 64 px, a quarter of the width (overlay on places2).

    python launch/study.py --data=data/scenes --workdir=runs/study
    python launch/train.py --config=configs/study.py --config.data_dir=data/scenes

The first command trains every cell, budget and seed of the study, each a run of this recipe with one thing changed; the
second trains the paper's cell alone.

Data: any set of some ten thousand small photographs of places. Cost: 2,500 steps of 16 images at 64 px, a sixteenth of
the pixels and of the network of 256 px. To be expected: docs/study.md.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2, small; holes and windows in the paper's proportions."""
    config = places2.get_config()
    config.data_dir = "data/scenes"
    config.batch_size = 16
    config.completion_steps = 450
    config.discriminator_steps = 50
    config.joint_steps = 2_000
    config.short_side_px = (64, 75)
    config.crop_px = 64
    config.flip = True
    config.hole_px = (24, 32)
    config.window_px = 32
    config.completion.width_multiplier = 0.25
    config.discriminator.width_multiplier = 0.25
    config.log_every_steps = 25
    config.validate_every_steps = 125
    config.validation_samples = 256
    config.checkpoint_every_steps = 250
    config.keep_checkpoints = 1
    return config
