# Every table and figure of a study: `snakemake --cores 2`, `snakemake --cores 2 --config study=mnist`.
from glob import glob

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/probe.smk"


for ablation in sorted(glob("workflow/rules/ablations/*.smk", root_dir=workflow.basedir)):

    include: ablation


localrules:
    all,
    configure,
    describe_ablation,
    fetch,  # a cluster's nodes often have no network


rule all:
    default_target: True
    input:
        run_tables(),
        ablation_tables(),
        ablation_figures(),
        OWN_FILES,
        sample_pictures(),
        probe_tables(),
        probe_figures(),
