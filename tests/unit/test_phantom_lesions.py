"""Lesions: counts and areas as stated, places where they occur, sizes, the same on any grid; diseases bring them."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.phantom.anatomy import Anatomy, EyeParameters, build_anatomy
from retsam.phantom.finding import Finding, Layer
from retsam.phantom.lesion_table import LESIONS, burden, radii
from retsam.phantom.lesions import Lesions, Patches
from retsam.phantom.pathology import (
    DISEASES,
    INHERENT,
    LESION_MAKERS,
    PREVALENCES,
    VESSEL_MAKERS,
    afflict,
)
from retsam.phantom.places import GAP, MM_PER_DEGREE, Site, spread_out
from retsam.phantom.raster import Grid
from retsam.phantom.shapes import Blobs
from retsam.taxonomy import TARGETS

few = settings(max_examples=5, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
BASE = np.array([0.72, 0.34, 0.16], np.float32)
OFF_DISC = (
    "microaneurysm",
    "hemorrhage",
    "hard_exudate",
    "cotton_wool_spot",
    "laser_spot",
    "drusen",
    "patchy_hemorrhage",
    "epiretinal_membrane",
    "macular_hole",
    "retinal_scar",
    "edema",
    "pigmentary_change",
)
EYE = build_anatomy(np.random.default_rng(5), EyeParameters())


def whole(scale: float = 18.0, sign: int = 1) -> Grid:
    """A grid that holds all that a camera of 60 degrees can see, and more."""
    width, height = round(80 * scale), round(66 * scale)
    return Grid(width, height, (32.0 if sign > 0 else 48.0) * scale, 33.0 * scale, scale, sign)


def make(target: str, seed: int, severity: float = 0.6) -> tuple[Patches, ...]:
    found = LESION_MAKERS[target](np.random.default_rng(seed), Site(EYE), severity)
    return tuple(finding for finding in found if isinstance(finding, Patches))


def union(findings: tuple[Patches, ...], grid: Grid) -> np.ndarray:
    return np.maximum.reduce([finding.distance(grid) for finding in findings])


def components(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


# --- shapes and spacing ----------------------------------------------------------------------------------------------


def test_a_lesion_of_one_outline_has_the_closed_form_area_and_of_several_the_area_of_their_union() -> None:
    apart = Blobs.discs([[0.0, 0.0], [5.0, 0.0], [5.6, 0.0]], 1.0)
    spots = Lesions(apart, np.array([0, 1, 1]), np.array([[0.0, 0.0], [5.3, 0.0]])).spots()
    lens = 2 * math.acos(0.3) - 0.3 * math.sqrt(4 - 0.36)  # overlap of two unit discs 0.6 apart
    np.testing.assert_allclose(spots.area, [math.pi, 2 * math.pi - lens], rtol=0.005)
    np.testing.assert_allclose(spots.centres, [[0.0, 0.0], [5.3, 0.0]], atol=0.02)


def test_turned_and_moved_lesions_keep_their_areas_and_lie_at_their_centres() -> None:
    rng = np.random.default_rng(3)
    built = Lesions.strands(rng, np.array([3.0, 2.0]), np.array([0.6, 0.4]), (3, 3))
    centres = np.array([[4.0, 1.0], [-3.0, 2.0]])
    moved = built.put(centres, np.array([0.7, 2.0]))
    np.testing.assert_allclose(moved.spots().area, built.spots().area, rtol=0.02)
    np.testing.assert_allclose(moved.reach, built.reach, rtol=1e-9)
    assert (np.hypot(*(moved.spots().centres - centres).T) < 0.5 * built.reach).all()


@few
@given(seed=seeds)
def test_things_spread_out_keep_their_distance_from_each_other_and_from_what_was_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reach, taken = rng.uniform(0.2, 1.0, 30), (np.array([[0.0, 0.0]]), np.array([2.0]))
    centres, chosen = spread_out(
        rng, reach, lambda g, n: g.uniform(-6, 6, (n, 2)), lambda uv, r: uv[:, 0] > r, taken, gap=0.3
    )
    assert len(centres) == len(chosen) > 5
    assert (centres[:, 0] > reach[chosen]).all()
    points, radius = np.concatenate([taken[0], centres]), np.concatenate([taken[1], reach[chosen]])
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) - radius[:, None] - radius[None]
    assert distance[np.triu_indices(len(points), 1)].min() > 0.3


def test_nerve_fibres_leave_the_disc_straight_and_arch_over_the_fovea() -> None:
    site, (u, v) = Site(EYE), EYE.fovea
    axis = math.atan2(v, u)
    nasal = np.array([[-6.0, 0.0], [-6.0, 3.0], [-5.0, -4.0]])
    out = np.arctan2(nasal[:, 1], nasal[:, 0])
    assert (np.abs(np.remainder(site.fibres(nasal) - out + math.pi, 2 * math.pi) - math.pi) < 0.5).all()
    side = np.array([-math.sin(axis), math.cos(axis)])
    along = site.fibres(site.fovea + np.array([[8.0], [-8.0]]) * side)
    assert (np.cos(along - axis) > 0.7).all()  # above and below the fovea they run temporally
    toward_raphe = site.fibres(site.fovea + 8.0 * np.array([math.cos(axis), math.sin(axis)]) + 3.0 * side[None])
    assert np.sin(toward_raphe - axis)[0] < -0.2  # and bend to the raphe behind it


def test_counts_and_sizes_follow_the_table() -> None:
    rng = np.random.default_rng(0)
    rows = {row.name: row for row in LESIONS}
    assert len(rows) == len(LESIONS)
    um = 2 * radii(rng, "soft_drusen", 4000) * 1000 * MM_PER_DEGREE
    assert np.median(um) == pytest.approx(rows["soft_drusen_diameter"].a, rel=0.03)
    mild, severe = (np.median([burden(rng, "microaneurysm", s) for _ in range(400)]) for s in (0.1, 0.9))
    assert 1 <= mild < 0.5 * severe


# --- every target ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", sorted(LESION_MAKERS))
def test_every_lesion_is_drawn_as_many_and_as_large_as_its_spots_say(target: str) -> None:
    for seed in (1, 2):
        findings = make(target, seed)
        assert {finding.target for finding in findings} == {target}
        drawn = union(findings, whole(22.0)) >= 0
        assert drawn.any()
        spots = [finding.spots() for finding in findings]
        if None in spots:
            continue
        assert components(drawn) == sum(len(s.area) for s in spots if s)
        area = sum(float(s.area.sum()) for s in spots if s)
        px = np.concatenate([s.area for s in spots if s]) * 22.0**2
        tolerance = 0.02 if px.min() > 8 and px.sum() > 800 else 0.1  # small ones: rounding of the pixels
        assert drawn.sum() / 22.0**2 == pytest.approx(area, rel=tolerance)


@pytest.mark.parametrize("target", ["microaneurysm", "hemorrhage", "hard_exudate", "drusen"])
def test_counts_hold_in_a_frame_of_half_the_size(target: str) -> None:
    findings = make(target, 4)
    spots = [s for s in (finding.spots() for finding in findings) if s]
    count = sum(len(s.area) for s in spots)
    assert abs(components(union(findings, whole(11.4)) >= 0) - count) <= 0.05 * count  # the smallest may fall between


@pytest.mark.parametrize("target", OFF_DISC)
def test_what_belongs_off_the_disc_is_off_the_disc(target: str) -> None:
    grid = whole(10.0)
    u, v = grid.coordinates()
    inner = EYE.disc.level(u, v) < 0.9
    for seed in (1, 2, 3, 4):
        drawn = union(make(target, seed), grid) >= 0
        assert not (drawn & inner).any()


@few
@given(seed=seeds, severity=st.floats(0.05, 1.0))
def test_microaneurysms_are_at_most_125_um_wide_and_off_vessels_and_fovea(seed: int, severity: float) -> None:
    (finding,) = make("microaneurysm", seed, severity)
    spots = finding.spots()
    assert spots is not None
    assert (2000 * MM_PER_DEGREE * np.sqrt(spots.area / math.pi) <= 125.0).all()
    assert (Site(EYE).from_vessels(spots.centres) > 0.25).all()
    assert (Site(EYE).from_fovea(spots.centres) > 0.5).all()


def test_flame_hemorrhages_lie_along_the_nerve_fibres_before_the_vessels() -> None:
    site = Site(EYE)
    for seed in range(6):
        deep, flames = make("hemorrhage", seed, 0.9)
        assert (deep.layer, flames.layer) == (Layer.DEEP, Layer.SUPERFICIAL)
        for lesion, middle in zip(flames.lesions.each(), flames.lesions.origin, strict=True):
            turned = lesion.angle - site.fibres(middle[None])
            assert (np.abs(np.sin(turned)) < 1e-6).all()
            assert (lesion.aspect > 1.5).any()


def test_macular_lesions_are_at_the_macula_and_laser_scars_are_not() -> None:
    site = Site(EYE)
    for seed in range(5):
        for target, reach in {"drusen": 10.6, "macular_hole": 0.8, "pigmentary_change": 6.0, "edema": 8.0}.items():
            for finding in make(target, seed):
                assert (site.from_fovea(finding.lesions.origin) < reach).all()
        for finding in make("laser_spot", seed):
            assert (site.from_fovea(finding.lesions.origin) > 1.7).all()


def test_a_soft_lesion_has_half_its_opacity_at_the_border_of_its_mask() -> None:
    blob = Lesions(Blobs.discs([[2.0, 1.0]], 1.5), np.array([0]), np.array([[2.0, 1.0]]))
    white, grid = np.ones((1, 3)), Grid(400, 300, 100.0, 100.0, 40.0, 1)
    patch = Patches("edema", Layer.DEEP, blob, white, np.array([0.6]), np.array([0.4]))
    picture = np.zeros((300, 400, 3), np.float32)
    patch.paint(picture, grid, patch.distance(grid))
    border = np.abs(patch.distance(grid)) < 0.5
    np.testing.assert_allclose(picture[border], 0.3, atol=0.02)
    assert picture.max() == pytest.approx(0.6, abs=0.01)
    assert picture[0, 0].max() == 0.0


@pytest.mark.parametrize("target", sorted(LESION_MAKERS))
def test_a_lesion_shows_on_the_picture_where_its_mask_is(target: str) -> None:
    grid = whole(8.0)
    for seed in (1, 2):
        findings = make(target, seed)
        picture = np.broadcast_to(BASE, (grid.height, grid.width, 3)).copy()
        for finding in findings:
            finding.paint(picture, grid, finding.distance(grid))
        change = np.abs(picture - BASE).sum(axis=2)
        distance = union(findings, grid)
        assert np.isfinite(picture).all()
        assert change[distance > 0].mean() > 0.02
        assert change[distance > 0].mean() > 5 * change[distance <= -3.9].mean()


@pytest.mark.parametrize("target", sorted(LESION_MAKERS))
def test_masks_agree_across_grids_and_mirror_between_eyes(target: str) -> None:
    fine, coarse = whole(20.0), replace(whole(10.0), x0=319.75, y0=329.75)  # each coarse pixel is four fine ones
    findings = make(target, 9)
    small = union(findings, coarse) >= 0
    large = (union(findings, fine) >= 0).reshape(small.shape[0], 2, small.shape[1], 2).mean(axis=(1, 3))
    assert np.abs(small - large).sum() <= 0.35 * np.maximum(cv2.Laplacian(large, cv2.CV_64F) != 0, 0).sum() + 4
    assert not (small & (large == 0)).sum() > 0.1 * small.sum() + 3
    right = replace(fine, x0=fine.width - 1 - fine.x0, sign=-1)
    assert ((union(findings, right) >= 0) != (union(findings, fine) >= 0)[:, ::-1]).sum() <= 2  # float32 on the border
    picture = {}
    for sign, grid in {1: coarse, -1: replace(coarse, x0=coarse.width - 1 - coarse.x0, sign=-1)}.items():
        out = np.broadcast_to(BASE, (grid.height, grid.width, 3)).copy()
        for finding in findings:
            finding.paint(out, grid, finding.distance(grid))
        picture[sign] = out[:, ::sign]
    np.testing.assert_allclose(picture[1], picture[-1], atol=2e-3)


# --- diseases --------------------------------------------------------------------------------------------------------


def give(seed: int, diseases: dict[str, float] | None, findings: tuple[str, ...] = ()) -> Anatomy:
    return afflict(np.random.default_rng(seed), EYE, EyeParameters(), diseases, findings)


def targets(eye: Anatomy) -> set[str]:
    return {finding.target for finding in eye.findings}


def same(a: Finding, b: Finding) -> bool:
    grid = whole(6.0)
    return np.array_equal(a.distance(grid), b.distance(grid))


def test_a_healthy_eye_has_no_findings_and_stays_as_it_is() -> None:
    for seed in range(5):
        assert give(seed, {}) == EYE


@pytest.mark.parametrize("disease", sorted(DISEASES))
def test_diseases_leave_disc_cup_fovea_and_the_course_of_vessels(disease: str) -> None:
    for seed in range(4):
        eye = give(seed, {disease: 1.0}, ("av_nicking",))
        assert (eye.disc, eye.fovea, eye.cup) == (EYE.disc, EYE.fovea, EYE.cup)
        assert eye.findings
        for after, before in zip(eye.vessels, EYE.vessels, strict=True):
            np.testing.assert_array_equal(after.points[[0, -1]], before.points[[0, -1]])
            assert after.arc == pytest.approx(before.arc, rel=1e-4)


def test_every_disease_brings_its_signs_by_severity() -> None:
    brought = {name: [targets(give(seed, {name: s})) for s in (0.1, 1.0) for seed in range(15)] for name in DISEASES}
    assert all("microaneurysm" in found for found in brought["dr"])
    assert all("drusen" in found for found in brought["amd"])
    for name, signs in DISEASES.items():
        early, late = brought[name][:15], brought[name][15:]
        for sign in signs:
            if sign.chance > 0.3 and sign.target not in VESSEL_MAKERS:
                assert sum(sign.target in found for found in late) >= 0.3 * sign.chance * 15
            if sign.onset > 0.1 and sign.target != INHERENT:
                assert sum(sign.target in found for found in early) <= 3  # by chance only


def test_a_demanded_finding_is_there_and_leaves_the_others_as_they_were() -> None:
    for seed in range(4):
        before, after = give(seed, {"dr": 0.8}), give(seed, {"dr": 0.8}, ("myelinated_nerve_fiber",))
        added = [finding for finding in after.findings if finding.target == "myelinated_nerve_fiber"]
        others = [finding for finding in after.findings if finding.target != "myelinated_nerve_fiber"]
        former = [finding for finding in before.findings if finding.target != "myelinated_nerve_fiber"]
        assert added
        assert len(others) == len(former)
        assert all(same(a, b) for a, b in zip(others, former, strict=True))


def test_the_same_seed_gives_the_same_findings() -> None:
    one, two = give(7, None), give(7, None)
    assert [f.target for f in one.findings] == [f.target for f in two.findings]
    assert all(same(a, b) for a, b in zip(one.findings, two.findings, strict=True))


def test_what_does_not_exist_is_refused() -> None:
    for diseases, findings, message in (
        ({"scurvy": 0.5}, (), "unknown disease"),
        ({"dr": 1.5}, (), "severity"),
        ({}, ("vessel",), "unknown findings"),
    ):
        with pytest.raises(ValueError, match=message):
            give(0, diseases, findings)


def test_random_eyes_show_every_target_and_many_have_none() -> None:
    eyes = [targets(give(seed, None)) for seed in range(60)]
    assert set().union(*eyes) == {row.target for row in PREVALENCES}
    assert sum(not found for found in eyes) >= 2


def test_diseases_that_were_spared_leave_incidental_findings_alone() -> None:
    eyes = [targets(give(seed, dict.fromkeys(DISEASES, 0.0))) for seed in range(40)]
    assert all(INHERENT in found for found in eyes)
    zero = {row.target for row in PREVALENCES if row.incidental == 0.0}
    assert not zero & set().union(*eyes)
    expected = sum(row.incidental for row in PREVALENCES if row.target != INHERENT)
    assert 0 < sum(len(found) - 1 for found in eyes) < 4 * 40 * expected


def test_every_finding_of_the_taxonomy_has_a_prevalence() -> None:
    wanted = {name for name, t in TARGETS.items() if t.group != "anatomy" and name != "artifact"}
    assert {row.target for row in PREVALENCES} == wanted
    assert {sign.target for signs in DISEASES.values() for sign in signs} <= wanted


def test_gap_is_more_than_a_pixel_diagonal_in_a_frame_of_512() -> None:
    assert math.sqrt(2.0) < GAP * 512 / 54
