"""Camera rotation from points seen in two pictures: robust Kabsch on viewing rays.

Kabsch, Acta Cryst. A32 (1976); robust by iteratively reweighted least squares whose scale shrinks
(graduated non-convexity, Black & Rangarajan 1996), so that a moving crowd does not capture the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SCALES_PX = (24.0, 12.0, 6.0, 3.0, 1.5, 1.0, 1.0)
"""Inlier scales of the reweighting, coarse to fine."""
STRAY_PX = 3.0
STRAY_SHARE = 0.1
"""Points this far off stray; with this share of strays all frames are asked whom to trust."""
MIN_TRUST = 0.01
BLOCK = 256
"""Frames taken at once: long shots must not need much memory."""
BAD_PX = 1e3
"""Residual given to a point that was not seen or that falls behind the camera."""


@dataclass(frozen=True)
class Pair:
    """The same points in two pictures, pixels from the principal point."""

    a: Floats
    """`(n, 2)`."""
    b: Floats
    """`(n, 2)`."""


def rays(xy: Floats, focal: float) -> Floats:
    """Unit viewing directions `(..., 3)` of pixels `(..., 2)` from the principal point."""
    ray = np.concatenate((xy / focal, np.ones_like(xy[..., :1])), -1)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def kabsch(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Rotations `(F, 3, 3)` with `b = R a` for rays `a` `(F or 1, n, 3)` and `b` `(F, n, 3)`.

    Weights are `(F, n)`. Without two independent directions of positive weight the result is a
    rotation, but arbitrary.
    """
    u, _, vt = np.linalg.svd((weights[..., None] * b).transpose(0, 2, 1) @ a)
    # A reflection fits better than any rotation where the points are nearly on one line.
    u[np.linalg.det(u @ vt) < 0, :, 2] *= -1
    return np.asarray(u @ vt)


def fit_rotations(key: Floats, xy: Floats, seen: Bools, *, focal: float) -> tuple[Floats, Floats]:
    """Rotation of the key camera to each frame's, and each point's residual in pixels.

    `key` `(n, 2)` (or `(F, n, 2)`, a key frame for each frame) and `xy` `(F, n, 2)` are pixels from
    the principal point, `seen` `(F, n)`. Returns `(F, 3, 3)` with `x_frame = R @ x_key` and
    residuals `(F, n)`, BAD_PX where not seen. A frame with fewer than 3 points gets the identity.
    """
    rotation, residual = np.zeros((len(xy), 3, 3)), np.zeros(seen.shape)
    for start in range(0, len(xy), BLOCK):
        some = slice(start, start + BLOCK)
        mine = key[some] if key.ndim == 3 else key[None]
        rotation[some], residual[some] = _fit_block(mine, xy[some], seen[some], focal)
    return rotation, residual


def _fit_block(key: Floats, xy: Floats, seen: Bools, focal: float) -> tuple[Floats, Floats]:
    rotation, residual = _reweighted(key, xy, seen.astype(np.float64), focal)
    # Where the columns are the same points in every frame, what strayed in some is doubted in all:
    # one frame in which a crowd holds half of the points cannot tell, the others can.
    strays = seen & (residual > STRAY_PX)
    if len(key) > 1 or strays.sum() < STRAY_SHARE * seen.sum():
        return rotation, residual
    trust = 1 - strays.sum(0) / np.maximum(seen.sum(0), 1)
    return _reweighted(key, xy, seen * np.maximum(trust, MIN_TRUST) ** 4, focal)


def _reweighted(key: Floats, xy: Floats, prior: Floats, focal: float) -> tuple[Floats, Floats]:
    source, target = rays(key, focal), rays(xy, focal)
    weights = prior
    seen = prior > 0
    rotation = np.tile(np.eye(3), (len(xy), 1, 1))
    residual = np.full(seen.shape, BAD_PX)
    enough = seen.sum(1) >= 3
    for scale in SCALES_PX if enough.any() else ():
        rotation[enough] = kabsch(source, target, weights)[enough]
        point = source @ rotation.transpose(0, 2, 1)
        ahead = point[..., 2] > 0.05
        place = focal * point[..., :2] / np.where(ahead, point[..., 2], 1.0)[..., None]
        gap = place - xy
        error = np.sqrt((gap * gap).sum(-1))
        residual = np.where(seen & ahead, np.minimum(error, BAD_PX), BAD_PX)
        weights = prior * (scale**2 / (scale**2 + residual**2)) ** 2
    return rotation, residual


def pair_cost(pairs: Sequence[Pair], *, focal: float, sigma: float) -> float:
    """Truncated squared residual, in units of `sigma`, of the best rotations of all pairs."""
    most = max(len(pair.a) for pair in pairs)
    a, b = np.zeros((2, len(pairs), most, 2))
    seen = np.zeros((len(pairs), most), np.bool_)
    for row, pair in enumerate(pairs):
        count = len(pair.a)
        a[row, :count], b[row, :count], seen[row, :count] = pair.a, pair.b, True
    _, residual = fit_rotations(a, b, seen, focal=focal)
    return float(np.minimum((residual[seen] / sigma) ** 2, 9.0).sum())
