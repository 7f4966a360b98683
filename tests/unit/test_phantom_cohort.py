"""Simulated cohorts: moments, true odds ratios that come back, and a folder with the same bytes for any workers."""

import hashlib
import math
import shutil
import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam import tables
from retsam.biomarkers import REGISTRY
from retsam.cohort import build_cohort
from retsam.errors import UserError
from retsam.io.manifest import read_manifest
from retsam.phantom.anatomy import PHENOTYPES
from retsam.phantom.camera import CAMERAS
from retsam.phantom.cohort import (
    AGE,
    AGE_MEAN,
    AGE_ON_PHENOTYPE,
    AGE_SD,
    COEFFICIENTS,
    DUPLICATE,
    MISSING_EYE,
    MISSING_LABEL,
    MODELS,
    OUTCOMES,
    RATES,
    SITES,
    UNGRADABLE,
    OutcomeModel,
    age_score,
    draw_outcomes,
    photographs,
    sample_eyes,
    with_effects,
)
from retsam.phantom.simulate import MANIFEST_COLUMNS, simulate

LATENT = (
    OutcomeModel("dr", -1.0, age=0.8, terms={"calibre": math.log(1.6)}),
    OutcomeModel("glaucoma", -1.2, age=0.5, sex=0.4, terms={"density": -0.9, "cup": 0.8}),
)
"""Models without images: terms are phenotypes."""


def fit(cohort: pd.DataFrame, outcome: str, scores: dict[str, np.ndarray]):
    """Logistic regression by eye, clustered by person, on standard scores."""
    design = pd.DataFrame({"intercept": 1.0, **scores}, index=cohort.index)
    known = cohort[outcome].notna()
    groups = cohort.loc[known, "participant_index"]
    return sm.Logit(cohort.loc[known, outcome], design[known]).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups}
    )


def latent_scores(cohort: pd.DataFrame, terms) -> dict[str, np.ndarray]:
    covariates = {"age": age_score(cohort["age"]), "sex": (cohort["sex"] == "m").astype(float)}
    return {t: covariates[t] if t in covariates else cohort[f"latent_{t}"] for t in terms}


# --- eyes ------------------------------------------------------------------------------------------------------------


def test_moments_of_eyes() -> None:
    eyes = sample_eyes(4000, 13, rho=0.6)
    assert eyes["age"].between(AGE.a, AGE.b).all()
    assert eyes["age"].mean() == pytest.approx(AGE_MEAN, abs=0.6)
    assert eyes["age"].std() == pytest.approx(AGE_SD, rel=0.03)
    pairs = eyes.set_index(["participant_index", "eye"]).unstack("eye")  # noqa: PD010
    age = age_score(pairs[("age", "OD")])
    for name in PHENOTYPES:
        z, both, slope = eyes[f"latent_{name}"], pairs[f"latent_{name}"], AGE_ON_PHENOTYPE.get(name, 0.0)
        assert z.mean() == pytest.approx(0, abs=0.06) and z.std() == pytest.approx(1, abs=0.04)
        assert age.corr(both["OD"]) == pytest.approx(slope, abs=0.05)
        assert both["OD"].corr(both["OS"]) == pytest.approx(0.6 + 0.4 * slope**2, abs=0.04)
    assert eyes["sex"].eq("m").mean() == pytest.approx(0.5, abs=0.03)
    assert eyes["participant_index"].nunique() == 4000
    same = eyes.groupby("participant_index")[["age", "sex", "site", "camera", "pigment"]].nunique()
    assert (same == 1).all(axis=None)


