"""The generator's own biomarker values of an eye, under the catalogue's names and in its units.

They come from the anatomy itself: centrelines, radii, outlines and single lesions, in degrees, by closed formulas or by
sums along lines sampled :data:`retsam.phantom.branches.SAMPLE` apart. Nothing is measured on a drawn mask but for

- the parts of regions in view (:data:`LATTICE` points across the field of view);
- findings that are no set of separate spots, drawn at :data:`DRAWN` pixels across the field of view.

What the catalogue leaves out of a segment (the inside of the vessels at its ends, segments too short) is left out here
as well, so that both speak of the same vessels; lengths that decide are px at a frame of 1024 px as they are there.

Where truth and measurement differ by definition
------------------------------------------------
- A disc or a fovea that the border of the field cuts keeps its whole shape here.
- ``vessel`` is the union of both trees: its segments end at branchings and where artery and vein cross. Its area is the
  sum of both trees' less what they share at the crossings.
- Vessels that touch without crossing stay two vessels.
- Arcs are those of the centreline itself; curvature is taken over the catalogue's window, since a line with corners has
  none without a scale.
- Parents are those that the trees grew from; a picture has the shortest way to the disc. The variation of width along a
  segment is that of its taper; a picture adds that of the pixel grid.
- Not given, for they are measures of a pixel picture: fractal dimensions, lacunarity, sparsity, artifacts; shapes and
  dispersion of the pieces of tessellation, which is one net that patches of the eye hide.
- Not given, for lesions are centroids and areas here, without an outline: their shapes, their least distance to the
  fovea, their areas in the rings of the ETDRS grid, hard exudate at the fovea.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.ndimage import correlate1d

from retsam.geometry import ETDRS, ZONES, RetinalAxes, Zone
from retsam.phantom.anatomy import Anatomy
from retsam.phantom.branches import GRAZE, SAMPLE, Bools, Branches, Floats, Ints, branches, sample, within
from retsam.phantom.camera import View
from retsam.phantom.disc import ANGLES, cup_disc_ratios, least_rim_ratio, longest_axis_ratio, sector_rim_width
from retsam.phantom.finding import Finding
from retsam.phantom.forks import Forks, forks, vessels
from retsam.phantom.raster import Grid
from retsam.phantom.vessels import Crossing
from retsam.taxonomy import TARGETS

LATTICE = 256
"""Points across the field of view that the hemifields are counted with; zones are counted on polar lattices of 32 rings
of 256 points."""
DRAWN = 1024
"""Pixels across the field of view at which findings are drawn where their area or number needs it."""
SPOTS = ("microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot", "drusen")
PATCHES = ("laser_spot", "patchy_hemorrhage")
"""Lesion targets that the catalogue describes in detail, and those of which it gives sizes and quadrants."""
LESION_QUADRANTS = ("superotemporal", "superonasal", "inferotemporal", "inferonasal")
"""About the fovea."""
PICTURE_FINDINGS = ("artifact",)
"""Lesion targets that belong to the photograph and not to the eye; they have no value here."""

ATROPHIES = ("peripapillary_atrophy", "diffuse_atrophy", "patchy_atrophy")
"""Targets that together are the atrophy of the myopic eye."""

NAN = math.nan
WINDOW = 20
"""Half width of the window that curvature is taken over, px at a frame of 1024 px."""
CIRCLES = tuple(round(1.0 + 0.1 * k, 1) for k in range(6))
"""Radii of the circles of central equivalents, disc diameters."""
CIRCLE_IN_VIEW = 0.6
"""Least part of such a circle in view."""
QUADRANTS = ("temporal", "inferior", "nasal", "superior")
"""In the order of angles."""

ARTERY_VEIN = ("density_ratio", "length_ratio", "crossing_count", "nicking_index_median", "nicking_index_min")
HEMIFIELDS = ("superior", "inferior")
_RINGS = ("zone_b", "zone_c")
_FRAME = 1024  # px at which the lengths below are given
_CALIBRE = 10.0
_RING = 5.0  # arc per chord
_CLOSE = 10.0
_CIRCLE_IN_VIEW = 0.6
_DISC_CUT = 0.05
_BRANCH = 20.0
_BIFURCATIONS = 5
_SPECK = 2.0  # px^2
_BORDER = 0.02 * _FRAME
_ROUND = 0.95
_RIM_TIE = 0.01  # dd
_CRESCENT = 0.02  # dd
_TESSELLATED = 0.0222
_ATROPHIC = 0.01  # dd^2
_RIM_ORDER = {"isnt": ("inferior", "superior", "nasal", "temporal"), "ist": ("inferior", "superior", "temporal")}
_STRAIGHT = 1.5 / WINDOW**2  # 1/px
_PARABOLA = np.linalg.pinv(np.vander(np.arange(-WINDOW, WINDOW + 1), 3, increasing=True))


def values(anatomy: Anatomy, view: View, *, um_per_px: float | None = None) -> dict[str, float]:
    """Calculate the true biomarkers of an eye as one photograph shows it.

    Parameters
    ----------
    anatomy : Anatomy
        With or without findings.
    view : View
        Where the retina lies on the photograph, and the field of view: only what is inside it counts.
    um_per_px : float, optional
        Micrometres per pixel of ``view``, as the manifest gives it; without it values in micrometres are NaN.

    Returns
    -------
    dict of str to float
        NaN where the catalogue would give no value. Units are the catalogue's.
    """
    scene = _Scene(anatomy, view, NAN if um_per_px is None else um_per_px)
    lines = sample(anatomy.vessels)
    trees = {
        "vessel": branches(lines, view, anatomy.crossings),
        "artery": branches(lines.of("artery"), view),
        "vein": branches(lines.of("vein"), view),
    }
    out: dict[str, float] = {}
    for target, tree in trees.items():
        enough = tree.length >= scene.field_diameter
        for measure in (_calibres, _geometry, _network):
            out |= {f"{target}_{name}": value if enough else NAN for name, value in measure(scene, tree).items()}
        if target != "vessel":
            out |= {f"{target}_{name}": value if enough else NAN for name, value in _branching(scene, tree).items()}
            out |= {n: value if enough else NAN for n, value in _equivalents(scene, tree, target).items()}
    if all(trees[target].length >= scene.field_diameter for target in ("artery", "vein")):
        out |= _artery_vein(scene, trees["artery"], trees["vein"])
    else:
        out |= dict.fromkeys((f"artery_vein_{name}" for name in ARTERY_VEIN), NAN)
    out["avr_knudtson"] = out["crae_knudtson"] / out["crve_knudtson"]
    out["avr_hubbard"] = out["crae_hubbard_um"] / out["crve_hubbard_um"]
    return out | _disc_fovea(scene, trees["vessel"]) | _disc_cup(scene) | _findings(scene, trees["vessel"])


def lesions_apart(anatomy: Anatomy, view: View, target: str) -> bool:
    """Whether all lesions of a target are spots that neither touch each other nor the border of the field of view.

    Their number is then beyond doubt; elsewhere a sliver at the border or a narrow gap may count or not.
    """
    return _separate(_Scene(anatomy, view, NAN), [f for f in anatomy.findings if f.target == target]) is not None


@dataclass(frozen=True)
class _Scene:
    """An eye, its view, and what several measures need; lengths in degrees."""

    anatomy: Anatomy
    view: View
    um_per_px: float

    @cached_property
    def px(self) -> float:
        """A pixel of a frame of 1024 px."""
        return self.field_diameter / _FRAME

    @property
    def field_diameter(self) -> float:
        return 2.0 * self.view.field.radius / self.view.grid.scale

    @cached_property
    def field_area(self) -> float:
        return float(np.count_nonzero(self.view.field.mask)) / self.view.grid.scale**2

    @property
    def um(self) -> float:
        """Micrometres per degree."""
        return self.um_per_px * self.view.grid.scale

    @cached_property
    def dd(self) -> float:
        """Disc diameter; NaN where the field of view cuts the disc."""
        seen = within(self.view, self.anatomy.disc.points).mean() >= 1.0 - _DISC_CUT
        return self.anatomy.disc_diameter if seen else NAN

    @cached_property
    def fovea_seen(self) -> bool:
        """Whether any part of the circle of one disc diameter about the fovea is in view."""
        circle = 0.5 * self.anatomy.disc_diameter * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
        return bool(within(self.view, np.vstack([circle, [0.0, 0.0]]) + self.anatomy.fovea).any())

    @cached_property
    def axes(self) -> RetinalAxes | None:
        """Axes from disc to fovea, None where one of them is missing or they cannot belong to one eye."""
        axes = RetinalAxes(self.anatomy.disc.centre, self.anatomy.fovea, self.anatomy.disc_diameter)
        return axes if math.isfinite(self.dd) and self.fovea_seen and axes.plausible else None

    @cached_property
    def lattice(self) -> Floats:
        """Points (P, 2) of a square lattice in view."""
        step = self.field_diameter / LATTICE
        line = (np.arange(LATTICE) + 0.5) * step - self.field_diameter / 2
        across, down = np.meshgrid(line, line)
        middle = self.to_degrees(np.array([self.view.field.x, self.view.field.y]))
        points = np.column_stack([across.ravel(), down.ravel()]) + middle
        return points[within(self.view, points)]

    def hemifield(self, uv: Floats, side: str) -> Bools | None:
        """Which points (n, 2) lie on a side of the line through disc and fovea; None where too little is in view."""
        if self.axes is None:
            return None
        lattice, points = ((self.axes.coordinates(xy)[:, 1] > 0) == (side == "superior") for xy in (self.lattice, uv))
        return points if lattice.mean() >= 0.25 else None

    def on_side(self, uv: Floats, side: str) -> Bools:
        """Which points (n, 2) lie on one of the four sides of the disc centre by the axes; all if none is named."""
        if not side:
            return np.ones(len(uv), bool)
        assert self.axes is not None
        temporal, superior = self.axes.coordinates(uv).T
        along = superior if side in HEMIFIELDS else temporal
        return np.asarray(along > 0 if side in ("superior", "temporal") else along < 0)

    @property
    def cell(self) -> float:
        """Area that a lattice point stands for."""
        return (self.field_diameter / LATTICE) ** 2

    def to_degrees(self, xy: Floats) -> Floats:
        """Retinal points (..., 2) of photograph pixels."""
        grid = self.view.grid
        return (xy - [grid.x0, grid.y0]) / grid.scale * [grid.sign, 1]

    def in_zone(self, zone: Zone, uv: Floats) -> Bools:
        """Which points (n, 2) lie in a zone; the disc is no part of a zone about the fovea."""
        disc = zone.origin == "disc"
        offset = (uv - (self.anatomy.disc.centre if disc else self.anatomy.fovea)) / self.dd
        rho = np.hypot(*offset.T)
        inside = (rho >= zone.inner) & (rho <= zone.outer)
        if zone.quadrant and self.axes is not None:
            temporal, superior = self.axes.coordinates(uv, zone.origin).T
            along, across = (temporal, superior) if zone.quadrant in ("temporal", "nasal") else (superior, temporal)
            inside &= (along if zone.quadrant in ("temporal", "superior") else -along) > np.abs(across)
        return inside if disc else inside & (self.anatomy.disc.level(*uv.astype(np.float32).T) > 1)

    @cached_property
    def zone_areas(self) -> dict[str, float]:
        """Part of each zone in view, square degrees; NaN where that is less than half of it."""
        return {name: self._zone_area(zone) for name, zone in ZONES.items()}

    def _zone_area(self, zone: Zone) -> float:
        """Whole area times the share of a polar lattice of equal cells that is in view and, at the macula, no disc."""
        if not math.isfinite(self.dd) or ((zone.quadrant or zone.origin == "fovea") and self.axes is None):
            return NAN
        middle, width = self.sector(zone.quadrant) if zone.quadrant else (0.0, 2.0 * math.pi)
        angle = middle + width * ((np.arange(LATTICE) + 0.5) / LATTICE - 0.5)
        part = (np.arange(LATTICE // 8) + 0.5) / (LATTICE // 8)
        rho = self.dd * np.sqrt(zone.inner**2 + (zone.outer**2 - zone.inner**2) * part)
        origin = self.anatomy.disc.centre if zone.origin == "disc" else self.anatomy.fovea
        points = np.stack([np.outer(rho, np.cos(angle)).ravel(), np.outer(rho, np.sin(angle)).ravel()], axis=1) + origin
        seen = within(self.view, points)
        if zone.origin == "fovea":
            seen &= self.anatomy.disc.level(*points.astype(np.float32).T) > 1
        share = float(seen.mean())
        return share * zone.area * self.dd**2 if share >= 0.5 else NAN

    def sector(self, quadrant: str) -> tuple[float, float]:
        """Middle and width of a quadrant, radians from temporal towards inferior."""
        du, dv = np.array(self.anatomy.fovea) - self.anatomy.disc.centre
        quarter = QUADRANTS.index(quadrant)
        return math.atan2(dv, du) + 0.5 * math.pi * quarter, 0.5 * math.pi


# Vessels


def _calibres(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Widths of segments: twice the radius, median over each segment outside the vessels of its nodes."""
    width, length = _segment_widths(scene, tree, tree.measurable)
    enough = width.size >= 3
    superior, inferior = (_median_width(scene, tree, scene.hemifield(tree.uv, side)) for side in HEMIFIELDS)
    return {
        "calibre_median": float(np.median(width)) / scene.dd if enough else NAN,
        "calibre_median_um": float(np.median(width)) * scene.um if enough else NAN,
        "calibre_length_weighted": float((width * length).sum() / length.sum()) / scene.dd if enough else NAN,
        "calibre_sd": float(width.std(ddof=1)) / scene.dd if enough else NAN,
        **{f"calibre_median_{zone}": _median_width(scene, tree, _seen_zone(scene, tree, zone)) for zone in _RINGS},
        "calibre_median_superior": superior,
        "calibre_median_inferior": inferior,
        "calibre_hemifield_asymmetry": abs(superior - inferior) / (superior + inferior),
        "width_global": _area(tree) / tree.length / scene.dd if tree.length > 0 else NAN,
    }


