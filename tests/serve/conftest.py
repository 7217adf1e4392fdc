"""One tiny model and one server for all tests of this folder."""

from pathlib import Path

import pytest

from glcic_jax.serve.models import Models
from tests.support.serving import ColdModels, save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture(scope="session")
def models(tiny_model) -> Models:
    return ColdModels([tiny_model])
