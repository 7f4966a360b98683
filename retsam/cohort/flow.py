"""The account of a cohort: how many images, eyes and participants remain after each step, and why the others left."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from retsam.status import Status

STAGES: tuple[tuple[str, str], ...] = (
    ("manifest", "Images in the manifest"),
    ("listed", "Usable manifest rows"),
    ("readable", "Readable photographs"),
    ("fundus", "Fundus photographs"),
    ("gradable", "Gradable photographs"),
    ("measured", "Measured photographs"),
    ("eyes", "Eyes, each by its best photograph"),
)
"""Name and label of each stage, in pipeline order."""

GRADABLE_LABELS = {
    "exclude": "Gradable photographs",
    "flag": "Ungradable photographs kept and marked",
    "none": "Gradability not applied",
}

INVALID = {"binary": "neither 0 nor 1", "ordinal": "no numbers", "continuous": "no numbers"}
MERGED = {"binary": "any 1 makes a case", "ordinal": "the highest counts", "continuous": "their mean counts"}
"""What is said of labels that cannot be used, and of those that differ, by kind of outcome."""

EXAMPLES = 10
"""How many identifiers a list of examples holds at most."""


def describe_flow(
    images: pd.DataFrame,
    eyes: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    stage: np.ndarray,
    eye_codes: np.ndarray,
    policy: str,
    outcomes: Mapping[str, str],
    covariates: Sequence[str],
    absent: Sequence[str],
    invalid: Mapping[str, int],
    eye_conflicts: Mapping[str, int],
) -> dict[str, Any]:
    """Account for every image.

    Parameters
    ----------
    images, eyes, participants : DataFrame
        Tables of the cohort.
    stage : (n_images,) int array
        Index in ``STAGES`` at which an image leaves, -1 if it stays.
    eye_codes : (n_images,) int array
        Eye of each image.
    policy : str
        Quality policy.
    outcomes : mapping
        Outcome -> ``binary``, ``ordinal`` or ``continuous``.
    covariates, absent : sequence of str
        Names asked for, and those of them and the outcomes that no table has.
    invalid : mapping
        Outcome -> number of images whose label cannot be used: neither 0, 1 nor empty, or no number.
    eye_conflicts : mapping
        Outcome -> number of eyes whose images disagree.

    Returns
    -------
    dict
        ``policy``; ``stages``: list of {stage, label, n_images, n_eyes, n_participants, removed: {reason: n images}}
        in pipeline order, where n_images of a stage plus its removed equals n_images of the stage before; ``flagged``
        {n_images, n_eyes}; ``eye`` {manifest, image, unknown: included images by the source of their laterality;
        mismatch: images where the measured laterality contradicts the manifest; mismatch_images}; ``outcomes``: {kind,
        eyes and participants: {cases, controls, unknown}, of a continuous one {known, unknown}, ...}; ``covariates``,
        ``conflicts``; ``not_segmented``: biomarkers that no included image has, because the model does not provide a
        target of theirs; ``notes``: sentences.
    """
    flow: dict[str, Any] = {
        "policy": policy,
        "stages": _stages(images, stage, eye_codes, policy),
        "flagged": {"n_images": int(images["flagged"].sum()), "n_eyes": int(eyes["flagged"].sum())},
        "eye": _laterality(images),
        "outcomes": {
            name: {
                "in_manifest": name not in absent,
                "kind": kind,
                "eyes": _counts(eyes[name], kind),
                "participants": _counts(participants[name], kind),
                "invalid_images": int(invalid[name]),
                "eyes_with_conflicting_images": int(eye_conflicts[name]),
                "participants_affected_only_in_excluded_images": _hidden_cases(images, participants, name)
                if kind == "binary"
                else 0,
            }
            for name, kind in outcomes.items()
        },
        "covariates": {
            name: {
                "found": name not in absent,
                "eyes_missing": int(eyes[name].isna().sum()),
                "participants_missing": int(participants[name].isna().sum()) if name in participants else None,
            }
            for name in covariates
        },
        "conflicts": {name: _conflicts(images, name) for name in ("age", "sex") if name in images},
        "not_segmented": _not_segmented(images[images["included"]]),
    }
    flow["notes"] = _notes(flow)
    return flow


def _stages(images: pd.DataFrame, stage: np.ndarray, eye_codes: np.ndarray, policy: str) -> list[dict[str, Any]]:
    person = pd.factorize(images["participant_id"])[0]
    exclusion = images["exclusion"].to_numpy(dtype=object)
    represents = images["represents_eye"].to_numpy()
    remaining = np.ones(len(images), dtype=bool)
    rows = []
    for index, (name, label) in enumerate(STAGES):
        if name == "eyes":
            removed = {"not_best_image_of_eye": int((remaining & ~represents).sum())}
            leaving = remaining & ~represents
        else:
            leaving = stage == index
            reasons = pd.Series(exclusion[leaving], dtype=object).value_counts()
            removed = {str(reason): int(reasons[reason]) for reason in sorted(reasons.index)}
        remaining = remaining & ~leaving
        rows.append(
            {
                "stage": name,
                "label": GRADABLE_LABELS[policy] if name == "gradable" else label,
                "n_images": int(remaining.sum()),
                "n_eyes": len(np.unique(eye_codes[remaining])),
                "n_participants": len(np.unique(person[remaining])),
                "removed": {reason: n for reason, n in removed.items() if n},
            }
        )
    return rows


def _counts(values: pd.Series, kind: str) -> dict[str, int]:
    """Cases and controls; of grades those above the lowest and of it; of a continuous outcome those known."""
    unknown = int(values.isna().sum())
    if kind == "continuous":
        return {"known": len(values) - unknown, "unknown": unknown}
    cases = int((values > (0 if kind == "binary" else values.min())).sum())
    return {"cases": cases, "controls": len(values) - unknown - cases, "unknown": unknown}


def _laterality(images: pd.DataFrame) -> dict[str, Any]:
    used = images[images["included"]]
    sources = used["eye_source"].value_counts()
    both = used["laterality_mismatch"].notna()
    mismatch = used["image_id"][used["laterality_mismatch"].eq(True)]
    return {
        **{source: int(sources.get(source, 0)) for source in ("manifest", "image", "unknown")},
        "compared": int(both.sum()),
        "mismatch": len(mismatch),
        "mismatch_images": [str(i) for i in mismatch.iloc[:EXAMPLES]],
    }


def _hidden_cases(images: pd.DataFrame, participants: pd.DataFrame, outcome: str) -> int:
    """Analysed participants who are no case by their included images while an excluded image says they are one."""
    affected = images["participant_id"][~images["included"] & (images[outcome] == 1)]
    not_cases = participants["participant_id"][participants[outcome] != 1]
    cases = participants["participant_id"][participants[outcome] == 1]
    return int(not_cases[not_cases.isin(affected) & ~not_cases.isin(cases)].nunique())


def _not_segmented(used: pd.DataFrame) -> list[str]:
    """Biomarkers with status not_segmented in every included image, of which there is at least one."""
    columns = [c for c in used.columns if c.endswith("__status") and (used[c] == Status.NOT_SEGMENTED).all()]
    return [c.removesuffix("__status") for c in columns] if len(used) else []


def _conflicts(images: pd.DataFrame, column: str) -> dict[str, Any]:
    """People whose included images state more than one sex, or more than one age within a visit."""
    used = images[images["included"]]
    key = ["participant_id", "visit"] if column == "age" else ["participant_id"]
    stated = used.loc[used[column].notna(), [*key, column]].drop_duplicates()
    repeated = stated.duplicated(key, keep=False)
    people = stated.loc[repeated, "participant_id"].drop_duplicates()
    return {"n_participants": len(people), "participants": [str(p) for p in people.iloc[:EXAMPLES]]}


def _notes(flow: Mapping[str, Any]) -> list[str]:
    """What a reader of the tables has to know, in sentences."""
    eye = flow["eye"]
    said = [
        (eye["unknown"], "images have no known eye, neither stated nor from disc and fovea; each counts as an eye."),
        (eye["image"], "images take their eye from disc and fovea because the manifest does not give it."),
        (
            eye["mismatch"],
            "images look like the other eye than the manifest says; the manifest is followed "
            "(laterality_mismatch in images.parquet).",
        ),
    ]
    notes = [f"{n} {sentence}" for n, sentence in said if n]
    for name, outcome in flow["outcomes"].items():
        if not outcome["in_manifest"]:
            notes.append(f"Outcome {name!r} is not a column of the manifest; it is unknown throughout.")
        said = [
            (outcome["invalid_images"], f"labels are {INVALID[outcome['kind']]} and count as unknown."),
            (
                outcome["eyes_with_conflicting_images"],
                f"eyes have images with different labels; {MERGED[outcome['kind']]}.",
            ),
            (
                outcome["participants_affected_only_in_excluded_images"],
                "participants are cases only by images that were excluded; they are not counted as cases.",
            ),
        ]
        notes += [f"Outcome {name!r}: {n} {sentence}" for n, sentence in said if n]
    for name, covariate in flow["covariates"].items():
        if not covariate["found"]:
            notes.append(f"Covariate {name!r} is in no table; it is missing throughout.")
    for name, conflict in flow["conflicts"].items():
        if conflict["n_participants"]:
            what = "age within a visit" if name == "age" else name
            notes.append(f"{conflict['n_participants']} participants have more than one {what}; the first is used.")
    if flow["not_segmented"]:
        n = len(flow["not_segmented"])
        notes.append(f"{n} biomarkers need a target that the model does not segment; they are held against no outcome.")
    return notes
