"""Quality that comes from masks: regions in view, the model's probability, plausible disc and cup."""

import numpy as np
import pandas as pd
import pytest

from retsam.biomarkers import REGISTRY, exposures, names
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, grid, measured, rows

SIZE = 512
MIDDLE = (SIZE - 1) / 2
FROM_MASKS = [n for n in names("quality") if REGISTRY[n].requires]
LEVEL = (0.44, MIDDLE / SIZE)


def circle(x0: float, y0: float, radius: float) -> np.ndarray:
    """About a point given from the middle of the frame, px."""
    x, y = grid(SIZE)
    return np.hypot(x - x0, y - y0) <= radius


def eye(x: float = 120.0, radius: float = 30.0, **masks: np.ndarray) -> dict[str, np.ndarray]:
    return {FOV: circle(0, 0, 0.495 * SIZE), "optic_disc": circle(x, 0, radius), **masks}


def test_none_is_an_exposure():
    assert FROM_MASKS
    assert not {b.name for b in exposures()} & set(FROM_MASKS)


def test_the_part_of_a_region_in_view():
    fovea = 0.44 * SIZE - MIDDLE  # of a right eye, from the middle
    whole, masks = eye(), eye()
    masks[FOV] = masks[FOV] & (grid(SIZE)[0] > fovea)  # cut through the fovea
    result = measured(rows("a", whole, LEVEL), rows("b", masks, LEVEL), rows("c", masks, LEVEL, flip=True))
    assert_honest(result)
    # A column of pixels more or less is 4 of 4 pi squared disc diameters / 60 px: 0.006
    assert result["in_view_macula"].to_numpy() == pytest.approx([1, 0.5, 0.5], abs=0.006)
    assert result["in_view_etdrs_outer"].to_numpy() == pytest.approx([1, 0.5, 0.5], abs=0.006)
    assert result["in_view_zone_b"].to_numpy() == pytest.approx([1, 1, 1], abs=0.006)
    reach, edge = 150, 0.495 * SIZE - 120  # zone C meets the border of the field; its outer circle by numbers
    angle = np.linspace(0, 2 * np.pi, 3601)
    r = np.linspace(60, reach, 901)[:, None]
    seen = np.hypot(120 + r * np.cos(angle), r * np.sin(angle)) <= 0.495 * SIZE
    assert edge < reach
    assert result.loc[0, "in_view_zone_c"] == pytest.approx(
        float((seen * r).sum() / (r * np.ones(3601)).sum()), abs=0.01
    )


def test_distance_in_pixels_of_the_photograph():
    result = measured(rows("a", eye(), LEVEL), rows("b", eye(), LEVEL, flip=True))
    expected = 2 * (MIDDLE + 120 - 0.44 * SIZE)  # the photograph is twice the frame
    assert result["disc_fovea_distance_px"].to_numpy() == pytest.approx([expected] * 2, abs=0.5)


@pytest.mark.parametrize(("probability", "status"), [(0.7, "ok"), (None, "not_assessed"), (np.nan, "not_assessed")])
def test_the_probability_of_a_mask(probability, status):
    image = [r | {"probability": probability} for r in rows("a", eye(), LEVEL)]
    lost = [r | {"status": "not_visible", "rle": None} if r["target"] == "optic_disc" else r for r in rows("b", eye())]
    result = measured(image, lost)
    for name in ("probability_optic_disc", "probability_fovea"):
        assert result.loc[0, f"{name}__status"] == status
        assert status != "ok" or result.loc[0, name] == 0.7
    assert result["probability_vessel__status"].tolist() == ["not_segmented"] * 2
    assert result.loc[1, "probability_optic_disc__status"] == Status.NOT_VISIBLE


def test_disc_and_cup_that_are_what_they_are_taken_for():
    inside, over, all_of_it = circle(120, 0, 15), circle(145, 0, 15), circle(120, 0, 30)
    result = measured(
        rows("a", eye(optic_cup=inside), LEVEL),
        rows("b", eye(optic_cup=over), LEVEL),
        rows("c", eye(optic_cup=all_of_it), LEVEL),
        rows("d", eye(radius=8, optic_cup=circle(120, 0, 4)), LEVEL),
        rows("e", eye(x=0, radius=90, optic_cup=circle(0, 0, 15)), LEVEL),
    )
    assert result["cup_in_disc"].tolist()[:3] == [1, 0, 0]
    assert result["disc_size_plausible"].tolist() == [1, 1, 1, 0, 0]
    for name in ("cup_in_disc", "disc_diameter_fov", "disc_fovea_distance"):
        assert result[f"{name}__status"].tolist()[3:] == ["not_visible"] * 2, name
    assert_honest(result)


def test_what_a_photograph_is_centred_on():
    place = [(120, -30), (40, -110), (75, -75)]  # disc, fovea: px from the middle of a field of radius 253
    made = [rows(str(d), eye(x=d), ((f + MIDDLE) / SIZE, MIDDLE / SIZE)) for d, f in place]
    result = measured(*made)
    assert result["macula_centred"].tolist() == [1, 0, 0]
    assert result["disc_centred"].tolist() == [0, 1, 0]


def test_without_disc_or_fovea_there_is_no_flag():
    empty = np.zeros((SIZE, SIZE), bool)
    result: pd.DataFrame = measured(rows("a", eye() | {"optic_disc": empty}, None))
    assert_honest(result)
    for name in FROM_MASKS:
        assert result.loc[0, f"{name}__status"] in ("not_visible", "not_segmented"), name
