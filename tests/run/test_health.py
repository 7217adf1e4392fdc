"""Alarms: raised by what they name, once, and by nothing else."""

import json
import re

import pytest

from glcic_jax.run.health import ALARMS, PATIENCE, Health

WELL = {
    "accuracy_real": 0.7, "accuracy_completed": 0.75, "logit_real": 1.0, "logit_completed": -1.5,
    "output_gradient_squared_error": 2e-4, "output_gradient_adversarial": 1e-4, "hole_contrast": 0.6,
    "hole_clipped": 0.01, "hole_psnr": 18.0, "data_wait_share": 0.02, "discriminator_loss": 1.2,
    "hole_grid": 0.02, "hole_detail": 0.3,
}  # fmt: skip

CASES = [
    ({"accuracy_real": 0.99, "accuracy_completed": 1.0}, r"the discriminator has won since step 60: .* 99% of real"),
    ({"accuracy_real": 1.0, "accuracy_completed": 0.01}, "the discriminator has given up since step 60"),
    (
        {"logit_real": 15.0, "logit_completed": -9.0},
        "the discriminator is saturated since step 60: its logits lie 24 apart",
    ),
    ({"output_gradient_adversarial": 1e-6}, "C hardly learns from the discriminator since step 60"),
    ({"output_gradient_adversarial": 5e-4}, "the discriminator drowns the error since step 60"),
    ({"hole_contrast": 0.04}, "completions are flat since step 60: inside holes their colours vary 4%"),
    ({"hole_grid": 0.4}, "completions show a grid since step 60: 40% of their fine detail"),
    ({"hole_clipped": 0.5}, "completions are clipped since step 60: 50% of their values"),
    ({"hole_psnr": 15.0}, r"completions have become worse since step 60: in-hole PSNR is 3.0 dB below its best"),
    ({"data_wait_share": 0.5}, "the data cannot keep up since step 60"),
]


# In stage 2 instead of 3.
IN_STAGE_2 = [
    ({"discriminator_loss": 0.0001}, "the discriminator has nothing left to learn since step 60: its loss is 0.0001"),
]


@pytest.mark.parametrize(
    ("stage", "change", "words"), [(3, *case) for case in CASES] + [(2, *case) for case in IN_STAGE_2]
)
def test_each_alarm_once_with_the_step_since_when(stage, change, words):
    health, raised = Health(), []
    for step in range(10, 60, 10):
        assert health.read(step, stage, WELL) == []
    for step in range(60, 200, 10):
        raised += [(step, alarm) for alarm in health.read(step, stage, WELL | change)]
    assert len(raised) == 1 and raised[0][0] == 60 + 10 * (PATIENCE - 1)
    assert re.match(words, raised[0][1]), raised
    # Once it has been well again, it may be raised anew.
    assert health.read(200, stage, WELL) == []
    again = [alarm for step in range(210, 300, 10) for alarm in health.read(step, stage, WELL | change)]
    assert len(again) == 1 and "since step 210" in again[0]


def test_every_alarm_has_a_case():
    assert len(ALARMS) == len(CASES) + len(IN_STAGE_2)


def test_alarms_about_fooling_are_for_runs_that_fool():
    """Where C helps D, D is meant to win; where C ignores D, it does no harm."""
    for change, words in CASES[:1] + CASES[3:4]:
        health, other = Health(fooling=False), Health()
        for step in range(PATIENCE):
            assert health.read(step, 3, WELL | change) == []
            raised = other.read(step, 3, WELL | change)
        assert raised and words.split(" since")[0] in raised[0]


def test_single_bad_readings_and_other_stages_raise_nothing():
    health = Health()
    for step in range(100):
        bad = {"accuracy_real": 1.0, "accuracy_completed": 1.0} if step % PATIENCE else {}
        assert health.read(step, 3, WELL | bad) == []
        assert health.read(step, 2, WELL | {"accuracy_real": 1.0, "accuracy_completed": 1.0}) == []  # as it should be
    assert health.read(100, 1, {"completion_loss": 0.1}) == []


def test_a_resumed_run_counts_on(tmp_path):
    """Readings from the file count as if the run had never stopped; alarms of the past are not raised again."""
    won = WELL | {"accuracy_real": 1.0, "accuracy_completed": 1.0}
    lines = [json.dumps({"step": step, "stage": 3, **won}) for step in range(1, PATIENCE)]
    lines += [json.dumps({"step": 2, "alarm": "words"}), '{"step": 9, "sta']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    health = Health()
    assert health.replay(tmp_path / "metrics.jsonl") == []
    assert len(health.read(PATIENCE, 3, won)) == 1 and health.read(PATIENCE + 1, 3, won) == []
    assert Health().replay(tmp_path / "gone") == []
