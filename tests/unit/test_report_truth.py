"""Truth beside estimate: the right pairs, honest flags, safe text, and nothing of it without the key."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.association import associate
from retsam.cohort import replace_values
from retsam.errors import UserError
from retsam.report import figures, style, truth
from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs
from tests.synthetic_report import SCRIPT, registry, report_inputs, truth_table

OUTCOMES = ("dr", "amd", "glaucoma")


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return dataclasses.replace(report_inputs(60, OUTCOMES, pictures=0), truth=truth_table())


@pytest.fixture(scope="module")
def small() -> ReportInputs:
    """Two outcomes with the biomarkers that have an effect and one that has none: quick to print whole."""
    made = report_inputs(6, ("dr", "glaucoma"), pictures=0)
    kept = ("tortuosity_distance", "vessel_density", "disc_axis_ratio", "fd_box_mask")
    tables = {o: t[t["biomarker"].isin(kept)] for o, t in made.associations.items()}
    return dataclasses.replace(made, associations=tables, truth=truth_table())


def with_rows(inputs: ReportInputs, outcome: str, biomarker: str, **values: object) -> ReportInputs:
    """Change the association rows of one biomarker."""
    table = inputs.associations[outcome].copy()
    for column, value in values.items():
        table.loc[table["biomarker"] == biomarker, column] = value
    return dataclasses.replace(inputs, associations={**inputs.associations, outcome: table})


def cells_of(inputs: ReportInputs, biomarker: str) -> tuple[str, ...]:
    table = truth.comparison(inputs, truth.pairs(inputs))
    assert table is not None
    return next(row.cells for row in table.rows if (row.code or row.cells[0]) == biomarker)


def section(inputs: ReportInputs) -> str:
    found = re.search(r'<section id="truth".*?</section>', build_report(inputs), flags=re.DOTALL)
    assert found is not None
    return found[0]


# The file


def test_a_written_table_is_read_again(tmp_path: Path) -> None:
    truth_table().to_csv(tmp_path / "coefficients.csv", index=False)
    made = truth.read_truth(tmp_path / "coefficients.csv")
    pd.testing.assert_frame_equal(made, truth_table().drop(columns="odds_ratio"), check_dtype=False)
    assert made.loc[0, "per"] == ""


@pytest.mark.parametrize("column", [*truth.WORDS, *truth.NUMBERS])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    truth_table().drop(columns=column).to_csv(tmp_path / "coefficients.csv", index=False)
    with pytest.raises(UserError, match=f"coefficients.csv: no column '{column}'; give the truth/coefficients.csv"):
        truth.read_truth(tmp_path / "coefficients.csv")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"log_odds_ratio": "large"}, "row 4 has a log_odds_ratio that is no number"),
        ({"log_odds_ratio": "inf"}, "row 4 has a log_odds_ratio that is no number"),
        ({"kind": "trait"}, "row 4 has a kind other than covariate, phenotype, biomarker"),
        ({"term": "age"}, "row 4 has a term that its outcome has already"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, change: dict[str, str], said: str) -> None:
    table = truth_table().astype(object)
    table.loc[3, list(change)] = list(change.values())
    table.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(UserError, match=re.escape(said)):
        truth.read_truth(tmp_path / "c.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b'a,b\n"1,2\n3'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"^c\.csv: n"):
        truth.read_truth(tmp_path / "c.csv")


# Pairs


def test_pairs_are_the_effects_on_analysed_outcomes_largest_first(inputs: ReportInputs) -> None:
    found = truth.pairs(inputs)
    assert [(p.outcome, p.biomarker) for p in found] == [
        ("dr", "tortuosity_distance"), ("dr", "disc_axis_ratio"), ("dr", "vessel_density"), ("glaucoma", "cup_size"),
    ]  # fmt: skip
    assert [p.truth for p in found] == pytest.approx(np.exp([0.5, 0.2, -0.4, 0.8]))
    assert list(found[0].estimates) == ["crude", "age_sex"]
    row = inputs.associations["dr"].set_index(["biomarker", "model"]).loc[("vessel_density", "crude")]
    assert found[2].estimates["crude"].odds == row["or"] and found[2].estimates["crude"].low == row["ci_low"]


def test_an_estimate_on_another_scale_is_not_held_against_the_truth(small: ReportInputs) -> None:
    plain = with_rows(small, "dr", "vessel_density", transform="none")
    logged = with_rows(plain, "dr", "tortuosity_distance", transform="log1p")
    found = {p.biomarker: p for p in truth.pairs(logged) if p.outcome == "dr"}
    assert found["tortuosity_distance"].reason == truth.OTHER_SCALE
    assert np.isnan(found["tortuosity_distance"].estimates["crude"].odds)
    assert found["vessel_density"].reason == "ok"
    assert "per SD of a transform" in " ".join(cells_of(logged, "tortuosity_distance"))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 2))
def test_an_interval_covers_what_lies_between_its_bounds(log_truth: float, centre: float, half: float) -> None:
    e = truth.Estimate(np.exp(centre), np.exp(centre - half), np.exp(centre + half), 0.1, "9", "4")
    if abs(abs(log_truth - centre) - half) > 1e-9:
        assert e.covers(float(np.exp(log_truth))) == (abs(log_truth - centre) < half)
    assert e.covers(e.low) and e.covers(e.high)


@pytest.mark.parametrize("low, high, covers", [(1.2, 2.0, "yes"), (1.2, 1.6, "no"), (1.7, 2.0, "no")])
def test_the_table_says_whether_the_interval_covers(inputs: ReportInputs, low: float, high: float, covers: str) -> None:
    made = with_rows(inputs, "dr", "tortuosity_distance", **{"or": 1.5, "ci_low": low, "ci_high": high})
    said = f"1.50 ({low:.2f}–{high:.2f})"
    assert cells_of(made, "tortuosity_distance") == (
        "Tortuosity distance", "1.65", "1.100 (0.040)", "0.30", *(said, covers, "1,500 (210)") * 2, "ok",
    )  # fmt: skip


def test_intervals_are_counted_per_model(inputs: ReportInputs) -> None:
    made = inputs
    for name, bounds in (("tortuosity_distance", (1.2, 2.0)), ("vessel_density", (0.9, 1.1))):
        made = with_rows(made, "dr", name, **{"or": 1.0, "ci_low": bounds[0], "ci_high": bounds[1]})
    table = made.associations["dr"]
    adjusted = (table["model"] == "age_sex") & (table["biomarker"] == "vessel_density")
    table.loc[adjusted, ["ci_low", "ci_high"]] = [0.6, 0.8]
    said = truth.result(made, truth.pairs(made))
    assert said.startswith("Of 4 pairs of a biomarker and an outcome with a true effect, 2 could be estimated;")
    assert said.endswith("for 1 of 2 in the model “Crude”, 2 of 2 in the model “Age and sex”.")


def test_what_was_not_estimated_or_not_measured_says_why(inputs: ReportInputs) -> None:
    assert cells_of(inputs, "disc_axis_ratio")[4:] == (*("–", "–", "1,500 (210)") * 2, "no estimate: too few events")
    assert cells_of(inputs, "cup_size")[-1] == "not measured: not in the catalogue"
    lost = {"disc_axis_ratio__status": "not_segmented", "vessel_density__status": "not_segmented"}
    made = dataclasses.replace(inputs, images=inputs.images.assign(**lost))
    table = made.associations["dr"]
    kept = table[table["biomarker"] != "disc_axis_ratio"]
    made = dataclasses.replace(made, associations={**made.associations, "dr": kept})
    assert cells_of(made, "disc_axis_ratio")[4:] == (*["–"] * 6, "not measured: not segmented")
    notes = truth.comparison(made, truth.pairs(made)).notes  # type: ignore[union-attr]
    assert any(note.startswith("not segmented: the model does not provide a target") for note in notes)
    seen = dataclasses.replace(made, images=inputs.images)
    assert cells_of(seen, "disc_axis_ratio")[-1] == "no estimate: not tested"


@pytest.mark.parametrize("age, said", [(-0.004, "0.00"), (-0.35, "\u22120.35"), (np.nan, "–")])
def test_a_correlation_that_rounds_to_zero_has_no_sign(inputs: ReportInputs, age: float, said: str) -> None:
    table = truth_table()
    table.loc[table["term"] == "vessel_density", "correlation_with_age"] = age
    assert cells_of(dataclasses.replace(inputs, truth=table), "vessel_density")[3] == said


def test_latent_phenotypes_covariates_and_other_outcomes_are_notes(inputs: ReportInputs) -> None:
    notes = " ".join(truth.comparison(inputs, truth.pairs(inputs)).notes)  # type: ignore[union-attr]
    assert "Latent phenotypes with a true effect: Glaucoma: disc tilt 0.50 (1 SD)." in notes
    assert "Covariates with a true effect: Diabetic retinopathy: age 1.49 (1 SD = 13 years)." in notes
    assert "Outcomes of the file that were not analysed: stroke." in notes
    assert "sex" not in notes and "intercept" not in notes


def test_associations_without_a_true_effect_are_counted(inputs: ReportInputs) -> None:
    made = truth.without_effect(inputs)
    assert made is not None
    assert [row.cells[0] for row in made.rows] == [inputs.outcome_label(o) for o in OUTCOMES]
    causal = {"tortuosity_distance", "vessel_density", "disc_axis_ratio"}
    for row, outcome in zip(made.rows, OUTCOMES, strict=True):
        table = inputs.associations[outcome]
        left = table[(table["status"] == "ok") & ~table["biomarker"].isin(causal if outcome == "dr" else ())]
        for cell, model in zip(row.cells[1:], ("crude", "age_sex"), strict=True):
            of_model = left[left["model"] == model]
            assert cell == f"{(of_model['q'] < 0.05).sum()} of {len(of_model)}"
    assert "not null" in made.notes[0]


# True values


def cohort(people: int, seed: int = 0, effect: float = 0.8) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Eyes measured as noise, their participants, and true values that the outcome dr depends on."""
    rng = np.random.default_rng(seed)
    n = 2 * people
    ids = np.array([f"img_{i:04d}" for i in range(n)])
    values = pd.DataFrame(
        {"image_id": ids, "vessel_density": rng.normal(0.12, 0.02, n), "cup_size": rng.normal(size=n)}
    )
    score = (values["vessel_density"] - 0.12) / 0.02
    eyes = pd.DataFrame(
        {
            "participant_id": np.repeat([f"P{i:04d}" for i in range(people)], 2), "visit": None, "image_id": ids,
            "gradability": rng.uniform(0.5, 1, n), "age": np.repeat(rng.normal(60, 9, people), 2),
            "dr": (rng.random(n) < 1 / (1 + np.exp(-effect * score))).astype(float),
            "vessel_density": rng.normal(0.2, 0.05, n), "vessel_density__status": "ok",
            "cup_size": np.nan, "cup_size__status": "not_segmented",
        }
    )  # fmt: skip
    groups = eyes.groupby("participant_id", as_index=False)
    participants = groups.agg({"visit": "first", "age": "first", "dr": "max", "gradability": "mean"})
    participants["vessel_density"] = groups["vessel_density"].mean()["vessel_density"]
    return eyes, participants, values.sample(frac=1, random_state=1).reset_index(drop=True)


