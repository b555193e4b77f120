# The norms of the state inside trained runs (figure 5), and the statistics of their samples (figure 6).


rule probe:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        dataset="<data>/{dataset}/dataset.json",
    output:
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/probe.parquet",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/instability.parquet",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/samples.npy",
    log:
        "results/{study}/logs/probe/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        num_samples=probe_samples,
        temperatures=temperatures,
    shell:
        "python -m model.probe {params.run_dir:q} --data-dir {params.data_dir:q}"
        " --num-samples {params.num_samples} --temperatures {params.temperatures}"
        " --threads {threads} > {log:q} 2>&1"


rule probes:
    input:
        probed_files("config.yaml"),
        probed_files("probe.parquet"),
        probed_files("instability.parquet"),
    output:
        probe="results/{study}/tables/probe.parquet",
        others=expand("results/{{study}}/tables/{table}.parquet", table=["instability", "norms"]),
        norms=report(
            "results/{study}/tables/norms.md",
            caption="../report/norms_table.rst",
            category="Tables",
        ),
        instability=report(
            "results/{study}/tables/instability.md",
            caption="../report/instability_table.rst",
            category="Tables",
        ),
    log:
        "results/{study}/logs/probes.log",
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(output.probe, parent=True),
        run_dirs=[os.path.dirname(path) for path in probed_files("config.yaml")],
    shell:
        "python -m study probes --study {wildcards.study} --output {params.tables:q}"
        " {params.run_dirs:q} > {log:q} 2>&1"


rule probe_figures:
    input:
        baseline_files("samples.npy"),
        ablations=expand("results/{{study}}/ablations/{ablation}.yaml", ablation=STUDY.ablations),
        probe="results/{study}/tables/probe.parquet",
        instability="results/{study}/tables/instability.parquet",
    output:
        expand(
            "results/{{study}}/figures/{figure}.{format}",
            figure=["norms", "instability", "samples"],
            format=["pdf", "svg"],
        ),
        norms=report(
            "results/{study}/figures/norms.png",
            caption="../report/norms_figure.rst",
            category="Figures",
        ),
        instability=report(
            "results/{study}/figures/instability.png",
            caption="../report/instability_figure.rst",
            category="Figures",
        ),
        samples=report(
            "results/{study}/figures/samples.png",
            caption="../report/samples_figure.rst",
            category="Figures",
        ),
    log:
        "results/{study}/logs/probe_figures.log",
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(input.probe, ancestor=2),
        tables=subpath(input.probe, parent=True),
        figures=subpath(output.norms, parent=True),
    shell:
        "python -m study probe-figures --ablations {input.ablations:q} --tables {params.tables:q}"
        " --runs {params.results:q}/runs --figures {params.figures:q} > {log:q} 2>&1"
