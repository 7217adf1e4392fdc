"""`glcic publish`, and `glcic complete` with the model that ships."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glcic_jax
from glcic_jax.cli.main import run
from glcic_jax.data.images import read_image, write_image
from glcic_jax.errors import UserError
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences, Provenance, Trained
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.discriminator import ContextDiscriminator
from glcic_jax.models.shipped import licence_note, shipped_model
from tests.support.networks import shaken
from tests.support.pictures import photograph

CARD = Card(
    trained=Trained(steps=7, batch_size=16, crop_px=64, hole_px=(8, 16)),
    provenance=Provenance(images=32, config={"data_dir": "/somebody/photographs", "init_from": "", "seed": 3}),
    licences=Licences(code="Apache-2.0", weights="?", data="?"),
)
WORDS = ["--data=scenes, research only", "--licence_note=research only", "--limits=no faces", "--cost=1 h on a GPU"]


@pytest.fixture
def published(tmp_path, capsys):
    network = CompletionNetwork(width_multiplier=0.03125)
    (tmp_path / "run").mkdir()
    model_folder.save(tmp_path / "run" / "model", (network, shaken(network)), None, CARD)
    summary = [
        {"group": "all", "method": "ours", "l1": [0.1, 0.09, 0.11], "psnr": [17, 16, 18], "ssim": [0.3, 0.2, 0.4]}
    ]
    (tmp_path / "scores.json").write_text(json.dumps({"cases": 300, "summary": summary}))
    (tmp_path / "MAKERS.csv").write_text("file,author\na.jpg,Ansel\n")
    arguments = [f"--workdir={tmp_path}/run", f"--output={tmp_path}/small", f"--scores={tmp_path}", *WORDS]
    assert run("publish", [*arguments, f"--attribution={tmp_path}/MAKERS.csv"]) == 0
    assert "wrote" in capsys.readouterr().out
    return tmp_path / "small"


def test_half_the_size_and_a_card(published):
    card = json.loads((published / "card.json").read_text())
    assert card["published"]["samples"] == 112 and card["published"]["limits"] == "no faces"
    assert card["published"]["scores"]["in_hole"]["ours"]["psnr"] == [17, 16, 18]
    assert card["published"]["attribution"] == "MAKERS.csv"
    assert card["completing"] == {"blend": False}
    assert (published / "MAKERS.csv").read_text() == "file,author\na.jpg,Ansel\n"
    assert card["licences"] == {"code": "Apache-2.0", "weights": "research only", "data": "scenes, research only"}
    assert card["provenance"]["config"] == {"data_dir": "photographs", "init_from": "", "seed": 3}
    whole, small = (f / "completion.safetensors" for f in (published.parent / "run" / "model", published))
    assert small.stat().st_size < 0.65 * whole.stat().st_size
    (network, variables, _), (_, exact, _) = glcic_jax.load(published), glcic_jax.load(whole.parent)
    image, mask = photograph(0, 32, 32)[None] / np.float32(255), np.zeros((1, 32, 32, 1))
    mask[:, 8:20, 8:20] = 1
    a, b = (network.apply(v, image, mask) for v in (variables, exact))
    assert 0 < np.abs(a - b).max() < 0.02


def test_with_the_discriminator(published, tmp_path, capsys):
    """For those who go on with stage 3; a run without one says so."""
    arguments = [f"--workdir={tmp_path}/run", f"--output={tmp_path}/both", "--with_discriminator", *WORDS]
    assert run("publish", arguments) == 2
    assert "model has no discriminator" in capsys.readouterr().err
    network = CompletionNetwork(width_multiplier=0.03125)
    judge = ContextDiscriminator(width_multiplier=0.03125, normalization="none", patch_logits=True)
    image = jnp.full((1, 32, 32, 3), 0.3)
    judging = judge.init(jax.random.key(0), image, image)
    model_folder.save(tmp_path / "run" / "model", (network, shaken(network)), (judge, dict(judging)), CARD)
    assert run("publish", arguments) == 0
    found, variables = model_folder.load_discriminator(tmp_path / "both", model_folder.read_card(tmp_path / "both"))
    np.testing.assert_allclose(found.apply(variables, image, image), judge.apply(judging, image, image), atol=2e-3)


def test_between_stage_1_and_stage_3(published, tmp_path, capsys):
    """Halfway, every weight is the mean of both; half of the way needs a beginning that fits."""
    network, other = CompletionNetwork(width_multiplier=0.03125), CompletionNetwork(width_multiplier=0.0625)
    run_folder = tmp_path / "run" / "model"
    before = jax.tree.map(lambda x: np.asarray(x) + 1, shaken(network))
    model_folder.save(tmp_path / "before", (network, before), None)
    model_folder.save(tmp_path / "wide", (other, shaken(other)), None)
    common = [f"--workdir={tmp_path}/run", f"--output={tmp_path}/mixed", *WORDS]
    assert run("publish", [*common, f"--stage1={tmp_path}/before", "--texture=0.5"]) == 0
    (_, mixed, _), (_, after, _) = glcic_jax.load(tmp_path / "mixed"), glcic_jax.load(run_folder)
    for one, two, found in zip(*(jax.tree.leaves(tree) for tree in (before, after, mixed)), strict=True):
        np.testing.assert_allclose(found, (np.asarray(one) + np.asarray(two)) / 2, atol=2e-3)
    capsys.readouterr()
    for given, words in (
        ([f"--stage1={tmp_path}/before"], "belong together"),
        ([f"--stage1={tmp_path}/before", "--texture=2"], "must lie in [0, 1]"),
        ([f"--stage1={tmp_path}/wide", "--texture=0.5"], "is another network than the run's"),
    ):
        assert run("publish", [*common, *given]) == 2
        assert words in capsys.readouterr().err


def test_complete_without_a_model(published, tmp_path, monkeypatch, capsys):
    """Straight after installation: the model that ships, and the note on its licence once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLCIC_MODEL", raising=False)
    monkeypatch.setattr("glcic_jax.cli.complete.shipped_model", lambda: published)
    write_image(tmp_path / "photo.png", photograph(0, 60, 70))
    assert run("complete", ["photo.png", "--rectangle=30,20,15,10", "--output=out.png"]) == 0
    said = capsys.readouterr()
    assert said.err.count("note: using the model that ships, small: research only") == 1
    photo, out = read_image(tmp_path / "photo.png"), read_image(tmp_path / "out.png")
    assert (out != photo).any()
    # Whether it blends by itself, its card says, shipped or not.
    card = json.loads((published / "card.json").read_text())
    for blends in (False, True):
        (published / "card.json").write_text(json.dumps(card | {"completing": {"blend": blends}}))
        painted = {}
        for options in ((), (f"--model={published}",), ("--blend",), ("--noblend",)):
            assert (
                run("complete", ["photo.png", "--rectangle=30,20,15,10", "--output=out.png", "--overwrite", *options])
                == 0
            )
            painted[options] = read_image(tmp_path / "out.png").tobytes()
        assert painted[()] == painted[f"--model={published}",] == painted["--blend" if blends else "--noblend",]
        assert painted["--blend",] != painted["--noblend",]
    (published / "card.json").write_text("{}")
    with pytest.raises(UserError, match=r"is damaged .* install glcic-jax again"):
        licence_note(published)
    with pytest.raises(UserError, match="no model; give --model=FOLDER"):
        shipped_model(tmp_path / "gone")


def test_what_does_not_fit(published, tmp_path, capsys):
    with pytest.raises(UserError, match="beyond float16's range"):
        model_folder.to_half({"params": {"x": np.array([1e5])}})
    arguments = [f"--workdir={tmp_path}/run", f"--output={tmp_path}/other", "--scores=gone", *WORDS]
    assert run("publish", arguments) == 2
    assert "give the --output of evaluate score" in capsys.readouterr().err
    arguments = [f"--workdir={tmp_path}/run", f"--output={tmp_path}/other", "--attribution=gone.csv", *WORDS]
    assert run("publish", arguments) == 2
    assert "gone.csv cannot be read" in capsys.readouterr().err
    assert run("publish", ["--workdir=gone", f"--output={tmp_path}/other", *WORDS]) == 2
    assert "no model folder" in capsys.readouterr().err
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text())
    del card["trained"]
    (tmp_path / "run" / "model" / "card.json").write_text(json.dumps(card))
    assert run("publish", [f"--workdir={tmp_path}/run", f"--output={tmp_path}/other", *WORDS]) == 2
    assert "model has no trained, provenance or licences; give a run's folder" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
