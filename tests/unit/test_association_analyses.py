"""Strata, sensitivity analyses, imputation and outcomes of other kinds; cohorts at the edge of sense."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from retsam.association import ASSOCIATION, Exposure, Extras, associate
from retsam.association.analyses import worse_eyes
from retsam.association.estimate import Estimate
from retsam.association.imputation import pool
from retsam.tables import conform

EVERYTHING = Extras(
    quartiles=True,
    nonlinearity=True,
    interactions=("sex",),
    strata=("sex", "age"),
    sensitivity=("all_gradabilities", "one_eye", "leave_one_site_out"),
    imputations=3,
)


def cohort(people: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two eyes a person, three kinds of outcomes of one exposure."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 2)
    x = rng.normal(size=people)[person] * 0.7 + rng.normal(size=2 * people) * 0.7
    age = rng.normal(60, 10, people)[person]
    latent = 0.5 * x + 0.03 * (age - 60) + rng.logistic(size=2 * people)
    return pd.DataFrame(
        {
            "participant_id": [f"p{i:04d}" for i in person],
            "eye": ["OD", "OS"] * people,
            "visit": None,
            "image_id": [f"i{i:05d}" for i in range(2 * people)],
            "gradability": rng.uniform(size=2 * people),
            "age": age,
            "sex": np.array(["f", "m"])[rng.integers(0, 2, people)[person]],
            "site": np.array(["a", "b", "c"])[rng.integers(0, 3, people)[person]],
            "dr": (latent > 0.5).astype(float),
            "grade": np.digitize(latent, [0.5, 1.5, 3.0]).astype(float),
            "iop": 15 + 1.5 * x + 0.1 * (age - 60) + rng.normal(size=people)[person] + rng.normal(size=2 * people),
            "x": x * 3 + 10,
        }
    )


def run(table: pd.DataFrame, outcome: str = "dr", **options: object) -> pd.DataFrame:
    """Association of one biomarker, any warning an error; by analysis, or by term in the main one."""
    options = {"biomarkers": ["x"], "models": {"m": ["age"]}, **options}
    people = options.pop("participants", table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = associate(table, people, outcome, **options)  # type: ignore[arg-type]
    return made.set_index(made["term"].where(made["analysis"] == "main", made["analysis"]))


def test_strata_are_the_model_within_and_stated_per_sd_of_all() -> None:
    table = cohort()
    made = run(table, extras=Extras(strata=("sex", "age")))
    middle = table["age"].median()
    names = ["stratum:sex=f", "stratum:sex=m", f"stratum:age=<={middle:g}", f"stratum:age=>{middle:g}"]
    assert made.index.tolist() == ["per_sd", *names]
    women = run(table[table["sex"] == "f"]).loc["per_sd"]
    line = made.loc["stratum:sex=f"]
    assert line["n"] == (table["sex"] == "f").sum() == women["n"] and line["p"] == pytest.approx(women["p"], abs=1e-12)
    assert line["sd"] == made.loc["per_sd", "sd"] != women["sd"]
    assert line["log_or"] / line["sd"] == pytest.approx(women["log_or"] / women["sd"], rel=1e-9)
    assert (made.loc[names[2:], "n"].sum(), made.loc["stratum:sex=m", "n"] + line["n"]) == (600, 600)
    assert run(table, extras=Extras(strata=("height",))).index.tolist() == ["per_sd"]


def test_one_eye_is_the_most_gradable_and_has_the_models_own_variance() -> None:
    table = cohort()
    made = run(table, extras=Extras(sensitivity=("one_eye",))).loc["one_eye"]
    best = table.sort_values("gradability").drop_duplicates("participant_id", keep="last")
    design = sm.add_constant(best[["x", "age"]].to_numpy())
    fit = sm.Logit(best["dr"].to_numpy(), design).fit(disp=0)
    assert made["p"] == pytest.approx(fit.pvalues[1], abs=1e-8) and made["method"] == "logit"
    assert made["log_or"] == pytest.approx(fit.params[1] * table["x"].std(), abs=1e-8)
    assert (made["n"], made["n_other_rows"]) == (300, 300)
    assert run(best, extras=Extras(sensitivity=("one_eye",))).index.tolist() == ["per_sd"]


def test_each_site_is_left_out_in_turn() -> None:
    table = cohort()
    made = run(table, extras=Extras(sensitivity=("leave_one_site_out",)))
    assert made.index.tolist() == ["per_sd", *(f"without_site:{s}" for s in "abc")]
    assert made.loc["without_site:b", "n"] == (table["site"] != "b").sum()
    alone = run(table.assign(site="a"), extras=Extras(sensitivity=("leave_one_site_out",)))
    assert alone.index.tolist() == ["per_sd"]


def test_another_quality_policy_is_another_table() -> None:
    table = cohort()
    kept = table[table["gradability"] > 0.3]
    made = run(kept, regraded={"all_gradabilities": (table, table)})
    assert made.loc["all_gradabilities", "n"] == 600 > made.loc["per_sd", "n"]
    assert made.loc["all_gradabilities", "p"] == pytest.approx(run(table).loc["per_sd", "p"], abs=1e-12)


def test_findings_take_the_worse_eye_and_asymmetry_is_a_family() -> None:
    eyes = cohort().assign(count=lambda d: np.arange(len(d)) % 5.0, width=lambda d: d["x"])
    people = eyes.groupby("participant_id", as_index=False)[["age", "dr", "count", "width"]].mean()
    people = people.assign(dr=(people["dr"] > 0).astype(float), visit=None, width__asymmetry=np.arange(300) % 7.0)
    entries = [{"name": "count", "family": "lesion", "unit": "count"}, Exposure("width", "calibre")]
    made = run(eyes, participants=people, biomarkers=entries, unit="participant", participant="worse")
    largest = eyes.groupby("participant_id")["count"].max()
    assert made["biomarker"].tolist() == ["count", "width", "width__asymmetry"]
    assert made["mean"].tolist()[:2] == pytest.approx([largest.mean(), people["width"].mean()])
    assert made["family"].tolist() == ["lesion", "calibre", "asymmetry"] and (made["n"] == 300).all()
    plain = run(eyes, participants=people, biomarkers=entries, unit="participant")
    assert plain["mean"].iloc[0] == pytest.approx(people["count"].mean())
    assert worse_eyes(eyes, people, [Exposure("width")]) is people
    assert made["note"].tolist()[:2] == ["the larger value of the eyes", ""] and plain["note"].iloc[0] == ""
    single = Extras(sensitivity=("one_eye",))
    both = run(eyes, participants=people, biomarkers=entries, unit="participant", extras=single)
    assert both.loc["one_eye", "biomarker"].tolist() == ["count", "width"]  # an eye has no asymmetry


def test_declared_families_group_the_tests() -> None:
    table = cohort().assign(y=np.random.default_rng(3).normal(size=600))
    made = run(table, biomarkers=["x", "y"], families={"mine": ["x", "y"]})
    assert made["family"].tolist() == ["mine", "mine"] and (made["family_size"] == 2).all()
    for families, words in (({"mine": ["z"]}, "'z' is no biomarker"), ({"a": ["x"], "b": ["x"]}, "several families")):
        with pytest.raises(ValueError, match=words):
            run(table, families=families)


def test_continuous_outcomes_have_slopes_in_their_unit() -> None:
    table = cohort()
    made = run(table, "iop", kind="continuous", extras=Extras(quartiles=True, nonlinearity=True))
    line = made.loc["per_sd"]
    z = (table["x"] - table["x"].mean()) / table["x"].std()
    fit = sm.OLS(table["iop"], np.column_stack([np.ones(600), z, table["age"]])).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(table["participant_id"])[0]}, use_t=True
    )
    low, high = fit.conf_int().iloc[1]
    np.testing.assert_allclose(
        line[["beta", "beta_low", "beta_high", "p", "se"]].astype(float),
        [fit.params.iloc[1], low, high, fit.pvalues.iloc[1], fit.bse.iloc[1]],
        rtol=1e-8,
    )
    assert np.isnan(line["or"]) and np.isnan(line["log_or"]) and line["kind"] == "continuous" and line["n_events"] == 0
    assert 1.0 < line["beta"] < 2.0 and (made["status"] == "ok").all() and made.loc["trend", "beta"] > 0
    flat = run(table.assign(iop=15.0), "iop", kind="continuous").loc["per_sd"]
    assert flat["status"] == "no_variation" and "outcome is 15" in flat["note"]
    few = run(table.iloc[:6], "iop", kind="continuous").loc["per_sd"]
    assert few["status"] == "too_few_events" and "6 rows" in few["note"]


def test_grades_have_one_odds_ratio_for_every_cut() -> None:
    table = cohort()
    line = run(table, "grade", kind="ordinal").loc["per_sd"]
    assert line["status"] == "ok" and line["n_events"] == (table["grade"] > 0).sum()
    assert np.log(line["ci_low"]) < 0.5 / 1.0 * line["sd"] / 3 < np.log(line["ci_high"])
    shifted = run(table.assign(grade=table["grade"] + 2), "grade", kind="ordinal").loc["per_sd"]
    assert shifted["p"] == pytest.approx(line["p"], abs=1e-12) and shifted["n_events"] == line["n_events"]
    rare = run(table.assign(grade=np.where(np.arange(600) < 12, table["grade"] + 1, 0.0)), "grade", kind="ordinal")
    assert "few: " in rare.loc["per_sd", "note"] or rare.loc["per_sd", "status"] != "ok"
    none = run(table.assign(grade=0.0), "grade", kind="ordinal").loc["per_sd"]
    assert none["status"] == "too_few_events" and "above the lowest grade" in none["note"]


def test_a_finding_that_few_have_gets_no_robust_variance() -> None:
    table = cohort().assign(x=0.0)
    table.loc[[0, 1, 40, 90, 300], "x"] = [3.0, 1.0, 2.0, 5.0, 1.0]  # four people
    for outcome, kind in (("grade", "ordinal"), ("iop", "continuous")):
        line = run(table, outcome, kind=kind).loc["per_sd"]
        assert line["status"] == "too_few_events" and line["note"].startswith("4 participants differ from")
    assert run(table).loc["per_sd", "method"] == "firth_one_row"
    assert "Firth: 4 participants differ" in run(table).loc["per_sd", "note"]
    assert run(table, "iop", kind="continuous", min_events=4).loc["per_sd", "method"] == "linear_cluster"
    single = table.drop_duplicates("participant_id")
    assert run(single, "iop", kind="continuous", unit="participant").loc["per_sd", "method"] == "linear"


def test_estimating_equations_are_an_alternative() -> None:
    table = cohort()
    line = run(table, method="gee").loc["per_sd"]
    groups = pd.factorize(table["participant_id"])[0]
    design = sm.add_constant(table[["x", "age"]].to_numpy())
    model = sm.GEE(table["dr"], design, groups, family=sm.families.Binomial(), cov_struct=sm.cov_struct.Exchangeable())
    assert line["method"] == "gee_exchangeable"
    assert line["log_or"] == pytest.approx(model.fit(maxiter=200).params.iloc[1] * table["x"].std(), abs=1e-6)


def test_rubins_rules_by_hand() -> None:
    def made(value: float, variance: float, df: float = np.nan) -> Estimate:
        return Estimate(np.array([0.0, value]), np.diag([1.0, variance]), "logit", df)

    pooled = pool([made(1.0, 0.04), made(1.2, 0.05), made(1.4, 0.06)])
    assert pooled is not None and pooled.coefficients[1] == pytest.approx(1.2)
    between = 0.04 * 4 / 3
    assert pooled.covariance[1, 1] == pytest.approx(0.05 + between)
    share = between / (0.05 + between)
    assert pooled.df == pytest.approx(2 / share**2)
    small = pool([made(1.0, 0.04, 49.0), made(1.2, 0.05, 49.0), made(1.4, 0.06, 49.0)])
    observed = 50 / 52 * 49 * (1 - share)
    assert small is not None and small.df == pytest.approx(1 / (share**2 / 2 + 1 / observed))
    same = pool([made(1.0, 0.04, 49.0)] * 2)
    assert same is not None and same.df == 49 and same.covariance[1, 1] == pytest.approx(0.04)
    assert pool([made(1.0, 0.04), None]) is None and pool([made(1.0, 0.04)]) is None


def test_imputation_keeps_rows_and_removes_the_bias_of_complete_cases() -> None:
    truth, complete, imputed = [], [], []
    for seed in range(6):
        table = cohort(people=400, seed=seed)
        table["x"] = table["x"] + 0.1 * (table["age"] - 60)  # age confounds
        old = table["age"].to_numpy() > 60
        lost = np.repeat(np.random.default_rng(seed).uniform(size=400) < 0.5, 2) & (table["dr"] == 1).to_numpy() & old
        holes = table.assign(age=table["age"].mask(lost))
        made = run(holes, extras=Extras(imputations=5))
        assert made.loc["imputed", "n"] == 800 > made.loc["per_sd", "n"]
        assert made.loc["imputed", "sd"] == made.loc["per_sd", "sd"]
        full = run(table).loc["per_sd"]
        truth.append(full["log_or"] / full["sd"])
        complete.append(made.loc["per_sd", "log_or"] / made.loc["per_sd", "sd"])
        imputed.append(made.loc["imputed", "log_or"] / made.loc["imputed", "sd"])
    error = np.abs(np.mean(imputed) - np.mean(truth))
    assert error < np.abs(np.mean(complete) - np.mean(truth)) + 0.01 and error < 0.05


def test_imputation_is_seeded_and_only_where_something_is_missing() -> None:
    table = cohort()
    assert "imputed" not in run(table, extras=Extras(imputations=2)).index
    holes = table.assign(age=table["age"].mask(np.arange(600) % 6 < 2), sex=table["sex"].mask(np.arange(600) % 8 < 2))
    options = {"models": {"m": ["age", "sex"]}, "extras": Extras(imputations=3)}
    first, second = run(holes, **options), run(holes.sample(frac=1, random_state=1), **options)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    line = first.loc["imputed"]
    assert line["status"] == "ok" and line["covariates"] == "age,sex" and line["df"] < 299
    assert "3 imputations" in line["note"]


def test_the_order_of_rows_changes_no_analysis() -> None:
    table = cohort(people=150).assign(age=lambda d: d["age"].mask(np.arange(300) % 10 < 2))
    mixed = table.sample(frac=1, random_state=2)
    first, second = (
        run(t, extras=EVERYTHING, regraded={"all_gradabilities": (t, t)}, transform="auto") for t in (table, mixed)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert {"imputed", "one_eye", "stratum:sex=f", "without_site:a", "all_gradabilities"} <= set(first["analysis"])


def _edges() -> dict[str, pd.DataFrame]:
    table = cohort(people=60)
    return {
        "no rows": table.iloc[:0],
        "no cases": table.assign(dr=0.0, grade=0.0, iop=0.0),
        "all cases": table.assign(dr=1.0, grade=3.0),
        "five images": table.iloc[:5],
        "one participant": table.assign(participant_id="p"),
        "two participants": table.assign(participant_id=np.where(np.arange(120) < 60, "p", "q")),
        "covariates missing": table.assign(age=np.nan, sex=None),
        "most covariates missing": table.assign(age=table["age"].mask(np.arange(120) > 5)),
        "constant biomarker": table.assign(x=2.0),
        "biomarker missing": table.assign(x=np.nan),
        "three values": table.assign(x=np.arange(120) % 3.0),
        "collinear": table.assign(twice=table["age"] * 2),
        "separated": table.assign(x=table["dr"] * 5 + np.arange(120) * 0.001),
        "no outcome": table.drop(columns=["dr", "grade", "iop"]),
        "no keys": table[["dr", "grade", "iop", "x", "age"]],
        "sites with odd names": table.assign(site=np.where(np.arange(120) < 60, "<b>=:", "")),
    }


@pytest.mark.parametrize("unit", ["eye", "participant"])
@pytest.mark.parametrize("case", _edges())
def test_edge_cohorts_give_reasons(case: str, unit: str) -> None:
    table = _edges()[case]
    models = {"crude": [], "full": ["age", "sex", "twice"] if case == "collinear" else ["age", "sex"]}
    for outcome, kind in (("dr", "binary"), ("grade", "ordinal"), ("iop", "continuous")):
        made = run(table, outcome, kind=kind, models=models, unit=unit, extras=EVERYTHING, transform="auto")
        assert conform(made.reset_index(drop=True), ASSOCIATION).num_rows == len(made) >= 2
        bad = made[made["status"] != "ok"]
        assert bad["note"].ne("").all() and bad[["or", "beta", "p", "q"]].isna().all(axis=None)
        assert made.loc[made["status"] == "ok", "p"].between(0, 1).all()
        assert not made.duplicated(["biomarker", "model", "analysis", "term"]).any()


def test_wrong_settings() -> None:
    for options in ({"sensitivity": ("two_eyes",)}, {"imputations": 1}, {"imputations": -1}):
        with pytest.raises(ValueError, match=r"unknown|at least 2"):
            replace(EVERYTHING, **options)  # type: ignore[arg-type]
