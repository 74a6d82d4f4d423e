"""`overlay.mp4`: the bodies drawn over the video they come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.io.video import FrameReader, Image, read_frames, write_video
from humanmotion.motion import Motion
from humanmotion.recovery.result import Reconstruction
from humanmotion.viz.overlay import overlay_frames

CHUNK = 16
"""Frames whose bodies are posed at once: enough to share the work, few enough to stay in cache."""


class _Clock:
    """Wall time of the decoder and of drawing, taken as frames pass."""

    def __init__(self) -> None:
        self.decode = self.draw = 0.0


def write_overlay(
    path: Path,
    result: Reconstruction,
    body: BodyModel,
    *,
    video: Path,
    max_side: int,
    progress: Callable[[float], None],
) -> dict[str, float]:
    """Write the overlay, its longer side `max_side` pixels at most.

    Returns seconds spent: `export/decode`, `export/draw`, `export/encode`.
    """
    clock, started = _Clock(), time.perf_counter()
    times = result.people[0].times.tolist()
    with closing(read_frames(video, max_side=max_side)) as reader:
        drawn = overlay_frames(
            _pictures(reader, clock), _bodies(result, body), result.camera, faces=body.faces
        )
        write_video(path, _watched(drawn, clock, progress, len(times)), times=times)
    whole = time.perf_counter() - started
    draw = clock.draw - clock.decode
    return {
        "export/decode": clock.decode,
        "export/draw": draw,
        "export/encode": whole - clock.draw,
    }


def _pictures(reader: FrameReader, clock: _Clock) -> Iterator[Image]:
    while True:
        asked = time.perf_counter()
        frame = next(reader, None)
        clock.decode += time.perf_counter() - asked
        if frame is None:
            return
        yield frame[1]


def _watched(
    frames: Iterator[Image], clock: _Clock, progress: Callable[[float], None], total: int
) -> Iterator[Image]:
    """The frames, with the time it took to draw (and decode) each added to the clock."""
    for number in range(total):
        asked = time.perf_counter()
        frame = next(frames, None)
        clock.draw += time.perf_counter() - asked
        if frame is None:
            return
        progress(number / total)
        yield frame


def _bodies(result: Reconstruction, body: BodyModel) -> Iterator[list[Tensor | None]]:
    """For each frame the world vertices of everybody in it; None for who is absent."""
    for start in range(0, len(result.camera), CHUNK):
        posed = [_vertices(person[start : start + CHUNK], body) for person in result.people]
        for row in zip(*posed, strict=True):
            yield list(row)


def _vertices(part: Motion, body: BodyModel) -> list[Tensor | None]:
    vertices = body.vertices(
        part.rotations, betas=part.betas, expression=part.expression, transl=part.transl
    )
    seen = (part.confidence > 0).any(-1)
    return [v if bool(s) else None for v, s in zip(vertices, seen, strict=True)]
