"""Synthetic fundus photographs and cohorts whose every mask, measurement and odds ratio is known.

An eye, in degrees:

- ``population``  how parameters vary             - ``anatomy``   one healthy eye
- ``vessels``     artery and vein trees           - ``disc``      disc, cup and rim
- ``finding``     what a finding is               - ``pathology`` which of them an eye has
- ``lesions*``, ``myopia``, ``vessel_findings``   the findings themselves; ``lesion_table``, ``places``: sizes and sites

A photograph of it:

- ``raster``, ``shapes``, ``texture``  degrees to pixels   - ``paint``      its colours
- ``camera``, ``artifacts``            aim, light, lens    - ``compose``    one photograph with its truth
- ``truth``, ``branches``              its true biomarkers - ``handbook``   all tables, printed

A study of them: ``cohort`` (people, phenotypes, diseases) and ``simulate`` (a folder of photographs with a manifest).
"""

from retsam.phantom.cohort import MODELS, OutcomeModel, draw_outcomes, photographs, sample_eyes, with_effects
from retsam.phantom.compose import Phantom, render
from retsam.phantom.simulate import mask_rows, simulate

__all__ = [
    "MODELS",
    "OutcomeModel",
    "Phantom",
    "draw_outcomes",
    "mask_rows",
    "photographs",
    "render",
    "sample_eyes",
    "simulate",
    "with_effects",
]
