"""`complete`: paints the hole of a photograph; everything else in it stays bit for bit."""

import argparse
from pathlib import Path

from glcic_jax.data.images import read_image, read_mask, require_writable, write_image


def main(arguments: list[str]) -> int:
    """Parses the arguments and completes."""
    parser = argparse.ArgumentParser(prog="complete", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", required=True, type=Path, help="model folder, such as runs/places2/model")
    parser.add_argument("--image", required=True, type=Path, help="the photograph")
    parser.add_argument("--mask", required=True, type=Path, help="image of the same size: white = hole")
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        help="where to write; PNG keeps the known pixels exactly, JPEG does not",
    )
    options = parser.parse_args(arguments)
    require_writable(options.output)
    image, mask = read_image(options.image), read_mask(options.mask)

    import glcic_jax
    from glcic_jax.inference.completer import complete

    network, variables, _ = glcic_jax.load(options.model)
    write_image(options.output, complete(network, variables, image, mask))
    print(f"wrote {options.output}")
    return 0
