"""One row of quality per image of a shard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from retsam.io.frames import FramedImage, iter_frames
from retsam.quality.features import FEATURES, SIDE, measure
from retsam.quality.gradability import load_model
from retsam.status import Status
from retsam.tables import FRAME_COLUMNS, KEY, STATUS, conform

THRESHOLD: Final = 0.5
"""Default gradability from which on a photograph counts as gradable."""

QUALITY: Final = pa.schema(
    [
        KEY,
        STATUS,
        pa.field("message", pa.string(), nullable=False),
        pa.field("gradability", pa.float64()),
        pa.field("gradable", pa.bool_(), nullable=False),
        *(pa.field(name, pa.float64()) for name in FEATURES),
        *FRAME_COLUMNS,
    ]
)
"""One row per image. Gradability and features are NaN, and the frame null, where there is no frame."""

_NO_FUNDUS_MESSAGE = "the picture does not look like a fundus photograph"


def score(framed: FramedImage) -> dict[str, Any]:
    """Judge one framed photograph.

    Parameters
    ----------
    framed : FramedImage
        With a frame of any size; features are computed at 512 px.

    Returns
    -------
    dict
        ``status`` (the image's own, or ``no_fundus`` for a picture that shows no retina), ``message``, ``gradability``
        (0-1) and every name of ``FEATURES``; all NaN where the image has no frame. A picture judged ``no_fundus`` here
        keeps its numbers, so that the judgement can be checked.
    """
    if framed.image is None or framed.fov is None:
        nothing = dict.fromkeys(("gradability", *FEATURES), float("nan"))
        return {"status": framed.status, "message": framed.message, **nothing}
    values = measure(framed.image, framed.fov)
    model = load_model()
    no_fundus = model.is_no_fundus(values)
    return {
        "status": Status.NO_FUNDUS if no_fundus else framed.status,
        "message": _NO_FUNDUS_MESSAGE if no_fundus else framed.message,
        "gradability": model.gradability(values),
        **values,
    }


def quality_table(
    shard: pd.DataFrame,
    root: Path,
    *,
    threshold: float = THRESHOLD,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Judge every image of a shard.

    Parameters
    ----------
    shard : DataFrame
        Columns of ``tables.SHARD``.
    root : Path
        Folder that relative paths start from.
    threshold : float
        Gradability (0-1) from which on an image counts as gradable.
    workers : int
        Threads that read images; the result does not depend on it.
    progress : callable, optional
        Called with the number of images done so far.

    Returns
    -------
    DataFrame
        Columns of ``QUALITY``, one row per row of the shard and in its order.

    Raises
    ------
    ValueError
        If the threshold lies outside 0-1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"the gradability threshold must lie between 0 and 1, not {threshold}")
    rows = []
    for framed in iter_frames(shard, root, SIDE, workers):
        rows.append(_row(framed, threshold))
        if progress is not None:
            progress(len(rows))
    return conform(pd.DataFrame(rows, columns=QUALITY.names), QUALITY).to_pandas()


def _row(framed: FramedImage, threshold: float) -> dict[str, Any]:
    judged = score(framed)
    frame = framed.frame.as_row() if framed.frame is not None else dict.fromkeys(f.name for f in FRAME_COLUMNS)
    gradable = judged["status"] == Status.OK and judged["gradability"] >= threshold
    return {"image_id": framed.image_id, **judged, "status": str(judged["status"]), "gradable": gradable, **frame}
