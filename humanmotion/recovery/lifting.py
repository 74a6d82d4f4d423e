"""Per-frame SMPL-X pose of one person from detector keypoints, by least squares over the clip.

Unknowns per frame: root rotation, pelvis place and 21 joint rotations, in camera space; one shape
for the whole video. Terms: 2D reprojection and the detector's root-relative 3D (both robust, Geman-
McClure), pose statistics with joint limits, and the second difference over time, never across a cut.
Where a lifter's guess is given, the fit begins there and is pulled to it instead of the statistics;
where a prior of movement is given, it takes their place in the last steps. Gauss-Newton with exact
Jacobians; the normal equations are banded, so time is linear in the frames.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import landmark_points, positions, shape_derivative
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.banded import solve_clip
from humanmotion.recovery.initial_pose import SET, initial_rotations, mark
from humanmotion.recovery.landmark_terms import (
    Observed,
    State,
    advance,
    normal_equations,
    observe,
    residuals,
    smoothness,
    weights,
)
from humanmotion.recovery.plausible_pose import make_plausible
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.quality import STANDARD, Quality
from humanmotion.recovery.windows import Window, windows
from humanmotion.rotations import matrix_to_rotvec

BODY_JOINTS = tuple(range(22))
SHAPE_AT, SHAPE_AT_FROM_GUESS = (5, 9), (1, 3)
"""Steps at which the shape is fitted as well."""
GUESS_SIGMA = 0.1
"""Radians that a joint of a guess is taken to be off (chosen on val, of 0.05, 0.1 and 0.2)."""


def lift(
    keypoints: Keypoints,
    body: BodyModel,
    *,
    K: Tensor,
    shot_id: Tensor,
    statistics: PoseStatistics,
    prior: PosePrior | None = None,
    guess: PoseGuess | None = None,
    quality: Quality = STANDARD,
) -> PoseTrack:
    """Fit one person seen in `keypoints` (set `mediapipe_543` or `mediapipe_33`).

    `statistics` lead the first steps and give the shape; `prior` leads the last ones. Without it the
    statistics are all there is. A `guess` takes the statistics' place wherever the person is seen well.
    `K` `(T, 3, 3)`, `shot_id` `(T)`. Frames in which the person is absent are interpolated and keep
    confidence 0. A long clip is fitted in overlapping windows of one shape, that of the clearest.
    """
    points = keypoints.to_set(SET)
    parts = windows(len(points))
    clearest = max(parts, key=lambda w: float(points.confidence[w.start : w.stop].mean()))
    betas: Tensor | None = None
    room: dict[str, Tensor] = {}
    for window in (clearest, *(w for w in parts if w != clearest)):
        cut = window.solved
        seen = observe(points[cut], K[cut], shot_id[cut])
        given = None if guess is None else guess[cut]
        led = prior is not None
        steps = quality.steps_before_prior if led else quality.steps_alone
        steps = steps if guess is None else quality.steps_from_guess
        state = _fit(seen, body, statistics, betas=betas, guess=given, steps=steps)
        if prior is not None:
            state = make_plausible(state, seen, prior, guess=given, steps=quality.prior_steps)
        betas = state.betas
        up = None if given is None else given.up
        _put(room, replace(_result(state, points[cut]), up=up)[window.own], window, len(points))
    assert betas is not None
    return PoseTrack(betas=betas, **room)


def _fit(
    seen: Observed,
    body: BodyModel,
    statistics: PoseStatistics,
    *,
    betas: Tensor | None,
    guess: PoseGuess | None,
    steps: int,
) -> State:
    """The body after so many of the statistics' or the guess's steps."""
    state = _start(seen, body, torch.zeros(10) if betas is None else betas, guess)
    shape_at = SHAPE_AT if guess is None else SHAPE_AT_FROM_GUESS
    for step in range(steps):
        if betas is None and step in shape_at:
            state = _refit_shape(state, seen)
        state = _gauss_newton(state, seen, statistics, guess)
    return state


def _put(room: dict[str, Tensor], part: PoseTrack, window: Window, frames: int) -> None:
    """Copy a window's result to where it belongs in the whole, for which room is made at once.

    Kept by themselves, the parts would lie between what comes and goes with every window.
    """
    for name in ("rotations", "transl", "expression", "confidence", "times", "up"):
        value = getattr(part, name)
        if value is not None:
            whole = room.setdefault(name, value.new_zeros(frames, *value.shape[1:]))
            whole[window.start : window.stop] = value


def _start(seen: Observed, body: BodyModel, betas: Tensor, guess: PoseGuess | None) -> State:
    marks = landmark_points(body, SET, joints=BODY_JOINTS, betas=betas)
    there = seen.weight2d.sum(-1) > 0
    if guess is not None:
        rotations = guess.whole()
    else:
        rotations = initial_rotations(_fill_absent(seen.xyz, there), body)
    relative = positions(marks, rotations, torch.zeros(len(rotations), 3))
    pelvis = _place(relative, seen)
    pelvis = _fill_absent(pelvis[:, None], there)[:, 0]
    return State(rotations, pelvis, betas, marks)


def _fill_absent(values: Tensor, good: Tensor) -> Tensor:
    """`(T, ...)` with the rows that are not good taken from the nearest good row in time."""
    where = good.nonzero()[:, 0]
    if not len(where):
        return values
    frames = torch.arange(len(values))
    nearest = (frames[:, None] - where[None]).abs().argmin(-1)
    return values[where[nearest]]


def _place(relative: Tensor, seen: Observed) -> Tensor:
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


def _gauss_newton(
    state: State, seen: Observed, statistics: PoseStatistics, guess: PoseGuess | None
) -> State:
    blocks, right = normal_equations(state, seen)
    guessed = torch.zeros(len(blocks), dtype=torch.bool)
    if guess is not None:
        guessed = guess.pull(
            blocks, right, state.rotations, confidence=seen.confidence, sigma=GUESS_SIGMA
        )
    if not bool(guessed.all()):
        alone = (~guessed).nonzero()[:, 0]
        pose = matrix_to_rotvec(state.rotations[alone, 1:22]).flatten(1)
        own, pulled = blocks[alone], right[alone]
        statistics.add_to(own, pulled, pose=pose, columns=slice(3, 66))
        blocks[alone], right[alone] = own, pulled
    blocks.diagonal(dim1=-2, dim2=-1).add_(1e-2)
    smooth, pull = smoothness(state, seen)
    step = solve_clip(blocks.numpy(), right.numpy() + pull, smooth=smooth, joined=seen.joined)
    return advance(state, torch.from_numpy(step).to(state.pelvis.dtype))


def _refit_shape(state: State, seen: Observed) -> State:
    """One shape for all frames: ridge regression of the same residuals on betas."""
    points = positions(state.marks, state.rotations, state.pelvis)
    slope = shape_derivative(state.marks, SET, rotations=state.rotations, pelvis=state.pelvis)
    residual2d, residual3d, lens = residuals(points, seen)
    weight2d, weight3d = weights(residual2d, residual3d, seen)
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


def _result(state: State, points: Keypoints) -> PoseTrack:
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


_TORSO = [mark(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_JOINTS = [SMPLX_JOINTS.index(joint) for joint in _SOURCE]
_MARKS = [mark(name) for name in _SOURCE.values()]


def joint_confidence(points: Keypoints) -> Tensor:
    """Confidence `(T, 55)` of body joints, 0 of the others."""
    found = body_confidence(points.confidence) * points.seen[:, None]
    return torch.nn.functional.pad(found, (0, 55 - len(BODY_JOINTS)))


def body_confidence(marks: Tensor) -> Tensor:
    """Confidence `(..., 22)` of joints from landmarks' `(..., 33)`: of the landmark at the joint; the
    trunk takes the mean of the torso's."""
    out = marks[..., _TORSO].mean(-1, keepdim=True).repeat_interleave(len(BODY_JOINTS), -1)
    out[..., _JOINTS] = marks[..., _MARKS]
    return out
