"""Lesions and phenotypes: counts, areas, sizes, shapes, true zeros."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from retsam.biomarkers import REGISTRY, exposures, names
from retsam.biomarkers.components import components
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS
from tests.eyes import assert_honest, grid, measured, rows

LESIONS = [t for t, target in TARGETS.items() if target.group.startswith("lesion")]
PHENOTYPES = [t for t, target in TARGETS.items() if target.group == "phenotype"]
ATROPHY = [*(f"{t}_coverage" for t in PHENOTYPES), "peripapillary_atrophy_area"]
NAMES = [*ATROPHY, *names("lesion")]
OF_LESIONS = ("_size_", "_diameter_", "_circularity", "_aspect_ratio", "_solidity", "_distance", "_clark_evans")
"""What there is only where there are lesions."""


def circle(size: int, x0: float, y0: float, radius: float) -> np.ndarray:
    """About a point given from the middle of the frame; lengths in frame sides."""
    x, y = grid(size)
    return np.hypot(x - x0 * size, y - y0 * size) <= radius * size


def eye(size: int, **masks: np.ndarray) -> dict[str, np.ndarray]:
    return {FOV: circle(size, 0, 0, 0.495), "optic_disc": circle(size, 0.24, 0, 0.06), **masks}


def test_every_finding_has_its_biomarkers():
    every = [f"{t}_{what}" for t in LESIONS for what in ("presence", "count", "area", "coverage")]
    assert names("lesion")[: len(every)] == every
    assert set(ATROPHY) <= set(names("phenotype"))
    assert set(NAMES) <= {b.name for b in exposures()}


def test_counts_and_areas_by_hand():
    size = 1024
    lesions = np.zeros((size, size), bool)
    lesions[300:304, 300:305] = True  # 20 px
    lesions[500:510, 300:303] = True  # 30 px
    lesions[510, 303] = True  # touches by a corner
    lesions[700, 300:302] = True  # as small as they count
    lesions[800, 300] = True  # a speck
    lesions[2:6, 2:6] = True  # outside the field of view
    masks = eye(size, hemorrhage=lesions)
    result = measured(rows("a", masks))
    assert_honest(result)
    got, diameter = result.iloc[0], np.sqrt(4 * masks["optic_disc"].sum() / np.pi)
    assert got["hemorrhage_count"] == 3
    assert got["hemorrhage_presence"] == 1
    sizes = {"mean": 53 / 3, "median": 20, "largest": 31}
    for statistic, size_px in sizes.items():
        assert got[f"hemorrhage_size_{statistic}"] == pytest.approx(size_px / diameter**2)
    assert got["hemorrhage_area"] == pytest.approx(53 / diameter**2)
    assert got["hemorrhage_coverage"] == pytest.approx(53 / masks[FOV].sum())


def test_a_microaneurysm_counts_in_every_frame_and_a_speck_in_none():
    for size in (256, 512, 1024):
        lesions = circle(size, 0.5 / size, 0.5 / size, 2 / 1024)  # about a pixel; 4 px across at 1024
        speck = np.zeros((size, size), bool)
        speck[size // 3, size // 3] = size == 1024
        got = measured(rows("a", eye(size, microaneurysm=lesions | speck))).iloc[0]
        assert got["microaneurysm_count"] == 1


@settings(deadline=None, derandomize=True, max_examples=8)
@given(st.integers(0, 10_000), st.floats(0.01, 0.4))
def test_counts_of_noise_mirrored_and_enlarged(seed, share):
    size = 256
    noise = np.random.default_rng(seed).random((size, size)) < share
    masks = eye(size, drusen=noise, edema=~noise)
    twice = {target: np.kron(mask, np.ones((2, 2), bool)) for target, mask in masks.items()}
    result = measured(rows("a", masks, eye="OD"), rows("b", masks, eye="OS", flip=True), rows("c", twice))
    labelled = ndimage.label(noise & masks[FOV], np.ones((3, 3)))[1]
    assert result["drusen_count"].tolist() == [labelled] * 3
    np.testing.assert_allclose(result["drusen_coverage"] + result["edema_coverage"], 1)
    by_place = ("_distance", "_etdrs_", "temporal", "nasal", "quadrants")  # the fovea is half a pixel off in the third
    by_outline = ("_circularity", "_aspect_ratio", "_solidity", "_clark_evans")
    for name in NAMES:
        if result.loc[0, f"{name}__status"] == Status.OK:
            alike = 2 if any(word in name for word in by_place + by_outline) else 3
            assert result[name].to_numpy()[:alike] == pytest.approx(result.loc[0, name], rel=1e-9), name


@pytest.mark.parametrize("ring", [True, False])
def test_coverage_and_the_atrophy_beside_the_disc(ring):
    disc, wider = circle(512, 0.24, 0, 0.06), circle(512, 0.24, 0, 0.09)
    masks = eye(512, tessellation=grid(512)[0] < 0, peripapillary_atrophy=wider & ~disc if ring else wider)
    got = measured(rows("a", masks)).iloc[0]
    assert got["tessellation_coverage"] == pytest.approx(0.5, abs=1e-3)
    assert got["peripapillary_atrophy_area"] == pytest.approx(1.25, rel=0.02), "what lies under the disc does not count"
    covered = masks["peripapillary_atrophy"].sum() / masks[FOV].sum()
    assert got["peripapillary_atrophy_coverage"] == pytest.approx(covered)


def test_an_empty_mask_is_a_true_zero_and_no_mask_is_a_reason():
    nothing = np.zeros((256, 256), bool)
    masks = eye(256, **dict.fromkeys([*LESIONS, *PHENOTYPES], nothing))
    lost = [
        r | {"status": "not_visible", "rle": None} if r["target"] == "optic_disc" else r for r in rows("lost", masks)
    ]
    result = measured(rows("healthy", masks), rows("not asked", eye(256)), lost)
    assert_honest(result)
    for name in NAMES:
        value = Status.UNDEFINED if any(word in name for word in OF_LESIONS) else Status.OK
        value = Status.NO_SCALE if name.endswith("_scaled") else value
        of_disc = "optic_disc" in REGISTRY[name].requires
        expected = [value, Status.NOT_SEGMENTED, Status.NOT_VISIBLE if of_disc else value]
        if "vessel" in REGISTRY[name].requires:
            expected = [Status.NOT_SEGMENTED] * 3
        assert result[f"{name}__status"].tolist() == expected, name
        assert expected[0] != Status.OK or result.loc[0, name] == 0


# Shapes


def drawn(kind: str, half: float, size: int = 160, seed: int = 0) -> np.ndarray:
    """A shape with half its length in px, at a random place between pixels and a random angle."""
    rng = np.random.default_rng(seed)
    x, y = (axis - shift for axis, shift in zip(grid(size), rng.random(2), strict=True))
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "bar":
        return (np.abs(u) <= half) & (np.abs(v) <= half / 3)
    if kind == "cross":
        return ((np.abs(u) <= half) & (np.abs(v) <= half / 3)) | ((np.abs(v) <= half) & (np.abs(u) <= half / 3))
    return (u / half) ** 2 + (v / half * (2 if kind == "ellipse" else 1)) ** 2 <= 1


ELLIPSE_PERIMETER = 4.844224  # of half axes 1 and 1/2
SHAPES = {  # circularity, aspect ratio, solidity
    "disc": (1, 1, 1),
    "ellipse": (4 * np.pi * (np.pi / 2) / ELLIPSE_PERIMETER**2, 2, 1),
    "bar": (4 * np.pi * (4 / 3) / (16 / 3) ** 2, 3, 1),
    "cross": (4 * np.pi * (20 / 9) / 8**2, 1, (20 / 9) / (28 / 9)),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_against_closed_forms(kind):
    """Half lengths of 24 px: the corners of bars lose about a pixel, and four directions see a line 5 % too long."""
    found = [components(drawn(kind, 24, seed=seed), 1) for seed in range(12)]
    assert [len(f) for f in found] == [1] * 12
    circularity = [4 * np.pi * f.area[0] / f.perimeter[0] ** 2 for f in found]
    aspect = [f.axes[0][0] / f.axes[1][0] for f in found]
    solidity = [f.area[0] / f.hull(np.array([0]))[0] for f in found]
    expected = SHAPES[kind]
    assert np.mean(circularity) == pytest.approx(expected[0], abs=0.02)
    assert np.mean(aspect) == pytest.approx(expected[1], rel=0.02)
    assert np.mean(solidity) == pytest.approx(expected[2], abs=0.03)


def test_small_discs_are_round():
    """From 30 px on, the least that has a shape: circularity within 0.02 of 1 in the mean."""
    for half in (3.2, 4.5, 7.0):
        found = [components(drawn("disc", half, 40, seed), 1) for seed in range(40)]
        assert np.mean([4 * np.pi * f.area[0] / f.perimeter[0] ** 2 for f in found]) == pytest.approx(1, abs=0.02)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.05, 0.5))
def test_a_quarter_turn_and_a_mirror_change_no_shape(seed, share):
    mask = np.random.default_rng(seed).random((40, 50)) < share
    expected = None
    for turned in (mask, np.rot90(mask), mask[::-1], mask.T):
        found = components(np.ascontiguousarray(turned), 2)
        hull = found.hull(np.arange(len(found)))
        table = np.column_stack([found.area, found.perimeter, *found.axes, hull]).round(6)
        shapes = sorted(map(tuple, table.tolist()))
        expected = shapes if expected is None else expected
        np.testing.assert_allclose(shapes, expected)


def test_shapes_are_means_over_lesions_that_have_one():
    size = 1024
    lesions = np.zeros((size, size), bool)
    for k, (kind, half) in enumerate((("disc", 20), ("bar", 30), ("disc", 2))):
        lesions[200 : 200 + 80, 200 + 150 * k : 280 + 150 * k] = drawn(kind, half, 80, k)
    result = measured(rows("a", eye(size, drusen=lesions)), rows("b", eye(size, drusen=lesions), flip=True))
    got = result.iloc[0]
    assert got["drusen_count"] == 3
    assert got["drusen_circularity"] == pytest.approx((SHAPES["disc"][0] + SHAPES["bar"][0]) / 2, abs=0.03)
    assert got["drusen_aspect_ratio"] == pytest.approx(2, rel=0.03)
    assert got["drusen_solidity"] == pytest.approx(1, abs=0.03)
    only_dots = measured(rows("c", eye(size, drusen=drawn("disc", 2, size)))).iloc[0]
    assert only_dots["drusen_circularity__status"] == Status.UNDEFINED


def test_components_in_detail():
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:6] = True
    mask[3, 4] = False  # a hole
    mask[10:14, 20] = True
    mask[18, 29] = True  # in the corner of the part that is copied
    found = components(mask, 2)
    assert found.area.tolist() == [8, 4]
    assert found.xy.tolist() == [[4, 3], [20, 11.5]]
    assert sorted(map(tuple, found.pixels.astype(int).tolist())) == sorted(
        (x, y) for y, x in np.argwhere(mask).tolist() if (x, y) != (29, 18)
    )
    assert found.hull(np.array([0, 1])).tolist() == [9, 4]
    mirror = components(mask, 2, mirrored=True)
    assert sorted(mirror.xy[:, 0]) == [29 - 20, 29 - 4]
    assert mirror.perimeter[np.argsort(mirror.area)] == pytest.approx(found.perimeter[np.argsort(found.area)])
    assert len(components(np.zeros((5, 5), bool), 1)) == 0


# Drusen


def test_classes_of_drusen_by_convention_and_by_scale():
    """A disc 120 px across: by convention 12.5 um a pixel; the manifest says twice as much."""
    size, disc = 1024, 120
    lesions = np.zeros((size, size), bool)
    for k, um in enumerate((50, 70, 90, 110, 140, 300)):
        lesions[200:260, 200 + 70 * k : 260 + 70 * k] = drawn("disc", um / 12.5 / 2, 60, k)
    masks = {FOV: circle(size, 0, 0, 0.495), "optic_disc": circle(size, 0.24, 0, disc / 2 / size), "drusen": lesions}
    result = measured(rows("a", masks, um_per_px=12.5), rows("b", masks))  # photographs are twice the frame's size
    assert_honest(result)
    got = result.iloc[0]
    assert [got[f"drusen_count_{c}"] for c in ("small", "medium", "large")] == [1, 3, 2]
    assert [got[f"drusen_count_{c}_scaled"] for c in ("small", "medium", "large")] == [0, 1, 5]
    assert got["drusen_diameter_median_um"] == pytest.approx(200, rel=0.05)
    assert got["drusen_diameter_largest_um"] == pytest.approx(600, rel=0.02)
    assert (result.loc[1, [f"drusen_count_{c}" for c in ("small", "medium", "large")]] == [1, 3, 2]).all()
    assert result.loc[1, "drusen_count_small_scaled__status"] == Status.NO_SCALE
    assert result.loc[1, "drusen_diameter_median_um__status"] == Status.NO_SCALE


def test_burdens_are_sums_and_need_every_target():
    size = 256
    red, white, yellow = (circle(size, x, -0.2, 0.02) for x in (-0.2, -0.1, 0.0))
    nothing = np.zeros((size, size), bool)
    dr = {"microaneurysm": nothing, "hemorrhage": red, "hard_exudate": yellow, "cotton_wool_spot": white}
    result = measured(rows("a", eye(size, **dr)), rows("b", eye(size, **dr, drusen=red)))
    assert result.loc[0, "dr_burden"] == pytest.approx((red | white | yellow).sum() / eye(size)[FOV].sum())
    assert result["amd_burden__status"].tolist() == [Status.NOT_SEGMENTED] * 2
    assert REGISTRY["dr_burden"].definitional == ("dr",)
