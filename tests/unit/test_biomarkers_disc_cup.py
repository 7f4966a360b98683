"""Disc and cup against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.biomarkers import REGISTRY, names
from retsam.biomarkers.outline import ANGLES, extent, largest, radii, smooth, widths
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, eye_masks, grid, measured, rows

SIZE = 512
NAMES = names("disc_cup")
RIMS = {q: f"rim_width_{q}" for q in ("inferior", "superior", "nasal", "temporal")}
LEVEL = (0.44, ((SIZE - 1) / 2) / SIZE)  # a fovea level with the disc


def ellipse(x0: float, y0: float, a: float, b: float, size: int = SIZE) -> np.ndarray:
    """Half axes a (across) and b (down) about a point given from the middle of the frame, px."""
    x, y = grid(size)
    return ((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 <= 1


def eye(disc: np.ndarray, cup: np.ndarray | None) -> dict[str, np.ndarray]:
    size = disc.shape[0]
    masks = {FOV: ellipse(0, 0, 0.495 * size, 0.495 * size, size), "optic_disc": disc}
    return masks if cup is None else masks | {"optic_cup": cup}


X = 0.24 * SIZE


# Outlines


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.floats(30, 60), st.floats(0.75, 1), st.floats(0.3, 0.8), st.floats(0.8, 1.25), st.floats(0, 1), st.floats(0, 1)
)
def test_the_ratio_of_ellipses_is_right_to_a_hundredth(half, aspect, across, taller, dx, dy):
    down = across * taller
    disc = ellipse(dx, dy, half, half * aspect, 140)
    cup = ellipse(dx + 1.5, dy - 0.8, half * across, half * aspect * down, 140)
    (width, height), (cup_width, cup_height) = extent(disc), extent(cup)
    assert (width, height) == pytest.approx((2 * half, 2 * half * aspect), abs=0.5)
    assert cup_width / width == pytest.approx(across, abs=0.01)
    if half * aspect >= 30:  # a disc of 60 px
        assert cup_height / height == pytest.approx(down, abs=0.01)


def test_extents_of_shapes_that_are_no_ellipse():
    square, dot = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    square[10:30, 20:45] = True
    dot[5, 6] = True
    assert extent(square) == pytest.approx((25, 20), abs=1)
    assert extent(dot) == (1, 1)


def test_radii_of_shapes():
    assert radii(ellipse(0, 0, 40, 40, 128), (63.5, 63.5)) == pytest.approx(np.full(360, 40), abs=0.75)
    square = np.zeros((101, 101), bool)
    square[30:71, 30:71] = True
    reach = 20.5 / np.maximum(np.abs(np.cos(ANGLES)), np.abs(np.sin(ANGLES)))
    assert radii(square, (50, 50)) == pytest.approx(reach, abs=0.5)
    away = radii(ellipse(30, 0, 10, 10, 128), (63.5, 63.5))
    assert away[0] == pytest.approx(40, abs=0.5)
    assert (away[25:335] == 0).all(), "rays that miss it"
    assert (radii(np.zeros((64, 64), bool), (30, 30)) == 0).all()


def test_smoothing_keeps_low_waves_and_drops_high_ones():
    low, high = 30 + 3 * np.cos(4 * ANGLES), np.cos(40 * ANGLES)
    assert smooth(low + high) == pytest.approx(low)


def test_the_largest_component_without_its_holes():
    mask = ellipse(0, 0, 30, 30, 128) & ~ellipse(0, 0, 8, 8, 128)
    mask[:5, :5] = True
    np.testing.assert_array_equal(largest(mask), ellipse(0, 0, 30, 30, 128))
    assert not largest(np.zeros((64, 64), bool)).any()


# Whole eyes


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("radius", [31.3, 60.0])
def test_concentric_circles(ratio, radius):
    masks = eye(ellipse(X, 0.3, radius, radius), ellipse(X, 0.3, ratio * radius, ratio * radius))
    result = measured(rows("a", masks, LEVEL))
    assert_honest(result)
    got = result.iloc[0]
    assert [got[f"{n}__status"] for n in NAMES] == [Status.OK] * len(NAMES)
    assert got["cup_disc_ratio_vertical"] == pytest.approx(ratio, abs=0.01)
    assert got["cup_disc_ratio_horizontal"] == pytest.approx(ratio, abs=0.01)
    assert got["cup_disc_ratio_area"] == pytest.approx(ratio**2, abs=0.01)
    assert got["rim_area"] == pytest.approx(1 - ratio**2, abs=0.01)
    for name in RIMS.values():
        assert got[name] == pytest.approx((1 - ratio) / 2, abs=0.006), name
    assert got["rim_width_minimum"] == pytest.approx(1 - ratio, abs=0.015)
    assert got["cup_disc_ratio_longest"] == pytest.approx(ratio, abs=0.01)
    assert got["cup_decentration"] == pytest.approx(0, abs=0.005)
    assert got["rim_isnt_rule"] == got["rim_ist_rule"] == 1  # an even rim is in every order


@pytest.mark.parametrize("turn", [0, 25, 90, 140])
def test_the_longest_axis_turns_with_the_disc(turn):
    """Half axes 50 and 40 px of the disc, 30 and 18 of the cup; the photograph's axes give other ratios."""
    x, y = grid(SIZE)
    t = np.radians(turn)
    along, across = (x - X) * np.cos(t) + y * np.sin(t), y * np.cos(t) - (x - X) * np.sin(t)
    disc, cup = ((along / a) ** 2 + (across / b) ** 2 <= 1 for a, b in ((50, 40), (30, 18)))
    got = measured(rows("a", eye(disc, cup), LEVEL)).iloc[0]
    assert got["cup_disc_ratio_longest"] == pytest.approx(30 / 50, abs=0.01)


