"""Inputs of a report with fictional numbers: no photograph and no person is behind them."""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from retsam.report.inputs import ReportInputs, Thumbnail
from retsam.report.overlays import thumbnail

SCRIPT = "<img src=x onerror=alert(1)>"
"""A name that runs a script wherever it is not escaped."""

SECTIONS = (
    "summary", "results", "flow", "participants", "quality", "associations",
    "measurement", "missingness", "samples", "dictionary", "methods", "strobe", "provenance",
)  # fmt: skip
"""Ids of the sections of a report."""

STATUSES = ["ok", "not_visible", "too_few_vessels", "not_segmented", "no_scale"]


@dataclass(frozen=True)
class Entry:
    name: str
    label: str
    family: str
    unit: str
    definition: str
    reference: str
    evidence: str = "at least 50 % of the region in view"


FAMILIES = {
    "quality": ["focus_score", "illumination_evenness"],
    "geometry": [
        "tortuosity_distance",
        "tortuosity_curvature",
        "tortuosity_density",
        "branching_angle",
        "curvature_mean",
    ],
    "network": [
        "fd_box_skeleton",
        "fd_box_mask",
        "vessel_density",
        "skeleton_density",
        "branch_points",
        "end_points",
        "segments",
    ],
    "disc_fovea": [
        "disc_fovea_distance",
        "disc_fovea_angle",
        "disc_diameter_vertical",
        "disc_axis_ratio",
        "cup_disc_ratio_vertical",
    ],
}


def registry() -> dict[str, Entry]:
    return {
        name: Entry(
            name,
            name.replace("_", " ").capitalize(),
            family,
            "ratio" if i % 2 else "dd",
            f"Fictional definition of {name.replace('_', ' ')}.",
            "Nobody 2000",
        )
        for i, (family, name) in enumerate((f, n) for f, names in FAMILIES.items() for n in names)
    }


def association_table(
    outcome: str, rng: np.random.Generator, models: tuple[str, ...] = ("crude", "age_sex")
) -> pd.DataFrame:
    """Association rows with an effect here and there, one pair definitional, some not estimable, one interval huge."""
    rows = []
    for family, names in FAMILIES.items():
        for name in names:
            effect, error = rng.normal(0, 0.25), rng.uniform(0.06, 0.2)
            for shrink, model in zip((1.0, 0.7, 0.6), models, strict=False):
                beta = effect * shrink + rng.normal(0, 0.02)
                p = float(2 * np.exp(-((abs(beta / error)) ** 2) / 2) / 2)
                row = {
                    "outcome": outcome, "biomarker": name, "family": family, "model": model, "n": 1500, "n_events": 210,
                    "n_participants": 820, "mean": 1.4321, "sd": 0.0712, "or": np.exp(beta),
                    "ci_low": np.exp(beta - 1.96 * error), "ci_high": np.exp(beta + 1.96 * error), "p": p,
                    "q": min(1.0, 2 * p),
                    "method": "logit_cluster", "definitional": outcome == "glaucoma" and name.startswith("cup"),
                    "evidence": "annotated", "status": "ok",
                }  # fmt: skip
                rows.append(row)
    table = pd.DataFrame(rows)
    huge = table["biomarker"] == "end_points"
    table.loc[huge, ["or", "ci_low", "ci_high", "p", "q"]] = [2.5, 0.0004, 18000.0, 0.8, 0.9]
    for name, status in (("disc_axis_ratio", "too_few_events"), ("focus_score", "no_variation")):
        gone = table["biomarker"] == name
        table.loc[gone, ["or", "ci_low", "ci_high", "p", "q"]] = np.nan
        table.loc[gone, "status"] = status
    return table


def not_estimable_table(outcome: str, rng: np.random.Generator) -> pd.DataFrame:
    table = association_table(outcome, rng)
    return table.assign(
        **{c: np.nan for c in ("or", "ci_low", "ci_high", "p", "q")}, status="too_few_events", n_events=2
    )


