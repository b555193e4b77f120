# Tables and figures: which there are stands in workflow/study/registry.py.  Those of an ablation are
# made of its own runs, not of the tables of the study, so that a failed run costs no other ablation.


rule runs:
    input:
        trained_and_evaluated,
        ablations=expand("results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations),
    output:
        study_table_files("all"),
    log:
        "results/{study}/logs/runs.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(output[0], parent=True),
        collected=list(STUDY.ablations),  # one less makes no input newer
    shell:
        "python -m study collect --study {wildcards.study:q} --tables {params.tables:q}"
        " --ablations {input.ablations:q} > {log:q} 2>&1"


rule probes:
    input:
        probed_files("config.yaml"),
        probed_files("train.json"),
        [probed_files(f"{name}.parquet") for name in written_by("probe")],
        ablations=expand("results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations),
    output:
        study_table_files("probed"),
    log:
        "results/{study}/logs/probes.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(output[0], parent=True),
        collected=list(STUDY.ablations),
    shell:
        "python -m study collect --runs probed --study {wildcards.study:q}"
        " --tables {params.tables:q} --ablations {input.ablations:q} > {log:q} 2>&1"


rule figures:
    input:
        study_figure_inputs("baselines"),
        ablations=expand("results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations),
    output:
        study_figure_files("baselines"),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../../envs/report.yaml"
    params:
        study_dir=subpath(output[0], ancestor=2),
        drawn=list(STUDY.ablations),  # one less makes no input newer
        runs="baselines",
    shell:
        "python -m study figures --runs {params.runs:q} --ablations {input.ablations:q}"
        " --study-dir {params.study_dir:q} > {log:q} 2>&1"


# A job of its own: the figures of the baselines do without the other runs.
use rule figures as probed_figures with:
    input:
        study_figure_inputs("probed"),
        ablations=expand("results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations),
    output:
        study_figure_files("probed"),
    log:
        "results/{study}/logs/probed_figures.log",
    params:
        study_dir=subpath(output[0], ancestor=2),
        drawn=list(STUDY.ablations),
        runs="probed",


# The study to look at, in one file each; Snakemake's own --report has the provenance of jobs.
for report_name, report_file in STUDY_REPORTS.items():

    rule:
        name:
            report_name
        input:
            study_files(),
            probed_files("samples.png"),
            ablations=expand(
                "results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations
            ),
        output:
            f"results/{{study}}/{report_file}",
        log:
            f"results/{{study}}/logs/{report_name}.log",
        conda:
            "../../envs/report.yaml"
        params:
            command=report_name,
            study_dir=subpath(output[0], parent=True),
            shown=list(STUDY.ablations),  # one less makes no input newer
        shell:
            "python -m study {params.command:q} --ablations {input.ablations:q}"
            " --study-dir {params.study_dir:q} > {log:q} 2>&1"


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


# One rule per entry of the registry: comparison, scaling, cost, ...
for output_name, ablation_output in registry.ABLATION_OUTPUTS.items():

    rule:
        name:
            output_name
        input:
            ablation_run_files(output_name),
            ablation="results/{study}/ablations/{ablation}.yaml",
        output:
            ablation_files(output_name),
        log:
            f"results/{{study}}/logs/{output_name}/{{ablation}}.log",
        conda:
            "../../envs/report.yaml"
        params:
            output_name=output_name,
            study_dir=subpath(input.ablation, ancestor=2),
        shell:
            "python -m study ablation {params.output_name} --ablation {input.ablation:q}"
            " --study-dir {params.study_dir:q} > {log:q} 2>&1"
