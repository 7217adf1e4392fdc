"""The PyTorch implementation in reference/ and the fixtures that it makes."""

import numpy as np
import pytest

from tests.support.paths import FIXTURES
from tests.support.torch_arrays import read_arrays

torch = pytest.importorskip("torch")
make_fixtures = pytest.importorskip("reference.make_fixtures")
networks = pytest.importorskip("reference.networks")


@pytest.mark.parametrize(("name", "tolerance"), [("parity", 1e-5), ("step", 1e-9), ("options", 1e-9)])
def test_the_fixtures_are_what_it_computes(name, tolerance):
    """If PyTorch draws other weights one day: `python -m reference.make_fixtures tests/fixtures`."""
    stored, computed = read_arrays(FIXTURES / f"torch_{name}.npz"), getattr(make_fixtures, name)()
    assert stored.keys() == computed.keys()
    for key, value in computed.items():
        assert stored[key].dtype == value.dtype
        if value.dtype.kind == "U":
            assert stored[key] == value
        else:
            np.testing.assert_allclose(stored[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


def test_parameter_counts_of_the_full_networks():
    """Those of the paper's tables, counted by hand from them."""

    def count(network):
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(networks.CompletionNetwork()) == 6_072_131
    assert count(networks.ContextDiscriminator()) == 45_063_681
