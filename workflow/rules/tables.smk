# One row per run, and one table per ablation.


rule runs:
    input:
        run_files("config.yaml"),
        run_files("train.json"),
        run_files("history.parquet"),
        run_files("test.parquet"),
    output:
        runs=report(
            "results/{study}/tables/runs.parquet",
            caption="../report/runs.rst",
            category="Tables",
        ),
        others=expand(
            "results/{{study}}/tables/{table}.parquet", table=["timings", "rates", "history"]
        ),
    log:
        "results/{study}/logs/runs.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(output.runs, parent=True),
        run_dirs=[os.path.dirname(path) for path in run_files("config.yaml")],
    shell:
        "python -m study runs --study {wildcards.study} --output {params.tables:q}"
        " {params.run_dirs:q} > {log:q} 2>&1"


rule describe_ablation:
    output:
        "results/{study}/ablations/{ablation}.yaml",
    log:
        "results/{study}/logs/describe_ablation/{ablation}.log",
    conda:
        "../../envs/report.yaml"
    params:
        ablation=ablation_text,
    shell:
        "printf '%s' {params.ablation:q} > {output:q} 2> {log:q}"


rule table:
    input:
        ablation="results/{study}/ablations/{ablation}.yaml",
        runs="results/{study}/tables/runs.parquet",
        timings="results/{study}/tables/timings.parquet",
    output:
        multiext("results/{study}/tables/{ablation}", ".parquet", ".csv", ".tex"),
        report(
            "results/{study}/tables/{ablation}.md",
            caption="../report/ablation_table.rst",
            category="Tables",
        ),
    log:
        "results/{study}/logs/table/{ablation}.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(input.runs, parent=True),
    shell:
        "python -m study table --ablation {input.ablation:q} --tables {params.tables:q}"
        " > {log:q} 2>&1"
