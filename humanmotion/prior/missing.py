"""Second moments of numbers some of which were not recorded."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-6
LEAST_SHARE = 1e-3
"""Of the average variance: no direction varies less."""
EM_ROUNDS = 4
"""Three do as well as ten on val."""


def second_moments(waves: Tensor, there: Tensor, weights: Tensor | None = None) -> Tensor:
    """Likeliest `(T, n, n)` of waves `(W, T, n)` of which `there` `(W, n)`, 0 or 1, were recorded.

    Waves `(W, T, n)` are T independent draws of each of W; a row counts by its weight `(W)`.
    Expectation maximisation (Dempster et al. 1977). Pairs that were recorded together, each counted for
    itself, are where it begins: they need not agree, and leave directions that seem to be certain.
    """
    if not len(waves):
        return waves.new_zeros(waves.shape[1], *2 * waves.shape[2:])
    counts = waves.new_ones(len(waves)) if weights is None else weights
    patterns, which = torch.unique(there, dim=0, return_inverse=True)
    rows = [(which == i).nonzero()[:, 0] for i in range(len(patterns))]
    raw = [_squared(waves[r] * patterns[i], counts[r]) for i, r in enumerate(rows)]
    many = [float(counts[r].sum()) for r in rows]
    pairs = sum(n * p.outer(p) for n, p in zip(many, patterns.double(), strict=True))
    moments = torch.stack(raw).sum(0) / torch.as_tensor(pairs).clamp(min=1e-12)
    for _ in range(EM_ROUNDS if len(patterns) > 1 else 0):
        moments = _positive(moments)
        total = torch.zeros_like(moments)
        for seen, square, count in zip(patterns.bool(), raw, many, strict=True):
            total += _completed(moments, seen, square, count)
        moments = total / sum(many)
    return moments.to(waves.dtype)


def _squared(waves: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums `(T, n, n)` of the squares of waves `(W, T, n)`."""
    own = (waves.double() * weights.double().sqrt()[:, None, None]).transpose(0, 1)
    return own.mT @ own


def _positive(moments: Tensor) -> Tensor:
    """Without directions that hardly vary, `(T, n, n)`."""
    values, axes = torch.linalg.eigh(moments)
    least = LEAST_SHARE * values.clamp(min=0).mean(-1, keepdim=True) + LEAST_VARIANCE
    return (axes * values.clamp(min=least)[..., None, :]) @ axes.mT


def _completed(moments: Tensor, seen: Tensor, square: Tensor, count: float) -> Tensor:
    """Expected sum of squares `(T, n, n)` of `count` windows, of which that of what was `seen` `(n)` is
    known, `square` `(T, n, n)`."""
    there, gone = seen.nonzero()[:, 0], (~seen).nonzero()[:, 0]
    if not len(gone):
        return square
    if not len(there):
        return count * moments
    both = moments[:, there[:, None], gone]
    factor = torch.linalg.cholesky(moments[:, there[:, None], there])
    gain = torch.cholesky_solve(both, factor)  # (T, seen, gone)
    out = square.clone()
    known = square[:, there[:, None], there]
    cross = known @ gain
    out[:, there[:, None], gone] = cross
    out[:, gone[:, None], there] = cross.mT
    rest = moments[:, gone[:, None], gone] - both.mT @ gain
    out[:, gone[:, None], gone] = gain.mT @ cross + count * rest
    return out
