"""The recipes hold what they promise."""

from glcic_jax.cli.recipes import load_recipe
from glcic_jax.training.setup import check
from tests.conftest import ROOT


def test_every_recipe_is_consistent_and_names_its_command():
    recipes = sorted((ROOT / "configs").glob("*.py"))
    assert [recipe.stem for recipe in recipes] == [
        "celeba",
        "context_encoder",
        "places2",
        "quickstart",
        "scenes128",
        "scenes128_cpu",
        "shtamura",
        "study",
        "tadax",
    ]
    for recipe in recipes:
        check(load_recipe(recipe, []))
        assert "python launch/train.py" in recipe.read_text() or "make quickstart" in recipe.read_text()


def test_places2_is_the_paper_to_the_number():
    config = load_recipe(ROOT / "configs" / "places2.py", [])
    assert config.batch_size == 96
    assert (config.completion_steps, config.discriminator_steps, config.joint_steps) == (90_000, 10_000, 400_000)
    assert config.short_side_px == (256, 384) and config.crop_px == 256 and config.flip is False
    assert config.hole_px == (96, 128) and config.window_px == 128
    assert config.alpha == 0.0004
    for optimizer in (config.completion_optimizer, config.discriminator_optimizer):
        assert dict(optimizer) == {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}
    assert config.completion.output == "sigmoid" and config.completion.negative_slope == 0
    assert config.completion.width_multiplier == config.discriminator.width_multiplier == 1


def test_celeba_sizes():
    config = load_recipe(ROOT / "configs" / "celeba.py", [])
    assert (config.crop_px, config.window_px, config.hole_px) == (160, 96, (48, 96))
    assert config.discriminator.global_depth == config.discriminator.local_depth == 5
