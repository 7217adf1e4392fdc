"""`serve`: the eraser, a page in your browser and an HTTP interface that complete photographs on this machine."""

import argparse
import os
import sys
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.exit_codes import ExitCode
from glcic_jax.models.shipped import licence_note, shipped_model
from glcic_jax.system.packages import require_extra


def main(arguments: list[str]) -> int:
    """Parses the arguments and serves."""
    options = build_parser().parse_args(arguments)
    require_extra("serve", "serving", "starlette", "uvicorn", "python_multipart")
    from glcic_jax.serve.guard import Access
    from glcic_jax.serve.limits import Limits
    from glcic_jax.serve.start import start

    token = os.environ.get("GLCIC_TOKEN", "")
    access = Access(options.host, tuple(options.allow_host), tuple(options.allow_origin), token)
    limits = Limits(
        body_bytes=options.max_megabytes * 1_000_000, max_pixels=options.max_megapixels * 1_000_000,
        waiting=options.waiting, workers=options.workers, wait_secs=options.wait_secs, paint_secs=options.paint_secs,
    )  # fmt: skip
    models = [Path(model).expanduser() for model in options.model]
    if not models:
        models = [Path(os.environ["GLCIC_MODEL"]) if os.environ.get("GLCIC_MODEL") else shipped_model()]
    if models == [shipped_model()]:
        print(f"note: {licence_note(models[0])}", file=sys.stderr)
    start(models, limits, access, options.port, options.browser)
    return ExitCode.DONE


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="serve", description=__doc__, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="GLCIC_TOKEN in the environment: a secret that requests must carry, as Authorization: Bearer TOKEN",
    )  # fmt: skip
    add = parser.add_argument
    add("--model", action="append", default=[], help="model folder, several times for a choice; else the shipped one")
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in: set GLCIC_TOKEN")
    add("--port", type=int, default=8080, help="0 takes any that is free")
    add("--browser", action="store_true", help="open the page")
    add("--allow_host", action="append", default=[], metavar="NAME", help="a further name that this machine is called")
    add("--allow_origin", action="append", default=[], metavar="URL", help="a site whose pages may ask, too")
    add("--max_megapixels", type=_count, default=50, help="larger photographs are refused")
    add("--max_megabytes", type=_count, default=64, help="larger requests are refused")
    add("--waiting", type=_count, default=16, help="requests that may wait; others are told to come again")
    add("--workers", type=_count, default=2, help="photographs that are read and written at a time")
    add("--wait_secs", type=_count, default=60, help="until a request's turn has to come")
    add("--paint_secs", type=_count, default=300, help="that painting one photograph may take")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:9]) <= 1_000_000:
        raise UserError(f"{text!r} is given where a whole number above 0 is needed")
    return int(text)
