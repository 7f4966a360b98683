"""Where lesions lie: quadrants and rings about the fovea, vessels, neighbours, the 4-2-1 rule."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.biomarkers import REGISTRY
from retsam.biomarkers.biomarker import LESIONS
from retsam.biomarkers.lesion_place import QUADRANTS, clark_evans
from retsam.status import Status
from retsam.taxonomy import FOV
from tests.eyes import assert_honest, measured, rows

SIZE = 512
DD = 0.12  # disc diameter in frame sides
SIGNS = {"superotemporal": (1, 1), "superonasal": (-1, 1), "inferotemporal": (1, -1), "inferonasal": (-1, -1)}


class Eye:
    """A right eye; the line from disc to fovea falls by an angle, 2.5 disc diameters long."""

    def __init__(self, fall: float = 7.0, size: int = SIZE, fovea: tuple[float, float] = (0.5, 0.5)) -> None:
        self.size, self.dd = size, DD * size
        self.axis = np.array([-np.cos(np.radians(fall)), np.sin(np.radians(fall))])  # towards temporal, y down
        self.fovea = np.array(fovea) * size
        self.disc = self.fovea - 2.5 * self.dd * self.axis

    def at(self, temporal: float, superior: float) -> np.ndarray:
        """Frame point of a place given from the fovea in disc diameters."""
        up = np.array([self.axis[1], -self.axis[0]])
        up = -up if up[1] > 0 else up
        return self.fovea + self.dd * (temporal * self.axis + superior * up)

    def circle(self, centre: np.ndarray, radius: float) -> np.ndarray:
        """Radius in px."""
        y, x = np.mgrid[: self.size, : self.size]
        return np.hypot(x - centre[0], y - centre[1]) <= radius

    def dots(self, *places: tuple[float, float], radius: float = 0.03) -> np.ndarray:
        """Discs at places about the fovea; lengths in disc diameters."""
        mask = np.zeros((self.size, self.size), bool)
        for place in places:
            x, y = self.at(*place)
            reach = int(radius * self.dd) + 2
            rows_, columns = (np.arange(int(c) - reach, int(c) + reach + 1) for c in (y, x))
            mask[np.ix_(rows_, columns)] |= np.hypot(columns - x, rows_[:, None] - y) <= radius * self.dd
        return mask

    def rows(self, name: str = "a", field: np.ndarray | None = None, **masks: np.ndarray) -> list[dict]:
        field = self.circle(np.full(2, (self.size - 1) / 2), 0.495 * self.size) if field is None else field
        everything = {FOV: field, "optic_disc": self.circle(self.disc, self.dd / 2), **masks}
        return rows(name, everything, tuple(self.fovea / self.size))

    def both(self, **masks: np.ndarray) -> pd.DataFrame:
        """Measure the eye and its mirror image."""
        everything = self.rows(**masks)
        field = self.circle(np.full(2, (self.size - 1) / 2), 0.495 * self.size)
        disc = self.circle(self.disc, self.dd / 2)
        flipped = rows("b", {FOV: field, "optic_disc": disc, **masks}, tuple(self.fovea / self.size), flip=True)
        result = measured(everything, flipped)
        assert result["laterality"].tolist() == ["OD", "OS"]
        for name, biomarker in REGISTRY.items():
            if biomarker.family == "lesion":
                assert result.loc[0, f"{name}__status"] == result.loc[1, f"{name}__status"], name
                assert result.loc[1, name] == pytest.approx(result.loc[0, name], rel=1e-9, nan_ok=True), name
        assert_honest(result)
        return result


def counts(got: pd.Series, target: str) -> dict[str, float]:
    return {quadrant: got[f"{target}_count_{quadrant}"] for quadrant in QUADRANTS}


# Quadrants


@pytest.mark.parametrize("fall", [0.0, 7.0, 25.0, -15.0])
@pytest.mark.parametrize("quadrant", QUADRANTS)
def test_one_dot_has_its_quadrant_in_both_eyes(quadrant, fall):
    """Also where the eye is turned: the dots lie 10 degrees beside the axes."""
    eye, (out, up) = Eye(fall, 256), SIGNS[quadrant]
    near, far = 1.2 * np.sin(np.radians(10)), 1.2 * np.cos(np.radians(10))
    result = eye.both(hemorrhage=eye.dots((out * near, up * far), (out * far, up * near)))
    assert counts(result.iloc[0], "hemorrhage") == {q: 2 * (q == quadrant) for q in QUADRANTS}
    assert result.loc[0, "hemorrhage_quadrants_involved"] == 1


def test_temporal_is_away_from_the_disc_on_the_photograph_itself():
    size = 256
    disc, fov = np.zeros((2, size, size), bool)
    y, x = np.mgrid[:size, :size]
    fov |= np.hypot(x - 127.5, y - 127.5) <= 127
    disc |= np.hypot(x - 200, y - 128) <= 15
    lesion = np.zeros((size, size), bool)
    lesion[60:64, 60:64] = True  # up and left of a fovea that lies left of the disc
    right = rows("a", {FOV: fov, "optic_disc": disc, "drusen": lesion}, (0.5, 0.5))
    lesion = lesion[:, ::-1] | False
    left = rows("b", {FOV: fov, "optic_disc": disc[:, ::-1] | False, "drusen": lesion}, (0.5, 0.5))
    result = measured(right, left)
    assert result["drusen_count_superotemporal"].tolist() == [1, 1]
    assert result[[f"drusen_count_{q}" for q in QUADRANTS]].sum(axis=1).tolist() == [1, 1]


def test_a_dot_in_every_quadrant():
    eye = Eye()
    red = eye.dots((1, 1), (-1, 0.8), (1.2, -1), (1.4, -1), (-1, -1))
    got = eye.both(microaneurysm=red, laser_spot=eye.dots((1, 1), (1, -1))).iloc[0]
    assert list(counts(got, "microaneurysm").values()) == [1, 1, 2, 1]
    assert got["microaneurysm_quadrants_involved"] == 4
    assert got["laser_spot_quadrants_involved"] == 2
    assert got["microaneurysm_count"] == sum(counts(got, "microaneurysm").values())


def test_a_quadrant_out_of_view_has_no_number():
    """The photograph ends a quarter of a disc diameter beyond the fovea: less than half of a temporal quarter."""
    eye = Eye(0.0)
    field = eye.circle(np.full(2, (SIZE - 1) / 2), 0.495 * SIZE)
    field[:, : int(eye.at(0.25, 0)[0])] = False
    got = measured(eye.rows(field=field, hemorrhage=eye.dots((-1, 1)), microaneurysm=eye.dots())).iloc[0]
    for quadrant, (out, _) in SIGNS.items():
        assert got[f"hemorrhage_count_{quadrant}__status"] == (Status.OK if out < 0 else Status.OUT_OF_VIEW), quadrant
    assert (got["hemorrhage_count_superonasal"], got["hemorrhage_count_inferonasal"]) == (1, 0)
    for name in ("hemorrhage_quadrants_involved", "npdr_421_hemorrhage"):
        assert got[f"{name}__status"] == Status.OUT_OF_VIEW, name


# Rings and the fovea


def test_numbers_by_ring():
    eye = Eye()
    lesions = eye.dots((0.2, 0.1), (0.5, 0), (0, -0.8), (-0.6, 0.6), (1.2, 0), (0.5, -1.8), (2.2, 0.5))
    got = eye.both(hard_exudate=lesions).iloc[0]
    assert [got[f"hard_exudate_count_etdrs_{ring}"] for ring in ("centre", "inner", "outer")] == [1, 3, 2]
    assert got["hard_exudate_count"] == 7


def test_areas_by_ring_and_distances_of_discs():
    """Within a pixel around each border."""
    eye = Eye()
    px = 1 / eye.dd
    about_fovea = eye.dots((0, 0), radius=0.8)
    got = eye.both(hard_exudate=about_fovea, drusen=eye.dots((1.2, 0.9), radius=0.3)).iloc[0]
    areas = {"centre": np.pi / 9, "inner": np.pi * (0.8**2 - 1 / 9), "outer": 0}
    for ring, area in areas.items():
        assert got[f"hard_exudate_area_etdrs_{ring}"] == pytest.approx(area, abs=2 * np.pi * 0.8 * px)
    assert got["hard_exudate_fovea_distance_minimum"] == 0
    assert got["hard_exudate_fovea_distance_mean"] == pytest.approx(0, abs=px)
    assert got["drusen_fovea_distance_minimum"] == pytest.approx(1.2, abs=px)
    assert got["drusen_fovea_distance_mean"] == pytest.approx(1.5, abs=px)


def test_the_mean_distance_is_weighted_by_area():
    eye = Eye()
    lesions = eye.dots((1.0, 0.0), radius=0.2) | eye.dots((0.0, -2.0), radius=0.1)
    got = measured(eye.rows(drusen=lesions)).iloc[0]
    assert got["drusen_fovea_distance_mean"] == pytest.approx((4 * 1.0 + 2.0) / 5, rel=0.01)
    assert got["drusen_fovea_distance_minimum"] == pytest.approx(0.8, abs=1 / eye.dd)


@pytest.mark.parametrize(("distance", "expected"), [(0.0, 1), (0.3, 1), (0.42, 1), (0.45, 0), (2.0, 0)])
def test_exudate_within_a_third_of_a_disc_diameter_of_the_fovea(distance, expected):
    """A disc of 0.1 disc diameters' radius reaches in until its middle is 0.433 away."""
    eye = Eye()
    got = eye.both(hard_exudate=eye.dots((0.8 * distance, -0.6 * distance), radius=0.1)).iloc[0]
    assert got["hard_exudate_foveal"] == expected


