"""What the renderers draw and hand back, and the light they share.

Everything here is in camera space as OpenCV has it: x right, y down, z forward, metres. Pixel
coordinates have the image's corner at (0, 0), so the first pixel's centre lies at (0.5, 0.5); `K`
means the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from humanmotion.errors import UsageError

Array = NDArray[Any]
Rgb = tuple[float, float, float]

NEAR_METRES, FAR_METRES = 0.05, 200.0
LEVEL_CAMERA = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)), np.float32)
"""World (z up) to camera of a level camera that looks along +y."""
PERSON_COLORS: tuple[Rgb, ...] = (
    (0.36, 0.62, 0.93), (0.93, 0.56, 0.33), (0.44, 0.76, 0.47), (0.78, 0.52, 0.86),
    (0.90, 0.78, 0.36), (0.36, 0.76, 0.76),
)  # fmt: skip
"""One colour a person, in order; it starts again after the last."""

LIGHTS: tuple[tuple[Rgb, float], ...] = (
    ((-0.55, -0.65, 0.75), 0.62),
    ((0.75, -0.55, 0.25), 0.24),
    ((0.25, 0.85, 0.45), 0.20),
)
"""Direction to each light in a z-up world seen along +y, and its strength."""
AMBIENT_SKY, AMBIENT_GROUND = 0.42, 0.20


@dataclass(frozen=True, eq=False)
class Mesh:
    """A coloured triangle mesh in camera space; checks itself when built (raises UsageError)."""

    vertices: Array
    """`(V, 3)` metres."""
    faces: Array
    """`(F, 3)` vertex indices; renderers keep what they derive from an array for the next frame."""
    colors: Array | Rgb
    """sRGB in [0, 1]: one for all, or `(V, 3)`."""

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise UsageError(f"vertices have shape {self.vertices.shape}, expected (V, 3)")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise UsageError(f"faces have shape {self.faces.shape}, expected (F, 3)")
        if isinstance(self.colors, np.ndarray) and self.colors.shape != self.vertices.shape:
            raise UsageError(f"colors have shape {self.colors.shape}, expected one per vertex")

    @property
    def vertex_colors(self) -> Array:
        """`(V, 3)` float32."""
        return np.ascontiguousarray(
            np.broadcast_to(np.asarray(self.colors, np.float32), self.vertices.shape)
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A rendered image."""

    rgba: Array
    """`(H, W, 4)` uint8: colour over the background, and the share of the pixel that is mesh."""

    @property
    def rgb(self) -> Array:
        """`(H, W, 3)` uint8, a view."""
        return self.rgba[..., :3]

    @property
    def alpha(self) -> Array:
        """`(H, W)` uint8, 255 where a mesh fills the pixel; a view."""
        return self.rgba[..., 3]


class Normals:
    """Smooth vertex normals of one triangle list for any vertices."""

    def __init__(self, faces: Array, vertices: int) -> None:
        self._faces = faces
        ones = np.ones(faces.size, np.float32)
        corners = (faces.reshape(-1), np.repeat(np.arange(len(faces)), 3))
        self._gather = scipy.sparse.csr_array((ones, corners), shape=(vertices, len(faces)))

    def of(self, vertices: Array) -> Array:
        """Area-weighted unit normals `(V, 3)` float32 of vertices `(V, 3)`; 0 without a face."""
        total: Array = self._gather @ face_normals(vertices, self._faces)
        length = np.sqrt(np.einsum("vc,vc->v", total, total))
        unit: Array = total / np.maximum(length, 1e-20)[:, None]
        return unit


def face_normals(vertices: Array, faces: Array) -> Array:
    """Normals `(F, 3)`, twice as long as the triangle's area; outwards for a body's faces."""
    x, y, z = np.ascontiguousarray(vertices.T)
    a, b, c = (np.ascontiguousarray(faces[:, corner]) for corner in range(3))
    ux, uy, uz = (axis.take(b) - axis.take(a) for axis in (x, y, z))
    vx, vy, vz = (axis.take(c) - axis.take(a) for axis in (x, y, z))
    crossed = np.stack((uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx), -1)
    return crossed


def shade(albedo: Array, normals: Array, R_w2c: Array) -> Array:
    """sRGB `(N, 3)` in [0, 1] of matt surfaces with unit normals `(N, 3)` in camera space.

    `R_w2c` turns the z-up world in which the lights hang into camera space. The GLSL of `render`
    says the same.
    """
    up = R_w2c @ np.array((0.0, 0.0, 1.0), np.float32)
    ambient = AMBIENT_GROUND + (AMBIENT_SKY - AMBIENT_GROUND) * (0.5 + 0.5 * normals @ up)
    light = ambient
    for direction, strength in light_directions(R_w2c):
        light = light + strength * np.maximum(normals @ direction, 0.0)
    linear: Array = np.asarray(albedo, np.float32) ** 2.2 * light[:, None]
    shaded: Array = np.clip(linear, 0.0, 1.0) ** (1 / 2.2)
    return shaded


def light_directions(R_w2c: Array) -> list[tuple[Array, float]]:
    """Unit directions `(3)` to the lights in camera space, with their strengths."""
    out = []
    for direction, strength in LIGHTS:
        unit = np.array(direction, np.float32) / math.hypot(*direction)
        out.append(((R_w2c @ unit).astype(np.float32), strength))
    return out


def pixel_box(
    points: Array, K: Array, *, width: int, height: int, margin: int = 3
) -> tuple[int, int, int, int] | None:
    """Box x0, y0, x1, y1 in whole pixels around the images of camera-space points `(N, 3)`.

    Cut to the image; None when nothing lies in it. A point nearer than the near plane makes it the
    whole image, as its image has no bounds.
    """
    z = points[:, 2]
    front = z > NEAR_METRES
    if not front.any():
        return None
    if not front.all():
        return 0, 0, width, height
    x = (points @ K[0].astype(points.dtype)) / z
    y = (points @ K[1].astype(points.dtype)) / z
    x0, y0 = max(math.floor(x.min()) - margin, 0), max(math.floor(y.min()) - margin, 0)
    x1, y1 = min(math.ceil(x.max()) + margin, width), min(math.ceil(y.max()) + margin, height)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def shifted(K: Array, x0: float, y0: float) -> Array:
    """The intrinsics `(3, 3)` of the part of the image that starts at pixel (x0, y0)."""
    out = np.array(K, np.float64)
    out[0, 2] -= x0
    out[1, 2] -= y0
    return out
