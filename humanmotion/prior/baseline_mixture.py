"""A mixture of Gaussians as a pose prior, fitted by expectation maximisation.

After SMPLify (Bogo et al. 2016, section 3.2), but not cut to its nearest component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.prior.baselines import LEAST_VARIANCE, complete, pick, principal

ROWS = 1024
"""Poses that a mixture looks at together, which bounds its memory."""
LLOYD_STEPS = 10
NO_PART = 1e-12
"""Of a pose: less is nothing."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """K Gaussians of full covariance."""

    shares: Tensor
    """Of the poses `(K)`, together 1."""
    means: Tensor
    """`(K, 63)`."""
    axes: Tensor
    """`(K, 63, 63)`."""
    variances: Tensor
    """`(K, 63)`."""

    @classmethod
    def fit(
        cls, poses: Tensor, weights: Tensor, *, components: int, seed: int, steps: int = 100
    ) -> GaussianMixture:
        """From poses `(N, 63)` and weights `(N, 63)` or `(N,)`; see `expectation_maximisation`."""
        return expectation_maximisation(
            poses, weights, components=components, seed=seed, steps=steps
        )[0]

    def log_density(self, x: Tensor, rho: float = 0.0) -> Tensor:
        """Log density `(...)` of poses `x` `(..., 63)` that carry noise of level `rho`."""
        rows = x.reshape(-1, x.shape[-1]).split(ROWS)
        parts = [self._scores(part, rho)[0].logsumexp(-1) for part in rows]
        return torch.cat(parts).reshape(x.shape[:-1])

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """Exact expected clean poses of `x` `(..., 63)`."""
        parts = [self._expected(part, rho) for part in x.reshape(-1, x.shape[-1]).split(ROWS)]
        return torch.cat(parts).reshape(x.shape)

    def _scores(self, x: Tensor, rho: float) -> tuple[Tensor, Tensor]:
        """Log of share times density `(n, K)`, and `x` in each component's axes `(n, K, 63)`."""
        width = x.shape[-1]
        turned = (x @ self.axes.transpose(0, 1).flatten(1)).unflatten(-1, (-1, width))
        away = turned - (self.means[:, None] @ self.axes)[:, 0]
        total = self.variances + rho**2
        constant = total.log().sum(-1) + width * math.log(2 * math.pi)
        return self.shares.log() - 0.5 * ((away**2 / total).sum(-1) + constant), away

    def _expected(self, x: Tensor, rho: float) -> Tensor:
        scores, away = self._scores(x, rho)
        belief = scores.softmax(-1)
        kept = belief[..., None] * (self.variances / (self.variances + rho**2)) * away
        return belief @ self.means + kept.flatten(1) @ self.axes.mT.flatten(0, 1)

    def tensors(self) -> dict[str, Tensor]:
        """`shares`, `means`, `axes` and `variances`."""
        return {
            "shares": self.shares,
            "means": self.means,
            "axes": self.axes,
            "variances": self.variances,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> GaussianMixture:
        """Of `tensors()`; raises FileFormatError where one lacks."""
        return cls(*pick(tensors, "shares", "means", "axes", "variances"))


def expectation_maximisation(
    poses: Tensor,
    weights: Tensor,
    *,
    components: int,
    seed: int,
    steps: int = 100,
    shrinkage: float = 64.0,
    tolerance: float = 1e-5,
) -> tuple[GaussianMixture, list[float]]:
    """A mixture, and what each step began from: log posterior per pose, which never falls.

    Poses with a missing number do not count. Starts from k-means++; stops after `steps`, or at a gain
    below `tolerance`. Each covariance is drawn to the k-means clusters' common one as by `shrinkage`
    poses: the inverse-Wishart prior of Fraley and Raftery 2007 (section 3), with that centre.
    """
    values, trust = complete(poses, weights)
    if components > len(values):
        raise UsageError(f"{components} components asked of {len(values)} complete poses")
    belief = _clusters(values, trust, components=components, seed=seed)
    common = _common(values, trust, belief)
    mixture = _maximised(values, trust[:, None] * belief, common, shrinkage)
    trace: list[float] = []
    for _ in range(steps):
        parts = [mixture._scores(part, 0.0)[0] for part in values.split(ROWS)]
        scores = torch.cat(parts)
        found = float(trust @ scores.logsumexp(-1)) + _log_prior(mixture, common, shrinkage)
        trace.append(found / len(values))
        if len(trace) > 1 and trace[-1] - trace[-2] < tolerance:
            break
        mixture = _maximised(values, trust[:, None] * scores.softmax(-1), common, shrinkage)
    held = (value.to(poses.dtype) for value in mixture.tensors().values())
    return GaussianMixture(*held), trace


def _clusters(values: Tensor, trust: Tensor, *, components: int, seed: int) -> Tensor:
    """Membership `(M, K)`, 0 or 1: k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's steps."""
    generator = torch.Generator().manual_seed(seed)
    far = torch.ones_like(trust)
    centres: list[Tensor] = []
    for _ in range(components):
        chance = (trust * far).clamp(min=1e-30).cpu()
        centres.append(values[int(torch.multinomial(chance, 1, generator=generator))])
        nearest = (values - centres[-1]).square().sum(-1)
        far = nearest if len(centres) == 1 else torch.minimum(far, nearest)
    middle = torch.stack(centres)
    for _ in range(LLOYD_STEPS):
        member = _members(values, middle)
        mass = (trust[:, None] * member).sum(0)[:, None]
        moved = (trust[:, None] * member).mT @ values / mass.clamp(min=1e-12)
        middle = torch.where(mass > 0, moved, middle)
    return _members(values, middle)


def _members(values: Tensor, middle: Tensor) -> Tensor:
    nearest = torch.cdist(values, middle).argmin(-1)
    return torch.nn.functional.one_hot(nearest, len(middle)).to(values.dtype)


def _common(values: Tensor, trust: Tensor, belief: Tensor) -> Tensor:
    """Covariance `(63, 63)` within clusters, over all of them."""
    each = trust[:, None] * belief
    centres = each.mT @ values / each.sum(0)[:, None].clamp(min=1e-12)
    away = values - belief @ centres
    floor = LEAST_VARIANCE * torch.eye(values.shape[1], dtype=values.dtype, device=values.device)
    return (trust[:, None] * away).mT @ away / trust.sum() + floor


def _maximised(values: Tensor, each: Tensor, common: Tensor, shrinkage: float) -> GaussianMixture:
    """The likeliest mixture where component `k` holds `each[:, k]` of every pose; each `(M, K)`."""
    mass = each.sum(0).clamp(min=1e-9)
    means = each.mT @ values / mass[:, None]
    scatters = [_scatter(values - m, part) for m, part in zip(means, each.mT, strict=True)]
    drawn = (torch.stack(scatters) + shrinkage * common) / (mass + shrinkage)[:, None, None]
    variances, axes = principal(drawn)
    return GaussianMixture(mass / mass.sum(), means, axes, variances)


def _scatter(away: Tensor, part: Tensor) -> Tensor:
    """Sum of outer products `(63, 63)`, `part` `(M,)` of each."""
    # Most poses are no part of most components; leaving them out saves most of the time.
    rows = part > NO_PART
    return (away[rows].mT * part[rows]) @ away[rows]


def _log_prior(mixture: GaussianMixture, common: Tensor, shrinkage: float) -> float:
    """Of the covariances, without its constant: `-a/2 (log |S| + tr(S^-1 C))` for each."""
    along = (mixture.axes * (common @ mixture.axes)).sum(-2)
    terms = mixture.variances.log() + along / mixture.variances
    return -0.5 * shrinkage * float(terms.sum())
