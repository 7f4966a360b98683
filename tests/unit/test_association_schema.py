"""The columns that every association row has, and what repeatability makes of an odds ratio."""

import numpy as np
import pandas as pd
import pytest

from retsam.association import ASSOCIATION, associate, repeatability
from retsam.association.attenuation import with_attenuation

FIGURES = pd.DataFrame(
    {
        "biomarker": ["a", "a", "b", "c", "d"],
        "source": ["drive_observers", "eyes_odir", "drive_observers", "eyes_odir", "drive_observers"],
        "icc": [0.9, 0.5, 0.8, np.nan, -0.1],
    }
)


def test_agreement_of_eyes_comes_before_that_of_observers() -> None:
    assert repeatability(FIGURES) == {
        "a": (0.5, "eyes_odir"),
        "b": (0.8, "drive_observers"),
        "d": (-0.1, "drive_observers"),
    }


def test_a_repeatable_biomarker_would_have_the_odds_ratio_over_its_icc() -> None:
    table = pd.DataFrame(
        {
            "biomarker": ["a", "a", "a", "b", "c", "d", "e"],
            "term": ["per_sd", "trend", "per_sd", "per_sd", "per_sd", "per_sd", "per_sd"],
            "transform": ["none", "none", "log1p", "none", "none", "none", "none"],
            "log_or": [0.2, 0.2, 0.2, np.nan, 0.2, 0.2, 0.2],
        }
    )
    made = with_attenuation(table, repeatability(FIGURES) | {"e": (0.29, "eyes_odir")})
    assert made["or_if_reliable"][0] == pytest.approx(np.exp(0.4))
    assert (
        made["or_if_reliable"][1:].isna().all()
    )  # another term, a transform, no estimate, no ICC, a negative or a low one
    assert made["icc_source"].tolist()[:4] == ["eyes_odir"] * 3 + ["drive_observers"] and made["icc_source"][4] is None


def test_main_rows_say_so() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"dr": rng.integers(0, 2, 200).astype(float), "a": rng.normal(size=200)})
    made = associate(table, table, "dr", biomarkers=["a"], models={"crude": []}, reliability=repeatability(FIGURES))
    line = made.iloc[0]
    assert made.columns.tolist() == ASSOCIATION.names
    assert line[["analysis", "term", "kind", "transform"]].tolist() == ["main", "per_sd", "binary", "none"]
    assert (line["mean_raw"], line["sd_raw"]) == (line["mean"], line["sd"]) and np.isnan(line["beta"])
    assert line["or_if_reliable"] == pytest.approx(line["or"] ** 2) and line["icc"] == 0.5
