"""Anatomy, disc, myopic findings and painting of a phantom eye: closed forms, properties, what is seen."""

import math
from collections.abc import Callable
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retsam.phantom.anatomy import EYE, LOADINGS, PHENOTYPES, Anatomy, EyeParameters, build_anatomy
from retsam.phantom.disc import (
    ANGLES,
    LEAST_RIM,
    Ellipse,
    Outline,
    cup_disc_ratios,
    draw_cup,
    least_rim_ratio,
    rim_width,
    sector_rim_width,
)
from retsam.phantom.finding import Finding
from retsam.phantom.myopia import (
    choroidal_atrophy,
    diffuse_atrophy,
    patchy_atrophy,
    peripapillary_atrophy,
    tessellation,
)
from retsam.phantom.paint import Look, paint
from retsam.phantom.raster import Grid, resample, signed_distance
from retsam.taxonomy import TARGETS

few = settings(max_examples=25, deadline=None, derandomize=True)
MAKERS = (tessellation, peripapillary_atrophy, diffuse_atrophy, patchy_atrophy, choroidal_atrophy)
WELL_DEFINED = (peripapillary_atrophy, patchy_atrophy, choroidal_atrophy)

Image = NDArray[np.float32]


def _grid(size: int, sign: int = 1, shift: float = 0.0) -> Grid:
    """A field of 45 degrees around the macula."""
    scale = size / 45.0
    x = 0.5 * (size - 1) - sign * 11.0 * scale
    return Grid(size, size, x + shift, 0.5 * (size - 1) - 1.0 * scale + shift, scale, sign)


def _draw(eye: Anatomy, grid: Grid, p: EyeParameters) -> Image:
    shape = (grid.height, grid.width)
    distance = {kind: signed_distance(resample(eye.tree(kind), grid), shape) for kind in ("artery", "vein")}
    return paint(Look.draw(np.random.default_rng(7), p), eye, p, grid, distance)


@pytest.fixture(scope="module")
def eye() -> Anatomy:
    return build_anatomy(np.random.default_rng(5), EyeParameters())


@pytest.fixture(scope="module")
def bare(eye: Anatomy) -> Anatomy:
    """An eye without vessels, which grows at once."""
    return replace(eye, vessels=(), crossings=())


# --- parameters ------------------------------------------------------------------------------------------------------


def test_parameters_are_the_rows_of_the_table_and_their_defaults_the_medians() -> None:
    assert [field.name for field in fields(EyeParameters)] == [row.name for row in EYE]
    for row in EYE:
        assert getattr(EyeParameters(), row.name) == row.at(0.0)


def test_loadings_name_parameters_and_phenotypes_and_leave_variance() -> None:
    assert set(LOADINGS) <= {row.name for row in EYE}
    assert {name for loading in LOADINGS.values() for name in loading} == set(PHENOTYPES)
    assert all(sum(w**2 for w in loading.values()) <= 1 for loading in LOADINGS.values())


def test_parameters_follow_their_phenotypes_as_the_loadings_say() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((600, len(PHENOTYPES)))
    drawn = [EyeParameters.sample(rng, dict(zip(PHENOTYPES, z, strict=True))) for z in scores.tolist()]
    elongation = scores[:, PHENOTYPES.index("elongation")]
    for name, sign in (("fovea_distance", 0.97), ("disc_ovality", -0.8), ("tessellation", 0.8), ("pigment", 0.0)):
        values = [getattr(p, name) for p in drawn]
        assert np.corrcoef(values, elongation)[0, 1] == pytest.approx(sign, abs=0.1), name
    calibre = np.log([p.calibre for p in drawn])
    assert calibre.std() == pytest.approx(0.085, rel=0.1)


def test_a_phenotype_moves_its_own_parameters_only() -> None:
    zero, one = (EyeParameters.sample(np.random.default_rng(1), {"cup": z}) for z in (0.0, 1.0))
    assert zero.cup_ratio < one.cup_ratio
    assert replace(one, cup_ratio=zero.cup_ratio) == zero


def test_an_unknown_phenotype_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        EyeParameters.sample(np.random.default_rng(0), {"colour": 1.0})


# --- outlines --------------------------------------------------------------------------------------------------------


