"""How far the finished bodies, seen by the finished cameras, lie from the detector's keypoints."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.keypoints import Keypoints
from humanmotion.motion import Motion
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.landmark_terms import picture_height

BLOCK = 4096
"""Frames taken at once: landmarks need many times the memory of the result."""
SURE = 0.5
"""Keypoints of more confidence than this are compared."""


def reprojection_share(
    motion: Motion, camera: Camera, *, keypoints: Keypoints, body: BodyModel
) -> Tensor:
    """Mean distance `(T)` to the confident keypoints as a share of the person's picture height.

    0 in frames without such a keypoint.
    """
    points = keypoints.to_set(SET)
    parts = [slice(i, i + BLOCK) for i in range(0, len(motion), BLOCK)]
    distance = torch.cat([_distances(motion[p], camera[p], points[p], body) for p in parts])
    sure = (points.confidence > SURE).to(distance.dtype)
    mean = (distance * sure).sum(-1) / sure.sum(-1).clamp(min=1)
    return mean / picture_height(points)


def _distances(motion: Motion, camera: Camera, points: Keypoints, body: BodyModel) -> Tensor:
    """Pixels `(T, L)` from each landmark to its keypoint."""
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    return (camera.project(marks) - points.xy).norm(dim=-1)
