"""Model folders on the Hugging Face Hub: `hf://owner/name@revision`."""

import re
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.system.packages import require_extra

_ADDRESS = re.compile(r"hf:/{1,2}([^/@\s]+/[^/@\s]+)@([^@\s]+)")  # one slash where it was made a path
PATTERNS = ("card.json", "*.safetensors")
"""What is fetched of a repository."""


def is_address(text: str) -> bool:
    """Whether it is an address rather than a folder."""
    return text.startswith(("hf://", "hf:/"))


def fetch_model(address: str) -> Path:
    """The folder that holds a model of the Hub, in its client's cache; what is there already is not fetched again.

    Nothing is fetched if HF_HUB_OFFLINE is set. Raises: UserError.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"{address} is no address of a model; write hf://OWNER/NAME@REVISION, best with a commit")
    require_extra("hub", "hf://", "huggingface_hub")
    import huggingface_hub

    repository, revision = match.groups()
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=[*PATTERNS]))
    except Exception as error:  # of many kinds, those of its HTTP client among them
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{address} cannot be fetched ({type(error).__name__}: {said})") from error
