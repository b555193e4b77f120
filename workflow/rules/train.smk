# A run's resolved config, and its training.


rule configure:
    output:
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
    log:
        "results/{study}/logs/configure/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/report.yaml"
    params:
        config=run_config_text,
    shell:
        "printf '%s' {params.config:q} > {output:q} 2> {log:q}"


# Running the same command again resumes from state/, which Snakemake must not know: it deletes the
# declared outputs of a job that failed or is started again.
rule train:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        dataset=dataset_file,
    output:
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/history.parquet",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/train.json",
    log:
        "results/{study}/logs/train/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: num_gpus  # one for each process: more would change the result's last bits
    resources:
        gpu=num_gpus,
        mem_mb=training_memory_mb,
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
    shell:
        "python -m model.train {params.run_dir:q} --data-dir {params.data_dir:q}"
        " --threads 1 ${{REPORT_TO:+--report-to $REPORT_TO}} > {log:q} 2>&1"
