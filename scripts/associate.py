"""Odds ratios of one outcome."""

from retsam import tables
from retsam.association import ASSOCIATION, Extras, associate, repeatability
from retsam.biomarkers import exposures
from retsam.biomarkers.reliability import reliability
from retsam.cohort import has_ungradable, regrade
from retsam.logs import job_log
from retsam.planning import Plan, read_plan
from retsam.segmentation import given_evidence
from retsam.segmentation.weights import evidence_of


def regraded(plan: Plan, outcome: str) -> dict:
    """Eyes and participants on the other side of the quality filter, where that changes anything."""
    if "all_gradabilities" not in settings["sensitivity"]:
        return {}
    path, filtered = snakemake.input.images, snakemake.params.policy == "exclude"
    if not has_ungradable(tables.read_table(path, ["status", "biomarkers_status"])):
        return {}
    eyes, participants = regrade(
        tables.read_table(path),
        policy="none" if filtered else "exclude",
        biomarker_names=[b.name for b in exposures()],
        kinds={outcome: plan.kinds[outcome]},
        covariates=[c for columns in plan.models.values() for c in columns],
    )
    return {"all_gradabilities" if filtered else "gradable_only": (eyes, participants)}


with job_log(snakemake.log[0]):
    plan = read_plan(snakemake.input.plan)
    outcome, settings = snakemake.wildcards.outcome, snakemake.params.settings
    given = snakemake.input.given
    model = snakemake.input.weights or snakemake.params.model
    table = associate(
        tables.read_table(snakemake.input.eyes),
        tables.read_table(snakemake.input.participants),
        outcome,
        biomarkers=exposures(),
        models=plan.models,
        kind=plan.kinds[outcome],
        **{key: settings[key] for key in ("unit", "participant", "method", "transform", "families")},
        **{key: settings[key] for key in ("min_events", "events_per_parameter")},
        extras=Extras(
            quartiles=settings["quartiles"],
            nonlinearity=settings["nonlinearity"],
            interactions=tuple(settings["interactions"]),
            strata=tuple(settings["strata"]),
            sensitivity=tuple(settings["sensitivity"]),
            imputations=settings["imputations"],
        ),
        regraded=regraded(plan, outcome),
        evidence=given_evidence(given) if given else evidence_of(model),
        reliability=repeatability(reliability()),
    )
    tables.write_table(table, snakemake.output[0], ASSOCIATION)
    print(table.groupby(["analysis", "term"], sort=False)["status"].value_counts().to_string())