def test_extents_of_an_outline():
    radius = radii(ellipse(0, 0, 40, 25, 128), (63.5, 63.5))
    across = widths(radius)
    assert across[[0, 90]] == pytest.approx([80, 50], abs=0.5)  # half a pixel
    assert across[30] == pytest.approx(2 * np.hypot(40 * np.cos(np.pi / 6), 25 * np.sin(np.pi / 6)), abs=0.5)


def test_the_order_of_the_rim():
    """A cup of half axes 30 and 22 px that is moved: a right eye's temporal is left."""
    shifts = {  # isnt, ist
        (-2, -2): (1, 1),
        (2, -2): (0, 1),  # nasal narrower than temporal
        (-2, 3): (0, 0),  # inferior narrower than superior
        (-2, 0.4): (1, 1),  # so it is, but by 0.008 disc diameters
    }
    made = [rows(str(s), eye(ellipse(X, 0, 50, 50), ellipse(X + s[0], s[1], 30, 22)), LEVEL) for s in shifts]
    mirrored = rows("b", eye(ellipse(X, 0, 50, 50), ellipse(X + 2, -2, 30, 22)), LEVEL, flip=True)
    result = measured(*made, mirrored)
    assert list(zip(result["rim_isnt_rule"], result["rim_ist_rule"], strict=True)) == [*shifts.values(), (0, 1)]


@settings(deadline=None, derandomize=True, max_examples=4)
@given(st.floats(-35, 35), st.floats(-20, 20), st.floats(-20, 20))
def test_decentration_turns_with_the_fovea(angle, temporal, superior):
    t = np.radians(angle)  # of the fovea below the horizontal; a right eye, temporal is left
    towards, up = np.array([-np.cos(t), np.sin(t)]), np.array([-np.sin(t), -np.cos(t)])
    dx, dy = temporal * towards + superior * up
    masks = eye(ellipse(X, 0, 50, 50), ellipse(X + dx, dy, 20, 20))
    fovea = tuple(((SIZE - 1) / 2 + np.array([X, 0]) + 220 * towards) / SIZE)
    result = measured(rows("a", masks, fovea), rows("b", masks, fovea, flip=True))
    for _, got in result.iterrows():  # a twentieth of a pixel for each centroid
        assert got["cup_decentration_temporal"] == pytest.approx(temporal / 100, abs=0.002)
        assert got["cup_decentration_superior"] == pytest.approx(superior / 100, abs=0.002)
        assert got["cup_decentration"] == pytest.approx(np.hypot(temporal, superior) / 100, abs=0.002)


def test_vertical_is_not_horizontal():
    masks = eye(ellipse(X, 0, 40, 50), ellipse(X, 0, 32, 20))
    got = measured(rows("a", masks, LEVEL)).iloc[0]
    assert got["cup_disc_ratio_vertical"] == pytest.approx(0.4, abs=0.01)
    assert got["cup_disc_ratio_horizontal"] == pytest.approx(0.8, abs=0.01)
    assert got["cup_disc_ratio_area"] == pytest.approx(0.32, abs=0.01)


@pytest.mark.parametrize(
    ("dx", "dy", "narrow", "wide"),
    [
        (-12, 0, "temporal", "nasal"),  # a right eye: temporal is left
        (12, 0, "nasal", "temporal"),
        (0, -12, "superior", "inferior"),
        (0, 12, "inferior", "superior"),
    ],
)
def test_sectors_follow_the_retina_in_either_eye(dx, dy, narrow, wide):
    masks = eye(ellipse(X, 0, 50, 50), ellipse(X + dx, dy, 25, 25))
    result = measured(rows("a", masks, LEVEL), rows("b", masks, LEVEL, flip=True))
    assert result["laterality"].tolist() == ["OD", "OS"]
    for _, got in result.iterrows():
        widths = {q: got[name] for q, name in RIMS.items()}
        assert min(widths, key=widths.get) == narrow and max(widths, key=widths.get) == wide
        # Mean over 45 degrees either side of 50 - (12 cos t + sqrt(25^2 - 12^2 sin^2 t)), by numerical integration
        t = np.linspace(-np.pi / 4, np.pi / 4, 2001)
        cup = 12 * np.cos(t) + np.sqrt(25**2 - (12 * np.sin(t)) ** 2)
        assert widths[narrow] == pytest.approx((50 - cup.mean()) / 100, abs=0.005)
        assert got["rim_width_minimum"] == pytest.approx((50 - 37) / 50, abs=0.015)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(st.floats(-35, 35), st.floats(0, 14))
