"""Simple pose priors to measure ours against: none, the mean pose, a Gaussian; more in `baseline_*`.

They look at the 63 body numbers of a whitened state (`space`); any D numbers would do. One method
serves every solver: at noise level `rho`, `anchor` says which pose the prior pulls `x` to, and the
penalty is `|x - anchor|^2 / (2 rho^2)`. Where a prior has a density the anchor is the expected clean
pose (Tweedie), so the penalty's slope is that of the smoothed density itself, with no weight to tune.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.prior.missing import second_moments

LEAST_VARIANCE = 1e-6
"""Of any direction, in whitened units: nothing is certain."""


class BaselinePrior(Protocol):
    """What a solver needs of a prior, and a file."""

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """Where poses `(..., D)` at noise level `rho` are pulled to `(..., D)`."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything as named tensors, which `from_tensors` of the same class takes."""
        ...


@dataclass(frozen=True)
class NoPrior:
    """Any pose is as good as any other."""

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """The poses `(..., D)` themselves, whatever `rho`."""
        return x

    def tensors(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


@dataclass(frozen=True, eq=False)
class MeanPose:
    """A squared distance to the mean pose: a Gaussian that is as wide in every direction."""

    mean: Tensor
    """`(D)`."""
    scale: Tensor
    """Standard deviation `()`; 0 anchors at the mean itself at every level."""

    @classmethod
    def fit(cls, poses: Tensor, weights: Tensor, *, scale: float | None = None) -> MeanPose:
        """From poses `(N, D)` and weights `(N, D)` or `(N,)`; their own spread unless given."""
        values, trust = weighted(poses, weights)
        mean = _mean(values, trust)
        spread = ((trust * (values - mean) ** 2).sum() / trust.sum()).sqrt()
        size = spread if scale is None else torch.tensor(scale)
        return cls(mean.to(poses.dtype), size.to(poses))

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """Expected clean poses of `x` `(..., D)`."""
        # Written so that level 0 is itself for any scale but 0, and scale 0 the mean at any level.
        keep = self.scale**2 / (self.scale**2 + rho**2).clamp(min=torch.finfo(x.dtype).tiny)
        return self.mean + keep * (x - self.mean)

    def tensors(self) -> dict[str, Tensor]:
        """`mean` and `scale`."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> MeanPose:
        """Of `tensors()`; raises FileFormatError where one lacks."""
        return cls(*pick(tensors, "mean", "scale"))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and full covariance."""

    mean: Tensor
    """`(D)`."""
    axes: Tensor
    """Principal directions `(D, D)`, one a column."""
    variances: Tensor
    """Along the axes `(D)`, rising."""

    @classmethod
    def fit(cls, poses: Tensor, weights: Tensor) -> Gaussian:
        """From poses `(N, D)` and weights `(N, D)` or `(N,)`, 0 where a number is missing.

        The likeliest covariance given what was recorded (`missing.second_moments`).
        """
        values, trust = weighted(poses, weights)
        mean = _mean(values, trust)
        seen = (trust > 0).double()
        away = seen * (values - mean)
        covariance = second_moments(away[:, None], seen, trust.amax(-1))[0]
        variances, axes = principal(covariance)
        return cls(mean.to(poses.dtype), axes.to(poses.dtype), variances.to(poses.dtype))

    @property
    def covariance(self) -> Tensor:
        """`(D, D)`."""
        return (self.axes * self.variances) @ self.axes.mT

    def filled(self, poses: Tensor, seen: Tensor, *, generator: torch.Generator) -> Tensor:
        """Poses `(N, D)` whose numbers that were not `seen` `(N, D)` are drawn given the others."""
        out = poses.clone()
        patterns, which = torch.unique(seen > 0, dim=0, return_inverse=True)
        for number, here in enumerate(patterns):
            rows = (which == number).nonzero()[:, 0]
            out[rows] = self._drawn(poses[rows], here, generator)
        return out

    def _drawn(self, poses: Tensor, here: Tensor, generator: torch.Generator) -> Tensor:
        if bool(here.all()):
            return poses
        whole = self.covariance.double()
        between = whole[here][:, ~here]
        gain = torch.linalg.solve(whole[here][:, here], between)  # (seen, gone)
        rest = whole[~here][:, ~here] - between.mT @ gain
        variances, axes = principal(rest)
        away = (poses[:, here] - self.mean[here]).double()
        noise = torch.randn(len(poses), len(variances), generator=generator, dtype=torch.float64)
        drawn = away @ gain + (noise * variances.sqrt()) @ axes.mT
        out = poses.clone()
        out[:, ~here] = self.mean[~here] + drawn.to(poses.dtype)
        return out

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """Expected clean poses `mean + S (S + rho^2 I)^-1 (x - mean)` of `x` `(..., D)`."""
        keep = self.variances / (self.variances + rho**2)
        return self.mean + (keep * ((x - self.mean) @ self.axes)) @ self.axes.mT

    def tensors(self) -> dict[str, Tensor]:
        """`mean`, `axes` and `variances`."""
        return {"mean": self.mean, "axes": self.axes, "variances": self.variances}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Gaussian:
        """Of `tensors()`; raises FileFormatError where one lacks."""
        return cls(*pick(tensors, "mean", "axes", "variances"))


def weighted(poses: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Poses and weights as `(N, D)` doubles; a pose is 0 where its weight is.

    Raises UsageError for shapes that do not fit, negative weights, and values that are not finite.
    """
    rows = weights[:, None] if weights.ndim == 1 else weights
    if poses.ndim != 2 or rows.ndim != 2 or rows.shape not in (poses.shape, (len(poses), 1)):
        raise UsageError(
            f"poses {tuple(poses.shape)} with weights {tuple(weights.shape)} given; "
            "give (N, D) with (N, D) or (N,)"
        )
    trust = rows.double().expand(poses.shape)
    values = torch.where(trust > 0, poses.double(), torch.zeros_like(trust))
    if bool((trust < 0).any()) or not bool((torch.isfinite(values) & torch.isfinite(trust)).all()):
        raise UsageError("poses or weights are not finite, or a weight is negative")
    return values, trust


def complete(poses: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Poses without missing numbers `(M, D)` and their weights `(M,)`, one on average; doubles.

    Raises UsageError where there are none.
    """
    values, trust = weighted(poses, weights)
    rows = trust.amin(-1)
    kept = rows > 0
    if not bool(kept.any()):
        raise UsageError("no pose has all its numbers; give data that does")
    return values[kept], rows[kept] / rows[kept].mean()


def pick(tensors: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    """The named tensors; raises FileFormatError where one lacks."""
    missing = [name for name in names if name not in tensors]
    if missing:
        raise FileFormatError(f"the file holds no {', '.join(missing)}: it is of another prior")
    return [tensors[name] for name in names]


def principal(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Variances `(..., D)` and axes `(..., D, D)` of covariances, in no direction certain."""
    variances, axes = torch.linalg.eigh(covariance)
    return variances.clamp(min=LEAST_VARIANCE), axes


def _mean(values: Tensor, trust: Tensor) -> Tensor:
    total = trust.sum(0)
    if bool((total <= 0).any()):
        gone = (total <= 0).nonzero()[:, 0].tolist()
        raise UsageError(f"no pose has the numbers {gone}; give data that does")
    return (trust * values).sum(0) / total
