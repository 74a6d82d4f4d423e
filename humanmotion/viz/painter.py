"""Meshes to pictures with OpenCV alone, for machines without OpenGL: far faces first.

Flat shading, faces that look away left out. About 0.1 s a frame for a body; where bodies pass
through each other, or a face crosses the near plane, the order by depth is only approximate.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from humanmotion.viz.backdrop import Backdrop, draw_backdrop
from humanmotion.viz.mesh import (
    LEVEL_CAMERA,
    NEAR_METRES,
    Array,
    Mesh,
    Picture,
    Rgb,
    face_normals,
    pixel_box,
    shade,
    shifted,
)

_LARGE_PIXELS = 1600
"""Parts of a picture are painted at about this size and shrunk: that smooths their edges."""
_SUBPIXEL_BITS = 4
_FARTHEST_PIXEL = 1 << 14
"""OpenCV's fixed-point polygons overflow beyond; nothing outside the image is seen anyway."""


class Painter:
    """Draws without OpenGL; holds nothing between frames."""

    def render(
        self,
        meshes: Sequence[Mesh],
        K: Array,
        *,
        width: int,
        height: int,
        background: Rgb = (0.0, 0.0, 0.0),
        backdrop: Backdrop | None = None,
        R_w2c: Array = LEVEL_CAMERA,
    ) -> Picture:
        """As `Renderer.render`."""
        rgba = np.zeros((height, width, 4), np.uint8)
        if backdrop is None:
            rgba[..., :3] = np.rint(np.array(background) * 255)
        else:
            rgba[..., :3] = draw_backdrop(backdrop, K, width=width, height=height)
        points = [np.asarray(mesh.vertices, np.float32) for mesh in meshes]
        box = pixel_box(np.concatenate(points), K, width=width, height=height) if points else None
        if box is not None:
            x0, y0, x1, y1 = box
            part = rgba[y0:y1, x0:x1]
            part[:] = _paint(meshes, shifted(K, x0, y0), part, R_w2c=R_w2c)
        return Picture(rgba)

    def close(self) -> None:
        """Nothing to give back."""


def _paint(meshes: Sequence[Mesh], K: Array, under: Array, *, R_w2c: Array) -> Array:
    """`(h, w, 4)`: the meshes over the image `under` `(h, w, 4)`."""
    height, width = under.shape[:2]
    factor = min(max(_LARGE_PIXELS // max(width, height), 2), 4)
    big = (width * factor, height * factor)
    canvas = cv2.resize(under, big, interpolation=cv2.INTER_NEAREST)
    seen = [_visible_faces(mesh, K, R_w2c) for mesh in meshes]
    corners, depth, colors = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    order = np.argsort(-depth, kind="stable")
    # Half a pixel: OpenCV counts from the first pixel's centre.
    scaled = (corners[order] * factor - 0.5) * (1 << _SUBPIXEL_BITS)
    limit = _FARTHEST_PIXEL << _SUBPIXEL_BITS
    polygons = np.clip(np.rint(scaled), -limit, limit).astype(np.int32)
    for polygon, color in zip(polygons, colors[order].tolist(), strict=True):
        cv2.fillConvexPoly(canvas, polygon, color, cv2.LINE_8, _SUBPIXEL_BITS)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _visible_faces(mesh: Mesh, K: Array, R_w2c: Array) -> tuple[Array, Array, Array]:
    """Faces that look at the camera: pixels `(N, 3, 2)`, depth `(N)`, colour `(N, 4)` 0 to 255."""
    vertices = np.asarray(mesh.vertices, np.float32)
    normals = face_normals(vertices, mesh.faces)
    corners = vertices[mesh.faces]
    middle = corners.mean(1)
    looks = np.einsum("fc,fc->f", normals, middle) < 0
    keep = looks & (corners[..., 2] > NEAR_METRES).all(1)
    corners, normals = corners[keep], normals[keep]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-20)
    albedo = mesh.vertex_colors[mesh.faces[keep]].mean(1)
    rgb = shade(albedo, normals, np.asarray(R_w2c, np.float32)) * 255
    rgba = np.concatenate((rgb, np.full((len(rgb), 1), 255.0)), 1)
    homogeneous = corners @ np.asarray(K, np.float32).T
    return homogeneous[..., :2] / homogeneous[..., 2:], middle[keep, 2], rgba
