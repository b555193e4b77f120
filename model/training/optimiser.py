"""AdamW without PyTorch's compiler.

The constructor and the first step of every `torch.optim` class import `torch._dynamo`, which takes
as long as importing the rest of PyTorch: most of the start of a short training.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

# How `torch.optim.AdamW` describes itself in its state, which is ours, too.
_AS_TORCH = {
    "amsgrad": False,
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": True,
    "decoupled_weight_decay": True,
}


class AdamW:
    """`torch.optim.AdamW(..., fused=True)` in one group: the same bits and the same state."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        self.parameters = list(parameters)
        self.state: dict[int, dict[str, Tensor]] = {}  # by the parameter's place in the list
        settings = {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [
            {**settings, **_AS_TORCH, "params": [*range(len(self.parameters))]}
        ]
        # On the device, so that a step asks for the same whatever it is (cuda_graph.py); PyTorch's
        # kernel reads it in float32 on a GPU.
        device = self.parameters[0].device
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        self._learning_rate = torch.full((), lr, dtype=dtype, device=device)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Of the steps from now on."""
        self.param_groups[0]["lr"] = learning_rate
        self._learning_rate.fill_(learning_rate)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, is_skipped: Tensor) -> None:
        """Update each parameter that has a gradient, or nothing; `is_skipped` is a boolean []."""
        (group,) = self.param_groups
        updated = [(n, p, p.grad) for n, p in enumerate(self.parameters) if p.grad is not None]
        states = [self._state_of(n, parameter) for n, parameter, _ in updated]
        adamw(
            [parameter for _, parameter, _ in updated],
            [gradient for _, _, gradient in updated],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=self._learning_rate,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
            found_inf=is_skipped.float(),
        )

    def _state_of(self, number: int, parameter: nn.Parameter) -> dict[str, Tensor]:
        if number not in self.state:
            self.state[number] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[number]

    def state_dict(self) -> dict[str, Any]:
        """What `torch.optim.AdamW.state_dict` gives; its tensors are not copied."""
        states = {number: {**state} for number, state in self.state.items()}
        return {"state": states, "param_groups": [{**group} for group in self.param_groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict()` was taken, on whatever device that was."""
        self.param_groups = [{**group} for group in state["param_groups"]]
        self.set_learning_rate(self.param_groups[0]["lr"])
        self.state = {
            number: {
                name: tensor.to(self.parameters[number].device, copy=True)
                for name, tensor in tensors.items()
            }
            for number, tensors in state["state"].items()
        }
