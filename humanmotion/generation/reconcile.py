"""What generated features say twice of the root, brought together.

Where the root is and how it is turned is written in every frame, and so is its change to the next one.
Places are told to a share of the metres that people walk: read frame by frame they shake. Changes are
told to a share of a step, but add up to drift. So fast movement is that of the changes, and slow
movement that of the places.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.generation.features import STEP, TURN, decode, encode, rowwise_matrix
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

WIDTH = 10.0
"""Frames at 20 fps of the Gaussian that parts slow movement from fast: half a second."""


def reconciled(features: Tensor, *, rest: Tensor, first: int = 0) -> Tensor:
    """Features `(..., T, 276)` whose root's places and changes say the same, from frame `first` on.

    That frame and those before it stay as they are; local poses do everywhere. `rest` `(55, 3)` are
    the body's joints at rest. Raises UsageError for what `decode` refuses.
    """
    own = features[..., first:, :]
    rotations, placed = decode(own)
    turned, walked = decode(own, decoding="integrated")
    lean = matrix_to_rotvec(rotations[..., 0, :, :] @ turned[..., 0, :, :].mT)
    root = rotvec_to_matrix(_slow(lean)) @ turned[..., 0, :, :]
    way = walked + _slow(placed - walked)
    poses = torch.cat((root[..., None, :, :], rotations[..., 1:, :, :]), -3)
    # One frame more, by the last changes, for the changes of the last frame.
    last = rowwise_matrix(own[..., -1:, TURN]) @ root[..., -1:, :, :]
    after = torch.cat((last[..., None, :, :], rotations[..., -1:, 1:, :, :]), -3)
    way = torch.cat((way, way[..., -1:, :] + own[..., -1:, STEP]), -2)
    made = encode(torch.cat((poses, after), -4), way, rest=rest)
    return torch.cat((features[..., : first + 1, :], made[..., 1:, :]), -2)


def _slow(gap: Tensor) -> Tensor:
    """Gaps `(..., T, n)` after a Gaussian over time; the first one, 0, stays so.

    Beyond its ends a gap goes on as in a mirror at a point, so that what drifts evenly stays as it is.
    """
    frames = gap.shape[-2]
    beyond = round(3 * WIDTH)
    away = torch.arange(-beyond, beyond + 1, device=gap.device)
    weights = torch.exp(-0.5 * (away / WIDTH) ** 2)
    at = torch.arange(frames, device=gap.device)[:, None] + away
    before, behind = (
        (-at).clamp(min=0, max=frames - 1),
        (at - frames + 1).clamp(min=0, max=frames - 1),
    )
    inside = gap[..., at.clamp(0, frames - 1), :]
    start, end = gap[..., :1, None, :], gap[..., -1:, None, :]
    mirrored = torch.where((at < 0)[..., None], 2 * start - gap[..., before, :], inside)
    back = gap[..., frames - 1 - behind, :]
    mirrored = torch.where((at >= frames)[..., None], 2 * end - back, mirrored)
    return torch.einsum("k,...tkn->...tn", weights / weights.sum(), mirrored)
