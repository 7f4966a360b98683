"""Prediction from many biomarkers: known areas, no leak between people or folds, and cohorts with little in them."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from retsam.association.auc import discrimination
from retsam.association.folds import FAR, choose_strength, cross_fit, folds_of, learn_scaling
from retsam.association.prediction import (
    PREDICTION,
    PREDICTION_CURVES,
    PREDICTION_WEIGHTS,
    SETS,
    Prediction,
    predict,
)
from retsam.status import Status
from retsam.tables import conform, to_bytes


@dataclass(frozen=True)
class Marker:
    """The part of a biomarker that a prediction looks at."""

    name: str
    family: str = "calibre"
    requires: tuple[str, ...] = ("vessel",)


def cohort(people: int, features: int = 5, shift: float = 1.0, seed: int = 0, prevalence: float = 0.3) -> pd.DataFrame:
    """Two eyes a person with the same outcome; the first feature is `shift` SD higher in cases, independent by eye."""
    rng = np.random.default_rng(seed)
    y = np.repeat(rng.random(people) < prevalence, 2).astype(float)
    x = rng.normal(size=(2 * people, features))
    x[:, 0] += shift * y
    table = pd.DataFrame(x, columns=[f"m{i}" for i in range(features)])
    return table.assign(
        participant_id=np.repeat([f"p{i:05d}" for i in range(people)], 2),
        eye=["OD", "OS"] * people,
        age=np.repeat(rng.normal(60, 10, people), 2),
        sex=np.repeat(rng.choice(["f", "m"], people), 2),
        dr=y,
    )


def markers(table: pd.DataFrame) -> list[Marker]:
    return [Marker(name) for name in table if str(name).startswith("m")]


def run(table: pd.DataFrame, **options: object) -> Prediction:
    """Predict without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options.setdefault("biomarkers", markers(table))
        options.setdefault("folds", 3)
        return predict(table, table, "dr", **options)  # type: ignore[arg-type]


def by_set(made: Prediction) -> pd.DataFrame:
    return made.performance.set_index("set")


def test_area_is_that_of_two_normal_distributions():
    table = cohort(600, shift=1.0)
    made = by_set(run(table))
    line = made.loc["biomarkers"]
    assert line["auc"] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.04)
    assert line["low"] < norm.cdf(1 / np.sqrt(2)) < line["high"]
    assert line["delong_p"] < 1e-6
    assert made.loc["age_sex", "auc"] == pytest.approx(0.5, abs=0.06)
    assert line["slope_low"] < 1 < line["slope_high"]
    assert line["intercept_low"] < 0 < line["intercept_high"]
    assert line["brier"] < line["brier_prevalence"]
    assert list(made.index) == list(SETS)
    assert (made["status"] == "ok").all()
    assert (made["n"] == 1200).all()
    assert (made["n_participants"] == 600).all()


def test_age_adds_to_biomarkers_and_is_spared_by_the_penalty():
    table = cohort(400, features=40, shift=0.5)
    table["age"] += 10 * table["dr"]  # 1 SD
    made = by_set(run(table))
    assert made.loc["age_sex", "auc"] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.06)
    assert made.loc["both", "auc"] > made.loc["age_sex", "auc"] > made.loc["biomarkers", "auc"]
    assert made.loc["both", "n_features"] == 42


def twins(people: int, features: int, seed: int) -> pd.DataFrame:
    """Two rows a person that are alike, and an outcome that is a coin's."""
    table = cohort(people, features, shift=0, seed=seed, prevalence=0.5)
    return table.assign(**{m.name: np.repeat(table[m.name].to_numpy()[::2], 2) for m in markers(table)})


def area(x: np.ndarray, outcome: np.ndarray, groups: np.ndarray, seed: int = 1) -> float:
    """Area of held-out predictions with a given penalty."""
    spared, strengths = np.zeros(x.shape[1], dtype=bool), np.array([0.01])
    fit = cross_fit(x, spared, outcome, groups, k=5, max_missing=0.5, seed=seed, strengths=strengths)
    return float(discrimination(outcome, fit.score[:, None], groups).auc[0])