def truth_table() -> pd.DataFrame:
    """True coefficients: three biomarkers with an effect on dr and one on glaucoma, a latent phenotype, age."""
    rows = [
        ("dr", "intercept", "covariate", "", -1.0, np.nan, np.nan, np.nan),
        ("dr", "age", "covariate", "1 SD = 13 years", 0.4, 1.0, 62.5, 13.0),
        ("dr", "sex", "covariate", "m against f", 0.0, 0.0, np.nan, np.nan),
        ("dr", "tortuosity_distance", "biomarker", "1 SD", 0.5, 0.3, 1.1, 0.04),
        ("dr", "vessel_density", "biomarker", "1 SD", -0.4, -0.35, 0.12, 0.02),
        ("dr", "disc_axis_ratio", "biomarker", "1 SD", 0.2, 0.0, 1.1, 0.05),
        ("dr", "fd_box_mask", "biomarker", "1 SD", 0.0, -0.2, 1.4, 0.05),
        ("amd", "intercept", "covariate", "", -1.3, np.nan, np.nan, np.nan),
        ("glaucoma", "cup_size", "biomarker", "1 SD", 0.8, np.nan, np.nan, np.nan),
        ("glaucoma", "disc_tilt", "phenotype", "1 SD", -0.7, 0.1, 0.0, 1.0),
        ("stroke", "vessel_density", "biomarker", "1 SD", -0.4, 0.0, 0.12, 0.02),
    ]
    names = ["outcome", "term", "kind", "per", "log_odds_ratio", "correlation_with_age", "mean", "sd"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(odds_ratio=np.exp(table["log_odds_ratio"]))


def picture(seed: int = 0, size: int = 256) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, tuple[float, float]]]:
    """A disc of colour with a bright spot and a few lines, and their masks."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size, 3), np.uint8)
    cv2.circle(image, (size // 2, size // 2), size // 2 - 4, (170, 80, 40), -1)
    disc = np.zeros((size, size), np.uint8)
    cv2.circle(disc, (size // 3, size // 2), size // 14, 1, -1)
    vessel = np.zeros((size, size), np.uint8)
    for end in rng.integers(size // 6, 5 * size // 6, (6, 2)):
        cv2.line(vessel, (size // 3, size // 2), (int(end[0]), int(end[1])), 1, 3)
    image[disc > 0] = (240, 210, 140)
    image[vessel > 0] = (110, 20, 20)
    masks = {"vessel": vessel.astype(bool), "optic_disc": disc.astype(bool)}
    return image, masks, {"fovea": (0.66 * size, 0.55 * size)}


def thumbnails(n: int) -> list[Thumbnail]:
    pictures = [picture(i) for i in range(n)]
    return [
        Thumbnail(
            f"img_{i:04d}",
            f"img_{i:04d}: best gradability; found: vessel, optic disc",
            thumbnail(*p),
            ("vessel", "optic_disc", "fovea"),
        )
        for i, p in enumerate(pictures)
    ]


def tables(
    n: int, outcomes: tuple[str, ...], rng: np.random.Generator, gradable_from: float = 0.5
) -> dict[str, pd.DataFrame]:
    ids = [f"img_{i:04d}" for i in range(n)]
    status = rng.choice(["ok", "no_fundus", "unreadable"], n, p=[0.97, 0.02, 0.01]) if n > 20 else np.full(n, "ok")
    gradability = np.where(status == "ok", rng.beta(6, 2, n), np.nan)
    with np.errstate(invalid="ignore"):
        gradable = gradability >= gradable_from
    images = pd.DataFrame(
        {
            "image_id": ids, "participant_id": [f"P{i // 2:04d}" for i in range(n)],
            "eye": ["OD", "OS"] * (n // 2) + ["OD"] * (n % 2),
            "quality_status": status, "gradability": gradability, "gradable": gradable, "included": gradable,
        }
    )  # fmt: skip
    for name in registry():
        images[f"{name}__status"] = np.where(
            gradable, rng.choice(STATUSES, n, p=[0.88, 0.05, 0.03, 0.03, 0.01]), "ungradable"
        )
    images = images.copy()
    used = images[images["included"]]
    people = used["participant_id"].unique()
    participants = pd.DataFrame(
        {
            "participant_id": people, "visit": None,
            "n_eyes": used.groupby("participant_id", sort=False).size().to_numpy(),
            "age": np.round(rng.normal(60, 11, len(people))),
            "sex": rng.choice(["f", "m", None], len(people), p=[0.5, 0.47, 0.03]),
            "camera": rng.choice(["A-200", "B-30"], len(people)),
        }
    )  # fmt: skip
    for name in outcomes:
        participants[name] = rng.choice([0.0, 1.0, np.nan], len(people), p=[0.8, 0.15, 0.05])
    return {"images": images, "eyes": used.reset_index(drop=True), "participants": participants}


def flow_of(images: pd.DataFrame, participants: pd.DataFrame, outcomes: tuple[str, ...]) -> dict:
    n, used = len(images), int(images["included"].sum())
    ok = images["quality_status"] == "ok"
    bad = {str(s): int(k) for s, k in images.loc[~ok, "quality_status"].value_counts().items()}

    def row(stage: str, label: str, part: pd.DataFrame, removed: dict[str, int]) -> dict:
        people = part["participant_id"].nunique()
        return {
            "stage": stage,
            "label": label,
            "n_images": len(part),
            "n_eyes": len(part),
            "n_participants": people,
            "removed": removed,
        }

    stages = [
        row("manifest", "Images in the manifest", images, {}),
        row("readable", "Readable fundus photographs", images[ok], bad),
        row("gradable", "Gradable photographs", images[images["included"]], {"ungradable": int(ok.sum()) - used}),
        row("eyes", "Eyes, each by its best photograph", images[images["included"]], {"not_best_image_of_eye": 0}),
    ]
    counts = {
        o: {
            "cases": int((participants[o] == 1).sum()),
            "controls": int((participants[o] == 0).sum()),
            "unknown": int(participants[o].isna().sum()),
        }
        for o in outcomes
    }
    return {
        "stages": stages,
        "outcomes": {o: {"eyes": c, "participants": c} for o, c in counts.items()},
        "notes": [f"{min(n, 3)} images look like the other eye than the manifest says; the manifest is followed."],
    }


def report_inputs(
    n: int = 240,
    outcomes: tuple[str, ...] = ("dr", "amd", "glaucoma", "myopia"),
    *,
    cohort: str = "synthetic",
    models: tuple[str, ...] = ("crude", "age_sex"),
    estimable: bool = True,
    gradable_from: float = 0.5,
    pictures: int = 6,
    seed: int = 0,
) -> ReportInputs:
    """Make the inputs of one report."""
    rng = np.random.default_rng(seed)
    made = tables(n, outcomes, rng, gradable_from)
    make = association_table if estimable else not_estimable_table
    covariates = {"crude": [], "age_sex": ["age", "sex"], "full": ["age", "sex", "camera"]}
    return ReportInputs(
        cohort=cohort,
        **made,
        flow=flow_of(made["images"], made["participants"], outcomes),
        associations={o: make(o, rng) if not estimable else association_table(o, rng, models) for o in outcomes},
        biomarkers=registry(),
        thumbnails=thumbnails(pictures),
        provenance={
            "retsam": "0.0.0", "python": "3.11", "libraries": {"numpy": "2.0", "pandas": "3.0"},
            "config": {"cohort": cohort},
            "config_sha256": "0123456789abcdef" * 4, "manifest_sha256": "fedcba9876543210" * 4, "weights_sha256": {},
        },
        config={"cohort": cohort, "manifest": "/home/somebody/secret/manifest.csv",
                "segmentation": {"model": "classical", "targets": None}},
        models={m: covariates[m] for m in models},
        threshold=min(gradable_from, 1.0),
    )  # fmt: skip
