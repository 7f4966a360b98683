"""The canonical frame and its exact inverse.

One geometry chain for everything: the square around the field-of-view circle is cropped (padded with black where it
leaves the photograph) and resized isotropically to ``frame_size``. Masks, points and biomarkers live in that frame; the
three integers of the crop bring them back to the photograph's own pixels. Pixel centres have integer coordinates.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

HALF = 0.499
"""Coverage from which a resampled pixel belongs to a mask: a half, less than rounding can take from an exact half."""


@dataclass(frozen=True)
class Frame:
    """Canonical frame of one photograph.

    Attributes
    ----------
    width, height : int
        Photograph, pixels (after EXIF orientation).
    frame_size : int
        Side of the frame, pixels; a multiple of 64.
    crop_x, crop_y, crop_side : int
        Square cut from the photograph, in its pixels; may reach outside (negative or beyond the border).
    fov_x, fov_y, fov_radius : float
        Field-of-view circle in photograph pixels.
    """

    width: int
    height: int
    frame_size: int
    crop_x: int
    crop_y: int
    crop_side: int
    fov_x: float
    fov_y: float
    fov_radius: float

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.frame_size, self.crop_side) <= 0:
            raise ValueError(f"sizes of a frame must be positive: {self}")
        if not (np.isfinite([self.fov_x, self.fov_y, self.fov_radius]).all() and self.fov_radius > 0):
            raise ValueError(f"no circle of a field of view: {self}")

    @property
    def scale(self) -> float:
        """Frame pixels per photograph pixel."""
        return self.frame_size / self.crop_side

    def to_frame(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map photograph points (..., 2) as x, y in pixels to the frame."""
        offset = np.array([self.crop_x, self.crop_y], float)
        return (np.asarray(xy, float) - offset + 0.5) * self.scale - 0.5

    def to_photo(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map frame points (..., 2) back to photograph pixels; inverse of :meth:`to_frame`."""
        offset = np.array([self.crop_x, self.crop_y], float)
        return (np.asarray(xy, float) + 0.5) / self.scale - 0.5 + offset

    def _overlap(self) -> tuple[slice, slice, slice, slice]:
        """Slices (photo rows, photo columns, crop rows, crop columns) of the part that both have."""
        x0, y0 = max(self.crop_x, 0), max(self.crop_y, 0)
        x1 = max(min(self.crop_x + self.crop_side, self.width), x0)
        y1 = max(min(self.crop_y + self.crop_side, self.height), y0)
        return (
            slice(y0, y1),
            slice(x0, x1),
            slice(y0 - self.crop_y, y1 - self.crop_y),
            slice(x0 - self.crop_x, x1 - self.crop_x),
        )

    def warp(self, image: NDArray[Any]) -> NDArray[Any]:
        """Bring a photograph into the frame.

        Parameters
        ----------
        image : (height, width) or (height, width, 3) uint8 or float32
            A boolean mask is returned as boolean.

        Returns
        -------
        (frame_size, frame_size[, 3]) array of the same dtype
            Area averaging when shrinking, cubic (linear for masks) when enlarging; black outside the photograph.
        """
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"image is {image.shape[1]}x{image.shape[0]}, the frame was made for {self.width}x{self.height}"
            )
        is_mask = image.dtype == bool
        source = image.astype(np.float32) if is_mask else image
        crop = np.zeros((self.crop_side, self.crop_side, *image.shape[2:]), source.dtype)
        rows, cols, crop_rows, crop_cols = self._overlap()
        crop[crop_rows, crop_cols] = source[rows, cols]
        enlarge = cv2.INTER_LINEAR if is_mask else cv2.INTER_CUBIC
        interpolation = cv2.INTER_AREA if self.scale < 1 else enlarge
        out = cv2.resize(crop, (self.frame_size, self.frame_size), interpolation=interpolation)
        return out >= HALF if is_mask else out

    def unwarp(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring frame values (a probability map) back to the photograph.

        Parameters
        ----------
        values : (frame_size, frame_size) float32

        Returns
        -------
        (height, width) float32
            Linear when enlarging, area averaging when shrinking; 0 where the frame does not reach.
        """
        interpolation = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_AREA
        crop = cv2.resize(values, (self.crop_side, self.crop_side), interpolation=interpolation)
        out = np.zeros((self.height, self.width), np.float32)
        rows, cols, crop_rows, crop_cols = self._overlap()
        out[rows, cols] = crop[crop_rows, crop_cols]
        return out

    def unwarp_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a frame mask (frame_size, frame_size) bool back to the photograph (height, width) bool."""
        return self.unwarp(mask.astype(np.float32)) >= HALF

    def as_row(self) -> dict[str, Any]:
        """Columns of ``tables.FRAME_COLUMNS``."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """Rebuild from a mapping or Series with the columns of ``tables.FRAME_COLUMNS``."""
        ints = ("width", "height", "frame_size", "crop_x", "crop_y", "crop_side")
        values: dict[str, Any] = {name: int(row[name]) for name in ints}
        values |= {name: float(row[name]) for name in ("fov_x", "fov_y", "fov_radius")}
        return cls(**values)


@dataclass(frozen=True)
class RetinalAxes:
    """Retinal coordinates: x towards temporal along the line from disc to fovea, y towards superior.

    The axes come from the two landmarks, not from the image's border or the manifest, so that a mirrored photograph
    gives the same coordinates. All attributes are in frame pixels.

    Attributes
    ----------
    disc, fovea : (float, float)
        Centres, x and y.
    disc_diameter : float
        Diameter of the circle that has the disc's area.
    """

    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_diameter: float

    @property
    def distance(self) -> float:
        """Disc-fovea distance, pixels."""
        return float(np.hypot(self.fovea[0] - self.disc[0], self.fovea[1] - self.disc[1]))

    @property
    def laterality(self) -> str:
        """OD where the fovea lies left of the disc, else OS (a photograph shows the eye as seen from the front)."""
        return "OD" if self.fovea[0] < self.disc[0] else "OS"

    @property
    def angle(self) -> float:
        """Disc-fovea angle in degrees: positive where the fovea lies below the disc, in either eye."""
        across = abs(self.fovea[0] - self.disc[0])
        return float(np.degrees(np.arctan2(self.fovea[1] - self.disc[1], across)))

    @property
    def plausible(self) -> bool:
        """Whether the landmarks can belong to one eye: 1.2 to 5 disc diameters apart, within 45 degrees of horizontal.

        The distance is about 2.5 disc diameters and the angle about 8 degrees below the horizontal; a detector that
        took a lesion for a landmark ends outside these wide limits.
        """
        return 1.2 <= self.distance / self.disc_diameter <= 5 and abs(self.angle) <= 45

    def coordinates(self, xy: ArrayLike, origin: str = "disc") -> NDArray[np.float64]:
        """Map frame points to retinal coordinates.

        Parameters
        ----------
        xy : (..., 2) array-like
            Frame pixels.
        origin : {"disc", "fovea"}

        Returns
        -------
        (..., 2) float64
            Temporal and superior coordinate, disc diameters.
        """
        centre = np.asarray(self.disc if origin == "disc" else self.fovea, float)
        return (np.asarray(xy, float) - centre) @ self._directions / self.disc_diameter

    @cached_property
    def _directions(self) -> NDArray[np.float64]:
        """Unit vectors (2, 2) in the frame, one a column: temporal and superior."""
        temporal = (np.asarray(self.fovea, float) - np.asarray(self.disc, float)) / self.distance
        superior = np.array([temporal[1], -temporal[0]])
        if superior[1] > 0:  # image y points down
            superior = -superior
        return np.column_stack([temporal, superior])


@dataclass(frozen=True)
class Zone:
    """A ring or circle about the disc or the fovea, or one quadrant of it.

    Attributes
    ----------
    origin : {"disc", "fovea"}
    inner, outer : float
        Radii from the origin, disc diameters.
    quadrant : str
        Empty, or ``superior``, ``inferior``, ``nasal``, ``temporal``: 90 degrees centred on that direction of
        :class:`RetinalAxes`.
    meaning : str
    """

    origin: str
    inner: float
    outer: float
    quadrant: str
    meaning: str

    @property
    def area(self) -> float:
        """Full area in squared disc diameters, whether in view or not."""
        return float(np.pi * (self.outer**2 - self.inner**2) * (0.25 if self.quadrant else 1))

    def _turn(self, axes: RetinalAxes | None) -> NDArray[np.float64]:
        """Unit vectors (2, 2) in the frame: the middle of the quadrant, and across it."""
        if not self.quadrant:
            return np.eye(2)
        if axes is None:
            raise ValueError(f"a {self.quadrant} quadrant needs the retinal axes")
        columns = (axes.coordinates(np.eye(2)) - axes.coordinates(np.zeros(2))) * axes.disc_diameter
        temporal, superior = columns.T
        along, across = (temporal, superior) if self.quadrant in ("temporal", "nasal") else (superior, temporal)
        return np.stack([along if self.quadrant in ("temporal", "superior") else -along, across])

    def mask(
        self, size: int, centre: tuple[float, float], disc_diameter: float, axes: RetinalAxes | None = None
    ) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Rasterise the zone within its bounding box.

        Parameters
        ----------
        size : int
            Side of the frame, pixels.
        centre : (float, float)
            The origin, frame pixels.
        disc_diameter : float
            Pixels.
        axes : RetinalAxes, optional
            Needed for a quadrant.

        Returns
        -------
        box : (slice, slice)
            Rows and columns of the frame.
        inside : bool array of the box's shape
        """
        turn = self._turn(axes)
        # Points of the outline, close enough together that a pixel of margin holds what bulges between them.
        ways = np.radians(np.arange(-45.0, 46.0, 2.0) if self.quadrant else np.arange(0.0, 360.0, 2.0))
        outline = np.column_stack([np.append(np.cos(ways), 0), np.append(np.sin(ways), 0)]) @ turn
        corners = outline * self.outer * disc_diameter + centre
        x0, y0 = np.clip(np.floor(corners.min(axis=0)) - 1, 0, size).astype(int).tolist()
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, size).astype(int).tolist()
        dx = (np.arange(x0, x1, dtype=np.float32) - np.float32(centre[0]))[None, :] / np.float32(disc_diameter)
        dy = (np.arange(y0, y1, dtype=np.float32) - np.float32(centre[1]))[:, None] / np.float32(disc_diameter)
        squared = dx**2 + dy**2
        inside = (squared <= self.outer**2) & (squared >= self.inner**2)
        if self.quadrant:
            along, across = (dx * np.float32(way[0]) + dy * np.float32(way[1]) for way in turn)
            inside &= along > np.abs(across)
        return (slice(y0, y1), slice(x0, x1)), inside


