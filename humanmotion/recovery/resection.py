"""Cameras moved so that the people of the world lie on the people of the picture again.

Planted feet and smooth paths move the bodies a little from where each frame alone had them. What is
left in the picture is taken up by the camera of the shot: one small turn and shift for all its frames,
the least squares of the reprojection (classical resection with the camera's own motion held).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import project
from humanmotion.recovery.flip import decided
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.world import WorldResult
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

ITERATIONS = 8
PIXEL_SIGMA = 0.02
"""Expected distance as a share of the median depth-scaled body size (1 m at that depth)."""
TURN_SIGMA = 0.15
"""Radians a camera may be turned; further and the picture no longer says where up is."""
SHIFT_SIGMA = 1.0
"""Metres it may be shifted."""
BODY_JOINTS = 22
OTHERS = 0.1
"""What the other people count against the chosen one, the first: they are smaller and worse seen."""


def resect(
    world: WorldResult,
    tracks: Sequence[PoseTrack],
    *,
    K: Tensor,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
) -> WorldResult:
    """The world with the cameras of static and panning shots refitted to the camera-space `tracks`.

    `K` `(T, 3, 3)`. A moving camera follows the people already and is left alone.
    """
    placed = [
        _joints(p.rotations, p.transl, t.betas, body)
        for p, t in zip(world.people, tracks, strict=True)
    ]
    lengths = torch.tensor([len(s) for s in shots])
    flips = [torch.tensor(f).repeat_interleave(lengths) for f in world.flipped]
    tracks = [
        decided(t, f, pelvis=t.transl + body.rest_joints(t.betas)[0])
        for t, f in zip(tracks, flips, strict=True)
    ]
    seen = [_joints(t.rotations, t.transl, t.betas, body) for t in tracks]
    points = torch.stack(placed, 1)
    pixels = project(torch.stack(seen, 1), K)
    weights = torch.stack([t.confidence[:, :BODY_JOINTS] for t in tracks], 1)
    weights[:, 1:] *= OTHERS
    R, t = world.R_w2c.float().clone(), world.t_w2c.float().clone()
    for shot, camera in zip(shots, cameras, strict=True):
        if camera.kind == "moving":
            continue
        part = slice(shot.start, shot.stop)
        R[part], t[part] = _refit(
            R[part], t[part], K=K[part], points=points[part], pixels=pixels[part],
            weights=weights[part],
        )  # fmt: skip
    return replace(world, R_w2c=R, t_w2c=t)


def _joints(rotations: Tensor, transl: Tensor, betas: Tensor, body: BodyModel) -> Tensor:
    return body.joints(rotations.float(), betas=betas, transl=transl.float())[:, :BODY_JOINTS]


def _refit(
    R: Tensor, t: Tensor, *, K: Tensor, points: Tensor, pixels: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn and shift one shot's camera; points `(n, P, J, 3)`, pixels `(n, P, J, 2)`."""
    n = len(R)
    flat, goal = points.reshape(n, -1, 3), pixels.reshape(n, -1, 2)
    share = weights.reshape(n, -1)
    if not bool((share > 0).any()):
        return R, t
    centre = -(R.mT @ t[..., None])[..., 0]
    turn, shift = torch.eye(3), torch.zeros(3)
    for _ in range(ITERATIONS):
        arm = flat - centre[:, None] - shift
        inside = arm @ turn.T
        step = _step(inside, R, K=K, goal=goal, share=share, turn=turn, shift=shift)
        turn = rotvec_to_matrix(step[:3]) @ turn
        shift = shift + step[3:]
    new_R = R @ turn
    return new_R, -(new_R @ (centre + shift)[..., None])[..., 0]


def _step(
    inside: Tensor,
    R: Tensor,
    *,
    K: Tensor,
    goal: Tensor,
    share: Tensor,
    turn: Tensor,
    shift: Tensor,
) -> Tensor:
    """Gauss-Newton step `(6)`: a world turn, then a shift of the camera's centre."""
    cam = inside @ R.mT
    depth = cam[..., 2].clamp(min=0.1)
    focal = K[:, None, [0, 1], [0, 1]]
    residual = focal * cam[..., :2] / depth[..., None] + K[:, None, :2, 2] - goal
    scale = focal.mean(-1) / depth
    off = residual / (PIXEL_SIGMA * scale[..., None])
    weight = (share / (1 + (off**2).sum(-1) / 9) ** 2).sqrt() / (PIXEL_SIGMA * scale)
    slope = torch.diag_embed(focal.expand(*depth.shape, 2) / depth[..., None])
    last = -focal * cam[..., :2] / depth[..., None] ** 2
    lens = torch.cat((slope, last[..., None]), -1) @ R[:, None]
    # inside = turn (X - centre - shift): a turn w moves it by w x inside, a shift by -turn.
    by_turn = -torch.linalg.cross(
        inside[..., None, :].expand(*inside.shape, 3), torch.eye(3).expand(*inside.shape, 3)
    )
    rows = torch.cat((lens @ by_turn.mT, lens @ -turn), -1) * weight[..., None, None]
    rows, right = rows.reshape(-1, 6), (residual * weight[..., None]).reshape(-1)
    # All frames see the same error of the body: a second's worth is one sighting.
    fade = 1 / len(inside)
    prior = torch.tensor((TURN_SIGMA,) * 3 + (SHIFT_SIGMA,) * 3) ** -2.0
    held = torch.cat((matrix_to_rotvec(turn), shift)) * prior
    normal = fade * rows.T @ rows + torch.diag(prior)
    return torch.linalg.solve(normal, -(fade * rows.T @ right + held))
