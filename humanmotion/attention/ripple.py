"""TimeRipple (arXiv 2511.12035, CVPR 2026): neighbours in time and space share partial scores.

Two forms, as methods in `reuse`. Snapping is the paper's rule, channel by channel: it says how many
products could be saved, and what that costs in accuracy, but it runs no faster than dense attention,
since no processor skips single multiply-adds. Merging is what can be run: neighbours that agree in all
channels become one token that counts as many times as it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.attention.layout import LooseTokens, Segment
from humanmotion.errors import UsageError


@dataclass(frozen=True)
class ThetaSchedule:
    """Threshold over the steps of a sampling run (paper, section 4.1); UsageError when out of order."""

    low: float = 0.2
    high: float = 0.5
    begin: int = 10
    """First step that reuses."""
    end: int = 20
    """From this step on the threshold is `high`."""

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high and 0 <= self.begin < self.end):
            raise UsageError(f"{self}: 0 <= low <= high and 0 <= begin < end must hold")

    def theta(self, step: int, steps: int) -> float | None:
        """Threshold at a step of `steps`; None where attention stays dense: early, and at the last."""
        if step < self.begin or step == steps - 1:
            return None
        share = min(1.0, (step - self.begin) / (self.end - self.begin))
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True, eq=False)
class Snapped:
    """A tensor with every reusable entry replaced by the one whose products it reuses."""

    values: Tensor
    """`(B, H, N, d)`."""
    reused: Tensor
    """`(B, H, N, d)` bool."""


def snap(x: Tensor, segments: Sequence[Segment], *, theta: float) -> Snapped:
    """Snap `(B, H, N, d)` in the order of the sequence, after rotary positions (paper, equations 4-6).

    Along t, y and x, tokens 2i and 2i + 1 form a window; the later is reusable in a channel when the
    window's standard deviation there, `|a - b| / 2`, is below `theta`. An entry takes the value of its
    window's first token, along the first axis that allows it; a chain is followed to its end.
    """
    lead = leads(x, segments, theta=theta, whole=False)
    number = torch.arange(x.shape[2], device=x.device)[:, None]
    return Snapped(x.gather(2, lead), lead != number)


def leads(x: Tensor, segments: Sequence[Segment], *, theta: float, whole: bool) -> Tensor:
    """Number of the token that each one follows, itself at a chain's end: `(B, H, N, d)`.

    With `whole`, the root mean square over channels decides for a token as a whole: `(B, H, N, 1)`.
    """
    parts, start = [], 0
    for segment in segments:
        count = math.prod(segment.shape)
        grid = x[:, :, start : start + count].detach()
        lead = torch.arange(count, device=x.device)[:, None]
        lead = lead.expand(*grid.shape[:3], 1 if whole else grid.shape[3])
        if not isinstance(segment, LooseTokens):
            lead = _grid_leads(lead, grid, segment.shape, theta=theta, whole=whole)
        parts.append(start + lead)
        start += count
    return torch.cat(parts, 2)


def _grid_leads(
    lead: Tensor, x: Tensor, shape: Sequence[int], *, theta: float, whole: bool
) -> Tensor:
    grid = x.unflatten(2, shape)
    # The first axis is written last: it wins.
    for axis in (2, 1, 0):
        stride = math.prod(shape[axis + 1 :])
        near = _near(grid, 2 + axis, theta=theta, whole=whole).flatten(2, 4)
        own = torch.arange(near.shape[2], device=x.device)[:, None]
        lead = torch.where(near, own - stride, lead)
    # At most three steps, one along each axis; two doublings follow four.
    for _ in range(2):
        lead = lead.gather(2, lead)
    return lead


def _near(grid: Tensor, axis: int, *, theta: float, whole: bool) -> Tensor:
    """Which tokens may follow their neighbour along an axis: those at odd places that differ little."""
    apart = torch.zeros_like(grid, dtype=torch.promote_types(grid.dtype, torch.float32))
    first = torch.arange(0, grid.shape[axis] - 1, 2, device=grid.device)
    second = first + 1
    gap = (grid.index_select(axis, second).to(apart) - grid.index_select(axis, first)).abs() / 2
    apart = apart.fill_(math.inf).index_copy(axis, second, gap)
    if whole:
        apart = apart.square().mean(-1, keepdim=True).sqrt()
    return apart < theta


def saved_products(q: Snapped, k: Snapped) -> Tensor:
    """Share of the multiply-adds of `q k^T` that are reused, a scalar in [0, 1] (paper, section 3.3).

    A product is computed only when neither its query nor its key entry is reused.
    """
    groups = q.reused.shape[1] // k.reused.shape[1]
    fresh_q = 1 - q.reused.double().mean(2)
    fresh_k = 1 - k.reused.double().mean(2).repeat_interleave(groups, 1)
    return 1 - (fresh_q * fresh_k).mean()


def ceiling_speedup(saved: float) -> float:
    """Most that attention can gain when that share of `q k^T`, half of its work, costs nothing."""
    return 2 / (2 - saved)


@dataclass(frozen=True, eq=False)
class Merged:
    """Which tokens became one, per batch item and head."""

    group: Tensor
    """`(B, H, N)`: number of the merged token that each token went into."""
    weight: Tensor
    """`(B, H, U)`: how many tokens each merged one stands for; 0 past a head's last."""

    def mean(self, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Mean of `(B, H, N, d)` over every merged token, `(B, H, U, d)`, zero where it holds none.

        `counted` `(B, H, N)` bool leaves tokens out; the weights are to have been made with it.
        """
        work = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(work) if counted is None else x.to(work) * counted[..., None]
        total = wide.new_zeros(*self.weight.shape, x.shape[-1])
        total = total.scatter_add(2, self.group[..., None].expand(x.shape), wide)
        return (total / self.weight.clamp(min=1)[..., None]).to(x.dtype)

    def spread(self, x: Tensor) -> Tensor:
        """`(B, H, U, d)` back to all tokens, `(B, H, N, d)`."""
        return x.gather(2, self.group[..., None].expand(*self.group.shape, x.shape[-1]))


def merge(
    x: Tensor, segments: Sequence[Segment], *, theta: float, counted: Tensor | None = None
) -> Merged:
    """Merge the tokens of `(B, H, N, d)` that follow one another by all their channels together.

    `counted` `(B, N)` bool: tokens that are False weigh nothing. Equal tokens merge without error in
    the limit of theta to 0: `n exp(s q.k) v` is the sum of n equal terms.
    """
    lead = leads(x, segments, theta=theta, whole=True)[..., 0]
    is_lead = lead == torch.arange(x.shape[2], device=x.device)
    group = (is_lead.cumsum(-1) - 1).gather(2, lead)
    weight = x.new_ones(x.shape[:3], dtype=torch.float32)
    if counted is not None:
        weight = weight * counted[:, None]
    size = int(group.max()) + 1
    return Merged(group, weight.new_zeros(*x.shape[:2], size).scatter_add(2, group, weight))
