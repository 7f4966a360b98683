"""Family phenotype: how much of the retina tessellation and the atrophies of myopia take.

An eye without them has 0. What a model does not look for is ``not_segmented``.
"""

from functools import partial

import numpy as np

from retsam.biomarkers.biomarker import PHENOTYPES, Biomarker
from retsam.biomarkers.image import RetinalImage
from retsam.taxonomy import FOV

REFERENCES = {
    "tessellation": "Transl Vis Sci Technol 2024, 13(6):22 (fundus tessellated density)",
    "peripapillary_atrophy": "Jonas 1989, Invest Ophthalmol Vis Sci 30:908",
    "diffuse_atrophy": "Ohno-Matsui 2015, Am J Ophthalmol 159:877 (META-PM category 2)",
    "patchy_atrophy": "Ohno-Matsui 2015, Am J Ophthalmol 159:877 (META-PM category 3)",
}


def _coverage(image: RetinalImage, target: str) -> float:
    seen = image.mask(FOV)
    return np.count_nonzero(image.mask(target) & seen) / np.count_nonzero(seen)


def _peripapillary_area(image: RetinalImage) -> float:
    outside = image.mask("peripapillary_atrophy") & image.mask(FOV) & ~image.body("optic_disc")
    return np.count_nonzero(outside) / image.disc.area


_entry = partial(Biomarker, family="phenotype", unit="ratio", reasons=())

BIOMARKERS = (
    *(
        _entry(
            name=f"{target}_coverage",
            label=f"{target.replace('_', ' ').capitalize()}, coverage",
            definition=f"Area of {target.replace('_', ' ')} over the area of the field of view",
            reference=REFERENCES[target],
            requires=(target,),
            evidence="none: an eye without it has 0",
            compute=partial(_coverage, target=target),
        )
        for target in PHENOTYPES
    ),
    _entry(
        name="peripapillary_atrophy_area",
        label="Peripapillary atrophy, area",
        definition="Area of peripapillary atrophy outside the disc over the area of the disc",
        reference=REFERENCES["peripapillary_atrophy"],
        requires=("peripapillary_atrophy", "optic_disc"),
        evidence="disc found; an eye without the atrophy has 0",
        compute=_peripapillary_area,
    ),
)
