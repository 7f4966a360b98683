"""Weights that a stage starts from: whether they fit the recipe's network, and what they had already seen."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from retsam.errors import UserError
from retsam.segmentation.network.checkpoint import Checkpoint, load, mismatch
from retsam.segmentation.network.model import SHARED, RetSAM
from retsam.segmentation.network.sam import SamEncoder, load_sam
from retsam.tables import write_bytes
from retsam.training.recipe import Recipe, initial_file
from retsam.training.trainer import STATE

Row = Mapping[str, Any]

KEYS = "sam_keys.json"

HELD = ("validation", "test")
"""Roles whose rows name their photographs."""


def read_initial(recipe: Recipe) -> Checkpoint | None:
    """Weights that a recipe starts from; None where it starts from random ones.

    Raises
    ------
    UserError
        If there is no such file, or it holds a network of another form; the frame's size may differ, and heads that
        have a branch in the recipe may have none yet.
    """
    if recipe.initial is None:
        return None
    path, wanted = initial_file(recipe.initial), recipe.network
    found = load(path)
    form, mine = ({**c.as_dict(), "preset": "", "detail_size": 0} for c in (found.config, wanted))
    if set(found.config.branches) <= set(wanted.branches):
        form["branches"] = mine["branches"]
    if differ := [f"{key} {form[key]} instead of {mine[key]}" for key in mine if form[key] != mine[key]]:
        report = mismatch(wanted, {name: tuple(tensor.shape) for name, tensor in found.weights.items()})
        raise UserError(
            f"{path.name} holds another network than the recipe's, {recipe.preset} ({', '.join(differ)}"
            f"{'; ' if report else ''}{report}); set preset and switches to those of the weights, or give others."
        )
    return found


def read_sam(recipe: Recipe, out: Path) -> SamEncoder | None:
    """Encoder of a recipe's SAM checkpoint; None where it has none, or a run in ``out`` goes on without.

    Raises
    ------
    UserError
        If the checkpoint does not fit the recipe's network.
    """
    if recipe.sam is None or recipe.initial is not None or (out / STATE).exists():
        return None
    return load_sam(recipe.sam, recipe.network, recipe.sam_pixels)


def note_keys(encoder: SamEncoder, out: Path) -> None:
    """Write what became of each tensor of a SAM checkpoint to ``sam_keys.json`` in the folder of a run."""
    keys = {"sha256": encoder.sha256, **encoder.report.as_dict()}
    write_bytes(json.dumps(keys, indent=2) + "\n", out / KEYS)


def starting_weights(
    initial: Checkpoint | None, encoder: SamEncoder | None, branches: Sequence[str] = ()
) -> dict[str, torch.Tensor] | None:
    """Weights of the network, or of its encoder, that a run starts from; None where all are random.

    Each of ``branches`` that the initial weights do not have starts as a copy of what the heads share.
    """
    if initial is not None:
        weights = initial.network().state_dict()
        shared = {name: tensor for name, tensor in weights.items() if name.partition(".")[0] in SHARED}
        for branch in set(branches) - set(initial.config.branches):
            weights |= {f"branches.{branch}.{name}": tensor.clone() for name, tensor in shared.items()}
        return weights
    return None if encoder is None else encoder.weights


def check_frozen(recipe: Recipe) -> None:
    """See that every frozen part is one of the network.

    Raises
    ------
    UserError
        For a name that fits nothing.
    """
    if not recipe.frozen:
        return
    with torch.device("meta"):  # names only, no memory
        model = RetSAM(recipe.network)
    names = [name for name, _ in (*model.named_modules(), *model.named_parameters()) if name]
    for entry in recipe.frozen:
        if entry not in names:
            near = difflib.get_close_matches(entry, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "the largest parts are image_encoder, detail and heads."
            raise UserError(f"frozen: nothing in the network is named {entry!r}; {hint}")


def joined_rows(before: Sequence[Row], now: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows about the data of two stages as one table of what the weights have seen.

    A photograph stays held back only if both stages held it back, and a test photograph only if neither chose weights
    or thresholds by it. Sets of one stage alone keep their rows.
    """
    names = list(dict.fromkeys(row["set"] for row in (*before, *now)))
    joined: list[dict[str, Any]] = []
    for name in names:
        first, second = ([dict(row) for row in rows if row["set"] == name] for rows in (before, now))
        joined += _both(first, second) if first and second and first != second else first or second
    return joined


def _both(first: Sequence[Row], second: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of one set that two stages used."""
    one, two = _held(first), _held(second)
    trained = [row for row in (*first, *second) if row["role"] == "train"]
    in_part = bool(trained) and all("images" in row for row in trained)
    if not one and not two and not in_part:  # phantoms, or nothing held back
        return [dict(row) for row in second]
    kept = {
        image: "test" if {one[image], two[image]} == {"test"} else "validation" for image in one.keys() & two.keys()
    }
    total = max(sum(row["n"] for row in rows) for rows in (first, second))
    known = {key: value for key, value in second[0].items() if key not in ("role", "n", "images")}
    splits = sorted({row["split"] for row in (*first, *second)})
    known["split"] = splits[0] if len(splits) == 1 else "all"
    rows: list[dict[str, Any]] = [{**known, "role": "train", "n": total - len(kept)}]
    if in_part:
        images = sorted({image for row in (*first, *second) for image in row["images"]} - kept.keys())
        rows[0] |= {"n": len(images), "images": images}
        total = len(images) + len(kept)
    if not any(row["role"] == "train" for row in (*first, *second)) or total == len(kept):
        rows = []
    for role in HELD:
        if images := sorted(image for image, held in kept.items() if held == role):
            rows.append({**known, "role": role, "n": len(images), "images": images})
    return rows


def _held(rows: Iterable[Row]) -> dict[str, str]:
    """Role of each photograph that a stage held back, by image."""
    return {image: row["role"] for row in rows if row["role"] in HELD for image in row.get("images", ())}
