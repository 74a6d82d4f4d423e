"""How plausible a pose is, and the prior as a loss for other people's fitters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.prior.model import FIT_TRUST, Kind, PosePrior
from humanmotion.prior.space import EXPRESSION, EXPRESSION_TOKEN, TOKENS

SCORED_AT = (0.1, 0.2, 0.4, 0.8)
"""Noise levels at which a pose is looked at, in standard deviations of the data."""


def score(
    prior: PosePrior,
    state: Tensor,
    *,
    present: Tensor | None = None,
    kind: Kind = "pose",
    levels: Sequence[float] = SCORED_AT,
) -> Tensor:
    """How far each token of states `(..., T, 172)` is from where the prior wants it, `(..., T, 55)`.

    In units of what a normally distributed pose would show: 1 is usual, 3 is rare. Each token is
    judged by all `present` others `(55)` bool (all, if not given): the mean over `levels` of
    `|x - D(x)|` over its expectation. Nothing is drawn at random.
    """
    total = torch.zeros(*state.shape[:-1], TOKENS)
    here = torch.ones(TOKENS, dtype=torch.bool) if present is None else present
    for level in levels:
        rho = torch.where(here, torch.tensor(level), torch.inf)
        sigma = prior.sigma(level, kind=kind)
        # For a Gaussian with error s^2 = v r^2 / (v + r^2), E|x - D(x)|^2 is s^2 (1 - s^2 / r^2).
        usual = sigma * (1 - (sigma / level) ** 2).clamp(min=0.02).sqrt()
        away = (state - prior.denoise(state, rho, kind=kind)) / usual
        total += _per_token(away**2).sqrt()
    return total / len(levels)


def regulariser(prior: PosePrior, rho: float, *, kind: Kind = "pose") -> Callable[[Tensor], Tensor]:
    """A loss on states `(..., T, 172)` whose gradient is that of minus their log-density at `rho`.

    `|x - D(x)|^2 / (2 rho^2)` with no gradient through D: at a Gaussian prior its gradient is
    `(S + rho^2)^-1 (x - m)` exactly; of what a network adds, FIT_TRUST counts. Add it to a data term in
    units of its own noise; no weight is needed. Raises UsageError unless `rho` is above 0. Poole et al.
    2022 (DreamFusion), equation 3; Mardani et al. 2023 (RED-diff), equation 9.
    """
    if not rho > 0:
        raise UsageError(f"noise level {rho} given; give one above 0")
    levels = torch.full((TOKENS,), rho)

    def loss(state: Tensor) -> Tensor:
        wanted = prior.denoise(state.detach(), levels.to(state.device), kind=kind, trust=FIT_TRUST)
        # The gradient of the square is twice the difference, hence the half.
        return ((state - wanted) ** 2).sum() / (2 * rho**2)

    return loss


def _per_token(values: Tensor) -> Tensor:
    """Means `(..., 55)` over the numbers `(..., 172)` of each token."""
    joints = values[..., : 3 * EXPRESSION_TOKEN].unflatten(-1, (EXPRESSION_TOKEN, 3)).mean(-1)
    face = values[..., -EXPRESSION:].mean(-1, keepdim=True)
    return torch.cat((joints, face), -1)
