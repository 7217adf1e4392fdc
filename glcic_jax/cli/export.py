"""`export`: a model folder for other programs.

onnx          NAME.onnx, from 8-bit photographs and masks of any size to completed photographs
onnx_network  NAME.onnx, the bare network: floats, sides that are multiples of 4
stablehlo     NAME.stablehlo, the bare network for `jax.export`, on CPUs, NVIDIA GPUs and TPUs
web           a folder that completes photographs offline in a browser: as a site, and as one file, eraser.html
torch         NAME.pt, a state dict for GLCIC-PyTorch, of networks like its own
torch_module  NAME.py, module and weights for PyTorch, in one file that needs nothing else
hub           a folder for the Hugging Face Hub, with a README.md made from the card
"""

import argparse

from glcic_jax.exit_codes import ExitCode
from glcic_jax.system.paths import user_path

FORMATS = [line.split()[0] for line in __doc__.splitlines()[2:]]


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the file."""
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=user_path, metavar="MODEL", help="model folder, such as RUN/model")
    add("--format", required=True, choices=FORMATS, help="see above")
    add("--output", required=True, type=user_path, help="the file or folder")
    add("--half", action="store_true", help="float16 weights: half the size")
    add("--picture", type=user_path, help="of hub: an image that shows what the model does")
    options = parser.parse_args(arguments)
    if options.format == "web":
        from glcic_jax.serve.offline_page import write_offline_page

        write_offline_page(options.model, options.output, options.half)
        print(f"wrote {options.output}: put it on any web server, or open {options.output / 'eraser.html'}")
        return ExitCode.DONE
    from glcic_jax.interop.export_model import export_model

    size = export_model(options.model, options.output, options.format, half=options.half, picture=options.picture)
    print(f"wrote {options.output}, {size / 1e6:.1f} MB")
    return ExitCode.DONE
