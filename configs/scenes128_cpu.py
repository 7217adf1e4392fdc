"""scenes128 for two CPU cores: networks of a quarter of the width, Adam (overlay on scenes128).

    python launch/prepare.py --source=SCENES --output=data/scenes128
    python launch/train.py --config=configs/scenes128_cpu.py

Adadelta as the paper has it moves slowly in short runs; Adam gets further in the hours that a CPU has. Cost and what
came of it: docs/results.md.
"""

import ml_collections
import scenes128


def get_config() -> ml_collections.ConfigDict:
    """scenes128 with narrow networks."""
    config = scenes128.get_config()
    config.batch_size = 16
    config.completion_steps = 20_000
    config.discriminator_steps = 500
    config.joint_steps = 5_000
    config.completion.width_multiplier = 0.25
    config.discriminator.width_multiplier = 0.25
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-4})
    config.validate_every_steps = 1_000
    config.checkpoint_every_steps = 250
    return config
