"""How well C completes fixed validation samples: in-hole L1 and PSNR, and a picture grid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from glcic_jax.data.batch import Batch
from glcic_jax.data.images import contact_sheet
from glcic_jax.evaluation.metrics import hole_clipped, hole_l1, hole_psnr, hole_spread
from glcic_jax.models.completion import CompletionNetwork, composite
from glcic_jax.models.context_encoder import ContextEncoder
from glcic_jax.training.mesh import put_whole_batch, replicated
from glcic_jax.training.state import NetworkState


class Validation:
    """A validation set held in memory, completed batch by batch with the running statistics."""

    def __init__(
        self,
        network: CompletionNetwork | ContextEncoder,
        samples: Batch,
        batch_size: int,
        grid_samples: int,
        mesh: Mesh,
    ):
        """samples: as `data.loader.fixed_samples` makes them; batch_size: a multiple of the device count."""
        self.samples, self._batch_size, self._grid_samples, self._mesh = (
            samples,
            batch_size,
            grid_samples,
            mesh,
        )

        def complete(variables: dict, image: jax.Array, mask: jax.Array) -> jax.Array:
            image = image.astype("float32") / 255
            return composite(jnp.asarray(network.apply(variables, image, mask)), image, mask)

        # Whole on every device, so that every process has all of it at hand.
        self._complete = jax.jit(complete, out_shardings=replicated(mesh))

    def __call__(
        self, completion: NetworkState, go_on: Callable[[], bool] = lambda: True
    ) -> tuple[dict[str, float], np.ndarray] | None:
        """Figures inside the holes, and a uint8 grid: photographs, holes, completions.

        L1 and PSNR, means over the samples; the contrast, how much colours vary beside the photographs'; the share of
        clipped values. None if `go_on`, asked after every batch, says no.
        """
        l1, psnr, clipped, spread, true_spread, shown = [], [], [], [], [], []
        count = len(self.samples.image)
        for first in range(0, count, self._batch_size):
            # The last batch starts over from the first samples to keep its size; what is repeated is cut off.
            rows = np.arange(first, first + self._batch_size) % count
            kept = min(self._batch_size, count - first)
            part = Batch(*(field[rows] for field in self.samples))
            placed = put_whole_batch(self._mesh, part)
            completed = jax.device_get(self._complete(completion.variables, placed.image, placed.mask))[:kept]
            image, mask = part.image[:kept] / 255, part.mask[:kept]
            l1.append(hole_l1(completed, image, mask))
            psnr.append(hole_psnr(completed, image, mask))
            clipped.append(hole_clipped(completed, mask))
            spread.append(hole_spread(completed, mask))
            true_spread.append(hole_spread(image, mask))
            if first < self._grid_samples:
                shown.extend(completed[: self._grid_samples - first])
            if not go_on():
                return None
        scores = {
            "hole_l1": float(np.concatenate(l1).mean()),
            "hole_psnr": float(np.concatenate(psnr).mean()),
            "hole_contrast": float(np.concatenate(spread).mean() / max(np.concatenate(true_spread).mean(), 1e-6)),
            "hole_clipped": float(np.concatenate(clipped).mean()),
        }
        return scores, self._grid(shown)

    def _grid(self, completed: list[np.ndarray]) -> np.ndarray:
        image, mask = (field[: len(completed)] for field in (self.samples.image, self.samples.mask))
        holes = np.where(mask > 0, 255, image).astype(np.uint8)
        results = [(np.nan_to_num(c) * 255).round().clip(0, 255).astype(np.uint8) for c in completed]
        return contact_sheet([list(image), list(holes), results])
