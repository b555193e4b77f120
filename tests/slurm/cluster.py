"""A real SLURM cluster in a private directory: munge, MariaDB, slurmdbd, slurmctld, slurmd."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import psutil
from configuration import USER, ClusterOptions, claim_ports, write_configuration

T = TypeVar("T")

PROGRAMS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "sbatch")
SYSTEM_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")
FREEZER = Path("/sys/fs/cgroup/freezer")
TIMEOUT_S = 60  # for a daemon to start or stop


@dataclass(frozen=True)
class QueuedJob:
    """A line of squeue."""

    job_id: str  # of an array's task: 12_3
    name: str
    partition: str
    state: str  # PENDING, RUNNING, COMPLETING, ...
    reason: str
    node: str
    restarts: int


@dataclass(frozen=True)
class AccountedJob:
    """A line of sacct: one for each time that a job was started."""

    job_id: str
    name: str
    partition: str
    state: str  # COMPLETED, FAILED, PREEMPTED, NODE_FAIL, ...
    exit_code: str  # "0:9": code and signal
    node: str
    tres: str  # "billing=1,cpu=1,gres/gpu=2,..."


def find_program(program: str) -> str | None:
    """A program's path, also in the folder of Debian's daemons, which a user's PATH often lacks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin")


def missing_programs() -> list[str]:
    """What a cluster needs and this machine lacks; `packages.sh` installs it."""
    return [program for program in PROGRAMS if find_program(program) is None]


def has_cgroups() -> bool:
    """Whether proctrack="cgroup" works here: cgroups of version 1, and the right to make one."""
    probe = FREEZER / f"slurm_probe_{os.getpid()}"
    try:
        probe.mkdir()
        usable = (probe / "freezer.state").exists()
        probe.rmdir()
    except OSError:
        return False
    return usable


