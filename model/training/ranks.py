"""The processes that train one run together, one per GPU, or one alone.

Each holds the whole state and works on its part of every batch; gradients are averaged by
DistributedDataParallel.  Rank 0 alone writes.
"""

import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import cast

import psutil
import torch
from torch import Tensor, distributed, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from model.config import ConfigError
from model.network.generative_model import Bound, GenerativeModel
from model.training.stop import STOP_SIGNALS


@dataclass(frozen=True)
class Ranks:
    """This process among those that train the run; by default it is alone."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def are_started() -> bool:
        """Whether `launch` or torchrun has started this process."""
        return "WORLD_SIZE" in os.environ

    @classmethod
    def join(cls, device: torch.device) -> "Ranks":
        """Meet the other ranks, if there are any."""
        if not cls.are_started():
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
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

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on any rank."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(int(flag), device=device)))

    @contextmanager
    def writer_first(self) -> Iterator[None]:
        """A block that the other ranks enter only when the writer has left it."""
        if not self.is_writer:
            distributed.barrier()
        yield
        if self.is_writer and self.size > 1:
            distributed.barrier()


def launch(num_ranks: int, module: str, arguments: list[str]) -> int:
    """Run `python -m module` once per GPU of this machine, as torchrun does; the exit code.

    Signals that ask to stop are passed on, and the ranks have all the time they need to save:
    torchrun's own handlers would kill them after 30 seconds.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < num_ranks:
        raise ConfigError(
            f"train.gpus is {num_ranks}, but this machine offers {torch.cuda.device_count()}"
        )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for process in psutil.Process().children():
            process.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
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
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
    return 0