def _median_width(scene: _Scene, tree: Branches, within: Bools | None) -> float:
    """Median width of the branches in a region, disc diameters; NaN for fewer than six, or a region out of view."""
    if within is None:
        return NAN
    width, _ = _segment_widths(scene, tree, tree.measurable & within)
    return float(np.median(width)) / scene.dd if width.size >= 6 else NAN


def _seen_zone(scene: _Scene, tree: Branches, zone: str) -> Bools | None:
    """Samples in a zone; None where too little of it is in view."""
    return scene.in_zone(ZONES[zone], tree.uv) if math.isfinite(scene.zone_areas[zone]) else None


def _segment_widths(scene: _Scene, tree: Branches, chosen: Bools) -> tuple[Floats, Floats]:
    """Median width and length of the branches that keep enough of the chosen samples, degrees."""
    branch = tree.of_sample[chosen]
    if not branch.size:
        return np.zeros(0), np.zeros(0)
    ordered = 2.0 * tree.radius[chosen]
    ordered = ordered[np.lexsort((ordered, branch))]
    count = np.bincount(branch, minlength=tree.first.size)
    low = np.cumsum(count) - count
    together = (np.diff(np.flatnonzero(chosen)) == 1) & (np.diff(branch) == 0)
    pixels, length = (
        np.bincount(branch[1:], np.diff(x[chosen]) * together, tree.first.size).astype(float)
        for x in (tree.steps, tree.along)
    )
    enough = np.flatnonzero(pixels + scene.px >= _CALIBRE * scene.px)
    low, count = low[enough], count[enough]
    return (ordered[low + (count - 1) // 2] + ordered[low + count // 2]) / 2, length[enough]


def _area(tree: Branches, samples: Bools | None = None, nodes: Bools | None = None) -> float:
    """Area of vessels, square degrees: width times length, less what vessels share at crossings."""
    parts = 2.0 * tree.radius * tree.ds
    return float((parts if samples is None else parts[samples]).sum()) - float(
        (tree.shared if nodes is None else tree.shared[nodes]).sum()
    )


def _geometry(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Tortuosity of the segments with one whole smoothing window, and angles at bifurcations."""
    angles = _branching_angles(scene, tree)
    enough = angles.size >= 3
    return (
        _tortuosity(scene, tree)
        | _width_variation(scene, tree)
        | {
            "branching_angle_mean": float(angles.mean()) if enough else NAN,
            "branching_angle_median": float(np.median(angles)) if enough else NAN,
        }
    )


def _width_variation(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Standard deviation of the width along the segments that have a calibre."""
    branch, width = tree.of_sample[tree.measurable], 2.0 * tree.radius[tree.measurable]
    first, last = np.flatnonzero(np.diff(branch, prepend=-1)), np.flatnonzero(np.diff(branch, append=-1))
    steps = tree.steps[tree.measurable]
    enough = steps[last] - steps[first] + scene.px >= _CALIBRE * scene.px
    count = np.maximum(last - first + 1, 2)
    mean = np.add.reduceat(width, first) / count if first.size else np.zeros(0)
    squares = np.add.reduceat((width - np.repeat(mean, last - first + 1)) ** 2, first) if first.size else np.zeros(0)
    deviation = np.sqrt(squares / (count - 1))[enough]
    if deviation.size < 3:
        return {"width_variation": NAN, "width_variation_relative": NAN}
    return {
        "width_variation": float(deviation.mean()) / scene.dd,
        "width_variation_relative": float((deviation / mean[enough]).mean()),
    }


def _tortuosity(scene: _Scene, tree: Branches) -> dict[str, float]:
    names = ("arc_chord_median", "arc_chord_length_weighted", "index", "curvature_squared", "density")
    out = dict.fromkeys((*(f"tortuosity_{n}" for n in names), "curvature_mean_absolute", "inflection_density"), NAN)
    kept = np.flatnonzero(tree.measurable)
    branch = tree.of_sample[kept]
    first = kept[np.flatnonzero(np.diff(branch, prepend=-1))]
    last = kept[np.flatnonzero(np.diff(branch, append=-1))]
    arc = tree.along[last] - tree.along[first]
    chord = np.hypot(*(tree.uv[last] - tree.uv[first]).T)
    long = (arc >= 2 * WINDOW * scene.px) & (arc <= _RING * chord)
    if np.count_nonzero(long) < 3:
        return out
    first, last, arc, chord = first[long], last[long], arc[long], chord[long]
    curvature, share, turns, twist = _curvatures(tree.uv, first, last, scene.px)
    return {
        "tortuosity_arc_chord_median": float(np.median(arc / chord)),
        "tortuosity_arc_chord_length_weighted": float((arc**2 / chord).sum() / arc.sum()),
        "tortuosity_index": float(arc.sum() / chord.sum()),
        "tortuosity_curvature_squared": float((curvature**2 * share).sum()) * scene.dd**2,
        "tortuosity_density": float((turns * twist).sum() / arc.sum()) * scene.dd,
        "curvature_mean_absolute": float((np.abs(curvature) * share).sum()) * scene.dd,
        "inflection_density": float(turns.sum() / arc.sum()) * scene.dd,
    }


def _curvatures(path: Floats, first: Ints, last: Ints, px: float) -> tuple[Floats, Floats, Ints, Floats]:
    """Curvature and inflections of a path (n, 2) between samples ``first`` and ``last``.

    A corner of a line has no curvature, so it needs a scale: it is that of the least-squares parabola over
    :data:`WINDOW` px to either side, near the ends that of the outermost whole window.

    Returns
    -------
    curvature, share : (N,) float
        Signed, 1/degree, at points a pixel apart; share of the total length.
    turns : (M,) int
        Sign changes of the curvature; stretches with a radius above 270 px count as straight, a change lies in their
        middle.
    twist : (M,) float
        Sum over the pieces between the changes of arc/chord - 1.
    """
    road = np.append(0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T)))
    length = road[last] - road[first]
    count = np.maximum((length / px).astype(np.int64), 2 * WINDOW) + 1
    begin, of_point = np.cumsum(count) - count, np.repeat(np.arange(count.size), count)
    step = length / (count - 1)
    place = np.arange(of_point.size) - begin[of_point]
    at = road[first][of_point] + place * step[of_point]
    uv = np.stack([np.interp(at, road, path[:, axis]) for axis in (0, 1)], axis=1)
    centre = np.clip(np.arange(of_point.size), begin[of_point] + WINDOW, (begin + count)[of_point] - 1 - WINDOW)
    slope, bend = (correlate1d(uv, weights, axis=0, mode="nearest")[centre] for weights in _PARABOLA[1:])
    # Where a line turns back within the window the parabola hardly moves on: at least 0.2 px per px.
    speed = np.maximum(np.hypot(*slope.T), 0.2 * step[of_point])
    curvature = 2 * (slope[:, 0] * bend[:, 1] - slope[:, 1] * bend[:, 0]) / speed**3
    bent = np.flatnonzero(np.abs(curvature) * px > _STRAIGHT)
    change = (np.diff(np.sign(curvature[bent])) != 0) & (np.diff(of_point[bent]) == 0)
    cut = (bent[:-1][change] + bent[1:][change] + 1) // 2
    low, high = np.sort(np.append(begin, cut)), np.sort(np.append(begin + count - 1, cut))
    chord = np.hypot(*(uv[high] - uv[low]).T)
    excess = np.where(chord > 0, (at[high] - at[low]) / np.where(chord > 0, chord, 1.0) - 1.0, 0.0)
    turns = np.bincount(of_point[cut], minlength=count.size).astype(np.int64)
    twist = np.bincount(of_point[low], excess, count.size).astype(float)
    return curvature, (step / length.sum())[of_point], turns, twist


def _branching_angles(scene: _Scene, tree: Branches) -> Floats:
    """Smallest of the three angles (A,) at each bifurcation, degrees.

    The direction of a branch is that from where it leaves the vessel at the node to 20 px further on.
    """
    node, branch, sign = tree.node_ends
    reach = np.append(tree.node_radius, 0.0)[np.where(sign > 0, tree.start[branch], tree.stop[branch])]
    other = np.append(tree.node_radius, 0.0)[np.where(sign > 0, tree.stop[branch], tree.start[branch])]
    whole = tree.along[tree.last[branch]]
    far = np.minimum(reach + _BRANCH * scene.px, whole - other)
    usable = far - reach >= 0.5 * _BRANCH * scene.px
    direction = tree.uv[tree.sample_at(branch, sign, far)] - tree.uv[tree.sample_at(branch, sign, reach)]
    direction /= np.maximum(np.hypot(*direction.T), 1e-12)[:, None]
    three = (np.bincount(node, minlength=node.max(initial=-1) + 1) == 3)[node]
    order = np.flatnonzero(three)[np.argsort(node[three], kind="stable")]
    triple = direction[order].reshape(-1, 3, 2)[usable[order].reshape(-1, 3).all(axis=1)]
    cosine = np.einsum("nad,nad->na", triple, np.roll(triple, 1, axis=1))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))).min(axis=1, initial=180), float)


