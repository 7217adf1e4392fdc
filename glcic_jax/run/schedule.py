"""What happens at which step: the three stages, and what is due after a step. Pure."""

from typing import NamedTuple

from glcic_jax.run.config import Config


class Stage(NamedTuple):
    """One of the three stages: steps `start` ... `stop` - 1 of the run."""

    number: int
    name: str
    start: int
    stop: int

    def __bool__(self) -> bool:
        """Whether it has any steps."""
        return self.stop > self.start


class Due(NamedTuple):
    """What is to be done after a step."""

    log: bool
    validate: bool
    save: bool


def stages(config: Config) -> tuple[Stage, Stage, Stage]:
    """The three stages in order; any may have 0 steps."""
    first, second, third = stage_ends(config.completion_steps, config.discriminator_steps, config.joint_steps)
    return (
        Stage(1, "completion", 0, first),
        Stage(2, "discriminator", first, second),
        Stage(3, "joint", second, third),
    )


def stage_ends(completion_steps: int, discriminator_steps: int, joint_steps: int) -> tuple[int, int, int]:
    """The number of steps done at the end of each stage."""
    return (
        completion_steps,
        completion_steps + discriminator_steps,
        completion_steps + discriminator_steps + joint_steps,
    )


def due_after(step: int, stage: Stage, config: Config) -> Due:
    """What is due once `step` steps are done; at a stage's end everything is."""
    every = config.log_every_steps, config.validate_every_steps, config.checkpoint_every_steps
    return Due(*(step == stage.stop or step % interval == 0 for interval in every))
