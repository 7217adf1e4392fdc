"""Where compiled programs are kept, and what happens where they cannot be."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from glcic_jax.system.compilation import keep_compiled_programs
keep_compiled_programs()
print(jax.config.values["jax_compilation_cache_dir"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(jax.jit(lambda x: x + 1)(1.0))
"""


def compiled_with(tmp_path, **variables):
    drop = ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", "USER", "LOGNAME")
    environment = {name: value for name, value in os.environ.items() if name not in drop} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )


def test_a_folder_that_can_be_written(tmp_path):
    result = compiled_with(tmp_path, HOME=str(tmp_path))
    assert str(tmp_path / ".cache" / "glcic-jax") in result.stdout and result.stderr == ""
    assert any((tmp_path / ".cache" / "glcic-jax").iterdir())


@pytest.mark.parametrize("variable", ["HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_a_folder_that_cannot_be_written(tmp_path, variable):
    (tmp_path / "file").write_text("no folder")
    result = compiled_with(tmp_path, **{"HOME": str(tmp_path), variable: str(tmp_path / "file")})
    assert result.stdout.splitlines() == ["None", "2.0"]
    assert len(result.stderr.splitlines()) == 1 and "compiled programs cannot be kept" in result.stderr


def test_no_home(tmp_path, monkeypatch, capsys):
    """An unknown user id without HOME, as in some containers."""
    import jax

    from glcic_jax.system.compilation import keep_compiled_programs

    before = jax.config.values["jax_compilation_cache_dir"]

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", unknown)
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        keep_compiled_programs()
        assert "compiled programs cannot be kept (Could not determine home directory.)" in capsys.readouterr().err
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
