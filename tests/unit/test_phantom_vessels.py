"""Vessel trees: Murray's law, crossings, calibres and winding; and findings that are local changes of vessels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from retsam.phantom.finding import Finding, Layer
from retsam.phantom.raster import Grid, resample, signed_distance
from retsam.phantom.vessel_findings import (
    SHEATH,
    Change,
    av_nicking,
    vascular_sheathing,
    venous_beading,
    venous_tortuosity,
)
from retsam.phantom.vessels import (
    LEAST_ANGLE,
    Crossing,
    Kind,
    Segment,
    TreeParameters,
    crosses_itself,
    crossings,
    grow_trees,
    murray_angles,
    murray_children,
)
from retsam.taxonomy import TARGETS

few = settings(max_examples=6, deadline=None, derandomize=True)
VEIN = TreeParameters(
    root_radius=0.26,
    smallest_radius=0.055,
    spacing=2.7,
    survival=0.8,
    tortuosity=0.3,
    fovea_distance=15.5,
    disc_radius=3.1,
    arcade_height=(10.5, 10.5),
    split=(0.8, -0.8),
)
FOVEA = (VEIN.fovea_distance, 0.0)
MIDDLE = (7.75, 0.0)
UM_PER_DEGREE = 290.0
CHANGES: dict[str, Callable[..., Change]] = {
    change.__name__: change for change in (av_nicking, venous_beading, vascular_sheathing, venous_tortuosity)
}


@cache
def _trees(seed: int, *, calibre: float = 1.0, **parameters: float) -> tuple[Segment, ...]:
    vein = replace(VEIN, **parameters)
    vein = replace(vein, root_radius=calibre * vein.root_radius, smallest_radius=calibre * vein.smallest_radius)
    artery = replace(vein, root_radius=0.8 * vein.root_radius, split=(-vein.split[0], -vein.split[1]))
    return tuple(grow_trees(np.random.default_rng(seed), artery, vein))


def _of(segments: Sequence[Segment], kind: Kind) -> list[Segment]:
    return [s for s in segments if s.kind == kind]


def _masks(segments: Sequence[Segment], grid: Grid) -> dict[str, np.ndarray]:
    shape = (grid.height, grid.width)
    return {kind: signed_distance(resample(_of(segments, kind), grid), shape) >= 0 for kind in ("artery", "vein")}


def _widths(segments: Sequence[Segment], crossing: Crossing) -> float:
    """Sum of the two radii at a crossing, degrees."""
    artery, vein = segments[crossing.artery], segments[crossing.vein]
    return float(
        np.interp(crossing.artery_at, artery.along, artery.radius)
        + np.interp(crossing.vein_at, vein.along, vein.radius)
    )


def _unexplained(segments: Sequence[Segment], size: int = 512, degrees: float = 50.0) -> int:
    """Connected parts of artery & vein that do not lie within the parallelogram of a crossing, to one pixel."""
    scale = size / degrees
    grid = Grid(size, size, size / 2 - MIDDLE[0] * scale, size / 2, scale, 1)
    mask = _masks(segments, grid)
    number, label = cv2.connectedComponents((mask["artery"] & mask["vein"]).astype(np.uint8), connectivity=8)
    found = crossings(segments)
    places = grid.to_px(np.array([c.place for c in found]).reshape(-1, 2))
    reach = np.array([_widths(segments, c) / math.sin(c.angle) for c in found]) * scale
    count = 0
    for part in range(1, number):
        y, x = np.nonzero(label == part)
        distance = np.hypot(places[:, :1] - x, places[:, 1:] - y).min(axis=1)
        count += bool((distance > reach + 1.0).all())
    return count


# --- Murray ----------------------------------------------------------------------------------------------------------


@few
@given(st.floats(0.05, 0.5), st.floats(0.05, 1.0), st.floats(2.1, 4.0))
def test_murray(radius: float, ratio: float, exponent: float) -> None:
    large, small = murray_children(radius, ratio, exponent)
    assert large**exponent + small**exponent == pytest.approx(radius**exponent)
    assert small / large == pytest.approx(ratio)
    turn_large, turn_small = murray_angles(radius, large, small)
    assert 0 <= turn_large <= turn_small + 1e-9 <= math.pi / 2 + 1e-9


def test_murray_symmetric_branching_is_the_textbook_angle() -> None:
    large, small = murray_children(1.0, 1.0)
    assert large == small == pytest.approx(2 ** (-1 / 3))
    assert sum(map(math.degrees, murray_angles(1.0, large, small))) == pytest.approx(74.93, abs=0.01)


@pytest.mark.parametrize("exponent", [2.5, 3.0])
@pytest.mark.parametrize("kind", ["artery", "vein"])
def test_tree_obeys_murray_and_is_connected(kind: Kind, exponent: float) -> None:
    segments = _of(_trees(1, exponent=exponent), kind)
    powers: dict[int, list[float]] = {}
    for segment in segments:
        assert len(segment.points) == len(segment.radius) >= 2
        assert (np.diff(segment.radius) <= 0).all() and segment.radius.min() > 0
        if segment.parent >= 0:
            np.testing.assert_array_equal(segment.points[0], segments[segment.parent].points[-1])
            powers.setdefault(segment.parent, []).append(segment.radius[0] ** exponent)
    assert len(powers) > 30
    for parent, parts in powers.items():
        whole = segments[parent].radius[-1] ** exponent
        assert sum(parts) == pytest.approx(whole) if len(parts) == 2 else sum(parts) < whole
    assert sum(len(parts) == 2 for parts in powers.values()) > 15


def test_same_seed_same_trees() -> None:
    first, again, other = (grow_trees(np.random.default_rng(s), VEIN, VEIN) for s in (3, 3, 4))
    assert len(first) == len(again) != len(other)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.points, two.points)


# --- crossings -------------------------------------------------------------------------------------------------------


def _line(kind: Kind, *points: tuple[float, float]) -> Segment:
    return Segment(kind, np.array(points, float), np.full(len(points), 0.1), -1)


def test_a_crossing_is_where_two_lines_meet() -> None:
    segments = [
        _line("vein", (0, 0), (4, 0)),
        _line("vein", (0, 5), (4, 5)),
        _line("artery", (1, -1), (2, 0.5), (2, 3)),
    ]
    (found,) = crossings(segments)
    assert (found.artery, found.vein) == (2, 0)
    assert found.place == pytest.approx((5 / 3, 0.0))
    assert found.vein_at == pytest.approx(5 / 3)
    assert found.artery_at == pytest.approx(math.hypot(1, 1.5) * 2 / 3)
    assert found.angle == pytest.approx(math.atan(1.5))
    assert crossings(segments[:2]) == crossings([]) == ()


def test_a_line_through_itself_is_told_from_one_that_bends() -> None:
    bend = _line("vein", (0, 0), (1, 0), (1, 1), (0.5, 1))
    loop = _line("vein", (0, 0), (1, 0), (1, 1), (0.5, 1), (0.5, -1))
    assert not crosses_itself([bend], "vein") and crosses_itself([loop], "vein")
    assert crosses_itself([_line("artery", (0, 0), (1, 1)), _line("artery", (0, 1), (1, 0))], "artery")
    assert not crosses_itself([_line("artery", (0, 0), (1, 1)), _line("vein", (0, 1), (1, 0))], "artery")


@settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.85, 1.0, 1.2]),
    st.floats(0.1, 0.7),
    st.floats(0.6, 0.97),
    st.floats(0.04, 0.065),
    st.tuples(st.floats(0.5, 1.5), st.floats(0.5, 1.5), st.sampled_from([-1.0, 1.0])),
)
def test_arteries_and_veins_overlap_at_true_crossings_only(
    seed: int, calibre: float, tortuosity: float, survival: float, smallest: float, split: tuple[float, float, float]
) -> None:
    segments = _trees(
        seed,
        calibre=calibre,
        tortuosity=tortuosity,
        survival=survival,
        smallest_radius=smallest,
        split=(split[0], split[2] * split[1]),
    )
    assert _unexplained(segments) == 0
    assert not crosses_itself(segments, "artery") and not crosses_itself(segments, "vein")
    assert min((c.angle for c in crossings(segments)), default=1.0) > LEAST_ANGLE - 1e-6


def test_eyes_have_many_crossings_and_an_artery_laid_on_a_vein_would_be_noticed() -> None:
    assert np.median([len(crossings(_trees(s))) for s in range(10)]) > 20
    vein = _line("vein", (5, 2), (12, 2))
    assert _unexplained([vein, _line("artery", (5, 2.05), (12, 2.05)), _line("artery", (10, -5), (10, -1))]) == 1


# --- form ------------------------------------------------------------------------------------------------------------


def _crossing_widths(segments: Sequence[Segment], radius: float) -> list[float]:
    """Diameters (degrees), widest first, of the vessels on a circle about the disc centre."""
    widths = []
    for s in segments:
        beyond = np.hypot(*s.points.T) > radius
        widths += (2.0 * s.radius[np.flatnonzero(beyond[1:] != beyond[:-1])]).tolist()
    return sorted(widths, reverse=True)


def _central(widths: Sequence[float], factor: float) -> float:
    """Central equivalent of widths (Knudtson et al., Curr Eye Res 2003;27:143)."""
    while len(widths) > 1:
        widths = sorted(widths)
        half = len(widths) // 2
        pairs = [factor * math.hypot(widths[i], widths[-1 - i]) for i in range(half)]
        widths = pairs + ([widths[half]] if len(widths) % 2 else [])
    return widths[0]


def test_enough_vessels_for_central_equivalents_which_are_as_in_real_eyes() -> None:
    circles = np.linspace(1.0, 1.5, 6) * 2.0 * VEIN.disc_radius
    equivalents, counts, trunks = [], [], []
    for seed in range(20):
        row = []
        for kind, factor in (("artery", 0.88), ("vein", 0.95)):
            tree = _of(_trees(seed), kind)
            widths = [_crossing_widths(tree, radius) for radius in circles]
            counts.append(min(map(len, widths)))
            row.append(UM_PER_DEGREE * np.mean([_central(w[:6], factor) for w in widths if len(w) >= 6]))
        equivalents.append(row)
        trunks.append(max(s.radius[0] for s in _of(_trees(seed), "artery")))
    artery, vein = np.median(equivalents, axis=0)
    assert 140 < artery < 160 and 200 < vein < 230
    assert np.mean(np.array(counts) >= 6) > 0.9 and np.median(counts) < 14
    widest = max(s.radius[0] for s in _of(_trees(0), "vein"))
    assert 0.12 < 2 * widest * UM_PER_DEGREE / 1000 < 0.18
    assert 0.65 < np.median(trunks) / VEIN.root_radius < 0.9


def _excess(tortuosity: float) -> float:
    """Median of arc/chord - 1 of segments long enough to show a wave."""
    trees = (_trees(seed, tortuosity=tortuosity) for seed in range(5))
    return float(np.median([s.arc / s.chord for tree in trees for s in tree if s.chord > 2.0])) - 1.0


def test_winding_grows_with_the_square_of_the_amplitude() -> None:
    straight, half, typical, double = (_excess(t) for t in (0.0, 0.15, 0.3, 0.6))
    assert 0 <= straight < 0.008
    assert typical - straight == pytest.approx(0.3**2 / 2, rel=0.35)
    assert 0.03 < typical < 0.06
    assert 2.5 < (typical - straight) / (half - straight) < 5 and 2.5 < (double - straight) / (typical - straight) < 5


def test_no_vessel_in_the_fovea_and_arcades_around_it() -> None:
    arcades = []
    for seed in range(6):
        for kind in ("artery", "vein"):
            points = np.concatenate([s.points for s in _of(_trees(seed), kind)])
            radius = np.concatenate([s.radius for s in _of(_trees(seed), kind)])
            from_fovea = points - FOVEA
            assert np.hypot(*from_fovea.T).min() > 1.7
            assert (points[:, 0] < -12).any()
            height = from_fovea[(np.abs(from_fovea[:, 0]) < 2.0) & (radius > 0.07), 1]
            arcades += [((side * height > 6.0) & (side * height < 14.0)).any() for side in (-1, 1)]
    assert np.mean(arcades) > 0.85


# --- findings --------------------------------------------------------------------------------------------------------

GRID = Grid(400, 400, 200 - 7.75 * 12, 200.0, 12.0, 1)


def _change(name: str, seed: int, count: int = 1) -> tuple[tuple[Segment, ...], tuple[Segment, ...], Finding]:
    before = _trees(seed)
    after, finding = CHANGES[name](np.random.default_rng(seed), before, crossings(before), MIDDLE, count)
    assert finding is not None
    return before, after, finding


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_a_finding_in_view(name: str) -> None:
    for seed in (0, 3):
        before, after, finding = _change(name, seed)
        assert isinstance(finding, Finding) and finding.target == name in TARGETS
        assert finding.layer is Layer.SUPERFICIAL
        mask = finding.distance(GRID) >= 0
        assert mask.any()
        u, v = GRID.coordinates()
        assert np.hypot(u - MIDDLE[0], v - MIDDLE[1])[mask].max() < 16.5
        assert len(before) == len(after)
        drawn = [_masks(each, GRID) for each in (before, after)]
        vessel = drawn[1]["artery"] | drawn[1]["vein"]
        assert (mask & vessel).sum() > 0.2 * mask.sum()
        if name != "venous_tortuosity":  # there side branches move along
            changed = (drawn[0]["vein"] != drawn[1]["vein"]) | (drawn[0]["artery"] != drawn[1]["artery"])
            assert not (changed & ~(finding.distance(GRID) > -2)).any()
            assert changed.any() == (name != "vascular_sheathing")
        again = CHANGES[name](np.random.default_rng(seed), before, crossings(before), MIDDLE, 1)
        np.testing.assert_array_equal(again[1].distance(GRID), finding.distance(GRID))


@pytest.mark.parametrize("name", CHANGES)
def test_no_vessels_no_change(name: str) -> None:
    assert CHANGES[name](np.random.default_rng(0), (), (), MIDDLE, 3) == ((), None)


def test_nicking_narrows_the_vein_on_both_sides_of_the_artery() -> None:
    before, after, finding = _change("av_nicking", 1, count=3)
    spots = finding.spots()
    assert spots is not None and 1 <= len(spots.centres) <= 3
    nicked = [c for c in crossings(before) if np.hypot(*(spots.centres - c.place).T).min() < 1e-9]
    assert len(nicked) == len(spots.centres)
    for c in nicked:
        area = float(spots.area[np.hypot(*(spots.centres - c.place).T).argmin()])
        old, new = before[c.vein], after[c.vein]
        half = math.sqrt(area / math.pi)
        edge = np.interp(c.artery_at, before[c.artery].along, before[c.artery].radius) / math.sin(c.angle)
        assert half > edge + 0.4
        for side in (-1, 1):
            at = c.vein_at + side * edge
            assert np.interp(at, new.along, new.radius) < 0.85 * np.interp(at, old.along, old.radius)
        assert after[c.artery] is before[c.artery]


def test_beading_swings_the_width_and_keeps_its_mean() -> None:
    before, after, _ = _change("venous_beading", 2)
    changed = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a is not b]
    assert changed and all(before[k].kind == "vein" for k in changed)
    pairs = [(before[k], after[k]) for k in changed]
    ratio = np.concatenate([new.radius / np.interp(new.along, old.along, old.radius) for old, new in pairs])
    assert ratio.mean() == pytest.approx(1.0, abs=0.04)
    assert ratio.max() > 1.2 and ratio.min() < 0.8
    assert 3 <= np.count_nonzero(np.diff(np.sign(ratio - 1.0))) <= 20
    assert _unexplained(after) == 0


def test_sheaths_whiten_both_walls_and_leave_the_middle() -> None:
    stretch = Segment("vein", np.array([[2.0, 0.0], [12.0, 0.0]]), np.full(2, 0.2), -1)
    after, finding = vascular_sheathing(np.random.default_rng(0), (stretch,), (), MIDDLE, 1)
    assert finding is None and after == (stretch,)  # it begins on the disc
    stretch = replace(stretch, points=np.array([[5.0, 0.0], [12.0, 0.0]]))
    _, finding = vascular_sheathing(np.random.default_rng(0), (stretch,), (), MIDDLE, 1)
    assert finding is not None
    grid = Grid(600, 120, 0.0, 60.0, 40.0, 1)
    distance = finding.distance(grid)
    picture = np.full((120, 600, 3), 0.3, np.float32)
    finding.paint(picture, grid, distance)
    across = picture[60:, 340, 0]
    wall = round(0.2 * 40)
    assert across[0] == pytest.approx(0.3, abs=0.05)
    assert across[wall : wall + 3].min() > 0.6
    assert across[wall + math.ceil(SHEATH * 40) + 2] == pytest.approx(0.3, abs=0.02)
    assert (distance[:, 340] >= 0).sum() == pytest.approx(2 * (0.2 + SHEATH) * 40, abs=1.5)


def test_winding_veins_wind_and_stay_sound() -> None:
    made = 0
    for seed in range(12):
        before = _trees(seed)
        after, finding = venous_tortuosity(np.random.default_rng(seed), before, crossings(before), MIDDLE, 1)
        if finding is None:
            assert after == before
            continue
        made += 1
        assert _unexplained(after) == 0
        assert not crosses_itself(after, "vein")
        veins = _of(after, "vein")
        for old, new in zip(before, after, strict=True):
            assert new is old or new.kind == "vein"
            if new.kind == "vein" and new.parent >= 0:
                np.testing.assert_allclose(new.points[0], veins[new.parent].points[-1], atol=1e-9)
        moved = {id(s) for s in finding.stretches}
        ratio = [b.arc / a.arc for a, b in zip(before, after, strict=True) if id(b) in moved]
        assert max(ratio) > 1.1
    assert made >= 9
