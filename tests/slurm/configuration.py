"""What a test cluster is made of, and the files that tell SLURM and MariaDB so."""

import os
import pwd
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

USER = pwd.getpwuid(os.geteuid()).pw_name

Proctrack = Literal["linuxproc", "cgroup"]  # how SLURM follows a job's processes

# A GPU must be an existing device file. Nothing opens these: a job only gets its GPUs' numbers.
GPU_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The nodes and the policies of a test cluster; CPUs, memory and GPUs are simulated."""

    num_nodes: int = 3
    cpus_per_node: int = 8
    memory_per_node_mb: int = 16_000
    gpus_per_node: int = 4
    gpu_type: str | None = None
    accounting: bool = True
    proctrack: Proctrack = "linuxproc"
    requeue: bool = True
    preempt_send_user_signal: bool = True
    preempt_grace_s: int = 30
    slurmd_timeout_s: int = 20
    max_submit_jobs: int | None = None
    max_array_size: int = 10001  # 0: no arrays
    gres: tuple[str, ...] | None = None  # of each node: "gpu:t4:2,shard:4"; None: its GPUs
    lines: tuple[str, ...] = ()  # more of slurm.conf, where {0} is the first node
    user: str = USER  # who submits
    sacctmgr: tuple[str, ...] = ()  # what is set in the accounting
    on_submit: str = ""  # Lua in job_submit.lua, where `job` is what was asked for
    on_modify: str = ""  # likewise, of `scontrol update`
    prolog: str = ""  # a shell script, run by root before each job; {directory} is the cluster's

    def __post_init__(self) -> None:
        if self.max_submit_jobs is not None and not self.accounting:
            raise ValueError("max_submit_jobs is kept by slurmdbd: it needs accounting=True")
        if self.sacctmgr and not self.accounting:
            raise ValueError("sacctmgr needs accounting=True")
        if self.gres is not None and len(self.gres) != self.num_nodes:
            raise ValueError("gres: one text for each node")
        if any(sum(n for _, n in gpus(text)) > len(GPU_DEVICES) for text in self.gres_of_nodes):
            raise ValueError(f"a node can have at most {len(GPU_DEVICES)} GPUs")

    @property
    def gres_of_nodes(self) -> tuple[str, ...]:
        """What SLURM calls generic resources, of each node."""
        if self.gres is not None:
            return self.gres
        gpu = "gpu" if self.gpu_type is None else f"gpu:{self.gpu_type}"
        return (f"{gpu}:{self.gpus_per_node}",) * self.num_nodes


def gpus(gres: str) -> list[tuple[str, int]]:
    """The types of a node's GPUs ("": none), and how many there are of each."""
    words = [word.split(":") for word in gres.split(",") if word.startswith("gpu")]
    return [("".join(word[1:-1]), int(word[-1])) for word in words]


def write_configuration(
    directory: Path, options: ClusterOptions, ports: list[int], nodes: list[str]
) -> None:
    """Write every configuration file of a cluster that lives in `directory`.

    The ports are those of slurmctld, slurmdbd and each node.
    """
    write = {
        "slurm.conf": slurm_conf(directory, options, ports, nodes),
        "gres.conf": gres_conf(options, nodes),
        "cgroup.conf": CGROUP_CONF,
    }
    if options.accounting:
        write |= {"slurmdbd.conf": slurmdbd_conf(directory, ports[1]), "my.cnf": my_cnf(directory)}
    if options.on_submit or options.on_modify:
        write["job_submit.lua"] = JOB_SUBMIT.format(options=options)
    if options.prolog:
        write["prolog"] = f"#!/bin/sh\n{options.prolog.format(directory=directory)}\n"
    modes = {"slurmdbd.conf": 0o600, "prolog": 0o755}  # slurmdbd insists
    for name, text in write.items():
        file = directory / name
        file.write_text(text)
        file.chmod(modes.get(name, 0o644))


def claim_ports(count: int) -> tuple[list[int], list[socket.socket]]:
    """Consecutive ports that nothing listens on, below those that the kernel gives to clients.

    No other cluster on this machine chooses them until the sockets beside them are closed.
    """
    for first in random.SystemRandom().sample(range(10_000, 30_000), 100):
        ports = list(range(first, first + count))
        claims: list[socket.socket] = []
        try:
            for port in ports:
                claims.append(_claim(port))
        except OSError:
            for claim in claims:
                claim.close()
        else:
            return ports, claims
    raise OSError(f"no {count} consecutive free ports between 10000 and 30000")


def _claim(port: int) -> socket.socket:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0multires-hvae test cluster: port {port}")  # gone with this process
    except OSError:
        claim.close()
        raise
    return claim