MODELS = {"crude": [], "age": ["age"]}


def fits(tables: tuple[pd.DataFrame, pd.DataFrame], unit: str = "eye") -> pd.DataFrame:
    names = ["vessel_density", "cup_size"]
    return associate(*tables, "dr", biomarkers=names, models=MODELS, unit=unit)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def known() -> ReportInputs:
    """A report on 400 eyes whose measurement of vessel density is noise and that have no cup."""
    eyes, participants, values = cohort(200, seed=2)
    rows = [("dr", "vessel_density", "biomarker", "1 SD", 0.8, 0.0, 0.12, 0.02),
            ("dr", "cup_size", "biomarker", "1 SD", 0.1, 0.0, 0.0, 1.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=[*truth.WORDS, *truth.NUMBERS])
    return dataclasses.replace(
        report_inputs(6, ("dr",), pictures=0), eyes=eyes, participants=participants, images=eyes, models=MODELS,
        quality=report_inputs(6, (), pictures=0).gradings, truth=table, true_values=values,
        associations={"dr": fits((eyes, participants))},
        true_associations={"dr": fits(replace_values(eyes, participants, values, ["vessel_density", "cup_size"]))},
    )  # fmt: skip


def test_values_are_replaced_by_image_and_averaged_by_visit() -> None:
    eyes = pd.DataFrame(
        {
            "participant_id": ["b", "b", "a", "a", "c"], "visit": [None, None, 1, 2, None],
            "image_id": ["5", "4", "3", "2", "1"], "x": 9.0, "x__status": "ok", "y": 7.0,
        }
    )  # fmt: skip
    participants = pd.DataFrame(
        {"participant_id": ["c", "a", "b", "a", "d"], "visit": [np.nan, 2.0, np.nan, 1.0, np.nan], "x": 8.0}
    )
    values = pd.DataFrame({"image_id": ["1", "2", "3", "4", "6"], "x": [np.nan, 2.0, 3.0, 4.0, 6.0], "z": 1.0})
    of_eye, of_participant = replace_values(eyes, participants, values, ["x", "z"])
    assert of_eye["x"].tolist() == pytest.approx([np.nan, 4.0, 3.0, 2.0, np.nan], nan_ok=True)
    assert of_participant["x"].tolist() == pytest.approx([np.nan, 2.0, 4.0, 3.0, np.nan], nan_ok=True)
    assert of_eye["z"].isna().sum() == 1 and "x__status" not in of_eye and (of_eye["y"] == 7.0).all()
    assert (eyes["x"] == 9.0).all() and of_eye.index.equals(eyes.index)


def test_the_average_is_the_one_of_the_cohort() -> None:
    eyes, participants, _ = cohort(30)
    values = eyes[["image_id", "vessel_density"]]
    _, again = replace_values(eyes, participants, values, ["vessel_density"])
    pd.testing.assert_series_equal(again["vessel_density"], participants["vessel_density"])


def test_estimates_from_true_values_find_what_noise_does_not(known: ReportInputs) -> None:
    density, cup = truth.pairs(known)
    assert density.biomarker == "vessel_density" and list(density.of_true) == list(density.estimates) == [
        "crude",
        "age",
    ]
    for model in MODELS:
        assert density.of_true[model].covers(density.truth) and not density.estimates[model].covers(density.truth)
        assert abs(np.log(density.of_true[model].odds / density.truth)) < 0.25
        assert abs(np.log(density.estimates[model].odds)) < 0.25
    merged = known.eyes.merge(known.true_values, on="image_id")  # type: ignore[arg-type]
    rho = merged["vessel_density_x"].corr(merged["vessel_density_y"], method="spearman")
    assert (density.agreement, density.agreement_n) == (pytest.approx(rho), 400)
    assert list(cup.true_found) == ["crude", "age"] and cup.estimates == {} and cup.agreement_n == 0


def test_the_table_has_true_values_between_truth_and_photographs(known: ReportInputs) -> None:
    made = truth.comparison(known, truth.pairs(known))
    assert made is not None
    widths = [sum(h.columns for h in row) for row in made.header]
    assert widths == [len(made.align), 12, 12] and len(made.align) == 18
    texts = [h.text for h in made.header[0]]
    assert texts[4:] == [
        "From the true values", "Rank correlation of true and measured (eyes)", "From the photographs", "Status",
    ]  # fmt: skip
    cells, events = cells_of(known, "vessel_density"), int(known.eyes["dr"].sum())
    assert (cells[5], cells[12], cells[6], cells[-1]) == ("yes", "no", f"400 ({events})", "ok")
    assert cells[10].endswith(" (400)")
    cup = cells_of(known, "cup_size")
    assert "–" not in cup[4:10] and cup[10:] == (*["–"] * 7, "not measured: not segmented")
    assert sum("Rank correlation: Spearman's" in note for note in made.notes) == 1


def test_what_covers_is_counted_by_source(known: ReportInputs) -> None:
    assert truth.result(known, truth.pairs(known)) == (
        "Of 2 pairs of a biomarker and an outcome with a true effect, 2 could be estimated from the true values; the "
        "95% interval covers the truth for 2 of 2 in the model “Crude”, 2 of 2 in the model “age”. From the "
        "photographs 1 could be estimated; the 95% interval covers the truth for 0 of 1 in the model “Crude”, 0 of 1 "
        "in the model “age”."
    )


def test_the_figure_has_squares_for_true_values(known: ReportInputs) -> None:
    found = truth.pairs(known)
    axes = figures.truth_forest(known, found).axes[0]
    squares = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "s"]  # type: ignore[index]
    assert squares == pytest.approx([np.log(p.of_true["age"].odds) for p in found])
    assert len([line for line in axes.lines if line.get_marker() == "o"]) == 2
    words = [t.get_text() for t in axes.texts]
    assert "not measured: not segmented" in words and words.count("yes") + words.count("no") == 4


