"""Tables and sentences about prediction: from real predictions, hostile names, and outcomes that were not predicted."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from retsam.association.prediction import PREDICTION, predict
from retsam.report import prediction
from retsam.tables import conform
from tests.synthetic_report import report_inputs

HOSTILE = '<img src=x onerror="alert(1)">'


def cohort(people: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = np.repeat(rng.random(people) < 0.4, 2).astype(float)
    x = rng.normal(size=(2 * people, 20)) + y[:, None] * (np.arange(20) < 3)
    table = pd.DataFrame(x, columns=[f"b{i}" for i in range(20)])
    age = np.repeat(rng.normal(60, 10, people), 2) + 8 * y
    return table.assign(participant_id=np.repeat(np.arange(people), 2).astype(str), age=age, dr=y)


@pytest.fixture(scope="module")
def inputs():
    table = cohort()
    names = [f"b{i}" for i in range(20)]
    some = predict(table, table, "dr", biomarkers=names, folds=3)
    none = predict(table.head(6), table.head(6), "dr", biomarkers=names, folds=3)
    made = {"dr": some, HOSTILE: none}
    return dataclasses.replace(
        report_inputs(40, ("dr",), pictures=0),
        prediction={outcome: m.performance for outcome, m in made.items()},
        prediction_curves={outcome: m.curves for outcome, m in made.items()},
        prediction_weights={outcome: m.weights for outcome, m in made.items()},
        config={"prediction": {"max_missing": 0.5, "definitional": False}},
    )


def test_performance(inputs):
    table = prediction.performance(inputs, "dr")
    assert table is not None
    assert [row.cells[0] for row in table.rows] == ["Age and sex", "Biomarkers", "Both"]
    assert all(len(row.cells) == len(table.align) == 8 for row in table.rows)
    assert table.rows[0].cells[3:5] == ("–", "–")
    line = inputs.prediction["dr"].set_index("set").loc["both"]
    assert table.rows[2].cells[2] == f"{line['auc']:.2f} ({line['low']:.2f}–{line['high']:.2f})"
    assert table.rows[2].strong
    assert "eyes (82 affected) of 120 participants" in table.notes[0]
    columns = sum(h.columns for h in table.header[0])
    assert columns == 8


def test_weights(inputs):
    table = prediction.weights(inputs, "dr")
    assert table is not None
    assert len(table.rows) == prediction.MOST_WEIGHTS
    assert "set “Both”" in table.caption
    assert {row.cells[0] for row in table.rows[:4]} == {"Age, years", "b0", "b1", "b2"}
    assert all(row.cells[3] == "3 of 3" for row in table.rows[:4])
    assert "of 21" in table.notes[1]


def test_names_of_columns(inputs):
    assert prediction.feature_label(inputs, "sex[m]") == "Sex: male"
    assert prediction.feature_label(inputs, "age[old]") == "Age, years: old"
    assert prediction.feature_label(inputs, "x[y]") == "x[y]"


def test_sentences(inputs):
    text = " ".join(prediction.sentences(inputs, "dr"))
    line = inputs.prediction["dr"].set_index("set").loc["both"]
    assert f"{line['auc']:.2f} ({line['low']:.2f}–{line['high']:.2f}) from both" in text
    assert f"{line['delta_auc']:.2f} more than age and sex" in text
    assert "calibration slope of the prediction from both" in text
    assert "20 biomarkers" in text
    assert "nested 3-fold" in prediction.methods(inputs)[0]
    assert "those that define the outcome, those missing in more than 50%" in prediction.methods(inputs)[1]
    used = dataclasses.replace(inputs, config={"prediction": {"definitional": True}})
    assert "define" not in prediction.methods(used)[1]


def test_an_outcome_that_was_not_predicted(inputs):
    table = prediction.performance(inputs, HOSTILE)
    assert table is not None
    assert all(row.cells[2] == "too few events" for row in table.rows)
    assert "–" not in prediction.sentences(inputs, HOSTILE)[0]
    assert "at least 20 of each" in prediction.sentences(inputs, HOSTILE)[0]
    assert prediction.weights(inputs, HOSTILE) is None
    assert "<" not in table.key


def test_without_prediction(inputs):
    nothing = dataclasses.replace(inputs, prediction={}, prediction_curves={}, prediction_weights={})
    assert prediction.performance(nothing, "dr") is None
    assert prediction.weights(nothing, "dr") is None
    assert prediction.sentences(nothing, "dr") == []
    assert prediction.methods(nothing) == []


def line(**values: object) -> pd.DataFrame:
    base = dict.fromkeys(PREDICTION.names, np.nan) | {
        "outcome": "dr", "unit": "eye", "n": 100, "n_events": 40, "n_participants": 60, "n_participants_events": 30,
        "n_unknown_outcome": 0, "n_missing": 0, "n_features": 2, "folds": 5, "status": "ok", "note": "",
    }  # fmt: skip
    rows = [{**base, "set": "age_sex", "auc": 0.6, "low": 0.5, "high": 0.7}, {**base, "set": "both", **values}]
    return conform(pd.DataFrame(rows), PREDICTION).to_pandas()


def test_a_difference_that_may_be_none_and_one_that_is_a_loss(inputs):
    def text(**values: object) -> str:
        return " ".join(prediction.sentences(dataclasses.replace(inputs, prediction={"dr": line(**values)}), "dr"))

    unclear = text(auc=0.61, low=0.5, high=0.7, delta_auc=0.01, delta_low=-0.02, delta_high=0.04, delong_p=0.5)
    assert "not clearly different from age and sex: 0.010 (-0.020 to 0.040), p = 0.500" in unclear
    loss = text(auc=0.5, low=0.4, high=0.6, delta_auc=-0.1, delta_low=-0.15, delta_high=-0.05, delong_p=1e-5)
    assert "0.10 less than age and sex (0.05–0.15, p <0.001)" in loss
    perfect = text(auc=1.0)
    assert "1.00 from both" in perfect
    assert "nan" not in perfect
