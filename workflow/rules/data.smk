# Raw files as published, verified; then arrays.  A run depends on their content, which is a parameter
# of its rules (dataset_content): neither a touched nor a moved file makes it again.


rule fetch:
    output:
        "<data>/raw/{dataset}/SHA256SUMS",
    log:
        "<data>/logs/fetch-{dataset}.log",
    conda:
        "../../envs/train.yaml"
    params:
        data_dir=subpath(output[0], ancestor=3),
    shell:
        "python -m model.data fetch {wildcards.dataset:q} --data-dir {params.data_dir:q}"
        ' ${{DATA_MIRROR:+--mirror "$DATA_MIRROR"}} > {log:q} 2>&1'


rule preprocess:
    input:
        raw_checksums,
    output:
        "<data>/{dataset}/dataset.json",
    log:
        "<data>/logs/preprocess-{dataset}.log",
    conda:
        "../../envs/train.yaml"
    params:
        data_dir=subpath(output[0], ancestor=2),
        images=own_images,
    shell:
        "python -m model.data preprocess {wildcards.dataset:q} --data-dir {params.data_dir:q}"
        " > {log:q} 2>&1"
