"""Rectified flow: straight paths from data to noise, the velocity along them, and the way back.

Liu et al. 2023, "Flow Straight and Fast"; the shifted grid and the loss weights are those of ViMoGen's
code (arXiv 2510.26794) and of the video model it starts from. Level 1 is pure noise, level 0 is data.
Everything works element by element: streams of several shapes share a level, or are flattened and
joined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from humanmotion.errors import UsageError

Velocity = Callable[[Tensor, float], Tensor]
"""From states at a level to the expected `noise - data`, which is the path's slope in the level."""


@dataclass(frozen=True)
class Flow:
    """Which levels are trained and sampled, and what each counts; raises UsageError for none."""

    shift: float = 5.0
    """Above 1, more of the levels are noisy ones."""
    points: int = 1000
    """Levels of training; the time a network is told is the level times this."""

    def __post_init__(self) -> None:
        if not 0 < self.shift < math.inf or self.points < 2:
            raise UsageError(f"{self}: shift must be above 0, and two points or more")

    def sigma(self, u: Tensor) -> Tensor:
        """Levels of unshifted ones `(...)` in [0, 1]."""
        return self.shift * u / (1 + (self.shift - 1) * u)

    def time(self, sigma: Tensor) -> Tensor:
        """What a network is told of a level."""
        return self.points * sigma

    def grid(self) -> Tensor:
        """The levels of training `(points)`, falling from 1."""
        return self.sigma(torch.linspace(1, 0, self.points + 1, dtype=torch.float64)[:-1]).float()

    def weights(self) -> Tensor:
        """How much each level counts in the loss `(points)`: one on average, none at pure noise."""
        grid = self.grid().double()
        bell = torch.exp(-2 * (grid - 0.5) ** 2)
        bell = bell - bell.min()
        return (bell / bell.mean()).float()

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` levels of the grid, all as likely, and their weights, `(count)` each."""
        at = generator.device
        chosen = torch.randint(self.points, (count,), generator=generator, device=at)
        return self.grid().to(at)[chosen], self.weights().to(at)[chosen]

    def levels(self, steps: int, *, start: float = 0.7) -> list[float]:
        """`steps + 1` levels of sampling, from the unshifted `start` to 0.

        The published start is 0.7, which is level 0.921, though what starts there is pure noise.
        Raises UsageError without a step or for a start outside (0, 1].
        """
        if steps < 1 or not 0 < start <= 1:
            raise UsageError(
                f"{steps} steps from {start} given; give 1 step or more from within (0, 1]"
            )
        falling = torch.linspace(start, 0, steps + 1, dtype=torch.float64)
        return [float(level) for level in self.sigma(falling)]


def noised(clean: Tensor, noise: Tensor, *, sigma: Tensor) -> Tensor:
    """States `(B, ...)` at levels `sigma` `(B)` between `clean` and `noise`."""
    level = _spread(sigma, clean)
    return (1 - level) * clean + level * noise


def flow_loss(
    said: Tensor, target: Tensor, *, weight: Tensor, mask: Tensor, channels: Tensor | None = None
) -> Tensor:
    """`sum(mask w c |said - target|^2) / sum(mask)`, a scalar.

    Velocities `(B, ..., d)`, `target` being noise minus data; `weight` `(B)` of the levels; `mask`
    broadcasts to the velocities and says what is asked for; `channels` `(d)` weighs the numbers.
    """
    asked = mask.expand(said.shape).to(said.dtype)
    error = (said - target) ** 2 * _spread(weight, said) * asked
    if channels is not None:
        error = error * channels
    return error.sum() / asked.sum().clamp(min=1)


def euler(velocity: Velocity, start: Tensor, levels: Sequence[float]) -> Tensor:
    """What `start`, at `levels[0]`, becomes at `levels[-1]`; one call of the network a step."""
    x = start
    for level, lower in pairwise(levels):
        x = x + (lower - level) * velocity(x, level)
    return x


def heun(velocity: Velocity, start: Tensor, levels: Sequence[float]) -> Tensor:
    """The same to second order, with two calls a step; a last step to 0 is one of Euler's.

    A network is never asked about level 0, which it was not trained on.
    """
    x = start
    for level, lower in pairwise(levels):
        slope = velocity(x, level)
        ahead = x + (lower - level) * slope
        if lower > 0:
            ahead = x + (lower - level) * 0.5 * (slope + velocity(ahead, lower))
        x = ahead
    return x


def guided(free: Tensor, *asked: tuple[Tensor, float]) -> Tensor:
    """`free + sum of scale * (velocity - free)`: classifier-free guidance by one or more conditions.

    Ho and Salimans 2022. For chained guidance hand in each condition's own difference as a velocity.
    """
    return free + sum((scale * (velocity - free) for velocity, scale in asked), 0 * free)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """`(B)` as `(B, 1, ..., 1)`."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))
