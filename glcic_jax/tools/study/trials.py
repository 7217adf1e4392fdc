"""The trials of a study: a variant of the paper's recipe, a budget of samples and a seed each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from glcic_jax.errors import UserError
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.config import Config

VALIDATIONS = 20
"""Of each run, evenly over its steps."""


def _use_leaky_relu(config: ConfigDict) -> None:
    config.completion.negative_slope = config.discriminator.negative_slope = 0.3


def _use_tanh(config: ConfigDict) -> None:
    config.completion.output = "tanh"


def _fill_with_black(config: ConfigDict) -> None:
    config.completion.hole_fill, config.completion.mask_channel = "0.0", False


def _use_adam(config: ConfigDict) -> None:
    for key in ("completion_optimizer", "discriminator_optimizer"):
        config[key] = {"name": "adam", "learning_rate": 1e-3}


def _ignore_discriminator(config: ConfigDict) -> None:
    config.adversarial = "none"


def _help_discriminator(config: ConfigDict) -> None:
    config.adversarial = "cooperative"


def _leave_out_normalization(config: ConfigDict) -> None:
    config.completion.normalization, config.initial_values = "none", "he"


def _add_to_input(config: ConfigDict) -> None:
    config.completion.residual = True


def _use_adam_with_cosine(config: ConfigDict) -> None:
    config.completion_optimizer = {"name": "adam", "learning_rate": 1e-3}
    config.completion_schedule, config.completion_clip_norm = "cosine", 1.0


def _average_weights(config: ConfigDict) -> None:
    steps = config.completion_steps + config.discriminator_steps + config.joint_steps
    config.completion_average_half_life_samples = steps * config.batch_size // 20


def _use_absolute_error(config: ConfigDict) -> None:
    config.completion_loss, config.completion_loss_over = "absolute", "hole"


def _use_linear_output(config: ConfigDict) -> None:
    config.completion.output = "linear"


VARIANTS: dict[str, tuple[Callable[[ConfigDict], None], ...]] = {
    "paper": (),
    "leaky ReLU": (_use_leaky_relu,),
    "tanh": (_use_tanh,),
    "black holes without mask": (_fill_with_black,),
    "Adam": (_use_adam,),
    "C deaf to D": (_ignore_discriminator,),
    "C helps D": (_help_discriminator,),
    "article": (_use_leaky_relu, _use_tanh, _fill_with_black, _use_adam, _help_discriminator),
    "no normalisation": (_leave_out_normalization,),
    "residual": (_add_to_input,),
    "Adam with cosine": (_use_adam_with_cosine,),
    "average": (_average_weights,),
    "absolute error": (_use_absolute_error,),
    "linear output": (_use_linear_output,),
    "small budgets": (
        _leave_out_normalization,
        _add_to_input,
        _use_adam_with_cosine,
        _average_weights,
        _use_absolute_error,
        _use_linear_output,
    ),
}
"""What each changes in the paper's recipe. "article" is the Qiita article's combination of those before it, "small
budgets" the recipe small's of those after it."""


class Budget(NamedTuple):
    """samples: over all stages. split: percent of them in each stage."""

    samples: int
    split: tuple[int, int, int]


class Trial(NamedTuple):
    """One run of the study."""

    variant: str
    budget: Budget
    seed: int
    config: Config
    workdir: Path

    @property
    def steps(self) -> int:
        """Over all stages."""
        return self.config.completion_steps + self.config.discriminator_steps + self.config.joint_steps


def plan_trials(
    workdir: Path,
    recipe: str,
    overrides: list[str],
    *,
    data_dir: str,
    variants: list[str],
    seeds: list[int],
    budgets: list[Budget],
) -> Iterator[Trial]:
    """All trials: small budgets first, and all variants of one seed before the next seed.

    Args:
        workdir: folder of the study.
        recipe: the paper's, as a file or by name. overrides: changes for all runs.
        data_dir: folder of shards.
        variants, seeds, budgets: see the parsers below.

    Raises: UserError for a recipe that cannot work.

    """
    path = recipe_path(recipe)
    for budget in sorted(budgets):
        for seed in seeds:
            for variant in variants:
                config = load_recipe(path, overrides)
                config.data_dir, config.seed = data_dir, seed
                steps = budget.samples // config.batch_size
                config.completion_steps = steps * budget.split[0] // 100
                config.discriminator_steps = steps * budget.split[1] // 100
                config.joint_steps = steps - config.completion_steps - config.discriminator_steps
                config.validate_every_steps = max(1, steps // VALIDATIONS)
                for change in VARIANTS[variant]:
                    change(config)
                budget_folder = f"{budget.samples}_{'-'.join(map(str, budget.split))}"
                variant_folder = variant.replace(" ", "_").lower()
                folder = workdir / budget_folder / variant_folder / f"seed{seed}"
                yield Trial(variant, budget, seed, Config.from_config_dict(config), folder)


def parse_variants(text: str) -> list[str]:
    """Names of variants, separated by commas. Raises: UserError."""
    names = text.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        raise UserError(f"no cell {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    return names


def parse_seeds(text: str) -> list[int]:
    """Such as 0,1,2. Raises: UserError."""
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds is {text!r}; give whole numbers, such as 0,1,2") from None


def parse_budgets(text: str) -> list[Budget]:
    """Such as 4000:70/5/25,40000:18/2/80. Raises: UserError."""
    return [_parse_budget(one) for one in text.split(",")]


def _parse_budget(text: str) -> Budget:
    try:
        samples, split = text.split(":")
        first, second, third = (int(percent) for percent in split.split("/"))
        if int(samples) < 1 or min(first, second, third) < 0 or first + second + third != 100:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--budgets has {text!r}; write SAMPLES:PERCENT/PERCENT/PERCENT, such as 40000:18/2/80"
        ) from None
    return Budget(int(samples), (first, second, third))