def _branching(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Bifurcations outside the disc, whole vessels, and where a tree leaves the disc; all need the whole disc."""
    found, seen = forks(tree, scene.px), 1.0 if math.isfinite(scene.dd) else NAN
    out = _fork_shapes(scene, tree, found) | _resolved(scene, tree, found)
    inside = scene.anatomy.disc.level(*tree.uv.astype(np.float32).T) <= 1
    leaves = int(np.count_nonzero((np.diff(inside) != 0) & (np.diff(tree.of_sample) == 0)))
    out["startpoint_count"] = float(leaves) if leaves else NAN
    return {name: seen * value for name, value in out.items()}


def _fork_shapes(scene: _Scene, tree: Branches, found: Forks) -> dict[str, float]:
    """Widths of parents and daughters, and lengths of parents between two bifurcations."""
    off_disc = scene.anatomy.disc.level(*tree.node_uv.astype(np.float32).T) > 1
    known = np.isfinite(found.width).all(axis=1) & off_disc[found.node]
    parent, one, other = found.width[known].T
    wide, narrow = np.maximum(one, other), np.minimum(one, other)
    branch = found.branch[known, 0]
    before = tree.start[branch]
    between = (before >= 0) & np.append(off_disc, False)[before]
    exponents = [_murray(*widths) for widths in zip(parent, wide, narrow, strict=True) if widths[0] > widths[1]]
    values = {
        "branching_coefficient": (wide**2 + narrow**2) / parent**2,
        "junctional_exponent_deviation": np.cbrt(parent**3 - wide**3 - narrow**3) / parent,
        "branching_asymmetry": (narrow / wide) ** 2,
        "murray_exponent": np.array(exponents),
        "length_diameter_ratio": (tree.along[tree.last[branch]] / parent)[between],
    }
    return {name: float(np.median(v)) if v.size >= _BIFURCATIONS else NAN for name, v in values.items()}


def _murray(parent: float, wide: float, narrow: float) -> float:
    """Exponent x of ``parent^x = wide^x + narrow^x``, by halving."""
    low, high = 0.0, math.log(2) / math.log(parent / wide)  # as if both were as wide as the wider
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (wide / parent) ** middle + (narrow / parent) ** middle > 1 else (low, middle)
    return (low + high) / 2


def _resolved(scene: _Scene, tree: Branches, found: Forks) -> dict[str, float]:
    """Tortuosity of whole vessels outside the disc."""
    names = ("tortuosity_resolved_median", "tortuosity_resolved_length_weighted", "curvature_resolved_mean_absolute")
    uv, first, last = vessels(tree, found, scene.anatomy.disc.level(*tree.uv.astype(np.float32).T) > 1)
    road = np.append(0.0, np.cumsum(np.hypot(*np.diff(uv, axis=0).T)))
    arc, chord = road[last] - road[first], np.hypot(*(uv[last] - uv[first]).T)
    long = (arc >= 2 * WINDOW * scene.px) & (arc <= _RING * chord)
    if np.count_nonzero(long) < 3:
        return dict.fromkeys(names, NAN)
    arc, chord = arc[long], chord[long]
    curvature, share, _, _ = _curvatures(uv, first[long], last[long], scene.px)
    values = (
        np.median(arc / chord),
        (arc**2 / chord).sum() / arc.sum(),
        (np.abs(curvature) * share).sum() * scene.dd,
    )
    return dict(zip(names, map(float, values), strict=True))


def _network(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Densities and counts."""
    node, _, _ = tree.node_ends
    forks = int(np.count_nonzero(np.bincount(node) == 3)) if node.size else 0
    ends = int(np.count_nonzero(_off_border(scene, tree.ends)))
    per_length = scene.dd / tree.length if tree.length > 0 else NAN
    return {
        "density": _area(tree) / scene.field_area,
        "area_mm2": _area(tree) * (scene.um / 1000.0) ** 2,
        **{f"density_{name}": _zone_density(scene, tree, name) for name in ZONES if name not in ETDRS},
        **_hemifields(scene, tree),
        "length_density": tree.length / scene.field_area * scene.dd,
        "bifurcation_count": float(forks),
        "bifurcation_density": forks * per_length,
        "endpoint_count": float(ends),
        "endpoint_density": ends * per_length,
    }


def _zone_density(scene: _Scene, tree: Branches, name: str) -> float:
    area = scene.zone_areas[name]
    if not math.isfinite(area):
        return NAN
    inside, nodes = (scene.in_zone(ZONES[name], uv) for uv in (tree.uv, tree.node_uv))
    return _area(tree, inside, nodes) / area


def _hemifields(scene: _Scene, tree: Branches) -> dict[str, float]:
    """Densities above and below the line through disc and fovea."""
    if scene.axes is None:
        return dict.fromkeys(("density_superior", "density_inferior", "density_hemifield_asymmetry"), NAN)
    above = {
        name: scene.axes.coordinates(uv)[:, 1] > 0
        for name, uv in (("lattice", scene.lattice), ("uv", tree.uv), ("node", tree.node_uv))
    }
    both = {}
    for side in ("superior", "inferior"):
        region, samples, nodes = (x if side == "superior" else ~x for x in above.values())
        enough = region.mean() >= 0.25
        both[side] = _area(tree, samples, nodes) / (np.count_nonzero(region) * scene.cell) if enough else NAN
    superior, inferior = both["superior"], both["inferior"]
    total = superior + inferior
    return {
        "density_superior": superior,
        "density_inferior": inferior,
        "density_hemifield_asymmetry": abs(superior - inferior) / total if total > 0 else NAN,
    }


def _off_border(scene: _Scene, uv: Floats) -> Bools:
    """Which points lie 2 % of the frame's side inside the border of the field of view, along rows and columns too."""
    reach = _BORDER * scene.px
    corners = [np.array([a, b]) * reach for a in (-1, 1) for b in (-1, 1)]
    return np.logical_and.reduce([within(scene.view, uv + corner) for corner in corners])


# Central equivalents


def _equivalents(scene: _Scene, tree: Branches, target: str) -> dict[str, float]:
    """What circles of zone B cross: CRAE or CRVE, whole and of halves, the widest three vessels, and their number.

    Knudtson et al., Curr Eye Res 2003;27:143; Hubbard et al., Ophthalmology 1999;106:2269.
    """
    short, factor = {"artery": ("crae", 0.88), "vein": ("crve", 0.95)}[target]
    widest, top = _widest(scene, tree, 6), np.array(_widest(scene, tree, 3)) / scene.dd
    crossed = _circles(scene, tree)

    def knudtson(circles: list[list[float]]) -> float:
        trunks = [combine_widths(w, lambda a, b: factor * math.hypot(a, b)) for w in circles]
        return float(np.mean(trunks)) if trunks else NAN

    hubbard = NAN
    if widest and math.isfinite(scene.um):
        hubbard = float(np.mean([combine_widths([x * scene.um for x in w], HUBBARD[target]) for w in widest]))
    return {
        f"{short}_knudtson": knudtson(widest) / scene.dd,
        f"{short}_knudtson_um": knudtson(widest) * scene.um,
        f"{short}_hubbard_um": hubbard,
        **{f"{short}_knudtson_{side}": knudtson(_widest(scene, tree, 3, side)) / scene.dd for side in QUADRANTS},
        f"{target}_zone_b_width_top3_mean": float(top.mean()) if top.size else NAN,
        f"{target}_zone_b_width_top3_max": float(top[:, -1].mean()) if top.size else NAN,
        f"{target}_zone_b_width_top3_min": float(top[:, 0].mean()) if top.size else NAN,
        f"{target}_zone_b_vessel_count": float(np.mean([len(w) for w in crossed])) if crossed else NAN,
        f"{target}_temporal_arcade_angle": _arcade_angle(scene, tree),
    }


def _arcade_angle(scene: _Scene, tree: Branches) -> float:
    """Median angle between the widest vessels above and below on circles through the arcades, degrees."""
    if scene.axes is None:
        return NAN
    radii = [part * scene.axes.distance for part in (0.67, 0.70, 0.73, 0.76, 0.79)]
    angles = []
    for radius in (r for r in radii if _circle_in_view(scene, r, "temporal")):
        uv, width = _on_circle(scene, tree, radius)
        temporal, superior = scene.axes.coordinates(uv).T
        angle = np.degrees(np.arctan2(superior, temporal))
        sides = [(temporal > 0) & above for above in (superior > 0, superior < 0)]
        if all(side.any() for side in sides):
            upper, lower = (angle[side][np.argmax(width[side])] for side in sides)
            angles.append(upper - lower)
    return float(np.median(angles)) if len(angles) >= 3 else NAN


def _widest(scene: _Scene, tree: Branches, number: int, side: str = "") -> list[list[float]]:
    """The widest vessels of each circle that so many cross, ascending, degrees; none for fewer than three circles."""
    widest = [sorted(w)[-number:] for w in _circles(scene, tree, side) if len(w) >= number]
    return widest if len(widest) >= 3 else []


def _circles(scene: _Scene, tree: Branches, side: str = "") -> list[list[float]]:
    """Widths of the vessels on each circle of zone B in view, or on a side of it; none for fewer than three circles."""
    if side and scene.axes is None:
        return []
    in_view = [radius * scene.dd for radius in CIRCLES if _circle_in_view(scene, radius * scene.dd, side)]
    found = [_on_circle(scene, tree, radius) for radius in in_view]
    widths = [width[scene.on_side(uv, side)].tolist() for uv, width in found]
    return widths if len(widths) >= 3 else []


def _hubbard_artery(narrow: float, wide: float) -> float:
    return math.sqrt(max(0.87 * narrow**2 + 1.01 * wide**2 - 0.22 * narrow * wide - 10.76, 0.0))


def _hubbard_vein(narrow: float, wide: float) -> float:
    return math.sqrt(0.72 * narrow**2 + 0.91 * wide**2 + 450.05)


HUBBARD: dict[str, Callable[[float, float], float]] = {"artery": _hubbard_artery, "vein": _hubbard_vein}
"""Width of a trunk from its narrower and wider branch, micrometres."""


def combine_widths(widths: Sequence[float], trunk: Callable[[float, float], float]) -> float:
    """Combine widths until one is left: the narrowest with the widest and so on inwards, an odd median carried on."""
    left = sorted(widths)
    while len(left) > 1:
        half = len(left) // 2
        pairs = [trunk(left[k], left[-1 - k]) for k in range(half)]
        left = sorted(pairs + left[half : len(left) - half])
    return left[0]


def _circle_in_view(scene: _Scene, radius: float, side: str = "") -> bool:
    """Whether enough of a circle about the disc centre lies in the field of view, or of its part on a side."""
    if not math.isfinite(radius):
        return False
    circle = radius * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) + scene.anatomy.disc.centre
    return float(within(scene.view, circle[scene.on_side(circle, side)]).mean()) >= _CIRCLE_IN_VIEW


