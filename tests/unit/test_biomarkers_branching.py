"""Branching: drawn forks and trees against closed forms, and what stays the same when an eye is turned or mirrored.

Tolerances come from the pixel: the median width over a stretch of a straight vessel is within ``WIDTH`` px of the
truth, at most half a pixel at single angles, less in a median over several.
"""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.biomarkers import REGISTRY, names
from retsam.biomarkers.branching import murray_exponent
from retsam.biomarkers.centreline import trace
from retsam.biomarkers.tree import Tree, grow
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, bar, grid, measured, rows, tree

properties = settings(deadline=None, derandomize=True, max_examples=25)
WIDTH = 0.3  # px
ROOTED = [n for n in names("branching") if "optic_disc" in REGISTRY[n].requires]
TREE_NAMES = [n for n in ROOTED if not n.startswith("vessel")]
RESOLVED = [n for n in REGISTRY if "_resolved_" in n]


# Formulas


def of_widths(*widths: tuple[float, float, float], lengths: float = 40.0) -> SimpleNamespace:
    """An image whose trees have bifurcations of these widths."""
    given_widths = np.array(widths)
    grown = Tree(given_widths, np.full(len(widths), lengths), 1, None)
    return SimpleNamespace(tree=lambda target: grown)


def value(name: str, image: SimpleNamespace) -> float:
    return REGISTRY[f"artery_{name}"].compute(image)


def test_symmetric_forks_under_murrays_law():
    image = of_widths(*[(d, d / 2 ** (1 / 3), d / 2 ** (1 / 3)) for d in (5.0, 7.0, 8.0, 10.0, 13.0)])
    assert value("branching_coefficient", image) == pytest.approx(2 ** (1 / 3))
    assert value("junctional_exponent_deviation", image) == pytest.approx(0, abs=1e-4)  # a cube root of rounding
    assert value("branching_asymmetry", image) == pytest.approx(1)
    assert value("murray_exponent", image) == pytest.approx(3)
    assert value("length_diameter_ratio", image) == pytest.approx(40 / 8)


def test_forks_by_hand():
    image = of_widths((10, 8, 6), (10, 8, 6), (10, 8, 6), (10, 8, 4), (10, 9, 8))
    assert value("branching_coefficient", image) == pytest.approx(1.0)
    assert value("junctional_exponent_deviation", image) == pytest.approx(0.272 ** (1 / 3))
    assert value("branching_asymmetry", image) == pytest.approx(0.5625)
    assert value("murray_exponent", image) == pytest.approx(2), "Pythagoras"
    widening = of_widths(*[(8, 10, 6)] * 5)
    assert value("junctional_exponent_deviation", widening) == pytest.approx(-(704 ** (1 / 3)) / 8), "keeps its sign"
    with pytest.raises(Exception, match="too_few_vessels"):
        value("murray_exponent", widening)
    with pytest.raises(Exception, match="too_few_vessels"):
        value("branching_coefficient", of_widths(*[(10, 8, 6)] * 4))


@properties
@given(st.floats(1, 10), st.floats(0.3, 1), st.floats(0.05, 20))
def test_murray_exponent_solves_its_equation(exponent, ratio, unit):
    wide = (1 + ratio**exponent) ** (-1 / exponent)
    found = murray_exponent(*(np.array([unit * x]) for x in (1.0, wide, ratio * wide)))
    assert found == pytest.approx(exponent, rel=1e-6)


def test_no_murray_exponent_where_the_parent_is_not_the_widest():
    found = murray_exponent(np.array([5.0, 5.0, 5.0]), np.array([5.0, 6.0, 4.0]), np.array([1.0, 2.0, 4.0]))
    assert np.isnan(found).tolist() == [True, True, False]
    assert murray_exponent(*(np.empty(0),) * 3).size == 0


# Single trees


def ray(size: int, start: tuple[float, float], direction: float, width: float, length: float) -> np.ndarray:
    """A straight vessel; degrees, px about the middle of the frame."""
    x, y = grid(size)
    t = np.radians(direction)
    along = (x - start[0]) * np.cos(t) + (y - start[1]) * np.sin(t)
    across = (y - start[1]) * np.cos(t) - (x - start[0]) * np.sin(t)
    return (np.abs(across) <= width / 2) & (along >= 0) & (along <= length)


def disc_at(x: float, y: float, radius: float = 40.0):
    return lambda xy: np.hypot(xy[:, 0] - x, xy[:, 1] - y) - radius


def path(points: list[tuple[float, float]], width: int) -> np.ndarray:
    """A vessel along a polyline."""
    mask = np.zeros((1024, 1024), np.uint8)
    cv2.polylines(mask, [np.array(points, np.int32)], False, 1, thickness=width)
    return mask > 0


