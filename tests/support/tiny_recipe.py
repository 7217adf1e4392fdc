"""The paper's form at the smallest scale, for tests: narrow networks, 64 px crops, Adam (overlay on places2)."""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2, small."""
    config = places2.get_config()
    config.data_dir = "runs/tiny/shards"
    config.batch_size = 16
    config.completion_steps = 1_800
    config.discriminator_steps = 30
    config.joint_steps = 100
    config.short_side_px = (96, 128)
    config.crop_px = 64
    config.flip = True
    config.hole_px = (24, 32)
    config.window_px = 32
    config.completion.width_multiplier = 0.125
    config.discriminator.width_multiplier = 0.125
    # Adam: in so few steps Adadelta's large ones leave the running statistics behind.
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 5e-4})
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-4})
    config.log_every_steps = 20
    config.validate_every_steps = 100
    config.validation_samples = 64
    config.checkpoint_every_steps = 400
    return config