def test_alike_eyes_leak_nothing_because_people_are_never_split():
    made = []
    for seed in range(20):
        table = twins(60, 150, seed)
        x, y = table[[m.name for m in markers(table)]].to_numpy(), table["dr"].to_numpy()
        made.append((area(x, y, np.arange(120) // 2), area(x, y, np.arange(120))))
    whole, split = np.mean(made, axis=0)
    assert whole == pytest.approx(0.5, abs=0.04)
    assert split > 0.75, "rows in place of people: the other eye gives the outcome away"


def test_the_outcome_of_someone_else_says_nothing_and_ones_own_everything():
    table = cohort(200, features=2, shift=0)
    person = table["dr"].to_numpy()[::2]
    own = run(table.assign(m0=table["dr"]))
    assert by_set(own).loc["biomarkers", "auc"] == 1
    assert np.isnan(by_set(own).loc["biomarkers", "low"])
    others = np.repeat(np.random.default_rng(3).permutation(person), 2)
    line = by_set(run(table.assign(m0=others))).loc["biomarkers"]
    assert line["low"] < 0.5 < line["high"]


def test_pure_noise_is_worth_half_on_average():
    """Also with few cases, where each fold's intercept falls as its left-out part has more of them."""
    areas = []
    for seed in range(100):
        x = np.random.default_rng(seed).normal(size=(60, 20))
        areas.append(area(x, (np.arange(60) < 12).astype(float), np.arange(60), seed=1000 + seed))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.035)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=12, max_size=60), st.integers(2, 6))
def test_folds_split_no_person_and_spread_cases(rows, k):
    rows = [(cases, controls) for cases, controls in rows if cases + controls]
    outcome = np.array([v for cases, controls in rows for v in [1.0] * cases + [0.0] * controls])
    groups = np.array([7 * i for i, (cases, controls) in enumerate(rows) for _ in range(cases + controls)])
    if not len(groups):
        return
    fold = folds_of(outcome, groups, k, seed=0)
    assert all(len(set(fold[groups == g])) == 1 for g in np.unique(groups))
    pairs = list(dict.fromkeys(zip(groups, fold, strict=True)))
    sizes = np.bincount([f for _, f in pairs], minlength=k)
    assert sizes.max() - sizes.min() <= 1
    cases = [len({g for g in np.unique(groups[(fold == f) & (outcome == 1)])}) for f in range(k)]
    assert max(cases) - min(cases) <= 3  # one for each number of cases that a person may have


def test_scales_and_medians_come_from_the_training_part():
    """Wild values in held-out rows change nothing about the model that is held against them."""
    table = cohort(100, features=3)
    x, y = table[["m0", "m1", "m2"]].to_numpy(), table["dr"].to_numpy()
    groups = np.arange(200) // 2
    fold = folds_of(y, groups, 5, 1)
    wild = np.where((fold == 0)[:, None], 1e6, x)
    spared = np.zeros(3, dtype=bool)
    one, two = (cross_fit(v, spared, y, groups, k=5, max_missing=0.5, seed=1) for v in (x, wild))
    np.testing.assert_array_equal(one.coefficients[0], two.coefficients[0])
    assert not np.array_equal(one.coefficients[1], two.coefficients[1])


def test_scaling_by_hand():
    x = np.array([[1, 5, np.nan, 0], [2, 5, np.nan, 0], [np.nan, 5, 1, 0], [9, 5, 2, 1e3]], dtype=float)
    scaling = learn_scaling(x, np.array([False, False, False, True]), 0.4)
    assert scaling.used.tolist() == [0, 3]  # constant, missing in half
    assert scaling.median.tolist() == [2, 0]
    assert scaling.mean.tolist() == [3.5, 250]
    z = scaling.apply(np.array([[np.nan, 5, 1, 250], [1e9, 5, 1, 250]], dtype=float))
    assert z[0].tolist() == pytest.approx([(2 - 3.5) / np.sqrt(10.25), 0])
    assert z[1, 0] == FAR