@pytest.mark.parametrize("root", [0, 1, 2])
def test_the_parent_is_the_branch_towards_the_disc(root):
    directions, widths = (200.0, 330.0, 80.0), (9.0, 13.0, 17.0)
    mask = np.logical_or.reduce([ray(1024, (0, 0), *b, 250) for b in zip(directions, widths, strict=True)])
    t = np.radians(directions[root])
    grown = grow(trace(mask), disc_at(511.5 + 250 * np.cos(t), 511.5 + 250 * np.sin(t)))
    parent = widths[root]
    expected = [parent, *sorted({*widths} - {parent}, reverse=True)]
    assert grown.widths == pytest.approx(np.array([expected]), abs=2 * WIDTH)
    assert grown.departures == 1
    assert np.isnan(grown.parent_length).all(), "no node before it"


def test_a_crossing_is_no_way_from_one_vessel_to_the_other():
    angle = np.radians(np.arange(180, 361))
    arch = [(350 + 250 * c, 512 + 250 * s) for c, s in zip(np.cos(angle), np.sin(angle), strict=True)]
    mask = path([(100, 512), (960, 512)], 9) | path(arch[:160], 13) | path([*arch[160:], (600, 900)], 9)
    mask |= path([arch[160], (715, 351)], 7)
    grown = grow(trace(mask), disc_at(100, 512, 60))
    # Against the stream, over the crossing, the way to the fork is 110 px shorter.
    assert len(grown.widths) == 1
    assert grown.widths[0, 0] > 13 > grown.widths[0, 1:].max(), "the wide branch comes from the disc"
    assert grown.departures == 2
    assert grown.vessels.arc.size == 3, "straight on, round about and down, and the side branch"
    over_the_arch = 250 * math.pi - 60 + 388
    assert sorted(grown.vessels.arc) == pytest.approx([150, 800, over_the_arch], abs=12)


@pytest.mark.parametrize(("twigs", "vessels"), [((-50, -110), 3), ((-60, 120), 2)])
def test_two_twigs_in_one_place_are_a_vessel_only_if_they_cross(twigs, vessels):
    mask = path([(100, 512), (900, 512)], 11)
    mask |= np.logical_or.reduce([ray(1024, (500 - 511.5, 512 - 511.5), d, 5, 150) for d in twigs])
    line = trace(mask)
    assert line.graph.degree.tolist() == [4]
    grown = grow(line, disc_at(100, 512, 60)).vessels
    assert grown.arc.size == vessels
    assert grown.arc.max() == pytest.approx(740, abs=15)
    assert grown.arc / grown.chord == pytest.approx(1, abs=0.03)


def test_a_piece_that_misses_the_disc_begins_where_it_is_nearest():
    mask = ray(1024, (-200, 0), 0, 12, 200) | ray(1024, (0, 0), 40, 9, 200) | ray(1024, (0, 0), -40, 7, 200)
    for disc, parent in (((-400, 0), 12), ((300, 300), 9), ((300, -300), 7)):
        grown = grow(trace(mask), disc_at(511.5 + disc[0], 511.5 + disc[1]))
        assert grown.widths[0, 0] == pytest.approx(parent, abs=2 * WIDTH)
        assert grown.departures == 0


@pytest.mark.parametrize("kind", ["empty", "one", "full", "noise", "ring", "loop with a tail"])
def test_hopeless_masks_do_not_crash(kind):
    x, y = grid(256)
    ring = np.abs(np.hypot(x, y) - 60) <= 3
    mask = {
        "empty": np.zeros((256, 256), bool),
        "one": np.pad(np.ones((1, 1), bool), ((100, 155), (100, 155))),
        "full": np.ones((256, 256), bool),
        "noise": np.random.default_rng(3).random((256, 256)) < 0.5,
        "ring": ring,
        "loop with a tail": ring | ray(256, (60, 0), 0, 6, 60),
    }[kind]
    for disc in (disc_at(128, 128, 5), disc_at(128, 128, 500), disc_at(0, 0, 20)):
        grown = grow(trace(mask), disc)
        assert (grown.widths > 0).all()
        assert grown.departures >= 0
        assert np.isfinite(grown.vessels.arc).all()


# Whole eyes

FOVEA = (0.25, 0.52)


def eye_of_trees(masks: dict[str, np.ndarray], size: int = 1024, radius: float = 0.05) -> dict[str, np.ndarray]:
    """A field with the disc in the middle."""
    x, y = grid(size)
    fov, disc = np.hypot(x, y) <= 0.495 * size, np.hypot(x, y) <= radius * size
    return {FOV: fov, "optic_disc": disc, "vessel": np.logical_or.reduce(list(masks.values())), **masks}


