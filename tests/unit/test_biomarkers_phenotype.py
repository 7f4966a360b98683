"""Tessellation and myopic atrophy against closed forms: by region, as crescents, in pieces, and the grade."""

import numpy as np
import pytest

from retsam.biomarkers import REGISTRY, names
from retsam.geometry import ETDRS
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, grid, measured, rows

SIZE = 512
MIDDLE = (SIZE - 1) / 2
DISC, FOVEA, DD = 125.0, -5.0, 50.0  # px from the middle of the frame: 2.6 disc diameters apart, a right eye
PLACE = ((FOVEA + MIDDLE) / SIZE, MIDDLE / SIZE)
TARGETS = ("tessellation", "peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy")
X, Y = grid(SIZE)
NOTHING = np.zeros((SIZE, SIZE), bool)


def circle(x: float, y: float, radius: float) -> np.ndarray:
    """About a point given from the middle of the frame, px."""
    return np.hypot(X - x, Y - y) <= radius


def eye(**masks: np.ndarray) -> dict[str, np.ndarray]:
    """An eye that was looked at for everything and has what is given."""
    base = {FOV: circle(0, 0, 0.495 * SIZE), "optic_disc": circle(DISC, 0, DD / 2)}
    return base | dict.fromkeys(TARGETS, NOTHING) | masks


def test_an_eye_without_any_has_zeros_and_no_shape():
    result = measured(rows("a", eye(), PLACE), rows("b", {k: eye()[k] for k in (FOV, "optic_disc")}, PLACE))
    assert_honest(result)
    for name in names("phenotype"):
        shaped = name in ("tessellation_circularity", "tessellation_aspect_ratio", "tessellation_dispersion")
        assert result[f"{name}__status"].tolist() == ["undefined" if shaped else "ok", "not_segmented"], name
        assert shaped or result.loc[0, name] == 0, name


def test_tessellation_by_region_in_either_eye():
    """All of the retina on the temporal side of the fovea; a column of pixels is up to 2 % of a sector."""
    masks = eye(tessellation=X < FOVEA)
    result = measured(rows("a", masks, PLACE), rows("b", masks, PLACE, flip=True))
    assert result["laterality"].tolist() == ["OD", "OS"]
    for _, got in result.iterrows():
        for zone in ETDRS:
            expected = {"temporal": 1, "nasal": 0}.get(zone.split("_")[-1], 0.5)
            assert got[f"tessellation_coverage_{zone}"] == pytest.approx(expected, abs=0.02), zone


def test_a_region_out_of_view_has_no_coverage():
    masks = eye(tessellation=X < FOVEA)
    masks[FOV] = masks[FOV] & (X > FOVEA - 0.9 * DD)
    got = measured(rows("a", masks, PLACE)).iloc[0]
    assert got["tessellation_coverage_etdrs_outer_temporal__status"] == Status.OUT_OF_VIEW
    assert got["tessellation_coverage_etdrs_inner_temporal"] == 1


def test_pieces_of_tessellation():
    dots = [circle(x, y, 12) for x in (-60, 20) for y in (-40, 40)]
    bars = (np.abs(X + 40) < 30.1) & (np.abs(Y % 40 - 20) < 5.1) & (np.abs(Y) < 80)
    result = measured(
        rows("a", eye(tessellation=np.any(dots, axis=0)), PLACE), rows("b", eye(tessellation=bars), PLACE)
    )
    first, second = result.iloc[0], result.iloc[1]
    assert first["tessellation_dispersion"] == pytest.approx(np.hypot(40, 40) / DD, rel=0.01)  # the drawn disc
    assert first["tessellation_circularity"] == pytest.approx(1, abs=0.04)
    assert first["tessellation_aspect_ratio"] == pytest.approx(1, abs=0.03)
    # 60 x 10 px; Crofton's formula in four directions takes 5 % off a line along the grid
    assert second["tessellation_circularity"] == pytest.approx(4 * np.pi * 600 / (0.95 * 140) ** 2, rel=0.04)
    assert second["tessellation_aspect_ratio"] == pytest.approx(6, rel=0.03)


def wide(radius: float, shift: float) -> np.ndarray:
    """Width of what a circle that is shifted to temporal adds to the disc, px, every tenth of a degree."""
    angle = np.radians(np.arange(0, 360, 0.1))
    return np.maximum(shift * np.cos(angle) + np.sqrt(radius**2 - (shift * np.sin(angle)) ** 2) - DD / 2, 0)


@pytest.mark.parametrize(("radius", "shift"), [(37.0, 12.0), (40.0, 30.0), (37.0, 0.0)])
def test_crescents(radius, shift):
    masks = eye(peripapillary_atrophy=circle(DISC - shift, 0, radius))
    result = measured(rows("a", masks, PLACE), rows("b", masks, PLACE, flip=True))
    expected = wide(radius, shift)
    shown = [360 * np.mean(expected >= 0.02 * DD + off) for off in (0.75, -0.75)]  # edges are true to 0.75 px
    for _, got in result.iterrows():
        assert got["peripapillary_atrophy_width"] == pytest.approx(expected.max() / DD, abs=1 / DD)
        assert shown[0] <= got["peripapillary_atrophy_extent"] <= shown[1]


