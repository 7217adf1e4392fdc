"""KID, FID and LPIPS, through torchmetrics (extra `eval`); on whole composites, since their networks need context."""

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
from glcic_jax.evaluation.scoring import Results

NAMES = ("kid", "fid", "lpips")
FID_CASES = 2048
"""FID inverts nothing but needs the covariance of 2048 features: with fewer images it is far too large."""
LPIPS_PX = 32
"""AlexNet's layers leave nothing of smaller images."""
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
_AT_ONCE = 32

_INCEPTION = {
    "backbone": "InceptionV3 of 2015-12-05 with TensorFlow's weights, 2048 features (torch-fidelity's port)",
    "resizer": "bilinear to 299 px as TensorFlow 1 does it, without anti-aliasing (torch-fidelity)",
}
_ABOUT = {
    "kid": {**_INCEPTION, "unit": "squared maximum mean discrepancy, cubic kernel; spread over subsets"},
    "fid": {**_INCEPTION, "unit": "Fréchet distance"},
    "lpips": {"backbone": "AlexNet of torchvision, LPIPS's linear weights v0.1", "resizer": "none"},
}


def check_count(names: list[str], cases: int, smallest_px: int) -> list[str]:
    """Warnings where a metric needs more cases. Raises: UserError for unknown names, or if it cannot be computed.

    Args:
        smallest_px: the shortest side of any image.

    """
    for name in names:
        if name not in NAMES:
            raise UserError(f"no metric {name!r}; there are {', '.join(NAMES)}")
    if "kid" in names and cases < 4:
        raise UserError(f"KID needs at least 4 cases, the benchmark has {cases}; make a larger one")
    if "fid" in names and cases < 2:
        raise UserError("FID needs a covariance, and the benchmark has one case; make a larger one")
    if "lpips" in names and smallest_px < LPIPS_PX:
        raise UserError(f"LPIPS needs images of {LPIPS_PX} px, the smallest has {smallest_px}; leave lpips out")
    if "fid" in names and cases < FID_CASES:
        return [f"FID of {cases} cases, fewer than {FID_CASES}, comes out far too large; look at KID instead"]
    return []


class Perceptual:
    """The wanted metrics, with their networks loaded."""

    def __init__(self, names: list[str]):
        """Raises: UserError if packages or weights are not there."""
        try:
            import torch
            from torchmetrics.image import fid, kid, lpip
        except ImportError as error:
            raise UserError(
                f"{', '.join(names)} need torchmetrics ({error}); install it: pip install 'glcic-jax[eval]'"
            ) from None
        self._torch, self.names = torch, names
        self._metrics: dict[str, Any] = {}
        makers: dict[str, Callable[[], Any]] = {
            "kid": lambda: kid.KernelInceptionDistance(subsets=KID_SUBSETS),
            "fid": fid.FrechetInceptionDistance,
            "lpips": lambda: lpip.LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True),
        }
        for name in names:
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._metrics[name] = makers[name]()
                except ImportError as error:
                    raise UserError(f"{name}: {error}; install it all: pip install 'glcic-jax[eval]'") from error
                except (urllib.error.URLError, OSError, RuntimeError) as error:
                    folder = f"{torch.hub.get_dir()}/checkpoints"
                    raise UserError(
                        f"the weights that {name} needs ({_ABOUT[name]['backbone']}) are not on this machine and "
                        f"cannot be fetched ({error}); put their file into {folder}, or leave {name} out"
                    ) from error

    def about(self, cases: int) -> dict[str, Any]:
        """What the figures rest on."""
        found = {}
        for name in self.names:
            packages = ("torchmetrics", "torch", "torchvision" if name == "lpips" else "torch-fidelity")
            versions = {package: importlib.metadata.version(package) for package in packages}
            found[name] = {**_ABOUT[name], "cases": cases, "versions": versions}
        return found

    def __call__(self, benchmark: Benchmark, results: Results) -> dict[str, dict[str, float]]:
        """Each metric's value with what is known of its error; cases in batches."""
        pairs = [
            (case.image, composite) for case, composite in zip(benchmark.cases, results.composites, strict=True)
        ]  # fmt: skip
        return {name: getattr(self, f"_{name}")(metric, pairs) for name, metric in self._metrics.items()}

    def _feed(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
        metric.reset()
        for first in range(0, len(pairs), _AT_ONCE):
            real, fake = zip(*pairs[first : first + _AT_ONCE], strict=True)
            metric.update(self._tensor(np.stack(real)), real=True)
            metric.update(self._tensor(np.stack(fake)), real=False)

    def _kid(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        metric.subset_size = min(KID_SUBSET_SIZE, len(pairs) // 2)
        self._torch.manual_seed(0)  # of the subsets
        self._feed(metric, pairs)
        mean, spread = metric.compute()
        return {"mean": float(mean), "spread": float(spread)}

    def _fid(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        self._feed(metric, pairs)
        return {"mean": float(metric.compute())}

    def _lpips(self, metric: Any, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        values = []
        with self._torch.inference_mode():
            for real, fake in pairs:
                one, other = (self._tensor(image[None]) / 255 for image in (fake, real))
                values.append(float(metric.net(one, other, normalize=True).squeeze()))
        return bootstrap_mean(np.array(values))._asdict()

    def _tensor(self, images: np.ndarray) -> Any:
        """uint8 (N, H, W, 3) -> (N, 3, H, W)."""
        return self._torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