def forks(size: int, trunk: float, wide: float, narrow: float, turn: float, count: int = 6) -> np.ndarray:
    """Trunks from the disc that fork at 0.22 of the frame; widths in px of a frame of 1024."""
    unit, mask = size / 1024, np.zeros((size, size), bool)
    for k in range(count):
        direction = turn + 360 * k / count
        t = np.radians(direction)
        node = (225 * unit * np.cos(t), 225 * unit * np.sin(t))
        mask |= ray(size, (0, 0), direction, trunk * unit, 225 * unit)
        mask |= ray(size, node, direction + 35, wide * unit, 180 * unit)
        mask |= ray(size, node, direction - 40, narrow * unit, 180 * unit)
    return mask


@pytest.mark.parametrize(("trunk", "turn"), [(8.0, 3.0), (12.0, 17.0), (16.0, 40.0)])
def test_symmetric_forks_under_murrays_law_as_they_are_drawn(trunk, turn):
    daughter = trunk / 2 ** (1 / 3)
    artery, vein = (forks(1024, trunk, daughter, daughter, turn + extra) for extra in (0, 90))
    both = measured(rows("a", eye_of_trees({"artery": artery, "vein": vein})))
    assert_honest(both)
    eye = both.iloc[0]
    share = WIDTH / trunk + WIDTH / daughter  # relative error of a ratio of widths
    for target in ("artery", "vein"):
        assert eye[f"{target}_branching_coefficient"] == pytest.approx(2 ** (1 / 3), rel=2 * share)
        assert eye[f"{target}_branching_asymmetry"] == pytest.approx(1, abs=4 * WIDTH / daughter)
        assert abs(eye[f"{target}_junctional_exponent_deviation"]) <= (3 * share) ** (1 / 3)
        # d ln d1 = - ln(2)/x^2 dx
        assert eye[f"{target}_murray_exponent"] == pytest.approx(3, abs=9 / math.log(2) * share)
        assert eye[f"{target}_startpoint_count"] == 6
        assert eye[f"{target}_length_diameter_ratio__status"] == Status.TOO_FEW_VESSELS, "all parents are trunks"
        assert eye[f"{target}_branching_angle_median"] == pytest.approx(75, abs=2)


def test_asymmetric_forks_turned_mirrored_and_at_half_the_resolution():
    artery, vein = forks(1024, 16, 14, 9, 11), forks(1024, 18, 12, 12, 41)
    masks = eye_of_trees({"artery": artery, "vein": vein})
    turned = {name: np.rot90(mask) for name, mask in masks.items()}
    half = eye_of_trees({"artery": forks(512, 16, 14, 9, 11), "vein": forks(512, 18, 12, 12, 41)}, 512)
    result = measured(rows("a", masks, FOVEA), rows("b", masks, FOVEA, flip=True), rows("c", turned), rows("d", half))
    assert_honest(result)
    first, mirrored, rotated, small = (result.iloc[k] for k in range(4))
    assert first["artery_branching_asymmetry"] == pytest.approx((9 / 14) ** 2, rel=4 * WIDTH / 9)
    assert first["artery_branching_coefficient"] == pytest.approx((14**2 + 9**2) / 16**2, rel=4 * WIDTH / 9)
    for name in TREE_NAMES + RESOLVED:
        np.testing.assert_allclose(mirrored[name], first[name], rtol=1e-9)
        assert rotated[f"{name}__status"] == small[f"{name}__status"] == first[f"{name}__status"], name
    for name in ("branching_coefficient", "branching_asymmetry"):
        for target in ("artery", "vein"):
            before = first[f"{target}_{name}"]
            assert rotated[f"{target}_{name}"] == pytest.approx(before, rel=4 * WIDTH / 9), "another pixel grid"
            assert small[f"{target}_{name}"] == pytest.approx(before, rel=8 * WIDTH / 9), "pixels twice as large"
    for name in RESOLVED:
        assert rotated[name] == pytest.approx(first[name], rel=0.02, abs=0.1 * ("curvature" in name))
    assert rotated["artery_startpoint_count"] == small["artery_startpoint_count"] == 6


def test_a_random_tree_and_its_mirror_image():
    masks = eye_of_trees({"artery": tree(512, 1), "vein": tree(512, 2)}, 512)
    x, y = grid(512)
    masks["optic_disc"] = np.hypot(x - 0.24 * 512, y) <= 0.06 * 512
    result = measured(rows("a", masks), rows("b", masks, flip=True))
    assert_honest(result)
    assert (result["artery_branching_coefficient__status"] == Status.OK).all()
    for name in TREE_NAMES + RESOLVED:
        np.testing.assert_allclose(result[name][1], result[name][0], rtol=1e-9)