def _on_circle(scene: _Scene, tree: Branches, radius: float) -> tuple[Floats, Floats]:
    """Places (n, 2) and widths (n,) of the vessels that cross a circle about the disc centre, degrees.

    Two crossings of one branch less than 10 px apart are one; what lies inside the vessels of both its nodes is none.
    """
    beyond = np.hypot(*(tree.uv - scene.anatomy.disc.centre).T) - radius
    change = (beyond[1:] >= 0) != (beyond[:-1] >= 0)
    branch = tree.of_sample[:-1]
    at = np.flatnonzero(change & (np.diff(tree.of_sample) == 0) & ~tree.inner[branch])
    again = (np.diff(branch[at], prepend=-1) == 0) & (np.diff(tree.along[at], prepend=-np.inf) < _CLOSE * scene.px)
    at = at[~again]
    part = beyond[at] / (beyond[at] - beyond[at + 1])
    return tree.uv[at], 2.0 * (tree.radius[at] * (1 - part) + tree.radius[at + 1] * part)


# Arteries against veins


def _artery_vein(scene: _Scene, artery: Branches, vein: Branches) -> dict[str, float]:
    """Ratios of the trees, and their crossings in view outside the disc."""
    places = np.array([c.place for c in scene.anatomy.crossings]).reshape(-1, 2)
    seen = within(scene.view, places) & (scene.anatomy.disc.level(*places.astype(np.float32).T) > 1)
    found = [c for c, kept in zip(scene.anatomy.crossings, seen, strict=True) if kept]
    narrowing = np.array([_narrowing(scene, artery, vein, c) for c in found])
    narrowing = narrowing[np.isfinite(narrowing)]
    whole = math.isfinite(scene.dd)
    values = (
        _area(artery) / _area(vein),
        artery.length / vein.length,
        float(len(found)) if whole and within(scene.view, places).any() else NAN,
        *((float(np.median(narrowing)), float(narrowing.min())) if whole and narrowing.size >= 3 else (NAN, NAN)),
    )
    return {f"artery_vein_{name}": value for name, value in zip(ARTERY_VEIN, values, strict=True)}


