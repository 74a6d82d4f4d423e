"""How far the finished bodies, seen by the finished cameras, lie from the detector's keypoints."""

from __future__ import annotations

from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.keypoints import Keypoints
from humanmotion.motion import Motion
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.landmark_terms import picture_height

SURE = 0.5
"""Keypoints of more confidence than this are compared."""


def reprojection_share(
    motion: Motion, camera: Camera, *, keypoints: Keypoints, body: BodyModel
) -> Tensor:
    """Mean distance `(T)` to the confident keypoints as a share of the person's picture height.

    0 in frames without such a keypoint.
    """
    points = keypoints.to_set(SET)
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    distance = (camera.project(marks) - points.xy).norm(dim=-1)
    sure = (points.confidence > SURE).to(distance.dtype)
    mean = (distance * sure).sum(-1) / sure.sum(-1).clamp(min=1)
    return mean / picture_height(points)
