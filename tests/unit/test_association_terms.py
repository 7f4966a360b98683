"""Transforms, quartiles, splines and interactions against models written out, and where they cannot be."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from retsam.association import Extras, associate, q_values
from retsam.association.scales import (
    apply_transform,
    balanced_quantiles,
    choose_transform,
    quartile_of,
    skewness,
    spline_columns,
)

SHAPES = Extras(quartiles=True, nonlinearity=True)


def cohort(people: int = 400, seed: int = 0, curve: float = 0.0, modify: float = 0.0) -> pd.DataFrame:
    """Two eyes a person; the effect of ``x`` may be curved, or differ between the sexes."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 2)
    x = rng.normal(size=people)[person] * 0.7 + rng.normal(size=2 * people) * 0.7
    age, male = rng.normal(60, 10, people)[person], rng.integers(0, 2, people)[person]
    eta = -0.5 + 0.4 * x + curve * x**2 + modify * male * x + rng.normal(size=people)[person] * 0.5
    return pd.DataFrame(
        {
            "participant_id": [f"p{i:04d}" for i in person],
            "eye": ["OD", "OS"] * people,
            "image_id": [f"i{i:05d}" for i in range(2 * people)],
            "gradability": rng.uniform(size=2 * people),
            "age": age,
            "sex": np.where(male, "m", "f"),
            "site": np.array(["a", "b", "c"])[rng.integers(0, 3, people)[person]],
            "dr": (rng.uniform(size=2 * people) < 1 / (1 + np.exp(-eta))).astype(float),
            "x": x * 3 + 10,
            "burden": np.floor(np.exp(rng.normal(size=2 * people) * 1.5)) * (rng.uniform(size=2 * people) < 0.3),
        }
    )


def lines(table: pd.DataFrame, outcome: str = "dr", **options: object) -> pd.DataFrame:
    """Lines of one biomarker by analysis and term, without q."""
    options = {"biomarkers": ["x"], "models": {"m": ["age"]}, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = associate(table, table, outcome, **options)  # type: ignore[arg-type]
    return made.set_index(made["term"].where(made["analysis"] == "main", made["analysis"]))


def test_quartiles_are_indicators_and_the_trend_is_a_step() -> None:
    table = cohort()
    made = lines(table, extras=SHAPES)
    assert made.index.tolist() == ["per_sd", "q2_vs_q1", "q3_vs_q1", "q4_vs_q1", "trend", "nonlinear"]
    quarter = pd.qcut(table["x"], 4, labels=False).to_numpy()  # two rows a person: balance changes nothing
    age = (table["age"] - 60).to_numpy()
    groups = {"groups": pd.factorize(table["participant_id"])[0]}
    design = np.column_stack([np.ones(800), quarter[:, None] == [1, 2, 3], age]).astype(float)
    fit = sm.Logit(table["dr"], design).fit(disp=0, cov_type="cluster", cov_kwds=groups, use_t=True)
    names = ["q2_vs_q1", "q3_vs_q1", "q4_vs_q1"]
    np.testing.assert_allclose(made.loc[names, "log_or"], fit.params.iloc[1:4], atol=1e-8)
    np.testing.assert_allclose(made.loc[names, "p"], fit.pvalues.iloc[1:4], atol=1e-8)
    np.testing.assert_allclose(made.loc[names, "ci_low"], np.exp(fit.conf_int()[0].iloc[1:4]), rtol=1e-7)
    trend = sm.Logit(table["dr"], np.column_stack([np.ones(800), quarter, age])).fit(
        disp=0, cov_type="cluster", cov_kwds=groups, use_t=True
    )
    assert made.loc["trend", "p"] == pytest.approx(trend.pvalues.iloc[1], abs=1e-8)
    assert (made["n"] == 800).all() and "cuts" in made.loc["q2_vs_q1", "note"]


def test_nonlinearity_is_a_joint_test_of_harrells_columns() -> None:
    table = cohort(curve=0.3)
    made = lines(table, extras=SHAPES).loc["nonlinear"]
    x = table["x"].to_numpy()
    knots = np.sort(x)[(np.array([0.05, 0.35, 0.65, 0.95]) * 800).astype(int) - 1]

    def cube(k: float) -> np.ndarray:
        return np.clip(x - k, 0, None) ** 3

    a, b, c, d = knots
    curved = [cube(k) - cube(c) * (d - k) / (d - c) + cube(d) * (c - k) / (d - c) for k in (a, b)]
    design = np.column_stack([np.ones(800), x - 10, *(v / 100 for v in curved), table["age"] - 60])
    fit = sm.Logit(table["dr"], design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": pd.factorize(table["participant_id"])[0]}, use_t=True
    )
    test = fit.wald_test(np.eye(5)[2:4], use_f=True, scalar=True)
    assert made["p"] == pytest.approx(float(test.pvalue), rel=1e-5) and made["p"] < 0.01
    assert made["ci_method"] == "f" and made["df"] == 399 and np.isnan(made["or"])
    assert made["note"].startswith("4 knots at") and "joint test of 2 coefficients" in made["note"]
    assert lines(cohort(seed=2), extras=SHAPES).loc["nonlinear", "p"] > 0.01


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=6, unique=True))
def test_a_spline_is_linear_beyond_its_knots(places: list[float]) -> None:
    knots = np.sort(places)
    if (np.diff(knots) < 0.01).any():
        return
    beyond = knots[-1] + np.array([1.0, 2.0, 3.0])
    columns = spline_columns(np.r_[knots[0] - 1, beyond], knots)
    assert columns.shape == (4, len(knots) - 2) and (columns[0] == 0).all()
    scale = np.abs(columns).max() + 1
    np.testing.assert_allclose(np.diff(columns[1:], n=2, axis=0), 0, atol=1e-9 * scale * 1e3)


