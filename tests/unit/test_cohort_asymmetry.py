"""How much the two eyes of a person differ, in the participants' table."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from retsam.cohort import Cohort, build_cohort, write_cohort

EYES = [  # participant, visit, eye, width, its status
    ("a", None, "OD", 3.0, "ok"),
    ("a", None, "OS", 1.0, "ok"),
    ("b", None, "OD", 2.0, "ok"),
    ("c", None, "OD", np.nan, "not_visible"),
    ("c", None, "OS", 5.0, "ok"),
    ("d", None, "OS", 0.0, "ok"),
    ("d", None, "OD", 0.0, "ok"),
    ("e", None, None, 2.0, "ok"),
    ("e", None, None, 4.0, "ok"),
    ("f", "1", "OD", 4.0, "ok"),
    ("f", "2", "OS", 2.0, "ok"),
    ("f", "2", "OD", -2.0, "ok"),
    ("g", None, "OD", 1.0, "ok"),
    ("g", None, "OS", np.nan, "out_of_view"),
]


def cohort(eyes: list[tuple] = EYES, **kwargs) -> Cohort:
    table = pd.DataFrame(eyes, columns=["participant_id", "visit", "eye", "width", "width__status"])
    table.insert(0, "image_id", [f"im{i}" for i in range(len(table))])
    manifest = table[["image_id", "participant_id", "visit", "eye"]].assign(
        manifest_row=range(1, len(table) + 1), age=np.nan, sex=None, status="ok", message=None
    )
    quality = table[["image_id"]].assign(status="ok", message=None, gradability=0.9, gradable=True)
    measured = table[["image_id", "width", "width__status"]].assign(status="ok", laterality=None, other=1.0)
    return build_cohort(manifest, quality, measured.assign(other__status="ok"), **kwargs)


def of_person(table: pd.DataFrame) -> dict[str, list]:
    visit = table["visit"].fillna("")
    columns = ["width__right_minus_left", "width__asymmetry", "width__asymmetry__status"]
    return dict(zip(table["participant_id"] + visit, table[columns].to_numpy().tolist(), strict=True))


def test_right_against_left():
    found = of_person(cohort(asymmetry=["width"]).participants)
    nothing = [pytest.approx(np.nan, nan_ok=True)] * 2
    assert found == {
        "a": [2, 1, "ok"],
        "b": [*nothing, "not_assessed"],
        "c": [*nothing, "not_visible"],
        "d": [0, nothing[0], "undefined"],
        "e": [*nothing, "not_assessed"],  # nobody knows which eye is which
        "f1": [*nothing, "not_assessed"],
        "f2": [-4, 2, "ok"],  # of opposite signs: as far apart as can be
        "g": [*nothing, "out_of_view"],
    }


def test_exchanged_eyes_turn_the_sign():
    other = {"OD": "OS", "OS": "OD", None: None}
    exchanged = [(person, visit, other[eye], *rest) for person, visit, eye, *rest in EYES]
    one, two = (cohort(e, asymmetry=["width"]).participants for e in (EYES, exchanged))
    assert one["width__right_minus_left"].to_numpy() == pytest.approx(-two["width__right_minus_left"], nan_ok=True)
    assert one["width__asymmetry"].to_numpy() == pytest.approx(two["width__asymmetry"], nan_ok=True)


def test_scale_and_order_do_not_matter():
    larger = [(*rest, width * 1000, status) for *rest, width, status in EYES]
    one, two = (cohort(e, asymmetry=["width"]).participants for e in (EYES, larger))
    assert one["width__asymmetry"].to_numpy() == pytest.approx(two["width__asymmetry"], nan_ok=True)
    back = of_person(cohort(EYES[::-1], asymmetry=["width"]).participants)
    for person, values in of_person(one).items():
        assert back[person] == [pytest.approx(values[0], nan_ok=True), pytest.approx(values[1], nan_ok=True), values[2]]


def test_only_where_it_is_asked_for():
    plain, asked = cohort().participants, cohort(asymmetry=["width", "other"]).participants
    assert not [c for c in plain if "asymmetry" in c or "right_minus_left" in c]
    pd.testing.assert_frame_equal(plain, asked[plain.columns])
    assert [c for c in asked if c.startswith("other__")] == [
        "other__status",
        "other__right_minus_left",
        "other__asymmetry",
        "other__asymmetry__status",
    ]


def test_the_table_as_written(tmp_path):
    write_cohort(cohort(asymmetry=["width"]), tmp_path)
    schema = pq.read_schema(tmp_path / "participants.parquet")
    assert [str(schema.field(f"width__{c}").type) for c in ("right_minus_left", "asymmetry", "asymmetry__status")] == [
        "double",
        "double",
        "string",
    ]


def test_nobody_is_left():
    assert len(cohort([("a", None, "OD", 1.0, "ok")], asymmetry=["width"]).participants) == 1
    empty = cohort([("a", None, "OD", 1.0, "ok")], asymmetry=["width"], biomarker_names=["width"]).participants
    assert empty["width__asymmetry__status"].tolist() == ["not_assessed"]
