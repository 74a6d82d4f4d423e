"""What a detector's landmarks say of a posed body: residuals, their slopes, and motion over time.

The unknowns of a frame are 22 turns (the root's and 21 joints', applied before the present rotation, in
the parent's axes) and the pelvis's place: 69 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from humanmotion.body.carried_points import (
    CarriedPoints,
    positions,
    positions_and_jacobian,
    shape_derivative,
)
from humanmotion.camera import looking_at
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.banded import (
    Floats,
    second_difference,
    transposed_second_difference,
    turning_second_difference,
)
from humanmotion.recovery.initial_pose import SET, mark
from humanmotion.rotations import rotvec_to_matrix

PIXEL_SIGMA = 0.015
"""Expected 2D error of a landmark, as a share of the person's height in the picture."""
METRE_SIGMA = 0.08
"""Expected error of the detector's root-relative 3D, across the view."""
DEPTH_SIGMA = 0.12
"""The same along the view."""
OUTLIER = 3.0
"""Geman-McClure scale in sigmas: at that error a landmark counts a quarter."""
ACCELERATION_SIGMA = 8.0
"""Expected joint acceleration in rad/s^2 that is not noise."""
ROOT_ACCELERATION_SIGMA = 4.0
"""Expected pelvis acceleration in m/s^2."""
MAX_STEP = 0.5
BLOCK = 128
"""Frames whose slopes are held together: they are seven times what is made of them."""


@dataclass(frozen=True)
class Observed:
    """What the detector says, in the solver's units."""

    times: Tensor  # (T) s
    shot_id: Tensor  # (T)
    confidence: Tensor  # (T, L), 0 where absent
    xy: Tensor  # (T, L, 2) px
    weight2d: Tensor  # (T, L) 1 / px
    xyz: Tensor  # (T, L, 3) m, about the middle of the hips, camera axes
    weight3d: Tensor  # (T, L, 3) 1 / m
    K: Tensor  # (T, 3, 3)
    fps: float
    joined: Floats  # (T - 2) bool

    def __getitem__(self, frames: slice) -> Observed:
        names = ("times", "shot_id", "confidence", "xy", "weight2d", "xyz", "weight3d", "K")
        part = {name: getattr(self, name)[frames] for name in names}
        return replace(self, **part, joined=_joined(part["shot_id"]))


@dataclass(frozen=True)
class State:
    """A body in every frame, in camera space."""

    rotations: Tensor  # (T, 55, 3, 3)
    pelvis: Tensor  # (T, 3)
    betas: Tensor  # (10)
    marks: CarriedPoints

    def __getitem__(self, frames: slice) -> State:
        return replace(self, rotations=self.rotations[frames], pelvis=self.pelvis[frames])


def observe(points: Keypoints, K: Tensor, shot_id: Tensor) -> Observed:
    """Keypoints of `SET` with `K` `(T, 3, 3)` and `shot_id` `(T)`, weighted by their confidence."""
    size = picture_height(points)
    confidence = points.confidence * points.seen[:, None]
    weight2d = confidence / (PIXEL_SIGMA * size[:, None])
    xyz = points.xyz if points.xyz is not None else torch.zeros(*points.xy.shape[:2], 3)
    hips = [mark("left_hip"), mark("right_hip")]
    xyz = xyz - xyz[:, hips].mean(1, keepdim=True)
    xyz = xyz @ _towards(points, K, hips).transpose(-1, -2)
    has3d = (points.xyz is not None) and bool(points.xyz.abs().sum() > 0)
    sigma = torch.tensor((METRE_SIGMA, METRE_SIGMA, DEPTH_SIGMA))
    weight3d = confidence.sqrt()[..., None] / sigma * float(has3d)
    steps = points.times.diff()
    fps = float(1 / steps.median()) if len(steps) else 30.0
    return Observed(
        points.times, shot_id, confidence, points.xy, weight2d, xyz, weight3d, K, fps,
        _joined(shot_id),
    )  # fmt: skip


def _joined(shot_id: Tensor) -> Floats:
    """Whether the three frames from t on are of one shot `(T - 2)`."""
    return np.asarray((shot_id[2:] == shot_id[:-2]).numpy())


def picture_height(points: Keypoints) -> Tensor:
    """Larger side of the confident landmarks' box `(T)`; absent frames take the median."""
    box = points.boxes()
    side = (box[:, 2:] - box[:, :2]).amax(-1)
    good = side > 0
    middle = side[good].median() if bool(good.any()) else side.new_tensor(float(points.height))
    return torch.where(good, side, middle).clamp(min=8.0)


def _towards(points: Keypoints, K: Tensor, hips: list[int]) -> Tensor:
    """Rotation `(T, 3, 3)` from the detector's crop-centred view axes to the camera's.

    The detector sees a crop and reports 3D as if the camera looked straight at it.
    """
    middle = points.xy[:, hips].mean(1)
    ray = torch.cat((middle, torch.ones_like(middle[:, :1])), -1)
    ray = (torch.linalg.inv(K) @ ray[..., None])[..., 0]
    return torch.where(points.seen[:, None, None], looking_at(ray), torch.eye(3))


