"""What a network must offer to be trained and used here: one protocol for what paints, one for what judges.

Both are Flax modules. Arrays are float (..., H, W, 3) RGB in [0, 1]; masks (..., H, W, 1), 1 = hole.
"""

from typing import Any, Protocol, Self, TypeAlias

import numpy as np

Variables: TypeAlias = dict[str, Any]
"""A network's "params" and "batch_stats", nested by layers: what `apply` takes."""


class Network(Protocol):
    """What both kinds share: what Flax gives to every module, and BatchNorm's mesh axis."""

    @property
    def statistics_axis(self) -> str | None:
        """Mesh axis over which BatchNorm averages in training; None keeps to the local batch."""

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Initial variables, `{"params": ..., "batch_stats": ...}`."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """The network's output for these variables."""

    def clone(self, **updates: Any) -> Self:
        """The same network with other fields."""


class Completion(Network, Protocol):
    """Paints holes: `apply(variables, image, mask, train=False)` -> the whole image, (..., H, W, 3).

    A network that can be windowed also takes `photograph`, as `CompletionNetwork` describes.
    """

    @property
    def mean_color(self) -> tuple[float, float, float]:
        """RGB in [0, 1], of the training set."""

    @property
    def smallest_px(self) -> int:
        """Side of the smallest image that it takes."""

    @property
    def margin_px(self) -> tuple[int, int] | None:
        """What a window needs before and after its core, to paint it as the whole image would; None: it has none."""

    @property
    def convention(self) -> dict[str, str]:
        """How arrays are to be read, for people who read the card."""

    def check_hole(self, hole: np.ndarray) -> None:
        """Raises UserError if it cannot paint this hole, bool (H, W), for its size or its place."""


class Discriminator(Network, Protocol):
    """Judges: `apply(variables, image, window, train=False)` -> logits (N,) or (N, patches), positive for real.

    image (N, H, W, 3) is a photograph, completed or not; window (N, h, w, 3) is cut from it by `crop_windows`. Both
    have the mask as a fourth channel if the network asks for it.
    """

    @property
    def mask_channel(self) -> bool:
        """Whether it sees the mask."""
