"""tadax/glcic, a known reimplementation, as its code really trains (overlay on places2).

    python launch/prepare.py --source=PHOTOGRAPHS --output=data/mine
    python launch/train.py --config=configs/tadax.py --config.data_dir=data/mine

D learns on finished completions and C by squared error alone: C never hears from D, which looks at the same place of
real and completed images. 128 px, holes of 24 to 48 px in grey, no mask channel, tanh, convolutions without biases, no
stage 2. Left out: windows that are not centred on the hole, and its dense layers' initial values.

Cost: 136,000 steps of 16 images at 128 px, for the 100 and 300 passes over 5,434 faces that its README tells
of. To be expected: blurry holes, as from squared error alone.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2 with that code's choices."""
    config = places2.get_config()
    config.batch_size = 16
    config.completion_steps = 34_000
    config.discriminator_steps = 0
    config.joint_steps = 102_000
    config.short_side_px = (128, 128)
    config.crop_px = 128
    config.hole_px = (24, 48)
    config.window_px = 64
    config.real_window_on_hole = True
    config.completion.output = "tanh"
    config.completion.hole_fill = "0.5"
    config.completion.mask_channel = False
    config.completion.use_bias = False
    config.discriminator.use_bias = False
    config.discriminator.global_depth = 5
    config.discriminator.local_depth = 4
    config.adversarial = "none"
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    return config
