# What is computed from a trained run, by one process: its start costs more than a small model.


# The first seed of every variant is probed and sampled, too.
rule measure:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        dataset=dataset_file,
    output:
        run_table_files("evaluate"),
        run_table_files("probe"),
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/samples.npy",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/learnt.npy",
        "results/{study}/runs/{dataset}/{variant}/seed{seed}/samples.png",
    log:
        "results/{study}/logs/measure/{dataset}-{variant}-seed{seed}.log",
    wildcard_constraints:
        seed="0",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
        evaluation=evaluation_options,
        probe=probe_options,
    shell:
        "python -m model.measure {params.run_dir:q} --data-dir {params.data_dir:q}"
        " {params.evaluation} {params.probe} --threads {threads} > {log:q} 2>&1"


use rule measure as evaluate with:
    output:
        run_table_files("evaluate"),
    log:
        "results/{study}/logs/evaluate/{dataset}-{variant}-seed{seed}.log",
    wildcard_constraints:
        seed="[1-9][0-9]*",
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
        evaluation=evaluation_options,
        probe="",


# The model at other step sizes, where an ablation asks for it.
rule refine:
    input:
        config="results/{study}/runs/{dataset}/{variant}/seed{seed}/config.yaml",
        model="results/{study}/runs/{dataset}/{variant}/seed{seed}/model.safetensors",
        dataset=dataset_file,
    output:
        run_table_files("refine"),
    log:
        "results/{study}/logs/refine/{dataset}-{variant}-seed{seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: 1
    params:
        run_dir=subpath(input.config, parent=True),
        data_dir=subpath(input.dataset, ancestor=2),
        content=dataset_content,
        refinement=refinement_options,
    shell:
        "python -m model.refine {params.run_dir:q} --data-dir {params.data_dir:q}"
        " {params.refinement} --threads {threads} > {log:q} 2>&1"