def test_rates_are_those_of_the_table() -> None:
    eyes = sample_eyes(4000, 14)
    cohort, _ = draw_outcomes(eyes, LATENT)
    assert 1 - len(eyes) / 8000 == pytest.approx(MISSING_EYE.value, abs=0.01)
    assert eyes["again"].mean() == pytest.approx(DUPLICATE.value, abs=0.01)
    assert cohort[["dr", "glaucoma"]].isna().mean().tolist() == pytest.approx([MISSING_LABEL.value] * 2, abs=0.01)
    shots = photographs(cohort)
    assert 1 - shots["gradable"].mean() == pytest.approx(UNGRADABLE.value, abs=0.01)
    assert len({rate.name for rate in RATES}) == len(RATES)


def test_sites_use_every_camera() -> None:
    assert {camera for _, cameras in SITES.values() for camera in cameras} == set(CAMERAS)
    assert sum(share for share, _ in SITES.values()) == pytest.approx(1)
    assert all(sum(cameras.values()) == pytest.approx(1) for _, cameras in SITES.values())
    eyes = sample_eyes(3000, 15)
    for name, (share, cameras) in SITES.items():
        here = eyes[eyes["site"] == name]
        assert len(here) / len(eyes) == pytest.approx(share, abs=0.03)
        assert set(here["camera"]) == set(cameras)


