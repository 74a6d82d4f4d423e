"""Points written as weighted means of nearby skin vertices: the joint regressor, and landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from humanmotion.body.build_source import Floats, Ints

_TEMPLATE_WEIGHT = 30.0
_RIDGE = 1e-3


def convex_weights(
    target: Floats,
    vertices: Floats,
    *,
    keep: int,
    candidates: int = 80,
    thin: int = 1,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[Ints, Floats]:
    """Vertex ids (k,) and weights (k,), k <= keep, whose mean follows `target`.

    `target` (S, 3) is the point over S shapes, `vertices` (S, V, 3) the mesh; shape 0 is the
    template and is matched far more closely than the rest. Weights are non-negative and sum to 1
    (non-negative least squares with a small ridge, which spreads the support around the point).
    Of the nearest vertices every `thin`-th is a candidate: deep points need far ones, too. Only
    vertices `allowed` (V) are looked at.
    """
    distance = np.linalg.norm(vertices[0] - target[0], axis=1)
    if allowed is not None:
        distance = np.where(allowed, distance, np.inf)
    near = np.argsort(distance, kind="stable")[: candidates * thin : thin]
    near = near[np.isfinite(distance[near])]
    importance = np.ones(len(target))
    importance[0] = _TEMPLATE_WEIGHT
    weights = _solve(target, vertices[:, near], importance, ridge=_RIDGE)
    strongest = np.sort(np.argsort(-weights, kind="stable")[:keep])
    near = near[strongest]
    return near, _solve(target, vertices[:, near], importance, ridge=_RIDGE / 10)


def _solve(target: Floats, vertices: Floats, importance: Floats, *, ridge: float) -> Floats:
    # Millimetres around the template point, so that the ridge has one meaning everywhere.
    offset = (vertices - target[:, None]) * 1000.0 * importance[:, None, None]
    count = vertices.shape[1]
    rows = np.moveaxis(offset, 1, 2).reshape(-1, count)
    scale = 1.0 / np.sqrt(len(target))
    system = np.concatenate([rows * scale, np.eye(count) * ridge * 1000, np.ones((1, count)) * 1e5])
    wanted = np.zeros(len(system))
    wanted[-1] = 1e5
    solution, _ = nnls(system, wanted, maxiter=50 * count)
    return np.asarray(solution / solution.sum())


def dense_rows(ids: list[Ints], weights: list[Floats], count: int) -> Floats:
    """The matrix (P, V) of P sparse weighted means over `count` vertices."""
    out = np.zeros((len(ids), count))
    for row, (i, w) in enumerate(zip(ids, weights, strict=True)):
        np.add.at(out[row], i, w)
    return out
