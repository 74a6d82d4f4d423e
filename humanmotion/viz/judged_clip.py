"""Pictures of a clip as MBench shows it to a vision-language model.

A plain blue body on a grey rectangle of floor before white, 960 x 960, a camera that stands still, sees
60 degrees and looks 30 degrees down from 4 m or as far as the whole path needs, never from below 1.5 m.
At the published height of 1.5 m with those angles a person's head 4 m away would be out of the picture;
here the camera looks at the middle of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from humanmotion.errors import UsageError
from humanmotion.viz.mesh import Array, Mesh, Rgb
from humanmotion.viz.render import Renderer

SIDE = 960
RATE = 5.0
"""Pictures a second."""
BLUE: Rgb = (0.35, 0.55, 0.85)
GREY: Rgb = (0.72, 0.72, 0.72)
WHITE: Rgb = (1.0, 1.0, 1.0)
MARGIN = 0.5
"""Metres of floor around the body's path."""
_FOV, _PITCH = np.radians(60.0), np.radians(30.0)
_NEAREST, _LOWEST = 4.0, 1.5
_TILES = 8
_FILLED = 0.95


def shown_frames(times: Sequence[float], *, rate: float = RATE) -> list[int]:
    """The frame nearest to each 1/`rate` of a second of a clip with rising `times` in seconds."""
    at = np.asarray(times, float)
    if not len(at) or rate <= 0:
        raise UsageError(f"{len(at)} frames at {rate:g} pictures a second asked for; give some")
    wanted = at[0] + np.arange(int((at[-1] - at[0]) * rate + 1e-6) + 1) / rate
    return [int(np.abs(at - t).argmin()) for t in wanted]


def clip_pictures(
    bodies: Array, faces: Array, *, facing: Array, renderer: Renderer, side: int = SIDE
) -> Iterator[Array]:
    """A picture `(side, side, 3)` uint8 RGB of each of `bodies` `(T, V, 3)`, metres, z up.

    The lowest point of the clip is put on the floor; `facing` `(3)` is where the person looks at first,
    and there the camera stands. Raises UsageError without a body.
    """
    if bodies.ndim != 3 or not len(bodies):
        raise UsageError(f"bodies {bodies.shape} given; give (T, V, 3) of one frame or more")
    placed = np.asarray(bodies, np.float64) - (0, 0, bodies[..., 2].min())
    K, R, t = judging_camera(placed, facing=facing, side=side)
    floor = _floor(placed) @ R.T + t
    ground = Mesh(floor.astype(np.float32), _floor_faces(), GREY)
    for body in placed:
        figure = Mesh((body @ R.T + t).astype(np.float32), faces, BLUE)
        picture = renderer.render(
            [ground, figure], K, width=side, height=side, background=WHITE,
            R_w2c=R.astype(np.float32),
        )  # fmt: skip
        yield np.ascontiguousarray(picture.rgb)


def judging_camera(bodies: Array, *, facing: Array, side: int) -> tuple[Array, Array, Array]:
    """`K`, `R_w2c`, `t_w2c` of the camera for bodies `(T, V, 3)` that stand on z = 0."""
    ahead = -np.array((facing[0], facing[1], 0.0))
    length = np.linalg.norm(ahead)
    ahead = ahead / length if length > 1e-6 else np.array((0.0, -1.0, 0.0))
    up = np.array((0.0, 0.0, 1.0))
    forward = np.cos(_PITCH) * ahead - np.sin(_PITCH) * up
    right = np.cross(ahead, up)
    R = np.stack((right, np.cross(forward, right), forward))
    focal = side / (2 * np.tan(_FOV / 2))
    K = np.array(((focal, 0, side / 2), (0, focal, side / 2), (0, 0, 1)))
    points = bodies.reshape(-1, 3)
    middle = (points.min(0) + points.max(0)) / 2
    seen = (points - middle) @ R.T
    needed = (np.abs(seen[:, :2]).max(1) * focal / (_FILLED * side / 2) - seen[:, 2]).max()
    distance = max(_NEAREST, float(needed), (_LOWEST - middle[2]) / np.sin(_PITCH))
    return K, R, np.array((0.0, 0.0, distance)) - R @ middle


def _floor(bodies: Array) -> Array:
    """Corners `((_TILES + 1)^2, 3)` of the floor's tiles; a single one could hide a foot."""
    low, high = (f(bodies[..., :2].reshape(-1, 2), 0) for f in (np.min, np.max))
    steps = np.linspace(low - MARGIN, high + MARGIN, _TILES + 1)
    x, y = np.meshgrid(steps[:, 0], steps[:, 1], indexing="ij")
    return np.stack((x, y, np.zeros_like(x)), -1).reshape(-1, 3)


def _floor_faces() -> Array:
    """Triangles that are seen from above."""
    row = _TILES + 1
    corner = (np.arange(_TILES)[:, None] * row + np.arange(_TILES)).reshape(-1, 1)
    quads = np.array(((0, row, row + 1), (0, row + 1, 1)))
    return (corner[:, None] + quads).reshape(-1, 3).astype(np.int32)
