"""The recipes of docs/cluster.md, as they stand there, on a cluster with cards of several types."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cluster import SlurmCluster, new_directory
from configuration import USER, ClusterOptions
from head import Head

pytestmark = [pytest.mark.sites, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
COMMAND = ["snakemake", "--profile", "slurm", "--seconds-between-status-checks=1"]
NODES = ("no GPU", "t4", "a100", "1g.10gb")
OPTIONS = ClusterOptions(
    num_nodes=4,
    gres=("", "gpu:t4:2,shard:4", "gpu:a100:2", "gpu:1g.10gb:2"),
    lines=(
        "PartitionName=cpu Nodes={0} MaxTime=2-0",
        "PartitionName=gpu Nodes={1},{2},{3} MaxTime=2-0",
        "PartitionName=short Nodes={1} MaxTime=10:00:00",
    ),
    sacctmgr=("add account my-project", f"add user {USER} account=my-project"),
)
# As the project's, with what the recipes need of them.
SNAKEFILE = """
rule all:
    input:
        expand("out/train/{dataset}", dataset=["mnist", "imagenet32"]),
        "out/evaluate/mnist",
        "out/measure/mnist",
rule train:
    output: "out/train/{dataset}"
    resources: gpu=1, mem_mb=100
    shell: "bash report.sh > {output}"
rule evaluate:
    output: "out/evaluate/{dataset}"
    shell: "bash report.sh > {output}"
rule measure:
    output: "out/measure/{dataset}"
    shell: "bash report.sh > {output}"
"""
# The variable of the partition has the whole list of those that were asked for.
REPORT = """\
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
squeue --noheader --jobs=$job --format=%P
echo $SLURM_JOB_NODELIST
echo ${CUDA_VISIBLE_DEVICES:-none}
echo $SLURM_JOB_ACCOUNT
echo $LOADED
"""


@dataclass(frozen=True)
class Place:
    """Where a job ran."""

    partition: str
    card: str  # what its node has
    has_gpu: bool
    account: str
    modules: str


def recipes() -> dict[str, dict[str, object]]:
    """The keys of each recipe, by its title."""
    text = (ROOT / "docs/cluster.md").read_text()
    chapter = text[text.index("## Recipes") : text.index("## What to do when")]
    blocks = re.findall(r"^### (.*?)\n.*?^```yaml\n(.*?)^```", chapter, re.DOTALL | re.MULTILINE)
    return {title: yaml.safe_load(block) for title, block in blocks}


EXPECTED: dict[str, Callable[[str, Place], bool]] = {
    "A partition without GPUs": lambda job, it: it.partition == "cpu" and not it.has_gpu,
    "The type of a GPU has to be named": lambda job, it: it.card == "a100" and it.has_gpu,
    "An account has to be named": lambda job, it: it.account == "my-project" and it.has_gpu,
    "Several partitions": lambda job, it: (
        it.partition in (("gpu",) if job.startswith("train") else ("short", "gpu"))
    ),
    "Parts of GPUs (MIG)": lambda job, it: it.card == "1g.10gb" and it.has_gpu,
    "Shared GPUs (shards)": lambda job, it: it.card == "t4" and it.has_gpu,
    "Software in modules": lambda job, it: it.modules == "python/3.11 cuda",
    "Small models on small cards": lambda job, it: (
        it.has_gpu
        and it.card == {"train/mnist": "t4", "train/imagenet32": "a100"}.get(job, it.card)
    ),
}


@pytest.fixture(scope="module")
def mixed_cluster(slurm_packages: None) -> Iterator[SlurmCluster]:
    """A cluster whose nodes have cards of different types, and one none."""
    with SlurmCluster(new_directory(), OPTIONS) as cluster:
        yield cluster


def test_every_recipe_is_tried() -> None:
    assert set(recipes()) == set(EXPECTED)


@pytest.mark.parametrize("title", EXPECTED)
def test_a_recipe_works_as_it_stands_in_the_documentation(
    mixed_cluster: SlurmCluster, tmp_path: Path, title: str
) -> None:
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    del profile["configfile"]  # the study is not what is tried here
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/config.yaml").write_text(yaml.safe_dump(profile | recipes()[title]))
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "report.sh").write_text(REPORT)
    # As a site defines it for every shell.
    module = {"BASH_FUNC_module%%": '() { shift; export LOADED="$*"\n}'}
    environment = {**mixed_cluster.environment, **module}
    with Head(tmp_path, environment, command=COMMAND) as head:
        head.succeed(timeout=200)
    cards = dict(zip(mixed_cluster.nodes, NODES, strict=True))
    for path in sorted((tmp_path / "out").glob("*/*")):
        partition, node, gpu, account, modules = path.read_text().splitlines()
        place = Place(partition, cards[node], gpu != "none", account, modules)
        job = os.path.relpath(path, tmp_path / "out")
        assert EXPECTED[title](job, place), (job, place)
