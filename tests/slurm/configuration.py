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

    def __post_init__(self) -> None:
        if self.max_submit_jobs is not None and not self.accounting:
            raise ValueError("max_submit_jobs is kept by slurmdbd: it needs accounting=True")
        if self.gpus_per_node > len(GPU_DEVICES):
            raise ValueError(f"gpus_per_node: a node can have at most {len(GPU_DEVICES)}")


def write_configuration(
    directory: Path, options: ClusterOptions, ports: list[int], nodes: list[str]
) -> None:
    """Write every configuration file of a cluster that lives in `directory`.

    The ports are those of slurmctld, slurmdbd and each node.
    """
    write = {
        "slurm.conf": slurm_conf(directory, options, ports, nodes),
        "gres.conf": gres_conf(options),
        "cgroup.conf": CGROUP_CONF,
    }
    if options.accounting:
        write |= {"slurmdbd.conf": slurmdbd_conf(directory, ports[1]), "my.cnf": my_cnf(directory)}
    for name, text in write.items():
        file = directory / name
        file.write_text(text)
        file.chmod(0o600 if name == "slurmdbd.conf" else 0o644)  # slurmdbd insists


def free_ports(count: int) -> list[int]:
    """Consecutive ports that nothing listens on, below those that the kernel gives to clients."""
    for first in random.SystemRandom().sample(range(10_000, 30_000), 100):
        ports = list(range(first, first + count))
        if all(_is_free(port) for port in ports):
            return ports
    raise OSError(f"no {count} consecutive free ports between 10000 and 30000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def slurm_conf(directory: Path, options: ClusterOptions, ports: list[int], nodes: list[str]) -> str:
    host = socket.gethostname().split(".")[0]
    controller_port, slurmdbd_port, *node_ports = ports
    gpu = "gpu" if options.gpu_type is None else f"gpu:{options.gpu_type}"
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
        "GresTypes=gpu",
        *(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
            f" CPUs={options.cpus_per_node} RealMemory={options.memory_per_node_mb}"
            f" Gres={gpu}:{options.gpus_per_node}"
            for node, port in zip(nodes, node_ports, strict=True)
        ),
        "PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=60 PreemptMode=OFF",
        "PartitionName=low Nodes=ALL MaxTime=1-0 DefaultTime=60 PreemptMode=REQUEUE"
        f" GraceTime={options.preempt_grace_s}",
        "PartitionName=high Nodes=ALL MaxTime=1-0 DefaultTime=60 PreemptMode=OFF PriorityTier=10",
    ]
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


def gres_conf(options: ClusterOptions) -> str:
    kind = "" if options.gpu_type is None else f" Type={options.gpu_type}"
    devices = GPU_DEVICES[: options.gpus_per_node]
    return "".join(f"Name=gpu{kind} File={device}\n" for device in devices)


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
