"""Inputs of a report with values behind them: eyes, associations of every analysis, prediction; all fictional."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import norm

from retsam.biomarkers import REGISTRY
from retsam.report.inputs import ReportInputs, main_rows
from tests.synthetic_report import flow_of

ANALYSES = ("main", "all_gradabilities", "one_eye", "without_site:north", "without_site:south", "stratum:sex=f")
LIMIT = 1.96


def values_of(names: list[str], people: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two eyes a person; biomarkers of a family share a factor, findings are zero in most eyes, some values missing."""
    n = 2 * people
    families = {f: i for i, f in enumerate(dict.fromkeys(REGISTRY[b].family for b in names))}
    factor = np.repeat(rng.normal(size=(people, len(families))), 2, axis=0) + 0.5 * rng.normal(size=(n, len(families)))
    columns = {}
    for name in names:
        own = factor[:, families[REGISTRY[name].family]]
        value = rng.choice([-1, 1]) * rng.uniform(0.3, 1.0) * own + 0.6 * rng.normal(size=n)
        if REGISTRY[name].family == "lesion":
            value = np.where(value > 0.8, np.expm1(2 * value), 0.0)
        status = rng.choice(["ok", "not_visible", "out_of_view"], n, p=[0.9, 0.07, 0.03]).astype(object)
        columns[name] = np.where(status == "ok", value, np.nan)
        columns[f"{name}__status"] = status
    return pd.DataFrame(columns)


def row_of(outcome: str, name: str, model: str, log_or: float, se: float, **other: object) -> dict:
    """One row of an association table; the coefficient is a slope where `kind` says continuous."""
    p = float(2 * norm.sf(abs(log_or / se)))
    row = {
        "outcome": outcome, "biomarker": name, "family": REGISTRY[name].family, "model": model, "unit": "eye",
        "n": 400, "n_events": 90, "n_participants": 210, "n_participants_events": 60, "mean": 1.0, "sd": 0.1,
        "or": np.exp(log_or), "ci_low": np.exp(log_or - LIMIT * se), "ci_high": np.exp(log_or + LIMIT * se),
        "p": p, "q": min(1.0, 3 * p), "q_all": min(1.0, 9 * p), "log_or": log_or, "se": se, "df": 200.0,
        "method": "logit_cluster", "definitional": outcome in REGISTRY[name].definitional, "evidence": "annotated",
        "status": "ok", "note": "", "analysis": "main", "term": "per_sd", "kind": "binary", "transform": "none",
        "beta": np.nan, "beta_low": np.nan, "beta_high": np.nan,
    }  # fmt: skip
    if other.get("kind") == "continuous":
        row |= {c: np.nan for c in ("or", "ci_low", "ci_high", "log_or")}
        row |= {"beta": log_or, "beta_low": log_or - LIMIT * se, "beta_high": log_or + LIMIT * se}
    return row | other


def associations(outcome: str, names: list[str], models: Iterable[str], rng: np.random.Generator, kind: str = "binary"):
    """Rows of all analyses and terms."""
    rows = []
    for name in names:
        effect, se = rng.normal(0, 0.3) * (rng.random() < 0.4), rng.uniform(0.07, 0.15)
        effect += 0.9 * (outcome in REGISTRY[name].definitional)
        transform = "log1p" if REGISTRY[name].family == "lesion" else "none"
        common = {"kind": kind, "transform": transform}
        for shrink, model in zip((1.0, 0.8, 0.7), models, strict=False):
            beta = shrink * effect + rng.normal(0, se / 3)
            rows.append(row_of(outcome, name, model, beta, se, **common))
            for i, term in enumerate(("q2_vs_q1", "q3_vs_q1", "q4_vs_q1"), start=1):
                rows.append(row_of(outcome, name, model, 0.8 * i * beta, 2 * se, term=term, **common))
            rows.append(row_of(outcome, name, model, 0.8 * beta, se, term="trend", **common))
            nothing = dict.fromkeys(("or", "ci_low", "ci_high", "log_or", "se", "beta", "beta_low", "beta_high"))
            bend = {**nothing, "term": "nonlinear", "p": rng.random()}
            rows.append(row_of(outcome, name, model, beta, se, **common) | bend)
            for analysis in ANALYSES[1:]:
                other = beta + rng.normal(0, se / 2)
                rows.append(row_of(outcome, name, model, other, 1.1 * se, analysis=analysis, **common))
    table = pd.DataFrame(rows)
    gone = table["biomarker"] == names[-1]
    table.loc[gone, ["or", "ci_low", "ci_high", "p", "q", "log_or", "se", "beta", "beta_low", "beta_high"]] = np.nan
    table.loc[gone, "status"] = "too_few_events"
    return table


