"""Whether a run may continue from a checkpoint: the same recipe, the same data, the same stages behind it."""

from collections.abc import Mapping
from typing import Any

from glcic_jax.errors import UserError
from glcic_jax.run.config import Config
from glcic_jax.run.origin import Origin
from glcic_jax.run.rules import defaults
from glcic_jax.run.schedule import stage_ends, stages

# May change at any time: they say what is shown and kept, not what is computed.
HARMLESS = {
    "data_dir", "init_from", "log_every_steps", "validate_every_steps", "validation_samples", "grid_samples",
    "checkpoint_every_steps", "keep_checkpoints", "max_damaged_share", "watchdog_secs",
    "remat", "profile_steps",
    "weights_licence", "data_licence",
}  # fmt: skip
STEPS = ("completion_steps", "discriminator_steps", "joint_steps")


def check_continues(config: Config, shards: tuple[str, ...], saved: Origin, step: int) -> None:
    """Raises UserError if the checkpoint of `step` belongs to another recipe or another data set."""
    if changed := find_changed_keys(config, saved.config, step):
        raise UserError(
            f"this run was started with another config: {', '.join(changed)}; give it the old values, or another "
            "--workdir (there, config.init_from takes over its weights), or --allow_config_change"
        )
    if saved.data != shards:
        raise UserError(
            "this run was started with other data: the shards in config.data_dir are not those that it was trained on; "
            "give it the old ones, or another --workdir, or --allow_config_change"
        )


def find_changed_keys(config: Config, saved: Mapping[str, Any], step: int) -> list[str]:
    """The keys that are not as they were when the checkpoint of `step` was saved, with both values.

    A key that was not there then stands for what runs did before it was: the default of its field.
    More or fewer steps are fine for the stage under way and for later ones: the ends of those behind must stay.
    """
    now, then = _flat(config.to_dict()), _flat(defaults(Config)) | _flat(saved)
    changed = [
        f"{key} ({then.get(key)!r} then, {now.get(key)!r} now)"
        for key in sorted(now.keys() | then.keys())
        if key not in HARMLESS | set(STEPS) and str(now.get(key)) != str(then.get(key))
    ]
    plan, old_stops = stages(config), stage_ends(*(saved[key] for key in STEPS))
    if any(min(stage.stop, step) != min(old, step) for stage, old in zip(plan, old_stops, strict=True)):
        # Named are the stages that have begun and are longer or shorter now; not those that were only shifted.
        changed += [
            f"{key} ({saved[key]} then, {stage.stop - stage.start} now)"
            for key, stage, old in zip(STEPS, plan, old_stops, strict=True)
            if stage.stop - stage.start != saved[key] and min(stage.start, old - saved[key]) < step
        ]
    return changed


def _flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested groups of keys as one, by names such as "completion.output"."""
    flat: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