@settings(deadline=None, derandomize=True, max_examples=4)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.1, 0.4))
def test_places_do_not_depend_on_the_size_of_the_frame(out, up, radius):
    """Lengths within a pixel of the smaller frame; areas of rings within a pixel along their borders and the dot's."""
    small, large = (Eye(10.0, size) for size in (256, 512))
    lesions = (eye.dots((out, up), radius=radius) for eye in (small, large))
    result = measured(
        *(eye.rows(str(eye.size), drusen=mask) for eye, mask in zip((small, large), lesions, strict=True))
    )
    px = 1 / small.dd
    for name in ("drusen_fovea_distance_minimum", "drusen_fovea_distance_mean"):
        assert result.loc[1, name] == pytest.approx(result.loc[0, name], abs=px)
    for ring in ("centre", "inner", "outer"):
        name = f"drusen_area_etdrs_{ring}"
        assert result.loc[1, name] == pytest.approx(result.loc[0, name], abs=4 * np.pi * radius * px)


# Neighbours and vessels


def scattered(n: int, radius: float, seed: int) -> np.ndarray:
    """Points without order in a circle."""
    rng = np.random.default_rng(seed)
    angle, rho = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.random(n))
    return np.column_stack([rho * np.cos(angle), rho * np.sin(angle)])


