"""Whether a run may continue from a checkpoint: the same problem, the same data, the same borders behind it."""

from typing import Any

from glcic_jax.errors import UserError
from glcic_jax.training.setup import Config, stages

# May change at any time: they say what is shown and kept, not what is computed.
HARMLESS = {
    "data_dir", "init_from", "log_every_steps", "validate_every_steps", "validation_samples", "grid_samples",
    "checkpoint_every_steps", "keep_checkpoints", "max_damaged_share", "watchdog_secs",
    "remat", "profile_steps",
    "weights_licence", "data_licence",
}  # fmt: skip
STEPS = {"completion_steps", "discriminator_steps", "joint_steps"}


def check_continues(config: Config, manifest: dict[str, Any], about: dict[str, Any], step: int) -> None:
    """Raises UserError if the checkpoint of `step` belongs to another recipe or another data set."""
    if changed := changed_keys(config, about, step):
        raise UserError(
            f"this run was started with another config: {', '.join(changed)}; give it the old values, or another "
            "--workdir (there, config.init_from takes over its weights), or --allow_config_change"
        )
    if about["data"] != _comparable(manifest):
        raise UserError(
            "this run was started with other data: the shards in config.data_dir are not those that it was trained on; "
            "give it the old ones, or another --workdir, or --allow_config_change"
        )


def changed_keys(config: Config, about: dict[str, Any], step: int) -> list[str]:
    """The keys that are not as they were when the checkpoint of `step` was saved, with both values.

    More or fewer steps are fine for the stage under way and for later ones: the borders behind must stay.
    """
    before = Config(about["config"])
    now, then = _flat(config.to_dict()), _flat(about["config"])
    changed = [
        f"{key} ({then.get(key)!r} then, {now.get(key)!r} now)"
        for key in sorted(now.keys() | then.keys())
        if key not in HARMLESS | STEPS and str(now.get(key)) != str(then.get(key))
    ]
    for old, new in zip(stages(before), stages(config), strict=True):
        if min(old.stop, step) != min(new.stop, step):
            changed.append(f"{new.name}_steps ({old.stop - old.start} then, {new.stop - new.start} now)")
    return changed


def about_run(config: Config, manifest: dict[str, Any], mean_color: tuple[float, ...]) -> dict[str, Any]:
    """What a checkpoint has to say for that, as JSON values."""
    return {"config": config.to_dict(), "data": _comparable(manifest), "mean_color": list(mean_color)}


def _comparable(manifest: dict[str, Any]) -> list[str]:
    """Checksums of the training shards: they fix the data."""
    return [shard["sha256"] for shard in manifest["splits"]["train"]["shards"]]


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
