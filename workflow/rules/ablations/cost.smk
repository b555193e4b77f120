# Time and memory of training, where an ablation is about them.

make_own_file("gradient-checkpointing", "figures/gradient-checkpointing-cost.png")


rule cost:
    input:
        ablation="results/{study}/ablations/{ablation}.yaml",
        runs="results/{study}/tables/runs.parquet",
        timings="results/{study}/tables/timings.parquet",
    output:
        multiext("results/{study}/figures/{ablation}-cost", ".pdf", ".svg"),
        table="results/{study}/tables/{ablation}-cost.parquet",
        md=report(
            "results/{study}/tables/{ablation}-cost.md",
            caption="../../report/cost.rst",
            category="Tables",
        ),
        png=report(
            "results/{study}/figures/{ablation}-cost.png",
            caption="../../report/cost.rst",
            category="Figures",
        ),
    log:
        "results/{study}/logs/cost/{ablation}.log",
    conda:
        "../../../envs/report.yaml"
    params:
        tables=subpath(input.runs, parent=True),
        figures=subpath(output.png, parent=True),
    shell:
        "python -m study.cost --ablation {input.ablation:q} --tables {params.tables:q}"
        " --figures {params.figures:q} > {log:q} 2>&1"
