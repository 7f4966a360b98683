"""Synthetic fundus photographs and cohorts whose every mask, landmark and odds ratio is known.

- ``vessels``   artery and vein trees        - ``raster``    degrees to pixels
- ``anatomy``   one eye in degrees           - ``paint``     its colours
- ``camera``    aim, light, lens, sensor     - ``compose``   one photograph with its truth
- ``cohort``    people, phenotypes, disease  - ``simulate``  a folder of photographs with a manifest
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
