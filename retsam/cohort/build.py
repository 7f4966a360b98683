"""Images to eyes to participants.

The rules, in one place:

* An image is included when its manifest row, its file, its field of view and its measurement are ok, and, under the
  policy ``exclude``, when it is gradable. The first reason that applies is its exclusion.
* An eye is a (participant, eye, visit). Where the manifest does not say which eye, the laterality measured from disc
  and fovea decides; where that is unknown too, the image stands for an eye of its own.
* The included image with the highest gradability represents its eye (ties: manifest order).
* An outcome of an eye is 1 if any of its included images says 1, 0 if all that are known say 0, NaN if none is known;
  the same rule leads from eyes to a participant (any eye affected). Of grades it is the highest, of a continuous trait
  the mean.
* A participant's biomarkers are the mean of the eyes that have a value. Age and sex are the first that are known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from retsam.cohort.asymmetry import asymmetry as between_eyes
from retsam.cohort.flow import STAGES, describe_flow
from retsam.cohort.join import join_images
from retsam.status import Status

Policy = Literal["exclude", "flag", "none"]

MEAN_KIND = "continuous"
"""Outcomes of this kind are averaged; of all others the largest counts."""

PERSON_COLUMNS = ("age", "sex")
"""Facts of a person, filled from the person's other images where one image lacks them."""

CONTEXT_COLUMNS = ("camera", "site")
"""Manifest columns that every table keeps, if the manifest has them."""

KEYS = (
    "participant_id",
    "eye",
    "visit",
    "image_id",
    "manifest_row",
    "n_images",
    "n_eyes",
    "eye_source",
    "laterality",
    "gradability",
    "gradable",
    "flagged",
)
"""Columns of the tables whatever the study asks."""


@dataclass(frozen=True)
class Cohort:
    """The three analysis tables and the account of how they came about.

    Attributes
    ----------
    images : DataFrame
        One row per manifest row, in its order, with everything that is known: the manifest's columns; ``eye`` (OD, OS
        or null; see ``eye_source``: manifest, image, unknown); ``status`` and ``message`` (the first thing wrong with
        the image, whatever the policy), ``manifest_status``, ``quality_status``, ``biomarkers_status``; gradability,
        gradable, quality features; laterality (from disc and fovea) and ``laterality_mismatch`` (bool, null where the
        manifest or the photograph does not say which eye); NAME (float64) and NAME__status of each biomarker;
        ``included`` (bool), ``exclusion`` (the reason, null if included), ``flagged`` (included though ungradable) and
        ``represents_eye`` (bool).
    eyes : DataFrame
        One row per (participant, eye, visit) with an included image, in manifest order: participant_id, eye, visit,
        image_id and manifest_row of the image that represents it, n_images, eye_source, laterality, age, sex, camera,
        site, gradability (0-1), gradable, flagged, outcomes (0, 1, NaN), covariates, biomarkers and their statuses.
    participants : DataFrame
        One row per (participant, visit): participant_id, visit, n_eyes, n_images, age, sex, camera, site, gradability
        (mean), flagged (any eye), outcomes (any eye), covariates (mean if numeric, else the first known), biomarkers
        (mean of the eyes with a value) and their statuses (ok if any eye is, else that of the first eye); where it
        was asked for, right against left eye.
    flow : dict
        JSON-serialisable; see :func:`retsam.cohort.flow.describe_flow`.
    """

    images: pd.DataFrame
    eyes: pd.DataFrame
    participants: pd.DataFrame
    flow: dict[str, Any]