@pytest.mark.parametrize("n", [8, 40, 200])
def test_points_without_order_have_a_ratio_of_one(n):
    """Mean of 300 sets; the standard error is 0.52 / sqrt(300 n), 0.011 for the smallest."""
    ratios = [clark_evans(scattered(n, 10, seed), np.pi * 100, 2 * np.pi * 10) for seed in range(300)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)


def test_lattices_keep_apart_and_clusters_do_not():
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(60.0), np.arange(60.0)))
    square, hexagons = np.column_stack([x, y]), np.column_stack([x + y % 2 / 2, y * np.sqrt(0.75)])
    assert clark_evans(square, 3600, 240) == pytest.approx(2, rel=0.01)
    area = 60 * 60 * np.sqrt(0.75)
    assert clark_evans(hexagons, area, 120 * (1 + np.sqrt(0.75))) == pytest.approx(2.149, rel=0.01)
    pairs = np.repeat(scattered(50, 10, 1), 2, axis=0) + np.tile([[0.0, 0.0], [0.01, 0.0]], (50, 1))
    assert clark_evans(pairs, np.pi * 100, 2 * np.pi * 10) < 0.05


def test_clusters_of_lesions_in_the_field_of_view():
    eye = Eye()
    even = [(out, up) for out in np.arange(-2.0, 2.5, 0.8) for up in np.arange(-2.0, 2.5, 0.8)]
    close = [(1 + 0.1 * i, 0.1 * j) for i in range(6) for j in range(6)]
    result = eye.both(hemorrhage=eye.dots(*even), drusen=eye.dots(*close), hard_exudate=eye.dots(*close[:4]))
    got = result.iloc[0]
    assert got["hard_exudate_clark_evans__status"] == Status.UNDEFINED
    field = np.pi * (0.495 / DD) ** 2  # disc diameters
    for name, n, apart in (("hemorrhage", 36, 0.8), ("drusen", 36, 0.1)):
        edge = (0.0514 + 0.041 / np.sqrt(n)) * 2 * np.pi * 0.495 / DD / n
        expected = apart / (0.5 * np.sqrt(field / n) + edge)
        assert got[f"{name}_clark_evans"] == pytest.approx(expected, rel=0.03), (
            name
        )  # centroids are right to a tenth of a pixel