def new_directory() -> Path:
    """An empty directory, in memory if possible: there a cluster starts several times faster."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="slurm-", dir=memory))


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


class SlurmCluster:
    """A cluster that lives in `directory` and deletes it at the end; a context manager.

    However this process ends, daemons, jobs and directory are gone a moment later.
    """

    def __init__(self, directory: Path, options: ClusterOptions) -> None:
        self.directory = directory
        self.options = options
        self.ports, self._claims = claim_ports(2 + options.num_nodes)
        # With its port, a node's name is unique on this machine, and so is its cgroup.
        self.nodes = [f"n{port}" for port in self.ports[2:]]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._cleaner: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- What users do ------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a login node's shell: this process's, and where slurm.conf is."""
        outer = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH_"))}
        return {**outer, "SLURM_CONF": str(self.directory / "slurm.conf")}

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a user on the login node."""
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, check=False
        )

    def submit(self, command: str, *options: str) -> str:
        """The id of a job that runs a shell command; raises RuntimeError with sbatch's message.

        Its output is in `directory`/log/job-ID.log.
        """
        log = f"--output={self.directory}/log/job-%j.log"
        return self._output("sbatch", "--parsable", log, *options, "--wrap", command).strip()

    def jobs(self) -> dict[str, QueuedJob]:
        """What squeue shows, by job id: jobs that are waiting, running or just ending."""
        columns = ("JobArrayID", "Name", "Partition", "State", "Reason", "NodeList", "RestartCnt")
        layout = ",".join(f"{column}:100|" for column in columns)
        output = self._output("squeue", "--noheader", "--array", f"--Format={layout}")
        jobs = {}
        for line in output.splitlines():
            *texts, restarts = (text.strip() for text in line.rstrip("|").split("|"))
            jobs[texts[0]] = QueuedJob(*texts, restarts=int(restarts))
        return jobs

    def accounting(self, *job_ids: str) -> list[AccountedJob]:
        """What sacct shows of these jobs, a line for each start; a new job appears after 4 s."""
        columns = "JobID,JobName,Partition,State,ExitCode,NodeList,AllocTRES"
        output = self._output(
            *("sacct", "--allocations", "--duplicates", f"--jobs={','.join(job_ids)}"),
            *("--noheader", "--parsable2", f"--format={columns}"),
        )
        return [AccountedJob(*line.split("|")) for line in output.splitlines()]

    def wait_until(self, predicate: Callable[[], T], timeout: float) -> T:
        """The first true value of `predicate`; raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not (value := predicate()):
            if time.monotonic() > deadline:
                queue = self.run("squeue", "--long").stdout
                raise TimeoutError(f"not within {timeout} s; the queue then:\n{queue}")
            time.sleep(0.1)
        return value

    def _output(self, *argv: str) -> str:
        result = self.run(*argv)
        if result.returncode != 0:
            raise RuntimeError((result.stderr or result.stdout).strip())
        return result.stdout

    # --- What an administrator does, and what goes wrong --------------------------------------

    def start(self) -> None:
        """Start everything; returns when every node is idle. Raises RuntimeError if one fails."""
        cgroups = [f"{FREEZER}/slurm_{node}" for node in self.nodes]
        self._cleaner = self._python("cleaner.py", str(self.directory), *cgroups)
        try:
            for name in (".", "log", "munge", "mariadb", "slurmctld", "slurmd"):
                (self.directory / name).mkdir(exist_ok=True)
                (self.directory / name).chmod(0o755)  # whatever the umask: munged is strict
            write_configuration(self.directory, self.options, self.ports, self.nodes)
            self._start_munge()
            if self.options.accounting:
                self._start_mariadb()
                self.start_slurmdbd()
                self._register()
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            self._wait_for("slurmctld", self._nodes_are_idle)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every daemon and every process that jobs have left, and delete the directory."""
        for daemon in self._daemons.values():
            daemon.stdin.close()
        for daemon in self._daemons.values():
            daemon.wait()
        self._daemons.clear()
        if self._cleaner is not None:
            self._cleaner.communicate()
            self._cleaner = None
        for claim in self._claims:
            claim.close()

    def start_controller(self) -> None:
        """Start slurmctld; it remembers the jobs that it knew when it stopped."""
        self._start("slurmctld", "slurmctld", "-D")
        self._wait_for("slurmctld", lambda: self._output("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Stop slurmctld properly; jobs go on."""
        self._stop("slurmctld")

    def start_slurmdbd(self) -> None:
        """Start the accounting daemon."""
        self._start("slurmdbd", "slurmdbd", "-D")
        self._wait_for("slurmdbd", lambda: self._output("sacctmgr", "show", "cluster"))

    def stop_slurmdbd(self) -> None:
        """Stop the accounting daemon properly; slurmctld keeps what it has to record."""
        self._stop("slurmdbd")

    def start_node(self, node: str) -> None:
        """Start a node's slurmd; SLURM uses the node a few seconds later."""
        self._start(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """A node loses power: slurmd, its jobs and all their processes are gone at once.

        SLURM notices after 20 to 35 s; `scontrol update State=DOWN` tells it.
        """
        daemon = self._daemons.pop(node)
        # All are stopped before one dies: none may see another one's end and react to it.
        stopped: dict[int, psutil.Process] = {}
        while new := [
            process
            for process in psutil.Process(daemon.pid).children(recursive=True)
            if process.pid not in stopped
        ]:
            for process in new:
                stopped[process.pid] = process
                _send(process, signal.SIGSTOP)
        for process in reversed(stopped.values()):
            _send(process, signal.SIGKILL)
        daemon.communicate()

    def freeze_node(self, node: str, *, with_jobs: bool) -> None:
        """Stop a node's slurmd, or all processes there, as a machine that hangs does.

        SLURM requeues its jobs after `slurmd_timeout_s` or some more.
        """
        self._signal_node(node, signal.SIGSTOP, with_jobs=with_jobs)

    def thaw_node(self, node: str) -> None:
        """Have what was frozen go on where it was."""
        self._signal_node(node, signal.SIGCONT, with_jobs=True)

    def _signal_node(self, node: str, number: int, *, with_jobs: bool) -> None:
        daemon = psutil.Process(self._daemons[node].pid)
        slurmd = next(child for child in daemon.children() if child.name() == "slurmd")
        for process in daemon.children(recursive=True) if with_jobs else [slurmd]:
            _send(process, number)

    # --- Daemons ------------------------------------------------------------------------------

    def _start_munge(self) -> None:
        directory = self.directory / "munge"
        (directory / "key").touch(mode=0o600)
        (directory / "key").write_bytes(secrets.token_bytes(64))
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={directory}/{name}" for option, name in files.items()]
        self._start("munged", "munged", "--foreground", *options)
        self._wait_for("munged", (directory / "socket").exists)

    def _start_mariadb(self) -> None:
        """Create the system's tables as mariadb-install-db does, but in 0.2 s; then start."""
        (self.directory / "mariadb/data/mysql").mkdir(parents=True)
        (self.directory / "mariadb/tmp").mkdir()
        defaults = f"--defaults-file={self.directory}/my.cnf"
        subprocess.run(
            [find_program("mariadbd") or "mariadbd", defaults, "--bootstrap"],
            input=b"use mysql;\n" + SYSTEM_TABLES.read_bytes(),
            capture_output=True,
            check=True,
        )
        self._start("mariadbd", "mariadbd", defaults)
        self._wait_for("mariadbd", (self.directory / "mariadb/socket").exists)

    def _register(self) -> None:
        """Register the cluster and this user with slurmdbd, which at first knows only root."""
        commands = [["add", "cluster", "test"]]
        for user in {USER, self.options.user} - {"root"}:
            commands += [["add", "user", user, "account=root"]]
        if self.options.max_submit_jobs is not None:
            limit = f"maxsubmitjobs={self.options.max_submit_jobs}"
            commands += [["modify", "user", self.options.user, "set", limit]]
        commands += [command.split() for command in self.options.sacctmgr]
        for command in commands:
            self._output("sacctmgr", "--immediate", *command)

    def _nodes_are_idle(self) -> bool:
        return set(self._output("sinfo", "--noheader", "--format=%T").split()) == {"idle"}

    def _start(self, name: str, program: str, *arguments: str) -> None:
        assert self._cleaner is not None
        with (self.directory / f"log/{name}.log").open("ab") as log:
            self._daemons[name] = self._python(
                "daemon.py",
                find_program(program) or program,
                *arguments,
                output=log,
                # The cleaner's pipe stays open as long as the daemon runs.
                pass_fds=[self._cleaner.stdin.fileno()],
            )

    def _python(
        self,
        script: str,
        *arguments: str,
        output: IO[bytes] | None = None,
        pass_fds: Collection[int] = (),
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, Path(__file__).with_name(script), *arguments],
            env={**self.environment, "MYSQL_UNIX_PORT": f"{self.directory}/mariadb/socket"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
        )

    def _stop(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        daemon.wait(TIMEOUT_S)
        daemon.communicate()

    def _wait_for(self, name: str, ready: Callable[[], object]) -> None:
        """Wait until `ready` returns something true; RuntimeError means not yet."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if ready():
                    return
                reason = "it does not become ready"
            except RuntimeError as error:
                reason = " ".join(str(error).split())
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead:
                name, reason = dead[0], "it has ended"
            if dead or time.monotonic() > deadline:
                log = (self.directory / f"log/{name}.log").read_text().splitlines()
                raise RuntimeError(f"{name}: {reason}; its log ends: {' / '.join(log[-3:])}")
            time.sleep(0.02)
