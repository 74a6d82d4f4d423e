"""Errors of a pose about its own root: MPJPE, PA-MPJPE, and the similarity alignment beneath them.

Definitions as in the evaluation code of WHAM and GVHMR. Everything is in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import UsageError

HIPS = (1, 2)
"""Joints whose mean is taken as the root: left and right hip of SMPL-X."""


@dataclass(frozen=True)
class Similarity:
    """`x -> scale * rotation @ x + translation` over any batch shape."""

    scale: Tensor
    """`(...)`."""
    rotation: Tensor
    """`(..., 3, 3)`."""
    translation: Tensor
    """`(..., 3)`."""

    def __call__(self, points: Tensor) -> Tensor:
        """Points `(..., N, 3)` moved by the similarity of the same leading shape."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def procrustes(
    source: Tensor, target: Tensor, *, scale: bool = True, weights: Tensor | None = None
) -> Similarity:
    """The similarity that takes `source` `(..., N, 3)` nearest to `target`, least squares.

    With `scale=False` it is rigid. `weights` `(..., N)`, not all zero. Points on one line leave a
    turn about it free; one of the equally good answers is returned. Umeyama 1991, equations 34-42.
    """
    w = torch.ones_like(source[..., 0]) if weights is None else weights.expand(source.shape[:-1])
    w = (w / w.sum(-1, keepdim=True))[..., None]
    middle_s, middle_t = (w * source).sum(-2), (w * target).sum(-2)
    s, t = source - middle_s[..., None, :], target - middle_t[..., None, :]
    u, size, vh = torch.linalg.svd((w * t).transpose(-1, -2) @ s)
    sign = torch.ones_like(size)
    sign[..., -1] = torch.linalg.det(u @ vh).sign()
    rotation = (u * sign[..., None, :]) @ vh
    spread = (w * s * s).sum((-1, -2))
    ratio = (size * sign).sum(-1) / spread.clamp(min=torch.finfo(s.dtype).tiny)
    factor = ratio if scale else torch.ones_like(ratio)
    shift = middle_t - factor[..., None] * (rotation @ middle_s[..., None])[..., 0]
    return Similarity(factor, rotation, shift)


def mpjpe(prediction: Tensor, truth: Tensor, *, root: tuple[int, ...] = HIPS) -> Tensor:
    """Mean joint error `(...)` of joints `(..., J, 3)` after both roots are put at the origin.

    The root is the mean of the joints in `root` (the hips, as in WHAM and GVHMR).
    """
    check_pair(prediction, truth)
    index = list(root)
    a = prediction - prediction[..., index, :].mean(-2, keepdim=True)
    b = truth - truth[..., index, :].mean(-2, keepdim=True)
    return (a - b).norm(dim=-1).mean(-1)


def pa_mpjpe(prediction: Tensor, truth: Tensor) -> Tensor:
    """Mean joint error `(...)` of joints `(..., J, 3)` after a similarity alignment per pose."""
    check_pair(prediction, truth)
    return (procrustes(prediction, truth)(prediction) - truth).norm(dim=-1).mean(-1)


def pve(
    prediction: Tensor, truth: Tensor, *, prediction_root: Tensor, truth_root: Tensor
) -> Tensor:
    """Mean vertex error `(...)` of vertices `(..., V, 3)` after both roots `(..., 3)` are removed."""
    check_pair(prediction, truth)
    a, b = prediction - prediction_root[..., None, :], truth - truth_root[..., None, :]
    return (a - b).norm(dim=-1).mean(-1)


def check_pair(prediction: Tensor, truth: Tensor) -> None:
    """Raise UsageError unless both have one shape `(..., N, 3)`."""
    if prediction.shape != truth.shape or prediction.shape[-1:] != (3,):
        raise UsageError(
            f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} must have "
            "one shape (..., N, 3)"
        )
