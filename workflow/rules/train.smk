"""Training of a network: asked for by name (snakemake train_unify), never part of a study.

In:  the recipes and photographs that the block 'training' of the configuration names.
Out: training/experts.json, pseudo.parquet (with pseudo.json), unify.safetensors and adapt.safetensors. Runs lie in
     training/runs/, one folder for each recipe: a run that was stopped goes on, a changed recipe starts anew.
"""

TRAINING = f"{RESULTS}/training"


rule train_experts:
    input:
        recipe=training_file("recipe", "recipe"),
    output:
        ensure(f"{TRAINING}/experts.json", non_empty=True),
    log:
        f"{LOGS}/train/experts.log",
    benchmark:
        f"{BENCHMARKS}/train/experts.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=2880,
    script:
        "../../scripts/train_experts.py"


rule train_pseudo_label:
    input:
        recipe=training_file("recipe", "recipe"),
        experts=f"{TRAINING}/experts.json",
        photographs=training_file("photographs", "photographs"),
    output:
        frames=ensure(f"{TRAINING}/pseudo.parquet", non_empty=True),
        report=f"{TRAINING}/pseudo.json",
    log:
        f"{LOGS}/train/pseudo_label.log",
    benchmark:
        f"{BENCHMARKS}/train/pseudo_label.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=1440,
    script:
        "../../scripts/train_pseudo_label.py"


rule train_unify:
    input:
        recipe=training_file("recipe", "recipe"),
        pseudo=f"{TRAINING}/pseudo.parquet" if CONFIG.training.photographs else [],
    output:
        ensure(f"{TRAINING}/unify.safetensors", non_empty=True),
    log:
        f"{LOGS}/train/unify.log",
    benchmark:
        f"{BENCHMARKS}/train/unify.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=2880,
    script:
        "../../scripts/train_unify.py"


rule train_adapt:
    input:
        recipe=training_file("adapt", "recipe"),
        initial=(
            training_file("initial", "weights")
            if CONFIG.training.initial
            else f"{TRAINING}/unify.safetensors"
        ),
    output:
        ensure(f"{TRAINING}/adapt.safetensors", non_empty=True),
    log:
        f"{LOGS}/train/adapt.log",
    benchmark:
        f"{BENCHMARKS}/train/adapt.tsv"
    conda:
        "../../envs/segmentation.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=720,
    script:
        "../../scripts/train_adapt.py"