def test_sectors_turn_with_the_fovea(angle, shift):
    t = np.radians(angle)
    towards = np.array([-np.cos(t), np.sin(t)])
    masks = eye(ellipse(X, 0, 50, 50), ellipse(X + shift * towards[0], shift * towards[1], 25, 25))
    fovea = tuple(((SIZE - 1) / 2 + np.array([X, 0]) + 220 * towards) / SIZE)
    got = measured(rows("a", masks, fovea)).iloc[0]
    assert got["rim_width_superior"] == pytest.approx(got["rim_width_inferior"], abs=0.005)
    assert got["rim_width_temporal"] <= got["rim_width_nasal"] + 0.005
    assert got["rim_width_minimum"] == pytest.approx((25 - shift) / 50, abs=0.015)


def test_a_cup_that_touches_the_margin_leaves_no_rim():
    masks = eye(ellipse(X, 0, 50, 50), ellipse(X, 20, 30, 30))
    got = measured(rows("a", masks, LEVEL)).iloc[0]
    assert got["rim_width_minimum"] == pytest.approx(0, abs=0.02)


def test_only_the_cup_inside_the_disc_counts():
    disc, cup = ellipse(X, 0, 50, 50), ellipse(X + 35, 0, 30, 30)
    untidy = (cup & ~ellipse(X + 30, 0, 4, 4)) | ellipse(-100, 0, 40, 40)
    untidy[256, round(X + 255.5 - 40)] = True  # a speck inside the disc
    result = measured(rows("a", eye(disc, cup & disc), LEVEL), rows("b", eye(disc, untidy), LEVEL))
    np.testing.assert_array_equal(*result[NAMES].to_numpy(float))


def test_the_side_and_the_resolution_do_not_matter():
    def masks(scale):
        return eye(
            ellipse(X * scale, 3 * scale, 40 * scale, 50 * scale, SIZE * scale),
            ellipse(X * scale + 6 * scale, 5 * scale, 18 * scale, 26 * scale, SIZE * scale),
        )

    result = measured(rows("a", masks(1)), rows("b", masks(1), flip=True), rows("c", masks(2)))
    first, mirrored, finer = result[NAMES].to_numpy(float)
    np.testing.assert_allclose(first, mirrored, rtol=1e-9)
    np.testing.assert_allclose(first, finer, atol=0.01)


def test_reasons():
    disc, cup = ellipse(X, 0, 50, 50), ellipse(X, 0, 25, 25)
    empty = np.zeros((SIZE, SIZE), bool)
    result = measured(
        rows("without", eye(disc, None), LEVEL),
        rows("empty", eye(disc, empty), LEVEL),
        rows("outside", eye(disc, ellipse(-100, 0, 25, 25)), LEVEL),
        rows("no disc", eye(empty, cup), LEVEL),
        rows("no fovea", eye(disc, cup), None),
        rows("implausible", eye(disc, cup), (0.74, 0.9)),
    )
    assert_honest(result)
    for name in NAMES:
        rim = "fovea" in REGISTRY[name].requires
        assert result[f"{name}__status"].tolist() == [
            "not_segmented",
            "not_visible",
            "undefined",
            "not_visible",
            "not_segmented" if rim else "ok",
            "undefined" if rim else "ok",
        ], name


def test_a_disc_that_the_field_cuts_has_no_size_and_what_is_measured_in_it_no_value():
    masks = eye_masks(512)
    x, _ = grid(512)
    masks["optic_cup"] = masks["optic_disc"] & (np.abs(x - 0.24 * 512) < 10)
    cut = masks | {FOV: masks[FOV] & (x < 0.26 * 512)}
    touched = masks | {FOV: masks[FOV] & (x < 0.295 * 512 + 4)}  # ends beside the disc
    whole, part, beside = (measured(rows("a", m, (0.4, 0.5))).iloc[0] for m in (masks, cut, touched))
    for name, biomarker in REGISTRY.items():
        if "optic_disc" in biomarker.requires and not name.startswith("probability"):
            assert part[f"{name}__status"] != Status.OK, name
    assert part["disc_ovality__status"] == part["vessel_calibre_median__status"] == Status.OUT_OF_VIEW
    assert part["vessel_tortuosity_arc_chord_median__status"] == Status.OK  # needs no disc
    assert beside["disc_ovality"] == whole["disc_ovality"]
