"""Paths as people write them."""

from pathlib import Path

from glcic_jax.errors import UserError


def user_path(text: str | Path) -> Path:
    """A path whose first part may be `~` or `~NAME`, somebody's home folder; shells leave `--option=~/x` as it is.

    Raises: UserError if nobody knows that home folder, and nothing has that name.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        if Path(text).exists():
            return Path(text)
        raise UserError(f"cannot tell which folder {text} means: {error}; write the whole path") from error


def user_pattern(text: str) -> str:
    """The same for what may also be a pattern, or end with a slash that says something.

    Raises: UserError as `user_path`.
    """
    home, slash, rest = text.partition("/")
    return f"{user_path(home)}{slash}{rest}" if home.startswith("~") else text
