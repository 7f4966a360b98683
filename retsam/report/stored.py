"""A report's inputs from the tables of a cohort: no photograph, no mask."""

import json
from pathlib import Path

import pandas as pd

from retsam.biomarkers import REGISTRY
from retsam.planning import read_plan
from retsam.report.inputs import ReportInputs, main_rows
from retsam.tables import read_table


def read_stored(results: str | Path) -> ReportInputs:
    """Read what the workflow has stored of a cohort.

    Parameters
    ----------
    results : path-like
        Folder of the cohort: manifest/plan.json, provenance.json, cohort/, association/ and, if there, prediction/.

    Returns
    -------
    ReportInputs
        Without thumbnails and without the truth of a simulated cohort.
    """
    results = Path(results)
    plan = read_plan(results / "manifest" / "plan.json")
    provenance = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    config = provenance["config"]
    images = read_table(results / "cohort" / "images.parquet")
    asked = plan.outcomes if config.get("prediction", {}).get("enabled", True) else []  # others are of an earlier run
    analyses = {o: read_table(results / "association" / f"{o}.parquet") for o in plan.outcomes}
    return ReportInputs(
        cohort=config["cohort"],
        title=config["report"]["title"],
        images=images,
        eyes=read_table(results / "cohort" / "eyes.parquet"),
        participants=read_table(results / "cohort" / "participants.parquet"),
        flow=json.loads((results / "cohort" / "flow.json").read_text(encoding="utf-8")),
        associations={outcome: main_rows(table) for outcome, table in analyses.items()},
        analyses=analyses,
        prediction=_predictions(results, asked, ""),
        prediction_curves=_predictions(results, asked, "_curves"),
        prediction_weights=_predictions(results, asked, "_weights"),
        quality=images.drop(columns="status").rename(columns={"quality_status": "status"}),
        biomarkers=REGISTRY,
        provenance=provenance,
        config=config,
        models=plan.models,
        covariates=plan.covariates,
        threshold=config["quality"]["threshold"],
        policy=config["quality"]["policy"],
        unit=config["association"]["unit"],
    )


def _predictions(results: Path, outcomes: list[str], suffix: str) -> dict[str, pd.DataFrame]:
    """Tables of the outcomes that were predicted."""
    paths = {o: results / "prediction" / f"{o}{suffix}.parquet" for o in outcomes}
    return {outcome: read_table(path) for outcome, path in paths.items() if path.is_file()}
