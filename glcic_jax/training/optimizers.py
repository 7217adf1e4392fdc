"""Optimisers with a schedule of the learning rate and clipped gradients, all of them Optax's."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import optax

SCHEDULES = ("constant", "cosine")
"""Names of the ways in which the learning rate goes."""


def make_optimizer(
    name: str,
    arguments: Mapping[str, Any],
    *,
    schedule: str = "constant",
    warmup_steps: int = 0,
    spans: Sequence[int] = (),
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """An optimiser of Optax.

    Args:
        name: as Optax has it.
        arguments: its own, "learning_rate" among them.
        schedule: "constant", or "cosine": from the learning rate to 0 over each span.
        warmup_steps: the first steps of each span, in which the learning rate rises from 0.
        spans: lengths, in updates of this network, of the parts of the training that have a schedule of their own.
        clip_norm: gradients of a larger global norm are scaled down to it; 0: none are.

    Raises: ValueError for a name that Optax lacks, TypeError for arguments that it does not take.

    """
    make = getattr(optax, name, None)
    if make is None or "learning_rate" not in inspect.signature(make).parameters:
        raise ValueError(f"Optax has no optimiser {name!r}; take adadelta or adam")
    arguments = dict(arguments)
    if schedule != "constant" or warmup_steps:
        peak = arguments["learning_rate"]
        arguments["learning_rate"] = learning_rates(schedule, peak, warmup_steps=warmup_steps, spans=spans)
    optimizer: optax.GradientTransformation = make(**arguments)
    return optax.chain(optax.clip_by_global_norm(clip_norm), optimizer) if clip_norm else optimizer


def learning_rates(schedule: str, peak: float, *, warmup_steps: int, spans: Sequence[int]) -> optax.Schedule:
    """The learning rate by the number of updates behind; after the last span it stays as it is at that span's end."""

    def over(steps: int) -> optax.Schedule:
        warmup = min(warmup_steps, steps)
        rest = optax.cosine_decay_schedule(peak, max(1, steps - warmup)) if schedule == "cosine" else (lambda _: peak)
        # The first update already moves: a rate of 0 would waste it.
        rise = optax.linear_schedule(peak / (warmup + 1), peak, warmup)
        return optax.join_schedules([rise, rest], [warmup])

    lengths = [steps for steps in spans if steps > 0] or [1]
    borders = [sum(lengths[: number + 1]) for number in range(len(lengths) - 1)]
    return optax.join_schedules([over(steps) for steps in lengths], borders)
