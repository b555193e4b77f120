"""The test cluster itself: what the executor's tests rely on."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cluster import FREEZER, SlurmCluster, new_directory
from configuration import ClusterOptions, Proctrack

pytestmark = pytest.mark.slow

StartCluster = Callable[[ClusterOptions], SlurmCluster]
HERE = Path(__file__).parent


def log(cluster: SlurmCluster, job: str) -> str:
    file = cluster.directory / f"log/job-{job}.log"
    return file.read_text() if file.exists() else ""


def step(cluster: SlurmCluster) -> str:
    """A command that starts a step of two processes, which print the signals they get."""
    script = cluster.directory / "step.sh"
    script.write_text("""
        traps() { trap "echo $1-USR2" USR2; trap "echo $1-TERM" TERM; }
        (traps child; echo ready; while :; do sleep 0.1; done) &
        traps parent; while :; do sleep 0.1; done
    """)
    return f"srun bash {script}"


def says(cluster: SlurmCluster, job: str, text: str) -> Callable[[], bool]:
    return lambda: text in log(cluster, job)


def runs(cluster: SlurmCluster, *jobs: str) -> Callable[[], bool]:
    def check() -> bool:
        queue = cluster.jobs()
        return all(job in queue and queue[job].state == "RUNNING" for job in jobs)

    return check


def left_the_queue(cluster: SlurmCluster, *jobs: str) -> Callable[[], bool]:
    return lambda: not set(jobs) & set(cluster.jobs())


def lives(process: psutil.Process) -> bool:
    """A zombie that waits for process 1, its new parent, to reap it counts as dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def accounted(cluster: SlurmCluster, job: str, *states: str) -> Callable[[], bool]:
    return lambda: [line.state for line in cluster.accounting(job)] == list(states)


# --- Jobs -----------------------------------------------------------------------------------------


def test_a_job_runs(slurm_cluster: SlurmCluster) -> None:
    job = slurm_cluster.submit("echo it ran")
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, job), timeout=20)
    assert log(slurm_cluster, job) == "it ran\n"


