"""Figures of associations, values and prediction: what they show, of how many, and that they never fail."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import norm, spearmanr

from retsam.biomarkers import REGISTRY
from retsam.report import figures, style
from retsam.report.figures import availability, correlation_map, effects, groups, heat_map, robustness
from retsam.report.inputs import ReportInputs
from tests.synthetic_report import SCRIPT, report_inputs
from tests.synthetic_study import row_of, study

OF_COHORT = ("heatmap", "correlation", "missingness", "reliability")
OF_OUTCOME = ("forest_of", "volcano", "distributions", "shape", "sensitivity", "prediction")
PAGE = 9.75


@pytest.fixture(scope="module")
def small() -> ReportInputs:
    return study(12, 60, ("dr", "glaucoma"))


@pytest.fixture(scope="module")
def large() -> ReportInputs:
    return study(list(REGISTRY), 40, ("dr",))


@pytest.fixture(scope="module")
def small_figures(small: ReportInputs) -> dict[str, Figure | None]:
    return drawn(small)


@pytest.fixture(scope="module")
def large_figures(large: ReportInputs) -> dict[str, Figure | None]:
    return drawn(large)


def drawn(inputs: ReportInputs) -> dict[str, Figure | None]:
    made = {name: getattr(figures, name)(inputs) for name in OF_COHORT}
    return made | {f"{n} {o}": getattr(figures, n)(inputs, o) for n in OF_OUTCOME for o in inputs.associations}


def words(figure: Figure) -> str:
    found = [t.get_text() for t in figure.texts]
    found += [t.get_text() for axes in figure.axes for t in (*axes.texts, axes.title, axes._left_title)]
    found += [t.get_text() for axes in figure.axes for t in (*axes.get_yticklabels(), *axes.get_xticklabels())]
    return " ".join(found)


def test_every_figure_is_drawn_within_a_page(small_figures: dict, large_figures: dict) -> None:
    for name, figure in [*small_figures.items(), *large_figures.items()]:
        assert figure is not None, name
        width, height = figure.get_size_inches()
        assert width == style.WIDTH and height < PAGE, name
        figure.draw_without_rendering()
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        boxes = {t.get_text(): t.get_window_extent() for t in texts}
        page = figure.bbox
        out = [w for w, b in boxes.items() if b.x0 < -5 or b.x1 > page.x1 + 5 or b.y0 < -3 or b.y1 > page.y1 + 3]
        assert not out, (name, out)


def test_the_same_inputs_give_the_same_bytes(small_figures: dict) -> None:
    again = study(12, 60, ("dr", "glaucoma"))
    for name in ("heatmap", "correlation", "reliability"):
        assert style.svg_text(small_figures[name]) == style.svg_text(getattr(figures, name)(again)), name
    for name in ("volcano", "distributions", "sensitivity"):
        assert style.svg_text(small_figures[f"{name} dr"]) == style.svg_text(getattr(figures, name)(again, "dr")), name
    pair = figures.volcano(again, "dr"), small_figures["volcano dr"]
    assert style.pdf_bytes(pair[0]) == style.pdf_bytes(pair[1])


def test_a_large_cohort_says_what_it_leaves_out(large: ReportInputs, large_figures: dict) -> None:
    total = len(REGISTRY) - 1  # one is not estimable
    assert f"{heat_map.MOST} of {total} biomarkers" in words(large_figures["heatmap"])
    assert f"of {total} biomarkers, the strongest of each family" in words(large_figures["forest_of dr"])
    assert f"{availability.ROWS} of {len(REGISTRY)} biomarkers" in words(large_figures["reliability"])
    assert f"{total} biomarkers in {correlation_map.MOST} groups" in words(large_figures["correlation"])
    panels = figures.forest_panels(large, "dr")
    assert set(panels) == {b.family for b in REGISTRY.values()}
    assert all(panel.get_size_inches()[1] < PAGE for panel in panels.values())


@pytest.mark.parametrize("models", [1, 3, 5])
def test_a_forest_of_any_number_of_models_fits_a_page(small: ReportInputs, models: int) -> None:
    names = [f"model {i}" for i in range(models)]
    rows = [row_of("dr", b, m, 0.01 * i, 0.1) for i, b in enumerate(REGISTRY) for m in names]
    made = dataclasses.replace(small, associations={"dr": pd.DataFrame(rows)}, models={})
    figure = figures.forest_of(made, "dr")
    assert PAGE - 2 < figure.get_size_inches()[1] < PAGE
    shown = 9 if models == 3 else 7 if models == 5 else 10
    headings = [t for t in figure.axes[0].texts if t.get_weight() == "bold" and t.get_size() == 8]
    assert len(headings) == shown and "the strongest of" in words(figure)


EDGES = {
    "no values and no other analysis": lambda: report_inputs(40, ("dr",), pictures=0),
    "nothing estimable": lambda: report_inputs(40, ("dr",), estimable=False, pictures=0),
    "no outcome": lambda: report_inputs(40, (), pictures=0),
    "five images": lambda: report_inputs(5, ("dr",), pictures=0),
    "no image": lambda: report_inputs(0, ("dr",), pictures=0),
    "one biomarker": lambda: study(["vessel_density"], 30, ("dr",)),
    "one participant": lambda: study(4, 1, ("dr",)),
    "no cases": lambda: with_outcome(0.0),
    "all cases": lambda: with_outcome(1.0),
    "outcome unknown": lambda: with_outcome(np.nan),
    "constant biomarkers": lambda: constant(),
}


def with_outcome(value: float) -> ReportInputs:
    made = study(6, 30, ("dr",))
    return dataclasses.replace(made, participants=made.participants.assign(dr=value))


def constant() -> ReportInputs:
    made = study(6, 30, ("dr",))
    names = list(made.associations["dr"]["biomarker"].unique())
    return dataclasses.replace(
        made, eyes=made.eyes.assign(**dict.fromkeys(names, 1.0)),
        participants=made.participants.assign(**dict.fromkeys(names, 1.0)),
    )  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
@pytest.mark.filterwarnings("error")
def test_edge_cohorts_give_a_figure_or_none(case: str) -> None:
    for figure in drawn(EDGES[case]()).values():
        if figure is not None:
            figure.draw_without_rendering()


def test_nothing_to_draw_is_none() -> None:
    bare = EDGES["nothing estimable"]()
    assert figures.heatmap(bare) is None and figures.correlation(bare) is None
    for name in ("volcano", "distributions", "shape", "sensitivity", "prediction"):
        assert getattr(figures, name)(bare, "dr") is None, name


def test_continuous_and_graded_outcomes_are_drawn(tmp_path: Path) -> None:
    made = study(8, 60, ("dr", "iop"), kinds={"iop": "continuous", "dr": "ordinal"})
    forest = figures.forest_of(made, "iop")
    assert "β (95% CI)" in words(forest) and forest.axes[0].get_xlabel().startswith("Difference per SD")
    assert "OR (95% CI)" in words(figures.forest_of(made, "dr"))
    shown = drawn(made)
    assert shown["prediction iop"] is None
    missing = [name for name, figure in shown.items() if figure is None]
    assert set(missing) == {"prediction iop", "prediction dr"}
    assert {t.get_text().split("\n")[0] for t in shown["distributions iop"].axes[0].get_xticklabels()} == {
        "Q1", "Q2", "Q3", "Q4",
    }  # fmt: skip


def test_the_flow_counts_what_kinds_of_outcomes_have(small: ReportInputs) -> None:
    counts = {
        "dr": {"kind": "ordinal", "eyes": {"cases": 7, "controls": 40, "unknown": 2}},
        "glaucoma": {"kind": "continuous", "eyes": {"known": 45, "unknown": 4}},
    }
    said = words(figures.flow_of(dataclasses.replace(small, flow={**small.flow, "outcomes": counts})))
    for text in ("7 above the lowest grade", "40 of the lowest grade", "45 known", "4 unknown"):
        assert text in said


@pytest.mark.parametrize("n", [1, 5, 9])
def test_any_number_of_outcomes_has_room_in_the_heat_map(n: int) -> None:
    made = study(4, 20, tuple(f"a long name of an outcome, number {i}" for i in range(n)))
    figure = figures.heatmap(made)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts]
    assert all(b.x0 > -3 and b.x1 < figure.bbox.x1 + 3 and b.y1 < figure.bbox.y1 + 3 for b in boxes)


def test_labels_stay_text(small: ReportInputs) -> None:
    bad = dataclasses.replace(small, outcome_labels={"dr": f"{SCRIPT} $x$"})
    for name in ("volcano", "forest_of"):
        figure = getattr(figures, name)(bad, "dr")
        assert f"{SCRIPT} $x$" in words(figure)
        assert SCRIPT not in style.inline_svg(figure, "p", SCRIPT)


# What is shown


def test_z_scores_are_those_of_the_p_value(small: ReportInputs) -> None:
    rows = effects.placed(small.associations["dr"])
    z = effects.signed_z(rows)
    expected = rows["log_or"] / rows["se"]
    np.testing.assert_allclose(z, expected, rtol=1e-6, atol=1e-9)
    zero = rows.assign(p=0.0, at=-1.0)
    assert (effects.signed_z(zero) == -effects.FURTHEST).all()
    assert (effects.signed_z(rows.assign(p=np.nan)) == 0).all()


def test_the_heat_map_shows_the_most_adjusted_model_and_prints_what_is_significant(small: ReportInputs) -> None:
    cells = heat_map.cells_of(small)
    assert set(cells["model"]) == {"age_sex"}
    assert len(cells) == sum(
        (t["model"].eq("age_sex") & t["status"].eq("ok")).sum() for t in small.associations.values()
    )
    axes = figures.heatmap(small).axes[0]
    printed = [t for t in axes.texts if "–" in t.get_text()]
    assert len(printed) == cells["q"].lt(small.alpha).sum() > 0
    hatched = [p for p in axes.patches if p.get_hatch()]
    assert len(hatched) == cells["definitional"].sum() > 0


def test_the_volcano_draws_every_estimate_once(small: ReportInputs) -> None:
    axes = figures.volcano(small, "dr").axes[0]
    points = sum(len(c.get_offsets()) for c in axes.collections)
    assert points == 11
    low, high = axes.get_xlim()
    places = np.vstack([c.get_offsets() for c in axes.collections if len(c.get_offsets())])
    assert (places[:, 0] >= low).all() and (places[:, 0] <= high).all() and (places[:, 1] <= axes.get_ylim()[1]).all()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), min_size=1), st.integers(1, 80))
def test_shares_are_fair(sizes: dict[str, int], most: int) -> None:
    shares = effects.fair_shares(sizes, most)
    assert all(1 <= shares[g] <= sizes[g] for g in sizes)
    assert sum(shares.values()) == max(min(most, sum(sizes.values())), len(sizes))
    cut = [shares[g] for g in sizes if shares[g] < sizes[g]]
    assert not cut or max(shares.values()) - min(cut) <= 1


def test_small_panels_mix_families_and_put_definitional_pairs_last(large: ReportInputs) -> None:
    names = effects.strongest(large, "dr", 8)
    flags = ["dr" in REGISTRY[n].definitional for n in names]
    assert len(names) == len(set(names)) == 8
    assert flags == sorted(flags) and sum(flags) == 2
    families = pd.Series([REGISTRY[n].family for n in names[:6]]).value_counts()
    assert families.max() <= 3
    some = [n for n in REGISTRY if REGISTRY[n].family == "calibre"][:4]
    assert set(effects.strongest(large, "dr", 8, some)) <= set(some)


# Values


def test_rank_correlations_are_spearmans_without_gaps_and_bounded_with_them() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(200, 5)) + rng.normal(size=(200, 1))
    np.testing.assert_allclose(correlation_map.rank_correlations(values), spearmanr(values).statistic, atol=1e-12)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 4] = np.where(np.isnan(values[:, 4]), np.nan, 2.0)
    r = correlation_map.rank_correlations(values)
    assert np.array_equal(r, r.T) and (np.abs(r) <= 1).all() and (r[4, :4] == 0).all()
    pair = values[np.isfinite(values[:, :2]).all(axis=1), :2]
    assert r[0, 1] == pytest.approx(spearmanr(pair).statistic, abs=0.03)


def test_similar_biomarkers_are_grouped_and_every_member_counts() -> None:
    rng = np.random.default_rng(2)
    factors = rng.normal(size=(300, 3))
    values = np.repeat(factors, [5, 3, 2], axis=1) * [1, -1, 1, -1, 1, 1, 1, -1, 1, 1]
    r = correlation_map.rank_correlations(values + 0.2 * rng.normal(size=values.shape))
    order, sizes = correlation_map.grouped(r, 3)
    assert sorted(sizes) == [2, 3, 5] and {(0, 5), (1, 3), (2, 2)} == {
        ((0, 1, 2)[int(i >= 5) + int(i >= 8)], s) for i, s in zip(order, sizes, strict=True)
    }
    assert sorted(correlation_map.grouped(r, 20)[0]) == list(range(10))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60))
def test_a_density_lies_between_0_and_1(values: list[float]) -> None:
    grid, shape = groups.density(np.array(values), -5, 5)
    assert grid.shape == shape.shape == (groups.CELLS,)
    assert (shape >= 0).all() and shape.max() == pytest.approx(1)


def test_a_density_is_that_of_the_normal_distribution() -> None:
    values = norm.ppf((np.arange(20000) + 0.5) / 20000)
    grid, shape = groups.density(values, -4, 4)
    np.testing.assert_allclose(shape, np.exp(-(grid**2) / 2), atol=0.03)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.floats(0, 1e6), st.floats(1e-3, 1e6), st.floats(1e-4, 1))
def test_ticks_of_squeezed_values_lie_in_their_range(low: float, width: float, scale: float) -> None:
    ticks = groups._squeezed_ticks(low, low + width, scale)
    assert (np.diff(ticks) > 0).all() and (ticks >= low).all() and (ticks <= low + width).all()


def test_groups_of_outcomes() -> None:
    binary = groups.groups_of(pd.Series([0, 1, np.nan, 1.0]))
    assert {k: v.tolist() for k, v in binary.items()} == {
        "without": [True, False, False, False], "with": [False, True, False, True],
    }  # fmt: skip
    assert list(groups.groups_of(pd.Series([0, 1, 2, 4, np.nan]))) == ["0", "1", "2", "4"]
    quarters = groups.groups_of(pd.Series([*np.arange(100.0), np.nan]))
    assert [int(v.sum()) for v in quarters.values()] == [25, 25, 25, 25]


def test_missing_values_are_shares_of_all_photographs(small: ReportInputs) -> None:
    shares = availability.status_shares(small)
    assert shares["members"].sum() == 12
    np.testing.assert_allclose(shares.drop(columns="members").sum(axis=1), 1)
    assert shares["ok"].is_monotonic_increasing
    same = small.images.assign(**{c: "ok" for c in small.images if c.endswith("__status")})
    one = availability.status_shares(dataclasses.replace(small, images=same))
    assert one["members"].tolist() == [12] and one["ok"].tolist() == [1.0]


def test_the_eyes_of_a_person_are_paired_whatever_their_order() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=50)
    eyes = pd.DataFrame({
        "participant_id": [f"P{i}" for i in range(50)] * 2, "eye": ["OD"] * 50 + ["OS"] * 50, "visit": None,
        "x": np.concatenate([base, base + 0.5]), "y": rng.normal(size=100),
    })  # fmt: skip
    for table in (eyes, eyes.sample(frac=1, random_state=0)):
        made = availability.between_eyes(table, ["x", "y"])
        assert made["x"].n == 50 and made["x"].bias == pytest.approx(0.5) and made["x"].icc > 0.8
        assert abs(made["y"].icc) < 0.4
    visits = eyes.assign(visit=["a", "b"] * 50)
    assert availability.between_eyes(visits, ["x"])["x"].n == 50
    assert availability.between_eyes(eyes.drop(columns="eye"), ["x"]) == {}


# Other analyses


@pytest.mark.parametrize(
    "analysis, printed",
    [
        ("all_gradabilities", "All gradabilities"), ("one_eye", "One eye a person"),
        ("without_site:North clinic", "Without site North clinic"), ("stratum:sex=f", "sex = f"),
        ("something_new", "Something new"),
    ],
)  # fmt: skip
def test_analyses_have_names(analysis: str, printed: str) -> None:
    assert robustness.analysis_label(analysis) == printed


def test_more_analyses_than_fit_go_below(small: ReportInputs) -> None:
    one = figures.sensitivity(small, "dr")
    assert len(one.axes) == 5
    rows = small.analyses["dr"]
    more = [rows[rows["analysis"].eq("one_eye")].assign(analysis=f"without_site:{i}") for i in range(4)]
    made = dataclasses.replace(small, analyses={**small.analyses, "dr": pd.concat([rows, *more])})
    two = figures.sensitivity(made, "dr")
    assert len(two.axes) == 9 and two.get_size_inches()[1] > one.get_size_inches()[1]


def test_quarters_are_drawn_against_the_first(small: ReportInputs) -> None:
    figure = figures.shape(small, "dr")
    assert len(figure.axes) == robustness.PANELS
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(points) == 3 and "non-linear" in words(figure) and "trend" in words(figure)


def test_written_figures_have_each_its_name(small: ReportInputs, tmp_path: Path) -> None:
    one = dataclasses.replace(small, associations={"dr": small.associations["dr"]})
    made = {p.name for p in figures.write_figures(one, tmp_path)}
    for kind in ("flow", "gradability", "missingness", "heatmap", "correlation", "reliability", "forest_dr",
                 "volcano_dr", "distributions_dr", "shape_dr", "sensitivity_dr", "prediction_dr"):  # fmt: skip
        assert {f"{kind}.svg", f"{kind}.png"} <= made
