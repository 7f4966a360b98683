"""Biomarkers against closed forms, invariances, bad input and real manual masks."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retsam import tables
from retsam.biomarkers import REGISTRY, Biomarker, biomarkers_schema, measure_table, names
from retsam.biomarkers.centreline import trace
from retsam.biomarkers.fractal import box_sizes, dimensions, lacunarity, whole_boxes
from retsam.geometry import ETDRS, ZONES, Frame, RetinalAxes
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS
from tests.eyes import SIZE, assert_honest, bar, eye_masks, grid, measured, rows, table

properties = settings(deadline=None, derandomize=True, max_examples=12)


# Centrelines


@pytest.mark.parametrize("width", [4, 5, 8, 12])
def test_straight_bars(width):
    widths = []
    for angle in (0, 10, 22.5, 33, 45, 60, 90):
        for shift in (0.0, 0.3, 0.6):
            mask = bar(512, angle, width, 400, shift)
            line = trace(mask)
            calibre, length = line.calibres()
            widths += list(calibre)
            assert calibre == pytest.approx([width], abs=1.01), angle
            # A medial axis ends in a corner or half a width before the end.
            assert length == pytest.approx([400 - width / 2], abs=width / 2 + 6), angle
            assert line.length == pytest.approx(400 - width / 2, abs=width / 2 + 6), angle
            assert line.curves.arc / line.curves.chord == pytest.approx([1], abs=0.005), angle
            assert line.curves.inflections.tolist() == [0], angle
            assert (len(line.bifurcations), len(line.ends)) == (0, 2), angle
    assert np.mean(widths) == pytest.approx(width, rel=0.03)


@pytest.mark.parametrize("radius", [80, 100, 150, 200])
@pytest.mark.parametrize("width", [5, 8])
def test_circle_arcs(radius, width):
    x, y = grid(512)
    theta = 2.5
    mask = (np.abs(np.hypot(x, y) - radius) <= width / 2) & (np.abs(np.arctan2(y, x)) <= theta / 2)
    line = trace(np.pad(mask, 256))  # a frame of 1024, for which the smoothing window is stated
    curves = line.curves
    seen = theta - width / radius  # a medial axis ends half a width before the end of a bar
    assert curves.arc / curves.chord == pytest.approx([seen / (2 * np.sin(seen / 2))], rel=0.01)
    mean = (np.abs(curves.curvature) * curves.ds).sum() / curves.ds.sum()
    assert mean == pytest.approx(1 / radius, rel=0.05)
    squared = (curves.curvature**2 * curves.ds).sum() / curves.ds.sum()
    assert squared == pytest.approx(1 / radius**2, rel=0.1)
    assert curves.inflections.tolist() == [0]
    assert line.calibres()[0] == pytest.approx([width], abs=0.4)


def sine(amplitude: float, period: float, waves: int) -> tuple[np.ndarray, dict[str, float]]:
    """Mask of a sine in a frame of 1024, and its truth by fine numerical integration."""
    x = np.linspace(0, waves * period, 20001)
    k = 2 * np.pi / period
    y, slope, bend = amplitude * np.sin(k * x), amplitude * k * np.cos(k * x), -amplitude * k**2 * np.sin(k * x)
    points = np.column_stack([x + 512 - waves * period / 2, y + 512])
    mask = np.zeros((1024, 1024), np.uint8)
    cv2.polylines(mask, [np.rint(points * 16).astype(np.int32)], False, 1, thickness=7, shift=4)
    ds, kappa = np.hypot(1, slope), bend / np.hypot(1, slope) ** 3
    half_wave = np.trapezoid(ds[x <= period / 2], x[x <= period / 2])
    return mask > 0, {
        "arc": np.trapezoid(ds, x),
        "squared": np.trapezoid(kappa**2 * ds, x) / np.trapezoid(ds, x),
        "twist": half_wave / (period / 2) - 1,
    }


def test_sine_arc_curvature_and_inflections():
    mask, truth = sine(30, 200, 4)
    curves = trace(mask).curves
    assert curves.arc == pytest.approx([truth["arc"]], rel=0.01)
    squared = (curves.curvature**2 * curves.ds).sum() / curves.ds.sum()
    assert squared == pytest.approx(truth["squared"], rel=0.1)
    signed = (curves.curvature * curves.ds).sum()
    assert abs(signed) < 0.2, "the signed turning of a sine cancels, its squared curvature must not"
    assert curves.inflections.tolist() == [7]
    assert curves.twist == pytest.approx([8 * truth["twist"]], rel=0.05)


@pytest.mark.parametrize("angle", [20, 40, 60, 90])
def test_two_trunks_that_meet_end_to_end_are_two_segments(angle):
    x, y = grid(1024)
    mask = np.zeros((1024, 1024), bool)
    for direction in (angle / 2, -angle / 2):
        t = np.radians(direction)
        along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t)
        mask |= (np.abs(across) <= 5) & (along >= 0) & (along <= 200)
    curves = trace(mask).curves
    assert curves.arc.size == 2
    assert (curves.arc / curves.chord) == pytest.approx([1, 1], abs=0.01)
    assert curves.arc.min() > 150


@pytest.mark.parametrize(("amplitude", "wavelength"), [(20, 200), (15, 60), (12, 40)])
def test_a_corkscrew_is_one_segment(amplitude, wavelength):
    s = np.linspace(-300, 300, 6001)
    wave = np.column_stack([s, amplitude * np.sin(2 * np.pi * s / wavelength)])
    fine = np.zeros((4096, 4096), np.uint8)
    cv2.polylines(fine, [np.rint((wave * 4 + 2048) * 16).astype(np.int32)], False, 1, thickness=32, shift=4)
    curves = trace(cv2.resize(fine.astype(np.float32), (1024, 1024), interpolation=cv2.INTER_AREA) >= 0.5).curves
    truth = np.hypot(*np.diff(wave, axis=0).T).sum() / 600
    assert curves.arc.size == 1
    assert 1 + 0.7 * (truth - 1) < (curves.arc / curves.chord)[0] < 1.01 * truth  # the window of 41 px flattens it


def y_junction(angle: float, turn: float, width: float = 9.0) -> np.ndarray:
    """Three bars from the middle of 1024 px: two at +-angle/2 about `turn`, one opposite."""
    mask = np.zeros((1024, 1024), bool)
    x, y = grid(1024)
    for direction in (turn + angle / 2, turn - angle / 2, turn + 180):
        t = np.radians(direction)
        along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t)
        mask |= (np.abs(across) <= width / 2) & (along >= 0) & (along <= 180)
    return mask


@pytest.mark.parametrize("angle", [40, 60, 75, 90, 110])
@pytest.mark.parametrize("turn", [0, 17, 45, 100, 233])
def test_y_junction(angle, turn):
    line = trace(y_junction(angle, turn))
    assert (len(line.bifurcations), len(line.ends)) == (1, 3)
    assert np.hypot(*(line.bifurcations[0] - 511.5)) < 13
    assert line.angles == pytest.approx([angle], abs=3)


@pytest.mark.parametrize("angle", [45, 60, 90])
def test_a_crossing_is_no_bifurcation(angle):
    mask = bar(512, 10, 9, 360) | bar(512, 10 + angle, 9, 360)
    line = trace(mask)
    assert (len(line.bifurcations), len(line.ends)) == (0, 4)


def test_a_ring_has_no_end_and_no_tortuosity():
    x, y = grid(512)
    line = trace(np.abs(np.hypot(x, y) - 100) <= 4)
    assert (len(line.bifurcations), len(line.ends), line.curves.arc.size) == (0, 0, 0)
    assert line.length == pytest.approx(2 * np.pi * 100, rel=0.02)


def test_spurs_and_specks_are_no_vessels():
    mask = bar(512, 0, 9, 360)
    mask[247:252, 200:203] = True  # a bump on the bar
    mask[100:103, 100:103] = True  # a speck far away
    line = trace(mask)
    assert (len(line.bifurcations), len(line.ends)) == (0, 2)


@pytest.mark.parametrize("kind", ["empty", "full", "noise", "dots", "one"])
def test_hopeless_masks_do_not_crash(kind):
    rng = np.random.default_rng(3)
    mask = {
        "empty": np.zeros((256, 256), bool),
        "full": np.ones((256, 256), bool),
        "noise": rng.random((256, 256)) < 0.5,
        "dots": rng.random((256, 256)) < 0.02,
        "one": np.pad(np.ones((1, 1), bool), ((100, 155), (100, 155))),
    }[kind]
    line = trace(mask)
    assert np.isfinite(line.length)
    assert np.isfinite(line.curves.arc / line.curves.chord).all()
    assert np.isfinite(line.calibres()[0]).all()
    if kind in ("empty", "one"):
        assert line.length == 0


# Fractal dimension and lacunarity


def carpet(levels: int) -> np.ndarray:
    mask = np.ones((1, 1), bool)
    for _ in range(levels):
        hole = np.zeros_like(mask)
        mask = np.block([[mask, mask, mask], [mask, hole, mask], [mask, mask, mask]])
    return mask


def triangle(levels: int) -> np.ndarray:
    mask = np.ones((1, 1), bool)
    for _ in range(levels):
        mask = np.block([[mask, np.zeros_like(mask)], [mask, mask]])
    return mask


def test_dimensions_of_known_sets():
    enlarged = cv2.resize(carpet(6).astype(np.uint8), (1024, 1024), interpolation=cv2.INTER_NEAREST) > 0
    line = np.zeros((1024, 1024), bool)
    line[(200 + 0.37 * np.arange(1024)).astype(int), np.arange(1024)] = True
    assert dimensions(enlarged)[0] == pytest.approx(np.log(8) / np.log(3), abs=0.03)
    assert dimensions(triangle(10))[0] == pytest.approx(np.log(3) / np.log(2), abs=0.03)
    assert dimensions(np.ones((1024, 1024), bool))[0] == pytest.approx(2, abs=0.03)
    assert dimensions(line)[0] == pytest.approx(1, abs=0.03)
    assert dimensions(np.eye(1024, dtype=bool))[0] == pytest.approx(1, abs=0.03)


def test_dimensions_know_no_direction():
    rng = np.random.default_rng(7)
    mask = np.zeros((512, 512), np.uint8)
    for ends in rng.integers(0, 512, (12, 2, 2)):
        cv2.line(mask, *ends.tolist(), 1)
    values = list(dimensions(mask > 0, (0, 1, 2)).values())
    for turn in range(4):
        for turned in (np.rot90(mask, turn), np.rot90(mask.T, turn)):
            assert list(dimensions(turned > 0, (0, 1, 2)).values()) == pytest.approx(values, abs=1e-12)


def test_the_spectrum_of_a_uniform_fractal_is_flat():
    spectrum = dimensions(triangle(10), (0, 1, 2))
    assert list(spectrum) == [0, 1, 2]
    assert list(spectrum.values()) == pytest.approx([np.log2(3)] * 3, abs=0.03)
    assert np.isnan(list(dimensions(np.zeros((256, 256), bool), (0, 1, 2)).values())).all()


@pytest.mark.parametrize("size", [256, 512, 1024, 2048])
def test_box_sizes_follow_the_frame(size):
    sizes = box_sizes(size)
    assert sizes[0] == max(2, size // 128)
    assert sizes[-1] == size // 4
    assert not any(side % 2 for side in sizes), "only then is a box in the middle of the frame"
    assert len(sizes) >= 8


def test_lacunarity_closed_forms():
    everywhere = np.ones((512, 512), bool)
    stripes = np.zeros((512, 512), bool)
    stripes[:, ::8] = True
    assert lacunarity(stripes, whole_boxes(everywhere, 32), 32) == pytest.approx(0, abs=1e-6)
    half = np.zeros((512, 512), bool)
    half[:, :256] = True
    assert lacunarity(half, whole_boxes(everywhere, 4), 4) == pytest.approx(1, abs=0.03)  # p(1-p)/p^2 at p = 1/2
    assert np.isnan(lacunarity(np.zeros((512, 512), bool), whole_boxes(everywhere, 32), 32))
    assert np.isnan(lacunarity(half, whole_boxes(np.zeros((512, 512), bool), 32), 32))


# Retinal coordinates


def test_retinal_axes_of_a_right_eye():
    axes = RetinalAxes(disc=(700.0, 500.0), fovea=(400.0, 540.0), disc_diameter=120.0)
    assert axes.laterality == "OD"
    assert axes.angle == pytest.approx(np.degrees(np.arctan(40 / 300)))
    assert axes.distance == pytest.approx(np.hypot(300, 40))
    np.testing.assert_allclose(axes.coordinates(axes.fovea), [axes.distance / 120, 0], atol=1e-12)
    np.testing.assert_allclose(axes.coordinates(axes.disc, "fovea"), [-axes.distance / 120, 0], atol=1e-12)
    assert axes.coordinates((700, 300))[1] > 0, "up is superior"
    assert axes.coordinates((900, 500))[0] < 0, "away from the fovea is nasal"


@properties
@given(st.floats(200, 400), st.floats(-80, 80), st.floats(0, 1023), st.floats(0, 1023))
def test_retinal_coordinates_do_not_know_the_side(dx, dy, x, y):
    right = RetinalAxes((700.0, 500.0), (700 - dx, 500 + dy), 120.0)
    left = RetinalAxes((1023 - 700.0, 500.0), (1023 - (700 - dx), 500 + dy), 120.0)
    assert (right.laterality, left.laterality) == ("OD", "OS")
    assert right.angle == pytest.approx(left.angle)
    np.testing.assert_allclose(right.coordinates((x, y)), left.coordinates((1023 - x, y)), atol=1e-9)


@pytest.mark.parametrize(
    ("fovea", "plausible"),
    [((400, 540), True), ((650, 500), False), ((700, 800), False), ((20, 500), False), ((1000, 500), True)],
)
def test_implausible_landmarks(fovea, plausible):
    assert RetinalAxes((700.0, 500.0), fovea, 120.0).plausible is plausible


@pytest.mark.parametrize("name", list(ZONES))
def test_zone_areas(name):
    axes = RetinalAxes((512.3, 500.8), (262.0, 530.0), 100.0)
    centre = axes.disc if ZONES[name].origin == "disc" else axes.fovea
    box, inside = ZONES[name].mask(1024, centre, 100.0, axes)
    assert inside.shape == (box[0].stop - box[0].start, box[1].stop - box[1].start)
    assert np.count_nonzero(inside) == pytest.approx(ZONES[name].area * 100**2, rel=0.01)


@pytest.mark.parametrize("ring", ["zone_c", "etdrs_inner", "etdrs_outer"])
def test_quadrants_share_the_ring_and_point_the_right_way(ring):
    axes = RetinalAxes((512.0, 500.0), (262.0, 530.0), 100.0)
    origin = ZONES[ring].origin
    centre = axes.disc if origin == "disc" else axes.fovea
    total = np.zeros((1024, 1024), int)
    for quadrant, sign in {"superior": (1, 1), "inferior": (1, -1), "temporal": (0, 1), "nasal": (0, -1)}.items():
        box, inside = ZONES[f"{ring}_{quadrant}"].mask(1024, centre, 100.0, axes)
        total[box] += inside
        rows, columns = np.nonzero(inside)
        middle = [columns.mean() + box[1].start, rows.mean() + box[0].start]
        assert axes.coordinates(middle, origin)[sign[0]] * sign[1] > ZONES[ring].inner, quadrant
    box, whole = ZONES[ring].mask(1024, centre, 100.0)
    assert total.max() == 1
    assert np.count_nonzero(total) == pytest.approx(np.count_nonzero(whole), rel=0.01)


def test_the_etdrs_grid_is_the_macula_in_rings():
    assert [z for z in ETDRS if not ZONES[z].quadrant] == ["etdrs_centre", "etdrs_inner", "etdrs_outer"]
    assert len(ETDRS) == 11
    rings = [ZONES[z] for z in ETDRS if not ZONES[z].quadrant]
    assert [(r.inner * 1500, r.outer * 1500) for r in rings] == [(0, 500), (500, 1500), (1500, 3000)]  # um
    assert sum(r.area for r in rings) == pytest.approx(ZONES["macula"].area)


def test_a_quadrant_needs_axes():
    with pytest.raises(ValueError, match="retinal axes"):
        ZONES["zone_c_nasal"].mask(512, (256.0, 256.0), 50.0)


# A whole eye

MADE = {"vessel", "optic_disc", "fovea"}
"""Targets of the eyes here; the families on other targets have files of their own."""

IMAGE_NAMES = [n for n, b in REGISTRY.items() if b.family != "quality" and set(b.requires) <= MADE]


@pytest.fixture(scope="module")
def eye() -> pd.Series:
    result = measured(rows("a", eye_masks(), um_per_px=5.0))
    assert_honest(result)
    return result.iloc[0]


def test_disc_and_fovea_of_a_known_eye(eye):
    a, b = 0.055 * SIZE, 0.07 * SIZE
    diameter = 2 * np.sqrt(a * b)
    dx, dy = 0.74 * SIZE - 0.5 - 0.44 * SIZE, 0.55 * SIZE - (SIZE - 1) / 2
    expected = {
        "disc_ovality": a / b,
        "disc_torsion": np.degrees(np.arctan2(dy, dx)),  # upright disc, fovea below: lower end turned to temporal
        "disc_diameter_fov": diameter / (0.99 * SIZE),
        "disc_area_mm2": np.pi * a * b * 0.01**2,  # the photograph is twice the frame: 10 um a frame pixel
        "disc_eccentricity": 0.24 / 0.495,
        "fovea_eccentricity": np.hypot(0.44 * SIZE - (SIZE - 1) / 2, dy) / (0.495 * SIZE),
        "disc_fovea_distance": np.hypot(dx, dy) / diameter,
        "disc_fovea_distance_um": np.hypot(dx, dy) * 10,
        "disc_fovea_angle": np.degrees(np.arctan2(dy, dx)),
    }
    for name, value in expected.items():
        assert eye[name] == pytest.approx(value, rel=0.01), name
    assert eye["disc_solidity"] == pytest.approx(1)
    assert (eye["laterality"], eye["laterality_source"], eye["laterality_mismatch"]) == ("OD", "disc_fovea", None)


@pytest.mark.parametrize("tilt", [-60, -20, 20, 45, 80])
def test_torsion_is_positive_where_the_lower_end_goes_temporal(tilt):
    masks = eye_masks()
    x, y = grid(SIZE)
    x = x - 0.24 * SIZE
    t = np.radians(tilt)  # from the vertical; the lower end of a right eye's disc moves left
    along, across = y * np.cos(t) - x * np.sin(t), x * np.cos(t) + y * np.sin(t)
    masks["optic_disc"] = (along / (0.08 * SIZE)) ** 2 + (across / (0.05 * SIZE)) ** 2 <= 1
    level = (0.44, ((SIZE - 1) / 2) / SIZE)  # fovea level with the disc
    result = measured(rows("a", masks, level), rows("b", masks, level, flip=True))
    assert result["disc_torsion"].to_numpy() == pytest.approx([tilt, tilt], abs=0.5)


def test_densities_of_stripes():
    masks = eye_masks()
    masks["vessel"] = np.zeros((SIZE, SIZE), bool)
    for k in range(4):
        masks["vessel"][:, k::16] = True
    masks["vessel"][: SIZE // 2] &= np.arange(SIZE)[None, :] % 16 < 2  # half as much above the middle
    level = (0.44, ((SIZE - 1) / 2) / SIZE)
    got = measured(rows("a", masks, level)).iloc[0]
    assert got["vessel_density_superior"] == pytest.approx(2 / 16, rel=0.02)
    assert got["vessel_density_inferior"] == pytest.approx(4 / 16, rel=0.02)
    assert got["vessel_density_hemifield_asymmetry"] == pytest.approx(1 / 3, rel=0.03)
    assert got["vessel_density"] == pytest.approx(3 / 16, rel=0.02)
    assert got["vessel_density_zone_b"] == pytest.approx(3 / 16, rel=0.05)
    assert got["vessel_density_macula"] == pytest.approx(3 / 16, rel=0.05)
    assert got["vessel_density_zone_c_superior"] == pytest.approx(2 / 16, rel=0.05)
    assert got["vessel_density_zone_c_inferior"] == pytest.approx(4 / 16, rel=0.05)


def test_lengths_and_widths_of_parallel_bars():
    masks = eye_masks()
    masks["vessel"] = np.zeros((SIZE, SIZE), bool)
    for column in range(40, 480, 64):
        masks["vessel"][:, column : column + 6] = True
    got = measured(rows("a", masks, um_per_px=5.0)).iloc[0]
    diameter = 2 * SIZE * np.sqrt(0.055 * 0.07)
    for name in ("calibre_median", "calibre_length_weighted", "width_global"):
        assert got[f"vessel_{name}"] == pytest.approx(6 / diameter, rel=0.03), name
    assert got["vessel_calibre_median_um"] == pytest.approx(60, rel=0.02)
    assert got["vessel_area_mm2"] == pytest.approx((masks["vessel"] & masks[FOV]).sum() * 0.01**2)
    assert got["vessel_calibre_sd"] == pytest.approx(0, abs=0.2 / diameter)
    assert got["vessel_length_density"] == pytest.approx(diameter / 64, rel=0.1)
    assert got["fovea_vessel_distance"] == pytest.approx((232 - 0.5 - 0.44 * SIZE) / diameter, rel=0.01)
    right = (SIZE - 1) / 2 + 0.495 * SIZE  # the last bar ends at column 429
    assert got["vessel_sparsity_max"] == pytest.approx((right - 429.5) / diameter, rel=0.02)
    assert got["vessel_sparsity_max"] > got["vessel_sparsity_mean"] > 0
    assert got["vessel_tortuosity_arc_chord_median"] == pytest.approx(1, abs=0.005)
    assert (got["vessel_bifurcation_count"], got["vessel_endpoint_count"]) == (0, 0), (
        "bars are cut by the field's border"
    )
    assert got["vessel_branching_angle_mean__status"] == Status.TOO_FEW_VESSELS


def test_tortuosity_index_of_arcs_and_bars():
    masks, (x, y) = eye_masks(1024), grid(1024)
    theta, radius = 2.0, 150
    arcs = [np.hypot(x - u, y - v) for u, v in ((-300, -100), (-300, 150), (0, -200))]
    spread = [np.abs(np.arctan2(y - v, x - u)) <= theta / 2 for u, v in ((-300, -100), (-300, 150), (0, -200))]
    masks["vessel"] = np.logical_or.reduce([(np.abs(r - radius) <= 4) & s for r, s in zip(arcs, spread, strict=True)])
    masks["vessel"] |= (np.abs(x - 300) <= 4) & (np.abs(y) <= 300)
    got = measured(rows("a", masks)).iloc[0]
    seen = theta - 8 / radius  # a medial axis ends half a width before the end of a bar
    arc, chord = 3 * radius * seen + 592, 3 * 2 * radius * np.sin(seen / 2) + 592
    assert got["vessel_tortuosity_index"] == pytest.approx(arc / chord, rel=0.01)
    assert got["vessel_tortuosity_arc_chord_median"] == pytest.approx(seen / (2 * np.sin(seen / 2)), rel=0.01)


def test_too_few_vessels():
    masks = eye_masks() | {"vessel": bar(SIZE, 30, 6, 300)}
    got = measured(rows("a", masks)).iloc[0]
    vessel_names = [n for n in IMAGE_NAMES if "vessel" in REGISTRY[n].requires]
    assert {got[f"{n}__status"] for n in vessel_names} <= {Status.TOO_FEW_VESSELS, Status.NO_SCALE}
    assert got["disc_ovality__status"] == Status.OK


# Invariances


@properties
@given(st.integers(0, 10_000), st.sampled_from([None, "OD", "OS"]), st.floats(0.3, 0.6))
def test_a_mirrored_photograph_gives_the_same_values(seed, given_eye, height):
    masks, fovea = eye_masks(256, seed), (0.44, height)
    other = {"OD": "OS", "OS": "OD", None: None}[given_eye]
    result = measured(rows("a", masks, fovea, eye=given_eye), rows("b", masks, fovea, eye=other, flip=True))
    assert result["laterality"].tolist() == ["OD", "OS"]
    assert result["laterality_mismatch"].tolist() == [{"OD": False, "OS": True, None: None}[given_eye]] * 2
    for name in IMAGE_NAMES:
        assert result.loc[0, f"{name}__status"] == result.loc[1, f"{name}__status"]
    first, second = result[IMAGE_NAMES].to_numpy(float)
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)


def test_a_mirrored_photograph_without_a_fovea_follows_the_manifest():
    masks = eye_masks(256)
    result = measured(rows("a", masks, None, eye="OD"), rows("b", masks, None, eye="OS", flip=True))
    assert result["laterality"].tolist() == ["OD", "OS"]
    assert result["laterality_source"].tolist() == ["manifest", "manifest"]
    assert result["laterality_mismatch"].isna().all()
    first, second = result[IMAGE_NAMES].to_numpy(float)
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)


def test_laterality_unknown():
    result = measured(rows("a", eye_masks(256), None))
    assert result[["laterality", "laterality_source", "laterality_mismatch"]].isna().all(axis=None)


ABSOLUTE = {
    "vessel_bifurcation_count": 1,  # a branch as short as its parent is wide
    "vessel_endpoint_count": 1,
    "vessel_calibre_hemifield_asymmetry": 0.02,  # a tenth of a pixel in widths of 6 px
    "vessel_fd_singularity_length_skeleton": 0.05,  # a difference, here near 0; so far off is it on known masses
}
LOOSE = {  # second derivatives and small angles feel the pixel grid more; box sizes are whole pixels
    "vessel_curvature_mean_absolute": 0.1,
    "vessel_tortuosity_curvature_squared": 0.1,
    "fovea_vessel_distance": 0.1,
    "vessel_bifurcation_density": 0.1,
    "vessel_endpoint_density": 0.1,
    "vessel_branching_angle_mean": 0.05,
    "vessel_branching_angle_median": 0.05,
    "vessel_calibre_sd": 0.1,
    "vessel_lacunarity": 0.04,
}
RESOLUTION_BOUND = {  # what counts as an inflection is what stands out of the pixel grid: fewer in a smaller frame
    "vessel_inflection_density",
    "vessel_tortuosity_density",
    "vessel_width_variation",  # of even vessels it is that of the pixel grid
    "vessel_width_variation_relative",
}


@pytest.mark.parametrize("seed", [1, 2])
def test_twice_the_resolution_gives_the_same_values(seed):
    result = measured(rows("a", eye_masks(512, seed)), rows("b", eye_masks(1024, seed)))
    for name in IMAGE_NAMES:
        assert result.loc[0, f"{name}__status"] == result.loc[1, f"{name}__status"], name
        if result.loc[0, f"{name}__status"] == Status.OK and name not in RESOLUTION_BOUND:
            tolerance = {"rel": LOOSE.get(name, 0.03), "abs": ABSOLUTE.get(name, 0.003)}
            assert result.loc[0, name] == pytest.approx(result.loc[1, name], **tolerance), name


def test_rows_and_shards_in_any_order():
    images = [rows(f"image {i}", eye_masks(256, i)) for i in range(4)]
    whole = measured(*images)
    assert whole["image_id"].tolist() == [f"image {i}" for i in range(4)]
    shards = pd.concat([measured(*images[:1]), measured(*images[1:])], ignore_index=True)
    pd.testing.assert_frame_equal(whole, shards)
    shuffled = table(*images).sample(frac=1, random_state=5)
    again = measure_table(shuffled).set_index("image_id").loc[whole["image_id"]]
    pd.testing.assert_frame_equal(whole.set_index("image_id"), again)
    schema = biomarkers_schema()
    assert tables.to_bytes(whole, schema) == tables.to_bytes(shards, schema)


# Missing and broken input


def without_frame(image_id: str, status: str) -> list[dict]:
    return [{"image_id": image_id, "target": FOV, "status": status, "eye": "OD"}]


def test_an_image_without_a_frame_keeps_its_reason():
    result = measured(rows("a", eye_masks(256)), without_frame("b", "unreadable"), without_frame("c", "no_fundus"))
    assert result["status"].tolist() == ["ok", "unreadable", "no_fundus"]
    assert result["eye"].isna().tolist() == [True, False, False]
    for name in REGISTRY:
        assert result.loc[1:, f"{name}__status"].tolist() == ["unreadable", "no_fundus"]
        assert result.loc[1:, name].isna().all()


@pytest.mark.parametrize("target", ["vessel", "optic_disc", "fovea"])
@pytest.mark.parametrize("how", ["not_segmented", "not_visible", "failed", "empty"])
def test_a_missing_target_is_the_reason_of_all_that_need_it(target, how):
    masks = eye_masks(256)
    masks["fovea"] = np.hypot(*(grid(256)[i] - (-0.06 * 256, 0.05 * 256)[i] for i in (0, 1))) < 10
    if how == "empty":
        masks[target] = np.zeros((256, 256), bool)
    image = rows("a", masks, None)
    if how == "not_segmented":
        image = [r for r in image if r["target"] != target]
    elif how != "empty":
        image = [r | {"status": how, "rle": None} if r["target"] == target else r for r in image]
    result = measured(image)
    assert_honest(result)
    expected = "not_visible" if how == "empty" else how
    for name in IMAGE_NAMES:
        status = result.loc[0, f"{name}__status"]
        if target in REGISTRY[name].requires:
            assert status == expected, name
        elif target == "vessel":
            assert status in (Status.OK, Status.NO_SCALE), name


def test_a_fovea_without_a_point_is_the_centre_of_its_mask():
    masks = eye_masks(256)
    masks["fovea"] = np.hypot(grid(256)[0] + 0.06 * 256, grid(256)[1] - 0.05 * 256) < 12
    result = measured(rows("a", masks, None), rows("b", masks, None, flip=True))
    assert result["fovea_eccentricity"].to_numpy() == pytest.approx(np.hypot(0.06, 0.05) / 0.495, rel=0.01)
    assert result["laterality"].tolist() == ["OD", "OS"]


@pytest.mark.parametrize("rle", ["garbage", "", "0", "zzzz", None])
def test_a_broken_mask_fails_alone(rle, caplog):
    broken = [r | {"rle": rle} if r["target"] == "vessel" else r for r in rows("a", eye_masks(256))]
    result = measured(broken, rows("b", eye_masks(256)))
    assert_honest(result)
    assert result["status"].tolist() == ["ok", "ok"]
    assert result["vessel_density__status"].tolist() == ["failed", "ok"]
    assert result["disc_ovality__status"].tolist() == ["ok", "ok"]
    assert len([r for r in caplog.records if "the mask of vessel cannot be read" in r.message]) == 1


@pytest.mark.parametrize(("column", "value"), [("crop_side", None), ("fov_radius", None), ("frame_size", None)])
def test_a_broken_frame_fails_alone(column, value, caplog):
    broken = [r | {column: value} for r in rows("a", eye_masks(256))]
    result = measured(broken, rows("b", eye_masks(256)))
    assert result["status"].tolist() == ["failed", "ok"]
    assert set(result.filter(like="__status").iloc[0]) == {"failed"}
    assert "a: " in caplog.text


def test_an_unexpected_error_is_one_failed_value(monkeypatch, caplog):
    def explode(image):
        raise ZeroDivisionError("boom")

    monkeypatch.setitem(REGISTRY, "vessel_density", replace(REGISTRY["vessel_density"], compute=explode))
    with caplog.at_level(logging.ERROR):
        result = measured(rows("a", eye_masks(256)))
    assert result.loc[0, "vessel_density__status"] == Status.FAILED
    assert result.loc[0, "vessel_density_macula__status"] == Status.OK
    assert "a: vessel_density failed" in caplog.text


def test_a_value_that_is_not_finite_is_undefined(monkeypatch):
    monkeypatch.setitem(REGISTRY, "disc_ovality", replace(REGISTRY["disc_ovality"], compute=lambda image: np.inf))
    result = measured(rows("a", eye_masks(256)))
    assert (result.loc[0, "disc_ovality__status"], np.isnan(result.loc[0, "disc_ovality"])) == ("undefined", True)


def test_implausible_disc_and_fovea_are_undefined():
    result = measured(rows("a", eye_masks(256), fovea=(0.74, 0.9), eye="OS"))
    assert_honest(result)
    assert result.loc[0, "disc_fovea_distance__status"] == Status.UNDEFINED
    assert result.loc[0, "vessel_density_superior__status"] == Status.UNDEFINED
    assert result.loc[0, ["laterality", "laterality_source"]].tolist() == ["OS", "manifest"]


def test_a_region_out_of_view():
    masks = eye_masks(256)
    masks["optic_disc"] = np.roll(masks["optic_disc"], 30, axis=1)
    result = measured(rows("a", masks, (0.56, 0.55)))
    assert_honest(result)
    assert result.loc[0, "vessel_density_zone_c_nasal__status"] == Status.OUT_OF_VIEW
    assert result.loc[0, "vessel_density_zone_c_temporal__status"] == Status.OK


def test_a_round_disc_has_no_torsion():
    masks = eye_masks()
    masks["optic_disc"] = np.hypot(grid(SIZE)[0] - 0.24 * SIZE, grid(SIZE)[1]) <= 0.06 * SIZE
    result = measured(rows("a", masks))
    assert result.loc[0, "disc_ovality"] == pytest.approx(1, abs=0.005)
    assert result.loc[0, "disc_torsion__status"] == Status.UNDEFINED


@pytest.mark.parametrize("kind", ["full", "noise"])
def test_hopeless_vessels_in_a_whole_eye(kind):
    masks = eye_masks(256)
    masks["vessel"] = masks[FOV] if kind == "full" else np.random.default_rng(0).random((256, 256)) < 0.5
    assert_honest(measured(rows("a", masks)))


def test_no_scale_without_micrometres():
    result = measured(rows("a", eye_masks(256)), rows("b", eye_masks(256), um_per_px=4.0))
    for name in (n for n in IMAGE_NAMES if REGISTRY[n].unit in ("um", "mm2")):
        assert result[f"{name}__status"].tolist() == ["no_scale", "ok"], name


QUALITY = [n for n in names("quality") if not REGISTRY[n].requires]
"""Columns of the quality table; the rest of the family comes from masks."""


def quality_of(*images: str) -> pd.DataFrame:
    columns = [n.removeprefix("quality_") for n in QUALITY]
    return pd.DataFrame([{"image_id": i, "status": "ok", **dict.fromkeys(columns, 0.25)} for i in images])


def test_quality_columns_come_through():
    quality = quality_of("a", "b")
    quality.loc[1, quality.columns[2:]] = np.nan
    result = measured(*(rows(i, eye_masks(256)) for i in "abc"), quality=quality)
    assert_honest(result)
    for name in QUALITY:
        assert result.loc[0, name] == 0.25
        assert result[f"{name}__status"].tolist() == ["ok", "not_assessed", "not_assessed"]


def test_without_a_quality_table():
    result = measured(rows("a", eye_masks(256)))
    assert {result.loc[0, f"{n}__status"] for n in QUALITY} == {"not_assessed"}


def test_progress_counts_images():
    seen: list[int] = []
    measure_table(table(without_frame("a", "unreadable"), without_frame("b", "unreadable")), progress=seen.append)
    assert seen == [1, 2]


def test_no_images():
    result = measure_table(table())
    assert len(result) == 0
    assert list(result.columns) == biomarkers_schema().names


# The registry


def test_registry_entries_are_complete():
    assert len(REGISTRY) >= 40
    for name, b in REGISTRY.items():
        assert name == b.name
        assert all((b.label, b.unit, b.definition, b.reference, b.evidence)), name
        assert set(b.requires) <= set(TARGETS), name
        assert len(set(b.statuses)) == len(b.statuses), name
        needs_scale = b.unit in ("um", "mm2") or name == "avr_hubbard" or name.endswith("_scaled")
        assert needs_scale == (Status.NO_SCALE in b.reasons), name
    assert len({b.label for b in REGISTRY.values()}) == len(REGISTRY)


def test_lengths_in_disc_diameters_need_the_disc():
    for name, b in REGISTRY.items():
        if "dd" in b.unit:
            assert "optic_disc" in b.requires, name


def test_definitional_outcomes_follow_the_targets():
    cup = Biomarker("x", "disc_fovea", "x", "ratio", "x", "x", ("optic_disc", "optic_cup"), "x", (), lambda image: 1.0)
    assert cup.definitional == ("glaucoma",)
    found: dict[str, set[str]] = {}
    for b in REGISTRY.values():
        for outcome in b.definitional:
            found.setdefault(outcome, set()).add(b.family)
    assert found == {
        "dr": {"lesion"},
        "amd": {"lesion"},
        "glaucoma": {"disc_cup", "quality"},
        "myopia": {"phenotype", "lesion"},
    }
    assert REGISTRY["drusen_area"].definitional == ("amd",)
    assert REGISTRY["macular_hole_area"].definitional == REGISTRY["crae_knudtson"].definitional == ()


def test_names_by_family():
    assert names() == list(REGISTRY)
    assert set(names("calibre")) == {n for n, b in REGISTRY.items() if b.family == "calibre"}
    with pytest.raises(ValueError, match="no family 'calibres'; families are quality, calibre"):
        names("calibres")


# Real manual masks


@pytest.mark.data
def test_manual_masks_of_drive(data_root):
    folder = data_root / "DRIVE" / "test"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    images = []
    for number in ("01", "02", "03", "05"):
        fov = np.array(Image.open(next((folder / "mask").glob(f"{number}*"))).convert("L")) > 127
        vessel = np.array(Image.open(next((folder / "1st_manual").glob(f"{number}*"))).convert("L")) > 127
        disc = np.array(Image.open(next((folder / "disc").glob(f"{number}*"))).convert("L")) > 127
        y, x = (c.mean() for c in np.nonzero(fov))
        radius = np.sqrt(fov.sum() / np.pi)
        side = int(2 * radius + 4)
        frame = Frame(fov.shape[1], fov.shape[0], 1024, round(x - side / 2), round(y - side / 2), side, x, y, radius)
        masks = {FOV: frame.warp(fov), "vessel": frame.warp(vessel), "optic_disc": frame.warp(disc)}
        images.append([r | frame.as_row() for r in rows(number, masks, (0.5, 0.52))])
    result = measured(*images)
    assert_honest(result)
    assert result["vessel_fd_box_skeleton"].between(1.3, 1.8).all()
    assert result["vessel_fd_box_mask"].between(1.3, 1.8).all()
    assert result["vessel_density"].between(0.08, 0.2).all()
    assert result["vessel_tortuosity_arc_chord_median"].between(1, 1.2).all()
    assert result["vessel_calibre_length_weighted"].between(0.01, 0.08).all()
    assert result["vessel_branching_angle_mean"].between(50, 100).all()
    optional = {Status.OUT_OF_VIEW, Status.NO_SCALE}
    for name in (n for n in IMAGE_NAMES if not optional & set(REGISTRY[n].reasons) and n != "disc_torsion"):
        assert (result[f"{name}__status"] == Status.OK).all(), name
