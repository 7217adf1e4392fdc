"""`publish`: turns a run's model into a small folder to hand on: in half precision, with a complete card."""

import argparse

from glcic_jax.errors import UserError
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the folder."""
    parser = argparse.ArgumentParser(prog="publish", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--workdir", required=True, type=user_path, help="folder of the run")
    add("--output", required=True, type=user_path, help="the folder, such as glcic_jax/pretrained/open128")
    add("--data", required=True, help="photographs that it was trained on, and their terms")
    add("--licence_note", required=True, help="terms of the weights; shown when they are used without --model")
    add("--limits", required=True, help="what the model cannot do")
    add("--cost", required=True, help="time and device of the training")
    add("--scores", type=user_path, help="folder that evaluate score has written, with this model as its first method")
    add("--attribution", type=user_path, help="file that names who made the photographs; it travels with the weights")
    add("--blend", action="store_true", help="its results are blended unless somebody asks for something else")
    add("--with_discriminator", action="store_true", help="D too, so that others can go on with stage 3")
    add("--stage1", type=user_path, help="model folder of the same run after stage 1; with --texture")
    add("--texture", type=float, help="how much of what came after stage 1 stays in C's weights, from 0 to 1")
    options = parser.parse_args(arguments)
    if (options.stage1 is None) != (options.texture is None):
        raise UserError("--stage1 and --texture belong together; give both or none")
    if options.texture is not None and not 0 <= options.texture <= 1:
        raise UserError(f"--texture is {options.texture}; it must lie in [0, 1]")

    from glcic_jax.tools.publish import publish

    publish(
        options.workdir / "model",
        options.output,
        data=options.data,
        licence_note=options.licence_note,
        limits=options.limits,
        cost=options.cost,
        scores=options.scores,
        attribution=options.attribution,
        blend=options.blend,
        with_discriminator=options.with_discriminator,
        stage1=options.stage1,
        texture=1.0 if options.texture is None else options.texture,
    )
    return 0