def test_a_larger_cohort_begins_with_the_smaller_one() -> None:
    small, large = sample_eyes(20, 5), sample_eyes(50, 5)
    pd.testing.assert_frame_equal(small, large.iloc[: len(small)])
    assert not small["age"].equals(sample_eyes(20, 6)["age"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [((0, 1, 0.5), "participants"), ((5, -1, 0.5), "seed"), ((5, 1, 1.2), "rho"), ((5, 1, -0.1), "rho")],
)
def test_cohort_refuses_nonsense(wrong: tuple, said: str) -> None:
    with pytest.raises(UserError, match=f"^{said} is "):
        sample_eyes(*wrong[:2], rho=wrong[2])


def test_an_eye_photographed_twice_is_the_same_eye() -> None:
    shots = photographs(sample_eyes(600, 16))
    assert shots["image_id"].is_unique
    again = shots[shots["shot"] == 1]
    assert len(again) > 20
    first = shots[shots["shot"] == 0].set_index("image_id")
    of_first = first.loc[again["image_id"].str.removesuffix("_2")]
    own = ["image_id", "shot", "quality", "gradable"]
    pd.testing.assert_frame_equal(
        of_first.drop(columns=own[1:]).reset_index(drop=True), again.drop(columns=own).reset_index(drop=True)
    )
    assert (of_first["quality"].to_numpy() != again["quality"].to_numpy()).all()


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_adjusted_regression_recovers_the_true_log_odds_ratios() -> None:
    cohort, table = draw_outcomes(sample_eyes(4000, 11), LATENT)
    for model in LATENT:
        found = fit(cohort, model.outcome, latent_scores(cohort, ["age", "sex", *PHENOTYPES]))
        stated = table[table["outcome"] == model.outcome].set_index("term")["log_odds_ratio"]
        truth = stated.reindex(found.params.index, fill_value=0.0)
        assert (found.bse < 0.08).all()
        assert ((found.params - truth) / found.bse).abs().max() < 3.5


def test_the_log_odds_are_linear_in_the_standardised_true_value() -> None:
    eyes = sample_eyes(4000, 17)
    rng = np.random.default_rng(2)
    width = 150 + 12 * (0.7 * eyes["latent_calibre"] + 0.7 * rng.standard_normal(len(eyes)))
    width[rng.random(len(eyes)) < 0.2] = np.nan
    models = [OutcomeModel("dr", -1.0, age=0.8, terms={"crae_knudtson_um": math.log(1.6)})]
    cohort, table = draw_outcomes(eyes, models, pd.DataFrame({"crae_knudtson_um": width}))
    row = table.set_index("term").loc["crae_knudtson_um"]
    assert (row["kind"], row["crude_bias"]) == ("biomarker", -1)
    assert (row["mean"], row["sd"]) == pytest.approx((width.mean(), width.std()))
    assert row["odds_ratio"] == pytest.approx(1.6)
    assert row["correlation_with_age"] == pytest.approx(width.corr(eyes["age"])) and row["correlation_with_age"] < -0.15
    score = (width - row["mean"]) / row["sd"]
    measured = cohort[score.notna()]
    adjusted = fit(measured, "dr", {"x": score[measured.index], "age": age_score(measured["age"])})
    crude = fit(measured, "dr", {"x": score[measured.index]})
    assert abs(adjusted.params["x"] - math.log(1.6)) < 3 * adjusted.bse["x"] < 0.2
    assert crude.params["x"] + 2 * crude.bse["x"] < math.log(1.6)


def test_an_eye_without_a_value_counts_as_average() -> None:
    eyes = sample_eyes(3000, 18)
    half = np.where(np.arange(len(eyes)) % 2, np.nan, 100 * eyes["latent_cup"])
    model = OutcomeModel("dr", -1.0, terms={"x": 2.0})
    cohort, _ = draw_outcomes(eyes, [model], pd.DataFrame({"x": half}))
    unseen = cohort[np.isnan(half)]
    assert unseen["true_dr"].mean() == pytest.approx(1 / (1 + math.e), abs=0.04)
    assert abs(unseen["true_dr"].corr(unseen["latent_cup"])) < 0.06


def test_age_alone_confounds_in_the_stated_direction() -> None:
    cohort, table = draw_outcomes(sample_eyes(4000, 12), [OutcomeModel("amd", -1.3, age=0.9, terms={"density": 0.0})])
    crude, adjusted = (fit(cohort, "amd", latent_scores(cohort, t)) for t in (["density"], ["density", "age"]))
    assert table.set_index("term").loc["density", "crude_bias"] == -1
    assert crude.params["density"] + 3 * crude.bse["density"] < 0
    assert abs(adjusted.params["density"]) < 3 * adjusted.bse["density"]


def test_fellow_eyes_fall_ill_together_and_each_by_its_own_model() -> None:
    cohort, _ = draw_outcomes(sample_eyes(4000, 19, rho=0.0), [OutcomeModel("dr", -0.5)])
    pairs = cohort.pivot(index="participant_index", columns="eye", values="true_dr").dropna()  # noqa: PD010
    assert pairs.mean().tolist() == pytest.approx([1 / (1 + math.exp(0.5))] * 2, abs=0.025)
    assert pairs["OD"].corr(pairs["OS"]) > 0.4


def test_a_label_that_is_known_is_true() -> None:
    cohort, _ = draw_outcomes(sample_eyes(500, 20), LATENT)
    for name in ("dr", "glaucoma"):
        known = cohort[name].notna()
        assert (cohort.loc[known, name] == cohort.loc[known, f"true_{name}"]).all()
        assert 0.15 < cohort[name].mean() < 0.5


def test_the_table_states_every_model() -> None:
    names = {term for model in MODELS for term in model.terms}
    assert names <= set(REGISTRY) | set(PHENOTYPES)
    eyes = sample_eyes(60, 21)
    values = pd.DataFrame(np.random.default_rng(0).normal(10, 2, (len(eyes), len(names))), columns=sorted(names))
    cohort, table = draw_outcomes(eyes, MODELS, values)
    assert list(table.columns) == COEFFICIENTS
    assert set(table["kind"]) == {"covariate", "biomarker"}
    assert not table.duplicated(["outcome", "term"]).any()
    np.testing.assert_allclose(np.exp(table["log_odds_ratio"]), table["odds_ratio"])
    assert set(OUTCOMES) <= set(cohort) and [m.outcome for m in MODELS] == list(OUTCOMES)


@pytest.mark.parametrize("n", [1, 2])
def test_a_cohort_too_small_to_standardise_is_drawn_all_the_same(n: int) -> None:
    eyes = sample_eyes(n, 22)
    cohort, table = draw_outcomes(eyes, MODELS[:1], pd.DataFrame({next(iter(MODELS[0].terms)): [1.0] * len(eyes)}))
    assert cohort["true_dr"].isin([0, 1]).all() and table["crude_bias"].eq(0).all()


# --- effects ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.sampled_from(OUTCOMES), st.floats(0.01, 100))
def test_an_effect_replaces_the_terms_of_its_outcome(outcome: str, ratio: float) -> None:
    changed = with_effects([f"{outcome}:calibre={ratio!r}", f"{outcome}: density = 2"])
    for before, after in zip(MODELS, changed, strict=True):
        if after.outcome == outcome:
            assert after.terms == pytest.approx({"calibre": math.log(ratio), "density": math.log(2)})
            assert (after.intercept, after.age, after.sex) == (before.intercept, before.age, before.sex)
        else:
            assert after is before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dr", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("dr:calibre=", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("dr:calibre=-1", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("dr:calibre=0", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("dr:calibre=inf", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("=2", "is not OUTCOME:TERM=ODDS_RATIO"),
        ("stroke:calibre=2", "no outcome 'stroke'; known are dr"),
    ],
)
def test_an_effect_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        with_effects([text])


