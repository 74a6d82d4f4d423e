"""What a motion was, of which some frames are spoilt, and how much: found by evidence alone.

Noise of capture spoils whole frames, all their numbers alike. Motion is smooth: its third differences
are small, of some numbers more so than of others and at some moments more so than at others. The
variances of all three, of each frame's noise, of each number's changes and of each moment's, are those
under which what was seen is likeliest (the fixed point of MacKay 1992, "Bayesian Interpolation",
section 2.4: a sum of squares over how many of them are free); the motion is the mean given them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ORDER = 3
"""Of the differences that are small."""
LEVELS, RANGE = 6, 7.0
"""Livelinesses that are reckoned with, numbers lying between them, and the logarithm of how far the
least of them is below the greatest; chosen on val and train, as START, ROUNDS and MOST are."""
ROUNDS = 8
START = 7e-4
"""Variance of noise that is assumed at first."""
LEAST, MOST = 1e-6, 4e-2
"""Variance of noise, in units of the spread: what is farther off than MOST says is a burst."""
ASTRAY, ABOUT = 0.5, 3
"""Spreads that half of a frame's numbers are off the medians of as many frames to either side, if its
track has jumped; no real clip of val and train comes near."""
TOGETHER = 16
"""Motions at once, as many as fit into the memory of a small GPU."""
_STILL, _BURST = 1e-9, (1e-3, 1e3)
_PRIOR = 1e-4
"""Precision of numbers of which nothing at all is known: their spread is 1."""


@dataclass(frozen=True)
class Told:
    """A motion told from its noise."""

    mean: Tensor
    """`(B, T, n)`."""
    variance: Tensor
    """Of the motion about it `(B, T, n)`."""
    noise: Tensor
    """Variance of what each frame was spoilt by `(B, T)`; MOST where it counts for nothing."""


@torch.no_grad()
def told_from_noise(values: Tensor, there: Tensor, *, noise: Tensor | None = None) -> Told:
    """The motion in `values` `(B, T, n)`, of which those frames count that are `there` `(B, T)` bool.

    Frames that are off by more than any noise, as where a track jumps, count for nothing either. With
    `noise` `(B, T)`, variances that are known, only the motion is looked for. Of ORDER frames or fewer
    all are taken as they are. In double precision: noise may be a millionth of the motion.
    """
    values = torch.where(there[..., None], values, 0.0)
    if values.shape[1] <= ORDER:
        sure = torch.where(there, LEAST, 1.0).to(values)
        return Told(values, sure[..., None].expand_as(values), sure)
    if noise is None:
        there = there & ~_astray(values, there)
    at = values.device
    work = at if at.type == "cuda" else torch.device("cpu")
    parts = [
        _Scales(*(x.to(work).double() for x in part[:2]),
                noise=part[2].to(work).double() if len(part) > 2 else None).found()
        for part in zip(*(x.split(TOGETHER) for x in (values, there, noise) if x is not None),
                        strict=True)
    ]  # fmt: skip
    return Told(*(
        torch.cat([getattr(part, name) for part in parts]).to(values.dtype).to(at)
        for name in ("mean", "variance", "noise")
    ))  # fmt: skip


def _astray(values: Tensor, there: Tensor) -> Tensor:
    """Frames `(B, T)` bool half of whose numbers are ASTRAY of the medians around them (Hampel)."""
    seen = torch.where(there[..., None], values, torch.nan).mT
    around = functional.pad(seen, (ABOUT, ABOUT), value=torch.nan).unfold(-1, 2 * ABOUT + 1, 1)
    off = (seen - around.nanmedian(-1).values).abs().mT.nanmedian(-1).values
    return off > ASTRAY


class _Scales:
    """The variances that are looked for, and the motion given those found last."""

    def __init__(self, values: Tensor, there: Tensor, *, noise: Tensor | None) -> None:
        self._there, self._known = there, noise is not None
        self._values = values * there[..., None]
        self._steps = _differences(values.shape[1]).to(values)
        changes = (self._steps @ self._values).square()
        whole = (self._steps.abs() @ (1 - there)[..., None] == 0).to(values)
        usual = (changes * whole).sum(1) / whole.sum(1).clamp(min=1)
        self._lively = usual.clamp(min=_STILL)
        self._burst = torch.ones_like(whole[..., 0])
        self._noise = torch.full_like(there, START) if noise is None else noise

    def found(self) -> Told:
        for _ in range(ROUNDS):
            told = self._round()
        return told

    def _round(self) -> Told:
        """The motion as it is now taken to be, then all variances anew."""
        levels, shares = _levels(self._lively)
        counts = shares.sum(1)
        weight = self._there / self._noise
        spread = self._spread(levels, weight)
        of_level = (weight[..., None] * self._values)[:, None] * shares.mT[:, :, None]
        mean = (spread @ of_level).sum(1)
        variance = spread.diagonal(dim1=-2, dim2=-1)
        told = Told(mean, (shares @ variance).mT, self._noise)
        if not self._known:
            free = ((1 - weight[:, None] * variance) * counts[..., None]).sum(1)
            off = (self._values - mean).square().sum(-1)
            found = (off / free.clamp(min=1e-3)).clamp(LEAST, MOST)
            self._noise = torch.where(self._there > 0, found, MOST)
        self._rescale((self._steps @ mean).square(), spread, (levels, shares, counts))
        return told

    def _spread(self, levels: Tensor, weight: Tensor) -> Tensor:
        """Covariance of the motion at each level `(B, K, T, T)`."""
        changes = self._steps.mT @ (self._steps / self._burst[..., None])
        own = torch.diag_embed(weight + _PRIOR)
        precision = own[:, None] + changes[:, None] / levels[..., None, None]
        return torch.cholesky_inverse(torch.linalg.cholesky(precision))

    def _rescale(
        self, changes: Tensor, spread: Tensor, leveled: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Bursts and livelinesses from squared changes `(B, T - 3, n)`."""
        levels, shares, counts = leveled
        left = ((self._steps @ spread) * self._steps).sum(-1)
        free = 1 - left / (levels[..., None] * self._burst[:, None])
        free = free.clamp(min=1e-3)
        told = (free * counts[..., None]).sum(1)
        # One number more that is as lively as usual, for moments of which nothing is known.
        burst = ((changes / (shares @ levels[..., None]).mT).sum(-1) + 1) / (told + 1)
        usual = ((told * burst.log()).sum(-1) / told.sum(-1)).exp()
        self._burst = (burst / usual[:, None]).clamp(*_BURST)
        lively = (changes / self._burst[..., None]).sum(1) / (shares @ free.sum(-1)[..., None])[
            ..., 0
        ]
        self._lively = lively.clamp(min=_STILL)


def _differences(frames: int) -> Tensor:
    """What differences of ORDER take of each frame, `(frames - ORDER, frames)`."""
    steps = torch.eye(frames)
    for _ in range(ORDER):
        steps = steps.diff(dim=0)
    return steps


def _levels(lively: Tensor) -> tuple[Tensor, Tensor]:
    """LEVELS between the least and the greatest of `lively` `(B, n)`, `(B, K)`, and what share each
    number has in each `(B, n, K)`: in the two it lies between."""
    size = lively.log()
    high = size.amax(1, keepdim=True)
    low = torch.maximum(size.amin(1, keepdim=True), high - RANGE)
    steps = torch.arange(LEVELS).to(size)
    place = (size - low) / (high - low).clamp(min=1e-9) * (LEVELS - 1)
    away = (place.clamp(0, LEVELS - 1)[..., None] - steps).abs()
    return (low + steps / (LEVELS - 1) * (high - low)).exp(), (1 - away).clamp(min=0)
