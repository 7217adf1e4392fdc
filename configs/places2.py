"""The paper's recipe, to the number: GLCIC on Places2 at 256 px.

    python launch/prepare.py --source=places365standard_easyformat.tar --output=data/places2
    python launch/train.py --config=configs/places2.py

Data: the paper trained on the 8.1 million images of Places2's challenge set. Fetch from the Places365 site either
`train_large_places365challenge.tar` (476 GB, those 8.1 million) and `val_large.tar`, or
`train_large_places365standard.tar` (105 GB, 1.8 million), or the small `places365standard_easyformat.tar` (24 GB,
256 x 256 px, training and validation in one). Short sides are drawn from 256 to 384 px here, as in the paper, so
the 256 px images of the small archives get enlarged, up to 1.5 times: fine for a first run, softer in the result.

Cost: 500,000 steps of 96 images; the paper took two months on four K80 GPUs. To be expected: the paper's figures.
Every key can be changed on the command line: --config.batch_size=48.
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
    """All keys of a recipe. Ranges are (smallest, largest), both included."""
    config = ml_collections.ConfigDict()
    config.seed = 0  # fixes initial weights and data order
    config.data_dir = "data/places2"
    config.max_damaged_share = 0.01  # records that cannot be read are replaced by others, until there are more
    config.init_from = ""  # a model folder or checkpoint to start from; "" starts from random weights

    # The three stages (paper, section 4). Any may have 0 steps.
    config.batch_size = 96  # over all devices
    config.microbatches = 1  # parts that a device works through for one update: less memory, statistics of each part
    config.remat = False  # True: normalisations and activations are computed again, not kept: less memory
    config.completion_steps = 90_000
    config.discriminator_steps = 10_000
    config.joint_steps = 400_000

    # Samples (paper, section 4).
    config.short_side_px = (256, 384)
    config.crop_px = 256
    config.flip = False
    config.hole_px = (96, 128)  # sides of rectangular holes
    config.window_px = 128  # what the local discriminator sees
    config.real_window_on_hole = False  # True: it sees the same place of a real image, not any

    # Kinds of holes, drawn for each sample by their shares (docs/data.md shows them). The pixels suit crops of 256 px.
    config.holes = ml_collections.ConfigDict()
    config.holes.rectangles = ml_collections.ConfigDict({"share": 1.0, "count": (1, 1), "central": False})
    config.holes.brush = ml_collections.ConfigDict(  # DeepFill v2
        {"share": 0.0, "count": (1, 3), "segments": (4, 11), "length_px": (1, 90), "width_px": (12, 39),
         "angle_deg": (48, 96), "zigzag": True}
    )  # fmt: skip
    config.holes.thin = ml_collections.ConfigDict(  # this and the next two: LaMa
        {"share": 0.0, "count": (4, 51), "segments": (1, 5), "length_px": (10, 49), "width_px": (5, 14),
         "angle_deg": (1, 172), "zigzag": False}
    )  # fmt: skip
    config.holes.medium = ml_collections.ConfigDict(
        {"share": 0.0, "count": (4, 6), "segments": (1, 5), "length_px": (10, 109), "width_px": (5, 54),
         "angle_deg": (1, 172), "zigzag": False, "box_share": 0.23, "box_count": (1, 5), "box_px": (10, 49)}
    )  # fmt: skip
    config.holes.thick = ml_collections.ConfigDict(
        {"share": 0.0, "count": (1, 6), "segments": (1, 5), "length_px": (10, 209), "width_px": (5, 104),
         "angle_deg": (1, 172), "zigzag": False, "box_share": 0.23, "box_count": (1, 3), "box_px": (30, 149)}
    )  # fmt: skip
    config.holes_in_window = True  # strokes stay inside the local window; set False for a run without discriminator

    # Networks (paper, tables 1 and 2); the fields of CompletionNetwork and ContextDiscriminator.
    config.completion = ml_collections.ConfigDict()
    config.completion.width_multiplier = 1.0
    config.completion.negative_slope = 0.0  # of the leaky ReLU; 0 is ReLU
    config.completion.output = "sigmoid"  # or "tanh"
    config.completion.hole_fill = "mean_centred"  # or "mean", or a grey in [0, 1] such as "0.0"
    config.completion.mask_channel = True
    config.completion.use_bias = True
    config.discriminator = ml_collections.ConfigDict()
    config.discriminator.width_multiplier = 1.0
    config.discriminator.negative_slope = 0.0
    config.discriminator.use_bias = True
    config.discriminator.global_depth = config_dict.placeholder(int)  # None: from crop_px and window_px
    config.discriminator.local_depth = config_dict.placeholder(int)
    config.discriminator.vector_activation = True  # of the two 1024-vectors, before they are joined
    config.context_encoder = None  # that rival's fields instead of both networks: configs/context_encoder.py
    config.initial_values = "torch7"  # U(-1/sqrt(fan_in), 1/sqrt(fan_in)), or "he_uniform" with biases of zero
    config.sync_batch_norm = True  # statistics over the global batch, not per device
    config.compute_dtype = "float32"  # or "bfloat16": parameters, statistics and losses stay float32
    # "float64" makes them 64 bits as well: slow, for comparing runs beyond float32's rounding.

    # Losses (paper, equations 2 to 5).
    config.alpha = 0.0004
    config.adversarial = "fooling"  # C hears of D what fools it; "none": nothing; "cooperative": what helps it
    config.saturating_adversarial_loss = False  # True: log(1 - D), as the paper writes it
    config.balance_gradients_steps = 0  # first steps of stage 3 with both gradients at C equally large

    # Optimisers: a name in Optax and its arguments.
    config.completion_optimizer = ml_collections.ConfigDict(
        {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}
    )
    config.discriminator_optimizer = ml_collections.ConfigDict(
        {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}
    )

    # Telemetry and checkpoints.
    config.log_every_steps = 100
    config.validate_every_steps = 2_000
    config.validation_samples = 384
    config.grid_samples = 8
    config.checkpoint_every_steps = 1_000
    config.keep_checkpoints = 2  # the newest; those at the stages' ends stay besides

    config.profile_steps = (0, 0)  # (first, stop): these steps are profiled into WORKDIR/profile; (0, 0): none

    config.watchdog_secs = 1_800  # without a finished step for so long, the run is stuck and ends itself

    # For the model's card.
    config.weights_licence = "not stated; whoever publishes the weights says it"
    config.data_licence = "not stated; the terms of the photographs"
    return config
