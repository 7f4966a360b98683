"""Provenance, figures and the report.

In:  cohort, association and prediction tables, masks of the photographs shown; for a simulated cohort its true coefficients
     and, where they are beside them, its true values.
Out: provenance.json, report/index.html (one file, no network), figures/*.svg and *.png.
"""


localrules:
    provenance,


rule provenance:
    input:
        plan=f"{RESULTS}/manifest/plan.json",
        given=GIVEN_MASKS or [],
        weights=ancient(WEIGHTS) if WEIGHTS else [],
    output:
        f"{RESULTS}/provenance.json",
    log:
        f"{LOGS}/provenance.log",
    benchmark:
        f"{BENCHMARKS}/provenance.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG.model_dump(mode="json"),
        weights=lambda wildcards: weights_sha256(),
    script:
        "../../scripts/provenance.py"


rule report:
    input:
        plan=f"{RESULTS}/manifest/plan.json",
        provenance=f"{RESULTS}/provenance.json",
        images=f"{RESULTS}/cohort/images.parquet",
        eyes=f"{RESULTS}/cohort/eyes.parquet",
        participants=f"{RESULTS}/cohort/participants.parquet",
        flow=f"{RESULTS}/cohort/flow.json",
        association=association_tables,
        prediction=prediction_tables(),
        curves=prediction_tables("_curves"),
        prediction_weights=prediction_tables("_weights"),
        masks=shards_of("masks"),
        truth=TRUTH or [],
        true_values=TRUE_VALUES or [],
    output:
        html=report(
            f"{RESULTS}/report/index.html",
            caption="../report/cohort.rst",
            category="Cohort report",
        ),
        figures=report(
            directory(f"{RESULTS}/figures"),
            patterns=["{name}.svg"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        shard_size=CONFIG.shard_size,
        samples=CONFIG.report.samples,
        title=CONFIG.report.title,
    script:
        "../../scripts/report.py"
