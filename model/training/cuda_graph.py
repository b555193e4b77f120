"""A function of tensors as a CUDA graph: the device is sent one launch instead of thousands."""

from collections.abc import Callable

import torch
from torch import Tensor

from model.config import ConfigError

WARM_UP = 3  # calls before the recording


class CudaGraph:
    """A function that asks the device for the same operations in each call, recorded and replayed.

    The first `WARM_UP` calls are plain ones, in which libraries load and choose algorithms and what
    stays for good is allocated; the next one records, and it and all others replay.  A replay reads
    and writes the memory of the recording: arguments, of the same shapes in each call, are copied
    there, the result is a copy, and whatever else the function reads must stay where it is.  What
    differs between calls must be in a tensor: a number or a branch would be that of the recording.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._num_calls = 0
        self._arguments: list[Tensor] = []
        self._result = torch.empty(0)

    def __call__(self, *arguments: Tensor) -> Tensor:
        """What the function returns; raises ConfigError if it cannot be recorded."""
        self._num_calls += 1
        if self._num_calls <= WARM_UP:
            return self._call_on_other_stream(arguments)
        if self._num_calls == WARM_UP + 1:
            self._record(arguments)
        torch._foreach_copy_(self._arguments, arguments)
        self._graph.replay()
        return self._result.clone()

    def _call_on_other_stream(self, arguments: tuple[Tensor, ...]) -> Tensor:
        # As PyTorch asks for: what a call leaves, such as the workspaces of libraries, must not be
        # tied to the default stream, on which nothing can be recorded.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._function(*arguments)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _record(self, arguments: tuple[Tensor, ...]) -> None:
        self._arguments = [argument.clone() for argument in arguments]
        self._graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self._graph):
                self._result = self._function(*self._arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"the step cannot be recorded as a CUDA graph, leave the option out: {reason}",
                "train.cuda_graph",
            ) from error
