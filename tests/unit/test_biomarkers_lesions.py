"""Lesions and phenotypes: counts, areas, true zeros."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from retsam.biomarkers import REGISTRY, exposures, names
from retsam.status import Status
from retsam.taxonomy import FOV, TARGETS
from tests.eyes import assert_honest, grid, measured, rows

LESIONS = [t for t, target in TARGETS.items() if target.group.startswith("lesion")]
PHENOTYPES = [t for t, target in TARGETS.items() if target.group == "phenotype"]
NAMES = [*names("phenotype"), *names("lesion")]


def circle(size: int, x0: float, y0: float, radius: float) -> np.ndarray:
    """About a point given from the middle of the frame; lengths in frame sides."""
    x, y = grid(size)
    return np.hypot(x - x0 * size, y - y0 * size) <= radius * size


def eye(size: int, **masks: np.ndarray) -> dict[str, np.ndarray]:
    return {FOV: circle(size, 0, 0, 0.495), "optic_disc": circle(size, 0.24, 0, 0.06), **masks}


def test_every_finding_has_its_biomarkers():
    assert names("lesion") == [f"{t}_{what}" for t in LESIONS for what in ("count", "area", "coverage")]
    assert set(names("phenotype")) == {f"{t}_coverage" for t in PHENOTYPES} | {"peripapillary_atrophy_area"}
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
    for name in NAMES:
        if result.loc[0, f"{name}__status"] == Status.OK:
            assert result[name].to_numpy() == pytest.approx(result.loc[0, name], rel=1e-9), name


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
        of_disc = "optic_disc" in REGISTRY[name].requires
        expected = ["ok", "not_segmented", "not_visible" if of_disc else "ok"]
        assert result[f"{name}__status"].tolist() == expected, name
        assert result.loc[0, name] == 0
