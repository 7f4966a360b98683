"""Which photographs a report shows for their values."""

import numpy as np
import pandas as pd

from retsam.report.overlays import extreme_samples


def photographs(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"image_id": [f"i{k:03d}" for k in range(n)], "included": True})
    for name in ("a", "b", "c"):
        table[name] = rng.normal(size=n)
        table[f"{name}__status"] = "ok"
    return table


def test_the_farthest_and_the_ends_of_each_biomarker_are_chosen() -> None:
    images = photographs()
    images.loc[7, ["a", "b"]] = [40.0, -40.0]
    images.loc[9, "c"] = 30.0
    images.loc[11, "c"], images.loc[11, "c__status"] = -99.0, "not_visible"
    images.loc[13, ["a", "included"]] = [99.0, False]
    chosen = extreme_samples(images, ["a", "c", "unknown"], 9, {"c": "Label of c"})
    assert chosen["i007"] == "1 of 2 values far from all others"
    assert chosen["i009"] == "highest Label of c, 30"
    assert "i011" not in chosen and "i013" not in chosen
    assert len(chosen) == 4  # the highest a is the farthest of all, too


def test_the_order_of_rows_does_not_matter_and_n_is_a_limit() -> None:
    images = photographs()
    whole = extreme_samples(images, ["a", "b", "c"], 5)
    assert len(whole) == 5
    assert extreme_samples(images.sample(frac=1, random_state=2), ["a", "b", "c"], 5) == whole
    assert extreme_samples(images, ["a", "b", "c"], 2) == dict(list(whole.items())[:2])
    assert extreme_samples(images, ["a", "b", "c"], 0) == {}


def test_constant_rare_and_absent_values_are_passed_over() -> None:
    images = photographs().assign(a=1.0)
    images.loc[15:, "b__status"] = "not_visible"
    assert extreme_samples(images, ["a", "b"], 5) == {}
    assert extreme_samples(images.iloc[:0], ["a", "b", "c"], 5) == {}
    assert extreme_samples(images, [], 5) == {}