def build_cohort(
    manifest: pd.DataFrame,
    quality: pd.DataFrame,
    biomarkers: pd.DataFrame,
    *,
    policy: Policy = "exclude",
    biomarker_names: Sequence[str] | None = None,
    outcomes: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    covariates: Sequence[str] = (),
    asymmetry: Sequence[str] = (),
) -> Cohort:
    """Build the cohort tables.

    Parameters
    ----------
    manifest : DataFrame
        Normalised manifest, one row per image: manifest_row, image_id (unique), participant_id, eye (OD, OS, null),
        visit, age (years), sex (f, m, null), status, message, outcomes as 0, 1 or NaN, any other column.
    quality : DataFrame
        One row per image: image_id, status, message, gradability (0-1), gradable (bool), features.
    biomarkers : DataFrame
        One row per image: image_id, status, laterality (OD, OS, null), NAME and NAME__status of each biomarker.
    policy : {"exclude", "flag", "none"}
        Ungradable images are left out, kept and marked, or kept.
    biomarker_names : sequence of str, optional
        Biomarkers to take; by default every column of ``biomarkers`` that has a ``__status`` beside it. A name that
        the table lacks is NaN with status not_segmented.
    outcomes, covariates : sequence of str
        Columns of the manifest (a covariate may also be a quality column, such as gradability). One that is nowhere
        is NaN throughout and said so in the flow. Outcome values other than 0 and 1 count as unknown.
    kinds : mapping, optional
        Outcome -> ``binary``, ``ordinal`` or ``continuous``; binary if not named. The latter two may be any numbers.
    asymmetry : sequence of str
        Biomarkers, of those taken, of which the participants' table says how much the two eyes differ; see
        :func:`retsam.cohort.asymmetry.asymmetry`.

    Returns
    -------
    Cohort

    Raises
    ------
    ValueError
        For an unknown policy, a table with a repeated image_id, or an outcome or covariate with the name of a
        measured value.

    Notes
    -----
    The result does not depend on the order of the rows of any table. An image without a row in ``quality`` or
    ``biomarkers`` is excluded as ``failed``; it never disappears.
    """
    if policy not in ("exclude", "flag", "none"):
        raise ValueError(f"quality policy {policy!r} is unknown; use 'exclude', 'flag' or 'none'.")
    names = _biomarker_names(biomarkers) if biomarker_names is None else list(dict.fromkeys(biomarker_names))
    outcomes, covariates = list(dict.fromkeys(outcomes)), list(dict.fromkeys(covariates))
    for name in outcomes:
        if name in KEYS or name in PERSON_COLUMNS:
            raise ValueError(f"{name!r} cannot be an outcome; name a 0/1 column of the manifest.")
    images = join_images(manifest, quality, biomarkers, biomarker_names=names, wanted=[*outcomes, *covariates])
    absent = [c for c in [*outcomes, *covariates] if c not in images]
    images = pd.concat([images, pd.DataFrame(np.nan, index=images.index, columns=absent)], axis=1)
    kinds = {name: (kinds or {}).get(name, "binary") for name in outcomes}
    invalid = {name: _to_numbers(images, name, kind) for name, kind in kinds.items()}
    images["participant_id"] = _participants_of(images)
    images = _resolve_eyes(images)
    images, stage = _exclude(images, policy)
    eye_codes = _eye_codes(images)
    images["represents_eye"] = _best_of_eye(images, eye_codes)
    extra = [c for c in covariates if c not in (*KEYS, *outcomes, *names)]  # what the tables do not hold anyway
    eyes, eye_conflicts = _eyes(images, eye_codes, names, kinds, extra)
    participants = _participants(eyes, names, kinds, extra)
    if asymmetry:
        participants = pd.concat([participants, between_eyes(eyes, _visit_codes(eyes), asymmetry)], axis=1)
    flow = describe_flow(
        images,
        eyes,
        participants,
        stage=stage,
        eye_codes=eye_codes,
        policy=policy,
        outcomes=kinds,
        covariates=covariates,
        absent=absent,
        invalid=invalid,
        eye_conflicts=eye_conflicts,
    )
    return Cohort(images, eyes, participants, flow)


DECIDED = ("status", "message", "included", "exclusion", "flagged", "represents_eye")
"""Columns of the images' table that depend on the quality policy."""


