"""Family lesion: number and area of the lesions of each kind.

A lesion is an 8-connected component of its mask in the field of view. Components of less than 2 px at a frame of 1024
px (0.03 % of the disc's area) are specks of the segmentation and count nowhere: a microaneurysm is 4 px across there.
Lesions that touch are one. An eye without any has 0.
"""

from functools import partial

import numpy as np

from retsam.biomarkers.biomarker import LESIONS, Biomarker
from retsam.biomarkers.image import RetinalImage
from retsam.taxonomy import FOV


def _count(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).size)


def _area(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).sum()) / image.disc.diameter**2


def _coverage(image: RetinalImage, target: str) -> float:
    return float(image.lesions(target).sum()) / np.count_nonzero(image.mask(FOV))


def _of(target: str) -> tuple[Biomarker, ...]:
    noun = target.replace("_", " ")
    title = noun.capitalize()
    entry = partial(
        Biomarker,
        family="lesion",
        requires=(target,),
        evidence="none: an eye without any has 0; a lesion is a component of 2 px or more at a frame of 1024 px",
        reasons=(),
        reference="conventional lesion measure",
    )
    return (
        entry(
            name=f"{target}_count",
            label=f"{title}, number",
            unit="count",
            definition=f"Number of 8-connected components of {noun} in the field of view",
            compute=partial(_count, target=target),
        ),
        entry(
            name=f"{target}_area",
            label=f"{title}, area",
            unit="dd^2",
            definition=f"Area of {noun} in the field of view, in squared disc diameters",
            requires=(target, "optic_disc"),
            compute=partial(_area, target=target),
        ),
        entry(
            name=f"{target}_coverage",
            label=f"{title}, coverage",
            unit="ratio",
            definition=f"Area of {noun} over the area of the field of view",
            compute=partial(_coverage, target=target),
        ),
    )


BIOMARKERS = tuple(b for target in LESIONS for b in _of(target))
