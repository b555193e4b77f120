# Figure 4 of the paper, and the numbers in it.

if "blocks-and-repeats" in STUDY.ablations:
    OWN_FILES.append(f"results/{STUDY.name}/figures/blocks-and-repeats-scaling.png")


rule blocks_and_repeats:
    input:
        ablation="results/{study}/ablations/blocks-and-repeats.yaml",
        runs="results/{study}/tables/runs.parquet",
    output:
        multiext("results/{study}/figures/blocks-and-repeats-scaling", ".pdf", ".svg"),
        table="results/{study}/tables/blocks-and-repeats-scaling.parquet",
        png=report(
            "results/{study}/figures/blocks-and-repeats-scaling.png",
            caption="../../report/blocks_and_repeats.rst",
            category="Figures",
        ),
    log:
        "results/{study}/logs/blocks_and_repeats.log",
    conda:
        "../../../envs/report.yaml"
    params:
        tables=subpath(input.runs, parent=True),
        figures=subpath(output.png, parent=True),
    shell:
        "python -m study.blocks_and_repeats --ablation {input.ablation:q} --tables {params.tables:q}"
        " --figures {params.figures:q} > {log:q} 2>&1"
