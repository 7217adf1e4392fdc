"""Recipes of others, trained by the launch script as a user would."""

import json

import numpy as np
import pytest

from glcic_jax.data.images import read_image, write_image
from tests.support.launching import launch
from tests.support.pictures import photograph
from tests.support.tiny import TINY_SIZES

CONTEXT_ENCODER = [
    "--config.short_side_px=(32, 32)", "--config.crop_px=32", "--config.hole_px=(16, 16)", "--config.window_px=16",
    "--config.context_encoder.image_px=32", "--config.context_encoder.width_multiplier=0.03125",
]  # fmt: skip
SHALLOW = ["--config.discriminator.global_depth=2", "--config.discriminator.local_depth=1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "steps", "sizes"),
    [
        pytest.param("context_encoder", (0, 0, 2), CONTEXT_ENCODER, marks=pytest.mark.long),
        pytest.param("shtamura", (1, 1, 1), TINY_SIZES, marks=pytest.mark.long),
        ("tadax", (1, 0, 1), [*TINY_SIZES, *SHALLOW]),
    ],
)
def test_recipes_of_others_train_like_any_other(recipe, steps, sizes, shards, tmp_path):
    """All their stages by the same script, and a model that the same command completes photographs with."""
    stages = zip(("completion", "discriminator", "joint"), steps, strict=True)
    run = launch(
        "train", f"--config=configs/{recipe}.py", f"--config.data_dir={shards}", "--config.batch_size=4",
        *(f"--config.{stage}_steps={count}" for stage, count in stages), *sizes,
        "--config.validation_samples=4", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "stage 3 (joint)" in run.stdout
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert np.isfinite([record["hole_psnr"] for record in metrics if "hole_psnr" in record]).all()
    image, mask = photograph(5, 32, 32), np.zeros((32, 32, 3), np.uint8)
    mask[10:20, 9:23] = 255
    write_image(tmp_path / "photo.png", image)
    write_image(tmp_path / "mask.png", mask)
    done = launch(
        "complete", f"{tmp_path}/photo.png", f"--mask={tmp_path}/mask.png", f"--output={tmp_path}/out.png",
        f"--model={tmp_path}/run/model",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    changed = (read_image(tmp_path / "out.png") != image).any(axis=2)
    assert changed.any() and not changed[mask[..., 0] == 0].any()