def slurm_conf(directory: Path, options: ClusterOptions, ports: list[int], nodes: list[str]) -> str:
    host = socket.gethostname().split(".")[0]
    controller_port, slurmdbd_port, *node_ports = ports
    lines = [
        "ClusterName=test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={controller_port}",
        f"SlurmUser={USER}",
        f"SlurmdUser={USER}",
        f"AuthInfo=socket={directory}/munge/socket,cred_expire=5",  # requeue in 6 s, not 121 s
        f"StateSaveLocation={directory}/slurmctld",
        f"SlurmdSpoolDir={directory}/slurmd/%n",
        f"SlurmctldPidFile={directory}/slurmctld.pid",
        f"SlurmdPidFile={directory}/slurmd/%n.pid",
        # Faults are noticed in seconds.
        f"SlurmdTimeout={options.slurmd_timeout_s}",
        "KillWait=5",
        "ReturnToService=2",
        # Jobs.
        f"JobRequeue={int(options.requeue)}",
        f"MaxArraySize={options.max_array_size}",
        f"ProctrackType=proctrack/{options.proctrack}",
        "TaskPlugin=task/none",
        "MpiDefault=none",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=2",
        "JobAcctGatherParams=OverMemoryKill",
        # Scheduling: at once rather than optimally.
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        "DefMemPerCPU=500",
        "SchedulerParameters=sched_interval=2,sched_min_interval=50000,batch_sched_delay=0,"
        "bf_interval=1",
        "PriorityType=priority/basic",
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        # Nodes.
        "SlurmdParameters=config_overrides",  # believe the CPUs and memory given here
        f"GresTypes={'gpu,shard' if 'shard' in str(options.gres) else 'gpu'}",
        *(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
            f" CPUs={options.cpus_per_node} RealMemory={options.memory_per_node_mb}"
            + (f" Gres={gres}" if gres else "")
            for node, port, gres in zip(nodes, node_ports, options.gres_of_nodes, strict=True)
        ),
        "PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=60 PreemptMode=OFF",
        "PartitionName=low Nodes=ALL MaxTime=1-0 DefaultTime=60 PreemptMode=REQUEUE"
        f" GraceTime={options.preempt_grace_s}",
        "PartitionName=high Nodes=ALL MaxTime=1-0 DefaultTime=60 PreemptMode=OFF PriorityTier=10",
    ]
    lines += [line.format(*nodes) for line in options.lines]
    if options.on_submit or options.on_modify:
        lines += ["JobSubmitPlugins=lua"]
    if options.prolog:
        lines += [f"Prolog={directory}/prolog"]
    if options.preempt_send_user_signal:
        lines += ["SlurmctldParameters=preempt_send_user_signal"]
    if options.accounting:
        lines += [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={slurmdbd_port}",
            f"AccountingStoragePass={directory}/munge/socket",
            "AccountingStorageEnforce=associations,limits,qos",
            "AccountingStorageTRES=gres/gpu",
        ]
    return "\n".join(lines) + "\n"


def gres_conf(options: ClusterOptions, nodes: list[str]) -> str:
    lines = []
    for node, gres in zip(nodes, options.gres_of_nodes, strict=True):
        devices = iter(GPU_DEVICES)
        for kind, number in gpus(gres):
            type_ = f" Type={kind}" if kind else ""
            for _ in range(number):
                lines.append(f"NodeName={node} Name=gpu{type_} File={next(devices)}")
        for word in gres.split(","):
            if word.startswith("shard:"):
                lines.append(f"NodeName={node} Name=shard Count={word.removeprefix('shard:')}")
    return "".join(f"{line}\n" for line in lines)


JOB_SUBMIT = """\
function slurm_job_submit(job, partitions, user)
    {options.on_submit}
    return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, user)
    {options.on_modify}
    return slurm.SUCCESS
end
return slurm.SUCCESS
"""


CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"


def slurmdbd_conf(directory: Path, port: int) -> str:
    return f"""\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={USER}
AuthInfo=socket={directory}/munge/socket
PidFile={directory}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""


def my_cnf(directory: Path) -> str:
    """A throw-away database: nobody else can reach it, and it need not survive a crash."""
    return f"""\
[mysqld]
user={USER}
datadir={directory}/mariadb/data
socket={directory}/mariadb/socket
pid-file={directory}/mariadb/pid
# Its own: when MariaDB starts, it deletes all temporary tables there, and other servers crash.
tmpdir={directory}/mariadb/tmp
skip-networking
skip-grant-tables
performance-schema=off
innodb-buffer-pool-size=32M
innodb-log-file-size=8M
innodb-flush-log-at-trx-commit=0
"""
