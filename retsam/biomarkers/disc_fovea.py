"""Family disc and fovea: shape of the optic disc, and where disc and fovea lie.

The disc is the largest component of its mask, holes filled, described by its moments. Angles are read in retinal
coordinates: temporal is temporal in either eye.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from retsam.biomarkers.biomarker import Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.status import Status

ROUND = 0.95  # a disc with a larger axis ratio has no orientation


def _ovality(image: RetinalImage) -> float:
    return image.disc.minor / image.disc.major


def _torsion(image: RetinalImage) -> float:
    if _ovality(image) > ROUND:
        raise Unmeasurable(Status.UNDEFINED)
    # Arrays are those of a right eye: temporal is left, so that both angles grow as the lower end goes temporal
    # and as the fovea goes down.
    angle = image.disc.angle - _perpendicular_tilt(image)
    return float((angle + 90) % 180 - 90)


def _perpendicular_tilt(image: RetinalImage) -> float:
    """Angle of the disc-fovea line's perpendicular against the vertical, positive where its lower end is temporal."""
    return -image.axes.angle


def _solidity(image: RetinalImage) -> float:
    return image.disc.solidity


def _disc_size(image: RetinalImage) -> float:
    return image.disc.diameter / (2 * image.fov_circle[2])


def _disc_area(image: RetinalImage) -> float:
    return image.disc.area * (image.um_per_px / 1000) ** 2


def _disc_eccentricity(image: RetinalImage) -> float:
    x, y, radius = image.fov_circle
    return float(np.hypot(image.disc.x - x, image.disc.y - y)) / radius


def _fovea_eccentricity(image: RetinalImage) -> float:
    x, y, radius = image.fov_circle
    return float(np.hypot(image.fovea[0] - x, image.fovea[1] - y)) / radius


def _distance(image: RetinalImage) -> float:
    return image.axes.distance / image.axes.disc_diameter


def _distance_um(image: RetinalImage) -> float:
    return image.axes.distance * image.um_per_px


def _angle(image: RetinalImage) -> float:
    return image.axes.angle


def _fovea_to_vessel(image: RetinalImage) -> float:
    image.centreline("vessel")
    distance = _nearest(image.vessels("vessel"), image.fovea)
    return max(distance - 0.5, 0.0) / image.disc.diameter


def _nearest(mask: NDArray[np.bool_], point: tuple[float, float]) -> float:
    """Distance from a frame point to the nearest pixel of a mask that is not empty, px."""
    reach = 64.0
    while True:  # mostly once: a window that holds the circle through the nearest pixel tells as much as the mask
        left, top = (max(int(c - reach), 0) for c in point)
        right, bottom = (max(int(c + reach) + 1, 0) for c in point)
        rows, columns = np.nonzero(mask[top:bottom, left:right])
        nearest = np.hypot(columns + left - point[0], rows + top - point[1]).min(initial=np.inf)
        if nearest < reach - 1:
            return float(nearest)
        reach *= 4


_DISC, _BOTH = ("optic_disc",), ("optic_disc", "fovea")
_entry = partial(Biomarker, family="disc_fovea")
_PLAUSIBLE = "disc and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal"

BIOMARKERS = (
    _entry(
        name="disc_ovality",
        label="Disc ovality",
        unit="ratio",
        definition="Minor over major axis of the ellipse with the disc's second moments; 1 is round",
        reference="tilt ratio: Tay 2005, Ophthalmology 112:1230 (inverse)",
        requires=_DISC,
        evidence="disc found",
        reasons=(),
        compute=_ovality,
    ),
    _entry(
        name="disc_torsion",
        label="Disc torsion",
        unit="deg",
        definition="Angle of the disc's major axis against the perpendicular of the disc-fovea line, -90 to 90; "
        "positive where the lower end is rotated towards temporal",
        reference="Park 2012, Invest Ophthalmol Vis Sci 53:1989",
        requires=_BOTH,
        evidence=f"ovality at most {ROUND} (a round disc has no axis); {_PLAUSIBLE}",
        reasons=(Status.UNDEFINED,),
        compute=_torsion,
    ),
    _entry(
        name="disc_solidity",
        label="Disc solidity",
        unit="ratio",
        definition="Area of the disc over the area of its convex hull; low values point to a failed segmentation",
        reference="conventional shape measure",
        requires=_DISC,
        evidence="disc found",
        reasons=(),
        compute=_solidity,
    ),
    _entry(
        name="disc_diameter_fov",
        label="Disc diameter in the field of view",
        unit="ratio",
        definition="Diameter of the circle with the disc's area over the diameter of the field of view",
        reference="conventional shape measure",
        requires=_DISC,
        evidence="disc found",
        reasons=(),
        compute=_disc_size,
    ),
    _entry(
        name="disc_area_mm2",
        label="Disc area",
        unit="mm2",
        definition="Area of the disc, by the manifest's um_per_px",
        reference="Jonas 1988, Invest Ophthalmol Vis Sci 29:1151",
        requires=_DISC,
        evidence="um_per_px given",
        reasons=(Status.NO_SCALE,),
        compute=_disc_area,
    ),
    _entry(
        name="disc_eccentricity",
        label="Disc position in the field",
        unit="ratio",
        definition="Distance of the disc centre from the centre of the field of view over the field's radius",
        reference="field definition; conventional",
        requires=_DISC,
        evidence="disc found",
        reasons=(),
        compute=_disc_eccentricity,
    ),
    _entry(
        name="fovea_eccentricity",
        label="Fovea position in the field",
        unit="ratio",
        definition="Distance of the fovea from the centre of the field of view over the field's radius",
        reference="field definition; conventional",
        requires=("fovea",),
        evidence="fovea found",
        reasons=(),
        compute=_fovea_eccentricity,
    ),
    _entry(
        name="disc_fovea_distance",
        label="Disc-fovea distance",
        unit="dd",
        definition="Distance between the centres of disc and fovea in disc diameters; high where the disc is small",
        reference="Jonas 2015, PLoS ONE 10(11):e0141771",
        requires=_BOTH,
        evidence=_PLAUSIBLE,
        reasons=(Status.UNDEFINED,),
        compute=_distance,
    ),
    _entry(
        name="disc_fovea_distance_um",
        label="Disc-fovea distance, micrometres",
        unit="um",
        definition="Distance between the centres of disc and fovea, by the manifest's um_per_px",
        reference="Jonas 2015, PLoS ONE 10(11):e0141771",
        requires=_BOTH,
        evidence=f"um_per_px given; {_PLAUSIBLE}",
        reasons=(Status.NO_SCALE, Status.UNDEFINED),
        compute=_distance_um,
    ),
    _entry(
        name="disc_fovea_angle",
        label="Disc-fovea angle",
        unit="deg",
        definition="Angle of the line from disc to fovea against the horizontal of the photograph; positive where the "
        "fovea lies lower",
        reference="Jonas 2015, PLoS ONE 10(11):e0141771",
        requires=_BOTH,
        evidence=_PLAUSIBLE,
        reasons=(Status.UNDEFINED,),
        compute=_angle,
    ),
    _entry(
        name="fovea_vessel_distance",
        label="Fovea to nearest vessel",
        unit="dd",
        definition="Distance from the fovea to the nearest vessel; the radius of the avascular zone as far as the mask "
        "shows it",
        reference="this project",
        requires=("fovea", "vessel", "optic_disc"),
        evidence="centreline of the vessels at least one diameter of the field of view long",
        reasons=(Status.TOO_FEW_VESSELS,),
        compute=_fovea_to_vessel,
    ),
)
