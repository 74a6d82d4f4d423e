"""The demo's clip: the default body walks through a textured room, seen by one or two cameras."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.io.video import Image, write_video
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.motion import Motion
from humanmotion.viz.backdrop import Box
from humanmotion.viz.mesh import Mesh
from humanmotion.viz.outfit import outfit_colors
from humanmotion.viz.render import open_renderer
from humanmotion.viz.scene import render_scene, textured_room

FPS = 30.0
AZIMUTHS_DEGREES = (-70.0, 20.0)
"""Where the cameras stand around the person, from the x axis: the view turns by 90 degrees."""
HEIGHTS_METRES = (1.5, 1.1)
DISTANCE_METRES = 5.0
AIM_METRES = 0.95
"""Height the cameras look at."""
FOCAL_SHARE = 0.95
"""Focal length as a share of the longer side of the picture."""
ROOM_METRES = 12.0


@dataclass(frozen=True)
class DemoClip:
    """What was filmed and how: the truth that a reconstruction is compared with."""

    motion: Motion
    camera: Camera
    cuts: tuple[int, ...]
    """First frames of the shots after the first."""


def make_demo_clip(
    body: BodyModel, *, seconds: float, size: tuple[int, int], shots: int = 2
) -> DemoClip:
    """The truth of a clip of `seconds`, `size` (width, height) pixels, one to two shots."""
    motion = centred(walking_motion(body, seconds=seconds, fps=FPS))
    frames = len(motion)
    cuts = tuple(round(frames * i / shots) for i in range(1, shots))
    edges = (0, *cuts, frames)
    cameras = [_camera(AZIMUTHS_DEGREES[i], HEIGHTS_METRES[i], size) for i in range(shots)]
    which = torch.tensor([i for i in range(shots) for _ in range(edges[i + 1] - edges[i])])
    R = torch.stack([c[0] for c in cameras])[which]
    t = torch.stack([c[1] for c in cameras])[which]
    focal = FOCAL_SHARE * max(size)
    K = intrinsics(focal, width=size[0], height=size[1]).expand(frames, 3, 3).clone()
    return DemoClip(motion, Camera(K, R, t, *size), cuts)


def film(clip: DemoClip, body: BodyModel, path: Path, *, progress: Callable[[float], None]) -> None:
    """Render the clip and write it as a video, atomically."""

    def told() -> Iterator[Image]:
        room = textured_room(edge_metres=ROOM_METRES)
        for number, picture in enumerate(pictures(clip.motion, body, clip.camera, room=room), 1):
            yield picture
            progress(number / len(clip.camera))

    write_video(path, told(), fps=FPS)


def pictures(motion: Motion, body: BodyModel, camera: Camera, *, room: Box) -> Iterator[Image]:
    """A clothed body that moves in a room, as a camera of as many frames sees it."""
    colors, faces = outfit_colors(body), body.faces.numpy()
    with closing(open_renderer()) as renderer:
        for number in range(len(motion)):
            one = motion[number : number + 1]
            vertices = body.vertices(one.rotations, betas=one.betas, transl=one.transl)[0]
            yield render_scene(
                [Mesh(vertices.numpy().astype(np.float32), faces, colors)],
                room,
                K=camera.K[number].numpy(),
                R_w2c=camera.R_w2c[number].numpy(),
                t_w2c=camera.t_w2c[number].numpy(),
                width=camera.width,
                height=camera.height,
                renderer=renderer,
            )


def centred(motion: Motion) -> Motion:
    """The motion with the middle of its path at the origin, the middle of the room."""
    low, high = motion.transl.amin(0), motion.transl.amax(0)
    middle = (low + high) / 2
    middle[2] = 0.0
    return replace(motion, transl=motion.transl - middle)


def _camera(azimuth_degrees: float, height: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`R_w2c`, `t_w2c` of a camera at an azimuth that looks at the middle of the room."""
    angle = math.radians(azimuth_degrees)
    # A wide picture must be far enough for a standing person, a tall one for the path walked.
    aspect = size[0] / size[1]
    distance = DISTANCE_METRES * max(1.0, 1.25 * aspect / (16 / 9), 0.85 / aspect)
    centre = torch.tensor((distance * math.cos(angle), distance * math.sin(angle), height))
    forward = torch.nn.functional.normalize(torch.tensor((0.0, 0.0, AIM_METRES)) - centre, dim=0)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(forward, torch.tensor((0.0, 0.0, 1.0))), dim=0
    )
    R = torch.stack((right, torch.linalg.cross(forward, right), forward))
    return R, -R @ centre