def test_penalty_is_strong_for_noise_and_weak_for_a_clear_signal():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20))
    spared, groups = np.zeros(20, dtype=bool), np.arange(300)
    noise = (rng.random(300) < 0.5).astype(float)
    signal = (x[:, 0] + 0.3 * rng.normal(size=300) > 0).astype(float)
    strong, weak = (choose_strength(x, spared, y, groups, 5, 0.5, 0) for y in (noise, signal))
    assert strong < 1e-2 < weak
    few = choose_strength(x, spared, signal, groups, 5, 0.5, 0, most=100)
    assert few >= 1e-2


def test_missing_values_are_filled_and_rows_without_any_left_out():
    table = cohort(150, features=4)
    rng = np.random.default_rng(1)
    for name, share in {"m0": 0.2, "m1": 0.9, "m2": 0.2, "m3": 0.2}.items():
        table.loc[rng.random(300) < share, name] = np.nan
    table.loc[:3, ["m0", "m1", "m2", "m3"]] = np.nan
    table.loc[4:6, "dr"] = np.nan
    nothing = int(table.loc[7:, ["m0", "m1", "m2", "m3"]].isna().all(axis=1).sum())
    line = by_set(run(table)).loc["biomarkers"]
    assert (line["n_unknown_outcome"], line["n_missing"]) == (3, 4 + nothing)
    assert line["n"] + line["n_unknown_outcome"] + line["n_missing"] == 300
    assert line["n_features"] == 3
    assert "1 constant or missing in more than 50% of the rows" in line["note"]


def test_definitional_and_synthetic_biomarkers_are_left_out():
    table = cohort(150, features=3)
    entries = [Marker("m0", "lesion", ("hemorrhage",)), Marker("m1", "disc_cup", ("optic_cup",)), Marker("m2")]
    evidence = {"hemorrhage": "annotated", "optic_cup": "phantom", "vessel": "annotated"}
    made = run(table, biomarkers=entries, evidence=evidence)
    assert set(made.weights.query("set == 'biomarkers'")["feature"]) == {"m2"}
    note = by_set(made).loc["biomarkers", "note"]
    assert "1 definitional biomarker left out" in note
    assert "1 validated on synthetic images only left out" in note
    more = run(table, biomarkers=entries, evidence=evidence, definitional=True)
    assert set(more.weights.query("set == 'biomarkers'")["feature"]) == {"m0", "m2"}
    assert by_set(more).loc["biomarkers", "auc"] > by_set(made).loc["biomarkers", "auc"] + 0.1


def test_weights_rank_the_true_feature_first_with_a_stable_sign():
    made = run(cohort(300, features=10))
    weights = made.weights[made.weights["set"] == "both"]
    first = weights.iloc[0]
    assert (first["feature"], first["rank"], first["sign_stability"], first["n_folds"]) == ("m0", 1, 1.0, 3)
    assert first["low"] <= first["coefficient"] <= first["high"]
    assert first["coefficient"] > 0.4
    assert set(weights["feature"]) >= {"age", "sex[m]"}
    assert weights["coefficient"].abs().is_monotonic_decreasing


def test_curves_are_stored():
    made = run(cohort(200))
    curves = made.curves
    roc = curves.query("set == 'both' and curve == 'roc'")
    assert (roc["x"].iloc[0], roc["y"].iloc[0], roc["x"].iloc[-1], roc["y"].iloc[-1]) == (0, 0, 1, 1)
    assert len(roc) <= 200
    area = np.trapezoid(roc["y"], roc["x"])
    assert area == pytest.approx(by_set(made).loc["both", "auc"], abs=0.01)
    calibration = curves.query("set == 'both' and curve == 'calibration'")
    assert len(calibration) == 10
    assert calibration["n"].sum() == 400
    assert (calibration["low"] <= calibration["y"]).all()
    assert (calibration["y"] <= calibration["high"]).all()


