"""Phantoms: closed forms of the drawing, properties of every mask."""

import math

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam import tables
from retsam.io.masks import decode
from retsam.phantom import mask_rows, render
from retsam.phantom.camera import CAMERAS
from retsam.phantom.compose import LESIONS
from retsam.phantom.raster import Grid, Strokes, resample, signed_distance
from retsam.phantom.simulate import mean_arc_chord
from retsam.phantom.vessels import Segment
from retsam.taxonomy import TARGETS

few = settings(max_examples=6, deadline=None, derandomize=True)


# --- drawing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 17, 45, 90])
@pytest.mark.parametrize("radius", [0.8, 1.7, 3.3])
def test_a_straight_vessel_has_its_width_in_every_direction(angle: float, radius: float) -> None:
    direction = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    points = 64.3 + np.linspace(-50.0, 50.0, 41)[:, None] * direction
    vessel = Segment("vein", points, np.full(41, radius), -1)
    distance = signed_distance(resample([vessel], Grid(128, 128, 0.0, 0.0, 1.0, 1)), (128, 128))
    y, x = np.mgrid[:128, :128] - 64.3
    along, across = x * direction[0] + y * direction[1], x * direction[1] - y * direction[0]
    middle = (np.abs(along) < 45) & (np.abs(across) < radius + 1)
    np.testing.assert_allclose(distance[middle], (radius - np.abs(across))[middle], atol=1e-3)


def test_signed_distance_is_exact_for_one_disc_and_for_discs_half_outside() -> None:
    y, x = np.mgrid[:40, :50]
    centres, radius = np.array([[20.3, 11.8], [-2.0, 30.0]]), np.array([4.6, 5.0])
    truth = np.max([r - np.hypot(x - cx, y - cy) for (cx, cy), r in zip(centres, radius, strict=True)], axis=0)
    drawn = signed_distance(Strokes.dots(centres, radius), (40, 50))
    near = truth > -1
    np.testing.assert_allclose(drawn[near], truth[near], atol=1e-4)
    assert (drawn[~near] <= -1 + 1e-4).all()


def test_no_vessels_draw_nothing() -> None:
    assert (signed_distance(resample([], Grid(32, 32, 0.0, 0.0, 10.0, 1)), (32, 32)) < 0).all()


@few
@given(st.integers(0, 299), st.integers(0, 199), st.sampled_from([-1, 1]), st.floats(4, 40))
def test_grid_coordinates_and_laterality(column: int, row: int, sign: int, scale: float) -> None:
    grid = Grid(300, 200, 140.5, 90.25, scale, sign)
    u, v = grid.coordinates()
    np.testing.assert_allclose(grid.to_px([u[0, column], v[row, 0]]), [column, row], atol=1e-3)
    temporal = grid.to_px([5.0, 0.0])[0] - grid.x0
    assert temporal * sign > 0


# --- vessels ---------------------------------------------------------------------------------------------------------


def test_tortuosity_of_a_straight_eye_and_of_a_winding_one() -> None:
    straight, typical, winding = (
        mean_arc_chord(render(2, 128, phenotypes={}, camera="round45", tortuosity=t)) for t in (0.0, 0.3, 0.7)
    )
    assert 1.0 <= straight < 1.005 < typical < 1.03 < winding


