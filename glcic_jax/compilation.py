"""Compiled programs on disk, so that only the first run on a machine waits for the compiler."""

import os
import sys
from pathlib import Path

import jax


def keep_compiled_programs(folder: Path | None = None) -> None:
    """Lets JAX keep what it compiles, in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder or cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def cache_folder() -> Path:
    """~/.cache/glcic-jax, or where the system keeps caches."""
    if "XDG_CACHE_HOME" in os.environ:
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif "LOCALAPPDATA" in os.environ:
        base = Path(os.environ["LOCALAPPDATA"])
    else:
        base = Path.home() / ".cache"
    return base / "glcic-jax"
