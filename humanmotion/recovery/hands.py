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
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.banded import (
    solve_clip,
    transposed_second_difference,
    turning_second_difference,
)
from humanmotion.recovery.kinematic_jacobian import landmarks_of, positions_and_jacobian
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

Side = Literal["left", "right"]
METRE_SIGMA = 0.012
"""Expected error of a hand landmark about the wrist."""
ACCELERATION_SIGMA = 25.0
WRIST_SIGMA = 0.5
"""Radians the palm may turn the wrist away from what the body fit says."""
ITERATIONS = 8
MIN_FRAMES = 3
"""A hand seen in fewer frames of the video than this is taken for a false detection."""


def fit_hand(
    track: PoseTrack, keypoints: Keypoints, body: BodyModel, *, side: Side, shot_id: Tensor
) -> PoseTrack:
    """The track with one hand's fingers (and wrist) fitted; `keypoints` in set `mediapipe_543`."""
    first = JOINT_SETS["mediapipe_543"].index(f"{side}_hand_wrist")
    rows = slice(first, first + 21)
    seen = keypoints.confidence[:, rows].amin(-1)
    if keypoints.xyz is None or int((seen > 0).sum()) < MIN_FRAMES:
        return track
    target = keypoints.xyz[:, rows] - keypoints.xyz[:, rows][:, :1]
    joints = _hand_joints(side)
    rotations = _solve(track, target, seen, body=body, side=side, shot_id=shot_id)
    confidence = track.confidence.clone()
    confidence[:, joints[1:]] = seen[:, None]
    return replace(track, rotations=rotations, confidence=confidence)


def _hand_joints(side: Side) -> list[int]:
    """The wrist and the 15 finger joints."""
    names = [i for i, n in enumerate(SMPLX_JOINTS) if n.startswith(f"{side}_") and i >= 25]
    return [SMPLX_JOINTS.index(f"{side}_wrist"), *names]


def _solve(
    track: PoseTrack, target: Tensor, seen: Tensor, *, body: BodyModel, side: Side, shot_id: Tensor
) -> Tensor:
    joints = _hand_joints(side)
    marks = landmarks_of(body, f"hand21_{side}", joints=tuple(joints), betas=track.betas)
    statistics = PoseStatistics.load(f"{side}_hand_pose")
    pelvis = track.transl + marks.rest[0]
    joined = (shot_id[2:] == shot_id[:-2]).numpy()
    fps = float(1 / track.times.diff().median()) if len(track.times) > 1 else 30.0
    weight = np.full(3 * len(joints), fps**2 / ACCELERATION_SIGMA, np.float32)
    # Fingers start at their mean; a frame without a hand follows its neighbours by smoothness.
    rotations = track.rotations.clone()
    start = rotvec_to_matrix(statistics.mean.reshape(15, 3))
    rotations[:, joints[1:]] = start
    size = _palm_scale(target, seen, marks_rest=marks.gather @ _rest_places(marks))
    for _ in range(ITERATIONS):
        points, jacobian = positions_and_jacobian(marks, rotations, pelvis)
        residual = points - points[:, :1] - target * size
        rows = (jacobian - jacobian[:, :1]).flatten(-2).flatten(1, 2)
        scale = _robust_weight(residual, seen)
        rows = rows * scale.repeat_interleave(3, -1)[..., None]
        right = -(rows.transpose(-1, -2) @ (residual * scale[..., None]).flatten(1)[..., None])
        blocks, right = rows.transpose(-1, -2) @ rows, right[..., 0]
        _add_priors(blocks, right, rotations, track=track, joints=joints, statistics=statistics)
        pull = _pull(rotations[:, joints], joined, weight)
        step = solve_clip(blocks.numpy(), right.numpy() + pull, smooth=weight, joined=joined)
        turn = torch.from_numpy(step).reshape(len(step), -1, 3).clamp(-0.5, 0.5)
        rotations[:, joints] = rotvec_to_matrix(turn) @ rotations[:, joints]
    return rotations


def _rest_places(marks: object) -> Tensor:
    from humanmotion.recovery.kinematic_jacobian import Landmarks

    assert isinstance(marks, Landmarks)
    return marks.rest[marks.pair_joint] + marks.pair_offset


def _palm_scale(target: Tensor, seen: Tensor, *, marks_rest: Tensor) -> float:
    """Ratio of this body's palm to the detector's: wrist to the four knuckles, median over time."""
    knuckles = [5, 9, 13, 17]
    ours = (marks_rest[knuckles] - marks_rest[0]).norm(dim=-1).mean()
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


def _pull(turn: Tensor, joined: np.ndarray, weight: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    if len(turn) < 3:
        return np.zeros((len(turn), turn.shape[1] * 3), np.float32)
    second = turning_second_difference(turn, joined)
    return -transposed_second_difference(second * weight**2, len(turn))
