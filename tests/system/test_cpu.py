"""Settings of XLA's programs for CPUs, in processes of their own."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from glcic_jax.system.cpu import choose_convolutions
print(choose_convolutions())
x, kernel = jax.numpy.ones((8, 16, 16, 64)), jax.numpy.ones((3, 3, 64, 64))
convolve = jax.jit(lambda x, kernel: jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
print("ynn" in convolve.lower(x, kernel).compile().as_text())
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ["True", "False"]), ("--xla_cpu_experimental_ynn_fusion_type=-individual_dot", ["False", "True"])],
)
def test_eigen_convolves_unless_the_user_says_otherwise(given, expected):
    environment = os.environ | {"XLA_FLAGS": given}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == expected
