# One figure per ablation.


rule figure:
    input:
        ablation="results/{study}/ablations/{ablation}.yaml",
        runs="results/{study}/tables/runs.parquet",
        history="results/{study}/tables/history.parquet",
    output:
        multiext("results/{study}/figures/{ablation}", ".pdf", ".svg"),
        png=report(
            "results/{study}/figures/{ablation}.png",
            caption="../report/ablation_figure.rst",
            category="Figures",
        ),
    log:
        "results/{study}/logs/figure/{ablation}.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(input.runs, parent=True),
        figures=subpath(output.png, parent=True),
    shell:
        "python -m study figure --ablation {input.ablation:q} --tables {params.tables:q}"
        " --figures {params.figures:q} > {log:q} 2>&1"