def test_an_outer_job_has_no_influence(
    slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These tests may run in a SLURM job themselves."""
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    monkeypatch.setenv("SBATCH_PARTITION", "elsewhere")
    job = slurm_cluster.submit("true")
    assert slurm_cluster.jobs()[job].partition == "main"


def test_jobs_on_one_node_get_different_gpus(slurm_cluster: SlurmCluster) -> None:
    node = slurm_cluster.nodes[0]
    jobs = [
        slurm_cluster.submit("echo $CUDA_VISIBLE_DEVICES; sleep 2", f"--gpus={n}", f"-w{node}")
        for n in (2, 1, 1)
    ]
    slurm_cluster.wait_until(runs(slurm_cluster, *jobs), timeout=20)
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, *jobs), timeout=20)
    given = [log(slurm_cluster, job).strip().split(",") for job in jobs]
    assert [len(gpus) for gpus in given] == [2, 1, 1]
    assert sorted(gpu for gpus in given for gpu in gpus) == ["0", "1", "2", "3"]


def test_gpus_that_no_node_has_are_refused(
    slurm_cluster: SlurmCluster, start_cluster: StartCluster
) -> None:
    with pytest.raises(RuntimeError, match="Requested node configuration is not available"):
        slurm_cluster.submit("true", "--gpus-per-node=5")
    typed = start_cluster(ClusterOptions(accounting=False, num_nodes=1, gpu_type="h100"))
    with pytest.raises(RuntimeError, match="Requested node configuration is not available"):
        typed.submit("true", "--gpus=v100:1")
    job = typed.submit("echo $CUDA_VISIBLE_DEVICES", "--gpus=h100:1")
    typed.wait_until(left_the_queue(typed, job), timeout=20)
    assert log(typed, job) == "0\n"


def test_memory_is_limited(slurm_cluster: SlurmCluster) -> None:
    hog = f"{sys.executable} -c 'import time; hog = bytearray(10**8); time.sleep(30)'"
    job = slurm_cluster.submit(hog, "--mem=20")
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, job), timeout=25)
    assert "exceeded memory limit" in log(slurm_cluster, job)


def test_accounting_has_a_line_for_each_start(slurm_cluster: SlurmCluster) -> None:
    job = slurm_cluster.submit("sleep 1; exit 3", "--gpus=1", "--job-name=twice")
    slurm_cluster.wait_until(runs(slurm_cluster, job), timeout=20)
    assert slurm_cluster.run("scontrol", "requeue", job).returncode == 0
    slurm_cluster.wait_until(accounted(slurm_cluster, job, "REQUEUED", "FAILED"), timeout=30)
    last = slurm_cluster.accounting(job)[-1]
    assert (last.name, last.exit_code) == ("twice", "3:0")
    assert "gres/gpu=1" in last.tres.split(",")


def test_a_wait_that_times_out_shows_the_queue(slurm_cluster: SlurmCluster) -> None:
    slurm_cluster.submit("true", "--job-name=held", "--hold")
    with pytest.raises(TimeoutError, match="held"):
        slurm_cluster.wait_until(lambda: False, timeout=0)


# --- Policies of a site ---------------------------------------------------------------------------


def test_a_preempted_job_is_requeued(start_cluster: StartCluster) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, preempt_grace_s=0))
    low = cluster.submit("sleep 3", "--partition=low", "--exclusive")
    cluster.wait_until(runs(cluster, low), timeout=20)
    high = cluster.submit("true", "--partition=high", "--exclusive")
    cluster.wait_until(left_the_queue(cluster, low, high), timeout=60)
    cluster.wait_until(accounted(cluster, high, "COMPLETED"), timeout=20)
    cluster.wait_until(accounted(cluster, low, "PREEMPTED", "COMPLETED"), timeout=20)


@pytest.mark.parametrize(("user_signal", "expected"), [(True, "USR2"), (False, "TERM")])
def test_a_preempted_step_is_told(
    start_cluster: StartCluster, user_signal: bool, expected: str
) -> None:
    options = ClusterOptions(accounting=False, num_nodes=1, preempt_send_user_signal=user_signal)
    cluster = start_cluster(options)
    job = cluster.submit(step(cluster), "--partition=low", "--exclusive", "--signal=USR2@60")
    cluster.wait_until(says(cluster, job, "ready"), timeout=20)
    cluster.submit("true", "--partition=high", "--exclusive")
    cluster.wait_until(says(cluster, job, f"parent-{expected}"), timeout=20)
    other = {"USR2": "TERM", "TERM": "USR2"}[expected]
    assert f"parent-{other}" not in log(cluster, job)


def test_jobs_of_main_are_not_preempted(start_cluster: StartCluster) -> None:
    cluster = start_cluster(ClusterOptions(accounting=False, num_nodes=1, preempt_grace_s=0))
    main = cluster.submit("sleep 3; echo end", "--exclusive")
    cluster.wait_until(runs(cluster, main), timeout=20)
    high = cluster.submit("true", "--partition=high", "--exclusive")
    cluster.wait_until(left_the_queue(cluster, main, high), timeout=30)
    assert log(cluster, main) == "end\n"


def test_a_site_may_not_requeue(start_cluster: StartCluster) -> None:
    cluster = start_cluster(ClusterOptions(accounting=False, requeue=False))
    job = cluster.submit("sleep 30")
    cluster.wait_until(runs(cluster, job), timeout=20)
    refused = cluster.run("scontrol", "requeue", job)
    assert refused.returncode != 0
    assert "presently disabled" in refused.stderr


def test_a_site_may_limit_submitted_jobs(start_cluster: StartCluster) -> None:
    cluster = start_cluster(ClusterOptions(max_submit_jobs=2))
    jobs = [cluster.submit("sleep 2") for _ in range(2)]
    with pytest.raises(RuntimeError, match=r"MaxSubmitJobLimit[^$]*Job violates accounting/QOS"):
        cluster.submit("true")
    cluster.wait_until(left_the_queue(cluster, *jobs), timeout=20)
    cluster.submit("true")


def test_signals_reach_all_processes_or_the_first(
    start_cluster: StartCluster, proctrack: Proctrack
) -> None:
    """The difference between the two ways of tracking that a step can see."""
    options = ClusterOptions(accounting=False, num_nodes=1, proctrack=proctrack)
    cluster = start_cluster(options)
    job = cluster.submit(step(cluster))
    cluster.wait_until(says(cluster, job, "ready"), timeout=20)
    cluster.run("scancel", "--signal=USR2", job)
    cluster.wait_until(says(cluster, job, "parent-USR2"), timeout=20)
    time.sleep(1)
    assert ("child-USR2" in log(cluster, job)) == (proctrack == "linuxproc")


# --- Faults ---------------------------------------------------------------------------------------


def test_jobs_outlive_a_restart_of_slurmctld(slurm_cluster: SlurmCluster) -> None:
    running = slurm_cluster.submit("sleep 2; echo end")
    waiting = slurm_cluster.submit("true", "--begin=now+5")
    slurm_cluster.wait_until(runs(slurm_cluster, running), timeout=20)
    slurm_cluster.stop_controller()
    assert slurm_cluster.run("scontrol", "ping").returncode != 0
    deadline = time.monotonic() + 20
    while log(slurm_cluster, running) != "end\n":  # it ends while the controller is away
        assert time.monotonic() < deadline
        time.sleep(0.1)
    slurm_cluster.start_controller()
    slurm_cluster.wait_until(accounted(slurm_cluster, running, "COMPLETED"), timeout=60)
    slurm_cluster.wait_until(accounted(slurm_cluster, waiting, "COMPLETED"), timeout=30)


def test_nothing_is_lost_while_slurmdbd_is_stopped(slurm_cluster: SlurmCluster) -> None:
    before = slurm_cluster.submit("sleep 2")
    slurm_cluster.wait_until(lambda: slurm_cluster.accounting(before), timeout=20)
    slurm_cluster.stop_slurmdbd()
    with pytest.raises(RuntimeError, match="Connection refused"):
        slurm_cluster.accounting(before)
    during = slurm_cluster.submit("exit 3")
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, before, during), timeout=20)
    slurm_cluster.start_slurmdbd()
    slurm_cluster.wait_until(accounted(slurm_cluster, before, "COMPLETED"), timeout=60)
    slurm_cluster.wait_until(accounted(slurm_cluster, during, "FAILED"), timeout=60)


# Processes that detach from their job: the last one drops even its environment.
DETACH = """
sleep 1000 & echo $!
setsid sleep 1000 & echo $!
env --ignore-environment setsid sleep 1000 & echo $!
echo detached
sleep 60
"""


def test_a_killed_node_takes_its_processes_with_it(
    start_cluster: StartCluster, proctrack: Proctrack
) -> None:
    options = ClusterOptions(accounting=False, num_nodes=2, proctrack=proctrack)
    cluster = start_cluster(options)
    first, second = cluster.nodes
    job = cluster.submit(DETACH, f"--nodelist={first}")
    other = cluster.submit("sleep 2; echo end", f"--nodelist={second}")
    cluster.wait_until(says(cluster, job, "detached"), timeout=20)
    detached = [psutil.Process(int(line)) for line in log(cluster, job).split()[:3]]
    assert all(map(lives, detached))
    cluster.kill_node(first)
    assert not any(map(lives, detached))
    cluster.wait_until(left_the_queue(cluster, other), timeout=20)
    assert log(cluster, other) == "end\n"


@pytest.mark.timeout(180)
def test_slurm_notices_a_killed_node(slurm_cluster: SlurmCluster) -> None:
    job = slurm_cluster.submit("sleep 3")
    slurm_cluster.wait_until(runs(slurm_cluster, job), timeout=20)
    node = slurm_cluster.jobs()[job].node
    slurm_cluster.kill_node(node)
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, job), timeout=120)
    slurm_cluster.wait_until(accounted(slurm_cluster, job, "NODE_FAIL", "COMPLETED"), timeout=20)
    died, ran = slurm_cluster.accounting(job)
    assert died.node == node != ran.node
    slurm_cluster.start_node(node)
    job = slurm_cluster.submit("true", f"--nodelist={node}")
    slurm_cluster.wait_until(left_the_queue(slurm_cluster, job), timeout=60)


# --- The end --------------------------------------------------------------------------------------

LIFE = """
import os, signal, sys
from cluster import SlurmCluster, new_directory
from configuration import ClusterOptions

cluster = SlurmCluster(new_directory(), ClusterOptions(num_nodes=1))
cluster.start()
print(cluster.directory, flush=True)
job = cluster.submit({command!r})
log = cluster.directory / f"log/job-{{job}}.log"
cluster.wait_until(lambda: log.exists() and "detached" in log.read_text(), timeout=20)
print("ready", flush=True)
sys.stdin.readline()
{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        "cluster.stop()",
        "raise SystemExit('without stop()')",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_nothing_is_left(slurm_packages: None, end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LIFE.format(command=DETACH, end=end)],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as life:
        directory = Path(life.stdout.readline().strip())
        assert life.stdout.readline() == "ready\n"
        started = psutil.Process(life.pid).children(recursive=True)
        names = {process.name() for process in started}
        daemons = {"munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "slurmstepd"}
        assert {*daemons, "sleep"} <= names
        assert directory.exists()
        life.communicate("\n")
    deadline = time.monotonic() + (0 if end[-6:] == "stop()" else 10)
    while (left := [process for process in started if lives(process)]) or directory.exists():
        assert time.monotonic() < deadline, (directory, left)
        time.sleep(0.05)


SLOW_LISTS = """
import os, runpy, time

def listdir(path, real=os.listdir):
    for name in real(path):
        time.sleep(0.01)  # what was listed may have ended
        yield name

os.listdir = listdir
runpy.run_path("daemon.py", run_name="__main__")
"""


def test_what_a_daemon_leaves_is_killed_however_late_it_is_listed() -> None:
    leaves = "setsid sleep 1000 & echo $!; sh -c 'sleep 1000 & echo $!; wait' & wait"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_LISTS, "sh", "-c", leaves],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        left = [psutil.Process(int(daemon.stdout.readline())) for _ in range(2)]
        daemon.stdin.close()
        assert daemon.wait(20) == 0
    assert not any(map(lives, left))


def test_a_daemon_that_does_not_start_is_named(slurm_packages: None) -> None:
    cluster = SlurmCluster(new_directory(), ClusterOptions(accounting=False))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cluster.ports[0]))
        with pytest.raises(RuntimeError, match=r"^slurmctld: .*Address already in use"):
            cluster.start()
    assert not cluster.directory.exists()


