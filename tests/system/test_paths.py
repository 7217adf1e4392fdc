"""Paths with ~, which shells leave in --option=~/x, in every command that takes one."""

import re

import pytest

from glcic_jax.cli.main import COMMANDS
from glcic_jax.errors import UserError
from glcic_jax.system.paths import user_path, user_pattern
from tests.support.paths import ROOT


def test_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(user_path("~/data")) == "/home/somebody/data" and str(user_path("a/~b")) == "a/~b"
    assert (
        user_pattern("~/data/*.tar") == "/home/somebody/data/*.tar" and user_pattern("~/out/") == "/home/somebody/out/"
    )
    assert user_pattern("-") == "-" and user_pattern("photos/") == "photos/"
    with pytest.raises(UserError, match="cannot tell which folder ~nobody-at-all means"):
        user_pattern("~nobody-at-all/x")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~new.jpg").touch()
    assert user_pattern("~new.jpg") == "~new.jpg"


def test_no_command_takes_paths_literally():
    """All that become paths go through this one way."""
    sources = [*(ROOT / "glcic_jax" / "cli").glob("*.py"), *(ROOT / "glcic_jax" / "tools").rglob("*.py")]
    assert len(sources) > len(COMMANDS)
    assert not [source.name for source in sources if re.search(r"type=(Path|pathlib)", source.read_text())]
