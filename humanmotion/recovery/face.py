"""Jaw opening and expression from the detector's face mesh: ridge regression in the head's frame.

Each frame's face landmarks are laid on the body's rest face by a similarity (scale, turn, shift), so
head pose and size drop out. What the person's face differs by in most frames is identity, and is
taken off as the median; the rest is explained by the jaw and the ten expression directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import landmark_points, positions_and_jacobian
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.windows import FRAMES
from humanmotion.rotations import rotvec_to_matrix

JAW = SMPLX_JOINTS.index("jaw")
JAW_RANGE = (-0.05, 0.5)
"""Radians the mouth may close beyond rest and open."""
EXPRESSION_LIMIT = 3.0
RIDGE = 0.004
"""Metres of landmark error worth one sigma of expression."""
MIN_FRAMES = 3
MIN_STILL = 3
"""Points that fix a similarity."""
MIN_FACE_PX = 40.0
"""A smaller face shows no expression: its mesh is the detector's guess."""


@dataclass(frozen=True)
class _RestFace:
    points: Tensor
    """`(L, 3)` at rest."""
    basis: Tensor
    """`(L, 3, 11)`: metres by radian of jaw opening, then by unit of each expression."""
    still: Tensor
    """`(L)` bool: points that the jaw does not move, by which faces are laid on each other."""


def fit_face(track: PoseTrack, keypoints: Keypoints, body: BodyModel) -> PoseTrack:
    """The track with jaw and expression fitted where a large enough face is seen.

    Unseen frames keep a resting face and confidence 0, and so do all frames when the set of
    `keypoints` has no face mesh, or the body no face points, no jaw, or points that it does not move.
    """
    columns = _mesh_columns(body, keypoints.joint_set)
    if keypoints.xyz is None or not columns:
        return track
    seen = keypoints.confidence[:, columns].amin(-1)
    height = keypoints.xy[:, columns, 1].amax(-1) - keypoints.xy[:, columns, 1].amin(-1)
    seen = seen * (height > MIN_FACE_PX)
    frames = (seen > 0).nonzero()[:, 0]
    if len(frames) < MIN_FRAMES:
        return track
    face = _rest_face(body, track.betas)
    if int(face.still.sum()) < MIN_STILL:
        return track
    jaw, expression = _solve(keypoints.xyz[:, columns][frames], face)
    rotations, confidence = track.rotations.clone(), track.confidence.clone()
    opening = torch.zeros(len(frames), 3)
    opening[:, 0] = jaw
    rotations[frames, JAW] = rotvec_to_matrix(opening)
    full = track.expression.clone()
    full[frames] = expression
    confidence[:, JAW] = seen
    return replace(track, rotations=rotations, expression=full, confidence=confidence)


def _mesh_columns(body: BodyModel, joint_set: str) -> list[int]:
    """Places in a joint set of the body's face points; none when it lacks one, a face or a jaw."""
    if "face" not in body.landmark_sets or not body.joints_present[JAW]:
        return []
    place = {name: i for i, name in enumerate(JOINT_SETS[joint_set])}
    columns = [place.get(f"mesh_{i}", -1) for i in body.face_mesh_ids]
    return [] if -1 in columns else columns


def _rest_face(body: BodyModel, betas: Tensor) -> _RestFace:
    marks = landmark_points(body, "face", joints=(JAW,), betas=betas)
    rest_pose = torch.eye(3).repeat(1, 55, 1, 1)
    rest, jacobian = positions_and_jacobian(marks, rest_pose, marks.rest[None, 0])
    basis = torch.cat((jacobian[0, :, :, 0, :1], body.landmark_skin("face").exprdirs), -1)
    moves = basis[..., 0].norm(dim=-1)
    return _RestFace(rest[0], basis, moves < 0.1 * moves.amax())


def _laid(xyz: Tensor, rest: Tensor, still: Tensor) -> Tensor:
    """Face points `(T, L, 3)` laid on those at `rest` `(1, L, 3)` by the `still` ones `(L)`."""
    turn, shift, scale = roma.rigid_points_registration(
        xyz[:, still], rest.expand(len(xyz), -1, -1)[:, still], compute_scaling=True
    )
    return scale[:, None, None] * (xyz @ turn.transpose(-1, -2)) + shift[:, None]


def _solve(xyz: Tensor, face: _RestFace) -> tuple[Tensor, Tensor]:
    """Jaw opening `(T)` in radians and expression `(T, 10)` for face points `(T, L, 3)`."""
    rest, basis, still = face.points[None], face.basis, face.still
    offset = torch.cat([_laid(part, rest, still) for part in xyz.split(FRAMES)]) - rest
    offset -= offset.median(0).values
    flat = basis.reshape(-1, basis.shape[-1])
    normal = flat.T @ flat + RIDGE**2 * torch.eye(flat.shape[1])
    answer = torch.linalg.solve(normal, flat.T @ offset.flatten(1).T).T
    jaw = (answer[:, 0] - answer[:, 0].quantile(0.05)).clamp(*JAW_RANGE)
    return jaw, answer[:, 1:].clamp(-EXPRESSION_LIMIT, EXPRESSION_LIMIT)
