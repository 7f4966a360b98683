"""Family quality: the columns of the quality table, as columns beside the biomarkers."""

from functools import partial

import pandas as pd

from retsam.biomarkers.biomarker import Biomarker, Unmeasurable
from retsam.biomarkers.image import RetinalImage
from retsam.quality import FEATURES
from retsam.status import Status


def _column(image: RetinalImage, column: str) -> float:
    """Value in the image's quality row; ``not_assessed`` without a row, or where it is empty."""
    if image.quality is None or pd.isna(image.quality.get(column)):
        raise Unmeasurable(Status.NOT_ASSESSED)
    return float(image.quality[column])


def _label(column: str) -> str:
    """Column name in print, with the field's abbreviations in capitals."""
    words = column.replace("_", " ").replace("fov", "field of view,").split(" ")
    text = " ".join(word.upper() if word in ("cv", "cnr") else word for word in words)
    return text[0].upper() + text[1:]


def _biomarker(column: str, unit: str, definition: str, reference: str) -> Biomarker:
    return Biomarker(
        name=f"quality_{column}",
        family="quality",
        label=_label(column),
        unit=unit,
        definition=definition[0].upper() + definition[1:],
        reference=reference,
        requires=(),
        evidence="a quality table with this image",
        reasons=(Status.NOT_ASSESSED,),
        compute=partial(_column, column=column),
    )


BIOMARKERS = (
    _biomarker(
        "gradability",
        "probability",
        "calibrated probability that the photograph is a fundus of which structures can be graded",
        "logistic models on the columns below; see docs/decisions.md",
    ),
    *(_biomarker(name, f.unit, f.definition, f.reference) for name, f in FEATURES.items()),
)
