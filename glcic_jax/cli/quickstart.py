"""`quickstart`: fine-tunes the model that ships on photographs inside scikit-image, and completes them; no download."""

import argparse
from pathlib import Path

from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments and runs all of it."""
    parser = argparse.ArgumentParser(
        prog="quickstart",
        description=__doc__,
        epilog="Keys of the recipe can be changed, as with train: --config.joint_steps=500.",
        allow_abbrev=False,
    )
    parser.add_argument("--workdir", type=user_path, default=Path("runs/quickstart"), help="default: %(default)s")
    options, overrides = parser.parse_known_args(arguments)

    from glcic_jax.models.shipped import shipped_model
    from glcic_jax.run.config import Config
    from glcic_jax.tools.quickstart import TERMS, run_quickstart

    own = {"data_dir": options.workdir / "shards", "init_from": shipped_model(), "data_licence": TERMS}
    config = Config.from_config_dict(
        load_recipe(recipe_path("quickstart"), [*(f"--config.{key}={value}" for key, value in own.items()), *overrides])
    )
    return run_quickstart(config, options.workdir)
