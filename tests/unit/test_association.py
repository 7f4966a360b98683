"""Associations against closed forms, hand-written sandwiches and Newton steps, simulated truth, and bad input."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import chi2, norm, t

from retsam.association import ASSOCIATION, Exposure, associate, is_definitional, q_values
from retsam.association.design import adjust, as_exposure, code_covariate
from retsam.association.models import fit_firth, fit_logit, is_separated
from retsam.tables import conform

ESTIMATES = ["or", "ci_low", "ci_high", "p", "q", "log_or", "se"]


def eyes_of(people: int, seed: int = 0, rho: float = 0.6, log_or: float = 0.3, intercept: float = -1.0) -> pd.DataFrame:
    """Two eyes a person; exposure and outcome correlated between eyes, the marginal log odds ratio as given.

    The outcome is drawn through a Gaussian copula: uniform(eye) < P(eye), so that each eye follows the logistic model.
    """
    rng = np.random.default_rng(seed)
    mix = np.linalg.cholesky([[1.0, rho], [rho, 1.0]])
    x = rng.normal(size=(people, 2)) @ mix.T
    latent = rng.normal(size=(people, 2)) @ mix.T
    y = norm.cdf(latent) < 1 / (1 + np.exp(-(intercept + log_or * x)))
    return pd.DataFrame(
        {
            "participant_id": np.repeat([f"p{i:05d}" for i in range(people)], 2),
            "eye": ["OD", "OS"] * people,
            "visit": None,
            "image_id": [f"im{i:05d}" for i in range(2 * people)],
            "gradability": rng.uniform(0.5, 1, 2 * people),
            "age": np.repeat(rng.normal(60, 10, people), 2),
            "sex": np.repeat(rng.choice(["f", "m"], people), 2),
            "dr": y.ravel().astype(float),
            "width": x.ravel() * 7 + 100,
            "noise": rng.normal(size=2 * people),
        }
    )


def one(table: pd.DataFrame, outcome: str = "dr", biomarker: str = "width", **options: object) -> pd.Series:
    """The single line of one biomarker and one model."""
    options.setdefault("models", {"crude": []})
    result = associate(table, table, outcome, biomarkers=[biomarker], **options)  # type: ignore[arg-type]
    assert len(result) == 1
    return result.iloc[0]


def sandwich(y: np.ndarray, design: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton's logistic estimate and its CR1 standard errors, written out."""
    b = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ b))
        b = b + np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p))
    p = 1 / (1 + np.exp(-design @ b))
    bread = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    meat = np.zeros_like(bread)
    for g in np.unique(groups):
        s = design[groups == g].T @ (y - p)[groups == g]
        meat += np.outer(s, s)
    n, k, clusters = len(y), design.shape[1], len(np.unique(groups))
    return b, np.sqrt(np.diag(bread @ meat @ bread) * clusters / (clusters - 1) * (n - 1) / (n - k))


def penalised(b: np.ndarray, y: np.ndarray, design: np.ndarray) -> float:
    """Firth's penalised log-likelihood."""
    eta = design @ b
    p = 1 / (1 + np.exp(-eta))
    information = design.T @ (design * (p * (1 - p))[:, None])
    return float(y @ eta - np.logaddexp(0, eta).sum() + 0.5 * np.linalg.slogdet(information)[1])