_QUADRANTS = ("superior", "inferior", "nasal", "temporal")
_RING = "ring {} to {} disc diameters from the disc margin"
_ETDRS_RINGS = {
    "etdrs_centre": (0.0, 1 / 3, "circle of 1/3 disc diameter about the fovea (central subfield of the ETDRS grid)"),
    "etdrs_inner": (1 / 3, 1.0, "ring 1/3 to 1 disc diameter from the fovea (inner ring of the ETDRS grid)"),
    "etdrs_outer": (1.0, 2.0, "ring 1 to 2 disc diameters from the fovea (outer ring of the ETDRS grid)"),
}
_ETDRS: dict[str, Zone] = {
    **{
        name: Zone("fovea", inner, outer, "", f"{meaning}, without the disc")
        for name, (inner, outer, meaning) in _ETDRS_RINGS.items()
    },
    **{
        f"{name}_{q}": Zone("fovea", inner, outer, q, f"{q} quadrant of the {meaning}, without the disc")
        for name, (inner, outer, meaning) in _ETDRS_RINGS.items()
        if inner > 0
        for q in _QUADRANTS
    },
}
ETDRS = tuple(_ETDRS)
"""Zones of the grid of the Early Treatment Diabetic Retinopathy Study: three rings, four sectors of each but the first.

The grid's circles of 500, 1500 and 3000 um lie at 1/3, 1 and 2 disc diameters by its own convention of a disc of 1500
um, so that it needs no scale.
"""

ZONES: dict[str, Zone] = {
    "zone_b": Zone("disc", 1.0, 1.5, "", _RING.format(0.5, 1)),
    "zone_c": Zone("disc", 1.0, 2.5, "", _RING.format(0.5, 2)),
    **{f"zone_c_{q}": Zone("disc", 1.0, 2.5, q, f"{q} quadrant of the {_RING.format(0.5, 2)}") for q in _QUADRANTS},
    "macula": Zone(
        "fovea",
        0.0,
        2.0,
        "",
        "circle of 2 disc diameters about the fovea (the whole ETDRS grid), without the disc",
    ),
    **_ETDRS,
}
"""Zone B of the Atherosclerosis Risk in Communities study, the wider zone C, the macula and the ETDRS grid."""