def _narrowing(scene: _Scene, artery: Branches, vein: Branches, crossing: Crossing) -> float:
    """Width of a vein beside the artery that crosses it over its width farther away, mean of both sides."""
    at = int(np.argmin(np.hypot(*(vein.uv - crossing.place).T)))
    across = int(np.argmin(np.hypot(*(artery.uv - crossing.place).T)))
    own = (vein.of_sample == vein.of_sample[at]) & vein.measurable
    away = vein.along - vein.along[at]
    own &= np.abs(away) <= 80 * scene.px
    if not own.any():
        return NAN
    width = float(np.median(2.0 * vein.radius[own]))
    beyond = np.abs(away) - artery.radius[across] / max(math.sin(crossing.angle), GRAZE)
    ratios = []
    for side in (own & (away <= 0), own & (away > 0)):
        near = side & (beyond > 0) & (beyond <= width)
        far = side & (beyond > 2.0 * width) & (beyond <= 5.0 * width)
        points = [np.count_nonzero(part) * SAMPLE / scene.px for part in (near, far)]
        if points[0] < 3 or points[1] < 6:
            return NAN
        ratios.append(float(np.median(vein.radius[near]) / np.median(vein.radius[far])))
    return sum(ratios) / 2 if width >= 5.0 * scene.px else NAN


