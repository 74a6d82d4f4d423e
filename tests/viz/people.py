"""A body and a short walk that the tests of this folder share."""

from __future__ import annotations

import math

import torch

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.motion import Motion

FPS = 30.0


def walk(body: BodyModel, *, frames: int = 30, start: tuple[float, float] = (0.0, 0.0)) -> Motion:
    """A person who swings arms and legs, walks towards -y and turns a little."""
    seconds = torch.arange(frames) / FPS
    swing = torch.sin(2 * math.pi * seconds)
    pose = torch.zeros(frames, 55, 3)
    pose[:, 0, 0] = math.pi / 2
    pose[:, 1, 0], pose[:, 2, 0] = -0.5 * swing, 0.5 * swing
    pose[:, 16, 2], pose[:, 17, 2] = -1.1 + 0.2 * swing, 1.1 + 0.2 * swing
    pose[:, 9, 1] = 0.3 * swing
    pose[:, 25:, 2] = 0.2 * swing[:, None]
    place = torch.zeros(frames, 3)
    place[:, 0], place[:, 1] = start[0], start[1] - seconds
    motion = Motion.create(pose, place, fps=FPS, body_id=body.body_id)
    place[:, 2] = -body.pose(motion).vertices[..., 2].amin()
    return Motion.create(pose, place, fps=FPS, body_id=body.body_id)


def front_camera(
    frames: int, *, width: int = 640, height: int = 480, distance: float = 4.0
) -> Camera:
    """A level camera that looks along +y at a person at the origin; its centre is off the middle."""
    R = torch.tensor(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    K = intrinsics(1.1 * height, width=width, height=height)
    K[0, 2] += 23.0
    K[1, 2] -= 11.0
    centre = torch.tensor((0.2, -distance, 1.0))
    t = -R @ centre
    return Camera(
        K.expand(frames, 3, 3), R.expand(frames, 3, 3), t.expand(frames, 3), width, height
    )
