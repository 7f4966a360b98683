"""Manifest, quality and biomarkers side by side: one row per manifest row, always."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retsam.status import MEANING, Status

NO_ROW = Status.FAILED
"""Status of a step that has no row for an image: the step did not finish for it."""

OWN = (
    "eye_source",
    "laterality_mismatch",
    "included",
    "exclusion",
    "flagged",
    "represents_eye",
    "manifest_status",
    "manifest_message",
)
"""Columns that the cohort adds; a user's column of such a name makes way."""

STANDARD = ("manifest_row", "participant_id", "eye", "visit", "camera", "site", "age", "sex", "um_per_px", "path")
"""Columns that only the manifest may give."""


def join_images(
    manifest: pd.DataFrame,
    quality: pd.DataFrame,
    biomarkers: pd.DataFrame,
    *,
    biomarker_names: Sequence[str],
    wanted: Sequence[str] = (),
) -> pd.DataFrame:
    """Put everything known about an image into one row.

    Parameters
    ----------
    manifest : DataFrame
        Normalised manifest: manifest_row, image_id (unique), participant_id, eye, visit, age, sex, status, message,
        and the user's columns.
    quality : DataFrame
        image_id, status, message, gradability, gradable and features. Rows of other images are ignored.
    biomarkers : DataFrame
        image_id, status, laterality (with laterality_source, if it is there, only what comes from disc and fovea) and,
        for each biomarker, NAME (float) and NAME__status. Rows of other images are ignored.
    biomarker_names : sequence of str
        Biomarkers to take.
    wanted : sequence of str
        Outcomes and covariates: manifest columns that must keep their names.

    Returns
    -------
    DataFrame
        Rows in the order of manifest_row, range index. The manifest's columns, then ``manifest_status``,
        ``quality_status`` and ``biomarkers_status`` (the status of each step), laterality, gradability, gradable, the
        other quality columns, and NAME, NAME__status of each biomarker (the status is never null). A manifest column
        with the name of a measured column is renamed ``NAME__manifest``; ``status`` and ``message`` are left to the
        caller (see ``build_cohort``).

    Raises
    ------
    ValueError
        If a table has no ``image_id``, has one twice, or an outcome or covariate has the name of a measured value.
    """
    manifest = manifest.sort_values("manifest_row", kind="stable", ignore_index=True)
    for name, table in (("manifest", manifest), ("quality", quality), ("biomarkers", biomarkers)):
        _check_key(table, name)
    ids = pd.Index(manifest["image_id"])
    measured = _measured(ids, biomarkers, biomarker_names)
    graded = _graded(ids, quality, without={*measured.columns, *STANDARD, *OWN})
    computed = {*measured.columns, *graded.columns, *OWN}
    return pd.concat([_renamed(manifest, computed, wanted), graded, measured], axis=1)


def _check_key(table: pd.DataFrame, name: str) -> None:
    if "image_id" not in table:
        raise ValueError(f"the {name} table has no column 'image_id'; it needs one row per image.")
    repeated = table["image_id"].duplicated()
    if repeated.any():
        raise ValueError(
            f"the {name} table has image_id {table['image_id'][repeated].iloc[0]!r} more than once; "
            "rebuild it with one row per image."
        )


def _reindex(table: pd.DataFrame, ids: pd.Index, columns: Sequence[str]) -> pd.DataFrame:
    """Rows of a table in the order of ``ids``, missing ones as NaN."""
    return table.set_index("image_id")[list(columns)].reindex(ids).reset_index(drop=True)


def _measured(ids: pd.Index, biomarkers: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    status = _reindex(biomarkers, ids, ["status"])["status"] if "status" in biomarkers else pd.Series([None] * len(ids))
    status = status.where(status.notna(), NO_ROW.value)
    parts: dict[str, pd.Series] = {"biomarkers_status": status}
    given = [c for name in names for c in (name, f"{name}__status") if c in biomarkers]
    sides = [c for c in ("laterality", "laterality_source") if c in biomarkers]
    rows = _reindex(biomarkers, ids, [*given, *sides])
    laterality = rows["laterality"] if "laterality" in rows else pd.Series([None] * len(ids))
    seen = laterality.isin(["OD", "OS"])
    if "laterality_source" in rows:  # what repeats the manifest is no second opinion
        seen &= rows["laterality_source"] != "manifest"
    parts["laterality"] = laterality.astype(object).where(seen, None)
    absent = pd.Series(Status.NOT_SEGMENTED.value, index=status.index)
    for name in names:
        value = pd.to_numeric(rows[name], errors="coerce") if name in rows else pd.Series(np.nan, index=status.index)
        value = value.astype(float).where(np.isfinite(value), np.nan)
        known = f"{name}__status"
        reason = rows[known] if known in rows else absent.where(value.isna(), Status.OK.value)
        parts[name] = value
        parts[known] = reason.where(reason.notna(), status.where(status != Status.OK, NO_ROW.value))
    return pd.DataFrame(parts)


def _graded(ids: pd.Index, quality: pd.DataFrame, without: set[str]) -> pd.DataFrame:
    features = [c for c in quality.columns if c not in {"image_id", "status", "message", *without}]
    rows = _reindex(quality, ids, [c for c in ("status", "message") if c in quality] + features)
    status = rows["status"] if "status" in rows else pd.Series([None] * len(ids))
    message = rows["message"] if "message" in rows else pd.Series([None] * len(ids))
    unseen = status.isna()
    nan, no = pd.Series(np.nan, index=status.index), pd.Series(False, index=status.index)
    out = {
        "quality_status": status.where(~unseen, NO_ROW.value),
        "quality_message": message.astype(object).where(~unseen, f"no quality row: {MEANING[NO_ROW]}"),
        "gradability": rows["gradability"].astype(float) if "gradability" in rows else nan,
        "gradable": rows["gradable"].eq(True) if "gradable" in rows else no,
    }
    return pd.DataFrame({**out, **{c: rows[c] for c in features if c not in out}})


def _renamed(manifest: pd.DataFrame, computed: set[str], wanted: Sequence[str]) -> pd.DataFrame:
    clash = [c for c in manifest.columns if c in computed]
    for name in wanted:
        if name in clash:
            raise ValueError(
                f"column {name!r} of the manifest has the name of a measured value; "
                "rename it in the manifest and in the configuration."
            )
    out = manifest.rename(columns={c: f"{c}__manifest" for c in clash})
    return out.rename(columns={"status": "manifest_status", "message": "manifest_message"})
