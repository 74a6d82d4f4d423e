"""A long edited video with nothing new in it: recorded motion filmed in a room, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch

from humanmotion.bench.ms_mocap import Listed
from humanmotion.body import BodyModel
from humanmotion.io.video import Image, read_frames, write_video
from humanmotion.jobs.data import load_clip
from humanmotion.jobs.demo_clip import centred, pictures
from humanmotion.motion import Motion
from humanmotion.recovery.virtual_cameras import film
from humanmotion.viz.scene import textured_room

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
    motions = (centred(load_clip(c.clip, body)[:frames]) for c in clips)
    filmed = (p for motion in motions for p in _shot(motion, body, generator))
    write_video(path, filmed, fps=FPS)


def repeat(path: Path, source: Path, *, frames: int) -> None:
    """Write `source` again and again until there are so many frames."""

    def looped() -> Iterator[Image]:
        left = frames
        while left:
            with closing(read_frames(source)) as reader:
                for _, picture in reader:
                    if not left:
                        return
                    left -= 1
                    yield picture

    write_video(path, looped(), fps=FPS)


def _shot(motion: Motion, body: BodyModel, generator: torch.Generator) -> Iterator[Image]:
    """Pictures of one motion by one camera, drawn as for ms-mocap."""
    pelvis = motion.transl + body.rest_joints(motion.betas)[0]
    (shot,) = film(pelvis, cuts=[], fps=motion.fps, size=SIZE, generator=generator)
    room = textured_room(edge_metres=ROOM_METRES, height_metres=ROOM_HEIGHT_METRES)
    yield from pictures(motion, body, shot.camera, room=room)
