"""`holes`: draws a recipe's holes, one row a kind with the local window outlined, and measures what they cover."""

import argparse

from glcic_jax.errors import UserError
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments, draws and measures."""
    parser = argparse.ArgumentParser(
        prog="holes",
        description=__doc__,
        epilog="Keys of the recipe can be changed, as with train: --config.holes.brush.share=1.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="recipe: a file, or the name of one in configs/")
    parser.add_argument("--output", required=True, type=user_path, help="the picture, such as holes.png")
    parser.add_argument("--count", type=int, default=6, help="masks in a row (default: %(default)s)")
    options, overrides = parser.parse_known_args(arguments)
    if options.count < 1:
        raise UserError(f"--count is {options.count}; it must be at least 1")

    from glcic_jax.run.config import Config
    from glcic_jax.tools.hole_sheet import write_hole_sheet

    config = Config.from_config_dict(load_recipe(recipe_path(options.config), overrides))
    write_hole_sheet(config, options.output, options.count)
    return 0
