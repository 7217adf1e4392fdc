"""Faces: CelebA at 160 px (overlay on places2), with the sizes that otenim/GLCIC-PyTorch made usual.

    python launch/prepare.py --source=img_align_celeba --output=data/celeba
    python launch/train.py --config=configs/celeba.py

Data: CelebA's aligned images (178 x 218 px, 202,599 of them). Cost: 180,000 steps of 96 images at 160 px, about 0.4
times the work of a 256 px image each. To be expected: not measured yet.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2 with other sizes and steps."""
    config = places2.get_config()
    config.data_dir = "data/celeba"
    config.completion_steps = 90_000
    config.discriminator_steps = 10_000
    config.joint_steps = 80_000
    config.short_side_px = (160, 178)
    config.crop_px = 160
    config.flip = True
    config.hole_px = (48, 96)
    config.window_px = 96
    config.discriminator.global_depth = 5
    config.discriminator.local_depth = 5
    return config