# Disc, cup and fovea


def _disc_fovea(scene: _Scene, vessels: Branches) -> dict[str, float]:
    disc, fovea, axes = scene.anatomy.disc, np.array(scene.anatomy.fovea), scene.axes
    seen = 1.0 if math.isfinite(scene.dd) else NAN
    ovality = seen * min(disc.semi_u, disc.semi_v) / max(disc.semi_u, disc.semi_v)
    middle = scene.to_degrees(np.array([scene.view.field.x, scene.view.field.y]))
    half = scene.field_diameter / 2
    distance = axes.distance if axes else NAN
    return {
        "disc_ovality": ovality,
        "disc_torsion": _torsion(scene) if axes and ovality <= _ROUND else NAN,
        "disc_solidity": seen,
        "disc_diameter_fov": scene.dd / scene.field_diameter,
        "disc_area_mm2": seen * disc.area * (scene.um / 1000.0) ** 2,
        "disc_eccentricity": seen * float(np.hypot(*(disc.centre - middle))) / half,
        "fovea_eccentricity": float(np.hypot(*(fovea - middle))) / half if scene.fovea_seen else NAN,
        "disc_fovea_distance": distance / scene.dd,
        "disc_fovea_distance_um": distance * scene.um,
        "disc_fovea_angle": axes.angle if axes else NAN,
        "fovea_vessel_distance": _clearance(scene, vessels),
    }


def _torsion(scene: _Scene) -> float:
    """Angle of the disc's long axis against the perpendicular of the disc-fovea line, degrees."""
    disc = scene.anatomy.disc
    # The vertical semi-axis points to (-sin tilt, cos tilt): a positive tilt moves its lower end to the nasal side.
    lower_end = -disc.tilt if disc.semi_v >= disc.semi_u else 90.0 - disc.tilt
    assert scene.axes is not None
    return (lower_end + scene.axes.angle + 90.0) % 180.0 - 90.0


def _clearance(scene: _Scene, vessels: Branches) -> float:
    """Distance from the fovea to the nearest vessel wall, disc diameters."""
    if not (scene.fovea_seen and vessels.length >= scene.field_diameter):
        return NAN
    wall = np.hypot(*(vessels.uv - scene.anatomy.fovea).T) - vessels.radius
    return max(float(wall.min()), 0.0) / scene.dd


def _disc_cup(scene: _Scene) -> dict[str, float]:
    disc, cup = scene.anatomy.disc, scene.anatomy.cup
    seen = 1.0 if math.isfinite(scene.dd) else NAN
    vertical, horizontal, area = cup_disc_ratios(disc, cup)
    moved = scene.axes.coordinates(cup.centroid) if scene.axes else (NAN, NAN)
    return {
        "cup_disc_ratio_vertical": seen * vertical,
        "cup_disc_ratio_horizontal": seen * horizontal,
        "cup_disc_ratio_area": seen * area,
        "cup_disc_ratio_longest": seen * longest_axis_ratio(disc, cup),
        "rim_area": seen * (1.0 - area),
        "rim_width_minimum": seen * least_rim_ratio(disc, cup),
        "cup_decentration": float(np.hypot(*(cup.centroid - disc.centre))) / scene.dd,
        "cup_decentration_temporal": float(moved[0]),
        "cup_decentration_superior": float(moved[1]),
        **_rims(scene),
    }


def _rims(scene: _Scene) -> dict[str, float]:
    """Widths of the rim's sectors, and whether they are in order."""
    if scene.axes is None:
        return dict.fromkeys((*(f"rim_width_{name}" for name in QUADRANTS), "rim_isnt_rule", "rim_ist_rule"), NAN)
    disc, cup = scene.anatomy.disc, scene.anatomy.cup
    width = {name: sector_rim_width(disc, cup, *scene.sector(name)) / scene.dd for name in QUADRANTS}
    out = {f"rim_width_{name}": value for name, value in width.items()}
    for rule, order in _RIM_ORDER.items():
        steps = np.diff([width[name] for name in order])
        out[f"rim_{rule}_rule"] = float((steps <= _RIM_TIE).all())
    return out


# Findings


def _findings(scene: _Scene, vessels: Branches) -> dict[str, float]:
    """Coverage of phenotypes; number, area and coverage of lesions. A target without a finding has zeros."""
    by_target: dict[str, list[Finding]] = {}
    for finding in scene.anatomy.findings:
        by_target.setdefault(finding.target, []).append(finding)
    lesions: dict[str, _Lesions] = {}
    for target, entry in TARGETS.items():
        own = by_target.get(target, [])
        if entry.group.startswith("lesion") and target not in PICTURE_FINDINGS:
            lesions[target] = _separate(scene, own) or _drawn_lesions(scene, own)
    return _phenotypes(scene, by_target) | _lesion_values(scene, lesions, vessels)