def test_same_bytes_whatever_the_order_of_rows():
    table = cohort(80, features=6)
    shuffled = table.sample(frac=1, random_state=5).reset_index(drop=True)
    for schema, one, two in zip(
        (PREDICTION, PREDICTION_CURVES, PREDICTION_WEIGHTS),
        vars(run(table)).values(),
        vars(run(shuffled)).values(),
        strict=True,
    ):
        assert to_bytes(one, schema) == to_bytes(two, schema)


def test_participants_as_rows():
    table = cohort(200)
    people = table.groupby("participant_id", as_index=False).agg({**dict.fromkeys(["m0", "m1", "age", "dr"], "mean")})
    made = predict(table, people, "dr", biomarkers=["m0", "m1"], unit="participant", folds=3)
    line = by_set(made).loc["biomarkers"]
    assert (line["n"], line["n_participants"], line["unit"]) == (200, 200, "participant")
    assert "no column 'sex'" in by_set(made).loc["age_sex", "note"]


EDGES = {
    "no cases": lambda t: t.assign(dr=0.0),
    "all cases": lambda t: t.assign(dr=1.0),
    "unknown outcome": lambda t: t.assign(dr=np.nan),
    "no outcome": lambda t: t.drop(columns="dr"),
    "one person": lambda t: t.assign(participant_id="p"),
    "five images": lambda t: t.head(5),
    "nothing": lambda t: t.head(0),
    "no covariates": lambda t: t.assign(age=np.nan, sex=None),
    "no covariate columns": lambda t: t.drop(columns=["age", "sex"]),
    "constant biomarkers": lambda t: t.assign(m0=1.0, m1=2.0),
    "no biomarker value": lambda t: t.assign(m0=np.nan, m1=np.nan),
    "mostly missing": lambda t: t.assign(m0=t["m0"].where(t.index % 5 == 0), m1=t["m1"].where(t.index % 5 == 0)),
    "copies": lambda t: t.assign(m1=t["m0"]),
    "text": lambda t: t.assign(m0="x", m1="y"),
    "infinite": lambda t: t.assign(m0=np.inf, m1=-np.inf),
    "constant age and sex": lambda t: t.assign(age=50.0, sex="f"),
}


@pytest.mark.parametrize("name", EDGES)
def test_little_to_predict_from(name):
    table = EDGES[name](cohort(60, features=2, prevalence=0.5))
    made = run(table, biomarkers=["m0", "m1"])
    for schema, part in zip((PREDICTION, PREDICTION_CURVES, PREDICTION_WEIGHTS), vars(made).values(), strict=True):
        conform(part, schema)
    lines = by_set(made)
    assert list(lines.index) == list(SETS)
    bad = lines[lines["status"] != "ok"]
    assert bad["note"].str.len().gt(0).all()
    assert bad["auc"].isna().all()
    expected = {
        "constant biomarkers": ["ok", Status.NO_VARIATION, "ok"],
        "copies": ["ok", "ok", "ok"],
        "no covariates": [Status.ALL_MISSING, "ok", Status.ALL_MISSING],
        "no covariate columns": [Status.ALL_MISSING, "ok", Status.ALL_MISSING],
        "no biomarker value": [Status.TOO_FEW_EVENTS] * 3,
        "constant age and sex": [Status.NO_VARIATION, "ok", "ok"],
    }
    if name in expected:
        assert lines["status"].tolist() == expected[name]
    elif name not in ("text", "infinite"):
        assert (lines["status"] == Status.TOO_FEW_EVENTS).all()


@pytest.mark.parametrize(
    "options",
    [{"unit": "image"}, {"folds": 1}, {"min_events": 1}, {"max_missing": 1.0}, {"confidence": 95}],
)
def test_settings_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        run(cohort(5), **options)
