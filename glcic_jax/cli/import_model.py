"""`import`: other programs' completion networks into a model folder.

FILE is what the authors published for Torch7 (NAME.t7), a state dict of GLCIC-PyTorch's (NAME.pt, with its
config.json), or what `export --format=torch_module` has written (NAME.py). Nothing that stands in a file is run.
"""

import argparse

from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.paths import user_path


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the folder."""
    parser = argparse.ArgumentParser(
        prog="import", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("file", type=user_path, metavar="FILE", help="NAME.pt, NAME.t7 or NAME.py")
    add("--output", required=True, type=user_path, help="the model folder; an older one is replaced")
    add("--config", type=user_path, help="the config.json beside NAME.pt: mean colour and sizes")
    add("--mean_color", help="R,G,B in [0, 1], if there is no config.json")
    add("--licence", default="", help="terms of the weights, for the card")
    options = parser.parse_args(arguments)
    from glcic_jax.interop.import_model import import_model, parse_mean_color
    from glcic_jax.models import folder as model_folder

    model_folder.require_replaceable(options.output)
    mean_color = parse_mean_color(options.mean_color) if options.mean_color else None
    imported = import_model(options.file, config=options.config, mean_color=mean_color, licence=options.licence)
    model_folder.save(options.output, (imported.network, imported.variables), None, imported.card)
    licence = imported.card.licences.weights if imported.card.licences else "not stated"
    print(f"wrote {options.output}; licence of the weights: {licence}")
    return ExitCode.DONE
