"""Finger joints of one hand from the detector's 21 hand landmarks, by least squares over the clip.

The wrist may turn as well: the palm tells its orientation better than the body's few landmarks do.
Where the detector does not see the hand, fingers stay at rest with zero confidence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import (
    CarriedPoints,
    landmark_points,
    positions_and_jacobian,
)
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.banded import (
    Floats,
    solve_clip,
    transposed_second_difference,
    turning_second_difference,
)
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.windows import windows
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

Side = Literal["left", "right"]
METRE_SIGMA = 0.012
"""Expected error of a hand landmark about the wrist."""
ACCELERATION_SIGMA = 25.0
WRIST_SIGMA = 0.5
"""Radians the palm may turn the wrist away from what the body fit says."""
ITERATIONS = 6
MIN_FRAMES = 3
"""A hand seen in fewer frames of the video than this is taken for a false detection."""
FADE_FRAMES = 8
"""Frames over which the fingers go back to rest when the hand is lost, and come from it."""


def fit_hand(
    track: PoseTrack, keypoints: Keypoints, body: BodyModel, *, side: Side, shot_id: Tensor
) -> PoseTrack:
    """The track with one hand's fingers (and wrist) fitted; `keypoints` in a set with hands.

    A set or a body without fingers (not in `landmark_sets`) leaves the track as it is.
    """
    joints = _hand_joints(side)
    if f"hand21_{side}" not in body.landmark_sets or not body.joints_present[joints].all():
        return track
    names = JOINT_SETS[keypoints.joint_set]
    if f"{side}_hand_wrist" not in names:
        return track
    first = names.index(f"{side}_hand_wrist")
    rows = slice(first, first + 21)
    seen = keypoints.confidence[:, rows].amin(-1)
    if keypoints.xyz is None or int((seen > 0).sum()) < MIN_FRAMES:
        return track
    share = _fade(seen > 0, shot_id)
    near = share.nonzero()[:, 0]
    target = keypoints.xyz[:, rows][near]
    fitted = _solve(
        track, near, target - target[:, :1], seen=seen[near], body=body, side=side,
        shot_id=shot_id[near],
    )  # fmt: skip
    rotations, at = track.rotations.clone(), near[:, None]
    rotations[at, joints] = _blend(rotations[at, joints], fitted, share[near])
    confidence = track.confidence.clone()
    confidence[:, joints[1:]] = seen[:, None]
    return replace(track, rotations=rotations, confidence=confidence)


def _fade(seen: Tensor, shot_id: Tensor) -> Tensor:
    """Share of the fitted hand to show `(T)`: 1 where seen, falling to 0 within FADE_FRAMES of it."""
    share = seen.float()
    for distance in range(1, min(FADE_FRAMES, len(seen))):
        level = 1 - distance / FADE_FRAMES
        near = level * (shot_id[distance:] == shot_id[:-distance]).float()
        share[distance:] = torch.maximum(share[distance:], near * seen[:-distance])
        share[:-distance] = torch.maximum(share[:-distance], near * seen[distance:])
    return share


def _blend(rest: Tensor, fitted: Tensor, share: Tensor) -> Tensor:
    """From `rest` a `share` `(T)` of the way to `fitted`, both `(T, J, 3, 3)`."""
    turn = matrix_to_rotvec(rest.transpose(-1, -2) @ fitted)
    return rest @ rotvec_to_matrix(turn * share[:, None, None])


def _hand_joints(side: Side) -> list[int]:
    """The wrist and the 15 finger joints."""
    names = [i for i, n in enumerate(SMPLX_JOINTS) if n.startswith(f"{side}_") and i >= 25]
    return [SMPLX_JOINTS.index(f"{side}_wrist"), *names]


def _solve(
    track: PoseTrack,
    near: Tensor,
    target: Tensor,
    *,
    seen: Tensor,
    body: BodyModel,
    side: Side,
    shot_id: Tensor,
) -> Tensor:
    """Local rotations `(N, 16, 3, 3)` in the frames `near` `(N)` of the wrist and fingers, whose hand
    follows `target` `(N, 21, 3)` about the wrist."""
    marks = landmark_points(
        body, f"hand21_{side}", joints=tuple(_hand_joints(side)), betas=track.betas
    )
    rest = marks.gather @ (marks.rest[marks.pair_joint] + marks.pair_offset)
    scale = _palm_scale(target, seen, rest)
    # Room for all at once: kept one by one, they would lie between what comes and goes with a window.
    fitted = track.rotations.new_zeros(len(near), len(_hand_joints(side)), 3, 3)
    for window in windows(len(near)):
        cut = window.solved
        some = _solve_window(
            track[near[cut]], scale * target[cut], seen[cut], marks=marks, side=side,
            shot_id=shot_id[cut],
        )  # fmt: skip
        fitted[window.start : window.stop] = some[window.own]
    return fitted


def _solve_window(
    track: PoseTrack,
    target: Tensor,
    seen: Tensor,
    *,
    marks: CarriedPoints,
    side: Side,
    shot_id: Tensor,
) -> Tensor:
    joints = _hand_joints(side)
    statistics = PoseStatistics.load("left_hand_pose" if side == "left" else "right_hand_pose")
    pelvis = track.transl + marks.rest[0]
    step_seconds = float(track.times.diff().min()) if len(track) > 1 else 1 / 30
    even = (track.times[2:] - track.times[:-2]) < 3 * step_seconds
    joined = ((shot_id[2:] == shot_id[:-2]) & even).numpy()
    weight = np.full(3 * len(joints), step_seconds**-2 / ACCELERATION_SIGMA, np.float32)
    rotations = track.rotations.clone()
    rotations[:, joints[1:]] = rotvec_to_matrix(statistics.mean.reshape(15, 3))
    for _ in range(ITERATIONS):
        points, jacobian = positions_and_jacobian(marks, rotations, pelvis)
        residual = points - points[:, :1] - target
        scale = _robust_weight(residual, seen)
        rows = (jacobian - jacobian[:, :1]).flatten(-2) * scale[..., None, None]
        rows = rows.flatten(1, 2)
        residual = (residual * scale[..., None]).flatten(1)
        blocks = rows.transpose(-1, -2) @ rows
        right = -(rows.transpose(-1, -2) @ residual[..., None])[..., 0]
        _add_priors(blocks, right, rotations, track=track, joints=joints, statistics=statistics)
        pull = _pull(rotations[:, joints], joined, weight)
        step = solve_clip(blocks.numpy(), right.numpy() + pull, smooth=weight, joined=joined)
        turn = torch.from_numpy(step).reshape(len(step), -1, 3).clamp(-0.5, 0.5)
        rotations[:, joints] = rotvec_to_matrix(turn) @ rotations[:, joints]
    return rotations[:, joints]


def _palm_scale(target: Tensor, seen: Tensor, rest: Tensor) -> float:
    """Ratio of this body's palm to the detector's: wrist to the four knuckles, median over time."""
    knuckles = [5, 9, 13, 17]
    ours = (rest[knuckles] - rest[0]).norm(dim=-1).mean()
    theirs = target[seen > 0][:, knuckles].norm(dim=-1).mean(-1).median()
    return float(ours / theirs.clamp(min=1e-3))


def _robust_weight(residual: Tensor, seen: Tensor) -> Tensor:
    """Square-root weights `(T, 21)`: Geman-McClure at 3 sigma times the detector's confidence."""
    scaled = residual.norm(dim=-1) / METRE_SIGMA
    return seen.sqrt()[:, None] / METRE_SIGMA / (1 + scaled**2 / 9)


def _add_priors(
    blocks: Tensor,
    right: Tensor,
    rotations: Tensor,
    *,
    track: PoseTrack,
    joints: list[int],
    statistics: PoseStatistics,
) -> None:
    pose = matrix_to_rotvec(rotations[:, joints[1:]]).flatten(1)
    statistics.add_to(blocks, right, pose=pose, columns=slice(3, 48))
    wrist = joints[0]
    away = matrix_to_rotvec(rotations[:, wrist] @ track.rotations[:, wrist].transpose(-1, -2))
    blocks[:, :3, :3] += torch.eye(3) / WRIST_SIGMA**2
    right[:, :3] -= away / WRIST_SIGMA**2


def _pull(turn: Tensor, joined: Floats, weight: Floats) -> Floats:
    if len(turn) < 3:
        return np.zeros((len(turn), turn.shape[1] * 3), np.float32)
    second = turning_second_difference(turn, joined)
    return -transposed_second_difference(second * weight**2, len(turn))
