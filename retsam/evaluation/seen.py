"""Which photographs of a data set a network has seen, as the header of its weights tells."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from retsam.datasets import Case
from retsam.errors import UserError

if TYPE_CHECKING:
    from retsam.segmentation.network.checkpoint import Metadata

Role = Literal["train", "validation", "test", "unseen"]

SHARED = (frozenset({"idrid", "idrid_localization"}),)
"""Sets that have photographs in common under different names."""


def role_of(metadata: "Metadata", dataset: str, case: Case) -> Role:
    """What a photograph was to a network.

    Parameters
    ----------
    metadata : Metadata
        Its ``data`` name the photographs held back; all others of a part that was trained on were trained on, or those
        that it names where a part was used in part.
    dataset : str
    case : Case

    Returns
    -------
    str
        ``train``; ``validation``: weights and thresholds were chosen by it; ``test``: kept out of both; ``unseen``: of
        a set or an official part that was not used. A photograph that one stage kept apart and another did not was
        trained on.
    """
    rows = [row for row in _rows(metadata, dataset) if row["split"] in (case.split, "all") or case.split == "all"]
    held = {role: sum(case.image_id in r.get("images", ()) for r in rows if r["role"] == role) for role in _HELD}
    trained = [row for row in rows if row["role"] == "train" and case.image_id in row.get("images", (case.image_id,))]
    if len(trained) > sum(held.values()):
        return "train"
    if held["validation"]:
        return "validation"
    return "test" if held["test"] else "unseen"


_HELD = ("validation", "test")


def _rows(metadata: "Metadata", dataset: str) -> list[Mapping[str, Any]]:
    return [row for row in metadata.data if row["set"] == dataset]


def is_used(metadata: "Metadata", dataset: str) -> bool:
    """Whether any photograph of a set had a part in making the weights."""
    return bool(_rows(metadata, dataset))


def relative(metadata: "Metadata", dataset: str) -> str | None:
    """Name a set that was used and has photographs in common with one that was not; None where there is none."""
    if is_used(metadata, dataset):
        return None
    kin = {name for group in SHARED if dataset in group for name in group}
    return next((name for name in sorted(kin) if is_used(metadata, name)), None)


def held_out(metadata: "Metadata | None", model: str, dataset: str, cases: Iterable[Case]) -> list[Case]:
    """Photographs of a set that a network's training kept apart for a test.

    Parameters
    ----------
    metadata : Metadata or None
        None for a model without weights.
    model : str
        As the user wrote it, for messages.
    dataset : str
    cases : iterable of Case

    Raises
    ------
    UserError
        If there are none.
    """
    if metadata is None:
        raise UserError(f"model {model!r} has no list of photographs that were kept apart; leave --held-out away.")
    if not any(row["role"] == "test" for row in _rows(metadata, dataset)):
        raise UserError(f"{metadata.name} kept no photographs of {dataset} apart for a test; leave --held-out away.")
    kept = [case for case in cases if role_of(metadata, dataset, case) == "test"]
    if not kept:
        raise UserError(f"{dataset}: none of the photographs that {metadata.name} kept apart for a test are there.")
    return kept


def seen_warning(metadata: "Metadata", dataset: str, cases: Iterable[Case]) -> str | None:
    """One line on how many of these photographs are not unseen; None where all are."""
    roles = [role_of(metadata, dataset, case) for case in cases]
    trained, chosen = roles.count("train"), roles.count("validation")
    if not trained + chosen:
        return None
    parts = [f"{trained} trained on"] * bool(trained) + [f"{chosen} used to choose weights and thresholds"] * bool(
        chosen
    )
    return (
        f"{dataset}: {trained + chosen} of {len(roles)} photographs are not unseen by {metadata.name} "
        f"({', '.join(parts)}); figures flatter it"
    )