def curves(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of a prediction: one row a model set, and the points of its curves."""
    x = np.linspace(0, 1, 60)
    rows, points = [], []
    for name, auc in (("age_sex", 0.61), ("biomarkers", 0.74), ("both", 0.77)):
        rows.append({
            "set": name, "n": 200, "n_events": 60, "n_participants": 200, "auc": auc, "low": auc - 0.06,
            "high": auc + 0.06, "delong_p": 0.01 if name != "age_sex" else np.nan, "brier": 0.16, "n_features": 40,
            "intercept": 0.02, "intercept_low": -0.2, "intercept_high": 0.24, "slope": 0.9, "slope_low": 0.7,
            "slope_high": 1.1, "delta_auc": auc - 0.61 or np.nan, "delta_low": auc - 0.66, "delta_high": auc - 0.56,
            "unit": "eye", "folds": 5, "brier_prevalence": 0.21, "status": "ok", "note": "",
        })  # fmt: skip
        y = norm.cdf(norm.ppf(auc) * np.sqrt(2) + norm.ppf(x))
        points += [{"set": name, "curve": "roc", "x": a, "y": b} for a, b in zip(x, y, strict=True)]
        risk = np.linspace(0.05, 0.8, 10)
        seen = np.clip(risk + rng.normal(0, 0.04, 10), 0.01, 0.99)
        points += [
            {"set": name, "curve": "calibration", "x": a, "y": b, "low": b - 0.08, "high": b + 0.08, "n": 20}
            for a, b in zip(risk, seen, strict=True)
        ]
    return pd.DataFrame(rows), pd.DataFrame(points)


def study(
    biomarkers: Iterable[str] | int = 30,
    people: int = 120,
    outcomes: tuple[str, ...] = ("dr", "amd", "glaucoma", "myopia"),
    *,
    models: tuple[str, ...] = ("crude", "age_sex"),
    kinds: dict[str, str] | None = None,
    seed: int = 0,
) -> ReportInputs:
    """Make inputs with everything a figure can show.

    Parameters
    ----------
    biomarkers : names, or a number of them, spread over the registry
    kinds : outcome -> kind, "binary" where nothing is said
    """
    rng = np.random.default_rng(seed)
    every = list(REGISTRY)
    if isinstance(biomarkers, int):
        biomarkers = [every[i] for i in np.linspace(0, len(every) - 1, biomarkers).astype(int)]
    names = list(dict.fromkeys(biomarkers))
    values = values_of(names, people, rng)
    n = len(values)
    keys = pd.DataFrame({
        "image_id": [f"img_{i:05d}" for i in range(n)], "participant_id": [f"P{i // 2:05d}" for i in range(n)],
        "visit": None, "eye": ["OD", "OS"] * people, "quality_status": "ok", "gradability": rng.beta(6, 2, n),
    })  # fmt: skip
    keys["gradable"] = keys["included"] = keys["gradability"] >= 0.5
    images = pd.concat([keys, values], axis=1)
    eyes = images[images["included"]].reset_index(drop=True)
    means = eyes.groupby("participant_id", sort=False)[names].mean().reset_index()
    labels = {o: rng.choice([0.0, 1.0, np.nan], len(means), p=[0.7, 0.25, 0.05]) for o in outcomes}
    for outcome, kind in (kinds or {}).items():
        whole = rng.normal(15, 3, len(means))
        labels[outcome] = whole if kind == "continuous" else np.clip(np.round(whole / 5 - 1), 0, 4)
    participants = pd.concat(
        [means, pd.DataFrame({"age": rng.normal(60, 9, len(means)), **labels}, index=means.index)], axis=1
    )
    analyses = {o: associations(o, names, models, rng, (kinds or {}).get(o, "binary")) for o in outcomes}
    predicted = {o: curves(rng) for o in outcomes if (kinds or {}).get(o, "binary") == "binary"}
    return ReportInputs(
        cohort="synthetic", images=images, eyes=eyes, participants=participants,
        flow=flow_of(images, participants, outcomes), associations={o: main_rows(t) for o, t in analyses.items()},
        analyses=analyses, biomarkers=REGISTRY, prediction={o: p for o, (p, _) in predicted.items()},
        prediction_curves={o: c for o, (_, c) in predicted.items()},
        models={m: ["age", "sex"] if m != "crude" else [] for m in models},
    )  # fmt: skip


def without(made: ReportInputs, **changes: object) -> ReportInputs:
    """The same inputs, some of them replaced."""
    return dataclasses.replace(made, **changes)