@dataclass(frozen=True)
class _Cover:
    """What findings cover in view: points (n, 2) in degrees and the area (n,) that each stands for, square degrees."""

    uv: Floats
    area: Floats

    def inside(self, scene: _Scene, *zones: str) -> float:
        """Part of zones that is covered; NaN where not enough of one is in view."""
        whole = sum(scene.zone_areas[zone] for zone in zones)
        if not math.isfinite(whole):
            return NAN
        return float(sum(self.area[scene.in_zone(ZONES[zone], self.uv)].sum() for zone in zones)) / whole


def _cover(scene: _Scene, findings: Sequence[Finding]) -> _Cover:
    if not findings:
        return _Cover(np.zeros((0, 2)), np.zeros(0))
    canvas, seen = _canvas(scene)
    part = np.clip(_union(findings, canvas) + 0.5, 0.0, 1.0) * seen
    row, column = np.nonzero(part)
    uv = (np.column_stack([column, row]) - [canvas.x0, canvas.y0]) / canvas.scale * [canvas.sign, 1]
    return _Cover(uv, part[row, column] / canvas.scale**2)


def _phenotypes(scene: _Scene, by_target: dict[str, list[Finding]]) -> dict[str, float]:
    """Coverages of tessellation and atrophies, numbers and areas of atrophies, and the grade that follows."""
    own = {target: by_target.get(target, []) for target in ("tessellation", *ATROPHIES)}
    cover = {target: _cover(scene, found) for target, found in own.items()}
    union = _cover(scene, [finding for target in ATROPHIES for finding in own[target]])
    area = {target: float(c.area.sum()) for target, c in cover.items()}
    out = {f"{target}_coverage": covered / scene.field_area for target, covered in area.items()}
    for target in ATROPHIES:
        out[f"{target}_count"] = float((_separate(scene, own[target]) or _drawn_lesions(scene, own[target])).area.size)
    out |= {f"{target}_area": area[target] / scene.dd**2 for target in ATROPHIES[1:]}
    out |= {f"tessellation_coverage_{zone}": cover["tessellation"].inside(scene, zone) for zone in ETDRS}
    foveal = cover["patchy_atrophy"].inside(scene, "etdrs_centre")
    out["patchy_atrophy_foveal"] = float(foveal > 0) if math.isfinite(foveal) else NAN
    out["myopic_atrophy_coverage"] = float(union.area.sum()) / scene.field_area
    out["myopic_atrophy_coverage_1dd"] = union.inside(scene, "etdrs_centre", "etdrs_inner")
    return out | {"meta_pm_category": _category(out)} | _crescent(scene, own[ATROPHIES[0]], cover[ATROPHIES[0]])


def _category(found: dict[str, float]) -> float:
    """META-PM category by the catalogue's rule."""
    if math.isnan(found["patchy_atrophy_foveal"]):
        return NAN
    if found["patchy_atrophy_area"] >= _ATROPHIC:
        return 3.0 + found["patchy_atrophy_foveal"]
    return 2.0 if found["diffuse_atrophy_area"] >= _ATROPHIC else float(found["tessellation_coverage"] >= _TESSELLATED)


def _crescent(scene: _Scene, findings: Sequence[Finding], cover: _Cover) -> dict[str, float]:
    """Area of peripapillary atrophy off the disc, its angular extent and largest width along rays."""
    disc, seen = scene.anatomy.disc, 1.0 if math.isfinite(scene.dd) else NAN
    off_disc = disc.level(*cover.uv.astype(np.float32).T) > 1
    width = np.zeros(ANGLES.size)
    if findings and math.isfinite(scene.dd):
        canvas, in_view = _canvas(scene)
        step = 0.5 / canvas.scale
        rho = disc.radius_at(ANGLES)[:, None] + np.arange(step / 2, 2.0 * scene.dd, step)
        x, y = (
            canvas.to_px(disc.centre)[k] + rho * way[:, None] * canvas.scale * turn
            for k, (way, turn) in enumerate(((np.cos(ANGLES), canvas.sign), (np.sin(ANGLES), 1)))
        )
        distance = np.where(in_view, _union(findings, canvas), -1.0).astype(np.float32)
        value = cv2.remap(distance, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderValue=-1.0)
        width = np.count_nonzero(value >= 0, axis=1) * step / scene.dd
    return {
        "peripapillary_atrophy_area": seen * float(cover.area[off_disc].sum()) / disc.area,
        "peripapillary_atrophy_extent": seen * 360.0 * float((width >= _CRESCENT).mean()),
        "peripapillary_atrophy_width": seen * float(width.max()),
    }


@dataclass(frozen=True)
class _Lesions:
    """Lesions of a target in view: centroids (n, 2) in degrees and areas (n,) in square degrees."""

    uv: Floats
    area: Floats

    @property
    def diameter(self) -> Floats:
        """Of the circles of equal area (n,), degrees."""
        return np.asarray(np.sqrt(4.0 * self.area / math.pi), float)


def _lesion_values(scene: _Scene, lesions: dict[str, _Lesions], vessels: Branches) -> dict[str, float]:
    """Presence, number, area and coverage of all; sizes and places of those that the catalogue describes in detail."""
    out: dict[str, float] = {}
    for target, found in lesions.items():
        count, area = found.area.size, float(found.area.sum())
        out |= {
            f"{target}_presence": float(count > 0),
            f"{target}_count": float(count),
            f"{target}_area": area / scene.dd**2,
            f"{target}_coverage": area / scene.field_area,
        }
    for target in SPOTS + PATCHES:
        detail = _sizes(scene, lesions[target]) | _places(scene, lesions[target])
        if target in SPOTS:
            detail |= _rings(scene, lesions[target]) | _neighbours(scene, lesions[target], vessels)
        else:
            detail = {name: value for name, value in detail.items() if not name.startswith(("count", "fovea"))}
        out |= {f"{target}_{name}": value for name, value in detail.items()}
    burden = {"dr": SPOTS[:4], "amd": ("drusen", "patchy_hemorrhage")}
    out |= {f"{d}_burden": sum(out[f"{target}_coverage"] for target in burden[d]) for d in burden}
    return out | _drusen_classes(scene, lesions["drusen"]) | _severity(scene, lesions)


def _sizes(scene: _Scene, found: _Lesions) -> dict[str, float]:
    area = found.area / scene.dd**2 if found.area.size else np.array([NAN])
    return {"size_mean": float(area.mean()), "size_median": float(np.median(area)), "size_largest": float(area.max())}


def _drusen_classes(scene: _Scene, found: _Lesions) -> dict[str, float]:
    """Numbers of small, medium and large drusen by convention (disc of 1500 um) and by the scale; diameters."""
    out = {}
    for ending, um in (("", 1500.0 / scene.dd), ("_scaled", scene.um)):
        kind = np.digitize(found.diameter * um, (63.0, 125.0)) if math.isfinite(um) else None
        for k, name in enumerate(("small", "medium", "large")):
            out[f"drusen_count_{name}{ending}"] = NAN if kind is None else float(np.count_nonzero(kind == k))
    diameter = found.diameter * scene.um if found.area.size else np.array([NAN])
    out["drusen_diameter_median_um"] = float(np.median(diameter))
    out["drusen_diameter_largest_um"] = float(diameter.max())
    return out


