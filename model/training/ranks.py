"""The processes that train one run together, one per GPU, or one alone.

Each holds the whole state and works on its part of every batch; gradients are averaged by
DistributedDataParallel.  Rank 0 alone writes.
"""

import ctypes
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import cast

import psutil
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from model.config import ConfigError
from model.network.generative_model import Bound, GenerativeModel
from model.stop_signals import STOP_SIGNALS
from model.training.stop import StopFlag

RANK_VARIABLES = {
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE"),
    *("ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"),
}


@dataclass(frozen=True)
class Ranks:
    """This process among those that train the run; by default it is alone."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device, size: int, stop: StopFlag) -> "Ranks":
        """Meet the others, of whom torchrun's environment tells; raises ConfigError.

        A signal to stop, even one that came before, ends the process: nothing is to be saved yet,
        and whoever sent it may have ended those who would be met.
        """
        found = os.environ.get("WORLD_SIZE")
        if found != str(size):
            raise ConfigError(
                f"train.gpus is {size}, but torchrun has started {found or 'no'} ranks: start them "
                f"with --nproc-per-node {size}, or leave out --ranks"
            )
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        with _signals_end_the_process(stop):  # Python would not hear them while it waits
            if device.type == "cuda":
                # What the hosts agree on (`any`, the barriers) goes by gloo, beside the GPUs'
                # queues.  Ten minutes are NCCL's own; together they would have thirty.
                distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=timedelta(minutes=10))
            else:
                distributed.init_process_group("gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    def leave(self) -> None:
        """Wait for all ranks: once one of them exits, the launcher kills the others."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    def replica(self, model: GenerativeModel) -> Callable[[Tensor, Sequence[Tensor]], Bound]:
        """What to call in training: the model, its gradients averaged over the ranks."""
        if self.size == 1:
            return model
        return DistributedDataParallel(
            cast(nn.Module, model),  # every family is one, see generative_model.py
            find_unused_parameters=model.has_unused_parameters,
        )

    def share(self, batch_size: int) -> range:
        """This rank's positions in a batch; shares differ by at most one image."""
        size, rest = divmod(batch_size, self.size)
        start = self.rank * size + min(self.rank, rest)
        return range(start, start + size + (self.rank < rest))

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the ranks, the same bits on each."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; the hosts agree on it, no GPU is waited for."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(int(flag))))

    @contextmanager
    def writer_first(self) -> Iterator[None]:
        """A block that the other ranks enter only when the writer has left it."""
        if not self.is_writer:
            distributed.barrier()
        yield
        if self.is_writer and self.size > 1:
            distributed.barrier()


@contextmanager
def _signals_end_the_process(stop: StopFlag) -> Iterator[None]:
    """A block in which nothing is to be saved yet."""
    handlers = [signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS]
    if stop.signal is not None:
        sys.exit(128 + stop.signal)
    try:
        yield
    finally:
        for number, handler in zip(STOP_SIGNALS, handlers, strict=True):
            signal.signal(number, handler)


def end_with_launcher(launcher: int) -> None:
    """Get SIGTERM when the launcher, this process's parent, is gone; `launcher` is its id."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != launcher:  # it went before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def launch(num_ranks: int, module: str, arguments: list[str], stop: StopFlag) -> int:
    """Run `python -m module` once per GPU of this machine, as torchrun does; the exit code.

    Signals that ask to stop are passed on, and the ranks have all the time they need to save:
    torchrun's own handlers would kill them after 30 seconds.
    """
    # Only the launcher of several ranks needs these, which take half a second to import.
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if torch.cuda.is_available() and torch.cuda.device_count() < num_ranks:
        raise ConfigError(
            f"train.gpus is {num_ranks}, but this machine offers {torch.cuda.device_count()}"
        )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        ranks = psutil.Process().children()
        for process in ranks:
            process.send_signal(number)
        if not ranks:  # not started yet: nothing to save
            sys.exit(128 + number)

    # What another launcher has left in the environment is not about these ranks.
    for name in [*os.environ]:
        if name.startswith("TORCHELASTIC_") or name in RANK_VARIABLES:
            del os.environ[name]

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
    if stop.signal is not None:  # before there was anybody to pass it on to
        return 128 + stop.signal
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle="SIGHUP",
    )
    try:
        elastic_launch(config, sys.executable)(
            "-m", module, *arguments, "--ranks", str(os.getpid())
        )
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
    return 0
