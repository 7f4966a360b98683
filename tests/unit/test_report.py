"""The report: what it says, that it says it safely, and that it says it again byte for byte."""

import base64
import dataclasses
import hashlib
import io
import itertools
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retsam.biomarkers import REGISTRY
from retsam.io import frames
from retsam.io.masks import encode
from retsam.report import figures, overlays, style, tables
from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs, Thumbnail, estimable
from retsam.report.prose import summary
from tests.synthetic_report import SCRIPT, SECTIONS, association_table, picture, registry, report_inputs

VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """Tags with their attributes, ids, text, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    @property
    def ids(self) -> list[str]:
        return [a["id"] or "" for _, a in self.tags if "id" in a]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return report_inputs(120)


@pytest.fixture(scope="module")
def html(inputs: ReportInputs) -> str:
    return build_report(inputs)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_is_there_and_the_page_is_well_formed(page: Page) -> None:
    assert page.open == []
    assert set(SECTIONS) <= set(page.ids)
    assert [a.get("lang") for t, a in page.tags if t == "html"] == ["en"]
    assert sum(t == "h1" for t, _ in page.tags) == 1


def test_ids_are_unique_and_every_link_within_the_page_has_its_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    links = {a[k] or "" for _, a in page.tags for k in ("href", "xlink:href") if k in a}
    links = {link[1:] for link in links if link.startswith("#")}
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    painted = set(re.findall(r"url\(#([^)]+)\)", " ".join(str(a) for _, a in page.tags)))
    assert len(links) > 20 and painted and labels
    assert links | labels | painted <= set(page.ids)


def test_accessible(page: Page) -> None:
    images = [a for t, a in page.tags if t == "img"]
    assert len(images) == 6 and all(a.get("alt") for a in images)
    drawings = [a for t, a in page.tags if t == "svg"]
    assert len(drawings) == sum(a.get("class") == "drawing" for _, a in page.tags) >= 2 + 4 * 4
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawings)
    assert sum(t == "table" for t, _ in page.tags) == sum(t == "caption" for t, _ in page.tags)
    assert all(a.get("scope") for t, a in page.tags if t == "th")
    levels = [int(t[1]) for t, _ in page.tags if re.fullmatch(r"h[1-6]", t)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_nothing_is_loaded_and_nothing_runs_but_our_own_script(page: Page, html: str) -> None:
    assert not {"iframe", "object", "form", "base"} & {t for t, _ in page.tags}
    assert [a for t, a in page.tags if t == "script"] == [{}]
    script = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert not [k for _, a in page.tags for k in a if k.startswith("on")]
    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:")), attributes
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    policy = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert [p.strip() for p in (policy[0] or "").split(";")][:2] == [
        "default-src 'none'",
        f"script-src 'sha256-{digest}'",
    ]


def test_two_runs_give_the_same_bytes_and_no_date(html: str) -> None:
    assert build_report(report_inputs(120)) == html
    assert not re.search(r"\b20\d\d-\d\d-\d\d", html)
    assert "matplotlib.org" not in html


def test_callers_matplotlib_settings_do_not_matter(inputs: ReportInputs) -> None:
    import matplotlib as mpl

    before = style.svg_text(figures.flow(inputs.stages))
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "none", "svg.hashsalt": "other"}):
        assert style.svg_text(figures.flow(inputs.stages)) == before
        assert mpl.rcParams["font.size"] == 20


def test_no_absolute_path_is_printed(page: Page) -> None:
    assert "manifest.csv" in page.words and "somebody" not in page.words


@pytest.mark.parametrize(
    "value, printed", [("C:\\data\\x.csv", "x.csv"), ("~/a/b/", "b"), ("a/b.csv", "a/b.csv"), (None, "not set")]
)
def test_paths_are_cut_to_their_last_part(value: str | None, printed: str) -> None:
    assert tables.flattened({"key": {"inner": value}}) == [("key.inner", printed)]


def test_strings_of_the_user_stay_text() -> None:
    bad = report_inputs(40, (SCRIPT, "dr"), cohort=SCRIPT, pictures=1)
    entry = registry()["fd_box_mask"]
    evil = {**bad.biomarkers, "fd_box_mask": dataclasses.replace(entry, label=SCRIPT, definition=SCRIPT, unit=SCRIPT)}
    picture_ = Thumbnail(SCRIPT, f'{SCRIPT}" onerror="alert(1)', bad.thumbnails[0].data, ("vessel",))
    images = bad.images.assign(quality_status=["<b>odd</b>", *bad.images["quality_status"][1:]])
    stage = {**bad.stages[0], "label": f'"{SCRIPT}', "removed": {SCRIPT: 3}}
    text = build_report(
        dataclasses.replace(
            bad, biomarkers=evil, thumbnails=[picture_], images=images, provenance={SCRIPT: {SCRIPT: [SCRIPT]}},
            flow={**bad.flow, "notes": [SCRIPT], "stages": [stage]},
            models={SCRIPT: [SCRIPT]}, outcome_labels={"dr": SCRIPT},
        )
    )  # fmt: skip
    made = Page(text)
    assert made.open == [] and len([t for t, _ in made.tags if t == "img"]) == 1
    assert not [k for _, a in made.tags for k in a if k.startswith("on")]
    assert made.words.count(SCRIPT) >= 8


EDGE = {
    "no estimable association": (dict(estimable=False), "No association with Diabetic retinopathy could be estimated"),
    "one outcome": ({}, "Diabetic retinopathy with"),
    "no outcome": (dict(outcomes=()), "No outcome was given"),
    "five images": (dict(n=5), "The cohort holds 5 photographs"),
    "all ungradable": (dict(gradable_from=2.0), "0 (0.0%) are gradable"),
    "no image": (dict(n=0), "The cohort holds 0 photographs"),
}


@pytest.mark.parametrize("case", EDGE)
def test_edge_cohorts_still_get_a_report(case: str) -> None:
    options, said = EDGE[case]
    page = Page(build_report(report_inputs(**{"n": 24, "pictures": 0, "outcomes": ("dr",), **options})))
    assert set(SECTIONS) <= set(page.ids) and page.open == []
    assert said in page.words


def test_figures_are_written_even_with_nothing_to_draw(tmp_path: Path) -> None:
    made = dataclasses.replace(report_inputs(0, ("dr",), estimable=False, pictures=0), flow={})
    paths = figures.write_figures(made, tmp_path)
    wanted = {f"{n}.{s}" for n in ("flow", "gradability", "forest_dr") for s in ("svg", "png")}
    assert wanted <= {p.name for p in paths}
    assert all(p.stat().st_size > 500 for p in paths)


def test_outcome_without_cases_and_people_without_age(inputs: ReportInputs) -> None:
    people = inputs.participants.assign(dr=0.0, amd=np.nan, age=np.nan)
    table = tables.table_one(dataclasses.replace(inputs, participants=people), ["dr", "amd", "glaucoma"])
    assert table is not None
    total = table.rows[0].cells
    assert total[0] == "Participants" and total[1] == f"{len(people):,}"
    assert total[3] == f"{len(people):,}" and total[4] == "–" and total[6] == "–" and total[7] == "–"
    assert "Age, years (no value)" in table.notes[1]


def test_table_one_counts_and_differences_are_right() -> None:
    made = report_inputs(400, ("dr",))
    table = tables.table_one(made, ["dr"])
    assert table is not None
    people = made.participants
    rows = {row.cells[0]: row.cells for row in table.rows}
    cases, controls = (people[people["dr"] == v]["age"] for v in (1.0, 0.0))
    assert rows["Participants"][3:5] == (f"{len(controls):,}", f"{len(cases):,}")
    assert rows["Age, years, mean (SD)"][4] == f"{cases.mean():.1f} ({cases.std():.1f})"
    difference = abs(cases.mean() - controls.mean()) / np.sqrt((cases.var() + controls.var()) / 2)
    assert float(rows["Age, years, mean (SD)"][5]) == pytest.approx(difference, abs=2e-3)
    women = (people["sex"] == "f").sum()
    assert rows["female"][1] == f"{women} ({100 * women / people['sex'].notna().sum():.1f})"
    assert rows["female"][2] == f"{people['sex'].isna().sum()}"


def test_visits_are_mentioned_where_there_are_any(inputs: ReportInputs) -> None:
    said = "A participant with several visits counts once a visit."
    for repeated in (False, True):
        people = pd.concat([inputs.participants] * (1 + repeated), ignore_index=True)
        table = tables.table_one(dataclasses.replace(inputs, participants=people), ["dr"])
        assert table is not None and (said in table.notes) == repeated


def test_summary_counts_what_the_tables_hold(inputs: ReportInputs) -> None:
    text = " ".join(summary(inputs))
    assert f"holds {len(inputs.images):,} photographs" in text
    for outcome, table in inputs.associations.items():
        rows = table[(table["model"] == "age_sex") & (table["status"] == "ok")]
        assert f"{inputs.outcome_label(outcome)} with {(rows['q'] < 0.05).sum()} of {len(rows)} biomarkers" in text
    assert "neither cause nor direction" in text


def test_definitional_pairs_are_flagged() -> None:
    made = report_inputs(40, ("glaucoma",), pictures=0)
    table = made.associations["glaucoma"]
    flagged = table["biomarker"] == "cup_disc_ratio_vertical"
    assert table.loc[flagged, "definitional"].all() and not table.loc[~flagged, "definitional"].any()
    strong = table.assign(q=table["q"].where(~flagged, 0.001))
    made = dataclasses.replace(made, associations={"glaucoma": strong})
    assert "1 of them definitional" in " ".join(summary(made))
    names = [row.cells[0] for row in tables.associations(made, "glaucoma").rows if row.span]
    assert [n for n in names if n.endswith("†")] == ["Cup disc ratio vertical †"]


def test_every_association_row_is_in_the_table(inputs: ReportInputs) -> None:
    shown = [row for row in tables.associations(inputs, "dr").rows if not row.group]
    source = inputs.associations["dr"]
    assert len(shown) == len(source)
    assert sum(row.strong for row in shown) == (source["q"] < 0.05).sum()
    reasons = tables.not_estimable(inputs, "dr")
    assert dict(reasons) == {
        "The exposure is constant, the other columns determine it, or its quartile cuts coincide (every model)": (
            "Focus score"
        ),
        "Fewer cases or controls than the minimum, or than the columns of the model need (every model)": (
            "Disc axis ratio"
        ),
    }


def test_phantom_evidence_is_flagged_and_counts_nowhere() -> None:
    made = report_inputs(40, ("dr",), pictures=0)
    table = made.associations["dr"].assign(q=0.01)
    table.loc[table["family"] == "network", "evidence"] = "phantom"
    made = dataclasses.replace(made, associations={"dr": table})
    left = table[(table["family"] != "network") & (table["status"] == "ok") & (table["model"] == "age_sex")]
    assert f"with {len(left)} of {len(left)} biomarkers" in " ".join(summary(made))
    assert "Vessel network" not in {t.get_text() for t in figures.forest_of(made, "dr").axes[0].texts}
    display = tables.associations(made, "dr")
    flagged = [row.cells[0] for row in display.rows if "‡" in row.cells[0]]
    assert len(flagged) == 7 and not any(row.strong for row in display.rows if row.cells[0] in flagged)
    assert any(note.startswith("‡") for note in display.notes)


def test_notes_become_footnotes() -> None:
    made = report_inputs(40, ("dr",), pictures=0)
    table = made.associations["dr"].assign(note="")
    table.loc[[0, 3], "note"] = "left out: camera"
    table.loc[1, "note"] = "unstable"
    display = tables.associations(dataclasses.replace(made, associations={"dr": table}), "dr")
    assert display.notes[-2:] == ("[1] left out: camera.", "[2] unstable.")
    marks = [row.cells[-1] for row in display.rows if not row.group][:4]
    assert marks == ["no variation [1]", "no variation [2]", "ok", "ok [1]"]


def test_a_picture_that_is_no_fundus_is_never_gradable(inputs: ReportInputs) -> None:
    odd = inputs.images.assign(quality_status="no_fundus", gradability=0.9, gradable=True)
    made = dataclasses.replace(inputs, images=odd)
    assert not made.gradings["gradable"].any() and not made.gradings["scored"].any()
    assert overlays.choose_samples(odd) == {}
    same = inputs.images.rename(columns={"quality_status": "status"})
    given_ = dataclasses.replace(inputs, quality=same)
    pd.testing.assert_frame_equal(given_.gradings, inputs.gradings)


def test_dictionary_holds_every_entry_of_the_real_registry() -> None:
    statuses = pd.DataFrame({f"{name}__status": ["ok"] for name in REGISTRY})
    images = pd.concat(
        [report_inputs(1, ()).images[["image_id", "quality_status", "gradability", "gradable"]], statuses], axis=1
    )
    made = dataclasses.replace(report_inputs(1, ()), images=images, biomarkers=REGISTRY)
    table = tables.dictionary(made)
    assert table is not None
    assert [row.code or row.cells[0] for row in table.rows if not row.group] == list(REGISTRY)
    assert sum(row.group for row in table.rows) == len({entry.family for entry in REGISTRY.values()})
    assert all(all(row.cells) for row in table.rows)


def test_missingness_counts_every_image_once(inputs: ReportInputs) -> None:
    table = tables.missingness(inputs)
    assert table is not None
    rows = [row for row in table.rows if not row.group]
    assert len(rows) == len(registry())
    for row in rows:
        counts = [int(c.replace(",", "")) for i, c in enumerate(row.cells) if i not in (0, 2)]
        assert sum(counts) == len(inputs.images)


def test_quality_counts_every_image_once(inputs: ReportInputs) -> None:
    rows = tables.quality_reasons(inputs).rows
    assert sum(int(r.cells[1].replace(",", "")) for r in rows) == len(inputs.images)
    listed = ", ".join(ids for _, ids in tables.unusable(inputs)).split(", ")
    bad = inputs.images.loc[inputs.images["quality_status"] != "ok", "image_id"]
    assert sorted(i for i in listed if i) == sorted(bad)


@settings(deadline=None, derandomize=True)
@given(st.floats(allow_infinity=True, min_value=0, exclude_min=True))
def test_ratios_are_short_and_never_rounded_to_nothing(value: float) -> None:
    text = tables.ratio(value)
    assert len(text) <= 5 and text not in {"0", "0.00"}
    if 0.01 <= value <= 999:
        assert float(text) == pytest.approx(value, rel=0.005, abs=0.005 + 1e-9)  # a tie, 0.875, is not exact in binary


@pytest.mark.parametrize(
    "mean, sd, printed",
    [
        (1.4321, 0.0712, "1.432 (0.071)"), (12345.6, 456.7, "12,350 (460)"), (-12.34, 5.67, "-12.3 (5.7)"),
        (0.03677, 0.005821, "0.0368 (0.0058)"), (3.0, 0.0, "3 (0)"), (3.0, np.nan, "3 (–)"), (np.nan, np.nan, "–"),
    ],
)  # fmt: skip
def test_a_mean_is_as_precise_as_its_spread(mean: float, sd: float, printed: str) -> None:
    assert tables.mean_sd(mean, sd) == printed


@settings(deadline=None, derandomize=True)
@given(st.floats(0, 1))
def test_small_p_values_are_never_printed_as_zero(p: float) -> None:
    text = tables.q_value(p)
    assert text == "<0.001" if p < 0.0005 else abs(float(text) - p) <= 0.00051


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.floats(0.01, 12), st.floats(0, 1), st.booleans()), min_size=1, max_size=6
    )
)  # fmt: skip
def test_forest_draws_whatever_is_estimable(values: list[tuple[float, float, float, bool]]) -> None:
    rows = [
        {"biomarker": f"b{i}", "family": "f", "model": "crude", "or": np.exp(b), "ci_low": np.exp(b - s),
         "ci_high": np.exp(b + s), "p": q, "q": q, "definitional": d, "evidence": "annotated", "status": "ok"}
        for i, (b, s, q, d) in enumerate(values)
    ]  # fmt: skip
    figure = figures.forest(pd.DataFrame(rows), ["crude"])
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert low == -high and np.log(1.25) <= high <= figures.WIDEST + 1e-9
    ticks = axes.get_xticks()
    assert 0.0 in ticks and all(low <= t <= high for t in ticks)
    drawn = np.concatenate([np.ravel(line.get_xdata()) for line in axes.lines])
    assert (np.abs(drawn) <= high + 1e-9).all()


def test_forest_orders_by_family_and_effect_and_marks_significance() -> None:
    table = association_table("dr", np.random.default_rng(3))
    figure = figures.forest(table, ["crude", "age_sex"])
    axes = figure.axes[0]
    places = {t.get_text(): t.get_position()[1] for t in axes.texts}
    last = table[(table["model"] == "age_sex") & (table["status"] == "ok") & (table["family"] == "network")]
    order = last.sort_values("or", ascending=False)["biomarker"]
    assert [places[n] for n in order] == sorted(places[n] for n in order)
    assert places["Vessel geometry"] < places["Vessel network"] < places["Optic disc and fovea"]
    points = [line for line in axes.lines if line.get_marker() in {"o", "D"}]
    filled = sum(line.get_markerfacecolor() != "white" for line in points)
    inside = table[estimable(table) & (np.abs(np.log(table["or"].astype(float))) <= axes.get_xlim()[1])]
    assert len(points) == len(inside)
    assert filled == (inside["q"] < 0.05).sum() > 0


def test_panels_hold_every_family_on_one_axis(inputs: ReportInputs) -> None:
    whole = figures.forest_of(inputs, "dr").axes[0]
    panels = figures.forest_panels(inputs, "dr")
    assert list(panels) == ["quality", "geometry", "network", "disc_fovea"]
    assert {panel.axes[0].get_xlim() for panel in panels.values()} == {whole.get_xlim()}
    names = [t.get_text() for panel in panels.values() for t in panel.axes[0].texts]
    assert sorted(names) == sorted(t.get_text() for t in whole.texts)


def test_a_cut_interval_ends_in_an_arrow() -> None:
    table = association_table("dr", np.random.default_rng(3))
    figure = figures.forest(table, ["crude", "age_sex"])
    arrows = [line.get_marker() for line in figure.axes[0].lines if line.get_marker() in {"<", ">"}]
    assert arrows.count("<") >= 2 and arrows.count(">") >= 2  # end_points, both models


def test_written_figures_are_reproducible_and_named_safely(tmp_path: Path) -> None:
    made = report_inputs(40, ("dr", "../odd name"), pictures=0)
    first = figures.write_figures(made, tmp_path / "a")
    second = figures.write_figures(made, tmp_path / "b")
    assert [p.name for p in first if p.name.startswith("forest")] == [
        "forest_dr.svg",
        "forest_dr.png",
        "forest_.._odd_name.svg",
        "forest_.._odd_name.png",
    ]
    assert all(p.parent == tmp_path / "a" for p in first)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    with Image.open(first[1]) as image:
        assert image.info.get("dpi", (0,))[0] == pytest.approx(300, abs=1) and "Software" not in image.info


def test_names_in_any_script_and_with_dollars_are_drawn() -> None:
    stages = [
        {"stage": "manifest", "label": "$x^2$ 網膜 é", "n_images": 1, "n_eyes": 1, "n_participants": 1, "removed": {}}
    ]
    texts = [t.get_text() for t in figures.flow(stages).axes[0].texts]
    assert texts == ["$x^2$ 網膜 é", "1 photograph · 1 eye · 1 participant"]
    assert "<svg" in style.inline_svg(figures.flow(stages), "p", "label")


def test_flow_names_what_was_removed(inputs: ReportInputs) -> None:
    texts = [t.get_text() for t in figures.flow_of(inputs).axes[0].texts]
    for i, stage in enumerate(inputs.stages):
        drawn = i in (0, len(inputs.stages) - 1) or sum(stage["removed"].values()) > 0
        assert (stage["label"] in texts) == drawn
        for reason, n in stage["removed"].items():
            assert (f"{n:,}  {reason.replace('_', ' ')}" in texts) == bool(n)


# Thumbnails


def test_thumbnail_draws_the_outline_where_the_mask_is() -> None:
    image, masks, points = picture(size=512)
    with Image.open(io.BytesIO(overlays.thumbnail(image, masks, points))) as made:
        assert made.size == (320, 320) and made.format == "JPEG" and not made.getexif()
        drawn = np.asarray(made.convert("RGB")).astype(int)
    plain = cv2.resize(image, (320, 320), interpolation=cv2.INTER_AREA).astype(int)
    changed = np.abs(drawn - plain).sum(-1) > 120
    union = (masks["vessel"] | masks["optic_disc"]).astype(np.uint8)
    near = cv2.dilate(cv2.resize(union, (320, 320), interpolation=cv2.INTER_NEAREST), np.ones((9, 9), np.uint8)) > 0
    x, y = (np.array(points["fovea"]) * 320 / 512).astype(int)
    near[y - 16 : y + 17, x - 16 : x + 17] = True
    assert changed.sum() > 300 and not (changed & ~near).any()


def test_thumbnail_without_masks_is_the_photograph_and_repeats() -> None:
    image, masks, points = picture()
    assert overlays.thumbnail(image, {}, {}) == overlays.thumbnail(image, {})
    assert overlays.thumbnail(image, masks, points) == overlays.thumbnail(image, dict(reversed(masks.items())), points)
    assert overlays.thumbnail(image, {"vessel": np.zeros((256, 256), bool)}) == overlays.thumbnail(image, {})


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=40),
    st.integers(1, 15),
    st.randoms(use_true_random=False),
)
def test_samples_show_the_best_and_the_worst_whatever_the_order(values: list[float], n: int, random) -> None:
    images = pd.DataFrame(
        {"image_id": [f"i{k:03d}" for k in range(len(values))], "gradability": np.array(values, float)}
    )
    images["gradable"] = images["gradability"] >= 0.5
    chosen = overlays.choose_samples(images, n)
    order = list(range(len(values)))
    random.shuffle(order)
    assert list(overlays.choose_samples(images.iloc[order], n).items()) == list(chosen.items())
    scored = images.dropna()
    assert len(chosen) == min(n, len(scored))
    if n >= 3 and len(scored):
        assert scored.sort_values(["gradability", "image_id"], ascending=[False, True])["image_id"].iloc[0] in chosen
        assert scored["gradability"].min() in set(scored.set_index("image_id").loc[list(chosen), "gradability"])


def mask_rows(image_id: str, size: int) -> list[dict]:
    _, masks, points = picture(size=size)
    common = {"image_id": image_id, "status": "ok", "frame_size": size}
    rows = [{**common, "target": "fov", "rle": encode(np.ones((size, size), bool)), "x": np.nan, "y": np.nan}]
    masks = {**masks, "drusen": np.zeros((size, size), bool)}  # looked for and not found: no word of it
    rows += [{**common, "target": t, "rle": encode(m), "x": np.nan, "y": np.nan} for t, m in masks.items()]
    x, y = points["fovea"]
    return [*rows, {**common, "target": "fovea", "rle": None, "x": x, "y": y}]


def test_samples_are_rendered_and_bad_photographs_left_out(tmp_path: Path) -> None:
    image, _, _ = picture(size=640)
    cv2.imwrite(str(tmp_path / "a b.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    unframed = {"image_id": "unframed", "status": "unreadable", "target": "fov", "rle": None, "frame_size": np.nan}
    masks = pd.DataFrame([*mask_rows("good", 256), *mask_rows("broken", 256), unframed])
    manifest = pd.DataFrame({"image_id": ["good", "broken", "unframed"], "path": ["a b.png", "broken.jpg", "none.jpg"]})
    ids = {"broken": "first", "good": "best gradability", "unframed": "", "unknown": ""}
    made = overlays.render_samples(masks, manifest, tmp_path, ids)
    assert [t.image_id for t in made] == ["good"]
    assert made[0].caption == "good: best gradability; found: vessel, optic disc"
    assert made[0].targets == ("vessel", "optic_disc", "fovea")
    with Image.open(io.BytesIO(made[0].data)) as pair:
        assert pair.size == (640, 320)
    assert frames.load_frame(tmp_path / "a b.png", 256).image is not None


@pytest.mark.slow
def test_a_cohort_of_two_thousand_photographs_is_fast_and_small() -> None:
    made = report_inputs(2000, pictures=12)
    start = time.process_time()
    text = build_report(made)
    assert time.process_time() - start < 20
    assert len(text.encode()) < 15e6