def regrade(
    images: pd.DataFrame,
    *,
    policy: Policy,
    biomarker_names: Sequence[str],
    kinds: Mapping[str, str],
    covariates: Sequence[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Eyes and participants of the same images under another quality policy.

    Parameters
    ----------
    images : DataFrame
        ``images`` of a :class:`Cohort`; biomarkers, outcomes and covariates that are not named may be left out.
    policy : {"exclude", "flag", "none"}
        See :func:`build_cohort`.
    biomarker_names : sequence of str
    kinds : mapping
        Outcome -> ``binary``, ``ordinal`` or ``continuous``.
    covariates : sequence of str

    Returns
    -------
    eyes, participants : DataFrame
        As in a :class:`Cohort`, without the comparison of the two eyes.
    """
    undecided = images.drop(columns=list(DECIDED), errors="ignore").reset_index(drop=True)
    said = pd.DataFrame({"quality_message": _nothing(undecided)})
    images, _ = _exclude(pd.concat([undecided, said], axis=1), policy)
    eye_codes = _eye_codes(images)
    best = pd.DataFrame({"represents_eye": _best_of_eye(images, eye_codes)})
    images = pd.concat([images, best], axis=1)
    names = list(biomarker_names)
    extra = [c for c in covariates if c in images and c not in (*KEYS, *kinds, *names)]
    eyes, _ = _eyes(images, eye_codes, names, kinds, extra)
    return eyes, _participants(eyes, names, kinds, extra)


def has_ungradable(images: pd.DataFrame) -> bool:
    """Whether gradability alone keeps, or may keep, a measured image out of a cohort's tables."""
    measured = images["biomarkers_status"].eq(Status.OK.value)
    return bool((images["status"].eq(Status.UNGRADABLE.value) & measured).any())


def _biomarker_names(biomarkers: pd.DataFrame) -> list[str]:
    return [c for c in biomarkers.columns if f"{c}__status" in biomarkers.columns]


def _to_numbers(images: pd.DataFrame, name: str, kind: str) -> int:
    """Make an outcome column numbers or NaN in place; the number of known values that cannot be: 0 and 1 if binary."""
    number = pd.to_numeric(images[name], errors="coerce").astype(float)
    valid = number.isin([0.0, 1.0]) if kind == "binary" else np.isfinite(number)
    wrong = images[name].notna() & ~valid
    images[name] = number.where(valid)
    return int(wrong.sum())


def _participants_of(images: pd.DataFrame) -> pd.Series:
    """Participant of each image; an image without one is a participant of its own."""
    if "participant_id" not in images:
        return images["image_id"]
    return images["participant_id"].where(images["participant_id"].notna(), images["image_id"])


def _resolve_eyes(images: pd.DataFrame) -> pd.DataFrame:
    """Set eye, eye_source and laterality_mismatch; add an empty visit where the manifest has none."""
    laterality = images["laterality"]  # OD, OS or null
    given = images["eye"].astype(object) if "eye" in images else _nothing(images)
    stated = given.isin(["OD", "OS"])
    source = np.where(stated, "manifest", np.where(laterality.notna(), "image", "unknown"))
    other = pd.Series(given != laterality, index=images.index).astype(object)
    new = {
        "eye": given.where(stated, laterality),
        "eye_source": pd.Series(source, index=images.index),
        "laterality_mismatch": other.where(stated & laterality.notna(), None),
    }
    if "visit" not in images:
        new["visit"] = _nothing(images)
    return pd.concat([images.drop(columns=["eye"], errors="ignore"), pd.DataFrame(new, index=images.index)], axis=1)


def _nothing(table: pd.DataFrame) -> pd.Series:
    """A column of nulls."""
    return pd.Series([None] * len(table), index=table.index).astype(object)


def _exclude(images: pd.DataFrame, policy: Policy) -> tuple[pd.DataFrame, np.ndarray]:
    """Add status, message, included, exclusion and flagged; also where in STAGES each image leaves (-1: it stays)."""
    ok = Status.OK.value
    every = np.full(len(images), ok, dtype=object)
    listed = images["manifest_status"].fillna(ok).astype(object).to_numpy() if "manifest_status" in images else every
    graded = images["quality_status"].astype(object).to_numpy()
    measured = images["biomarkers_status"].astype(object).to_numpy()
    of_gradability = graded == Status.UNGRADABLE.value
    ungradable = of_gradability | ((graded == ok) & ~images["gradable"].to_numpy(dtype=bool))
    no_fundus = graded == Status.NO_FUNDUS.value
    rules = [  # in pipeline order; names as in STAGES
        ("listed", listed != ok, listed),
        ("readable", (graded != ok) & ~no_fundus & ~of_gradability, graded),
        ("fundus", no_fundus, graded),
        ("gradable", ungradable, np.full(len(images), Status.UNGRADABLE.value, object)),
        ("measured", (measured != ok), measured),
    ]
    status = np.select([hit for _, hit, _ in rules], [reason for *_, reason in rules], default=ok).astype(object)
    binding = [(name, hit, reason) for name, hit, reason in rules if name != "gradable" or policy == "exclude"]
    exclusion = np.select([hit for _, hit, _ in binding], [reason for *_, reason in binding], default=ok).astype(object)
    order = [name for name, _ in STAGES]
    stage = np.select([hit for _, hit, _ in binding], [order.index(name) for name, *_ in binding], default=-1)
    included = stage < 0
    new = {
        "status": status,
        "message": _messages(images, status, listed),
        "included": included,
        "exclusion": pd.Series(exclusion, index=images.index).astype(object).where(~included, None),
        "flagged": included & ungradable & (policy == "flag"),
    }
    images = images.drop(columns=["manifest_message", "quality_message"], errors="ignore")
    return pd.concat([images, pd.DataFrame(new, index=images.index)], axis=1), stage


def _messages(images: pd.DataFrame, status: np.ndarray, listed: np.ndarray) -> pd.Series:
    """Message of the status: the manifest's if the row is bad, else quality's; null where all is well."""
    first = images["manifest_message"].astype(object) if "manifest_message" in images else _nothing(images)
    second = images["quality_message"].astype(object)
    message = first.where(listed != Status.OK.value, second).where(status != Status.OK.value, None)
    return message.where(message.notna(), None)


def _eye_codes(images: pd.DataFrame) -> np.ndarray:
    """An integer per (participant, eye, visit), in order of first appearance; an unknown eye is one of its own."""
    person = pd.factorize(images["participant_id"])[0]
    visit = pd.factorize(images["visit"], use_na_sentinel=False)[0]
    side = np.select([images["eye"].eq("OD"), images["eye"].eq("OS")], [-2, -1], default=np.arange(len(images)))
    keys = pd.DataFrame({"person": person, "visit": visit, "side": side})
    return keys.groupby(["person", "visit", "side"], sort=False).ngroup().to_numpy()


def _best_of_eye(images: pd.DataFrame, eye_codes: np.ndarray) -> np.ndarray:
    """Whether an image represents its eye: the highest gradability among the included, then manifest order."""
    included = np.flatnonzero(images["included"].to_numpy())
    rank = -images["gradability"].to_numpy()[included]  # NaN sorts last
    order = included[np.lexsort((images["manifest_row"].to_numpy()[included], rank, eye_codes[included]))]
    first = np.ones(len(order), dtype=bool)
    first[1:] = eye_codes[order][1:] != eye_codes[order][:-1]
    best = np.zeros(len(images), dtype=bool)
    best[order[first]] = True
    return best


def _first_known(values: pd.Series, codes: np.ndarray) -> pd.Series:
    """Missing values filled with the first known one of the same group."""
    return values.where(values.notna(), values.groupby(codes).transform("first"))


def _merged(table: pd.DataFrame, codes: np.ndarray, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Outcomes of each group of rows: the largest known one, or the mean."""
    groups = table[list(kinds)].groupby(codes)
    made, mean = groups.max(), groups.mean()
    averaged = [name for name, kind in kinds.items() if kind == MEAN_KIND]
    return made.assign(**{name: mean[name] for name in averaged})


def _eyes(
    images: pd.DataFrame, eye_codes: np.ndarray, names: list[str], kinds: Mapping[str, str], covariates: list[str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row per eye; also the number of eyes whose images disagree, per outcome."""
    included = images["included"].to_numpy()
    used = images[included].reset_index(drop=True)
    codes = eye_codes[included]
    eyes = used[used["represents_eye"]].reset_index(drop=True)
    key = codes[used["represents_eye"].to_numpy()]
    labels = used[list(kinds)].groupby(codes)
    highest, lowest = labels.max(), labels.min()
    conflicts = {name: int((highest[name] > lowest[name]).sum()) for name in kinds}
    merged = _merged(used, codes, kinds)
    own = [c for c in (*PERSON_COLUMNS, *CONTEXT_COLUMNS) if c in used]
    # An age belongs to a visit and a sex to a person, on whichever image it is stated; anything else to the eye.
    by_level = {"age": _visit_codes(images), "sex": pd.factorize(images["participant_id"])[0]}
    filled = pd.DataFrame(
        {
            c: (_first_known(images[c], by_level[c])[included] if c in by_level else _first_known(used[c], codes)).array
            for c in dict.fromkeys([*own, *covariates])
        },
        index=used.index,
    )
    kept = filled[used["represents_eye"].to_numpy()].reset_index(drop=True)
    first = eyes[["participant_id", "eye", "visit", "image_id", "manifest_row"]]
    count = pd.Series(codes).groupby(codes).size().loc[key].rename("n_images").reset_index(drop=True)
    graded = eyes[["eye_source", "laterality", "gradability", "gradable", "flagged"]]
    measured = eyes[[c for name in names for c in (name, f"{name}__status")]]
    parts = [first, count, kept[own], graded, merged.loc[key].reset_index(drop=True), kept.drop(columns=own)]
    return pd.concat([*parts, measured], axis=1), conflicts


def _visit_codes(table: pd.DataFrame) -> np.ndarray:
    """An integer per (participant, visit), in order of first appearance."""
    return table.groupby(["participant_id", "visit"], sort=False, dropna=False).ngroup().to_numpy()


def _participants(
    eyes: pd.DataFrame, names: list[str], kinds: Mapping[str, str], covariates: list[str]
) -> pd.DataFrame:
    codes = _visit_codes(eyes)
    groups = eyes.groupby(codes)
    own = [c for c in (*PERSON_COLUMNS, *CONTEXT_COLUMNS) if c in eyes]
    others = [c for c in covariates if c not in own]
    numeric = [c for c in others if pd.api.types.is_numeric_dtype(eyes[c]) and not pd.api.types.is_bool_dtype(eyes[c])]
    spread = groups[numeric]
    means, first = spread.mean(), groups[["participant_id", "visit", *own, *others]].first()
    varies = spread.max() != spread.min()  # the mean of equal numbers must be that number, to the last bit
    for c in numeric:
        first[c] = means[c].where(varies[c], first[c])
    counts = pd.DataFrame({"n_eyes": groups.size(), "n_images": groups["n_images"].sum()})
    quality = pd.DataFrame({"gradability": groups["gradability"].mean(), "flagged": groups["flagged"].any()})
    mean = groups[names].mean()
    status = groups[[f"{name}__status" for name in names]].first()
    measured = {}
    for name in names:
        known = f"{name}__status"
        measured[name] = mean[name]
        measured[known] = status[known].where(mean[name].isna(), Status.OK.value)
    keys = first[["participant_id", "visit"]]
    parts = [
        keys,
        counts,
        first[own],
        quality,
        _merged(eyes, codes, kinds),
        first[others],
        pd.DataFrame(measured, index=keys.index),
    ]
    return pd.concat(parts, axis=1).reset_index(drop=True)
