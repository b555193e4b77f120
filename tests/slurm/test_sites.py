"""Clusters unlike that of the other tests: a short workflow finishes on each (`make test-sites`).

The head and the jobs run as a user without rights where the tests run as root.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cluster import SlurmCluster
from configuration import USER, ClusterOptions
from head import Head, assert_result

pytestmark = [pytest.mark.sites, pytest.mark.slow, pytest.mark.timeout(400)]

StartCluster = Callable[[ClusterOptions], SlurmCluster]

NO_RIGHTS = "nobody"
TRIVIAL = 6
WORK = ["--config", "trainings=1", f"trivial={TRIVIAL}", "seconds=3"]
TYPE_DEMANDED = """
    if string.match(job.tres_per_node or "", "gpu:%d") then
        slurm.log_user("name the type of the GPU")
        return slurm.ERROR
    end"""
ACCOUNT_DEMANDED = """
    if job.account == nil then
        slurm.log_user("give an account")
        return slurm.ERROR
    end"""


@dataclass(frozen=True)
class Site:
    """A cluster, and what its users set."""

    options: ClusterOptions
    arguments: tuple[str, ...] = ()
    says: str = ""  # what the head says, among other things


SITES = {
    "as the other tests', but without rights": Site(ClusterOptions(num_nodes=1)),
    "types of GPUs are demanded": Site(
        ClusterOptions(num_nodes=2, gres=("gpu:a100:2", "gpu:t4:2"), on_submit=TYPE_DEMANDED),
        ("--set-resources", "train:gpu=1", "train:gpu_model=t4"),
    ),
    "an account is demanded, and jobs are not changed": Site(
        ClusterOptions(
            num_nodes=1,
            on_submit=ACCOUNT_DEMANDED,
            on_modify="do return slurm.ERROR end",
            sacctmgr=("add account project", f"add user {NO_RIGHTS} account=project"),
        ),
        ("--submitit-account=project",),
    ),
    "no job is requeued by default": Site(ClusterOptions(num_nodes=1, requeue=False)),
    "a QOS limits the time and the queue, and denies what is beyond": Site(
        ClusterOptions(
            num_nodes=1,
            sacctmgr=("modify qos normal set maxwall=30 maxsubmitjobsperuser=3 flags=denyonlimit",),
        ),
        ("--set-resources", "train:runtime=30"),
        "waiting until SLURM takes more jobs",
    ),
    "small arrays": Site(ClusterOptions(num_nodes=1, max_array_size=3), says="x trivial as arrays"),
    "no arrays": Site(ClusterOptions(num_nodes=1, max_array_size=0), says="as single jobs"),
    "no accounting": Site(ClusterOptions(num_nodes=1, accounting=False)),
    "no arrays, no accounting, no requeueing": Site(
        ClusterOptions(num_nodes=1, accounting=False, max_array_size=0, requeue=False)
    ),
}


@pytest.fixture(scope="session")
def user() -> str:
    """Who submits: somebody without rights."""
    if USER != "root":
        return USER
    try:
        subprocess.run(
            [sys.executable, "-c", "import snakemake"],
            user=NO_RIGHTS,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            check=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        python = Path(sys.executable).resolve()
        pytest.fail(
            f"{NO_RIGHTS} cannot use {sys.executable}, which is {python}: is a folder above it "
            "closed? chmod go+x opens one",
            pytrace=False,
        )
    return NO_RIGHTS


@pytest.fixture
def folder(user: str) -> Iterator[Path]:
    """A folder that belongs to the user; those of pytest belong to who runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    if user != USER:
        shutil.chown(folder, user)
    yield folder
    shutil.rmtree(folder)


def head(cluster: SlurmCluster, folder: Path, *arguments: str) -> Head:
    """Snakemake as the cluster's user starts it."""
    user = cluster.options.user
    environment = {**cluster.environment, "HOME": str(folder), "USER": user, "LOGNAME": user}
    return Head(folder, environment, *arguments, user=None if user == USER else user)


def as_user(cluster: SlurmCluster, *command: str) -> None:
    """Have the cluster's user type a command."""
    user = None if cluster.options.user == USER else cluster.options.user
    subprocess.run(command, env=cluster.environment, user=user, check=True, cwd="/")


def assert_finished(folder: Path) -> None:
    assert_result(folder, seconds=3)
    for i in range(TRIVIAL):
        assert (folder / f"out/trivial{i}.txt").read_text() == f"{i}\n"
    # Nothing is left, so nothing is said of these jobs that would confuse the next head.
    assert not list((folder / ".snakemake/submitit/slurm/jobs").iterdir())


@pytest.mark.parametrize("name", SITES)
def test_a_workflow_finishes(
    start_cluster: StartCluster, user: str, folder: Path, name: str
) -> None:
    site = SITES[name]
    cluster = start_cluster(replace_user(site.options, user))
    with head(cluster, folder, *site.arguments, *WORK) as running:
        running.succeed(timeout=300)
    assert_finished(folder)
    assert site.says in running.output
    assert (folder / "out/train0.txt").stat().st_uid == folder.stat().st_uid


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("types of GPUs are demanded", ("--set-resources", "train:gpu=1"), "the type of the GPU"),
        ("an account is demanded, and jobs are not changed", (), "give an account"),
        ("a QOS limits the time and the queue, and denies what is beyond", (), "time limit"),
    ],
)
def test_what_a_site_refuses_is_one_line_in_its_words(
    start_cluster: StartCluster,
    user: str,
    folder: Path,
    name: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    cluster = start_cluster(replace_user(SITES[name].options, user))
    with head(cluster, folder, *arguments, *WORK) as refused:
        assert refused.wait(timeout=100) == 1
    errors = [line for line in refused.output.splitlines() if "rror" in line]
    assert len(errors) == 1, refused.output
    assert errors[0].startswith("Error: ")
    assert "SLURM refuses " in errors[0]
    assert words in errors[0]


def test_after_a_prolog_that_failed_the_command_that_is_offered_helps(
    start_cluster: StartCluster, user: str, folder: Path
) -> None:
    options = ClusterOptions(num_nodes=2, prolog="mkdir {directory}/prolog-ran && exit 1 || exit 0")
    cluster = start_cluster(replace_user(options, user))
    with head(cluster, folder, *WORK) as running:
        cluster.wait_until(lambda: "scontrol release" in running.output, 100)
        line = next(line for line in running.output.splitlines() if "scontrol release" in line)
        assert "a node failed to start it" in line
        as_user(cluster, *line[line.rindex("scontrol") :].split())
        running.succeed(timeout=200)
    assert_finished(folder)


def replace_user(options: ClusterOptions, user: str) -> ClusterOptions:
    """The same site, where this user submits."""
    sacctmgr = tuple(command.replace(NO_RIGHTS, user) for command in options.sacctmgr)
    return replace(options, user=user, sacctmgr=sacctmgr)
