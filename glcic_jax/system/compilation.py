"""Compiled programs on disk, so that only the first run on a machine waits for the compiler."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def keep_compiled_programs(folder: Path | None = None, say: Callable[[str], None] = _warn) -> None:
    """Lets JAX keep what it compiles, in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another.

    folder: another place than `cache_folder`. say: told if nothing can be kept; by default standard error.
    """
    given = jax.config.values["jax_compilation_cache_dir"]
    if given is not None and "://" in given:  # a bucket, which JAX writes to by other means
        return
    try:
        chosen = Path(given) if given is not None else folder or cache_folder()
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):  # permissions alone do not tell of a read-only mount
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows the home folder
        say(
            f"compiled programs cannot be kept ({error}): every start compiles anew; set JAX_COMPILATION_CACHE_DIR to "
            "a folder that can be written"
        )
        jax.config.update("jax_compilation_cache_dir", None)
        return
    if given is None:
        jax.config.update("jax_compilation_cache_dir", str(chosen))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def cache_folder() -> Path:
    """~/.cache/glcic-jax, or where the system keeps caches. Raises: RuntimeError if there is no home folder."""
    if "XDG_CACHE_HOME" in os.environ:
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif "LOCALAPPDATA" in os.environ:
        base = Path(os.environ["LOCALAPPDATA"])
    else:
        base = Path.home() / ".cache"
    return base / "glcic-jax"
