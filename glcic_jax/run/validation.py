"""How well C completes fixed validation samples: in-hole L1 and PSNR, and a picture grid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from glcic_jax.data.batch import Batch
from glcic_jax.data.images import contact_sheet
from glcic_jax.evaluation.metrics import hole_clipped, hole_l1, hole_psnr, hole_spread
from glcic_jax.evaluation.texture import detail_energy, grid_share
from glcic_jax.models.completion import composite
from glcic_jax.models.protocols import Completion, Variables
from glcic_jax.training.mesh import put_whole_batch, replicated


class Validation:
    """A validation set held in memory, completed batch by batch with the running statistics."""

    def __init__(
        self,
        network: Completion,
        samples: Batch,
        batch_size: int,
        grid_samples: int,
        mesh: Mesh,
        judges: Callable[[Variables, jax.Array, Batch], tuple[jax.Array, jax.Array]],
    ):
        """Places nothing yet.

        Args:
            network: C.
            samples: as `data.loader.fixed_samples` makes them.
            batch_size: a multiple of the device count.
            grid_samples: how many of them the picture shows.
            mesh: the devices.
            judges: D's variables, composites (N, H, W, 3) and the batch -> D's logits for the photographs and for them.

        """
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
        self._judge = jax.jit(judges, out_shardings=replicated(mesh))

    def __call__(
        self,
        completion: Variables,
        discriminator: Variables | None = None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> tuple[dict[str, float], np.ndarray] | None:
        """Figures inside the holes, and a uint8 grid: photographs, holes, completions.

        L1 and PSNR, means over the samples; how much colours vary (contrast), and the energy of fine detail in luma and
        in chroma, each beside the photographs' own; the shares of clipped values, and of fine detail that repeats with
        the grid of C's upsampling. Given D's variables, also how often it is right. None if `go_on`, asked after every
        batch, says no.
        """
        measured: list[dict[str, np.ndarray]] = []
        shown: list[np.ndarray] = []
        count = len(self.samples.image)
        for first in range(0, count, self._batch_size):
            # The last batch starts over from the first samples to keep its size; what is repeated is cut off.
            rows = np.arange(first, first + self._batch_size) % count
            kept = min(self._batch_size, count - first)
            part = Batch(*(field[rows] for field in self.samples))
            placed = put_whole_batch(self._mesh, part)
            composites = self._complete(completion, placed.image, placed.mask)
            completed = jax.device_get(composites)[:kept]
            figures = _measure(completed, part.image[:kept] / 255, part.mask[:kept])
            if discriminator is not None:
                real, fake = jax.device_get(self._judge(discriminator, composites, placed))
                figures |= {"right_real": real[:kept] > 0, "right_completed": fake[:kept] < 0}
            measured.append(figures)
            if first < self._grid_samples:
                shown.extend(completed[: self._grid_samples - first])
            if not go_on():
                return None
        mean = {name: float(np.concatenate([part[name] for part in measured]).mean()) for name in measured[0]}
        scores = {
            "hole_l1": mean["l1"],
            "hole_psnr": mean["psnr"],
            "hole_contrast": mean["spread"] / max(mean["true_spread"], 1e-6),
            "hole_clipped": mean["clipped"],
            "hole_detail": mean["luma"] / max(mean["true_luma"], 1e-9),
            "hole_chroma_detail": mean["chroma"] / max(mean["true_chroma"], 1e-9),
            "hole_grid": mean["grid"],
        }
        if discriminator is not None:
            scores |= {"val_accuracy_real": mean["right_real"], "val_accuracy_completed": mean["right_completed"]}
        return scores, self._grid(shown)

    def _grid(self, completed: list[np.ndarray]) -> np.ndarray:
        image, mask = (field[: len(completed)] for field in (self.samples.image, self.samples.mask))
        holes = np.where(mask > 0, 255, image).astype(np.uint8)
        results = [(np.nan_to_num(c) * 255).round().clip(0, 255).astype(np.uint8) for c in completed]
        return contact_sheet([list(image), list(holes), results])


def _measure(completed: np.ndarray, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """One figure a sample of each kind: (N,)."""
    luma, chroma = detail_energy(completed, mask)
    true_luma, true_chroma = detail_energy(image, mask)
    return {
        "l1": hole_l1(completed, image, mask),
        "psnr": hole_psnr(completed, image, mask),
        "clipped": hole_clipped(completed, mask),
        "spread": hole_spread(completed, mask),
        "true_spread": hole_spread(image, mask),
        "luma": luma,
        "true_luma": true_luma,
        "chroma": chroma,
        "true_chroma": true_chroma,
        "grid": grid_share(completed, mask),
    }
