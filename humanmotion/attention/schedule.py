"""When attention stays dense: early steps, chosen layers, and wherever sparse would be slower."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.attention import autocast
from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.attention.dense import attend_dense
from humanmotion.attention.gather import attend_gather
from humanmotion.errors import UsageError

DENSITIES = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True)
class Schedule:
    """Which steps and layers of a sampling run are dense; raises UsageError for what cannot be."""

    steps: int
    """Steps of the whole run."""
    dense_first: float = 0.2
    """Share of the steps, from the first on, that stay dense: they decide what the picture shows."""
    dense_last: float = 0.0
    """Share of the steps at the end that stay dense."""
    dense_layers: frozenset[int] = frozenset()
    refresh: int = 1
    """A layer's prediction is made anew every so many steps."""

    def __post_init__(self) -> None:
        shares = self.dense_first, self.dense_last
        if self.steps < 1 or self.refresh < 1 or not all(0 <= share <= 1 for share in shares):
            raise UsageError(f"{self}: steps and refresh must be 1 or more, shares within [0, 1]")

    def is_dense(self, step: int, layer: int) -> bool:
        """Whether a layer stays dense at a step; raises UsageError for a step outside the run."""
        if not 0 <= step < self.steps:
            raise UsageError(f"step {step} of a schedule of {self.steps} steps, counted from 0")
        first = math.ceil(self.dense_first * self.steps - 1e-9)
        last = math.ceil(self.dense_last * self.steps - 1e-9)
        return step < first or step >= self.steps - last or layer in self.dense_layers


GPU_DENSITY = 0.25
"""Share of the pairs from which dense attention is faster on a GPU."""


@dataclass(frozen=True)
class BreakEven:
    """From which share of computed pairs on dense attention is faster: `density * (1 - tokens / N)`.

    N counts the queries or the keys, whichever are fewer. Choosing and gathering cost the more of dense
    attention's time the shorter the sequence. The default was measured on a CPU of two cores.
    Raises UsageError for numbers that cannot be meant.
    """

    tokens: int = 1024
    """Up to so many, dense attention is always faster."""
    density: float = 0.75
    """The share for a sequence without end."""

    def __post_init__(self) -> None:
        if not (0 <= self.tokens < math.inf and 0 <= self.density <= 1):
            raise UsageError(f"{self}: tokens must be 0 or more, and density lie in [0, 1]")

    @classmethod
    def on(cls, device: torch.device) -> BreakEven:
        """The default of a kind of device. That of a GPU was measured on one H200, in bfloat16, at
        32,768 tokens: our kernels beat its dense attention where a fifth of the pairs is left."""
        return cls() if device.type == "cpu" else cls(density=GPU_DENSITY)

    @classmethod
    def measured(
        cls, q: Tensor, k: Tensor, v: Tensor, *, block: tuple[int, int] = (256, 64)
    ) -> BreakEven:
        """For these tensors on this machine, with the gathering executor; good for their size and type.

        The density is the largest of `DENSITIES` at which the gathering executor beats dense attention,
        0 when none does. It takes some twenty times as long as dense attention on these tensors.
        """
        q, k, v = (autocast.cast(x) for x in (q, k, v))
        rows, columns = (
            Blocks.cut((x.shape[2],), size, device=q.device)
            for x, size in zip((q, k), block, strict=True)
        )
        dense = _seconds(lambda: attend_dense(q, k, v), q.device)
        shape = (*q.shape[:2], rows.count, columns.count)
        order = torch.rand(shape, device=q.device).argsort(-1)
        for density in DENSITIES:
            kept = order < max(1, round(density * columns.count))
            mask = BlockMask(kept, rows, columns)
            if _seconds(lambda mask=mask: attend_gather(q, k, v, mask=mask), q.device) < dense:  # type: ignore[misc]
                return cls(tokens=0, density=density)
        return cls(tokens=0, density=0.0)

    def prefers_dense(self, tokens: int, density: float) -> bool:
        """Whether dense attention is the faster way for N `tokens`, the fewer of queries and keys."""
        return density > self.density * (1 - self.tokens / tokens)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Median of three after one to warm up."""
    found = []
    for _ in range(4):
        start = now(device)
        call()
        found.append(now(device) - start)
    return statistics.median(found[1:])


def now(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
