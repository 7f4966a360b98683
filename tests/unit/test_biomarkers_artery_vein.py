"""Arteries against veins: crossings, nicking and the arcades against drawn shapes."""

import numpy as np
import pytest

from retsam.biomarkers import REGISTRY
from retsam.biomarkers.centreline import trace
from retsam.biomarkers.crossing import Crossings, crossings
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, bar, eye_masks, grid, measured, rows

# The edge of a bar is known to half a pixel, so a ratio of widths of 12 px to 4 %.
EDGE = 0.05


def found(artery: np.ndarray, vein: np.ndarray) -> Crossings:
    return crossings(trace(artery), trace(vein), artery, vein)


def tapered(size: int, angle: float, wide: float, narrow: float, low: float, high: float) -> np.ndarray:
    """A bar through the middle that is `narrow` between `low` and `high` px along it."""
    x, y = grid(size)
    t = np.radians(angle)
    along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t)
    width = np.where((along > low) & (along < high), narrow, wide)
    return (np.abs(across) <= width / 2) & (np.abs(along) <= 0.35 * size)


@pytest.mark.parametrize("angle", [30, 45, 70, 90])
@pytest.mark.parametrize("turn", [0, 17, 45])
def test_two_bars_cross_once(angle, turn):
    got = found(bar(1024, turn, 9, 700), bar(1024, turn + angle, 12, 700))
    assert got.xy == pytest.approx(np.array([[511.5, 511.5]]), abs=1.5)
    assert got.narrowing == pytest.approx([1], abs=EDGE)


@pytest.mark.parametrize("turn", [0, 17, 90])
def test_a_vein_that_is_narrow_beside_the_artery(turn):
    artery = bar(1024, turn + 90, 9, 700)
    assert found(artery, tapered(1024, turn, 12, 8, -25, 25)).narrowing == pytest.approx([8 / 12], abs=EDGE)
    one_side = found(artery, tapered(1024, turn, 12, 8, 0, 25)).narrowing
    assert one_side == pytest.approx([(1 + 8 / 12) / 2], abs=EDGE)
    far_off = found(artery, tapered(1024, turn, 12, 8, 120, 200)).narrowing
    assert far_off == pytest.approx([1], abs=EDGE)


def test_a_crossing_turns_with_the_picture():
    artery, vein = bar(1024, 100, 9, 700, 31.3), tapered(1024, 20, 12, 8, -25, 80)
    upright, turned = found(artery, vein), found(np.rot90(artery), np.rot90(vein))
    assert turned.xy == pytest.approx(np.column_stack([upright.xy[:, 1], 1023 - upright.xy[:, 0]]), abs=1)
    assert turned.narrowing == pytest.approx(upright.narrowing, abs=EDGE)


def test_half_the_resolution_gives_the_same():
    whole = found(bar(1024, 100, 10, 700), tapered(1024, 20, 16, 10, -40, 40))
    half = found(bar(512, 100, 5, 350), tapered(512, 20, 8, 5, -20, 20))
    assert half.xy == pytest.approx(whole.xy / 2, abs=1)
    assert half.narrowing == pytest.approx(whole.narrowing, abs=2 * EDGE)


def test_vessels_that_only_touch_do_not_cross():
    x, y = grid(1024)
    vein = bar(1024, 0, 12, 700)
    beside = bar(1024, 0, 9, 700, shift=8)
    dip = (np.abs(np.hypot(x, y - 197) - 200) <= 5) & (y < 150)  # an arc whose lowest point passes the middle by 3 px
    assert (vein & beside).any() and (vein & dip).any()
    assert len(found(beside, vein).xy) == 0
    assert len(found(dip, vein).xy) == 0


def test_a_winding_artery_crosses_as_often_as_it_does():
    x, y = grid(1024)
    wave = (np.abs(y - 60 * np.sin(2 * np.pi * x / 250)) <= 5) & (
        np.abs(x) <= 312
    )  # zeros at 0, 125, 250 to both sides
    got = found(wave, bar(1024, 0, 12, 700))
    assert np.sort(got.xy[:, 0]) == pytest.approx(511.5 + 125 * np.arange(-2, 3), abs=2)


def test_no_crossing_without_an_overlap_and_none_of_a_vessel_with_itself():
    artery, vein = bar(1024, 0, 9, 700), bar(1024, 90, 12, 700)
    empty = np.zeros_like(artery)
    assert len(found(artery, vein & ~artery).xy) == 0, "a vein that is broken under the artery shows no crossing"
    for pair in ((artery, artery), (artery, empty), (empty, vein), (empty, empty)):
        assert len(found(*pair).xy) == 0


def test_a_thin_or_a_short_vein_has_no_ratio():
    artery = bar(1024, 90, 9, 700)
    for vein in (bar(1024, 0, 3, 700), bar(1024, 0, 12, 60)):
        got = found(artery, vein)
        assert len(got.xy) == 1
        assert np.isnan(got.narrowing).all()


# Whole eyes


def lattice(size: int, nicked: float = 12.0) -> dict[str, np.ndarray]:
    """An eye with upright arteries of 8 px and level veins of 12 px (at 1024 px), narrower beside arteries."""
    masks = eye_masks(size)
    x, y = (c * 1024 / size for c in grid(size))
    masks["optic_disc"] = np.hypot(x - 0.24 * 1024, y) <= 0.06 * 1024
    arteries, veins = np.array([-300, -150, 0, 150, 250]), np.array([-200, 0, 200])
    off = np.abs(x[..., None] - arteries).min(axis=-1)
    width = np.where(off <= 25, nicked, 12.0)
    masks["artery"] = off <= 4
    masks["vein"] = np.abs(y[..., None] - veins).min(axis=-1) <= width / 2
    return masks | {"vessel": masks["artery"] | masks["vein"]}


