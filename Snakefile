"""RetSAM: colour fundus photographs and a table of labels in, odds ratios and a report out (README.md)."""

from snakemake.utils import min_version

min_version("9.19.0")


configfile: workflow.source_path("config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/segment.smk"
include: "workflow/rules/biomarkers.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/association.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/train.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/report/index.html",
        f"{RESULTS}/provenance.json",
