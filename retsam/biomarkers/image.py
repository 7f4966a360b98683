"""One image's masks and everything that several biomarkers share, each computed once and only if asked for."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import FINDINGS, Unmeasurable
from retsam.biomarkers.centreline import Centreline, trace
from retsam.biomarkers.components import NONE, Components, components
from retsam.biomarkers.crossing import Crossings, crossings
from retsam.biomarkers.fractal import dimensions, whole_boxes
from retsam.biomarkers.outline import ANGLES, around, beyond, extent, largest, outer, pixels_in, radii
from retsam.biomarkers.tree import Tree, grow
from retsam.geometry import ZONES, Frame, RetinalAxes
from retsam.io.masks import empty, paint, paint_part, runs_of
from retsam.status import Status
from retsam.taxonomy import FOV

log = logging.getLogger(__name__)

MIN_IN_VIEW = 0.5  # part of a zone that must lie inside the field of view
CIRCLES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)  # disc diameters about the disc centre: zone B
MIN_LESION = 2  # px at a frame of 1024 px
MIN_CIRCLE_IN_VIEW = 0.6  # part of a circle about the disc; a macula-centred photograph of 45 degrees shows 60-80 %
MAX_DISC_CUT = 0.05  # part of the disc's outline that may lie on the border of the field of view
DISC_SIZE = (0.05, 1 / 3)  # of the field's diameter: from fields of 100 degrees and more to large discs in one of 30
MIN_LENGTH = 1.0  # centreline length of a vessel tree, in diameters of the field of view
NOT_THERE = (Status.NOT_SEGMENTED, Status.NOT_VISIBLE, Status.FAILED)  # what the row of a target may say beside ok

Mask = NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True)
class Ellipse:
    """A region by its moments: area, centre and the ellipse of equal second moments.

    Attributes
    ----------
    x, y : float
        Centroid, frame px.
    area : float
        Px^2.
    major, minor : float
        Axes (whole, not half), px.
    angle : float
        Of the major axis against the vertical, degrees in (-90, 90]; positive where its lower end points to the left.
    solidity : float
        Area over the area of the convex hull.
    """

    x: float
    y: float
    area: float
    major: float
    minor: float
    angle: float
    solidity: float

    @property
    def diameter(self) -> float:
        """Diameter of the circle of equal area, px."""
        return float(np.sqrt(4 * self.area / np.pi))


@dataclass(frozen=True)
class Region:
    """The part of a zone that is in view, within its bounding box."""

    box: tuple[slice, slice]
    inside: Mask

    @cached_property
    def pixels(self) -> int:
        """Its area."""
        return int(np.count_nonzero(self.inside))

    def count(self, mask: Mask) -> int:
        """Pixels of a frame mask (size, size) that lie in the region."""
        return int(np.count_nonzero(mask[self.box] & self.inside))

    def holds(self, xy: NDArray[np.float64]) -> Mask:
        """Which of the frame points (n, 2) lie in the region."""
        column = np.rint(xy[:, 0]).astype(int) - self.box[1].start
        row = np.rint(xy[:, 1]).astype(int) - self.box[0].start
        height, width = self.inside.shape
        within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        within[within] = self.inside[row[within], column[within]]
        return within


class RetinalImage:
    """Masks of one photograph in its frame, read as a right eye.

    A left eye is mirrored, masks and points alike, before anything is measured: temporal is to the left in every array
    here, and a mirrored photograph gives the same numbers, which no thinning algorithm would do by itself.

    Parameters
    ----------
    image_id : str
    rows : mapping of str to mapping
        Target (and ``fov``) to its row of ``tables.MASKS``, null as None.
    quality : mapping, optional
        The image's row of the quality table.

    Raises
    ------
    Unmeasurable
        If the image has no frame, with its status.
    """

    def __init__(
        self, image_id: str, rows: Mapping[str, Mapping[str, Any]], quality: Mapping[str, Any] | None = None
    ) -> None:
        fov = rows.get(FOV)
        if fov is None:
            raise Unmeasurable(Status.FAILED)
        if fov["status"] != Status.OK:
            raise Unmeasurable(Status(fov["status"]))
        self.image_id = image_id
        self.rows = rows
        self.quality = quality
        self.frame = Frame.from_row(fov)
        self.size = self.frame.frame_size
        self.eye = fov["eye"]
        self._shared: dict[tuple[str, ...], Any] = {}

    def _once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """Compute a shared thing on first use; a reason for its absence is remembered too."""
        if key not in self._shared:
            try:
                self._shared[key] = make()
            except Unmeasurable as missing:
                self._shared[key] = Unmeasurable(missing.status)  # without the frames of a traceback, which hold self
        found = self._shared[key]
        if isinstance(found, Unmeasurable):
            raise Unmeasurable(found.status)
        return found

    # Masks

    def _runs(self, target: str) -> NDArray[np.int64]:
        """Run lengths of a mask as stored; raises the reason why there is none."""
        return self._once(("runs", target), lambda: self._read(target))

    def _read(self, target: str) -> NDArray[np.int64]:
        row = self.rows.get(target)
        if row is None:
            raise Unmeasurable(Status.NOT_SEGMENTED)
        if row["status"] in NOT_THERE:
            raise Unmeasurable(Status(row["status"]))
        try:
            if row["status"] != Status.OK:
                raise ValueError(f"status {row['status']!r}")
            runs = runs_of(row["rle"], self.size) if row["rle"] != empty(self.size) else self._background
            area = int(runs[1::2].sum())
            if row["area_px"] not in (None, area):
                raise ValueError(f"{area} px instead of {row['area_px']}")
        except Exception as error:
            log.error("%s: the mask of %s cannot be read (%s); segment this image again", self.image_id, target, error)
            raise Unmeasurable(Status.FAILED) from error
        if target not in FINDINGS and not area:
            raise Unmeasurable(Status.NOT_VISIBLE)
        return runs

    @property
    def _background(self) -> NDArray[np.int64]:
        """Run lengths of a mask of which nothing is set, as those of most findings."""
        return np.array([self.size**2])

    @cached_property
    def _nothing(self) -> Mask:
        """Mask (size, size) of all findings that are not there."""
        return np.zeros((self.size, self.size), bool)

    def _stored(self, target: str) -> Mask:
        """Mask as stored."""
        runs = self._runs(target)
        return self._nothing if runs.size == 1 else self._once(("stored", target), lambda: paint(runs, self.size))

    def mask(self, target: str) -> Mask:
        """Mask (size, size) of a target or ``fov``; raises :class:`Unmeasurable` with the reason.

        Anatomy is never empty: a structure that every eye has and nobody sees is ``not_visible``. An empty mask of a
        finding (``biomarker.FINDINGS``) is a true zero.
        """
        return self._once(("mask", target), lambda: self._as_right_eye(self._stored(target)))

    def _as_right_eye(self, mask: Mask) -> Mask:
        if mask is self._nothing or not self.mirrored:
            return mask
        return np.asarray(cv2.flip(mask.view(np.uint8), 1)).view(np.bool_)

    def require(self, *targets: str) -> None:
        """Raise ``not_segmented`` if the model lacks one of the targets, else the reason of the first not there."""
        self._once(("required", *targets), lambda: self._require(targets))

    def _require(self, targets: tuple[str, ...]) -> None:
        if not all(target in self.rows for target in targets):
            raise Unmeasurable(Status.NOT_SEGMENTED)
        for target in targets:
            if target == "fovea":
                _ = self.fovea
            else:
                self._runs(target)

    def _mirror(self, x: float) -> float:
        return self.size - 1 - x if self.mirrored else x

    # Landmarks and sides

    def _landmarks(self) -> RetinalAxes:
        """Disc and fovea as stored."""
        disc = self._stored_disc()
        axes = RetinalAxes((disc.x, disc.y), self._stored_fovea(), disc.diameter)
        if not axes.plausible:
            raise Unmeasurable(Status.UNDEFINED)
        return axes

    def _stored_disc(self) -> Ellipse:
        return self._once(("stored_ellipse",), lambda: _ellipse(self._stored("optic_disc")))

    def _stored_fovea(self) -> tuple[float, float]:
        row = self.rows.get("fovea")
        if row is not None and row["status"] == Status.OK and _known(row["x"]) and _known(row["y"]):
            return row["x"], row["y"]
        ellipse = self._once(("stored_fovea",), lambda: _ellipse(self._stored("fovea")))
        return ellipse.x, ellipse.y

    @cached_property
    def geometric_laterality(self) -> str | None:
        """OD or OS from disc and fovea; None where they are missing or implausible."""
        try:
            return self._once(("landmarks",), self._landmarks).laterality
        except Unmeasurable:
            return None

    @property
    def laterality(self) -> str | None:
        """OD or OS, from disc and fovea, else from the manifest."""
        return self.geometric_laterality or self.eye

    @property
    def laterality_source(self) -> str | None:
        """``disc_fovea``, ``manifest`` or None."""
        if self.geometric_laterality:
            return "disc_fovea"
        return "manifest" if self.eye else None

    @property
    def laterality_mismatch(self) -> bool | None:
        """Whether disc and fovea contradict the manifest; None where one of the two says nothing."""
        return self.geometric_laterality != self.eye if self.geometric_laterality and self.eye else None

    @cached_property
    def mirrored(self) -> bool:
        """Whether the arrays here are mirrored against the photograph."""
        return self.laterality == "OS"

    @property
    def disc(self) -> Ellipse:
        """The optic disc: largest component, holes filled, as :meth:`body` has it."""
        return self._once(("disc",), lambda: _ellipse(self.body("optic_disc")))

    @property
    def cup(self) -> Ellipse:
        """The optic cup: largest component inside the disc, holes filled; ``undefined`` where there is none."""
        return self._once(("cup",), lambda: _ellipse(self.body("optic_cup")))

    def body(self, target: str) -> Mask:
        """Mask (size, size) of ``optic_disc`` or ``optic_cup`` as :attr:`disc` and :attr:`cup` describe it.

        Of a disc that the field of view cuts, size and centre would be those of what is left: ``out_of_view``. What is
        too small or too large for a disc, see :attr:`disc_plausible`, is none: ``not_visible``.
        """
        return self._once(("body", target), lambda: self._body(target))

    def _body(self, target: str) -> Mask:
        if target == "optic_disc":
            if not self.disc_plausible:
                raise Unmeasurable(Status.NOT_VISIBLE)
            return self._candidate
        body = largest(self.mask(target) & self.body("optic_disc"))
        if not body.any():
            raise Unmeasurable(Status.UNDEFINED)
        return body

    @property
    def _candidate(self) -> Mask:
        """What the disc's mask holds that may be a disc, whatever its size."""
        return self._once(("candidate",), self._largest_disc)

    def _largest_disc(self) -> Mask:
        body = largest(self.mask("optic_disc"))
        if not body.any():
            raise Unmeasurable(Status.UNDEFINED)
        if _on_border(body, self.mask(FOV)) > MAX_DISC_CUT:
            raise Unmeasurable(Status.OUT_OF_VIEW)
        return body

    @property
    def disc_plausible(self) -> bool:
        """Whether what was found is as large as a disc can be: its diameter within ``DISC_SIZE`` of the field's."""
        low, high = DISC_SIZE
        return low <= _ellipse(self._candidate).diameter / (2 * self.fov_circle[2]) <= high

    def extent(self, target: str) -> tuple[float, float]:
        """Extent of disc or cup along x and y, px; see ``outline.extent``."""
        return self._once(("extent", target), lambda: extent(self.body(target)))

    def edge(self, target: str) -> NDArray[np.float64]:
        """Outer edge (RAYS,) of disc or cup along rays from the disc's centroid, px; see ``outline.radii``."""
        return self._once(("edge", target), lambda: radii(self.body(target), (self.disc.x, self.disc.y)))

    @property
    def fovea(self) -> tuple[float, float]:
        """Fovea, frame px."""
        x, y = self._stored_fovea()
        return self._mirror(x), y

    @property
    def axes(self) -> RetinalAxes:
        """Retinal coordinates; ``undefined`` where disc and fovea cannot belong to one eye."""
        return self._once(("axes",), self._axes)

    def _axes(self) -> RetinalAxes:
        _ = self.disc  # whole
        stored = self._once(("landmarks",), self._landmarks)
        return RetinalAxes((self._mirror(stored.disc[0]), stored.disc[1]), self.fovea, stored.disc_diameter)

    @cached_property
    def fov_area(self) -> int:
        """Pixels of the field of view."""
        return int(np.count_nonzero(self.mask(FOV)))

    @cached_property
    def fov_circle(self) -> tuple[float, float, float]:
        """Field of view in the frame: centre x, y and radius, px."""
        x, y = self.frame.to_frame([self.frame.fov_x, self.frame.fov_y])
        return self._mirror(float(x)), float(y), self.frame.fov_radius * self.frame.scale

    @property
    def um_per_px(self) -> float:
        """Micrometres per frame pixel; raises ``no_scale`` where the manifest gave none."""
        given = self.rows[FOV]["um_per_px"]
        if not _known(given) or given <= 0:
            raise Unmeasurable(Status.NO_SCALE)
        return given / self.frame.scale

    # Regions

    def region(self, zone: str) -> Region:
        """Part of a zone of ``geometry.ZONES`` in view; ``out_of_view`` where that is less than half of it."""
        return self._once(("region", zone), lambda: self._region(zone))

    def _region(self, name: str) -> Region:
        zone, (box, inside) = ZONES[name], self._zone(name)
        if zone.origin == "fovea":
            inside = inside & ~self.mask("optic_disc")[box]
        region = Region(box, inside & self.mask(FOV)[box])
        if region.pixels < MIN_IN_VIEW * zone.area * self.disc.diameter**2:
            raise Unmeasurable(Status.OUT_OF_VIEW)
        return region

    def _zone(self, name: str) -> tuple[tuple[slice, slice], Mask]:
        """A zone in the frame, in view or not: its bounding box and the mask in it."""
        return self._once(("zone", name), lambda: self._rasterise(name))

    def _rasterise(self, name: str) -> tuple[tuple[slice, slice], Mask]:
        zone, disc = ZONES[name], self.disc
        centre = (disc.x, disc.y) if zone.origin == "disc" else self.fovea
        axes = self.axes if zone.quadrant or zone.origin == "fovea" else None
        return zone.mask(self.size, centre, disc.diameter, axes)

    def in_view(self, name: str) -> float:
        """Part of a zone of ``geometry.ZONES`` in the field of view, 0-1; the disc is part of it here."""
        box, inside = self._zone(name)
        seen = np.count_nonzero(inside & self.mask(FOV)[box])
        return min(seen / (ZONES[name].area * self.disc.diameter**2), 1.0)

    def hemifield(self, side: str) -> Region:
        """Field of view on the ``superior`` or ``inferior`` side of the line through disc and fovea."""
        return self._once(("hemifield", side), lambda: self._hemifield(side))

    def _hemifield(self, side: str) -> Region:
        axes = self.axes
        (x0, y0), (x1, y1) = axes.disc, axes.fovea
        rows = np.arange(self.size, dtype=np.float32)[:, None]
        columns = np.arange(self.size, dtype=np.float32)[None, :]
        below = rows - np.float32(y0) > (columns - np.float32(x0)) * np.float32((y1 - y0) / (x1 - x0))
        inside = self.mask(FOV) & (below if side == "inferior" else ~below)
        everything = slice(0, self.size)
        region = Region((everything, everything), inside)
        if region.pixels < MIN_IN_VIEW * self.fov_area / 2:
            raise Unmeasurable(Status.OUT_OF_VIEW)
        return region

    def circles(self, side: str = "") -> list[float]:
        """Radii of the circles of zone B about the disc's centre that are enough in view, px; of one side if given."""
        radii = [r * self.disc.diameter for r in CIRCLES]
        return self._once(("circles", side), lambda: [r for r in radii if self.sees_circle(r, side)])

    def sees_circle(self, radius: float, side: str = "") -> bool:
        """Whether enough of a circle of `radius` px about the disc's centre is in view, or of its part on a side."""
        xy, seen = self._once(("points", f"{radius:.6f}"), lambda: self._points(radius))
        if side:
            along = self._once(("along", f"{radius:.6f}"), lambda: self._along(xy))
            seen = seen[_towards(along, side)]
        return float(seen.mean()) >= MIN_CIRCLE_IN_VIEW

    def _points(self, radius: float) -> tuple[NDArray[np.float64], Mask]:
        """Points (n, 2) of a circle about the disc's centre, and which are in view."""
        angle = np.arange(0, 2 * np.pi, 1 / radius)  # a point a pixel
        xy = radius * np.column_stack([np.cos(angle), np.sin(angle)]) + (self.disc.x, self.disc.y)
        x, y = np.rint(xy).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < self.size) & (y < self.size)
        inside[inside] = self.mask(FOV)[y[inside], x[inside]]
        return xy, inside

    def on_side(self, xy: NDArray[np.float64], side: str) -> Mask:
        """Which frame points (n, 2) are ``superior``, ``inferior``, ``temporal`` or ``nasal`` to the disc's centre.

        The first two by the line from disc to fovea, the others by the perpendicular to it through the disc's centre.
        """
        return _towards(self._along(xy), side)

    def _along(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Temporal and superior coordinate (2, n) about the disc's centre."""
        return self.axes.coordinates(xy).T

    # Vessels

    def vessels(self, target: str) -> Mask:
        """Vessel mask inside the field of view."""
        return self._once(("vessels", target), lambda: self.mask(target) & self.mask(FOV))

    def centreline(self, target: str) -> Centreline:
        """Centreline of a vessel target; ``too_few_vessels`` where shorter than the diameter of the field of view."""
        traced = self._once(("centreline", target), lambda: trace(self.vessels(target)))
        if traced.length < MIN_LENGTH * 2 * self.fov_circle[2]:
            raise Unmeasurable(Status.TOO_FEW_VESSELS)
        return traced

    def on_circle(self, target: str, radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places (n, 2) and widths (n,) of the vessels that cross a circle about the disc's centre, px."""
        line, disc = self.centreline(target), self.disc
        return self._once(("circle", target, f"{radius:.6f}"), lambda: line.crossings((disc.x, disc.y), radius))

    def crossings(self, target: str, side: str = "") -> list[NDArray[np.float64]]:
        """Widths of the vessels that cross each of :meth:`circles`, px; those on one side if given."""
        self.centreline(target)  # the minimum-evidence rule
        found = [self.on_circle(target, radius) for radius in self.circles(side)]
        return [width[self.on_side(xy, side)] if side else width for xy, width in found]

    def tree(self, target: str) -> Tree:
        """Centreline of one tree of vessels as it leaves the optic disc; see :meth:`centreline`."""
        line = self.centreline(target)
        return self._once(("tree", target), lambda: grow(line, self._outside_disc))

    def _outside_disc(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance (n,) of points from the outline of the disc, px, along the ray from its centre; negative inside."""
        radius = self.edge("optic_disc")
        x, y = (xy - (self.disc.x, self.disc.y)).T
        return np.hypot(x, y) - np.interp(np.arctan2(y, x), ANGLES, radius, period=2 * np.pi)

    @property
    def av_crossings(self) -> Crossings:
        """Where arteries cross veins; ``undefined`` where the masks give every pixel to one vessel only."""
        return self._once(("av_crossings",), self._av_crossings)

    def _av_crossings(self) -> Crossings:
        lines = self.centreline("artery"), self.centreline("vein")
        artery, vein = self.vessels("artery"), self.vessels("vein")
        if not (artery & vein).any():  # no eye is without crossings
            raise Unmeasurable(Status.UNDEFINED)
        return crossings(*lines, artery, vein)

    def skeleton_dimensions(self, target: str) -> dict[int, float]:
        """Box-counting dimensions D0, D1, D2 of the skeleton."""
        return self._once(("dimensions", target), lambda: dimensions(self.centreline(target).skeleton, (0, 1, 2)))

    def sparsity(self, target: str) -> tuple[float, float]:
        """Mean and largest distance of a pixel of the field of view to the edge of the nearest vessel, px."""
        return self._once(("sparsity", target), lambda: self._sparsity(target))

    def _sparsity(self, target: str) -> tuple[float, float]:
        distance, field = self._beside(target), self.mask(FOV).view(np.uint8)
        mean, largest = cv2.mean(distance, field)[0], cv2.minMaxLoc(distance, field)[1]
        empty = 1 - np.count_nonzero(self.vessels(target)) / self.fov_area
        return mean - empty / 2, max(largest - 0.5, 0.0)  # from the pixel's centre to its edge; in vessels it is 0

    def _beside(self, target: str) -> NDArray[np.float32]:
        """Distance (size, size) to the centre of the nearest pixel of a vessel, px; 0 inside vessels."""
        return self._once(
            ("beside", target),
            lambda: np.asarray(
                cv2.distanceTransform((~self.vessels(target)).view(np.uint8), cv2.DIST_L2, 5), np.float32
            ),
        )

    def vessel_distance(self, target: str, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance (n,) from frame points (n, 2) to the edge of the nearest vessel, px; 0 inside vessels."""
        column, row = np.rint(xy).astype(int).T
        return np.maximum(self._beside(target)[row, column] - 0.5, 0).astype(np.float64)

    # Findings

    @property
    def crescent(self) -> Mask:
        """Peripapillary atrophy (size, size) in the field of view, outside the disc."""
        return self._once(
            ("crescent",),
            lambda: self.mask("peripapillary_atrophy") & self.mask(FOV) & ~self.body("optic_disc"),
        )

    def crescent_widths(self, reach: float) -> NDArray[np.float64]:
        """Length (RAYS,) of :attr:`crescent` along rays from the disc's centroid, to `reach` px past its margin, px."""
        return self._once(("crescent_widths", f"{reach:.6f}"), lambda: self._crescent_widths(reach))

    def _crescent_widths(self, reach: float) -> NDArray[np.float64]:
        return beyond(self.crescent, (self.disc.x, self.disc.y), self.edge("optic_disc"), reach)

    def lesions(self, target: str) -> Components:
        """Lesions in the field of view; specks of under ``MIN_LESION`` px at 1024 left out."""
        return self._once(("lesions", target), lambda: self._lesions(target))

    def _lesions(self, target: str) -> Components:
        runs = self._runs(target)
        if runs.size == 1:
            return NONE
        # Of each mask that part alone is painted that holds lesions, as stored: many whole masks take time.
        found, left, top = paint_part(runs, self.size)
        smallest = MIN_LESION * (self.size / 1024) ** 2
        return components(found, smallest, corner=(left, top), within=self._stored(FOV), mirrored=self.mirrored)

    def whole_boxes(self, side: int) -> Mask:
        """Centres (size, size) of the boxes of a side, px, that lie inside the field of view."""
        return self._once(("boxes", f"{side}"), lambda: whole_boxes(self.mask(FOV), side))

    def inner(self, xy: NDArray[np.float64], reach: int) -> Mask:
        """Which frame points (n, 2) have no border of the field of view in the square of `reach` px about them."""
        total, side = self._once(("field", f"{reach}"), lambda: self._field(reach)), 2 * reach + 1
        x, y = np.rint(xy).astype(int).T
        around = total[y + side, x + side] - total[y, x + side] - total[y + side, x] + total[y, x]
        return np.asarray(around == side**2)

    def _field(self, margin: int) -> NDArray[np.int32]:
        """Sums over all pixels of the field of view above and left, with a margin around."""
        field = self.mask(FOV).view(np.uint8)
        wide = cv2.copyMakeBorder(field, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
        return np.asarray(cv2.integral(wide), np.int32)

    @property
    def fov_perimeter(self) -> float:
        """Length of the border of the field of view, px; read on a grid of 128 points a side."""
        return self._once(("fov_perimeter",), self._fov_perimeter)

    def _fov_perimeter(self) -> float:
        step = max(self.size // 128, 1)
        coarse = np.ascontiguousarray(self.mask(FOV)[::step, ::step])
        return float(components(coarse, 1).perimeter.sum()) * step

    def lesions_by_quadrant(self, target: str) -> NDArray[np.int64]:
        """Number (4,) of lesions with their centroid in each quadrant of :meth:`quadrants_in_view`."""
        return self._once(("lesions_by_quadrant", target), lambda: self._lesions_by_quadrant(target))

    def _lesions_by_quadrant(self, target: str) -> NDArray[np.int64]:
        temporal, superior = self.axes.coordinates(self.lesions(target).xy, "fovea").T
        return np.bincount(2 * (superior < 0) + (temporal < 0), minlength=4)

    def quadrants_in_view(self) -> NDArray[np.bool_]:
        """Whether each quadrant about the fovea (4,) has half of its even share of the field of view.

        In the order superotemporal, superonasal, inferotemporal, inferonasal; sides are those of the line from disc to
        fovea and of its perpendicular through the fovea.
        """
        return self._once(("quadrants",), self._quadrants_in_view)

    def _quadrants_in_view(self) -> NDArray[np.bool_]:
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        zero, across, down = self.axes.coordinates(corners, "fovea").astype(np.float32)
        line = np.arange(self.size, dtype=np.float32)
        seen = self.mask(FOV)
        temporal, superior = (
            (line * (across - zero)[k] + zero[k])[None, :] >= -(line * (down - zero)[k])[:, None] for k in (0, 1)
        )
        whole, above = self.fov_area, np.count_nonzero(seen & superior)
        outer, corner = np.count_nonzero(seen & temporal), np.count_nonzero(seen & temporal & superior)
        pixels = np.array([corner, above - corner, outer - corner, whole - above - outer + corner])
        return pixels >= MIN_IN_VIEW * whole / 4


def _towards(along: NDArray[np.float64], side: str) -> Mask:
    """Which points lie on a side, from their temporal and superior coordinate (2, n)."""
    one = along[1 if side in ("superior", "inferior") else 0]
    return np.asarray(one > 0 if side in ("superior", "temporal") else one < 0)


def _known(number: float | None) -> bool:
    """Whether a number of a row is there and finite."""
    return number is not None and bool(np.isfinite(number))


def _on_border(body: Mask, fov: Mask) -> float:
    """Part of a region's outline that lies within two pixels of the border of the field of view."""
    kernel = np.ones((3, 3), np.uint8)
    box = around(body, 2)
    region, field = (np.pad(m[box].view(np.uint8), 2) for m in (body, fov))
    outline = (region > 0) & (cv2.erode(region, kernel) == 0)
    inner = cv2.erode(field, kernel, iterations=2) > 0
    return float(np.count_nonzero(outline & ~inner) / np.count_nonzero(outline))


def _ellipse(mask: Mask) -> Ellipse:
    """Moments of the largest component of a mask that is not empty, holes filled."""
    contour = outer(mask)
    x, y, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height, width), np.uint8)
    cv2.drawContours(filled, [contour], 0, 1, cv2.FILLED, offset=(-x, -y))
    m = cv2.moments(filled, binaryImage=True)
    area = m["m00"]
    # A pixel is a square of side 1, which has a variance of 1/12.
    xx, yy, xy = m["mu20"] / area + 1 / 12, m["mu02"] / area + 1 / 12, m["mu11"] / area
    spread = np.hypot(xx - yy, 2 * xy)
    angle = np.degrees(np.arctan2(-2 * xy, yy - xx)) / 2
    return Ellipse(
        x=x + m["m10"] / area,
        y=y + m["m01"] / area,
        area=float(area),
        major=float(np.sqrt(8 * (xx + yy + spread))),
        minor=float(np.sqrt(8 * max(xx + yy - spread, 0.0))),
        angle=float(angle if angle > -90 else 90),
        solidity=float(area / pixels_in(cv2.convexHull(contour)[:, 0])),
    )
