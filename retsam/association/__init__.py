"""Odds ratios of outcomes per standard deviation of a biomarker, with two eyes of a person handled as such."""

from retsam.association.analyses import Extras
from retsam.association.attenuation import repeatability
from retsam.association.design import Exposure, is_definitional
from retsam.association.multiplicity import q_values
from retsam.association.run import DEFAULT_MODELS, associate
from retsam.association.schema import ASSOCIATION

__all__ = [
    "ASSOCIATION",
    "DEFAULT_MODELS",
    "Exposure",
    "Extras",
    "associate",
    "is_definitional",
    "q_values",
    "repeatability",
]