# --- phantoms --------------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(["OD", "OS"]), st.sampled_from(sorted(CAMERAS)), st.floats(0, 1))
def test_every_phantom_is_consistent(seed: int, eye: str, camera: str, quality: float) -> None:
    phantom = render(seed, 160, eye=eye, camera=camera, quality=quality, diseases=("dr", "amd"))
    height, width = phantom.image.shape[:2]
    assert phantom.image.dtype == np.uint8
    assert set(phantom.masks) == {"fov", "vessel", "artery", "vein", "optic_disc", "optic_cup", "fovea", *LESIONS}
    assert set(phantom.masks) - {"fov"} <= set(TARGETS)
    for masks, shape in ((phantom.masks, (height, width)), (phantom.truth(128), (128, 128))):
        assert all(m.shape == shape and m.dtype == bool for m in masks.values())
        assert all(not (m & ~masks["fov"]).any() for m in masks.values())
        assert (masks["vessel"] == (masks["artery"] | masks["vein"])).all()
        assert masks["optic_cup"].any() and not (masks["optic_cup"] & ~masks["optic_disc"]).any()
        assert masks["artery"].any() and masks["vein"].any() and masks["fovea"].any()
    np.testing.assert_allclose(np.argwhere(phantom.masks["optic_disc"]).mean(axis=0)[::-1], phantom.disc, atol=0.6)
    assert (phantom.disc[0] > phantom.fovea[0]) == (eye == "OD")
    assert phantom.disc[1] < phantom.fovea[1] + 0.15 * height
    disc_area = math.pi / 4 * (phantom.anatomy.disc_diameter * phantom.view.grid.scale) ** 2
    assert phantom.masks["optic_disc"].sum() == pytest.approx(disc_area, rel=0.06)


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(CAMERAS)))
def test_left_eye_is_the_mirror_of_the_right(seed: int, camera: str) -> None:
    right, left = (render(seed, 128, eye=eye, camera=camera, diseases=("dr",)) for eye in ("OD", "OS"))
    assert right.image.shape == left.image.shape
    for name, mask in right.masks.items():
        np.testing.assert_array_equal(mask, left.masks[name][:, ::-1])
    width = right.image.shape[1]
    assert right.disc == pytest.approx((width - 1 - left.disc[0], left.disc[1]))
    smooth = [cv2.blur(p, (9, 9)).astype(int) for p in (right.image, left.image[:, ::-1])]
    vignette_apart = np.abs(smooth[0] - smooth[1]).mean()  # the direction of the light is drawn, not mirrored
    assert vignette_apart < 12


def test_truth_in_the_frame_agrees_with_the_photograph_brought_into_it() -> None:
    phantom = render(3, 512, camera="wide45")
    frame, truth = phantom.frame(512), phantom.truth(512)
    least = {"vessel": 0.93, "optic_disc": 0.99, "optic_cup": 0.97, "fovea": 0.99, "fov": 0.999}
    for name in least:
        warped = frame.warp(phantom.masks[name])
        dice = 2 * (warped & truth[name]).sum() / (warped.sum() + truth[name].sum())
        assert dice > least[name], name


def test_render_overrides_and_their_errors() -> None:
    phantom = render(8, 128, cup_ratio=0.5, phenotypes={"tortuosity": 1.0})
    assert phantom.parameters.cup_ratio == 0.5
    assert render(8, 128, phenotypes={}).parameters == render(8, 128, phenotypes={}, eye="OS").parameters
    for wrong in ({"eye": "right"}, {"camera": "phone"}, {"quality": 1.5}, {"phenotypes": {"colour": 1.0}}):
        with pytest.raises(
            ValueError, match=str(next(iter(wrong.values())) if "phenotypes" not in wrong else "colour")
        ):
            render(8, 128, **wrong)
    with pytest.raises(TypeError):
        render(8, 128, cup=0.5)


def test_mask_rows_fit_the_contract() -> None:
    phantom = render(9, 256, camera="cut50", eye="OS")
    rows = pd.DataFrame(mask_rows("a", phantom, 192))
    table = tables.conform(rows, tables.MASKS).to_pandas()
    assert table["target"].iloc[0] == "fov" and table["target"].is_unique
    assert (table["status"] == "ok").all() and (table["eye"] == "OS").all()
    truth = phantom.truth(192)
    for row in table.itertuples():
        np.testing.assert_array_equal(decode(row.rle, 192), truth[row.target])
        assert row.area_px == truth[row.target].sum()
    disc = table.set_index("target").loc["optic_disc"]
    centre = np.argwhere(truth["optic_disc"]).mean(axis=0)[::-1]
    np.testing.assert_allclose([disc["x"], disc["y"]], centre, atol=0.5)
