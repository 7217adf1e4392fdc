"""GLCIC in minutes on two CPU cores: the model that ships learns a handful of photographs by heart (overlay on small).

    make quickstart            (or: python launch/quickstart.py)

Data: the natural photographs inside the scikit-image wheel; the command cuts them into tiles and prepares them. It
starts from the weights that ship, which shows more in its minutes than starting from nothing would; for that, give
--config.init_from= (empty). Cost: about five minutes on two cores. To be expected: docs/results.md.
"""

import ml_collections
import small


def get_config() -> ml_collections.ConfigDict:
    """Small, with smaller crops and few steps."""
    config = small.get_config()
    config.data_dir = "runs/quickstart/shards"
    config.completion_steps = 600
    config.discriminator_steps = 30
    config.joint_steps = 40
    config.short_side_px = (96, 128)
    config.crop_px = 64
    config.hole_px = (20, 32)
    config.window_px = 32
    config.completion_optimizer.learning_rate = 5e-4
    config.completion_warmup_steps = 20
    config.completion_average_half_life_samples = 1_000
    config.log_every_steps = 20
    config.validate_every_steps = 200
    config.validation_samples = 64
    config.checkpoint_every_steps = 200
    return config