@pytest.fixture(scope="module")
def eyes():
    """An eye, its mirror image, one with nicking, and the first at half the resolution."""
    made = measured(
        rows("a", lattice(1024)),
        rows("b", lattice(1024), flip=True),
        rows("c", lattice(1024, 8.0)),
        rows("d", lattice(512)),
    )
    assert_honest(made)
    return made


def test_crossings_of_a_lattice(eyes):
    # 15 crossings, all in the field of view, one of them (250, 0) inside the disc
    assert eyes["artery_vein_crossing_count"].tolist() == [14] * 4
    for name in ("median", "min"):
        assert eyes[f"artery_vein_nicking_index_{name}"].to_numpy() == pytest.approx([1, 1, 8 / 12, 1], abs=EDGE)


def test_ratios_of_a_lattice(eyes):
    radius = 0.495 * 1024
    length = {
        target: 2 * np.sqrt(radius**2 - np.array(off, float) ** 2).sum()
        for target, off in (("artery", [-300, -150, 0, 150, 250]), ("vein", [-200, 0, 200]))
    }
    ratio = length["artery"] / length["vein"]
    for index in (0, 1, 3):
        assert eyes.loc[index, "artery_vein_length_ratio"] == pytest.approx(ratio, rel=0.01)
        assert eyes.loc[index, "artery_vein_density_ratio"] == pytest.approx(ratio * 8 / 12, rel=0.01)


def test_a_mirrored_eye_has_the_same_crossings(eyes):
    names = [n for n, b in REGISTRY.items() if b.family == "artery_vein"]
    first, second = eyes.loc[:1, names].to_numpy(float)
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_two_crossings_are_too_few_for_an_index():
    masks = lattice(1024)
    x, y = grid(1024)
    masks["vein"] &= (np.abs(y) > 100) | (x > 100)  # the level vein stops before it meets an artery outside the disc
    masks["artery"] &= np.abs(y) < 150
    masks["artery"] |= np.abs(y - 300) <= 4.5
    eye = measured(rows("a", masks)).iloc[0]
    assert eye["artery_vein_crossing_count"] == 1
    for name in ("median", "min"):
        assert eye[f"artery_vein_nicking_index_{name}__status"] == Status.TOO_FEW_VESSELS


def test_masks_that_never_overlap_say_nothing_of_crossings():
    masks = lattice(512)
    masks["vein"] &= ~masks["artery"]
    result = measured(rows("a", masks))
    assert_honest(result)
    for name in ("crossing_count", "nicking_index_median", "nicking_index_min"):
        assert result.loc[0, f"artery_vein_{name}__status"] == Status.UNDEFINED


def test_one_nicked_crossing_shows_in_the_smallest_index_only():
    masks, nicked = lattice(1024), lattice(1024, 8.0)
    x, y = grid(1024)
    masks["vein"] &= nicked["vein"] | (np.hypot(x + 150, y + 200) > 60)
    eye = measured(rows("a", masks)).iloc[0]
    assert eye["artery_vein_nicking_index_min"] == pytest.approx(8 / 12, abs=EDGE)
    assert eye["artery_vein_nicking_index_median"] == pytest.approx(1, abs=EDGE)


# Arcades


def arcades(upper: float, lower: float, tilt: float = 9.5, size: int = 1024) -> dict[str, np.ndarray]:
    """Arteries and veins that leave the disc straight, degrees above and below the line to the fovea.

    The widest are at `upper` and `lower`, veins 20 degrees nearer to the line; thinner ones lie between them, and
    wider ones on the nasal side.
    """
    masks = eye_masks(size)
    x, y = grid(size)
    x = x - 0.24 * size
    masks["optic_disc"] = np.hypot(x, y) <= 0.06 * size

    def tree(up: float, down: float) -> np.ndarray:
        mask = np.zeros((size, size), bool)
        for angle, width in ((up, 10), (-down, 10), (up - 15, 6), (15 - down, 6), (120, 13), (-120, 13)):
            t = np.radians(180 + angle - tilt)  # temporal is left, up is against y
            along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t)
            mask |= (np.abs(across) <= width * size / 2048) & (along >= 0)
        return mask

    masks["artery"], masks["vein"] = tree(upper, lower), tree(upper - 20, lower - 20)
    return masks | {"vessel": masks["artery"] | masks["vein"]}


# A crossing lies within a pixel of the middle of a vessel, 180 px from the disc's centre: 0.3 degrees.
@pytest.mark.parametrize(("upper", "lower"), [(60, 60), (75, 50)])
def test_arcades_open_by_their_angle(upper, lower):
    fovea = (0.44, 0.5 + 0.3 * np.tan(np.radians(9.5)))
    masks = arcades(upper, lower)
    result = measured(rows("a", masks, fovea), rows("b", masks, fovea, flip=True))
    for eye in result.to_dict("records"):
        assert eye["artery_temporal_arcade_angle"] == pytest.approx(upper + lower, abs=0.7)
        assert eye["vein_temporal_arcade_angle"] == pytest.approx(upper + lower - 40, abs=0.7)


def test_arcades_need_a_vessel_above_and_below():
    masks = arcades(60, 60)
    x, y = grid(1024)
    lost = masks | {"artery": masks["artery"] & (y < 0)}
    cut = masks | {FOV: masks[FOV] & (x > 0.24 * 1024 - 80)}
    result = measured(rows("a", lost), rows("b", cut, (0.55, 0.55)))
    assert_honest(result)
    assert result["artery_temporal_arcade_angle__status"].tolist() == [Status.TOO_FEW_VESSELS, Status.OUT_OF_VIEW]
