"""The recipe for small budgets: laptops and single GPUs, thousands of photographs, 128 px (overlay on places2).

    python launch/prepare.py --source=PHOTOGRAPHS --output=data/mine
    python launch/train.py --config=configs/small.py --config.data_dir=data/mine

What differs from the paper, and why: docs/training.md. Data: any folder or archive of photographs. Cost: one CPU core
learns from 12 to 35 images a second in stage 1 and from 5 to 12 in stage 3, so all of it takes three to seven hours
there; the model that ships had four and a half (docs/results.md). To be expected: colours and shapes from stage 1,
in-hole PSNR above OpenCV's Telea by half a decibel to one; texture from stage 3, which takes half a decibel back.
For other sizes change crop_px, short_side_px, hole_px and window_px.
"""

import ml_collections
import places2


def get_config() -> ml_collections.ConfigDict:
    """places2 with networks and optimisers that get far in hours."""
    config = places2.get_config()
    config.data_dir = "data/mine"
    config.batch_size = 16
    config.completion_steps = 12_000
    config.discriminator_steps = 300
    config.joint_steps = 3_000
    config.short_side_px = (128, 192)
    config.crop_px = 128
    config.flip = True
    config.hole_px = (24, 64)
    config.window_px = 64

    # Not only rectangles: people paint with a brush, and want thin things gone.
    config.holes.rectangles.share = 0.7
    config.holes.brush.share = 0.2
    config.holes.brush.length_px = (1, 45)
    config.holes.brush.width_px = (6, 20)
    config.holes.thin.share = 0.1
    config.holes.thin.count = (2, 12)
    config.holes.thin.length_px = (5, 25)
    config.holes.thin.width_px = (2, 6)

    # BatchNorm wants large batches and long schedules. Without it, with layers that add to their input, the same
    # layers get further in less time.
    config.completion.width_multiplier = 0.25
    config.completion.negative_slope = 0.2
    config.completion.normalization = "none"
    config.completion.residual = True
    config.completion.output = "linear"
    config.initial_values = "he"
    config.completion_loss = "absolute"
    config.completion_loss_over = "hole"
    config.completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 1e-3})
    config.completion_schedule = "cosine"
    config.completion_warmup_steps = 200
    config.completion_clip_norm = 1.0
    config.completion_average_half_life_samples = 10_000

    # A discriminator that judges patches of 45 px, and whose part in C's gradient is held. Texture comes late: nothing
    # in the first 200 joint steps, most of it by the 1,000th (docs/results.md).
    config.discriminator.width_multiplier = 0.5
    config.discriminator.negative_slope = 0.2
    config.discriminator.normalization = "none"
    config.discriminator.patch_logits = True
    config.discriminator.local_depth = 3
    config.discriminator.global_depth = 3
    config.discriminator.mask_channel = True
    config.real_window_on_hole = True
    config.adversarial_ratio = 0.7
    config.r1_weight = 2e-6  # of the sum of 320 logits; 50 times as much holds D at chance
    config.r1_every_steps = 8
    config.discriminator_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 5e-4, "b1": 0.5})
    config.joint_completion_optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 2e-4, "b1": 0.5})

    config.validate_every_steps = 1_000
    config.checkpoint_every_steps = 500
    return config