def _quarter(axes: RetinalAxes, uv: Floats) -> Ints:
    """Quadrant about the fovea (n,) of retinal points: place in :data:`LESION_QUADRANTS`."""
    temporal, superior = axes.coordinates(uv, "fovea").T
    return np.asarray(2 * (superior < 0) + (temporal < 0), np.int64)


def _by_quarter(scene: _Scene, found: _Lesions) -> Floats:
    """Number (4,) of lesions in each quadrant about the fovea; NaN where half of its even share is not in view."""
    if scene.axes is None:
        return np.full(4, NAN)
    seen = np.bincount(_quarter(scene.axes, scene.lattice), minlength=4)
    count = np.bincount(_quarter(scene.axes, found.uv), minlength=4)
    return np.where(seen >= seen.sum() / 8, count, NAN)


def _places(scene: _Scene, found: _Lesions) -> dict[str, float]:
    """Numbers by quadrant about the fovea, quadrants involved, mean distance to the fovea."""
    count = _by_quarter(scene, found)
    apart = NAN
    if scene.axes is not None and found.area.size:
        apart = float(np.average(np.hypot(*(found.uv - scene.anatomy.fovea).T), weights=found.area)) / scene.dd
    return {
        **{f"count_{name}": float(n) for name, n in zip(LESION_QUADRANTS, count, strict=True)},
        "quadrants_involved": NAN if np.isnan(count).any() else float(np.count_nonzero(count)),
        "fovea_distance_mean": apart,
    }


def _rings(scene: _Scene, found: _Lesions) -> dict[str, float]:
    """Numbers by ring of the ETDRS grid."""
    return {
        f"count_{name}": float(np.count_nonzero(scene.in_zone(ZONES[name], found.uv)))
        if math.isfinite(scene.zone_areas[name])
        else NAN
        for name in ETDRS
        if not ZONES[name].quadrant
    }


def _neighbours(scene: _Scene, found: _Lesions, vessels: Branches) -> dict[str, float]:
    """Median distance to the nearest vessel wall; mean distance to the nearest lesion over its expectation."""
    beside = ratio = NAN
    if found.area.size and vessels.length >= scene.field_diameter:
        wall = [float((np.hypot(*(vessels.uv - uv).T) - vessels.radius).min()) for uv in found.uv]
        beside = float(np.median(np.maximum(wall, 0.0))) / scene.dd
    n = found.area.size
    if n >= 5:
        apart = np.hypot(*(found.uv[:, None] - found.uv[None]).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        even = 0.5 * math.sqrt(scene.field_area / n) + (0.0514 + 0.041 / math.sqrt(n)) * _field_border(scene) / n
        ratio = float(apart.min(axis=1).mean()) / even
    return {"vessel_distance": beside, "clark_evans": ratio}


def _field_border(scene: _Scene) -> float:
    """Length of the border of the field of view, degrees: arcs of its circle, and chords where it is cut off."""
    half = scene.field_diameter / 2
    middle = scene.to_degrees(np.array([scene.view.field.x, scene.view.field.y]))
    rim = within(scene.view, middle + 0.99 * half * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1))
    if not rim.any():
        return NAN
    rim = np.roll(rim, -int(rim.argmax()))  # begins in view
    change = np.flatnonzero(np.diff(rim.astype(int), append=1))
    missing = np.diff(change)[::2] * 2.0 * math.pi / rim.size  # angles of the parts cut off
    return float(half * (2.0 * math.pi - missing.sum() + 2.0 * np.sin(missing / 2).sum()))


def _severity(scene: _Scene, lesions: dict[str, _Lesions]) -> dict[str, float]:
    """The 4 and the 2 of the 4-2-1 rule."""
    red = _by_quarter(scene, lesions["hemorrhage"]) + _by_quarter(scene, lesions["microaneurysm"])
    beaded = _by_quarter(scene, lesions["venous_beading"])
    return {
        "npdr_421_hemorrhage": NAN if np.isnan(red).any() else float((red >= 20).all()),
        "npdr_421_venous_beading": NAN if np.isnan(beaded).any() else float(np.count_nonzero(beaded) >= 2),
    }


def _separate(scene: _Scene, findings: Sequence[Finding]) -> _Lesions | None:
    """Spots in view; None where they touch, cross the border or are no spots."""
    found = [finding.spots() for finding in findings]
    spots = [s for s in found if s is not None]
    if len(spots) < len(found):
        return None
    centres = np.concatenate([np.zeros((0, 2)), *(s.centres for s in spots)])
    area = np.concatenate([np.zeros(0), *(s.area for s in spots)])
    reach = 2.0 * np.sqrt(area / math.pi)  # twice the mean radius holds an outline that is not round
    seen = within(scene.view, centres)
    border = np.zeros(len(centres), bool)
    for a, b in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        border |= within(scene.view, centres + reach[:, None] * [a, b]) != seen
    gap = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) - reach[:, None] - reach[None]
    np.fill_diagonal(gap, 1.0)
    if border.any() or (gap[seen][:, seen] < 2.0 * scene.px).any():
        return None
    kept = seen & (area >= _SPECK * scene.px**2)
    return _Lesions(centres[kept], area[kept])


def _canvas(scene: _Scene) -> tuple[Grid, Bools]:
    """Grid of :data:`DRAWN` pixels across the field of view, and which of them are in view."""
    field, grid = scene.view.field, scene.view.grid
    zoom = DRAWN / (2.0 * field.radius)
    x0, y0 = (np.array([grid.x0, grid.y0]) - [field.x, field.y]) * zoom + 0.5 * (DRAWN - 1)
    canvas = Grid(DRAWN, DRAWN, float(x0), float(y0), grid.scale * zoom, grid.sign)
    place = (np.arange(DRAWN) - 0.5 * (DRAWN - 1)) / zoom
    columns, rows = (np.rint(place + middle).astype(int) for middle in (field.x, field.y))
    height, width = field.mask.shape
    held = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    return canvas, held & field.mask[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None, :]]


def _union(findings: Sequence[Finding], canvas: Grid) -> Floats:
    """Largest signed distance (DRAWN, DRAWN) to any of the findings, px."""
    return np.maximum.reduce([finding.distance(canvas) for finding in findings])


def _drawn_lesions(scene: _Scene, findings: Sequence[Finding]) -> _Lesions:
    """Connected pieces of the union of findings in view."""
    canvas, seen = _canvas(scene)
    distance = _union(findings, canvas)
    inside = (distance >= 0) & seen
    _, labels, stats, middle = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    lesion = stats[:, cv2.CC_STAT_AREA] >= _SPECK
    lesion[0] = False
    labels = (np.cumsum(lesion) * lesion).astype(np.float32)[labels]
    grown = (cv2.dilate(labels, np.ones((3, 3), np.uint8)) * seen).astype(np.int64)
    part = np.bincount(grown.ravel(), np.clip(distance + 0.5, 0.0, 1.0).ravel(), np.count_nonzero(lesion) + 1)
    uv = (middle[lesion] - [canvas.x0, canvas.y0]) / canvas.scale * [canvas.sign, 1]
    return _Lesions(uv, part[1:] / canvas.scale**2)