def residuals(points: Tensor, seen: Observed) -> tuple[Tensor, Tensor, Tensor]:
    """2D `(T, L, 2)` px, 3D `(T, L, 3)` m, and the projection's derivative `(T, L, 2, 3)`."""
    hips = points[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    depth = points[..., 2].clamp(min=0.1)
    focal = seen.K[:, None, [0, 1], [0, 1]]
    centre = seen.K[:, None, :2, 2]
    slope = points[..., :2] / depth[..., None]
    residual2d = focal * slope + centre - seen.xy
    left = torch.diag_embed(focal.expand(*depth.shape, 2) / depth[..., None])
    last = -focal * slope / depth[..., None]
    return residual2d, points - hips - seen.xyz, torch.cat((left, last[..., None]), -1)


def robust(scaled: Tensor) -> Tensor:
    """Geman-McClure weight for residuals `(..., n)` in sigmas: `(...)`."""
    return 1 / (1 + (scaled**2).sum(-1) / OUTLIER**2) ** 2


def weights(
    residual2d: Tensor,
    residual3d: Tensor,
    seen: Observed,
    *,
    counts: tuple[float, float] = (1.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """How residuals are weighed, outliers less: `(T, L)` per pixel and `(T, L, 3)` per metre."""
    weight2d = seen.weight2d * robust(residual2d * seen.weight2d[..., None]).sqrt()
    weight3d = seen.weight3d * robust(residual3d * seen.weight3d).sqrt()[..., None]
    return weight2d * counts[0] ** 0.5, weight3d * counts[1] ** 0.5


def data_rows(
    state: State, seen: Observed, *, counts: tuple[float, float] = (1.0, 1.0)
) -> tuple[Tensor, Tensor]:
    """Weighted Jacobian `(T, R, P)` and residual `(T, R)` of both keypoint terms.

    `counts` says for how many sightings one frame counts, in 2D and in 3D; what is an outlier does
    not depend on it.
    """
    points, jacobian = positions_and_jacobian(state.marks, state.rotations, state.pelvis)
    jacobian = jacobian.flatten(-2)  # (T, L, 3, 3K)
    residual2d, residual3d, lens = residuals(points, seen)
    moved = torch.cat((jacobian, torch.eye(3).expand(*jacobian.shape[:3], 3)), -1)
    weight2d, weight3d = weights(residual2d, residual3d, seen, counts=counts)
    hips = jacobian[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    relative = torch.cat((jacobian - hips, torch.zeros(*jacobian.shape[:3], 3)), -1)
    rows2d = (lens @ moved) * weight2d[..., None, None]
    rows3d = relative * weight3d[..., None]
    rows = torch.cat((rows2d.flatten(1, 2), rows3d.flatten(1, 2)), 1)
    residual = torch.cat(
        ((residual2d * weight2d[..., None]).flatten(1), (residual3d * weight3d).flatten(1)), 1
    )
    return rows, residual


def normal_equations(
    state: State, seen: Observed, *, counts: tuple[float, float] = (1.0, 1.0)
) -> tuple[Tensor, Tensor]:
    """`J^T J` `(T, 69, 69)` and `-J^T r` `(T, 69)` of `data_rows`, BLOCK frames at a time."""
    blocks, rights = [], []
    for start in range(0, len(state.pelvis), BLOCK):
        part = slice(start, start + BLOCK)
        rows, residual = data_rows(state[part], seen[part], counts=counts)
        blocks.append(rows.mT @ rows)
        rights.append(-(rows.mT @ residual[..., None])[..., 0])
    return torch.cat(blocks), torch.cat(rights)


def shared_rows(
    state: State, seen: Observed, *, counts: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """Further columns `(T, R, 11)` of `data_rows`: by the log of the focal length, by the shape."""
    points = positions(state.marks, state.rotations, state.pelvis)
    slope = shape_derivative(state.marks, SET, rotations=state.rotations, pelvis=state.pelvis)
    residual2d, residual3d, lens = residuals(points, seen)
    weight2d, weight3d = weights(residual2d, residual3d, seen, counts=counts)
    hips = slope[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    zoom = residual2d + seen.xy - seen.K[:, None, :2, 2]
    rows2d = torch.cat((zoom[..., None], lens @ slope), -1) * weight2d[..., None, None]
    rows3d = (slope - hips) * weight3d[..., None]
    rows3d = torch.cat((torch.zeros_like(rows3d[..., :1]), rows3d), -1)
    return torch.cat((rows2d.flatten(1, 2), rows3d.flatten(1, 2)), 1)


def smoothness(
    state: State, seen: Observed, *, joint_sigma: float = ACCELERATION_SIGMA
) -> tuple[Floats, Floats]:
    """Weights `(69)` of the second difference, and its right-hand side `(T, 69)` at this state.

    `joint_sigma` is the expected acceleration of the joints but the root, rad/s^2.
    """
    weight = np.full(69, seen.fps**2 / ACCELERATION_SIGMA, np.float32)
    weight[3:66] = seen.fps**2 / joint_sigma
    weight[66:] = seen.fps**2 / ROOT_ACCELERATION_SIGMA
    frames = len(state.pelvis)
    if frames < 3:
        return weight, np.zeros((frames, 69), np.float32)
    turned = turning_second_difference(state.rotations[:, :22], seen.joined)
    moved = second_difference(state.pelvis.numpy(), seen.joined)
    second = np.concatenate((turned, moved), -1)
    return weight, -transposed_second_difference(second * weight**2, frames)


def advance(state: State, step: Tensor) -> State:
    """The state after a step `(T, 69)` of the unknowns, turns no larger than `MAX_STEP`."""
    turn = limited(step[:, :66].reshape(len(step), 22, 3))
    rotations = state.rotations.clone()
    rotations[:, :22] = rotvec_to_matrix(turn) @ rotations[:, :22]
    pelvis = state.pelvis + step[:, 66:]
    near = pelvis[:, 2:].clamp(min=0.3)
    return replace(state, rotations=rotations, pelvis=torch.cat((pelvis[:, :2], near), -1))


def limited(turn: Tensor) -> Tensor:
    """Turns `(..., 3)` made no larger than MAX_STEP."""
    return turn * (MAX_STEP / turn.norm(dim=-1, keepdim=True).clamp(min=MAX_STEP))
