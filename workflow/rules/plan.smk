"""Planning.

In:  the manifest.
Out: manifest/plan.json (counts, outcomes, adjustment sets), images.parquet (the manifest in normal form), problems.csv,
     and manifest/shards/NNNNN.parquet, rewritten only where their content changed.

A checkpoint, because which shards changed is known only after reading the manifest, and nothing reads it at parse time.
"""


localrules:
    plan,


checkpoint plan:
    input:
        manifest=MANIFEST,
    output:
        plan=f"{RESULTS}/manifest/plan.json",
        images=f"{RESULTS}/manifest/images.parquet",
        problems=f"{RESULTS}/manifest/problems.csv",
    log:
        f"{LOGS}/plan.log",
    benchmark:
        f"{BENCHMARKS}/plan.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        shard_size=CONFIG.shard_size,
        outcomes=CONFIG.outcomes,
        covariates=CONFIG.covariates,
        models=CONFIG.association.models,
        ordinal=CONFIG.association.ordinal,
        continuous=CONFIG.association.continuous,
        modifiers=[*CONFIG.association.interactions, *CONFIG.association.strata],
    script:
        "../../scripts/plan.py"