def test_the_section_explains_two_steps_only_with_true_values(known: ReportInputs) -> None:
    text = section(known)
    assert "in two steps" in text and "From true values" not in text and "a square for the estimate" in text
    plain = dataclasses.replace(known, true_values=None, true_associations={})
    before = section(plain)
    assert "in two steps" not in before and "a square" not in before and "From the true values" not in before
    assert len(cells_of(plain, "vessel_density")) == 11
    assert not any(line.get_marker() == "s" for line in figures.truth_forest(plain, truth.pairs(plain)).axes[0].lines)


def test_participants_get_the_mean_of_their_eyes(known: ReportInputs) -> None:
    eyes, participants, values = cohort(400, seed=3)
    replaced = replace_values(eyes, participants, values, ["vessel_density", "cup_size"])
    table = fits(replaced, "participant")
    assert set(table["n"]) == {400} and set(table["unit"]) == {"participant"}
    found = table[(table["biomarker"] == "vessel_density") & (table["model"] == "crude")].iloc[0]
    assert found["ci_low"] > 1 and found["sd"] == pytest.approx(0.02 / np.sqrt(2), rel=0.1)
    made = dataclasses.replace(
        known, eyes=eyes, participants=participants, true_values=values, true_associations={"dr": table},
        associations={"dr": fits((eyes, participants), "participant")}, unit="participant",
    )  # fmt: skip
    comparison = truth.comparison(made, truth.pairs(made))
    assert comparison is not None and any("mean of the eyes" in note for note in comparison.notes)
    assert (
        cells_of(made, "vessel_density")[6].startswith("400 (")
        and cells_of(made, "vessel_density")[10][-6:] == " (800)"
    )


