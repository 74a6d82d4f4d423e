"""Per-frame SMPL-X pose of one person from detector keypoints, by least squares over the clip.

Unknowns per frame: root rotation, pelvis place and 21 joint rotations, in camera space; one shape
for the whole video. Terms: 2D reprojection and the detector's root-relative 3D (both robust, Geman-
McClure), pose statistics with joint limits, and the second difference over time, never across a cut.
Gauss-Newton with exact Jacobians; the normal equations are banded, so time is linear in the frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import (
    CarriedPoints,
    landmark_points,
    positions,
    positions_and_jacobian,
    shape_derivative,
)
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.banded import (
    Floats,
    second_difference,
    solve_clip,
    transposed_second_difference,
    turning_second_difference,
)
from humanmotion.recovery.initial_pose import initial_rotations, mark
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.rotations import between_vectors, matrix_to_rotvec, rotvec_to_matrix

SET = "mediapipe_33"
BODY_JOINTS = tuple(range(22))
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
ITERATIONS = 14
SHAPE_AT = (5, 9)
WINDOW = 600
"""Frames solved at once; memory and cache misses grow with it, joins between windows shrink."""
OVERLAP = 15
"""Frames a window borrows from its neighbours so that its own ends are well held."""


@dataclass(frozen=True)
class _Observed:
    """What the detector says, in the solver's units."""

    xy: Tensor  # (T, L, 2) px
    weight2d: Tensor  # (T, L) 1 / px
    xyz: Tensor  # (T, L, 3) m, about the middle of the hips, camera axes
    weight3d: Tensor  # (T, L, 3) 1 / m
    K: Tensor  # (T, 3, 3)
    fps: float
    joined: Floats  # (T - 2) bool


@dataclass(frozen=True)
class _State:
    rotations: Tensor  # (T, 55, 3, 3)
    pelvis: Tensor  # (T, 3)
    betas: Tensor  # (10)
    marks: CarriedPoints


def lift(
    keypoints: Keypoints,
    body: BodyModel,
    *,
    K: Tensor,
    shot_id: Tensor,
    statistics: PoseStatistics,
) -> PoseTrack:
    """Fit one person seen in `keypoints` (set `mediapipe_543` or `mediapipe_33`).

    `K` `(T, 3, 3)`, `shot_id` `(T)`. Frames in which the person is absent are interpolated and keep
    confidence 0. A long clip is fitted in overlapping windows of one shape, that of the clearest.
    """
    points = keypoints.to_set(SET)
    windows = _windows(len(points))
    clearest = max(windows, key=lambda w: float(points.confidence[w[0] : w[1]].mean()))
    betas: Tensor | None = None
    parts: dict[tuple[int, int], PoseTrack] = {}
    for window in (clearest, *(w for w in windows if w != clearest)):
        low, high = max(window[0] - OVERLAP, 0), min(window[1] + OVERLAP, len(points))
        cut = slice(low, high)
        seen = _observe(points[cut], K[cut], shot_id[cut])
        state = _fit(seen, body, statistics, betas=betas)
        betas = state.betas
        keep = slice(window[0] - low, window[1] - low)
        parts[window] = _result(state, points[cut])[keep]
    return _joined([parts[w] for w in windows])


