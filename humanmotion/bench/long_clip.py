"""A long edited video with nothing new in it: recorded motion filmed in a room, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from humanmotion.bench.ms_mocap import Listed
from humanmotion.body import BodyModel
from humanmotion.io.video import Image, read_frames, write_video
from humanmotion.jobs.data import load_clip
from humanmotion.motion import Motion
from humanmotion.recovery.virtual_cameras import film
from humanmotion.viz.mesh import Mesh
from humanmotion.viz.outfit import outfit_colors
from humanmotion.viz.render import open_renderer
from humanmotion.viz.scene import render_scene, textured_room

FPS = 30.0
SIZE = (1280, 720)
ROOM_METRES = 72.0
"""Wide enough for the longest lens to stand inside."""
ROOM_HEIGHT_METRES = 5.0


def film_clips(
    path: Path, clips: Sequence[Listed], body: BodyModel, *, frames: int, seed: int
) -> None:
    """Film `clips` one after the other, a shot each of `frames` frames at most, as one video."""
    generator = torch.Generator().manual_seed(seed)
    motions = (_centred(load_clip(c.clip, body)[:frames]) for c in clips)
    pictures = (p for motion in motions for p in _shot(motion, body, generator))
    write_video(path, pictures, fps=FPS)


def repeat(path: Path, source: Path, *, frames: int) -> None:
    """Write `source` again and again until there are so many frames."""

    def pictures() -> Iterator[Image]:
        left = frames
        while left:
            with closing(read_frames(source)) as reader:
                for _, picture in reader:
                    if not left:
                        return
                    left -= 1
                    yield picture

    write_video(path, pictures(), fps=FPS)


def _shot(motion: Motion, body: BodyModel, generator: torch.Generator) -> Iterator[Image]:
    """Pictures of one motion by one camera, drawn as for ms-mocap."""
    pelvis = motion.transl + body.rest_joints(motion.betas)[0]
    (shot,) = film(pelvis, cuts=[], fps=motion.fps, size=SIZE, generator=generator)
    camera, colors, faces = shot.camera, outfit_colors(body), body.faces.numpy()
    room = textured_room(edge_metres=ROOM_METRES, height_metres=ROOM_HEIGHT_METRES)
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


def _centred(motion: Motion) -> Motion:
    """The motion with the middle of its path at the origin, the middle of the room."""
    middle = (motion.transl.amin(0) + motion.transl.amax(0)) / 2
    middle[2] = 0.0
    return replace(motion, transl=motion.transl - middle)