def test_a_term_without_true_values_says_so(known: ReportInputs) -> None:
    values = known.true_values.drop(columns="cup_size")  # type: ignore[union-attr]
    table = known.true_associations["dr"]
    fewer = {"dr": table[table["biomarker"] != "cup_size"]}
    made = dataclasses.replace(known, true_values=values, true_associations=fewer)
    assert cells_of(made, "cup_size")[-1] == "not measured: not segmented; true values: no estimate: no true values"


def test_terms_are_the_biomarkers_with_an_effect() -> None:
    assert truth.terms(truth_table(), "dr") == ["tortuosity_distance", "vessel_density", "disc_axis_ratio"]
    assert truth.terms(truth_table(), "amd") == []


def test_true_values_are_read_again(tmp_path: Path) -> None:
    values = cohort(3)[2]
    values.to_parquet(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(truth.read_true_values(tmp_path / "b.parquet")[list(values)], values)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda t: t.drop(columns="image_id"), r"^b\.parquet: no column 'image_id'; put the truth/biomarkers\.parquet"),
        (lambda t: pd.concat([t, t.iloc[:1]]), r"^b\.parquet: image_id 'img_\d{4}' comes twice"),
    ],
)
def test_true_values_that_cannot_be_joined_are_refused(tmp_path: Path, change, said: str) -> None:
    change(cohort(3)[2]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(UserError, match=said):
        truth.read_true_values(tmp_path / "b.parquet")


def test_true_values_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_bytes(b"PAR?")
    with pytest.raises(UserError, match=r"^b\.parquet: not a Parquet table"):
        truth.read_true_values(tmp_path / "b.parquet")


# The report


def test_without_the_key_there_is_no_section(small: ReportInputs, tmp_path: Path) -> None:
    plain = dataclasses.replace(small, truth=None)
    assert 'id="truth' not in build_report(plain) and "#truth" not in build_report(plain)
    assert not [p for p in figures.write_figures(plain, tmp_path) if p.stem == "truth"]


def test_the_section_holds_text_figure_and_tables(small: ReportInputs, tmp_path: Path) -> None:
    text = section(small)
    assert text.count("<svg") == 1 and text.count("<table") == 2 and "nav" not in text
    assert '<li><a href="#truth">Truth and estimate</a></li>' in build_report(small)
    first = figures.write_figures(small, tmp_path)
    assert [p.name for p in first if p.stem == "truth"] == ["truth.svg", "truth.png"]


def test_a_truth_without_biomarkers_or_outcomes_says_so(small: ReportInputs) -> None:
    only = small.truth[small.truth["kind"] != "biomarker"]  # type: ignore[index]
    text = section(dataclasses.replace(small, truth=only))
    assert "<p>Latent phenotypes with a true effect: Glaucoma: disc tilt 0.50 (1 SD)." in text
    assert "states no effect of a biomarker" in text and "<svg" not in text and text.count("<table") == 1
    empty = report_inputs(5, (), pictures=0)
    assert "<table" not in section(dataclasses.replace(empty, truth=truth_table()))


def test_names_of_the_file_stay_text(small: ReportInputs) -> None:
    table = truth_table()
    table.loc[table["term"] == "cup_size", "term"] = SCRIPT
    table.loc[table["term"] == "disc_tilt", ["term", "per"]] = [SCRIPT, SCRIPT]
    table.loc[table["outcome"] == "stroke", "outcome"] = SCRIPT
    text = section(dataclasses.replace(small, truth=table))
    assert "<img" not in text and text.count("&lt;img src=x onerror=alert(1)&gt;") == 4


def test_the_figure_draws_each_truth_and_each_estimate(inputs: ReportInputs) -> None:
    found = truth.pairs(inputs)
    axes = figures.truth_forest(inputs, found).axes[0]
    diamonds = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]  # type: ignore[index]
    assert diamonds == pytest.approx([0.5, 0.2, -0.4, 0.8])
    points = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]  # type: ignore[index]
    wanted = [np.log(e.odds) for p in found for e in p.found.values()]
    low, high = axes.get_xlim()
    assert points == pytest.approx([x for x in wanted if low <= x <= high])
    assert low <= min(diamonds) and max(diamonds) <= high
    words = [t.get_text() for t in axes.texts]
    assert words.count("truth") == len(found) and "no estimate: too few events" in words
    assert words.count("yes") + words.count("no") == len(wanted)


def test_the_figure_repeats(inputs: ReportInputs) -> None:
    found = truth.pairs(inputs)
    assert style.svg_text(figures.truth_forest(inputs, found)) == style.svg_text(figures.truth_forest(inputs, found))


def test_one_truth_far_away_is_still_on_the_axis(inputs: ReportInputs) -> None:
    table = truth_table()
    table.loc[table["term"] == "cup_size", "log_odds_ratio"] = 4.0
    made = dataclasses.replace(inputs, truth=table)
    assert figures.truth_forest(made, truth.pairs(made)).axes[0].get_xlim()[1] > 4.0


def test_every_term_of_the_synthetic_truth_but_one_is_known() -> None:
    """Guards the fixture: only cup_size is meant to be missing from the catalogue."""
    terms = truth_table().query("kind == 'biomarker'")["term"]
    assert set(terms) - set(registry()) == {"cup_size"}
