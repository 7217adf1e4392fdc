"""The notebooks run from their first cell to their last, as they are."""

import ast
import importlib
import os
import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_format(notebook):
    """Jupytext's: a header, cells of text that are comments, and cells of code."""
    text = notebook.read_text()
    assert text.startswith("# ---\n# jupyter:\n")
    for kind, cell in re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", text, re.M | re.S):
        lines = [line for line in cell.splitlines() if line]
        assert lines and all(line.startswith("#") for line in lines) == bool(kind)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_imports_is_there(notebook):
    """Of ours; to run a notebook takes minutes."""
    for node in ast.walk(ast.parse(notebook.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("glcic_jax"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook, tmp_path):
    pytest.importorskip("skimage")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "JAX_NUM_CPU_DEVICES": "1"}
    environment["TMPDIR"] = str(tmp_path)
    result = subprocess.run(
        [sys.executable, str(notebook)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
