"""What happens at which step, and which changes a run forgives."""

import pytest

from glcic_jax.run.resume import find_changed_keys
from glcic_jax.run.schedule import due_after, stages
from tests.support.tiny import checked


@pytest.fixture
def config(tiny):
    """Stages end at steps 4, 7 and 10; logs every 2 steps, validations and checkpoints every 5."""
    return checked(tiny)


def test_stages(config):
    assert [(s.number, s.start, s.stop) for s in stages(config)] == [(1, 0, 4), (2, 4, 7), (3, 7, 10)]
    assert all(stages(config))


def test_a_stage_without_steps(tiny):
    tiny.discriminator_steps = 0
    plan = stages(checked(tiny))
    assert [bool(stage) for stage in plan] == [True, False, True] and plan[2].start == 4


def test_what_is_due(config):
    plan = stages(config)
    due = {step: due_after(step, plan[0 if step <= 4 else 1 if step <= 7 else 2], config) for step in range(1, 11)}
    assert [step for step in due if due[step].log] == [2, 4, 6, 7, 8, 10]
    assert [step for step in due if due[step].validate] == [4, 5, 7, 10]
    assert [step for step in due if due[step].save] == [4, 5, 7, 10]


@pytest.mark.parametrize(
    ("steps", "done", "named"),
    [
        ((4, 3, 3), 10, []),
        ((4, 3, 9), 10, []),  # the last stage may go on
        ((4, 9, 3), 6, []),  # so may one that is under way
        ((6, 3, 3), 10, ["completion_steps (4 then, 6 now)"]),  # the others are only shifted
        ((6, 3, 3), 3, []),
        ((2, 3, 3), 3, ["completion_steps (4 then, 2 now)"]),
        ((5, 2, 3), 10, ["completion_steps (4 then, 5 now)", "discriminator_steps (3 then, 2 now)"]),
        ((4, 3, 2), 10, ["joint_steps (3 then, 2 now)"]),
    ],
)
def test_other_numbers_of_steps(tiny, config, steps, done, named):
    tiny.completion_steps, tiny.discriminator_steps, tiny.joint_steps = steps
    assert find_changed_keys(checked(tiny), config.to_dict(), done) == named


def test_runs_from_before_a_key_was_there_go_on(config, tiny):
    """Its default is what they did."""
    saved = config.to_dict()
    del saved["discriminator_loss_weight"]
    assert find_changed_keys(config, saved, 5) == []
    tiny.discriminator_loss_weight = 0.5
    assert find_changed_keys(checked(tiny), saved, 5) == ["discriminator_loss_weight (1.0 then, 0.5 now)"]