def newton_firth(y: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Root of the modified score x_i (y_i - p_i + h_i (0.5 - p_i)), by damped scoring."""
    b = np.zeros(design.shape[1])
    for _ in range(500):
        p = 1 / (1 + np.exp(-design @ b))
        root = design * np.sqrt(p * (1 - p))[:, None]
        inverse = np.linalg.inv(root.T @ root)
        h = np.einsum("ij,jk,ik->i", root, inverse, root)
        step = inverse @ (design.T @ (y - p + h * (0.5 - p)))
        b = b + step / max(1.0, np.abs(step).max())
    return b


def test_cluster_robust_line_equals_the_sandwich_written_by_hand() -> None:
    table = eyes_of(150, seed=3)
    line = one(table, models={"age_sex": ["age", "sex"]})
    z = (table["width"] - table["width"].mean()) / table["width"].std(ddof=1)
    design = np.column_stack([np.ones(len(z)), z, table["age"] - 60, (table["sex"] == "m").astype(float)])
    b, se = sandwich(table["dr"].to_numpy(), design, pd.factorize(table["participant_id"])[0])
    half = t.ppf(0.975, 149) * se[1]
    assert line["method"] == "logit_cluster" and line["ci_method"] == "t" and line["df"] == 149
    assert line["log_or"] == pytest.approx(b[1], abs=1e-8) and line["se"] == pytest.approx(se[1], abs=1e-8)
    expected = np.exp([b[1], b[1] - half, b[1] + half])
    np.testing.assert_allclose([line["or"], line["ci_low"], line["ci_high"]], expected, rtol=1e-8)
    assert line["p"] == pytest.approx(2 * t.sf(abs(b[1] / se[1]), 149), abs=1e-8)
    assert (line["mean"], line["sd"]) == pytest.approx((table["width"].mean(), table["width"].std(ddof=1)))
    assert (line["n"], line["n_participants"], line["n_events"]) == (300, 150, table["dr"].sum())
    assert line["n_participants_events"] == table.loc[table["dr"] == 1, "participant_id"].nunique()


def test_p_values_are_those_of_statsmodels_on_the_plain_design() -> None:
    table = eyes_of(200, seed=4)
    groups = pd.factorize(table["participant_id"])[0]
    design = sm.add_constant(table[["width", "age"]].to_numpy())
    plain = sm.Logit(table["dr"].to_numpy(), design).fit(
        disp=0, maxiter=100, cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    line = one(table, models={"age": ["age"]})
    assert line["p"] == pytest.approx(plain.pvalues[1], abs=1e-8)
    assert line["log_or"] == pytest.approx(plain.params[1] * table["width"].std(), abs=1e-8)


def test_participants_have_the_models_own_variance_unless_someone_repeats() -> None:
    table = eyes_of(300, seed=5).drop_duplicates("participant_id").reset_index(drop=True)
    plain = sm.Logit(table["dr"], sm.add_constant(table[["width"]])).fit(disp=0)
    line = one(table, unit="participant")
    assert line["method"] == "logit" and line["ci_method"] == "wald" and line["unit"] == "participant"
    assert line["p"] == pytest.approx(plain.pvalues["width"], abs=1e-8)
    visits = pd.concat([table.assign(visit="1"), table.iloc[:50].assign(visit="2")])
    assert one(visits, unit="participant")["method"] == "logit_cluster"
    # One eye a person is still declared as eyes: robust.
    assert one(table, unit="eye")["method"] == "logit_cluster"


def test_unit_chooses_the_table() -> None:
    eyes = eyes_of(120)
    people = eyes.drop_duplicates("participant_id").reset_index(drop=True)
    for unit, n in (("eye", 240), ("participant", 120)):
        assert associate(eyes, people, "dr", biomarkers=["width"], unit=unit)["n"].tolist() == [n, n]  # type: ignore[arg-type]


def test_firth_of_a_two_by_two_table_adds_a_half_to_each_cell() -> None:
    a, b, c, d = 14, 3, 0, 20  # cases and controls, exposed and not
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    x = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    expected = np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    fit = fit_firth(y, np.column_stack([np.ones(len(x)), x]))
    assert fit is not None and fit.log_or == pytest.approx(expected, abs=1e-5) and fit.ci_method == "profile"
    line = one(pd.DataFrame({"participant_id": np.arange(len(y)).astype(str), "dr": y, "width": x}))
    assert line["method"] == "firth" and line["status"] == "ok" and line["note"] == "Firth: separation"
    assert line["log_or"] / line["sd"] == pytest.approx(expected, abs=1e-5)
    assert 1 < line["ci_low"] < line["or"] < line["ci_high"] < np.inf


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_firth_against_newton_and_profile_written_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, 60))
    y = (x + (0.0 if seed == 0 else rng.normal(size=60)) > 0.8).astype(float)  # seed 0: separated
    design = np.column_stack([np.ones(60), x, z])
    fit = fit_firth(y, design)
    assert fit is not None and fit.ci_method == "profile"
    best = newton_firth(y, design)
    assert fit.log_or == pytest.approx(best[1], abs=1e-4)

    def profile(b1: float) -> float:
        def negative(rest: np.ndarray) -> float:
            return -penalised(np.array([rest[0], b1, rest[1]]), y, design)

        options = {"xatol": 1e-9, "fatol": 1e-12}
        return -float(optimize.minimize(negative, best[[0, 2]], method="Nelder-Mead", options=options).fun)

    top = penalised(best, y, design)
    for limit in (fit.ci_low, fit.ci_high):
        assert 2 * (top - profile(limit)) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-3)
    assert fit.p == pytest.approx(chi2.sf(2 * (top - profile(0.0)), 1), rel=1e-3)


def test_maximum_likelihood_refuses_separation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    design = np.column_stack([np.ones(200), x])
    groups = np.arange(200)
    complete = (x > 0.3).astype(float)
    assert fit_logit(complete, design, groups) is None and is_separated(complete, design)
    quasi = np.where(x > 0.3, 1.0, 0.0)
    quasi[np.argmax(x > 0.3)] = 0.0  # one control among the cases: finite again
    assert fit_logit(quasi, design, groups) is not None and not is_separated(quasi, design)
    rare = (rng.uniform(size=200) < 0.05).astype(float)
    y = np.where(rare == 1, 1.0, (rng.uniform(size=200) < 0.5).astype(float))  # quasi-complete: every exposed is a case
    design = np.column_stack([np.ones(200), rare])
    assert fit_logit(y, design, None) is None and is_separated(y, design)


def test_few_independent_events_use_one_eye_per_participant() -> None:
    table = eyes_of(300, seed=8, intercept=-2.6)
    people = min(table.loc[table["dr"] == k, "participant_id"].nunique() for k in (0, 1))
    assert 10 <= people < 60
    line = one(table, models={"many": ["age", "sex", "noise", "a", "b", "c"]}, min_events=5)
    assert line["status"] == "all_missing" and "'a'" in line["note"]
    extra = table.assign(**{c: np.random.default_rng(ord(c)).normal(size=600) for c in "abc"})
    line = one(extra, models={"many": ["age", "sex", "noise", "a", "b", "c"]}, min_events=5)
    assert line["method"] == "firth_one_row" and line["ci_method"] == "profile" and line["status"] == "ok"
    assert (line["n"], line["n_other_rows"], line["n_participants"]) == (300, 300, 300)
    best = extra.sort_values("gradability").drop_duplicates("participant_id", keep="last")
    assert line["n_events"] == best["dr"].sum() and line["mean"] == pytest.approx(best["width"].mean())
    assert one(extra)["method"] == "logit_cluster"
    same = {"models": {"many": ["age", "sex", "noise"]}, "min_events": 5}
    assert one(extra, **same)["method"] == "firth_one_row"
    assert one(extra, **same, events_per_parameter=0)["method"] == "logit_cluster"


def test_simulated_truth_is_covered_and_naive_errors_are_too_small() -> None:
    runs, truth = 150, 0.3
    estimate, robust, naive, inside, inside_naive = (np.zeros(runs) for _ in range(5))
    for seed in range(runs):
        table = eyes_of(400, seed=1000 + seed)
        line = one(table)
        scale = line["sd"] / 7  # the truth is per population SD, the estimate per sample SD
        estimate[seed], robust[seed] = line["log_or"] / scale, line["se"] / scale
        inside[seed] = np.log(line["ci_low"]) <= truth * scale <= np.log(line["ci_high"])
        naive[seed] = sm.Logit(table["dr"], sm.add_constant(table["width"] / 7)).fit(disp=0).bse["width"]
        inside_naive[seed] = abs(estimate[seed] - truth) <= 1.96 * naive[seed]
    assert 0.90 <= inside.mean() <= 0.99
    assert inside_naive.mean() < inside.mean()
    spread = estimate.std(ddof=1)
    assert estimate.mean() == pytest.approx(truth, abs=4 * spread / np.sqrt(runs))
    assert robust.mean() == pytest.approx(spread, rel=0.15)
    assert naive.mean() < 0.95 * robust.mean()


def test_benjamini_hochberg_by_hand() -> None:
    np.testing.assert_allclose(q_values([0.01, 0.02, 0.03, 0.04, 0.05]), 0.05)
    np.testing.assert_allclose(q_values([0.20, 0.001, np.nan, 0.03]), [0.20, 0.003, np.nan, 0.045])
    assert np.isnan(q_values([np.nan, np.nan])).all() and q_values([]).shape == (0,)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(p=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=30))
def test_q_values_are_monotone_and_between_p_and_one(p: list[float]) -> None:
    values, q = np.array(p, dtype=float), q_values(p)
    tested = ~np.isnan(values)
    assert (np.isnan(q) == ~tested).all()
    assert (q[tested] >= values[tested] * (1 - 1e-12)).all() and (q[tested] <= 1).all()
    order = np.argsort(values[tested], kind="stable")
    assert (np.diff(q[tested][order]) >= -1e-15).all()
    m = int(tested.sum())
    for i, value in zip(np.flatnonzero(tested), values[tested], strict=True):  # the definition, word for word
        larger = values[tested][values[tested] >= value]
        ranks = np.array([(values[tested] <= other).sum() for other in larger])
        assert q[i] == pytest.approx(min(1.0, (larger * m / ranks).min()), rel=1e-9, abs=1e-300)


def test_q_is_within_outcome_model_and_family_and_apart_for_phantom_evidence() -> None:
    table = eyes_of(200, seed=2)
    rng = np.random.default_rng(1)
    table = table.assign(**{f"b{i}": rng.normal(size=400) + 0.2 * i * table["dr"] for i in range(6)}, flat=1.0)
    entries = [
        *(Exposure(name, family) for name, family in (("b0", "one"), ("b1", "one"), ("b2", "two"), ("b3", "two"))),
        Exposure("flat", "two"),
        Exposure("b4", "two", evidence="phantom"),
        {"name": "b5", "family": "one", "evidence": "annotated"},
    ]
    result = associate(table, table, "dr", biomarkers=entries)
    assert result["model"].tolist() == ["crude"] * 7 + ["age_sex"] * 7
    for model in ("crude", "age_sex"):
        lines = result[result["model"] == model].set_index("biomarker")
        for names in (["b0", "b1", "b5"], ["b2", "b3"], ["b4"]):
            np.testing.assert_allclose(lines.loc[names, "q"], q_values(lines.loc[names, "p"]))
            assert (lines.loc[names, "family_size"] == len(names)).all()
        real = ["b0", "b1", "b2", "b3", "b5"]
        np.testing.assert_allclose(lines.loc[real, "q_all"], q_values(lines.loc[real, "p"]))
        assert np.isnan(lines.loc["flat", "q"]) and lines.loc["flat", "status"] == "no_variation"


def test_the_order_of_rows_changes_nothing() -> None:
    table = eyes_of(150, seed=6).assign(site=np.tile(["a", "b", "c"], 100))
    table.loc[::7, "width"] = np.nan
    models = {"crude": [], "full": ["age", "sex", "site"]}
    results = [
        associate(mixed, mixed, "dr", biomarkers=["width", "noise"], models=models)
        for mixed in (table, table.iloc[::-1], table.sample(frac=1, random_state=1))
    ]
    for other in results[1:]:
        pd.testing.assert_frame_equal(results[0], other, check_exact=True)


def test_missing_values_are_counted() -> None:
    table = eyes_of(150, seed=7)
    table.loc[:9, "dr"] = np.nan
    table.loc[5:24, "width"] = [np.nan, np.inf] * 10
    table.loc[20:29, "age"] = np.nan
    line = one(table, models={"age": ["age"]})
    assert line["n_unknown_outcome"] == 10 and line["n_missing_exposure"] == 15 and line["n_missing"] == 20
    assert line["n"] + line["n_unknown_outcome"] + line["n_missing"] + line["n_other_rows"] == 300
    used = table.iloc[30:]
    assert line["n"] == 270 and line["sd"] == pytest.approx(used["width"].std(ddof=1))


def test_covariates_are_coded_and_useless_ones_left_out() -> None:
    table = eyes_of(150, seed=9)
    table = table.assign(
        site=np.tile(["a", "b", "c"], 100),
        months=table["age"] * 12,
        constant=5.0,
        cohort="x",
        comment=table["image_id"],
        number=np.tile([1, 2, 3], 100),
        text_number=table["age"].map(str),
        smoker=np.tile([True, False], 150),
    )
    models = {"m": ["age", "sex", "site", "months", "constant", "cohort", "comment", "smoker", "text_number", "age"]}
    line = one(table, models=models)
    assert line["covariates"] == "age,sex,site,smoker" and line["status"] == "ok"
    for name, why in (
        ("months", "a linear"),
        ("constant", "const"),
        ("cohort", "const"),
        ("comment", "300 categories"),
    ):
        assert f"{name} left out: {why}" in line["note"]
    assert "text_number left out: a linear" in line["note"]
    same = one(table, models={"m": ["age", "sex", "site", "smoker"]})
    assert line["p"] == pytest.approx(same["p"], abs=1e-12)
    dummies = np.column_stack([table["site"] == "b", table["site"] == "c"]).astype(float)
    coded = one(table.assign(b=dummies[:, 0], c=dummies[:, 1]), models={"m": ["b", "c"]})
    assert one(table, models={"m": ["site"]})["log_or"] == pytest.approx(coded["log_or"], abs=1e-10)
    as_codes = one(table, models={"m": ["number"]}, categorical=["number"])
    assert as_codes["log_or"] == pytest.approx(coded["log_or"], abs=1e-10)
    itself = one(table, models={"m": ["width", "age"]})
    assert itself["covariates"] == "age" and itself["status"] == "ok"
    determined = one(table.assign(copy=table["width"] * 2 + 1), models={"m": ["copy"]})
    assert determined["status"] == "no_variation" and "determine" in determined["note"] and np.isnan(determined["or"])


def test_design_columns_are_orthonormalised_one_after_the_other() -> None:
    table = pd.DataFrame({"a": [1.0, 2, 3, 4, 5], "b": [2.0, 4, 6, 8, 10], "c": [0.0, 1, 0, 1, 0]})
    covariates = [code_covariate(table, name) for name in "abc"]
    adjustment = adjust(covariates, np.arange(5))
    assert adjustment.covariates == ("a", "c") and adjustment.columns.shape == (5, 2)
    np.testing.assert_allclose(adjustment.span.T @ adjustment.span, np.eye(3), atol=1e-12)
    design = adjustment.design(np.array([[1.0], [0], [0], [2], [1]]))
    assert design is not None and design.shape == (5, 4) and np.linalg.matrix_rank(design) == 4
    assert adjustment.design((table["a"] + table["c"]).to_numpy()[:, None]) is None
    assert adjustment.design(np.array([[1.0, 2], [0, 0], [0, 0], [2, 4], [1, 2]])) is None


@dataclass(frozen=True)
class Entry:
    """Looks like a registry entry."""

    name: str
    family: str
    requires: tuple[str, ...]
    evidence: str = "at least six vessels"


def test_registry_entries_definitions_and_evidence() -> None:
    table = eyes_of(100).assign(load=1.0, any_DR=lambda d: d["dr"])
    entries = [Entry("width", "calibre", ("vessel",)), Entry("noise", "lesion", ("vessel", "hemorrhage"))]
    levels = {"vessel": "annotated", "hemorrhage": "phantom"}
    result = associate(table, table, "any_DR", biomarkers=entries, evidence=levels)
    assert result["definitional"].tolist() == [False, True] * 2
    assert result["evidence"].tolist() == ["annotated", "phantom"] * 2
    assert result["family"].tolist() == ["calibre", "lesion"] * 2
    assert as_exposure(Entry("x", "y", ("drusen",)), levels).evidence is None
    pairs = {
        "hemorrhage": {"dr": True, "DR": True, "diabetic_retinopathy": True, "hydration": False, "amd": False},
        "drusen": {"late AMD": True, "dr_or_amd": True, "stroke": False},
        "optic_cup": {"glaucoma_suspect": True, "glaucoma": True},
        "optic_disc": {"glaucoma": False},
        "tessellation": {"pathologic_myopia": True},
    }
    for target, outcome, expected in ((k, o, e) for k, of in pairs.items() for o, e in of.items()):
        assert is_definitional({target, "vessel"}, outcome) is expected, outcome


def _bad_tables() -> dict[str, tuple[pd.DataFrame, str, str]]:
    table = eyes_of(60, seed=1)
    return {
        "no cases": (table.assign(dr=0.0), "too_few_events", "0 cases"),
        "all cases": (table.assign(dr=1.0), "too_few_events", "0 controls"),
        "outcome unknown": (table.assign(dr=np.nan), "all_missing", "outcome is unknown"),
        "no outcome column": (table.drop(columns="dr"), "all_missing", "outcome is unknown"),
        "text outcome": (table.assign(dr="severe"), "all_missing", "outcome is unknown"),
        "outcome of grades": (table.assign(dr=3.0), "all_missing", "outcome is unknown"),
        "five rows": (table.iloc[:5], "too_few_events", "at least 10"),
        "no rows": (table.iloc[:0], "all_missing", "outcome is unknown"),
        "one participant": (table.assign(participant_id="p"), "too_few_events", "at least 10"),
        "constant exposure": (table.assign(width=0.1), "no_variation", "0.1 in every row"),
        "no exposure column": (table.drop(columns="width"), "all_missing", "no column 'width'"),
        "text exposure": (table.assign(width="wide"), "all_missing", "no row is complete"),
        "exposure missing": (
            table.assign(width=np.nan, width__status=["not_visible"] * 100 + ["failed"] * 20),
            "all_missing",
            "not_visible: 100, failed: 20",
        ),
        "age missing": (table.assign(age=np.nan), "all_missing", "'age' is missing throughout"),
        "no age column": (table.drop(columns="age"), "all_missing", "no column 'age'"),
    }


@pytest.mark.parametrize("case", _bad_tables())
def test_bad_input_gives_rows_with_reasons(case: str) -> None:
    table, status, words = _bad_tables()[case]
    result = associate(table, table, "dr", biomarkers=["width"])
    assert len(result) == 2
    line = result.iloc[1]
    assert line["status"] == status and words in line["note"]
    assert line[ESTIMATES].isna().all() and pd.isna(line["method"])
    assert line["n"] + line["n_unknown_outcome"] + line["n_missing"] + line["n_other_rows"] == len(table)


@pytest.mark.parametrize("unit", ["eye", "participant"])
def test_what_the_model_does_not_segment_has_no_line(unit: str, caplog: pytest.LogCaptureFixture) -> None:
    table = eyes_of(60, seed=1).assign(cup=np.nan, cup__status="not_segmented", disc=np.nan, disc__status="not_visible")
    table.loc[0, "disc__status"] = "not_segmented"  # some images came from another model
    with caplog.at_level("INFO"):
        result = associate(table, table, "dr", biomarkers=["width", "cup", "disc"], unit=unit)  # type: ignore[arg-type]
    assert result["biomarker"].tolist() == ["width", "disc"] * 2
    assert [r.message for r in caplog.records] == ["1 of 3 biomarkers are left out: not segmented in any row"]
    assert associate(table, table, "dr", biomarkers=["cup"]).empty
    assert len(associate(table.iloc[:0], table.iloc[:0], "dr", biomarkers=["cup"])) == 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(0, 40),
    people=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    levels=st.integers(1, 6),
    missing=st.sampled_from([0.0, 0.3]),
    steep=st.sampled_from([0.0, 1.0, 50.0]),
    unit=st.sampled_from(["eye", "participant"]),
)
def test_any_small_table_gives_rows_and_no_error(n, people, seed, levels, missing, steep, unit) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, n) * 10.0 ** rng.integers(-8, 8)
    scale = x.std() if n and x.std() > 0 else 1.0
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-np.clip(steep * (x - x.mean() if n else 0) / scale, -30, 30)))).astype(
        float
    )
    table = pd.DataFrame(
        {
            "participant_id": rng.integers(0, people, n).astype(str), "image_id": np.arange(n).astype(str), "width": x,
            "dr": np.where(rng.uniform(size=n) < missing, np.nan, y), "age": rng.integers(40, 43, n).astype(float),
            "sex": rng.choice(np.array(["f", "m", None], dtype=object), n), "gradability": rng.choice([0.5, np.nan], n),
        }
    )  # fmt: skip
    result = associate(table, table, "dr", biomarkers=["width"], min_events=2, unit=unit)
    assert conform(result, ASSOCIATION).num_rows == 2
    for line in result.to_dict("records"):
        assert line["n"] + line["n_unknown_outcome"] + line["n_missing"] + line["n_other_rows"] == n
        if line["status"] == "ok":
            assert 0 <= line["p"] <= line["q"] <= 1
            assert line["ci_low"] < line["or"] < line["ci_high"]
        else:
            assert line["note"] and np.isnan(line["or"])


def test_no_biomarkers_and_wrong_settings() -> None:
    table = eyes_of(20)
    assert list(associate(table, table, "dr", biomarkers=[]).columns) == ASSOCIATION.names
    wrong = (
        ({"unit": "person"}, "unit 'person'"),
        ({"models": {}}, "no model"),
        ({"models": {"m": "age"}}, r"write \[age\]"),
        ({"min_events": 1}, "at least 2"),
        ({"confidence": 95}, "0.95"),
        ({"biomarkers": ["width", "width"]}, "given twice"),
        ({"biomarkers": [{"family": "x"}]}, "needs a name"),
    )
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            associate(table, table, "dr", **{"biomarkers": ["width"], **options})  # type: ignore[arg-type]


def test_confidence_level_and_unstable_intervals() -> None:
    table = eyes_of(100, seed=12)
    wide, narrow = one(table, confidence=0.99), one(table, confidence=0.5)
    assert wide["ci_low"] < narrow["ci_low"] < narrow["or"] < narrow["ci_high"] < wide["ci_high"]
    separated = eyes_of(40, seed=1).drop_duplicates("participant_id")
    separated["width"] = separated["dr"] * 50 + separated["noise"]
    line = one(separated, confidence=0.9999)
    assert line["method"] == "firth" and "unstable" in line["note"] and line["status"] == "ok"
    assert "unstable" not in wide["note"]
