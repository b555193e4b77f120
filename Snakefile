# Every table and figure of a study: `snakemake --cores 2`, `snakemake --cores 2 --config study=mnist`.
from snakemake.utils import min_version

min_version("9.15")  # pathvars (9.13), Workflow.async_run (9.15)


include: "workflow/rules/config.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"


localrules:
    all,
    configure,
    describe_ablation,
    fetch,  # a cluster's nodes often have no network


rule all:
    default_target: True
    input:
        study_files(),
        sample_images(),
        study_reports(),