@few
@given(st.floats(1.5, 4), st.floats(1.5, 4), st.floats(-40, 40))
def test_ellipse_closed_forms_agree_with_its_border(semi_u: float, semi_v: float, tilt: float) -> None:
    ellipse = Ellipse((1.0, -2.0), semi_u, semi_v, tilt)
    u, v = ellipse.points.T
    np.testing.assert_allclose(ellipse.level(u.astype(np.float32), v.astype(np.float32)), 1.0, atol=1e-5)
    np.testing.assert_allclose(ellipse.extents, (np.ptp(u), np.ptp(v)), rtol=1e-4)
    shoelace = 0.5 * abs(np.dot(u, np.roll(v, 1)) - np.dot(v, np.roll(u, 1)))
    assert ellipse.area == pytest.approx(shoelace, rel=1e-4)


def test_positive_tilt_leans_the_upper_end_to_temporal() -> None:
    u, v = Ellipse((0.0, 0.0), 2.0, 3.0, 10.0).points.T
    assert u[v.argmin()] > 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_signed_distance_of_a_circle_is_exact_and_its_sign_is_that_of_the_level(sign: int) -> None:
    grid = _grid(200, sign)
    circle = Outline((0.5, 0.25), np.full(len(ANGLES), 3.0))
    u, v = grid.coordinates()
    truth = (3.0 - np.hypot(u - 0.5, v - 0.25)) * grid.scale
    drawn = circle.signed_distance(grid)
    near = truth > -3
    np.testing.assert_allclose(drawn[near], truth[near], atol=2e-3)
    assert (drawn[~near] < -2.9).all()
    tilted = Ellipse((0.5, 0.25), 2.0, 3.0, 20.0)
    np.testing.assert_array_equal(tilted.signed_distance(grid) > 0, tilted.level(u, v) < 1)


def test_an_outline_outside_the_grid_is_drawn_as_nothing() -> None:
    assert (Outline((200.0, 0.0), np.full(len(ANGLES), 3.0)).signed_distance(_grid(64)) < 0).all()


@few
@given(st.floats(0.1, 0.9), st.floats(0.7, 1.1), st.floats(-30, 30))
def test_ratios_and_rim_of_a_scaled_disc(ratio: float, ovality: float, tilt: float) -> None:
    disc = Ellipse((0.0, 0.0), 3.0 * ovality, 3.0, tilt)
    cup = Outline(disc.centre, ratio * disc.radius_at(ANGLES))
    np.testing.assert_allclose(cup_disc_ratios(disc, cup), (ratio, ratio, ratio**2), rtol=1e-4)
    np.testing.assert_allclose(rim_width(disc, cup), (1 - ratio) * disc.radius_at(ANGLES), rtol=1e-9)
    assert least_rim_ratio(disc, cup) == pytest.approx(1 - ratio)
    quarters = [sector_rim_width(disc, cup, 0.3 + 0.5 * math.pi * k) for k in range(4)]
    assert np.mean(quarters) == pytest.approx(rim_width(disc, cup).mean(), rel=1e-5)


@few
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.1, 0.93),
    st.floats(0.9, 1.3),
    st.tuples(st.floats(-0.2, 0.25), st.floats(-0.2, 0.25)),
    st.floats(0.72, 1.06),
)
def test_the_cup_lies_inside_the_disc(
    seed: int, ratio: float, wide: float, shift: tuple[float, float], ovality: float
) -> None:
    disc = Ellipse((0.0, 0.0), 3.1 * ovality, 3.1, 7.0)
    cup = draw_cup(np.random.default_rng(seed), disc, ratio, wide, shift)
    assert cup.radius.min() > 0 and least_rim_ratio(disc, cup) >= LEAST_RIM - 1e-9
    assert cup_disc_ratios(disc, cup)[0] == pytest.approx(ratio, abs=0.01)
    grid = _grid(160)
    assert not ((cup.signed_distance(grid) >= 0) & (disc.signed_distance(grid) < 0)).any()


def test_true_ratios_are_those_of_the_masks() -> None:
    for seed, ratio in enumerate((0.2, 0.35, 0.5, 0.7, 0.85)):
        disc = Ellipse((0.0, 0.0), 2.8, 3.1, 6.0)
        cup = draw_cup(np.random.default_rng(seed), disc, ratio, 1.1, (0.04, 0.05))
        measured = []
        for shift in (0.0, 0.25, 0.5, 0.75):  # counting rows is off by up to a pixel: not so on average
            inner, outer = (x.signed_distance(_grid(1024, shift=shift)) >= 0 for x in (cup, disc))
            rows, columns = (inner.any(axis=a).sum() / outer.any(axis=a).sum() for a in (1, 0))
            measured.append((rows, columns, inner.sum() / outer.sum()))
        np.testing.assert_allclose(np.mean(measured, axis=0), cup_disc_ratios(disc, cup), atol=0.004)


