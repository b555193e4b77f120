# The study, the targets made of it, and what every job needs; each function is named for its result.
import os
import shlex
import sys

# Jobs call `python -m model...` and `python -m study...`: with the interpreter that runs Snakemake,
# unless a conda environment comes first, and with this checkout's packages in either case.
PACKAGES = [workflow.basedir, os.path.join(workflow.basedir, "workflow")]
sys.path[:0] = PACKAGES
shell.prefix(f"export PYTHONPATH={shlex.quote(os.pathsep.join(PACKAGES))}; ")
os.environ.update(PATH=os.path.dirname(sys.executable) + os.pathsep + os.getenv("PATH", ""))

from model.config import ConfigError
from model.data.datasets import DATASETS
from study.config import check_name
from study.plan import Run, Study

try:
    STUDY = Study(config)
except ConfigError as error:
    sys.exit(f"error in config.yaml: {error}")

# In the environment, not a parameter: fetching once with a mirror and once without retrains nothing.
os.environ.update(DATA_MIRROR=config["data_mirror"] or "")


# "<data>" in the paths of the rules
pathvars:
    data=config["data_dir"],


wildcard_constraints:
    study=STUDY.name,
    dataset="[^/]+",
    variant="[^/]+",
    seed=r"\d+",
    ablation="|".join(STUDY.ablations),


# Tables and figures that ablations have of their own: rule files in ablations/ add them.
OWN_FILES = []


def make_own_file(ablation, name):
    """Have a file of an ablation's own made, wherever a study has that ablation."""
    try:
        check_name("ablation", ablation, config["ablations"], "workflow/rules/ablations")
    except ConfigError as error:
        sys.exit(f"error in {error}")
    if ablation in STUDY.ablations:
        OWN_FILES.append(f"results/{STUDY.name}/{name}")


def run_of(wildcards):
    return Run(wildcards.dataset, wildcards.variant, int(wildcards.seed))


def run_files(name):
    """One file of every run of the study."""
    return [
        f"results/{STUDY.name}/runs/{run.dataset}/{run.variant}/seed{run.seed}/{name}"
        for run in STUDY.runs
    ]


def run_tables():
    return expand(
        "results/{study}/tables/{table}.parquet",
        study=STUDY.name,
        table=["runs", "timings", "rates", "history"],
    )


def ablation_tables():
    return expand(
        "results/{study}/tables/{ablation}.{format}",
        study=STUDY.name,
        ablation=STUDY.ablations,
        format=["parquet", "csv", "md", "tex"],
    )


def ablation_figures():
    return expand(
        "results/{study}/figures/{ablation}.{format}",
        study=STUDY.name,
        ablation=STUDY.ablations,
        format=["pdf", "svg", "png"],
    )


def baseline_files(name):
    """One file of the first seed of each ablation's baseline."""
    return sorted(
        {
            f"results/{STUDY.name}/runs/{dataset}/{variants[0]}/seed0/{name}"
            for ablation in STUDY.ablations.values()
            for dataset, variants in ablation.variants.items()
        }
    )


def sample_pictures():
    return baseline_files("samples.png")


def probed_files(name):
    """One file of the first seed of every variant: what is probed, the cost of a start each."""
    return [path for path in run_files(name) if "/seed0/" in path]


def probe_tables():
    return expand(
        "results/{study}/tables/{table}",
        study=STUDY.name,
        table=[
            "probe.parquet",
            "instability.parquet",
            "instability.md",
            "norms.parquet",
            "norms.md",
        ],
    )


def probe_figures():
    return expand(
        "results/{study}/figures/{figure}.{format}",
        study=STUDY.name,
        figure=["norms", "instability", "samples"],
        format=["pdf", "svg", "png"],
    )


def run_config_text(wildcards):
    return STUDY.run_config(run_of(wildcards)).dump()


def num_gpus(wildcards):
    return STUDY.run_config(run_of(wildcards)).train.gpus


def training_memory_mb(wildcards):
    """Of the machine, not of the GPUs: CUDA and the arrays that are being read, per process."""
    return 8000 * num_gpus(wildcards)


def ablation_text(wildcards):
    return STUDY.ablation_text(wildcards.ablation)


def evaluation_batch_size(wildcards):
    return STUDY.evaluate_config(wildcards.dataset).batch_size


def importance_samples(wildcards):
    return STUDY.evaluate_config(wildcards.dataset).importance_samples


def probe_samples(wildcards):
    return STUDY.probe_config(wildcards.dataset).num_samples


def temperatures(wildcards):
    return STUDY.probe_config(wildcards.dataset).temperatures


def raw_checksums(wildcards):
    """The verified raw files of a dataset; none for one that is embedded in a package.

    Of a user's own dataset, the folder of its images, which must be there but may look newer.
    """
    folder = f"{config['data_dir']}/raw/{wildcards.dataset}"
    if wildcards.dataset not in DATASETS:
        return ancient(folder)
    if DATASETS[wildcards.dataset].raw is None:
        return []
    return f"{folder}/SHA256SUMS"
