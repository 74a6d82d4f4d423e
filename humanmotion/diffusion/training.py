"""One step of training, any number of times: optimiser, warm-up, moving average, resumable.

Each step's randomness comes from its own number, so a run that was killed and restored goes on with
the bytes it would have had. Devices, precision and several processes are Lightning Fabric's matter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.errors import InputError

Loss = Callable[[nn.Module, torch.Generator], Tensor]
"""From the network and the randomness of this step, on the device, to a scalar."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns."""

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 500
    """Steps over which the rate rises; afterwards it falls along a cosine to zero."""
    weight_decay: float = 1e-4
    ema: float = 0.999
    """Memory of the moving average of the weights, which is what is kept in the end."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Memories of Adam."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        along = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(along, 1.0)))


class Trainer:
    """A network in training."""

    def __init__(self, network: nn.Module, schedule: Schedule, *, fabric: Any) -> None:
        """`fabric` is a `lightning.fabric.Fabric` that was launched."""
        self.schedule, self.step_number = schedule, 0
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        fused = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": fused, "weight_decay": schedule.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=schedule.betas)
        self._fabric = fabric
        self._network, self._optimizer = fabric.setup(network, optimizer)
        self.average = self.average.to(fabric.device)

    def step(self, loss: Loss) -> Tensor:
        """One step; returns its loss."""
        rank = int(self._fabric.global_rank)
        seed = (self.schedule.seed * 1_000_003 + self.step_number) * 1009 + rank
        # Dropout draws from torch's own generator.
        torch.manual_seed(seed)
        generator = torch.Generator(self._fabric.device).manual_seed(seed)
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step_number)
        self._network.train()
        value = loss(self._network, generator)
        self._fabric.backward(value)
        self._fabric.clip_gradients(self._network, self._optimizer, max_norm=self.schedule.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._follow()
        self.step_number += 1
        # A number would have to wait for the device.
        return value.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        # At first the average would remember the random start for thousands of steps.
        keep = min(self.schedule.ema, (1 + self.step_number) / (10 + self.step_number))
        for mean, value in zip(self.average.parameters(), self._network.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        # Running statistics are averages already.
        for held, value in zip(self.average.buffers(), self._network.buffers(), strict=True):
            held.copy_(value)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as named tensors."""
        out = {"step": torch.tensor(self.step_number)}
        out |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        out |= {f"network/{k}": v for k, v in self._network.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"optimizer/{number}/{k}": torch.as_tensor(v) for k, v in moments.items()}
        return {k: v.detach().cpu().contiguous().clone() for k, v in out.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; raises InputError when it is of another network."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        try:
            self._network.load_state_dict(part("network/"))
            self.average.load_state_dict(part("average/"))
        except RuntimeError as error:
            raise InputError(
                "the checkpoint is of another network; train into another folder"
            ) from error
        held: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer/").items():
            number, name = key.split("/")
            held.setdefault(int(number), {})[name] = value
        whole = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**whole, "state": held})
        self.step_number = int(state["step"])