def test_a_crescent_is_what_lies_near_the_disc_on_any_side():
    below = circle(DISC, 0, 35) & (Y > 0) | circle(-150, 0, 20)  # half a ring, and something far away
    gap = circle(DISC, 0, 40) & ~circle(DISC, 0, 30)
    result = measured(
        rows("a", eye(peripapillary_atrophy=below), PLACE), rows("b", eye(peripapillary_atrophy=gap), PLACE)
    )
    assert result["peripapillary_atrophy_extent"].to_numpy() == pytest.approx([180, 360], abs=3)
    assert result["peripapillary_atrophy_width"].to_numpy() == pytest.approx([0.2, 0.2], abs=0.02)
    assert result["peripapillary_atrophy_count"].tolist() == [2, 1]


def test_atrophies_overlap_in_their_union():
    near = np.hypot(X - FOVEA, Y) <= 3 * DD
    masks = eye(patchy_atrophy=near & (Y < 0), diffuse_atrophy=near & (X < FOVEA))
    result = measured(rows("a", masks, PLACE), rows("b", masks, PLACE, flip=True))
    for _, got in result.iterrows():
        assert got["myopic_atrophy_coverage_1dd"] == pytest.approx(0.75, abs=0.02)
        assert got["patchy_atrophy_area"] == pytest.approx(9 * np.pi / 2, rel=0.02)
        assert got["myopic_atrophy_coverage"] == pytest.approx(
            0.75 * 9 * np.pi * DD**2 / np.count_nonzero(masks[FOV]), rel=0.02
        )
        assert got["diffuse_atrophy_count"] == got["patchy_atrophy_count"] == 1


def test_the_grade():
    field = np.pi * (0.495 * SIZE) ** 2
    spot = np.sqrt(0.01 * DD**2 / np.pi)  # radius of the least area that counts
    cases = [  # category, whether patchy atrophy reaches the circle of 1/3 disc diameter about the fovea, masks
        (0, 0, {"tessellation": circle(-150, 0, np.sqrt(0.02 * field / np.pi))}),
        (1, 0, {"tessellation": circle(-150, 0, np.sqrt(0.025 * field / np.pi))}),
        (1, 0, {"tessellation": X < -60, "diffuse_atrophy": circle(-60, 60, 0.8 * spot)}),
        (2, 0, {"tessellation": X < -60, "diffuse_atrophy": circle(-60, 60, 1.2 * spot)}),
        (3, 0, {"diffuse_atrophy": X < -60, "patchy_atrophy": circle(FOVEA - DD / 3 - 12, 0, 10)}),
        (4, 1, {"patchy_atrophy": circle(FOVEA - DD / 3 - 8, 0, 10)}),
    ]
    result = measured(*(rows(str(i), eye(**masks), PLACE) for i, (*_, masks) in enumerate(cases)))
    assert result["meta_pm_category"].tolist() == [category for category, _, _ in cases]
    assert result["patchy_atrophy_foveal"].tolist() == [foveal for _, foveal, _ in cases]
    hidden = eye()
    hidden[FOV] = hidden[FOV] & (X > FOVEA + 2)
    lost = measured(rows("a", hidden, PLACE)).iloc[0]
    assert lost["meta_pm_category__status"] == lost["patchy_atrophy_foveal__status"] == Status.OUT_OF_VIEW
    assert REGISTRY["meta_pm_category"].definitional == ("myopia",)


def busy(scale: int) -> dict[str, np.ndarray]:
    """An eye with some of everything, drawn at a scale."""
    x, y = (axis / scale for axis in grid(SIZE * scale))

    def spot(u: float, v: float, radius: float) -> np.ndarray:
        return np.hypot(x - u, y - v) <= radius

    pieces = [spot(u, v, 9) for u in (-120, -60, 10) for v in (-90, -30, 60)]
    return {
        FOV: spot(0, 0, 0.495 * SIZE),
        "optic_disc": spot(DISC, 0, DD / 2),
        "tessellation": np.any(pieces, axis=0),
        "peripapillary_atrophy": spot(DISC - 9, 4, 38),
        "diffuse_atrophy": spot(FOVEA + 10, 20, 24),
        "patchy_atrophy": spot(FOVEA - 25, -10, 12) | spot(FOVEA - 60, 40, 8),
    }


def test_the_resolution_does_not_matter():
    """Outlines are true to half a pixel: 2 % of what is measured here; thin ends of a crescent to a few degrees."""
    result = measured(rows("a", busy(1), PLACE), rows("b", busy(2), PLACE), rows("c", busy(1), PLACE, flip=True))
    loose = {"peripapillary_atrophy_extent": 6.0, "tessellation_circularity": 0.03}
    for name in names("phenotype"):
        one, two, mirrored = result[name]
        assert result[f"{name}__status"].tolist() == ["ok"] * 3, name
        assert one == pytest.approx(two, rel=0.03, abs=loose.get(name, 0.01)), name
        assert one == pytest.approx(mirrored, rel=1e-9), name
