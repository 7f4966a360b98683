"""The camera: closed forms of field, blur and noise; what is in view; the dial; artifacts where their masks are."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.field import Field, find_field, make_frame
from retsam.phantom.artifacts import VISIBLE, Crescent, Lash, Smear, Spot, artifact_mask, draw_artifacts
from retsam.phantom.camera import CAMERAS, Camera, Faults, View, aim, defocus, expose, move
from retsam.phantom.population import AIM, FAULTS, sample
from retsam.phantom.raster import Grid

few = settings(max_examples=8, deadline=None, derandomize=True)
NAMES = sorted(CAMERAS)
WIDE = [name for name in NAMES if CAMERAS[name].field_degrees >= 45]


def anatomy(fovea: tuple[float, float] = (15.4, 1.8), semi: tuple[float, float] = (2.8, 3.1)) -> Any:
    """All of an eye that the camera looks at."""
    return SimpleNamespace(disc=SimpleNamespace(semi_u=semi[0], semi_v=semi[1]), fovea=fovea)


def retina(view: View) -> np.ndarray:
    """Plain retina with a bright disc and dark rings around it for vessels; (H, W, 3) float32."""
    u, v = view.grid.coordinates()
    away = np.hypot(u, v)
    lines = 1.0 - 0.3 * np.exp(-(((away + 1.0) % 2.5 - 1.25) ** 2) / 0.02)
    out = np.array([0.78, 0.38, 0.18], np.float32) * lines[..., None].astype(np.float32)
    out[away < 3.0] = (1.0, 0.8, 0.5)
    return out


def photograph(name: str, seed: int, size: int = 256, quality: float = 0.9, sign: int = 1, **changes: Any) -> tuple:
    """View, artifacts and picture from a preset."""
    camera = replace(CAMERAS[name], **changes)
    view = aim(np.random.default_rng(seed), camera, anatomy(), sign, size)
    artifacts = draw_artifacts(np.random.default_rng(seed + 1), quality, sign)
    return view, artifacts, expose(np.random.default_rng(seed + 2), retina(view), view, quality, artifacts)


# --- the field of view -----------------------------------------------------------------------------------------------


@few
@given(st.floats(0.6, 1.0), st.floats(0.6, 1.0))
def test_area_of_a_cut_circle(half_width: float, half_height: float) -> None:
    camera = Camera(half_width=half_width, half_height=half_height)
    view = aim(np.random.default_rng(0), camera, anatomy(), 1, 400)

    def segment(edge: float) -> float:
        return 2 * (math.acos(edge) - edge * math.sqrt(1 - edge**2))

    corners = half_width**2 + half_height**2 < 1  # the two cuts meet inside the circle
    if not corners:
        area = (math.pi - segment(half_width) - segment(half_height)) * 200**2
        assert view.field.mask.sum() == pytest.approx(area, rel=0.01)
    assert view.field.mask.any(axis=1).sum() == pytest.approx(400 * half_height, abs=2)
    assert view.field.mask.any(axis=0).sum() == pytest.approx(400 * half_width, abs=2)


def test_a_tab_is_added_and_a_notch_is_cut_out() -> None:
    plain, tab, notch = (
        aim(np.random.default_rng(0), Camera(width=1.2, height=1.2, tab=t), anatomy(), 1, 400).field.mask
        for t in ((0.0, 0.0, 0.0), (1.0, 0.0, 0.1), (1.0, 0.0, -0.1))
    )
    half = math.pi / 2 * 20**2
    assert (tab & ~plain).sum() == pytest.approx(half, rel=0.08) and not (plain & ~tab).any()
    assert (plain & ~notch).sum() == pytest.approx(half, rel=0.08) and not (notch & ~plain).any()
    assert (tab & ~plain)[:, 240:].all(axis=None) == (tab & ~plain).all(axis=None)


def test_presets() -> None:
    assert {"round45", "wide45", "cut50"} <= set(CAMERAS)
    assert {CAMERAS[name].field_degrees for name in NAMES} == {30.0, 45.0, 50.0, 60.0}
    assert all(1 <= CAMERAS[name].jpeg <= 100 for name in NAMES)
    mask = aim(np.random.default_rng(1), CAMERAS["round45"], anatomy(), 1, 300).field.mask
    assert mask.shape[0] == mask.shape[1]
    assert mask.any(axis=0).sum() == mask.any(axis=1).sum() == 300


@pytest.mark.parametrize("name", NAMES)
def test_the_pipeline_finds_the_true_field_of_view(name: str) -> None:
    view, _, picture = photograph(name, 4, 384)
    found, true = find_field(picture), view.field
    assert (found.x, found.y, found.radius) == pytest.approx((true.x, true.y, true.radius), abs=0.015 * true.radius)
    assert picture[~true.mask].mean() < 8 < picture[true.mask].mean()


# --- where it looks --------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(WIDE), st.sampled_from([-1, 1]), st.floats(12, 19), st.floats(2, 4))
def test_the_whole_disc_is_in_view_from_45_degrees_on(
    seed: int, name: str, sign: int, distance: float, semi: float
) -> None:
    view = aim(
        np.random.default_rng(seed), CAMERAS[name], anatomy((distance, 0.12 * distance), (semi, semi)), sign, 300
    )
    angle = np.linspace(0, 2 * np.pi, 60)
    x, y = np.rint(view.grid.to_px(semi * np.stack([np.cos(angle), np.sin(angle)], axis=1))).astype(int).T
    height, width = view.field.mask.shape
    assert ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all()
    assert view.field.mask[y, x].all()


def test_a_narrow_field_is_centred_on_the_disc_or_on_the_macula() -> None:
    middle = []
    for seed in range(20):
        view = aim(np.random.default_rng(seed), CAMERAS["narrow30"], anatomy(), 1, 200)
        centre = np.array([view.field.x - view.grid.x0, view.field.y - view.grid.y0]) / view.grid.scale
        off = [float(np.hypot(*(centre - place))) for place in ((0.0, 0.0), (15.4, 1.8))]
        assert min(off) < 4
        middle.append(int(np.argmin(off)))
    assert 4 < sum(middle) < 16


@pytest.mark.parametrize(("gaze", "place"), [(0.0, (0.0, 0.0)), (1.0, (12.0, 1.0))])
def test_gaze_can_be_given(gaze: float, place: tuple[float, float]) -> None:
    centres = []
    for seed in range(12):
        view = aim(np.random.default_rng(seed), CAMERAS["wide60"], anatomy((12.0, 1.0)), -1, 200, gaze)
        offset = np.array([view.field.x - view.grid.x0, view.field.y - view.grid.y0]) / view.grid.scale
        centres.append(offset * [-1, 1])
    np.testing.assert_allclose(np.mean(centres, axis=0), place, atol=0.9)


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(NAMES), st.floats(0, 1))
def test_a_left_eye_is_photographed_as_the_mirror_image(seed: int, name: str, quality: float) -> None:
    (right, _, one), (left, _, other) = (photograph(name, seed, 128, quality, sign, noise=0.0) for sign in (-1, 1))
    np.testing.assert_array_equal(right.field.mask, left.field.mask[:, ::-1])
    apart = np.abs(one.astype(int) - other[:, ::-1].astype(int))
    assert apart.mean() < 0.2 and np.quantile(apart, 0.99) <= 2


def test_magnification_keeps_to_its_table() -> None:
    low, high = next((row.low, row.high) for row in AIM if row.name == "magnification")
    nominal = 200 / 45
    scales = [aim(np.random.default_rng(s), CAMERAS["round45"], anatomy(), 1, 200).grid.scale for s in range(30)]
    assert low * nominal <= min(scales) < 0.98 * nominal < 1.02 * nominal < max(scales) <= high * nominal


# --- lens and sensor -------------------------------------------------------------------------------------------------


def _moments(spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (x, y) and covariance of a non-negative picture taken as a density."""
    y, x = np.indices(spread.shape)
    weight = spread / spread.sum()
    mean = np.array([(weight * x).sum(), (weight * y).sum()])
    d = np.stack([x - mean[0], y - mean[1]])
    return mean, np.einsum("ihw,jhw,hw->ij", d, d, weight)


