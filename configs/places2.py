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
    config.data_dir = "data/places2"  # what `prepare` wrote
    config.max_damaged_share = 0.01  # records that cannot be read are replaced by others, until there are more
    config.init_from = ""  # a model folder, a checkpoint, or open128, which ships; "": random weights

    # The three stages (paper, section 4). Any may have 0 steps.
    config.batch_size = 96  # over all devices
    config.microbatches = 1  # parts that a device works through for one update: less memory, statistics of each part
    config.remat = False  # True: normalisations and activations are computed again, not kept: less memory
    config.completion_steps = 90_000  # stage 1: C alone, by its error inside the holes
    config.discriminator_steps = 10_000  # stage 2: D alone, C stands still
    config.joint_steps = 400_000  # stage 3: both, C by its error and by D

    # Samples (paper, section 4).
    config.short_side_px = (256, 384)  # photographs are scaled to a short side drawn from this
    config.crop_px = 256  # side of the square that is cut out of that; a multiple of 4
    config.flip = False  # True: half of the samples are mirrored
    config.hole_px = (96, 128)  # sides of rectangular holes
    config.window_px = 128  # what the local discriminator sees
    config.real_window_on_hole = False  # True: it sees the same place of a real image, not any

    # Kinds of holes, drawn for each sample by their shares (docs/data.md shows them). The pixels suit crops of 256 px.
    config.holes = ml_collections.ConfigDict()
    config.holes.rectangles = ml_collections.ConfigDict(  # sides: hole_px; so many of them; True: in the centre
        {"share": 1.0, "count": (1, 1), "central": False}
    )
    config.holes.brush = ml_collections.ConfigDict(  # DeepFill v2
        {"share": 0.0, "count": (1, 3), "segments": (4, 11), "length_px": (1, 90), "width_px": (12, 39),
         "angle_deg": (48, 96), "zigzag": True}
    )  # fmt: skip
    config.holes.thin = ml_collections.ConfigDict(  # this and the next two: LaMa
        {"share": 0.0, "count": (4, 51), "segments": (1, 5), "length_px": (10, 49), "width_px": (5, 14),
         "angle_deg": (1, 172), "zigzag": False}
    )  # fmt: skip
    config.holes.medium = ml_collections.ConfigDict(  # strokes, or boxes now and then
        {"share": 0.0, "count": (4, 6), "segments": (1, 5), "length_px": (10, 109), "width_px": (5, 54),
         "angle_deg": (1, 172), "zigzag": False, "box_share": 0.23, "box_count": (1, 5), "box_px": (10, 49)}
    )  # fmt: skip
    config.holes.thick = ml_collections.ConfigDict(  # likewise
        {"share": 0.0, "count": (1, 6), "segments": (1, 5), "length_px": (10, 209), "width_px": (5, 104),
         "angle_deg": (1, 172), "zigzag": False, "box_share": 0.23, "box_count": (1, 3), "box_px": (30, 149)}
    )  # fmt: skip
    config.holes_in_window = True  # strokes stay inside the local window; set False for a run without discriminator

    # Networks (paper, tables 1 and 2); the fields of CompletionNetwork and ContextDiscriminator.
    config.completion = ml_collections.ConfigDict()
    config.completion.width_multiplier = 1.0  # factor on all numbers of channels; costs grow with its square
    config.completion.negative_slope = 0.0  # of the leaky ReLU; 0 is ReLU
    config.completion.normalization = "batch"  # or "batch_after_activation", or "none"
    config.completion.residual = False  # True: layers that keep their input's shape add to it
    config.completion.upsampling = "transposed"  # or "nearest": pixels doubled, then a 3x3 convolution
    config.completion.output = "sigmoid"  # or "tanh", or "linear": added to the mean colour, and clipped
    config.completion.hole_fill = "mean_centred"  # or "mean", or a grey in [0, 1] such as "0.0"
    config.completion.mask_channel = True  # the mask is C's fourth input channel
    config.completion.use_bias = True  # convolutions have biases
    config.discriminator = ml_collections.ConfigDict()
    config.discriminator.width_multiplier = 1.0  # as of completion
    config.discriminator.negative_slope = 0.0  # as of completion
    config.discriminator.use_bias = True  # as of completion
    config.discriminator.global_depth = config_dict.placeholder(int)  # its convolutions; None: from crop_px
    config.discriminator.local_depth = config_dict.placeholder(int)  # of the local branch; None: from window_px
    config.discriminator.vector_activation = True  # of the two 1024-vectors, before they are joined
    config.discriminator.normalization = "batch"  # or "none"
    config.discriminator.spectral_normalization = False  # True: no layer may amplify
    config.discriminator.patch_logits = False  # True: each branch ends in a map of logits, and nothing joins them
    config.discriminator.mask_channel = False  # True: D sees the mask as well
    config.context_encoder = None  # that rival's fields instead of both networks: configs/context_encoder.py
    config.initial_values = "torch7"  # U(-1/sqrt(fan_in), 1/sqrt(fan_in)); "he" or "he_uniform": with biases of zero
    config.sync_batch_norm = True  # statistics over the global batch, not per device
    config.compute_dtype = "float32"  # or "bfloat16": parameters, statistics and losses stay float32
    # On NVIDIA GPUs "float32" multiplies in TF32, unless JAX_DEFAULT_MATMUL_PRECISION=highest is in the environment.
    # "float64" makes them 64 bits as well: slow, for comparing runs beyond float32's rounding.

    # Losses (paper, equations 2 to 5).
    config.completion_loss = "squared"  # or "absolute"
    config.completion_loss_over = "image"  # all pixels in the denominator; "hole": the hole's alone
    config.alpha = 0.0004  # weight of the adversarial term in C's loss
    config.adversarial = "fooling"  # C learns to fool D; "none": it ignores D; "cooperative": it helps D
    config.discriminator_loss_weight = 1.0  # of D's own loss; the paper does not scale it
    config.saturating_adversarial_loss = False  # True: log(1 - D), as the paper writes it
    config.balance_gradients_steps = 0  # first steps of stage 3 with both gradients at C equally large
    config.adversarial_ratio = 0.0  # norm of D's gradient at C's output beside the error's, in every step; 0: alpha
    config.r1_weight = 0.0  # D's gradient at real photographs is kept small (R1); needs a D without BatchNorm
    config.r1_every_steps = 16  # it is computed in every so many steps
    config.feature_matching_weight = 0.0  # C's completions shall give D the features of their photographs

    # Optimisers: a name in Optax and its arguments, of which any can be given; another name starts without arguments.
    # --config.completion_optimizer.name=adam --config.completion_optimizer.learning_rate=1e-3
    config.completion_optimizer = ml_collections.ConfigDict(
        {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}  # C's, in stages 1 and 3
    )
    config.discriminator_optimizer = ml_collections.ConfigDict(
        {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}  # D's, in stages 2 and 3
    )

    config.joint_completion_optimizer = None  # C's in stage 3, with other arguments; None: the same
    # The learning rates: "constant", or "cosine", to 0 at the end of each stage (of both stages for D), after steps in
    # which they rise from 0.
    config.completion_schedule = "constant"
    config.completion_warmup_steps = 0  # of C's rate
    config.discriminator_schedule = "constant"  # of D's
    config.discriminator_warmup_steps = 0  # of D's rate
    # Gradients of a larger global norm are scaled down to it; 0: none are.
    config.completion_clip_norm = 0.0
    config.discriminator_clip_norm = 0.0  # the same for D's
    # An exponential average of C's weights, for validation, grids and the model; 0: there is none.
    config.completion_average_half_life_samples = 0

    # Telemetry and checkpoints.
    config.log_every_steps = 100  # a line on the screen and in metrics.jsonl
    config.validate_every_steps = 2_000  # in-hole L1, PSNR and more on held-out photographs, and a grid of pictures
    config.validation_samples = 384  # the same ones every time
    config.grid_samples = 8  # of those, in the pictures of grids/
    config.checkpoint_every_steps = 1_000  # what a loss costs at most
    config.keep_checkpoints = 2  # the newest; those at the stages' ends stay besides

    config.profile_steps = (0, 0)  # (first, stop): these steps are profiled into WORKDIR/profile; (0, 0): none

    config.watchdog_secs = 1_800  # without a finished step for so long, the run is stuck and ends itself

    # For the model's card: sentences that whoever uses the model will read.
    config.weights_licence = "not stated; whoever publishes the weights says it"  # terms of the weights
    config.data_licence = "not stated; the terms of the photographs"  # and of what they were trained on
    return config
