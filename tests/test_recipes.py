"""The recipes hold what they promise."""

import re
from pathlib import Path

import pytest

from glcic_jax.errors import UserError
from glcic_jax.models.shipped import shipped_model
from glcic_jax.recipes import load_recipe, recipe_path
from glcic_jax.run.setup import build_specification
from tests.support.paths import ROOT
from tests.support.tiny import checked


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
        "small",
        "study",
        "tadax",
    ]
    for recipe in recipes:
        checked(load_recipe(recipe, []))
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


def places2(*changes: str):
    return load_recipe(ROOT / "configs" / "places2.py", list(changes))


def test_the_last_of_several_changes_counts():
    """Ranges would otherwise be appended to each other."""
    twice = places2(
        "--config.hole_px=(24, 32)", "--config.batch_size=4", "--config.hole_px=(8, 12)", "--config.batch_size=6"
    )
    assert twice.hole_px == (8, 12) and twice.batch_size == 6
    apart = places2("--config.hole_px", "(24, 32)", "--config.hole_px=(8, 12)", "--config.batch_size", "4")
    assert apart.hole_px == (8, 12) and apart.batch_size == 4
    nested = places2("--config.holes.thin.count=(1, 2)", "--config.holes.thin.count=(3, 4)")
    assert nested.holes.thin.count == (3, 4)
    assert places2("--config.flip", "--config.remat").flip is True
    assert places2("--config.flip", "--noconfig.flip").flip is False


def test_another_optimizer_has_other_arguments():
    adam = places2("--config.completion_optimizer.name=adam", "--config.completion_optimizer.learning_rate=1e-3")
    assert adam.completion_optimizer.to_dict() == {"name": "adam", "learning_rate": 1e-3}
    assert adam.discriminator_optimizer.name == "adadelta"
    either = places2("--config.completion_optimizer.learning_rate=1e-3", "--config.completion_optimizer.name=adam")
    assert either.completion_optimizer == adam.completion_optimizer, "in any order"
    known = load_recipe(ROOT / "configs" / "quickstart.py", ["--config.completion_optimizer.b1=0.5"])
    assert known.completion_optimizer.b1 == 0.5 and known.completion_optimizer.name == "adam", "that the recipe lacks"
    nesterov = places2(
        "--config.completion_optimizer.name=adam", "--config.completion_optimizer.learning_rate=0.1",
        "--config.completion_optimizer.nesterov=True",
    )  # fmt: skip
    assert nesterov.completion_optimizer.nesterov is True
    build_specification(checked(nesterov), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["name=adam"], "Optax's adam needs learning_rate; give --config.completion_optimizer.learning_rate=VALUE"),
        (["name=warp"], "name is 'warp': Optax has no optimiser 'warp'; take adadelta or adam"),
        (["name=softmax_cross_entropy"], "config.completion_optimizer: Optax's softmax_cross_entropy needs logits"),
        (["b1=0.5"], "b1 is 0.5, but Optax's adadelta has no such argument; it takes learning_rate, rho, eps"),
        (["name=global_norm", "updates=1"], "Optax has no optimiser 'global_norm'"),
    ],
)
def test_optimizers_that_cannot_work(changes, message):
    config = checked(places2(*(f"--config.completion_optimizer.{change}" for change in changes)))
    with pytest.raises(UserError, match=re.escape(message)):
        build_specification(config, (0.5, 0.5, 0.5))


def test_an_optimizer_that_the_recipe_lacks():
    given = ("name=adam", "learning_rate=1e-4", "b1=0.5")
    recipe = places2(*(f"--config.joint_completion_optimizer.{change}" for change in given))
    assert recipe.joint_completion_optimizer.to_dict() == {"name": "adam", "learning_rate": 1e-4, "b1": 0.5}
    with pytest.raises(UserError, match=r"config.joint_completion_optimizer.name is None; give the name"):
        checked(places2("--config.joint_completion_optimizer.b1=0.5"))


def test_what_is_no_recipe(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config():\n    return {'batch_size': 4}\n")
    with pytest.raises(UserError, match=r"mine.py is not a recipe: get_config returns dict"):
        load_recipe(tmp_path / "mine.py", [])
    (tmp_path / "short.py").write_text(
        "import ml_collections\n\ndef get_config():\n    return ml_collections.ConfigDict({'batch_size': 4})\n"
    )
    with pytest.raises(UserError, match=r"the recipe has no config.seed; begin it from configs/places2.py"):
        checked(load_recipe(tmp_path / "short.py", []))


def test_a_recipe_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text((ROOT / "configs" / "places2.py").read_text())
    config = checked(load_recipe(recipe_path("~/mine.py"), ["--config.data_dir=~/data", "--config.init_from=~/model"]))
    assert config.data_folder == tmp_path / "data" and config.weights_path == tmp_path / "model"


def test_the_model_that_ships_by_name(tmp_path, monkeypatch):
    """A folder of that name comes first."""
    monkeypatch.chdir(tmp_path)
    config = checked(load_recipe(recipe_path("small"), ["--config.init_from=open128"]))
    assert config.weights_path == shipped_model()
    (tmp_path / "open128").mkdir()
    assert config.weights_path == Path("open128")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["adversarial_ratio=0.5", "adversarial=none"], "adversarial_ratio is 0.5, but with config.adversarial='none'"),
        (["feature_matching_weight=1.0", "adversarial=cooperative"], "C does not learn to fool D; set it to 0"),
        (["adversarial_ratio=0.5", "balance_gradients_steps=5"], "sets both gradients' ratio in every step"),
        (["r1_weight=1.0"], "r1_weight is 1.0, but D's BatchNorm mixes the images"),
    ],
)
def test_terms_that_would_be_left_out_are_refused(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        checked(places2(*(f"--config.{change}" for change in changes)))


def test_a_discriminator_that_cannot_be_built():
    config = checked(places2("--config.discriminator.normalization=group"))
    with pytest.raises(
        UserError, match=r"config.discriminator: normalization is 'group'; it must be one of batch, none"
    ):
        build_specification(config, (0.5, 0.5, 0.5))