def test_length_diameter_ratio_of_known_trunks():
    mask = np.zeros((1024, 1024), bool)
    lengths = (90, 100, 110, 120, 130)
    for k, length in enumerate(lengths):
        direction = 10 + 72 * k
        t = np.radians(direction)
        first, second = 150.0, 150.0 + length
        mask |= ray(1024, (0, 0), direction, 14, first) | ray(1024, (0, 0), direction, 12, second)
        mask |= ray(1024, (first * np.cos(t), first * np.sin(t)), direction + 50, 8, 120)
        for side in (-35, 35):
            mask |= ray(1024, (second * np.cos(t), second * np.sin(t)), direction + side, 9, 110)
    eye = measured(rows("a", eye_of_trees({"artery": mask}))).iloc[0]
    # The node of a side branch lies up to a radius off the place where its axis meets the trunk's.
    assert eye["artery_length_diameter_ratio"] == pytest.approx(110 / 12, abs=6 / 12)


def test_start_points():
    one_way = np.logical_or.reduce([ray(1024, (0, 0), d, 10, 400) for d in (0, 50, 120, 200)])
    through = bar(1024, 70, 10, 900)
    apart = one_way & (np.hypot(*grid(1024)) > 0.08 * 1024)
    eyes = [rows(str(k), eye_of_trees({"artery": m})) for k, m in enumerate((one_way, one_way | through, apart))]
    result = measured(*eyes)
    assert result["artery_startpoint_count"].tolist()[:2] == [4, 6]
    assert result.loc[2, "artery_startpoint_count__status"] == Status.TOO_FEW_VESSELS, "none reaches the disc"


def test_resolved_vessels_are_whole_arcs():
    x, y = grid(1024)
    mask, opening, radius = np.zeros((1024, 1024), bool), math.radians(100), 240.0
    for turn in np.radians([0.0, 90.0, 180.0, 270.0]):
        centre = radius * np.array([-np.sin(turn), np.cos(turn)])  # an arc that begins in the middle of the frame
        angle = np.arctan2(y - centre[1], x - centre[0])
        from_middle = np.mod(angle - np.arctan2(-centre[1], -centre[0]), 2 * np.pi)
        mask |= (np.abs(np.hypot(x - centre[0], y - centre[1]) - radius) <= 5) & (from_middle <= opening)
        for part in (0.35, 0.6, 0.8):  # side branches outwards
            at = np.arctan2(-centre[1], -centre[0]) + part * opening
            node = centre + radius * np.array([np.cos(at), np.sin(at)])
            mask |= ray(1024, tuple(node), math.degrees(at) + 30, 6, 60)
    disc = 40.0
    eye = measured(rows("a", eye_of_trees({"artery": mask}, radius=disc / 1024))).iloc[0]
    arc = opening * radius - disc
    theta = arc / radius
    whole, side = theta / (2 * math.sin(theta / 2)), 1.0
    assert eye["artery_tortuosity_resolved_length_weighted"] == pytest.approx(
        (4 * arc * whole + 12 * 55 * side) / (4 * arc + 12 * 55), rel=0.02
    )
    assert eye["artery_tortuosity_resolved_length_weighted"] > 1.06 > eye["artery_tortuosity_arc_chord_length_weighted"]
    assert eye["artery_curvature_resolved_mean_absolute"] == pytest.approx(
        2 * disc / radius * 4 * arc / (4 * arc + 12 * 55), rel=0.2
    )


def test_width_variation_of_beads_and_bars():
    x, y = grid(1024)
    masks = {}
    for target, amplitude in (("artery", 0.0), ("vein", 0.25)):
        masks[target] = np.zeros((1024, 1024), bool)
        for centre in range(-300, 301, 100):
            masks[target] |= np.abs(y - centre - 0.04 * x) <= 7 * (1 + amplitude * np.sin(2 * np.pi * x / 60))
    eye = measured(rows("a", eye_of_trees(masks))).iloc[0]
    assert eye["artery_width_variation_relative"] <= 0.4 / 14, "the pixel grid alone"
    assert eye["vein_width_variation_relative"] == pytest.approx(0.25 / math.sqrt(2), rel=0.1)
    diameter = 2 * 0.05 * 1024
    assert eye["vein_width_variation"] == pytest.approx(14 * 0.25 / math.sqrt(2) / diameter, rel=0.1)


def test_trees_need_the_disc():
    masks = eye_of_trees({"artery": forks(512, 16, 13, 13, 5)}, 512)
    lost = [r | {"status": "not_visible", "rle": None} if r["target"] == "optic_disc" else r for r in rows("a", masks)]
    result = measured(lost).iloc[0]
    for name in TREE_NAMES + RESOLVED:
        missing = Status.NOT_VISIBLE if name.startswith("artery") else Status.NOT_SEGMENTED
        assert result[f"{name}__status"] == missing
    assert result["artery_branching_angle_median__status"] == Status.OK
