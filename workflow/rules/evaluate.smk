# What is computed from a trained run.


rule evaluate:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        dataset=dataset_file,
    output:
        run_table_files("evaluate"),
    log:
        "results/{study}/logs/evaluate/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
        batch_size=evaluation_batch_size,
        importance_samples=importance_samples,
    shell:
        "python -m model.evaluate {params.run_dir:q} --data-dir {params.data_dir:q}"
        " --batch-size {params.batch_size} --importance-samples {params.importance_samples}"
        " --threads {threads} > {log:q} 2>&1"


rule sample:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
    output:
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/samples.png",
    log:
        "results/{study}/logs/sample/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
    shell:
        "python -m model.sample {params.run_dir:q} --threads {threads} > {log:q} 2>&1"


# Of the first seed of every variant.
rule probe:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        dataset=dataset_file,
    output:
        run_table_files("probe"),
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/samples.npy",
    log:
        "results/{study}/logs/probe/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
        num_samples=probe_samples,
        temperatures=temperatures,
    shell:
        "python -m model.probe {params.run_dir:q} --data-dir {params.data_dir:q}"
        " --num-samples {params.num_samples} --temperatures {params.temperatures}"
        " --threads {threads} > {log:q} 2>&1"
