"""What lies behind the bodies: a textured room, or a floor that fades into haze.

Both are the inside of a box: each pixel's ray leaves it through one side, and the texture of that
side gives the colour. The same rule is GLSL in `backdrop_gl` and numpy here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from humanmotion.viz.mesh import Array, Rgb

SIDES = 6
"""Layers of a box's textures: floor, ceiling, walls at -x, +x, -y, +y."""
_SHADOW_CELLS, _SHADOW_CELL_METRES = 256, 0.03
SHADOW_DARK, _SHADOW_REACH_METRES = 0.65, 0.35


@dataclass(frozen=True, eq=False)
class Box:
    """A box seen from inside, in the world (z up, metres)."""

    low: tuple[float, float, float]
    """Corner with the smallest coordinates; its z is the floor."""
    high: tuple[float, float, float]
    textures: Array
    """`(6, S, S, 3)` uint8 sRGB, in the order of SIDES; they repeat."""
    tile_metres: float
    """Edge of what one texture covers."""
    haze: Rgb = (0.93, 0.94, 0.96)
    """Colour that far things fade to."""
    clear_metres: float = 1e4
    """Distance over which the view stays clear; the default sees no haze."""


@dataclass(frozen=True, eq=False)
class Shadow:
    """How dark the floor is under bodies: an image over a square of the floor."""

    image: Array
    """`(C, C)` uint8, rows along +y; 255 is darkest."""
    corner: tuple[float, float]
    """World x, y in metres of the square's smallest corner."""
    edge_metres: float


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A box as one camera sees it, with the shadow of what stands in it."""

    box: Box
    R_w2c: Array
    """`(3, 3)`."""
    t_w2c: Array
    """`(3)` metres."""
    shadow: Shadow = field(default_factory=lambda: contact_shadow(()))


def contact_shadow(bodies: Sequence[Array]) -> Shadow:
    """A soft shadow straight below bodies `(V, 3)` in the world, darkest where they stand.

    Reaches over a square of 7.7 m around their middle.
    """
    edge = _SHADOW_CELLS * _SHADOW_CELL_METRES
    image = np.zeros((_SHADOW_CELLS, _SHADOW_CELLS), np.float32)
    if not len(bodies):
        return Shadow(image.astype(np.uint8), (-edge / 2, -edge / 2), edge)
    points = np.concatenate([np.asarray(body, np.float32) for body in bodies])
    middle = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
    corner = middle - edge / 2
    cell = np.floor((points[:, :2] - corner) / _SHADOW_CELL_METRES).astype(int)
    inside = ((cell >= 0) & (cell < _SHADOW_CELLS)).all(1)
    near = np.exp(-np.maximum(points[:, 2], 0.0) / _SHADOW_REACH_METRES)
    np.maximum.at(image, (cell[inside, 1], cell[inside, 0]), near[inside])
    tight, wide = (cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (1.5, 4.0))
    dark = np.clip(np.maximum(0.9 * tight, 1.6 * wide), 0, 1)
    return Shadow((dark * 255).astype(np.uint8), (float(corner[0]), float(corner[1])), edge)


def draw_backdrop(backdrop: Backdrop, K: Array, *, width: int, height: int) -> Array:
    """`(H, W, 3)` uint8 image of a backdrop without OpenGL; `K` `(3, 3)` in pixels."""
    origin, rays = _rays(backdrop, K, width=width, height=height)
    side, distance, hits = _exits(backdrop.box, origin, rays)
    out = np.zeros((height, width, 3), np.float32)
    for number in range(SIDES):
        mask = side == number
        if mask.any():
            texture = backdrop.box.textures[number]
            out[mask] = _sample(texture, _plane(hits[mask], number), backdrop.box.tile_metres)
    floor = side == 0
    out[floor] *= 1 - SHADOW_DARK * _shadow_at(backdrop.shadow, hits[floor])[:, None]
    fade = np.exp(-np.square(distance / backdrop.box.clear_metres))[..., None]
    haze = np.array(backdrop.box.haze, np.float32) * 255
    return np.clip(np.rint(haze + (out - haze) * fade), 0, 255).astype(np.uint8)


def _rays(backdrop: Backdrop, K: Array, *, width: int, height: int) -> tuple[Array, Array]:
    """Camera place `(3)` and, for each pixel's centre, its ray in the world `(H, W, 3)`."""
    R = np.asarray(backdrop.R_w2c, np.float64)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack((x, y, np.ones_like(x)), -1)
    rays = pixels @ np.linalg.inv(np.asarray(K, np.float64)).T @ R
    return -R.T @ np.asarray(backdrop.t_w2c, np.float64), rays


def _exits(box: Box, origin: Array, rays: Array) -> tuple[Array, Array, Array]:
    """Side by which each ray leaves `(H, W)`, the way there in metres `(H, W)`, and where."""
    forward = rays > 0
    bound = np.where(forward, box.high, box.low)
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    steps = np.where(np.abs(rays) < 1e-9, np.inf, (bound - origin) / safe)
    axis = steps.argmin(-1)
    step = np.take_along_axis(steps, axis[..., None], -1)
    ahead = np.take_along_axis(forward, axis[..., None], -1)[..., 0]
    side = np.where(axis == 2, np.where(ahead, 1, 0), 2 + 2 * axis + ahead)
    return side, (step * np.linalg.norm(rays, axis=-1, keepdims=True))[..., 0], origin + step * rays


def _plane(points: Array, side: int) -> Array:
    """The two coordinates `(N, 2)` within a side."""
    return points[:, [0, 1]] if side < 2 else points[:, [1, 2]] if side < 4 else points[:, [0, 2]]


def _sample(texture: Array, places: Array, tile_metres: float) -> Array:
    """Texture `(S, S, 3)` at places `(N, 2)` in metres, linearly, repeating; `(N, 3)` float32."""
    size = texture.shape[0]
    grid = np.mod(places / tile_metres, 1.0) * size - 0.5
    low = np.floor(grid).astype(int)
    share = (grid - low).astype(np.float32)[..., None]
    x0, y0 = low[:, 0] % size, low[:, 1] % size
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    top = texture[y0, x0] * (1 - share[:, 0]) + texture[y0, x1] * share[:, 0]
    bottom = texture[y1, x0] * (1 - share[:, 0]) + texture[y1, x1] * share[:, 0]
    out: Array = top * (1 - share[:, 1]) + bottom * share[:, 1]
    return out


def _shadow_at(shadow: Shadow, points: Array) -> Array:
    """Darkness `(N)` in [0, 1] at points `(N, 3)` of the floor."""
    cells = len(shadow.image)
    grid = (points[:, :2] - np.array(shadow.corner)) / shadow.edge_metres * cells - 0.5
    nearest = np.clip(np.rint(grid), 0, cells - 1).astype(int)
    inside = ((grid > -0.5) & (grid < cells - 0.5)).all(-1)
    return np.where(inside, shadow.image[nearest[:, 1], nearest[:, 0]] / 255.0, 0.0)
