# Every table and figure of a study: `snakemake --cores 2`, `snakemake --cores 2 --config study=mnist`.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


localrules:
    all,
    configure,
    describe_ablation,


rule all:
    default_target: True
    input:
        run_tables(),
        ablation_tables(),
        ablation_figures(),
        sample_pictures(),
