"""ONNX files, run by ONNX Runtime, against `Completer`."""

import hashlib

import jax
import numpy as np
import pytest

from glcic_jax.cli.main import run
from glcic_jax.inference.completer import Completer
from glcic_jax.interop.onnx.model import build_model
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card, Licences, card_from_json
from glcic_jax.models.completion import CompletionNetwork
from glcic_jax.models.context_encoder import ContextEncoder
from glcic_jax.models.shipped import shipped_model
from tests.support.networks import OPTIONS, calm, shaken

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

ROUNDING = 1e-5
"""What float32's rounding does to networks of random weights; `test_rounding_is_all_that_differs` says why."""
CARD = Card(licences=Licences(code="Apache-2.0", weights="CC BY 4.0", data="public domain"))


def model_of(options: dict, width: float = 0.0625):
    network = CompletionNetwork(
        width_multiplier=width, mean_color=(0.5, 0.4, 0.3), precision=jax.lax.Precision.HIGHEST, **options
    )
    return network, calm(network), CARD


def session_of(model, **kinds):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    built = build_model(*model, **({"finished": False, "half": False} | kinds))
    return runtime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])


def draw_case(rng, sides, count):
    """A batch of 8-bit noise in which neighbours are alike, and a rectangular hole."""
    (h, w), shape = sides, (count, -(-sides[0] // 4), -(-sides[1] // 4), 3)
    image = rng.integers(0, 256, shape).repeat(4, axis=1).repeat(4, axis=2)[:, :h, :w]
    image = (image + rng.integers(-20, 21, image.shape)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((count, h, w, 1), np.uint8)
    for one in mask:
        top, left = rng.integers(0, h - 8), rng.integers(0, w - 8)
        one[top : top + rng.integers(4, h), left : left + rng.integers(4, w)] = 255
        one[0, 0] = 0  # something is known
    return image, mask


def run_network(session, image, mask):
    """The bare network on NHWC arrays."""
    inputs = {"image": image.transpose(0, 3, 1, 2), "mask": mask.transpose(0, 3, 1, 2)}
    return session.run(None, inputs)[0].transpose(0, 2, 3, 1)


def run_finished(session, image, mask):
    return session.run(None, {"image": image, "mask": mask})[0]


def pixels_that_differ(found, expected) -> float:
    """Their share; by one level at most."""
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    return difference.any(-1).mean()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option(options):
    """Floats by the bare network, 8 bits by the finished one, from odd sizes too."""
    model, rng = model_of(options), np.random.default_rng(0)
    network, finished, completer = session_of(model), session_of(model, finished=True), Completer(model)
    image, mask = draw_case(rng, (44, 60), 2)
    floats, holes = np.float32(image / 255), np.float32(mask > 0)
    output = run_network(network, floats, holes)
    assert output.std((0, 1, 2)).max() > 0.05
    np.testing.assert_allclose(np.where(mask > 0, output, floats), completer(floats, holes), rtol=0, atol=ROUNDING)
    for sides in ((45, 58), (16, 19)):
        image, mask = draw_case(rng, sides, 2)
        found = run_finished(finished, image, mask)
        assert found.dtype == np.uint8 and (found != image).any()
        assert pixels_that_differ(found, completer(image, mask)) <= 1e-3


@pytest.mark.long
def test_two_hundred_random_cases(capsys):
    """16 to 600 px, odd sizes, batches, every option, and the model that ships, whose float32 stays within 1e-6."""
    rng = np.random.default_rng(1)
    furthest, different, pixels, cases = {}, 0.0, 0, 0
    for options in (*OPTIONS, None):
        model = model_folder.load(shipped_model()) if options is None else model_of(options)
        network, finished, completer = session_of(model), session_of(model, finished=True), Completer(model)
        for _ in range(30):
            sides, count = rng.integers(16, 601, 2), int(rng.integers(1, 4))
            image, mask = draw_case(rng, sides, count)
            found = run_finished(finished, image, mask)
            expected = completer(image, mask, coarse=False, blend=False)
            different += pixels_that_differ(found, expected) * found[..., 0].size
            pixels += found[..., 0].size
            h, w = sides - sides % 4
            floats, holes = np.float32(image[:, :h, :w] / 255), np.float32(mask[:, :h, :w] > 0)
            if holes.any((1, 2, 3)).all():
                painted = np.where(holes > 0, run_network(network, floats, holes), floats)
                expected = completer(floats, holes, coarse=False, blend=False)
                gap = float(np.abs(painted - expected).max())
                furthest[str(options)] = max(furthest.get(str(options), 0.0), gap)
            cases += 1
    gaps = ", ".join(f"{gap:.1e}" for gap in furthest.values())
    with capsys.disabled():
        print(f"\n{cases} cases: float32 within {gaps}; {different:.0f} of {pixels} pixels one level apart")
    assert cases >= 200 and max(furthest.values()) <= ROUNDING and different <= pixels * 1e-4
    assert furthest[str(None)] <= 1e-6


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rounding_is_all_that_differs(options, float64):
    """Theirs is no further from float64 than ours: random weights amplify what either rounds away."""
    network, variables, card = model_of(options)
    image, mask = draw_case(np.random.default_rng(2), (40, 48), 1)
    floats, holes = np.float32(image / 255), np.float32(mask > 0)
    fine = jax.tree.map(np.float64, variables)
    apply = jax.jit(network.apply)
    truth = apply(fine, floats.astype(float), holes.astype(float))
    ours = apply(variables, floats, holes)
    theirs = run_network(session_of((network, variables, card)), floats, holes)
    error, other = (float(np.abs(found - truth).max()) for found in (ours, theirs))
    assert other <= 2 * error + 1e-6 and error < ROUNDING


def test_half_weights():
    """As float32 arithmetic with rounded weights, in half the bytes."""
    network, variables, card = model_of({}, width=0.25)
    model = network, model_folder.to_half(variables), card
    built = [build_model(*model, finished=True, half=half) for half in (True, False)]
    sizes = [len(one.SerializeToString()) for one in built]
    assert sizes[0] < 0.52 * sizes[1]
    image, mask = draw_case(np.random.default_rng(3), (40, 33), 1)
    found = run_finished(session_of(model, finished=True, half=True), image, mask)
    rounded = jax.tree.map(np.float32, model[1])
    assert pixels_that_differ(found, Completer((network, rounded, card))(image, mask)) <= 1e-3


def test_masks_of_ones():
    """Truth values may be 0 and 1 or 0 and 255; otherwise the middle of the range divides."""
    session = session_of(model_of({}), finished=True)
    image, mask = draw_case(np.random.default_rng(4), (32, 36), 1)
    found = run_finished(session, image, mask)
    np.testing.assert_array_equal(run_finished(session, image, mask // 255), found)
    np.testing.assert_array_equal(run_finished(session, image, np.where(mask, 128, 127).astype(np.uint8)), found)
    np.testing.assert_array_equal(run_finished(session, image, np.zeros_like(mask)), image)


def test_by_the_command(tmp_path, capsys):
    model = model_of({})
    model_folder.save(tmp_path / "model", model[:2], None, CARD)
    arguments = [str(tmp_path / "model"), f"--output={tmp_path / 'm.onnx'}"]
    for form in ("onnx", "onnx_network"):
        assert run("export", [*arguments, f"--format={form}", "--half"]) == 0
        stored = onnx.load(tmp_path / "m.onnx")
        about = {entry.key: entry.value for entry in stored.metadata_props}
        assert about["opset"] == str(stored.opset_import[0].version) == "17"
        assert card_from_json(about["card"]).licences == CARD.licences
        weights = b"".join(tensor.raw_data for tensor in stored.graph.initializer)
        assert about["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    before = (tmp_path / "m.onnx").read_bytes()
    assert run("export", [str(tmp_path / "no"), "--format=onnx", f"--output={tmp_path / 'm.onnx'}"]) == 2
    assert run("export", [str(tmp_path / "model"), "--format=onnx", f"--output={tmp_path / 'm.pt'}"]) == 2
    assert "it must end in .onnx" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_bytes() == before and not (tmp_path / "m.pt").exists()


def test_other_networks_are_refused(tmp_path, capsys):
    encoder = ContextEncoder(image_px=32, width_multiplier=0.03125)
    model_folder.save(tmp_path / "model", (encoder, shaken(encoder, side=32)), None)
    arguments = [str(tmp_path / "model"), "--format=onnx", f"--output={tmp_path / 'm.onnx'}"]
    assert run("export", arguments) == 2
    assert "ContextEncoder" in capsys.readouterr().err and not (tmp_path / "m.onnx").exists()


def test_without_the_package(tmp_path, capsys, monkeypatch):
    model_folder.save(tmp_path / "model", model_of({})[:2], None, CARD)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    assert run("export", [str(tmp_path / "model"), "--format=onnx", f"--output={tmp_path / 'm.onnx'}"]) == 2
    assert "pip install 'glcic-jax[onnx]'" in capsys.readouterr().err and not (tmp_path / "m.onnx").exists()