def test_an_effect_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="dr has calibre already"):
        with_effects(["dr:calibre=2", "dr:calibre=3"])


def test_a_term_without_a_value_is_refused() -> None:
    with pytest.raises(UserError, match="no true value 'calibr'"):
        draw_outcomes(sample_eyes(2, 1), [OutcomeModel("dr", 0.0, terms={"calibr": 1.0})])


# --- the folder ------------------------------------------------------------------------------------------------------


def digests(folder) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


PEOPLE, SIZE = 2, 192
SEED = next(s for s in range(100) if photographs(sample_eyes(PEOPLE, s))["shot"].sum() == 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two people, one of them with an eye photographed twice."""
    folder = tmp_path_factory.mktemp("study")
    done: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        simulate(folder, PEOPLE, SEED, SIZE, progress=done.append)
    assert done[-1] == PEOPLE and done == sorted(done)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The first of them."""
    folder = tmp_path_factory.mktemp("alone")
    simulate(folder, 1, SEED, SIZE)
    return folder


def test_two_workers_write_the_same_bytes(study, tmp_path) -> None:
    simulate(tmp_path, PEOPLE, SEED, SIZE, workers=2)
    assert digests(tmp_path) == digests(study)


def test_the_folder_holds_what_is_promised(study) -> None:
    manifest = pd.read_csv(study / "manifest.csv")
    assert list(manifest.columns) == MANIFEST_COLUMNS
    assert manifest["image_id"].is_unique
    wanted = {f"images/{name}.jpg" for name in manifest["image_id"]}
    names = ("masks.parquet", "biomarkers.parquet", "images.csv", "coefficients.csv")
    assert set(digests(study)) == wanted | {f"truth/{name}" for name in names} | {"manifest.csv"}
    assert set(manifest["path"]) == wanted
    read = read_manifest(study / "manifest.csv")
    assert not read.problems and read.images["status"].eq("ok").all()
    for name in ("masks.parquet", "biomarkers.parquet", "images.csv"):
        table = tables.read_table(study / "truth" / name)
        assert table["image_id"].drop_duplicates().tolist() == manifest["image_id"].tolist()


def test_truth_and_photographs_agree(study) -> None:
    manifest = pd.read_csv(study / "manifest.csv").set_index("image_id")
    truth = pd.read_csv(study / "truth" / "images.csv").set_index("image_id")
    masks = tables.read_table(study / "truth" / "masks.parquet")
    disc = masks[masks["target"] == "optic_disc"].set_index("image_id")
    np.testing.assert_allclose(truth["disc_diameter_px"], np.sqrt(4 * disc["area_px"] / np.pi), rtol=0.05)
    np.testing.assert_allclose(truth[["disc_x", "disc_y"]], disc[["x", "y"]], atol=1e-4)
    frame = masks[masks["target"] == "fov"].set_index("image_id")
    for image_id, row in manifest.iterrows():
        picture = cv2.imread(str(study / row["path"]))
        assert picture.shape == (frame.loc[image_id, "height"], frame.loc[image_id, "width"], 3)
    scale = frame["frame_size"] / frame["crop_side"]  # frame pixels per photograph pixel
    np.testing.assert_allclose(manifest["um_per_px"], 290 / truth["px_per_degree"] * scale, rtol=1e-4)
    np.testing.assert_allclose(manifest["um_per_px"], frame["um_per_px"])


def test_the_second_photograph_shows_the_same_eye_from_elsewhere(study) -> None:
    truth = pd.read_csv(study / "truth" / "images.csv").set_index("image_id")
    again = truth[truth["shot"] == 1].iloc[0]
    first = truth.loc[again.name.removesuffix("_2")]
    same = [c for c in truth if c.startswith(("latent_", "true_", "severity_"))]
    assert first[same].equals(again[same])
    assert abs(first["disc_x"] - again["disc_x"]) + abs(first["disc_y"] - again["disc_y"]) > 0.5
    images = [cv2.imread(str(study / "images" / f"{row.name}.jpg")) for row in (first, again)]
    assert images[0].shape == images[1].shape and (images[0] != images[1]).any()


def test_the_cohort_stage_keeps_one_photograph_of_an_eye(study) -> None:
    manifest = read_manifest(study / "manifest.csv").images
    first, again = (manifest["image_id"].str.endswith("_2") == second for second in (False, True))
    quality = pd.DataFrame(
        {
            "image_id": manifest["image_id"],
            "status": "ok",
            "message": "",
            "gradability": np.where(again, 0.9, 0.8),
            "gradable": True,
        }
    )
    measured = pd.DataFrame({"image_id": manifest["image_id"], "status": "ok", "laterality": None})
    eyes = build_cohort(manifest, quality, measured, outcomes=["dr"]).eyes
    assert len(eyes) == first.sum() == len(manifest) - 1
    assert manifest.loc[again, "image_id"].item() in set(eyes["image_id"])


def test_true_values_do_not_depend_on_the_other_participants(study, alone) -> None:
    few, more = (tables.read_table(f / "truth" / "biomarkers.parquet") for f in (alone, study))
    healthy = ["image_id", *(t for m in MODELS for t in m.terms)]
    pd.testing.assert_frame_equal(few[healthy], more[healthy].iloc[: len(few)])


def test_a_smaller_cohort_in_the_same_folder_leaves_nothing_of_the_larger(study, alone, tmp_path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    (folder / "images" / "mine.jpg").write_bytes(b"mine")
    (folder / "notes.txt").write_text("mine")
    simulate(folder, 1, SEED, SIZE)
    left = digests(folder)
    assert {left.pop("images/mine.jpg"), left.pop("notes.txt")} == {hashlib.sha256(b"mine").hexdigest()}
    assert left == digests(alone)


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path) -> None:
    for size in (0, 100, -64):
        with pytest.raises(UserError, match="multiple of 64"):
            simulate(tmp_path / "new", 1, 1, size)
    with pytest.raises(
        UserError, match=r"no true value 'vessel_calibre_medan' .* did you mean 'vessel_calibre_median'"
    ):
        simulate(tmp_path / "new", 1, 1, 64, models=with_effects(["dr:vessel_calibre_medan=2"]))
    assert not (tmp_path / "new").exists()
    (tmp_path / "manifest.csv").write_text("image_id,path\na,a.jpg\n")
    with pytest.raises(UserError, match=r"manifest\.csv that no simulation wrote"):
        simulate(tmp_path, 1, 1, 64)
    with pytest.raises(UserError, match="is a file; give a folder"):
        simulate(tmp_path / "manifest.csv", 1, 1, 64)