@pytest.mark.parametrize("sigma", [1.5, 4.0, 9.0, 14.0])
def test_defocus_spreads_a_point_to_a_gaussian(sigma: float) -> None:
    point = np.zeros((160, 160, 3), np.float32)
    point[80:84, 80:84] = 1 / 16  # one cell of the coarse grid
    spread = defocus(point, sigma)[..., 1]
    mean, covariance = _moments(spread)
    assert spread.sum() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(mean, 81.5, atol=0.01)
    np.testing.assert_allclose(covariance, (sigma**2 + 15 / 12) * np.eye(2), atol=0.05 * sigma**2)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("length", [8.0, 40.0])
@pytest.mark.parametrize("angle", [0.0, 30.0, 120.0])
def test_motion_spreads_a_point_along_a_line(length: float, angle: float, sign: int) -> None:
    point = np.zeros((160, 160, 3), np.float32)
    point[80, 80] = 1.0
    _, covariance = _moments(move(point, length, angle, sign)[..., 1])
    along = np.array([sign * math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = np.array([-along[1], along[0]])
    assert along @ covariance @ along == pytest.approx(length**2 / 12, rel=0.1, abs=0.6)
    assert across @ covariance @ across < 1.6
    assert move(point, 0.5, angle, sign) is point


def test_noise_grows_with_the_light_and_with_the_fineness_of_the_sensor() -> None:
    camera = Camera(noise=0.02, vignette=0.0, blur=0.001)

    def spread(size: int, level: float) -> float:
        grid = Grid(size, size, size / 2, size / 2, size / 45, 1)
        field = Field(camera.inside(*_unit(size)) >= 0, (size - 1) / 2, (size - 1) / 2, size / 2)
        flat = np.full((size, size, 3), level, np.float32)
        pictures = [expose(np.random.default_rng(3), flat, View(c, grid, field), 1.0) for c in (camera, still)]
        middle = slice(size // 2 - 40, size // 2 + 40)
        return float((pictures[0].astype(float) - pictures[1])[middle, middle].std())

    still = replace(camera, noise=0.0)
    bright, dim, fine = spread(128, 0.6), spread(128, 0.1), spread(256, 0.6)
    assert bright / dim == pytest.approx(math.sqrt(1.3 / 0.3), rel=0.25)
    assert fine / bright == pytest.approx(2.0, rel=0.15)


def _unit(size: int) -> tuple[np.ndarray, np.ndarray]:
    place = (np.arange(size) - (size - 1) / 2) / (size / 2)
    return place[None, :], place[:, None]


def test_exposing_is_deterministic_and_leaves_the_retina_alone() -> None:
    view = aim(np.random.default_rng(0), CAMERAS["cut50"], anatomy(), 1, 160)
    painted = retina(view)
    before = painted.copy()
    one, other, another = (expose(np.random.default_rng(s), painted, view, 0.5) for s in (1, 1, 2))
    np.testing.assert_array_equal(painted, before)
    np.testing.assert_array_equal(one, other)
    assert one.dtype == np.uint8 and one.shape == painted.shape and (one != another).any()


# --- the dial --------------------------------------------------------------------------------------------------------


def test_every_fault_grows_as_the_dial_falls_and_any_may_dominate() -> None:
    leading = []
    for seed in range(60):
        drawn = sample(np.random.default_rng(seed), FAULTS)
        stages = [vars(Faults.at(q, drawn)) for q in (1.0, 0.7, 0.3, 0.0)]
        assert set(stages[0].values()) == {0.0}
        for name, last in stages[-1].items():
            grown = [stage[name] for stage in stages]
            assert grown == sorted(grown) and (last > 0 or name in {"glare", "darkness"})
        leading.append(max(stages[-1], key=stages[-1].__getitem__))
        assert stages[-1][leading[-1]] == 1.0
    assert set(leading) == {"defocus", "motion", "darkness", "glare", "haze", "uneven"}


@pytest.mark.parametrize("dominant", range(6))
def test_contrast_falls_with_the_dial_whatever_the_fault(dominant: int, monkeypatch: pytest.MonkeyPatch) -> None:
    score = [-1.4, -0.7, -0.2, 0.2, 0.7, 1.4][dominant]  # in the middle of each sixth of the normal distribution
    fixed = {"dominant": score, "flare": -1.0}
    monkeypatch.setattr(
        "retsam.phantom.camera.sample", lambda rng, table: sample(rng, table, fixed if table is FAULTS else None)
    )
    view = aim(np.random.default_rng(5), replace(CAMERAS["round45"], noise=0.0), anatomy(), 1, 256)
    u, v = view.grid.coordinates()
    across, down = _unit(view.grid.width)
    plain = (np.hypot(u, v) > 5) & (np.hypot(across, down) < 0.85)
    contrast = []
    for quality in (1.0, 0.75, 0.5, 0.25, 0.0):
        green = expose(np.random.default_rng(6), retina(view), view, quality)[..., 1].astype(np.float32)
        contrast.append(float((green - defocus(green, 6.0))[plain].std()))
    assert contrast[-1] < 0.35 * contrast[0], contrast
    assert contrast[2] > contrast[3] > contrast[4], contrast  # a little more light may raise it at first


# --- artifacts -------------------------------------------------------------------------------------------------------

FIELD = Field(np.ones((200, 240), bool), 118.3, 99.6, 95.0)
LOOK: dict[str, Any] = {"colour": (0.0, 0.0, 0.0), "opacity": 1.0, "softness": 0.0}


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:200, :240]
    return (x - FIELD.x) / FIELD.radius, (y - FIELD.y) / FIELD.radius


def test_distances_are_those_of_the_figures() -> None:
    x, y = _grid()
    points = np.stack([np.linspace(-0.5, 0.5, 9), np.full(9, 0.2)], axis=1)
    beyond = np.hypot(np.maximum(np.abs(x) - 0.5, 0), y - 0.2)
    turned = math.cos(0.6) * (x - 0.1) + math.sin(0.6) * y
    figures = {
        Spot(**LOOK, centre=(0.3, -0.4), radius=0.2): 0.2 - np.hypot(x - 0.3, y + 0.4),
        Spot(**LOOK, centre=(0.9, 0.9), radius=0.3, hole=0.1): 0.1 - np.abs(np.hypot(x - 0.9, y - 0.9) - 0.2),
        Crescent(**LOOK, centre=(-0.5, 0.0), radius=1.3): np.hypot(x + 0.5, y) - 1.3,
        Smear(**LOOK, centre=(0.1, 0.0), semi=(0.25, 0.25), angle=0.6): 0.25 - np.hypot(x - 0.1, y),
        Lash(**LOOK, points=_Points(points), radius=_Points(np.full(9, 0.06))): 0.06 - beyond,
    }
    for figure, inside in figures.items():
        truth = inside * FIELD.radius - VISIBLE  # a border is at least one pixel wide
        drawn = figure.distance(FIELD, (200, 240))
        near = np.abs(truth) < 1
        assert near.any()
        np.testing.assert_allclose(drawn[near], truth[near], atol=0.06)
        assert ((drawn >= 0) == (truth >= 0))[np.abs(truth) > 0.06].all()
    long = Smear(**LOOK, centre=(0.1, 0.0), semi=(0.5, 0.2), angle=0.6).distance(FIELD, (200, 240)) >= 0
    assert long.sum() == pytest.approx(math.pi * 0.5 * 0.2 * FIELD.radius**2, rel=0.03)
    assert np.abs(turned[long]).max() == pytest.approx(0.5, abs=0.02)


class _Points(np.ndarray):
    """An array that can be a key of the table of figures above."""

    def __new__(cls, values: np.ndarray) -> "_Points":
        return values.view(cls)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


@pytest.mark.parametrize("quality", [0.85, 0.5, 0.2])
def test_the_mask_of_artifacts_is_where_they_are_seen(quality: float) -> None:
    seen = 0
    for seed in range(10):
        name = NAMES[seed % len(NAMES)]
        view = aim(np.random.default_rng(seed), CAMERAS[name], anatomy(), 1, 320)
        artifacts = draw_artifacts(np.random.default_rng(seed), quality)
        painted = retina(view)
        clean, spoilt = (expose(np.random.default_rng(seed), painted, view, quality, a) for a in ((), artifacts))
        apart = np.abs(clean.astype(float) - spoilt).sum(axis=2) * view.field.mask
        mask = artifact_mask(artifacts, view.field, view.field.mask.shape) & view.field.mask
        if mask.sum() < 30 or apart[mask].mean() < 3:  # none, or nothing can be seen in the dark
            assert apart[~mask].mean() < 0.5
            continue
        seen += 1
        assert apart[mask].sum() >= 0.8 * apart.sum(), (seed, name)
        assert apart[mask].mean() > 8 * apart[view.field.mask & ~mask].mean(), (seed, name)
    assert seen >= 5


def test_artifacts_in_the_frame_are_those_of_the_photograph() -> None:
    view = aim(np.random.default_rng(2), CAMERAS["wide45"], anatomy(), -1, 512)
    artifacts = [a for seed in range(4) for a in draw_artifacts(np.random.default_rng(seed), 0.2, -1)]
    assert {type(a) for a in artifacts} == {Crescent, Lash, Smear, Spot}
    height, width = view.field.mask.shape
    frame = make_frame(width, height, view.field, 384)
    x, y = frame.to_frame([view.field.x, view.field.y])
    fov = frame.warp(view.field.mask)
    field = Field(fov, float(x), float(y), view.field.radius * frame.scale)
    drawn = artifact_mask(artifacts, field, fov.shape) & fov
    warped = frame.warp(artifact_mask(artifacts, view.field, (height, width)) & view.field.mask)
    assert 2 * (drawn & warped).sum() / (drawn.sum() + warped.sum()) > 0.96


@few
@given(st.integers(0, 2**32 - 1))
def test_a_lower_dial_only_adds_artifacts(seed: int) -> None:
    field = Field(np.ones((128, 128), bool), 63.5, 63.5, 63.0)
    drawn = [draw_artifacts(np.random.default_rng(seed), q) for q in (1.0, 0.7, 0.4, 0.0)]
    counts = [len(artifacts) for artifacts in drawn]
    areas = [int(artifact_mask(artifacts, field, (128, 128)).sum()) for artifacts in drawn]
    assert counts == sorted(counts) and areas == sorted(areas)
    left, right = (draw_artifacts(np.random.default_rng(seed), 0.3, sign) for sign in (1, -1))
    masks = [artifact_mask(artifacts, field, (128, 128)) for artifacts in (left, right)]
    assert (masks[0] ^ masks[1][:, ::-1]).mean() < 0.002


def test_good_photographs_have_artifacts_often_enough() -> None:
    field = Field(np.ones((64, 64), bool), 31.5, 31.5, 31.0)
    inside = np.hypot(*np.meshgrid(np.arange(64) - 31.5, np.arange(64) - 31.5)) < 31
    share = np.mean(
        [
            (artifact_mask(draw_artifacts(np.random.default_rng(s), 0.875), field, (64, 64)) & inside).any()
            for s in range(100)
        ]
    )
    assert 0.2 < share < 0.8