def test_the_rim_follows_isnt_on_average() -> None:
    widths = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p = EyeParameters.sample(rng, {"cup": float(rng.standard_normal())})
        disc = Ellipse((0.0, 0.0), 0.5 * p.disc_diameter * p.disc_ovality, 0.5 * p.disc_diameter, p.disc_tilt)
        cup = draw_cup(rng, disc, p.cup_ratio, p.cup_wide, (p.cup_temporal, p.cup_superior))
        widths.append([sector_rim_width(disc, cup, k * math.pi / 2) for k in (1, 3, 2, 0)])
    inferior, superior, nasal, temporal = np.mean(widths, axis=0)
    assert inferior > superior > nasal > temporal


# --- the healthy eye -------------------------------------------------------------------------------------------------


def test_a_healthy_eye_is_healthy_and_comes_back_from_its_seed(eye: Anatomy) -> None:
    assert eye.findings == () and len(eye.crossings) > 5
    again = build_anatomy(np.random.default_rng(5), EyeParameters())
    assert len(again.vessels) == len(eye.vessels)
    for one, other in zip(again.vessels, eye.vessels, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
    p = EyeParameters()
    np.testing.assert_allclose(math.hypot(*eye.fovea), p.fovea_distance)
    assert math.degrees(math.atan2(eye.fovea[1], eye.fovea[0])) == pytest.approx(p.fovea_angle)
    assert eye.disc.extents[1] == pytest.approx(p.disc_diameter)


def test_the_cup_does_not_move_the_vessels(eye: Anatomy) -> None:
    other = build_anatomy(np.random.default_rng(5), EyeParameters(cup_ratio=0.7))
    np.testing.assert_array_equal(other.vessels[-1].points, eye.vessels[-1].points)
    assert cup_disc_ratios(other.disc, other.cup)[0] == pytest.approx(0.7, abs=1e-3)


def test_density_and_calibre_phenotypes_move_the_vessel_area() -> None:
    grid = _grid(160)

    def area(**phenotypes: float) -> float:
        total = 0
        for seed in range(2):
            p = EyeParameters.sample(np.random.default_rng(seed), phenotypes)
            eye = build_anatomy(np.random.default_rng(seed), p)
            total += int((signed_distance(resample(eye.vessels, grid), (160, 160)) >= 0).sum())
        return float(total)

    middle = area()
    assert area(density=-1.5) < 0.92 * middle < 1.08 * middle < area(density=1.5)
    assert area(calibre=-2) < 0.95 * middle < 1.05 * middle < area(calibre=2)


def test_arteries_are_narrower_than_veins_at_the_disc(eye: Anatomy) -> None:
    widest = {kind: max(s.radius.max() for s in eye.tree(kind)) for kind in ("artery", "vein")}
    assert 0.75 < widest["artery"] / widest["vein"] < 0.93


# --- findings of the long eye ----------------------------------------------------------------------------------------


def _mask(finding: Finding, size: int, sign: int = 1) -> NDArray[np.bool_]:
    return finding.distance(_grid(size, sign)) >= 0


@pytest.mark.parametrize("make", MAKERS)
def test_findings_keep_their_contract(make: Callable[..., Finding], bare: Anatomy) -> None:
    for severity in (0.3, 1.0):
        finding = make(np.random.default_rng(2), bare, EyeParameters(), severity)
        assert isinstance(finding, Finding) and finding.target == make.__name__ and finding.target in TARGETS
        mask = _mask(finding, 256)
        assert mask.any()
        assert not (mask & (bare.disc.signed_distance(_grid(256)) > 1)).any()
        np.testing.assert_array_equal(_mask(finding, 256, -1), mask[:, ::-1])
        fine = cv2.resize(_mask(finding, 512).astype(np.float32), (256, 256), interpolation=cv2.INTER_AREA) >= 0.5
        assert 2 * (fine & mask).sum() / (fine.sum() + mask.sum()) > 0.93
        again = make(np.random.default_rng(2), bare, EyeParameters(), severity)
        np.testing.assert_array_equal(_mask(again, 256), mask)


@pytest.mark.parametrize("make", [peripapillary_atrophy, patchy_atrophy, choroidal_atrophy, diffuse_atrophy])
def test_a_mask_ends_where_the_finding_is_half_as_visible(make: Callable[..., Finding], bare: Anatomy) -> None:
    finding = make(np.random.default_rng(3), bare, EyeParameters(pigment=0.2), 0.8)
    for blank in ("vessels", "clumps"):
        if hasattr(finding, blank) and make is not peripapillary_atrophy:
            finding = replace(finding, **{blank: None})  # type: ignore[type-var]
    if make is peripapillary_atrophy:
        finding = replace(finding, pigment=0.0)  # type: ignore[type-var]
    grid = _grid(768)
    distance = finding.distance(grid)
    picture = np.full((768, 768, 3), 0.2, np.float32)
    finding.paint(picture, grid, distance)
    change = picture.mean(axis=2) - 0.2
    off_disc = bare.disc.signed_distance(grid, lowest=-40.0) < -20
    border = (np.abs(distance) < 0.7) & off_disc
    deep = distance > 0.8 * distance.max()
    assert np.median(change[border]) / np.median(change[deep]) == pytest.approx(0.5, abs=0.1)
    if make in WELL_DEFINED:
        assert np.abs(change[(distance <= -3.9) & off_disc]).max() < 0.01


@few
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_crescent_touches_the_disc_and_does_not_enter_it(seed: int, severity: float) -> None:
    disc = Ellipse((0.0, 0.0), 2.8, 3.1, 6.0)
    eye = Anatomy(disc, Outline(disc.centre, 0.4 * disc.radius_at(ANGLES)), (15.0, 2.0), ())
    finding = peripapillary_atrophy(np.random.default_rng(seed), eye, EyeParameters(), severity)
    grid = _grid(512)
    mask, inside = finding.distance(grid) >= 0, disc.signed_distance(grid) > 0
    assert mask.any() and not (mask & inside).any()
    around = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    pieces, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert all((around & (labels == k)).any() for k in range(1, pieces) if (labels == k).sum() > 3)
    assert mask.sum() / grid.scale**2 == pytest.approx(finding.area, rel=0.06, abs=0.15)
    u, _ = grid.coordinates()
    assert (mask * u).sum() / mask.sum() > 0


def test_the_crescent_grows_with_severity_to_a_ring(bare: Anatomy) -> None:
    def median(severity: float) -> tuple[float, float]:
        drawn = [peripapillary_atrophy(np.random.default_rng(s), bare, EyeParameters(), severity) for s in range(9)]
        share = [float((f.border.radius > f.disc.radius_at(ANGLES) + 0.05).mean()) for f in drawn]
        return float(np.median([f.area for f in drawn])), float(np.median(share))

    thin, middle, ring = median(0.0), median(0.5), median(1.0)
    assert thin[0] < 0.25 * middle[0] < 0.25 * ring[0]
    assert thin[1] < 0.45 < middle[1] < ring[1] == 1.0


def test_tessellation_spreads_with_elongation_and_is_absent_in_a_young_normal_eye(bare: Anatomy) -> None:
    def coverage(p: EyeParameters, seed: int, severity: float = 0.0) -> float:
        return float(_mask(tessellation(np.random.default_rng(seed), bare, p, severity), 128).mean())

    short, middle, long = (
        [coverage(EyeParameters.sample(np.random.default_rng(s), {"elongation": z}), s) for s in range(12)]
        for z in (-2.0, 0.0, 2.0)
    )
    assert np.mean(short) < 0.4 * np.mean(middle) < 0.2 * np.mean(long)
    assert np.median(short) < 0.003 and 0.001 < np.median(middle) < 0.06
    assert np.median([coverage(EyeParameters(tessellation=0.03), s) for s in range(5)]) == 0.0
    assert 0.1 < coverage(EyeParameters(), 1, 1.0) < 0.45


# --- painting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pigment", "sign"), [(0.85, 1), (0.05, -1)])
def test_tessellation_is_seen_where_its_mask_is(pigment: float, sign: int, bare: Anatomy) -> None:
    p = EyeParameters(pigment=pigment, tessellation=0.8)
    finding = tessellation(np.random.default_rng(4), bare, p, 0.5)
    grid = _grid(384)
    green = _draw(replace(bare, findings=(finding,)), grid, p)[..., 1]
    mask = _mask(finding, 384)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & ~mask
    inner = finding.distance(grid) > 1
    local = cv2.blur(green, (41, 41))
    contrast = (green / local)[inner].mean() - (green / local)[near].mean()
    assert sign * contrast > 0.06


@pytest.mark.parametrize("make", [*WELL_DEFINED, diffuse_atrophy])
def test_atrophy_is_paler_than_the_retina_around_it(make: Callable[..., Finding], bare: Anatomy) -> None:
    p = EyeParameters(pigment=0.5, macular_pigment=0.2)
    finding = make(np.random.default_rng(6), bare, p, 0.7)
    picture, plain = _draw(replace(bare, findings=(finding,)), _grid(256), p), _draw(bare, _grid(256), p)
    mask = _mask(finding, 256)
    assert picture[mask, 1].mean() > 1.1 * plain[mask, 1].mean()
    away = cv2.dilate(mask.astype(np.uint8), np.ones((51, 51), np.uint8)) == 0
    np.testing.assert_allclose(picture[away], plain[away], atol=0.01)


def test_structures_look_as_they_should(eye: Anatomy) -> None:
    p = EyeParameters(cup_ratio=0.5)
    eye = replace(eye, cup=draw_cup(np.random.default_rng(0), eye.disc, 0.5, 1.0, (0.0, 0.0)))
    grid = _grid(512)
    picture = _draw(eye, grid, p)
    red, green = picture[..., 0], picture[..., 1]
    artery, vein = (signed_distance(resample(eye.tree(k), grid), (512, 512)) for k in ("artery", "vein"))
    disc, cup = eye.disc.signed_distance(grid) > 1, eye.cup.signed_distance(grid) > 1
    vessel = np.maximum(artery, vein) > -3
    u, v = grid.coordinates()
    near_fovea = np.hypot(u - eye.fovea[0], v - eye.fovea[1])
    plain = ~vessel & (eye.disc.signed_distance(grid, lowest=-60.0) < -50) & (near_fovea > 6)
    wide = {name: (x > 1) & ~disc & (y < -1) for name, x, y in (("artery", artery, vein), ("vein", vein, artery))}
    assert green[wide["vein"]].mean() < green[wide["artery"]].mean() < 0.9 * green[plain].mean()
    assert red[wide["vein"]].mean() < red[wide["artery"]].mean()
    thin = (vein > 0) & (vein < 0.6) & (cv2.dilate(vein, np.ones((5, 5))) < 1)
    assert green[thin & plain | thin & (near_fovea > 6) & ~disc].mean() > green[wide["vein"]].mean()
    assert green[disc & ~cup & ~vessel].mean() > 1.2 * green[plain].mean()
    assert green[cup & ~vessel].mean() > green[disc & ~cup & ~vessel].mean()
    nasal, temporal = ((u * s > 1.5) & disc & ~cup & ~vessel for s in (-1, 1))
    assert (green / red)[nasal].mean() < (green / red)[temporal].mean()
    assert green[near_fovea < 1].mean() < 0.85 * green[plain].mean()
    assert red[plain].mean() > 1.3 * green[plain].mean()


def test_the_same_eye_is_painted_on_any_grid_and_mirrored(eye: Anatomy) -> None:
    p = EyeParameters(tessellation=0.7)
    found = tuple(make(np.random.default_rng(8), eye, p, 0.5) for make in MAKERS)
    eye = replace(eye, findings=found)
    coarse, fine = _draw(eye, _grid(256), p), _draw(eye, _grid(512), p)
    small = cv2.resize(fine, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(small - coarse).mean() < 0.006
    np.testing.assert_array_equal(_draw(eye, _grid(256, -1), p), coarse[:, ::-1])
    np.testing.assert_array_equal(_draw(eye, _grid(256), p), coarse)


def test_fair_and_dark_eyes_differ_and_sheen_shows_above_and_below_the_disc(bare: Anatomy) -> None:
    fair, dark = (_draw(bare, _grid(128), EyeParameters(pigment=x)) for x in (0.05, 0.95))
    assert fair.mean() > 1.25 * dark.mean()
    dull, bright = (_draw(bare, _grid(256), EyeParameters(sheen=x))[..., 1] for x in (0.0, 1.0))
    gain = bright / dull - 1
    u, v = _grid(256).coordinates()
    above = (np.hypot(u, np.abs(v) - 5.0) < 1.0).astype(bool)
    temporal = np.hypot(u - 12.0, v - 1.5) < 1.0
    assert gain[above].mean() > 0.04 > 0.01 > gain[temporal].mean()


def test_a_view_without_disc_or_macula_can_be_painted(eye: Anatomy) -> None:
    p = EyeParameters()
    eye = replace(eye, findings=tuple(make(np.random.default_rng(9), eye, p, 0.5) for make in MAKERS))
    away = Grid(96, 96, 400.0, 400.0, 9.0, 1)
    picture = _draw(eye, away, p)
    assert picture.shape == (96, 96, 3) and picture.dtype == np.float32 and np.isfinite(picture).all()