def _windows(frames: int) -> list[tuple[int, int]]:
    count = max(1, -(-frames // WINDOW))
    edges = [frames * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def _fit(
    seen: _Observed, body: BodyModel, statistics: PoseStatistics, *, betas: Tensor | None
) -> _State:
    state = _start(seen, body, torch.zeros(10) if betas is None else betas)
    for step in range(ITERATIONS):
        if betas is None and step in SHAPE_AT:
            state = _refit_shape(state, seen)
        state = _gauss_newton(state, seen, statistics)
    return state


def _joined(parts: list[PoseTrack]) -> PoseTrack:
    names = ("rotations", "transl", "expression", "confidence", "times")
    return replace(parts[0], **{n: torch.cat([getattr(t, n) for t in parts]) for n in names})


def _observe(points: Keypoints, K: Tensor, shot_id: Tensor) -> _Observed:
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
    same = (shot_id[2:] == shot_id[:-2]).numpy()
    steps = points.times.diff()
    fps = float(1 / steps.median()) if len(steps) else 30.0
    return _Observed(points.xy, weight2d, xyz, weight3d, K, fps, same)


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
    ahead = torch.tensor((0.0, 0.0, 1.0)).expand_as(ray)
    turn = between_vectors(ahead, ray)
    return torch.where(points.seen[:, None, None], turn, torch.eye(3))


def _start(seen: _Observed, body: BodyModel, betas: Tensor) -> _State:
    marks = landmark_points(body, SET, joints=BODY_JOINTS, betas=betas)
    xyz = _fill_absent(seen.xyz, seen.weight2d.sum(-1) > 0)
    rotations = initial_rotations(xyz, body)
    relative = positions(marks, rotations, torch.zeros(len(xyz), 3))
    pelvis = _place(relative, seen)
    pelvis = _fill_absent(pelvis[:, None], seen.weight2d.sum(-1) > 0)[:, 0]
    return _State(rotations, pelvis, betas, marks)


def _fill_absent(values: Tensor, good: Tensor) -> Tensor:
    """`(T, ...)` with the rows that are not good taken from the nearest good row in time."""
    where = good.nonzero()[:, 0]
    if not len(where):
        return values
    frames = torch.arange(len(values))
    nearest = (frames[:, None] - where[None]).abs().argmin(-1)
    return values[where[nearest]]


def _place(relative: Tensor, seen: _Observed) -> Tensor:
    """Pelvis `(T, 3)` that puts root-relative landmarks on their pixels: linear least squares."""
    inverse = torch.linalg.inv(seen.K)
    ray = torch.cat((seen.xy, torch.ones_like(seen.xy[..., :1])), -1) @ inverse.transpose(-1, -2)
    weight = seen.weight2d**2 + 1e-9
    # (X + t)_xy - ray_xy (X + t)_z = 0, linear in t.
    zeros, ones = torch.zeros_like(weight), torch.ones_like(weight)
    rows = torch.stack(
        (
            torch.stack((ones, zeros, -ray[..., 0]), -1),
            torch.stack((zeros, ones, -ray[..., 1]), -1),
        ),
        2,
    )
    right = -(rows @ relative[..., None])[..., 0]
    normal = torch.einsum("tlri,tl,tlrj->tij", rows, weight, rows)
    target = torch.einsum("tlri,tl,tlr->ti", rows, weight, right)
    normal = normal + 1e-6 * normal.diagonal(dim1=-2, dim2=-1).amax(-1)[:, None, None] * torch.eye(
        3
    )
    place = torch.linalg.solve(normal, target)
    return torch.cat((place[:, :2], place[:, 2:].clamp(min=0.3)), -1)


def _residuals(points: Tensor, seen: _Observed) -> tuple[Tensor, Tensor, Tensor]:
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


def _robust(scaled: Tensor) -> Tensor:
    """Geman-McClure weight for residuals `(..., n)` in sigmas: `(...)`."""
    return 1 / (1 + (scaled**2).sum(-1) / OUTLIER**2) ** 2


def _data_rows(state: _State, seen: _Observed) -> tuple[Tensor, Tensor]:
    """Weighted Jacobian `(T, R, P)` and residual `(T, R)` of both keypoint terms."""
    points, jacobian = positions_and_jacobian(state.marks, state.rotations, state.pelvis)
    jacobian = jacobian.flatten(-2)  # (T, L, 3, 3K)
    residual2d, residual3d, lens = _residuals(points, seen)
    moved = torch.cat((jacobian, torch.eye(3).expand(*jacobian.shape[:3], 3)), -1)
    weight2d = seen.weight2d * _robust(residual2d * seen.weight2d[..., None]).sqrt()
    weight3d = seen.weight3d * _robust(residual3d * seen.weight3d).sqrt()[..., None]
    hips = jacobian[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    relative = torch.cat((jacobian - hips, torch.zeros(*jacobian.shape[:3], 3)), -1)
    rows2d = (lens @ moved) * weight2d[..., None, None]
    rows3d = relative * weight3d[..., None]
    rows = torch.cat((rows2d.flatten(1, 2), rows3d.flatten(1, 2)), 1)
    residual = torch.cat(
        ((residual2d * weight2d[..., None]).flatten(1), (residual3d * weight3d).flatten(1)), 1
    )
    return rows, residual


def _gauss_newton(state: _State, seen: _Observed, statistics: PoseStatistics) -> _State:
    rows, residual = _data_rows(state, seen)
    blocks = rows.transpose(-1, -2) @ rows
    right = -(rows.transpose(-1, -2) @ residual[..., None])[..., 0]
    pose = matrix_to_rotvec(state.rotations[:, 1:22]).flatten(1)
    statistics.add_to(blocks, right, pose=pose, columns=slice(3, 66))
    blocks.diagonal(dim1=-2, dim2=-1).add_(1e-2)
    smooth, pull = _smoothness(state, seen)
    step = solve_clip(blocks.numpy(), right.numpy() + pull, smooth=smooth, joined=seen.joined)
    return _advance(state, torch.from_numpy(step).to(state.pelvis.dtype))


def _smoothness(state: _State, seen: _Observed) -> tuple[Floats, Floats]:
    """Weights `(69)` of the second difference, and its right-hand side `(T, 69)` at this state."""
    weight = np.full(69, seen.fps**2 / ACCELERATION_SIGMA, np.float32)
    weight[66:] = seen.fps**2 / ROOT_ACCELERATION_SIGMA
    frames = len(state.pelvis)
    if frames < 3:
        return weight, np.zeros((frames, 69), np.float32)
    turned = turning_second_difference(state.rotations[:, :22], seen.joined)
    moved = second_difference(state.pelvis.numpy(), seen.joined)
    second = np.concatenate((turned, moved), -1)
    return weight, -transposed_second_difference(second * weight**2, frames)


def _advance(state: _State, step: Tensor) -> _State:
    turn = step[:, :66].reshape(len(step), 22, 3)
    turn = turn * (MAX_STEP / turn.norm(dim=-1, keepdim=True).clamp(min=MAX_STEP))
    rotations = state.rotations.clone()
    rotations[:, :22] = rotvec_to_matrix(turn) @ rotations[:, :22]
    pelvis = state.pelvis + step[:, 66:]
    near = pelvis[:, 2:].clamp(min=0.3)
    return replace(state, rotations=rotations, pelvis=torch.cat((pelvis[:, :2], near), -1))


def _refit_shape(state: _State, seen: _Observed) -> _State:
    """One shape for all frames: ridge regression of the same residuals on betas."""
    points = positions(state.marks, state.rotations, state.pelvis)
    slope = shape_derivative(state.marks, SET, rotations=state.rotations, pelvis=state.pelvis)
    residual2d, residual3d, lens = _residuals(points, seen)
    weight2d = seen.weight2d * _robust(residual2d * seen.weight2d[..., None]).sqrt()
    weight3d = seen.weight3d * _robust(residual3d * seen.weight3d).sqrt()[..., None]
    hips = slope[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    rows = torch.cat(
        (
            ((lens @ slope) * weight2d[..., None, None]).reshape(-1, 10),
            ((slope - hips) * weight3d[..., None]).reshape(-1, 10),
        )
    )
    residual = torch.cat(
        ((residual2d * weight2d[..., None]).reshape(-1), (residual3d * weight3d).reshape(-1))
    )
    # Errors of neighbouring frames are the same error: count a second of video as one sighting.
    share = 1.0 / seen.fps
    normal = share * rows.T @ rows + torch.eye(10)
    target = share * (rows.T @ (rows @ state.betas - residual))
    betas = torch.linalg.solve(normal, target).clamp(-3.0, 3.0)
    marks = landmark_points(state.marks.body, SET, joints=BODY_JOINTS, betas=betas)
    return replace(state, betas=betas, marks=marks)


def _result(state: _State, points: Keypoints) -> PoseTrack:
    rest = state.marks.body.rest_joints(state.betas)
    return PoseTrack(
        rotations=state.rotations,
        transl=state.pelvis - rest[0],
        betas=state.betas,
        expression=torch.zeros(len(points), 10),
        confidence=joint_confidence(points),
        times=points.times,
    )


_SOURCE = {
    "left_hip": "left_hip", "right_hip": "right_hip", "left_knee": "left_knee",
    "right_knee": "right_knee", "left_ankle": "left_ankle", "right_ankle": "right_ankle",
    "left_foot": "left_big_toe", "right_foot": "right_big_toe", "head": "nose",
    "left_shoulder": "left_shoulder", "right_shoulder": "right_shoulder",
    "left_elbow": "left_elbow", "right_elbow": "right_elbow",
    "left_wrist": "left_wrist", "right_wrist": "right_wrist",
}  # fmt: skip


def joint_confidence(points: Keypoints) -> Tensor:
    """Confidence `(T, 55)`: of the landmark at the joint; the trunk takes the mean of the torso's."""
    confidence = points.confidence
    torso = confidence[
        :, [mark(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    ].mean(-1)
    out = torch.zeros(len(points), 55)
    out[:, :22] = torso[:, None]
    for joint, name in _SOURCE.items():
        out[:, SMPLX_JOINTS.index(joint)] = confidence[:, mark(name)]
    return out * points.seen[:, None]