def test_interaction_is_the_product_term() -> None:
    table = cohort(people=600, modify=0.8)
    made = lines(table, extras=Extras(interactions=("sex", "age", "site")))
    groups = {"groups": pd.factorize(table["participant_id"])[0]}
    z = ((table["x"] - table["x"].mean()) / table["x"].std()).to_numpy()
    male = (table["sex"] == "m").to_numpy(float)
    design = np.column_stack([np.ones(1200), z, z * male, male, table["age"] - 60])
    fit = sm.Logit(table["dr"], design).fit(disp=0, cov_type="cluster", cov_kwds=groups, use_t=True)
    sex = made.loc["interaction:sex"]
    assert sex["log_or"] == pytest.approx(fit.params.iloc[2], abs=1e-8) and sex["p"] < 0.01
    assert sex["p"] == pytest.approx(fit.pvalues.iloc[2], abs=1e-8) and sex["note"] == "per sex[m]"
    assert sex["covariates"] == "age,sex" and made.loc["per_sd", "covariates"] == "age"
    assert "per SD of age" in made.loc["interaction:age", "note"] and made.loc["interaction:age", "or"] > 0
    site = made.loc["interaction:site"]
    assert "joint test of 2" in site["note"] and np.isnan(site["or"]) and 0 < site["p"] <= 1


def test_terms_that_cannot_be_say_why() -> None:
    table = cohort()
    zeros = lines(table, biomarkers=["burden"], extras=SHAPES)
    assert zeros.index.tolist() == ["per_sd", "trend", "nonlinear"]
    assert zeros.loc["trend", ["status", "note"]].tolist()[0] == "no_variation"
    assert "quartile cuts coincide (0, 0, " in zeros.loc["trend", "note"]
    assert "knots coincide" in zeros.loc["nonlinear", "note"] and zeros.loc["per_sd", "status"] == "ok"
    rare = table.assign(dr=(np.arange(800) % 40 == 0).astype(float))  # 20 cases: Firth per SD, nothing else
    few = lines(rare, models={"m": ["age", "sex", "site"]}, extras=SHAPES)
    assert few.loc["per_sd", "method"] == "firth_one_row"
    assert set(few["status"].iloc[1:]) == {"too_few_events"} and "independent events for" in few.loc["trend", "note"]
    split = table.assign(x=np.where(table["dr"] == 1, 5.0, 0.0) + np.arange(800) * 1e-4)  # separated
    apart = lines(split, extras=SHAPES)
    assert (
        apart.loc["per_sd", ["method", "n"]].tolist() == ["firth_one_row", 400]
        and "separation" in apart["note"].iloc[0]
    )
    assert (apart["n"].iloc[1:] == 800).all() and (apart["n_other_rows"].iloc[1:] == 0).all()
    assert set(apart["status"].iloc[1:]) == {"not_converged"}
    absent = lines(table, extras=Extras(interactions=("height", "flat")))
    assert absent.loc["interaction:height", "status"] == "all_missing"
    flat = lines(table.assign(flat=1.0), extras=Extras(interactions=("flat",))).loc["interaction:flat"]
    assert flat["status"] == "no_variation" and "flat is constant" in flat["note"]
    nothing = lines(table.assign(x=1.0), extras=SHAPES)
    assert nothing.index.tolist() == ["per_sd"] and nothing["status"].tolist() == ["no_variation"]


