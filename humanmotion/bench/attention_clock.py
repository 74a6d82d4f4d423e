"""Times of calls that take turns, so that a busy machine slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from humanmotion.attention.schedule import now


@dataclass(frozen=True)
class Times:
    """Medians over the turns, in seconds."""

    wall: float
    cpu: float
    """Of all threads of the process together; on a GPU the same as `wall`."""
    spread: float
    """Slowest over fastest turn, of `cpu`."""


def interleaved(
    calls: Sequence[Callable[[], object]], *, turns: int, device: torch.device
) -> list[Times]:
    """Run every call once to warm up, then each in turn, `turns` times."""
    walls: list[list[float]] = [[] for _ in calls]
    cpus: list[list[float]] = [[] for _ in calls]
    with torch.no_grad():
        for turn in range(turns + 1):
            for call, wall, cpu in zip(calls, walls, cpus, strict=True):
                begun = time.process_time()
                start = now(device)
                call()
                end = now(device)
                if turn:
                    wall.append(end - start)
                    used = time.process_time() - begun
                    cpu.append(used if device.type == "cpu" else end - start)
    return [
        Times(statistics.median(w), statistics.median(c), max(c) / min(c))
        for w, c in zip(walls, cpus, strict=True)
    ]
