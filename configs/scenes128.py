"""Small scenes: 128 px crops of photographs of about 150 px (overlay on places2), for one GPU or a patient CPU.

    python launch/prepare.py --source=SCENES --output=data/scenes128
    python launch/train.py --config=configs/scenes128.py

Data: any folder or tar of small photographs of places, some ten thousand of them. Cost: 30,000 steps of 64 images, a
quarter of the work of a 256 px image each. To be expected: see docs/results.md for what was measured, on shorter runs.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2 with other sizes and steps."""
    config = places2.get_config()
    config.data_dir = "data/scenes128"
    config.batch_size = 64
    config.completion_steps = 10_000
    config.discriminator_steps = 1_000
    config.joint_steps = 19_000
    config.short_side_px = (150, 150)
    config.crop_px = 128
    config.flip = True
    config.hole_px = (32, 64)
    config.window_px = 64
    config.validate_every_steps = 500
    config.validation_samples = 256
    config.checkpoint_every_steps = 500
    return config
