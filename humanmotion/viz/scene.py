"""Pictures of bodies in a world: a room with textured walls, or an open floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from humanmotion.errors import UsageError
from humanmotion.viz.backdrop import SIDES, Backdrop, Box, contact_shadow
from humanmotion.viz.mesh import Array, Mesh, Rgb
from humanmotion.viz.render import Renderer

_TEXTURE_PIXELS = 1024
_LARGEST_TILE_METRES = 7.0
_WALL_COLORS = ((206, 190, 164), (168, 186, 200), (190, 202, 176), (204, 182, 182))
_FLOOR_COLORS = ((150, 122, 92), (172, 146, 114))
_VIEW_ELEVATION, _VIEW_FOV = np.radians(12.0), np.radians(32.0)
_FILLED_SHARE = 0.88


def render_scene(
    bodies: Sequence[Mesh],
    box: Box,
    *,
    K: Array,
    R_w2c: Array,
    t_w2c: Array,
    width: int,
    height: int,
    renderer: Renderer,
) -> Array:
    """Bodies (meshes in the world, metres, z up) inside a box: `(H, W, 3)` uint8 RGB.

    `K`, `R_w2c` `(3, 3)` and `t_w2c` `(3)` are an OpenCV camera inside the box. Light hangs in the
    world and a soft contact shadow lies under the bodies.
    """
    R = np.asarray(R_w2c, np.float32)
    seen = [replace(b, vertices=b.vertices @ R.T + np.asarray(t_w2c, np.float32)) for b in bodies]
    shadow = contact_shadow([body.vertices for body in bodies])
    backdrop = Backdrop(box, R_w2c, t_w2c, shadow)
    picture = renderer.render(seen, K, width=width, height=height, backdrop=backdrop, R_w2c=R)
    return np.ascontiguousarray(picture.rgb)


def world_picture(bodies: Sequence[Mesh], *, width: int, height: int, renderer: Renderer) -> Array:
    """Bodies (meshes in the world), say one at several times, on an open floor, from the side.

    `(H, W, 3)` uint8 RGB. Raises UsageError when there is no body.
    """
    K, R, t = side_view([body.vertices for body in bodies], width=width, height=height)
    return render_scene(
        bodies, open_floor(), K=K, R_w2c=R, t_w2c=t, width=width, height=height, renderer=renderer
    )


def textured_room(*, edge_metres: float = 9.0, height_metres: float = 3.2, seed: int = 0) -> Box:
    """A square room around the origin whose walls and floor are full of corners to track."""
    rng = np.random.default_rng(seed)
    textures = [_floor_texture(rng), np.full((_TEXTURE_PIXELS, _TEXTURE_PIXELS, 3), 225, np.uint8)]
    textures += [_wall_texture(rng, color) for color in _WALL_COLORS]
    half = edge_metres / 2
    return Box(
        low=(-half, -half, 0.0),
        high=(half, half, height_metres),
        textures=np.stack(textures),
        # A whole number of repeats, so that the walls' pictures end where the walls do.
        tile_metres=edge_metres / math.ceil(edge_metres / _LARGEST_TILE_METRES),
    )


def open_floor(*, light: Rgb = (0.88, 0.90, 0.93), dark: Rgb = (0.80, 0.83, 0.87)) -> Box:
    """An endless checked floor, two squares a metre across, that fades into a pale haze."""
    half = _TEXTURE_PIXELS // 2
    floor = np.full((_TEXTURE_PIXELS, _TEXTURE_PIXELS, 3), np.array(light) * 255)
    floor[:half, :half] = floor[half:, half:] = np.array(dark) * 255
    haze = (0.95, 0.96, 0.975)
    rest = np.full((SIDES - 1, *floor.shape), np.array(haze) * 255)
    return Box(
        low=(-500.0, -500.0, 0.0),
        high=(500.0, 500.0, 500.0),
        textures=np.concatenate((floor[None], rest)).astype(np.uint8),
        tile_metres=1.0,
        haze=haze,
        clear_metres=9.0,
    )


def side_view(bodies: Sequence[Array], *, width: int, height: int) -> tuple[Array, Array, Array]:
    """A camera `K, R_w2c, t_w2c` that sees bodies `(V, 3)` in the world from the side.

    It looks across the way from the first to the last body, from a little above, and holds all of
    them. Raises UsageError when there is no body.
    """
    if not len(bodies):
        raise UsageError("no body given to look at; give at least one")
    points = np.concatenate([np.asarray(body, np.float64) for body in bodies])
    way = bodies[-1].mean(0)[:2] - bodies[0].mean(0)[:2]
    length = float(np.hypot(*way))
    right = np.array((*way / length, 0.0)) if length > 0.05 else np.array((1.0, 0.0, 0.0))
    ahead = np.array((-right[1], right[0], 0.0))
    up = np.array((0.0, 0.0, 1.0))
    forward = np.cos(_VIEW_ELEVATION) * ahead - np.sin(_VIEW_ELEVATION) * up
    R = np.stack((right, np.cross(forward, right), forward))
    focal = width / (2 * np.tan(_VIEW_FOV / 2))
    K = np.array(((focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1)))
    middle = (points.min(0) + points.max(0)) / 2
    seen = (points - middle) @ R.T
    room = np.array((width, height)) * _FILLED_SHARE / 2
    distance = (np.abs(seen[:, :2]) * focal / room - seen[:, 2:]).max()
    return K, R, np.array((0.0, 0.0, distance)) - R @ middle


def _floor_texture(rng: np.random.Generator) -> Array:
    """Boards of different browns with knots."""
    image = np.zeros((_TEXTURE_PIXELS, _TEXTURE_PIXELS, 3), np.uint8)
    low, high = (np.array(c) for c in _FLOOR_COLORS)
    board = _TEXTURE_PIXELS // 32
    for row in range(0, _TEXTURE_PIXELS, board):
        start = -int(rng.integers(0, 160))
        while start < _TEXTURE_PIXELS:
            length = int(rng.integers(90, 200))
            color = low + (high - low) * rng.uniform(-0.6, 1.6)
            corners = (start, row), (start + length, row + board)
            cv2.rectangle(image, *corners, color.tolist(), -1)
            cv2.rectangle(image, *corners, (low * 0.6).tolist(), 1)
            start += length
    _spots(image, rng, count=700, dark=0.72)
    return _grain(image, rng)


def _wall_texture(rng: np.random.Generator, color: tuple[int, int, int]) -> Array:
    """Painted wall with faint bricks, framed pictures and spots."""
    image = np.full((_TEXTURE_PIXELS, _TEXTURE_PIXELS, 3), color, np.uint8)
    wide, tall = _TEXTURE_PIXELS // 16, _TEXTURE_PIXELS // 32
    for row in range(_TEXTURE_PIXELS // tall):
        for column in range(-1, _TEXTURE_PIXELS // wide + 1):
            x, y = int((column + 0.5 * (row % 2)) * wide), row * tall
            shade = np.clip(np.array(color) * rng.uniform(0.86, 1.06), 0, 255).tolist()
            cv2.rectangle(image, (x + 1, y + 1), (x + wide - 2, y + tall - 2), shade, -1)
    for _ in range(9):
        _framed_picture(image, rng)
    _spots(image, rng, count=300, dark=0.78)
    return _grain(image, rng)


def _framed_picture(image: Array, rng: np.random.Generator) -> None:
    x, y = (int(v) for v in rng.integers(20, (_TEXTURE_PIXELS - 130, 250)))
    wide, tall = (int(v) for v in rng.integers(50, 110, 2))
    cv2.rectangle(image, (x, y), (x + wide, y + tall), rng.integers(40, 90, 3).tolist(), -1)
    for step in range(6):
        inner = (x + 5 + int(rng.integers(0, wide // 2)), y + 5 + int(rng.integers(0, tall // 2)))
        outer = (min(inner[0] + 24, x + wide - 5), min(inner[1] + 24, y + tall - 5))
        color = rng.integers(70 + 20 * step, 110 + 20 * step, 3).tolist()
        cv2.rectangle(image, inner, outer, color, -1)


def _spots(image: Array, rng: np.random.Generator, *, count: int, dark: float) -> None:
    for x, y, radius in rng.integers((0, 0, 2), (*image.shape[1::-1], 5), (count, 3)).tolist():
        color = (image[y, x] * dark).tolist()
        cv2.circle(image, (x, y), radius, color, -1)


def _grain(image: Array, rng: np.random.Generator) -> Array:
    """Soft noise, so that no part is flat."""
    noise = cv2.GaussianBlur(rng.normal(0, 18, image.shape[:2]).astype(np.float32), (0, 0), 1.2)
    return np.clip(image + noise[..., None], 0, 255).astype(np.uint8)
