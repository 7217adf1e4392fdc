"""Random weights for networks of GLCIC-PyTorch's, and the fixture of what its own classes make of them.

    python -m tests.support.otenim_weights CLONE tests/fixtures/otenim.npz

CLONE is a clone of https://github.com/otenim/GLCIC-PyTorch (here 3f9de13); PyTorch is needed. The fixture holds the
names and shapes of its state dict, BatchNorm's statistics, and outputs; the weights, 24 MB, are drawn again from their
names.
"""

import sys
import zlib
from pathlib import Path

import numpy as np

MEAN = (0.512, 0.432, 0.387)
"""Its `mpv` in these tests."""
HOLE = (170, 204, 24, 28)
"""Top, left, height, width in the large image."""


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights in PyTorch's usual range, each drawn from its name alone; statistics that are not those of any data."""
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            state[name] = np.array(7)
        elif name.endswith("running_var") or (len(shape) == 1 and "bn" in name and name.endswith("weight")):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif len(shape) == 1:
            state[name] = rng.normal(0, 0.2, shape).astype(np.float32)
        else:
            fan_in = shape[0] * 4 if "deconv" in name else int(np.prod(shape[1:]))
            state[name] = (rng.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32)
    return state


def large_image() -> tuple[np.ndarray, np.ndarray]:
    """A photograph-like image, uint8 (360, 400, 3), and its mask (360, 400, 1)."""
    ys, xs = np.mgrid[:360, :400]
    waves = [np.sin(xs / (17 + 5 * c)) + np.cos(ys / (23 - 4 * c)) for c in range(3)]
    image = ((np.stack(waves, -1) + 2) * 63).astype(np.uint8)
    mask = np.zeros((360, 400, 1), np.uint8)
    top, left, height, width = HOLE
    mask[top : top + height, left : left + width] = 1
    return image, mask


def small_image() -> tuple[np.ndarray, np.ndarray]:
    """Noise, uint8 (2, 32, 48, 3), and masks."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    mask = np.zeros((2, 32, 48, 1), np.uint8)
    mask[0, 8:20, 12:30] = 1
    mask[1, 0:9, 40:48] = 1
    return image, mask


def main(clone: str, output: str) -> None:
    """Makes the fixture."""
    sys.path.insert(0, clone)
    import torch
    from models import CompletionNetwork

    torch.manual_seed(0)
    network = CompletionNetwork()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in random_state(shapes).items()})

    def network_input(image: np.ndarray, mask: np.ndarray) -> torch.Tensor:
        """As its predict.py fills holes."""
        x = torch.from_numpy(image.astype(np.float32) / 255).permute(0, 3, 1, 2)
        m = torch.from_numpy(mask.astype(np.float32)).permute(0, 3, 1, 2)
        mpv = torch.tensor(MEAN).view(1, 3, 1, 1)
        return torch.cat((x - x * m + mpv * m, m), dim=1)

    def run(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            seen = network_input(image, mask).to(next(network.parameters()).dtype)
            return network(seen).permute(0, 2, 3, 1).numpy()

    large, hole = large_image()
    top, left, height, width = HOLE
    in_hole = np.s_[0, top : top + height, left : left + width]
    network.eval()
    outputs = {"small": run(*small_image()), "large": run(large[None], hole[None])[in_hole]}
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    run(large[None], hole[None])  # takes this image's statistics
    statistics = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items() if "running" in name}
    network.eval().double()
    np.savez_compressed(
        output,
        names=np.array(list(shapes)),
        shapes=np.array([" ".join(map(str, shape)) for shape in shapes.values()]),
        **outputs,
        small64=run(*small_image()),
        large64=run(large[None], hole[None])[in_hole],
        torch=torch.__version__,
        **statistics,
    )


def load_fixture(file: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The state dict, and what the fixture holds.

    Its outputs are `small`, and `large` in the hole, in float32 by these weights; `small64` and `large64` are in
    float64 and by statistics of their own, which it holds by their names: `calibrated` gives that state dict.
    """
    with np.load(file) as archive:
        held = dict(archive)
    shapes = {
        str(name): tuple(int(side) for side in str(shape).split())
        for name, shape in zip(held["names"], held["shapes"], strict=True)
    }
    return random_state(shapes), held


def calibrated(state: dict[str, np.ndarray], held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict whose statistics are those of an image, so that every layer's values are near 1."""
    return {name: held.get(name, array) for name, array in state.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
