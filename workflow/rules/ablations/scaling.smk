# NLL against what grows along a series of variants: figure 4 of the paper, and the number of latents.

make_own_file("blocks-and-repeats", "figures/blocks-and-repeats-scaling.png")
make_own_file("latents", "figures/latents-scaling.png")


rule scaling:
    input:
        ablation="results/{study}/ablations/{ablation}.yaml",
        runs="results/{study}/tables/runs.parquet",
    output:
        multiext("results/{study}/figures/{ablation}-scaling", ".pdf", ".svg"),
        table="results/{study}/tables/{ablation}-scaling.parquet",
        png=report(
            "results/{study}/figures/{ablation}-scaling.png",
            caption="../../report/scaling.rst",
            category="Figures",
        ),
    log:
        "results/{study}/logs/scaling/{ablation}.log",
    conda:
        "../../../envs/report.yaml"
    params:
        tables=subpath(input.runs, parent=True),
        figures=subpath(output.png, parent=True),
    shell:
        "python -m study.scaling --ablation {input.ablation:q} --tables {params.tables:q}"
        " --figures {params.figures:q} > {log:q} 2>&1"
