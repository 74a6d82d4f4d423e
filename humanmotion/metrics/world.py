"""Errors of a motion in the world: W-MPJPE, WA-MPJPE, root translation and orientation, cuts.

Definitions of the chunked errors as in the evaluation code of WHAM and GVHMR; the variants over a
whole video and at cuts are ours, because a new alignment in every chunk hides what goes wrong at a
cut. Metres and radians.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.metrics.pose import check_pair, procrustes
from humanmotion.rotations import geodesic_distance, wrap_angle

CHUNK_FRAMES = 100
FIRST_FRAMES = 2


def w_mpjpe(
    prediction: Tensor,
    truth: Tensor,
    *,
    chunk: int | None = CHUNK_FRAMES,
    first: int = FIRST_FRAMES,
    scale: bool = True,
) -> Tensor:
    """World joint error `(..., T)` of joints `(..., T, J, 3)`, aligned on each chunk's beginning.

    In every chunk of `chunk` frames (None: the whole motion is one) a similarity (rigid with
    `scale=False`) computed on all joints of its `first` frames is applied to all of it.
    """
    return _chunked(prediction, truth, chunk=chunk, first=first, scale=scale)


def wa_mpjpe(
    prediction: Tensor, truth: Tensor, *, chunk: int | None = CHUNK_FRAMES, scale: bool = True
) -> Tensor:
    """World joint error `(..., T)` of joints `(..., T, J, 3)`, aligned on all of each chunk."""
    return _chunked(prediction, truth, chunk=chunk, first=None, scale=scale)


def rte(prediction: Tensor, truth: Tensor, *, first: int | None = None) -> Tensor:
    """Root translation error `(..., T)` of paths `(..., T, 3)` after one rigid alignment.

    The alignment uses all frames, or only the `first` ones (then drift after them shows).
    """
    check_pair(prediction, truth)
    align = procrustes(prediction[..., :first, :], truth[..., :first, :], scale=False)
    return (align(prediction) - truth).norm(dim=-1)


def rte_share(prediction: Tensor, truth: Tensor) -> Tensor:
    """Mean `rte` `(...)` over the length of the true path, as a share of 1.

    Raises UsageError when the true path is shorter than 2 m: the ratio then says nothing.
    """
    length = truth.diff(dim=-2).norm(dim=-1).sum(-1)
    if (length < 2.0).any():
        raise UsageError(
            f"a path of {float(length.min()):.2f} m given to rte_share; it must be 2 m or longer"
        )
    return rte(prediction, truth).mean(-1) / length


def roe(prediction: Tensor, truth: Tensor, *, first: int | None = None) -> Tensor:
    """Root orientation error `(..., T)` of rotations `(..., T, 3, 3)`, geodesic.

    One world rotation, the chordal mean over all (or the `first`) frames, is taken out before.
    """
    relative = truth @ prediction.transpose(-1, -2)
    best = _nearest_rotation(relative[..., :first, :, :].sum(-3))
    return geodesic_distance(best[..., None, :, :] @ prediction, truth)


def heading(rotation: Tensor) -> Tensor:
    """Angle `(...)` about the vertical of where a root `(..., 3, 3)` faces (its z, as SMPL-X)."""
    return torch.atan2(rotation[..., 1, 2], rotation[..., 0, 2])


def roe_yaw(prediction: Tensor, truth: Tensor, *, first: int | None = None) -> Tensor:
    """Heading error `(..., T)` of root rotations `(..., T, 3, 3)`, mean offset taken out.

    The offset is the circular mean over all (or the `first`) frames.
    """
    gap = heading(prediction) - heading(truth)
    use = gap[..., :first]
    offset = torch.atan2(use.sin().mean(-1), use.cos().mean(-1))
    return wrap_angle(gap - offset[..., None]).abs()


def cut_yaw_error(
    prediction: Tensor, truth: Tensor, *, cuts: tuple[int, ...], window: int = 10
) -> Tensor:
    """Heading step added at each cut `(..., C)`, of root rotations `(..., T, 3, 3)`, radians >= 0.

    A cut is the first frame of the later shot. On each side the heading error is averaged over
    `window` frames (fewer when the next cut or the end is nearer); the answer is their difference.
    """
    gap = heading(prediction) - heading(truth)
    frames = gap.shape[-1]
    edges = (0, *cuts, frames)
    steps = []
    for before, cut, after in zip(edges[:-2], cuts, edges[2:], strict=True):
        left = _circular_mean(gap[..., max(before, cut - window) : cut])
        right = _circular_mean(gap[..., cut : min(after, cut + window)])
        steps.append(wrap_angle(right - left).abs())
    return torch.stack(steps, -1) if steps else gap.new_zeros(*gap.shape[:-1], 0)


def seam_error(prediction: Tensor, truth: Tensor, *, cuts: tuple[int, ...]) -> Tensor:
    """Error of the root's step over each cut `(..., C)`, metres, of paths `(..., T, 3)`.

    `|step of the prediction| - |step of the truth|`, absolute, so that no alignment is needed.
    """
    index = torch.as_tensor(cuts, dtype=torch.long)
    steps = [(x[..., index, :] - x[..., index - 1, :]).norm(dim=-1) for x in (prediction, truth)]
    return (steps[0] - steps[1]).abs()


def _chunked(
    prediction: Tensor, truth: Tensor, *, chunk: int | None, first: int | None, scale: bool
) -> Tensor:
    check_pair(prediction, truth)
    frames = prediction.shape[-3]
    size = max(frames, 1) if chunk is None else chunk
    if size < 1 or (first is not None and first < 1):
        raise UsageError(f"chunk {chunk} and first {first} given; both must be 1 or more")
    parts = [
        _aligned_error(prediction[..., i : i + size, :, :], truth[..., i : i + size, :, :],
                       first=first, scale=scale)
        for i in range(0, frames, size)
    ]  # fmt: skip
    return torch.cat(parts, -1) if parts else prediction.new_zeros(prediction.shape[:-2])


def _aligned_error(prediction: Tensor, truth: Tensor, *, first: int | None, scale: bool) -> Tensor:
    a, b = prediction[..., :first, :, :].flatten(-3, -2), truth[..., :first, :, :].flatten(-3, -2)
    moved = procrustes(a, b, scale=scale)(prediction.flatten(-3, -2))
    return (moved.reshape(truth.shape) - truth).norm(dim=-1).mean(-1)


def _nearest_rotation(matrix: Tensor) -> Tensor:
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., -1] = torch.linalg.det(u @ vh).sign()
    return (u * sign[..., None, :]) @ vh


def _circular_mean(angle: Tensor) -> Tensor:
    return torch.atan2(angle.sin().mean(-1), angle.cos().mean(-1))
