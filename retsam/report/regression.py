"""How associations were estimated, in words: what the tables hold, not what could have been done."""

from collections.abc import Sequence

import pandas as pd

from retsam.report.analyses import INTERACTION, STRATUM
from retsam.report.inputs import ReportInputs, estimable, model_label

REGRESSIONS = {
    "binary": "logistic regression",
    "ordinal": "proportional-odds regression",
    "continuous": "linear regression",
}
"""Regression by kind of outcome."""

METHODS = {
    "logit_cluster": "Two eyes of a person are not independent: standard errors are cluster-robust by participant "
    "(Liang and Zeger 1986).",
    "gee_exchangeable": "Two eyes of a person are not independent: generalised estimating equations with an "
    "exchangeable correlation were solved, standard errors are robust (Liang and Zeger 1986).",
    "logit": "Where every participant has one row, standard errors are those of the model.",
    "firth": "Where cases were few or separated, Firth's penalised likelihood (Firth 1993) was used.",
    "firth_one_row": "Where cases were few or separated and participants had several rows, Firth's penalised "
    "likelihood (Firth 1993) was used on one row per participant, the most gradable.",
    "ordinal_cluster": "Standard errors of proportional odds are cluster-robust by participant.",
    "ordinal": "",
    "linear_cluster": "Standard errors of linear models are cluster-robust by participant.",
    "linear": "",
}
"""What to say about a method that some row used."""

ANALYSES = {
    "all_gradabilities": "with ungradable photographs taken in",
    "gradable_only": "with gradable photographs alone",
    "one_eye": "with the most gradable eye of each participant alone",
    "imputed": "with missing covariates imputed by chained equations and pooled by Rubin's rules",
}
"""Other analyses in words."""


def methods_of_associations(inputs: ReportInputs) -> str:
    """Paragraph on the models of the associations."""
    sentences = [
        f"Each biomarker was held against each outcome by {_regressions(inputs)} with one row per {inputs.unit}; "
        "complete cases per biomarker. Effects are for one standard deviation more of the biomarker.",
        *_transforms(inputs),
        *_models(inputs),
        *_fitted(inputs),
        "False discovery rates (q) are after Benjamini and Hochberg (1995), within outcome, model and family of "
        "biomarkers. An effect that no method could estimate is listed with its reason.",
        *_terms(inputs),
        *_analyses(inputs),
    ]
    return " ".join(sentences)


def _regressions(inputs: ReportInputs) -> str:
    """Regressions by kind of outcome; which outcome has which, where there are several kinds."""
    kinds: dict[str, list[str]] = {}
    for outcome in inputs.associations:
        kinds.setdefault(inputs.kind(outcome), []).append(inputs.outcome_label(outcome))
    named = [(REGRESSIONS[k], kinds[k]) for k in REGRESSIONS if k in kinds]
    return listed([f"{name} ({', '.join(which)})" if len(named) > 1 else name for name, which in named])


def listed(parts: Sequence[str]) -> str:
    """Parts as a list in a sentence: ``a, b and c``."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), *parts[-1:]])


def _transforms(inputs: ReportInputs) -> list[str]:
    used = _seen(inputs, "transform", main=True)
    words = {
        "log1p": "Values of biomarkers that are never negative and strongly skewed entered as logarithms, "
        "log(1 + x / s); the notes of the rows give s.",
        "rank_normal": "Biomarkers entered as normal quantiles of their ranks.",
    }
    return [text for transform, text in words.items() if transform in used]


def _models(inputs: ReportInputs) -> list[str]:
    declared = [
        f"“{model_label(model)}” ({', '.join(covariates) if covariates else 'no covariate'})"
        for model, covariates in inputs.models.items()
    ]
    return [f"Models, declared beforehand: {'; '.join(declared)}."] if declared else []


def _fitted(inputs: ReportInputs) -> list[str]:
    used = {str(m) for t in inputs.associations.values() for m in t.loc[estimable(t), "method"]}
    others = sorted(used - set(METHODS))
    said = [METHODS[m] for m in METHODS if m in used and METHODS[m]]
    return [*said, *([f"Other methods: {', '.join(others)}."] if others else [])]


def _terms(inputs: ReportInputs) -> list[str]:
    """Other terms of the main analysis."""
    terms = _seen(inputs, "term")
    sentences = []
    if any(t.endswith("_vs_q1") for t in terms):
        sentences.append("Quarters of each biomarker, cut so that a person counts once, were held against the lowest.")
    if "nonlinear" in terms:
        sentences.append(
            "Restricted cubic splines were tested against the straight line (Wald test of all curved terms)."
        )
    modifiers = sorted(t.removeprefix(INTERACTION) for t in terms if t.startswith(INTERACTION))
    if modifiers:
        sentences.append(f"Interactions were tested with {listed(modifiers)}.")
    return sentences


def _analyses(inputs: ReportInputs) -> list[str]:
    """Other analyses of the same models."""
    seen = _seen(inputs, "analysis")
    made = [words for name, words in ANALYSES.items() if name in seen]
    sites = sum(name.startswith("without_site:") for name in seen)
    made += ["without each site in turn"] * bool(sites)
    columns = sorted({name.removeprefix(STRATUM).split("=")[0] for name in seen if name.startswith(STRATUM)})
    made += [f"within parts of the cohort by {listed(columns)}"] * bool(columns)
    return [f"The models were fitted anew {listed(made)}; these rows have q values of their own."] if made else []


def _seen(inputs: ReportInputs, column: str, main: bool = False) -> set[str]:
    """Values of a column in any association table; of main rows only, where asked for."""
    rows = [inputs.associations[o] if main else inputs.every_row(o) for o in inputs.associations]
    return {str(v) for table in rows for v in table.get(column, pd.Series(dtype=object)).unique()}
