"""CUDA graphs on a CPU: operations are recorded as a GPU would, and replayed on the same memory.

As with CUDA, a recording has done nothing, a replay runs no Python, and what was not an operation
on tensors (a number, a branch) is in every replay what it was in the recording.  Streams, the
memory of a GPU and what may not be recorded there are not shown by this.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def tensors_in(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Graph:
    """In place of `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.num_replays = 0

    @torch.no_grad()
    def replay(self) -> None:
        self.num_replays += 1
        for function, arguments, options, recorded in self.calls:
            result = function(*arguments, **options)
            for old, new in zip(tensors_in(recorded), tensors_in(result), strict=True):
                if storage(old) != storage(new):  # else it is a view, or was changed in place
                    old.copy_(new)


class Recording(TorchDispatchMode):
    """Writes down what PyTorch is asked for, and keeps what is changed in place as it was."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        names = [argument.name for argument in function._schema.arguments]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        for argument in function._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tensors_in(given.get(argument.name)):
                    self.before.append((tensor, tensor.clone()))
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("the host waits while a stream is recorded")
        result = function(*args, **kwargs)
        self.graph.calls.append((function, args, kwargs, result))
        return result


@contextmanager
def recording(graph: Graph) -> Iterator[None]:
    """In place of `torch.cuda.graph`."""
    with Recording(graph) as mode:
        yield
    with torch.no_grad():
        for tensor, value in reversed(mode.before):
            tensor.copy_(value)


class Stream:
    """In place of `torch.cuda.Stream`: a CPU has one."""

    def wait_stream(self, stream: "Stream") -> None:
        pass


def put_in_place_of_cuda(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The graphs that will be made."""
    graphs: list[Graph] = []

    def new_graph() -> Graph:
        graphs.append(Graph())
        return graphs[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", new_graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return graphs
