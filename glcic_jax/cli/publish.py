"""`publish`: a run's model into a small folder to hand on: C alone, in half precision, with what its card must say."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from glcic_jax.cli.findings import size
from glcic_jax.errors import UserError


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the folder."""
    parser = argparse.ArgumentParser(prog="publish", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--workdir", required=True, type=Path, help="the run, whose figures tell its cost")
    add("--output", required=True, type=Path, help="the folder, such as glcic_jax/pretrained/scenes128")
    add("--data", required=True, help="which photographs, and their terms")
    add("--licence_note", required=True, help="terms of the weights; shown when they are used without --model")
    add("--limits", required=True, help="what the model cannot do")
    add("--cost", required=True, help="time and device")
    add("--scores", type=Path, help="folder that evaluate score has written, with this model as its first method")
    options = parser.parse_args(arguments)
    from glcic_jax.models import folder as model_folder

    network, variables, card = model_folder.load(options.workdir / "model")
    if missing := {"trained", "provenance", "licences"} - card.keys():
        raise UserError(
            f"the card of {options.workdir / 'model'} has no {', '.join(sorted(missing))}; give a run's folder"
        )
    about = {key: card[key] for key in ("trained", "provenance")}
    # Folders of the machine that it was trained on are nobody's business: their names are enough.
    recipe = about["provenance"].get("config", {})
    recipe |= {key: Path(recipe[key]).name for key in ("data_dir", "init_from") if recipe.get(key)}
    about["licences"] = {**card["licences"], "weights": options.licence_note, "data": options.data}
    about["published"] = {
        "data": options.data,
        "steps": card["trained"]["steps"],
        "samples": card["trained"]["steps"] * card["trained"]["batch_size"],
        "cost": options.cost,
        "scores": _scores(options.scores) if options.scores else {},
        "limits": options.limits,
        "licence_note": options.licence_note,
    }
    model_folder.save(options.output, (network, model_folder.half(variables)), None, about)
    weighs = sum(file.stat().st_size for file in options.output.iterdir())
    console = Console()
    console.print(f"wrote {options.output}, {size(weighs)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _scores(folder: Path) -> dict[str, Any]:
    """Means with intervals over all cases of a benchmark, of its first method and the others."""
    path = folder / "scores.json"
    try:
        report = json.loads(path.read_text())
        rows = [row for row in report["summary"] if row["group"] == "all"]
        means = {row["method"]: {metric: row[metric] for metric in ("l1", "psnr", "ssim")} for row in rows}
        return {"cases": report["cases"], "in_hole": means}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the --output of evaluate score") from error
