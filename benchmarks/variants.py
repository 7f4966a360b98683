"""Variants of a training recipe, trained alike and judged on photographs that none of them saw; run by hand.

    python benchmarks/variants.py runs recipe no_fusion no_phantoms plain_dice adapters phantom_only --steps 1500
    python benchmarks/variants.py runs without_drive without_hrf

Same seed, same number of steps, same photographs kept apart. Each variant has a folder of its own, so a run that was
stopped goes on. DRIVE is judged on its official test part in the photographs' own pixels, at the threshold that the
variant's validation chose; the sets without one on the recipe's test photographs, in the canonical frame, at 0.5. A
set that a variant leaves out is judged whole.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from retsam.evaluation import evaluate, summarise
from retsam.segmentation.network.checkpoint import load
from retsam.training.data import data_root, dataset_root, load_parts
from retsam.training.recipe import Recipe, SourceRecipe, read_recipe
from retsam.training.sources import PHANTOM
from retsam.training.stages import unify
from retsam.training.validate import validate

Change = Callable[[Recipe], Recipe]

JUDGED: Mapping[str, tuple[str, ...]] = {
    "vessel": ("auc", "dice_at_half"),
    "artery": ("dice_at_half",),
    "vein": ("dice_at_half",),
    "optic_disc": ("dice_at_half",),
    "optic_cup": ("dice_at_half",),
    "microaneurysm": ("aupr",),
    "hemorrhage": ("aupr",),
    "hard_exudate": ("aupr",),
    "cotton_wool_spot": ("aupr",),
    "fovea": ("within_half_dd",),
}
"""Measures by target on photographs kept apart."""


def with_sources(recipe: Recipe, keep: Callable[[SourceRecipe], bool]) -> Recipe:
    """Return the recipe with some of its sources only."""
    return recipe.model_copy(update={"sources": tuple(source for source in recipe.sources if keep(source))})


def plain_dice(recipe: Recipe) -> Recipe:
    """Return the recipe with Dice pooled over the batch."""
    return recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"per_image": False})})


VARIANTS: Mapping[str, Change] = {
    "recipe": lambda r: r,
    "no_fusion": lambda r: r.model_copy(update={"fusion": False}),
    "no_detail": lambda r: r.model_copy(update={"detail": False}),
    "adapters": lambda r: r.model_copy(update={"adapters": "bottleneck"}),
    "plain_dice": plain_dice,
    "no_phantoms": lambda r: with_sources(r, lambda s: s.name != PHANTOM),
    "phantom_only": lambda r: with_sources(r, lambda s: s.name == PHANTOM),
    "without_drive": lambda r: with_sources(r, lambda s: s.name != "drive"),
    "without_hrf": lambda r: with_sources(r, lambda s: s.name != "hrf"),
}


def judge(base: Recipe, variant: Recipe, weights: Path, cache: Path | None) -> list[dict[str, object]]:
    """Hold weights against DRIVE's test part and against what the base recipe keeps apart or the variant leaves out."""
    model = load(weights).network().eval()
    root = dataset_root("drive", data_root(base))
    table = summarise(evaluate("drive", root, split="test", model=str(weights)))
    rows: list[dict[str, object]] = [{"set": "drive", **row} for row in table.to_dict("records")]
    used = {source.name for source in variant.sources}
    parts = load_parts(base, cache)
    frames = [f for f in (*parts.train, *parts.validation, *parts.test) if f.source not in used | {PHANTOM, "drive"}]
    frames = [f for f in frames if f.source == "hrf" or f in parts.test]
    frames += [f for f in parts.test if f.source in used]
    fine = [replace(frame, known=frame.known & set(JUDGED)) for frame in frames]
    for target, result in validate(model, fine).targets.items():
        for key, value in result.metrics.items():
            source, _, measure = key.partition("/")
            if measure in JUDGED[target]:
                n = int(result.metrics[f"{source}/n"])
                rows.append({"set": source, "target": target, "metric": measure, "mean": value, "n": n})
    return rows


def main() -> None:
    """Train and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--config", default="unify")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--device")
    arguments = parser.parse_args()
    base = read_recipe(arguments.config).with_steps(arguments.steps)
    cache = arguments.cache or arguments.out / "cache"
    tables = []
    for name in arguments.variants:
        recipe = VARIANTS[name](base)
        weights = unify(recipe, arguments.out / name, device=arguments.device, cache=cache, say=print)
        rows = judge(base, recipe, weights, cache)
        tables.append(pd.DataFrame(rows).assign(variant=name, steps=recipe.schedule.steps))
        tables[-1].to_csv(arguments.out / name / "judged.csv", index=False)
    table = pd.concat(tables)
    wide = table.pivot_table(index="variant", columns=["set", "target", "metric"], values="mean", sort=False)
    print(wide.T.round(3).to_string())


if __name__ == "__main__":
    main()