def test_distances_to_the_edge_of_vessels():
    eye = Eye(0.0)
    y, x = np.mgrid[:SIZE, :SIZE]
    vessel = (np.abs(x - eye.at(2, 0)[0]) <= 3) | (np.abs(x - eye.at(-1, 0)[0]) <= 3)
    lesions = eye.dots((1.5, 1), (0.5, 0), (-1.25, -2), (2, 1))  # the last lies on a vessel
    got = eye.both(microaneurysm=lesions, hemorrhage=eye.dots((1.5, 1)), vessel=vessel).iloc[0]
    half, px = 3.5 / eye.dd, 1 / eye.dd
    assert got["hemorrhage_vessel_distance"] == pytest.approx(0.5 - half, abs=px)
    assert got["microaneurysm_vessel_distance"] == pytest.approx((0.25 + 0.5) / 2 - half, abs=px)
    few = measured(eye.rows(hemorrhage=lesions, vessel=vessel & (y > 150) & (y < 250))).iloc[0]
    assert few["hemorrhage_vessel_distance__status"] == Status.TOO_FEW_VESSELS


# Rules


def grid_of(n: int, quadrant: str) -> list[tuple[float, float]]:
    out, up = SIGNS[quadrant]
    return [(out * (0.3 + 0.25 * (k % 5)), up * (0.3 + 0.25 * (k // 5))) for k in range(n)]


def test_the_four_of_the_421_rule_counts_both_kinds_of_red_lesions():
    eye = Eye()
    full = [place for quadrant in QUADRANTS[:3] for place in grid_of(20, quadrant)]
    last = grid_of(20, QUADRANTS[3])
    met = {"hemorrhage": eye.dots(*full, *last[:12]), "microaneurysm": eye.dots(*last[12:])}
    result = eye.both(**met)
    assert result["npdr_421_hemorrhage"].tolist() == [1, 1]
    one_less = met | {"microaneurysm": eye.dots(*last[13:])}
    assert measured(eye.rows(**one_less)).loc[0, "npdr_421_hemorrhage"] == 0
    assert REGISTRY["npdr_421_hemorrhage"].definitional == ("dr",)


def test_every_lesion_is_definitional_for_the_scales_that_name_it():
    of = {target: REGISTRY[f"{target}_area"].definitional for target in LESIONS}
    assert {target for target, outcomes in of.items() if not outcomes} == {
        "epiretinal_membrane",
        "macular_hole",
        "artifact",
        "retinal_scar",
        "av_nicking",
        "vascular_sheathing",
        "vitreous_degeneration",
        "myelinated_nerve_fiber",
        "venous_tortuosity",
        "unknown_abnormality",
    }
    assert of["venous_beading"] == of["fibrous_proliferation"] == of["edema"] == ("dr",)
    assert of["pigmentary_change"] == ("amd",) and of["choroidal_atrophy"] == ("amd", "myopia")
    assert REGISTRY["npdr_421_venous_beading"].definitional == ("dr",)
    assert REGISTRY["hard_exudate_foveal"].definitional == ("dr",)


@pytest.mark.parametrize(
    ("places", "expected"), [((), 0), (((1, 1), (1.3, 1)), 0), (((1, 1), (-1, 1)), 1), (((1, 1), (-1, -1)), 1)]
)
def test_the_two_of_the_421_rule_is_beading_in_two_quadrants(places, expected):
    eye = Eye()
    assert measured(eye.rows(venous_beading=eye.dots(*places))).loc[0, "npdr_421_venous_beading"] == expected
