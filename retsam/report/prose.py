"""The sentences of a report, written from its numbers. No sentence claims what the numbers do not hold."""

from retsam.report import prediction
from retsam.report.inputs import ReportInputs, counted, estimable, model_label
from retsam.report.regression import methods_of_associations
from retsam.report.tables import count, percent, significant


def summary(inputs: ReportInputs) -> list[str]:
    """Summarise a report in one paragraph, as a list of sentences."""
    return [*_who(inputs), *_what(inputs), _caution(inputs)]


def _who(inputs: ReportInputs) -> list[str]:
    gradable = int(inputs.gradings["gradable"].sum())
    total = len(inputs.images)
    people = inputs.participants["participant_id"].nunique() if "participant_id" in inputs.participants else 0
    policy = {"exclude": "were excluded", "flag": "were kept and marked", "none": "were kept"}[inputs.policy]
    return [
        f"The cohort holds {count(total, 'photograph')}, of which {gradable:,} ({percent(gradable, total)}) are "
        "gradable; "
        f"photographs below the gradability threshold of {inputs.threshold:g} {policy}.",
        f"{count(len(inputs.eyes), 'eye')} of {count(people, 'participant')} {_were(people)} left for analysis.",
    ]


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _what(inputs: ReportInputs) -> list[str]:
    if not inputs.associations:
        return ["No outcome was given, so no association was estimated."]
    by_model: dict[str | None, list[str]] = {}
    for outcome, table in inputs.associations.items():
        by_model.setdefault(inputs.primary_model(table), []).append(outcome)
    sentences = []
    for model, outcomes in by_model.items():
        parts = "; ".join(_of_outcome(inputs, outcome, model) for outcome in outcomes)
        where = f" in the model “{model_label(model)}”" if model else ""
        sentences.append(f"Associated at q < {inputs.alpha:g}{where}: {parts}.")
    return sentences + _remarks(inputs)


def _of_outcome(inputs: ReportInputs, outcome: str, model: str | None) -> str:
    """Clause about one outcome in its most adjusted model."""
    table, label = inputs.associations[outcome], inputs.outcome_label(outcome)
    shown = table[counted(table) & (table["model"] == model)]
    if shown.empty:
        return f"{label} with none, as no association could be estimated"
    found = significant(table, model, inputs.alpha)
    flagged = int(found["definitional"].astype(bool).sum())
    binary = inputs.kind(outcome) == "binary"
    most = count(shown["n_events" if binary else "n"].max(), f"affected {inputs.unit}" if binary else inputs.unit)
    return (
        f"{label} with {len(found)} of {count(len(shown), 'biomarker')}"
        + f", {flagged} of them definitional" * bool(flagged)
        + f" (at most {most})"
    )


def _remarks(inputs: ReportInputs) -> list[str]:
    """Sentences about definitional pairs and about what could not be estimated, where there are any."""
    sentences = []
    primary = {o: t[t["model"] == inputs.primary_model(t)] for o, t in inputs.associations.items()}
    if any(
        significant(t, inputs.primary_model(t), inputs.alpha)["definitional"].any()
        for t in inputs.associations.values()
    ):
        sentences.append("A definitional biomarker measures what the outcome is defined by; its odds ratio is no risk.")
    left = sum(int((~estimable(table)).sum()) for table in primary.values())
    if left:
        verb = "has" if left == 1 else "have"
        sentences.append(
            f"{count(left, 'pair')} of biomarker and outcome {verb} no estimate; the reasons are listed below."
        )
    return sentences


def _caution(inputs: ReportInputs) -> str:
    if not inputs.associations:
        return "The tables below describe the photographs and the biomarkers only."
    return (
        "These are associations between measurements and labels of the same photographs: they show neither cause nor "
        "direction, "
        "may reflect image quality, camera or selection, and need a cohort of their own to be confirmed."
    )


def methods(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Methods as (heading, paragraph), from the settings and the tables."""
    return [
        ("Photographs and quality", _methods_quality(inputs)),
        ("Segmentation and biomarkers", _methods_biomarkers(inputs)),
        ("Eyes and participants", _methods_cohort(inputs)),
        *([("Associations", methods_of_associations(inputs))] if inputs.associations else []),
        *([("Prediction", " ".join(prediction.methods(inputs)))] if inputs.prediction else []),
    ]


def _methods_quality(inputs: ReportInputs) -> str:
    policy = {
        "exclude": "Photographs below it were excluded",
        "flag": "Photographs below it were kept and marked",
        "none": "It was reported, and no photograph was excluded for it",
    }[inputs.policy]
    return (
        "Each photograph was cropped to the square around its circular field of view and resized to one canonical "
        "frame without "
        "changing its aspect. Gradability is a calibrated probability between 0 and 1, computed at a fixed size from "
        "field, focus, "
        f"illumination and contrast; the threshold is {inputs.threshold:g}. {policy}."
    )


def _methods_biomarkers(inputs: ReportInputs) -> str:
    return (
        f"{_methods_segmentation(inputs)}Every biomarker is a value with a status: where the structure was not "
        "visible, the evidence too thin or the scale unknown, the value is missing and the reason counted below. Units "
        "other than micrometres are ratios, degrees or multiples of the disc diameter, because the magnification of an "
        "eye is not known from its photograph."
    )


def _methods_segmentation(inputs: ReportInputs) -> str:
    """A sentence on what made the masks, with a space after it; empty where that is not known."""
    segmentation = inputs.config.get("segmentation") or {}
    if segmentation.get("masks"):
        return f"Masks were taken from the table “{segmentation['masks']}”. "
    made = inputs.provenance.get("segmentation") or {}
    model = made.get("model") or segmentation.get("model")
    if not model:
        return ""
    weights = f" (weights sha256 {made['weights_sha256'][:12]})" if made.get("weights_sha256") else ""
    places = {"cpu": "a CPU", "cuda": "a GPU", "cpu, cuda": "CPUs and GPUs"}
    where = places.get(made.get("device", ""), made.get("device", ""))
    computed = f", computed in {made['dtype'].replace(', ', ' and ')} on {where}" if made.get("dtype") else ""
    mirrored = ", as the mean of each photograph’s four mirror images" if made.get("flips") == "true" else ""
    return f"Structures were segmented with the model “{model}”{weights}{computed}{mirrored}. "


def _methods_cohort(inputs: ReportInputs) -> str:
    kinds = {"binary", *(inputs.kind(outcome) for outcome in inputs.associations)}
    return (
        "An eye is represented by its photograph with the highest gradability. A participant counts as affected if "
        "any analysed eye "
        "is, and has the mean of the eyes as biomarker value. A missing label is unknown, never unaffected."
        + " Of grades the highest counts, of continuous traits the mean."
        * (kinds != {"binary"})
    )