def test_clusters_do_not_touch_each_other(
    start_cluster: StartCluster, proctrack: Proctrack
) -> None:
    options = ClusterOptions(accounting=False, num_nodes=1, proctrack=proctrack)
    one, other = start_cluster(options), start_cluster(options)
    first, second = one.submit("sleep 60"), other.submit("sleep 3; echo end")
    assert first == second  # so cgroups and spool files differ only by the node
    one.wait_until(runs(one, first), timeout=20)
    other.wait_until(runs(other, second), timeout=20)
    one.stop()
    assert not any((FREEZER / f"slurm_{node}").exists() for node in one.nodes)
    other.wait_until(left_the_queue(other, second), timeout=20)
    assert log(other, second) == "end\n"


def test_the_playground_ends_with_ctrl_c(slurm_packages: None) -> None:
    command = ["env", "--default-signal=INT", sys.executable, "playground.py"]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as playground:
        lines = iter(playground.stdout.readline, "")
        export = next(line.split()[1] for line in lines if "export" in line)
        name, conf = export.split("=")
        environment = {**os.environ, name: conf}
        sinfo = ["sinfo", "--noheader", "--format=%T"]
        assert subprocess.check_output(sinfo, env=environment, text=True) == "idle\n"
        playground.send_signal(signal.SIGINT)
        playground.communicate()
    assert playground.returncode == 0
    assert not Path(conf).parent.exists()


@pytest.mark.parametrize(("require", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_without_slurm_tests_are_skipped_unless_required(
    tmp_path: Path, require: str, outcome: str
) -> None:
    """With a PATH that has no sbatch."""
    test = f"{__file__}::test_a_job_runs"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--confcutdir={HERE}", test],
        env={**os.environ, "PATH": str(tmp_path), "REQUIRE_SLURM": require},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in result.stdout
    assert "no sbatch: `make test-slurm` installs SLURM" in result.stdout
