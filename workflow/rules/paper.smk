"""A manuscript's figure and table: asked for by name (snakemake paper).

In:  cohort, association and prediction tables; neither photographs nor masks are read.
Out: paper/figure.svg and .pdf (flow, forest plots, heat map, ROC curves), table.csv (all biomarkers), table.tex.
"""


rule paper:
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
    output:
        figure=report(
            f"{RESULTS}/paper/figure.svg",
            caption="../report/paper.rst",
            category="Paper",
        ),
        pdf=f"{RESULTS}/paper/figure.pdf",
        table=f"{RESULTS}/paper/table.csv",
        latex=f"{RESULTS}/paper/table.tex",
    log:
        f"{LOGS}/paper.log",
    benchmark:
        f"{BENCHMARKS}/paper.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    script:
        "../../scripts/paper.py"
