"""Family geometry: how far the temporal arcades open."""

from functools import partial

import numpy as np

from retsam.biomarkers.biomarker import VASCX, VESSEL_TARGETS, Biomarker, Unmeasurable
from retsam.biomarkers.image import MIN_CIRCLE_IN_VIEW, RetinalImage
from retsam.status import Status

CIRCLES = (0.67, 0.70, 0.73, 0.76, 0.79)  # disc-fovea distances about the disc centre
MIN_CIRCLES = 3


def _angle(image: RetinalImage, target: str) -> float:
    image.centreline(target)  # the minimum-evidence rule
    radii = [r * image.axes.distance for r in CIRCLES]
    seen = [r for r in radii if image.sees_circle(r, "temporal")]
    if len(seen) < MIN_CIRCLES:
        raise Unmeasurable(Status.OUT_OF_VIEW)
    angles = np.array([_opening(image, target, r) for r in seen])
    angles = angles[np.isfinite(angles)]
    if angles.size < MIN_CIRCLES:
        raise Unmeasurable(Status.TOO_FEW_VESSELS)
    return float(np.median(angles))


def _opening(image: RetinalImage, target: str, radius: float) -> float:
    """Angle at the disc's centre between the widest vessels above and below on one circle, degrees; NaN without."""
    xy, width = image.on_circle(target, radius)
    temporal, superior = image.axes.coordinates(xy).T
    angle = np.degrees(np.arctan2(superior, temporal))
    sides = [(temporal > 0) & above for above in (superior > 0, superior < 0)]
    if not all(side.any() for side in sides):
        return float("nan")
    upper, lower = (angle[side][np.argmax(width[side])] for side in sides)
    return float(upper - lower)


BIOMARKERS = tuple(
    Biomarker(
        name=f"{target}_temporal_arcade_angle",
        family="geometry",
        label=f"{target.capitalize()} temporal arcade angle",
        unit="deg",
        definition=f"Angle at the disc centre between the widest of the {VESSEL_TARGETS[target]} above and the widest "
        "below the line from disc to fovea, on its temporal side, where they cross circles about the disc centre; "
        "median over the circles at 0.67, 0.70 ... 0.79 disc-fovea distances",
        reference=VASCX,
        requires=(target, "optic_disc", "fovea"),
        evidence=f"centreline of the {VESSEL_TARGETS[target]} at least one diameter of the field of view long; disc "
        f"and fovea 1.2 to 5 disc diameters apart and within 45 degrees of horizontal; {MIN_CIRCLES} circles with at "
        f"least {MIN_CIRCLE_IN_VIEW:.0%} of their temporal half in the field of view, crossed there by a vessel above "
        "and one below",
        reasons=(Status.TOO_FEW_VESSELS, Status.OUT_OF_VIEW, Status.UNDEFINED),
        compute=partial(_angle, target=target),
    )
    for target in ("artery", "vein")
)
