"""Drawing: strokes, outlines and textures against closed forms, the same on any grid."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.phantom.raster import Grid, Strokes, resample, signed_distance
from retsam.phantom.shapes import Blobs
from retsam.phantom.texture import Texture
from retsam.phantom.vessels import Segment

few = settings(max_examples=8, deadline=None, derandomize=True)


# --- strokes ---------------------------------------------------------------------------------------------------------


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
    drawn = signed_distance(Strokes(centres, np.zeros_like(centres), radius), (40, 50))
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


# --- outlines --------------------------------------------------------------------------------------------------------


def _grid(scale: float = 20.0, sign: int = -1) -> Grid:
    return Grid(400, 400, 199.5, 199.5, scale, sign)


@few
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.2, 3.0), st.sampled_from([-1, 1]))
def test_a_round_blob_has_the_distance_of_a_disc(u: float, v: float, radius: float, sign: int) -> None:
    grid = _grid(sign=sign)
    x, y = grid.to_px([u, v])
    rows, columns = np.mgrid[:400, :400]
    truth = radius * grid.scale - np.hypot(columns - x, rows - y)
    drawn = Blobs.discs([(u, v)], radius).signed_distance(grid)
    near = truth > -2
    np.testing.assert_allclose(drawn[near], truth[near], atol=2e-2)
    assert (drawn[~near] < -1.5).all()


@few
@given(st.integers(0, 10**6), st.floats(0.5, 3.0), st.floats(1.0, 2.5), st.floats(0.0, 3.1), st.floats(0.0, 0.2))
def test_area_is_the_integral_of_the_outline(
    seed: int, radius: float, aspect: float, angle: float, rough: float
) -> None:
    blob = Blobs.draw(np.random.default_rng(seed), [(0.3, -0.2)], radius, aspect=aspect, angle=angle, rough=rough)
    drawn = blob.signed_distance(_grid()) >= 0
    assert drawn.sum() / 20.0**2 == pytest.approx(blob.area[0], rel=0.04 / radius + 0.01)
    far = np.argwhere(drawn) - 199.5
    assert np.hypot(*far.T).max() <= (blob.reach[0] + 0.4) * 20.0 + 1


def test_a_stretched_blob_points_where_it_says() -> None:
    blob = Blobs.draw(np.random.default_rng(0), [(0.0, 0.0)], 2.0, aspect=3.0, angle=math.radians(30), rough=0.0)
    for sign in (-1, 1):
        rows, columns = np.nonzero(blob.signed_distance(_grid(sign=sign)) >= 0)
        temporal, inferior = (columns - 199.5) * sign, rows - 199.5
        values, vectors = np.linalg.eigh(np.cov(temporal, inferior))
        assert math.sqrt(values[1] / values[0]) == pytest.approx(3.0, rel=0.02)
        long = vectors[:, 1] * np.sign(vectors[0, 1])
        assert math.degrees(math.atan2(long[1], long[0])) == pytest.approx(30, abs=0.5)


def test_keep_takes_some_and_an_empty_one_draws_nothing() -> None:
    blobs = Blobs.discs([(0.0, 0.0), (5.0, 5.0)], [1.0, 2.0])
    assert len(blobs.keep(np.array([False, True]))) == 1
    assert blobs.keep(np.array([1])).radius[0] == 2.0
    assert (blobs.keep(np.zeros(2, bool)).signed_distance(_grid()) < 0).all()


# --- textures --------------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 10**6), st.floats(0.3, 9.0))
def test_a_texture_is_the_same_on_any_grid_and_mirrors(seed: int, cell: float) -> None:
    texture = Texture.draw(np.random.default_rng(seed), cell)
    coarse, fine = Grid(100, 80, 20.0, 30.0, 4.0, -1), Grid(300, 240, 61.0, 91.0, 12.0, -1)
    np.testing.assert_allclose(texture.on(coarse), texture.on(fine)[1::3, 1::3], atol=2e-3)
    mirrored = replace(coarse, sign=1, x0=99.0 - coarse.x0)
    np.testing.assert_allclose(texture.on(mirrored)[:, ::-1], texture.on(coarse), atol=1e-5)
    u, v = coarse.coordinates()
    places = np.array([[u[0, 7], v[50, 0]], [u[0, 80], v[3, 0]]], float)
    np.testing.assert_allclose(texture.at(places), texture.on(coarse)[[50, 3], [7, 80]], atol=1e-4)


def test_a_texture_has_its_nodes_values_and_their_variance() -> None:
    texture = Texture.draw(np.random.default_rng(1), 1.0)
    middle = (len(texture.nodes) - 1) // 2
    places = np.array([[-3.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(
        texture.at(places), [texture.nodes[middle + 2, middle - 3], texture.nodes[middle, middle]], atol=1e-5
    )
    assert 0.7 < texture.on(Grid(512, 512, 256.0, 256.0, 10.0, -1)).std() < 1.0