def test_each_term_has_q_values_of_its_own() -> None:
    table = cohort().assign(other=np.random.default_rng(1).normal(size=800))
    made = associate(table, table, "dr", biomarkers=["x", "other"], extras=SHAPES)
    plain = associate(table, table, "dr", biomarkers=["x", "other"])
    pd.testing.assert_frame_equal(made[made["term"] == "per_sd"].reset_index(drop=True), plain, check_exact=True)
    for _, rows in made.groupby(["term", "model"]):
        np.testing.assert_allclose(rows["q_all"], q_values(rows["p"]))


def test_automatic_transform_takes_logarithms_of_skewed_burdens_only() -> None:
    rng = np.random.default_rng(0)
    burden = np.floor(np.exp(rng.normal(size=500) * 1.5))
    flag = (rng.uniform(size=500) < 0.03).astype(float)
    chosen = {
        "none": [rng.normal(size=500), flag, burden - 5, np.full(500, 3.0), np.full(5, np.nan), np.zeros(0)],
        "log1p": [burden, burden * 0.001, np.where(rng.uniform(size=500) < 0.1, np.nan, burden)],
    }
    for expected, columns in chosen.items():
        for values in columns:
            assert choose_transform(values) == expected
    assert choose_transform(burden - 5, "log1p") == "none" and choose_transform(burden, "none") == "none"
    np.testing.assert_allclose(apply_transform(burden, "log1p")[0], np.log1p(burden))
    small, note = apply_transform(burden * 0.0012, "log1p")
    median = np.median(burden[burden > 0] * 0.0012)
    np.testing.assert_allclose(small, np.log1p(burden * 0.0012 / median))
    assert note == f"log(1 + value / {median:.4g})"
    assert skewness(burden) == pytest.approx(float(skew(burden))) and skewness(np.full(3, 0.1)) == 0


def test_rank_normal_is_blooms_and_keeps_gaps() -> None:
    values = np.array([5.0, np.nan, 1.0, 100.0, 5.0])
    made, note = apply_transform(values, "rank_normal")
    assert np.isnan(made[1]) and made[0] == made[4] and note == ""
    np.testing.assert_allclose(made[[2, 3]], [-1.0491314, 1.0491314], atol=1e-6)  # ranks 1 and 4 of 4


def test_transform_is_told_in_the_table() -> None:
    table = cohort()
    made = lines(table, biomarkers=["burden"], transform="auto").loc["per_sd"]
    assert made["transform"] == "log1p" and made["mean_raw"] == pytest.approx(table["burden"].mean())
    assert made["mean"] == pytest.approx(np.log1p(table["burden"]).mean())
    logged = lines(table.assign(x=np.log1p(table["burden"]))).loc["per_sd"]
    assert made["p"] == pytest.approx(logged["p"], abs=1e-12)
    assert lines(table, transform="auto").loc["per_sd", "transform"] == "none"


def test_quantiles_count_a_person_once() -> None:
    values = np.array([1.0, 2, 3, 9, 9, 9, 9, 9])
    alone = np.ones(8)
    one_person = np.r_[1, 1, 1, np.full(5, 0.2)]
    assert balanced_quantiles(values, alone, (0.5,)).tolist() == [9]
    assert balanced_quantiles(values, one_person, (0.25, 0.5, 0.75, 1.0)).tolist() == [1, 2, 3, 9]
    quarter, cuts = quartile_of(values, one_person)
    assert quarter.tolist() == [0, 1, 2, 3, 3, 3, 3, 3] and cuts.tolist() == [1, 2, 3]
