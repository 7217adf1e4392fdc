"""`python -m glcic_jax COMMAND ...`: the same as `glcic COMMAND ...`."""

import sys

from glcic_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
