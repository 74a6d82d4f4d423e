"""Attention that reuses neighbours' work: TimeRipple's two forms as methods (see `ripple`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.problem import Problem
from humanmotion.attention.ripple import Merged, Snapped, merge, saved_products, snap
from humanmotion.errors import UsageError


@dataclass(frozen=True)
class SnapReuse:
    """TimeRipple's rule, exactly, at the price of dense attention: for studies of quality."""

    theta: float
    """Standard deviation within a window below which products are reused; 0 is dense attention."""

    in_places = False
    drops_blocks = False
    needs_grid = False
    saves_time = False

    def __post_init__(self) -> None:
        _check_theta(self.theta)

    def expected_density(self, layout: TokenLayout, key_layout: TokenLayout) -> float:
        """0: what it saves shows only in the data."""
        return 0.0

    def predict(self, q: Tensor, k: Tensor, problem: Problem) -> tuple[Snapped, Snapped]:
        """Snapped queries and keys."""
        pairs = ((q, problem.layout), (k, problem.key_layout))
        snapped = [snap(x, layout.segments, theta=self.theta) for x, layout in pairs]
        return snapped[0], snapped[1]

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        prediction: tuple[Snapped, Snapped],
        problem: Problem,
    ) -> Tensor:
        """Dense attention on the snapped tensors."""
        bias = forbidding(problem.key_mask, q)
        queries, keys = (part.values for part in prediction)
        return attend_dense(queries, keys, v, bias=bias, scale=problem.scale)

    def density(self, prediction: tuple[Snapped, Snapped], problem: Problem) -> Tensor:
        """Share of the products of `q k^T` that are not reused, a scalar; it is not a share of time."""
        return 1 - saved_products(*prediction)

    def kept(
        self, prediction: tuple[Snapped, Snapped], *, rows: Tensor, problem: Problem
    ) -> Tensor | None:
        """None: no key is dropped."""
        return None


@dataclass(frozen=True)
class TokenMerge:
    """Neighbours alike in all channels become one token: fewer keys, fewer queries, real time saved."""

    theta: float
    """Root mean square over channels of half the difference below which two neighbours merge."""

    in_places = False
    drops_blocks = False
    needs_grid = False
    saves_time = True

    def __post_init__(self) -> None:
        _check_theta(self.theta)

    def expected_density(self, layout: TokenLayout, key_layout: TokenLayout) -> float:
        """0: what it saves shows only in the data."""
        return 0.0

    def predict(self, q: Tensor, k: Tensor, problem: Problem) -> tuple[Merged, Merged]:
        """Which queries and which keys merge; waits for the device to learn how many remain."""
        layouts = problem.layout, problem.key_layout
        queries = merge(q, layouts[0].segments, theta=self.theta)
        counted = problem.key_mask
        return queries, merge(k, layouts[1].segments, theta=self.theta, counted=counted)

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        prediction: tuple[Merged, Merged],
        problem: Problem,
    ) -> Tensor:
        """Dense attention of mean queries on mean keys, each counted as often as it stands for."""
        queries, keys = prediction
        counted = None
        if problem.key_mask is not None:
            counted = problem.key_mask[:, None].expand(k.shape[:3])
        bias = keys.weight.log().repeat_interleave(q.shape[1] // k.shape[1], 1)[:, :, None]
        out = attend_dense(
            queries.mean(q), keys.mean(k, counted), keys.mean(v, counted),
            bias=bias.to(torch.promote_types(q.dtype, torch.float32)), scale=problem.scale,
        )  # fmt: skip
        return queries.spread(out)

    def density(self, prediction: tuple[Merged, Merged], problem: Problem) -> Tensor:
        """Share of pairs that are computed, a scalar: remaining queries times remaining keys."""
        shares = [m.weight.shape[-1] / m.group.shape[-1] for m in prediction]
        return torch.tensor(math.prod(shares), dtype=torch.float64, device="cpu")

    def kept(
        self, prediction: tuple[Merged, Merged], *, rows: Tensor, problem: Problem
    ) -> Tensor | None:
        """None: no key is dropped."""
        return None


def _check_theta(theta: float) -> None:
    if not 0 <= theta < math.inf:
        raise UsageError(f"theta {theta} must be a finite number of 0 or more")
