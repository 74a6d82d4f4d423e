"""Bodies drawn over the frames of a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.viz.mesh import PERSON_COLORS, Array, Mesh, Rgb, pixel_box, shifted
from humanmotion.viz.render import Renderer, open_renderer

OPACITY = 0.78


def overlay_frames(
    frames: Iterable[Array],
    bodies: Iterable[Sequence[Tensor | None]],
    camera: Camera,
    *,
    faces: Tensor,
    opacity: float = OPACITY,
    colors: Sequence[Rgb] = PERSON_COLORS,
    renderer: Renderer | None = None,
) -> Iterator[Array]:
    """Each frame `(H, W, 3)` uint8 RGB with that frame's bodies drawn over it, as a new array.

    `bodies` gives for each frame one entry a person: vertices `(V, 3)` in the world, or None where
    the person is absent; the colour goes by the place in the list. Frame i is seen by `camera[i]`,
    whose intrinsics are scaled when the frames have another size. Only the part of the picture with
    people in it is rendered. A renderer that is given stays open. Raises UsageError when the camera
    has fewer frames, or there are fewer bodies.
    """
    drawing = open_renderer(smooth_edges=False) if renderer is None else renderer
    triangles = faces.cpu().numpy()
    track = iter(bodies)
    try:
        for number, frame in enumerate(frames):
            people = next(track, None)
            if number >= len(camera) or people is None:
                raise UsageError(
                    f"frame {number} has no camera or no bodies: {len(camera)} cameras are given; "
                    "give one of each for every frame"
                )
            K, R, t = _frame_camera(camera, number, frame)
            meshes = [
                Mesh(_to_camera(body, R, t), triangles, colors[i % len(colors)])
                for i, body in enumerate(people)
                if body is not None
            ]
            yield overlay(frame, meshes, K, opacity=opacity, renderer=drawing)
    finally:
        if renderer is None:
            drawing.close()


def overlay(
    frame: Array, meshes: Sequence[Mesh], K: Array, *, opacity: float = OPACITY, renderer: Renderer
) -> Array:
    """One frame `(H, W, 3)` uint8 RGB with meshes (camera space) over it, as a new array."""
    height, width = frame.shape[:2]
    out = np.array(frame)
    points = [mesh.vertices for mesh in meshes]
    box = pixel_box(np.concatenate(points), K, width=width, height=height) if points else None
    if box is None:
        return out
    x0, y0, x1, y1 = box
    picture = renderer.render(meshes, shifted(K, x0, y0), width=x1 - x0, height=y1 - y0)
    part = np.ascontiguousarray(out[y0:y1, x0:x1])
    weight = _soft(picture.alpha) * np.float32(opacity / 255)
    color = cv2.cvtColor(picture.rgba, cv2.COLOR_RGBA2RGB)
    out[y0:y1, x0:x1] = cv2.blendLinear(color, part, weight, 1 - weight)
    return out


def _soft(alpha: Array) -> Array:
    """A mask whose hard edge fades inwards over a pixel; its outside stays 0."""
    return cv2.min(cv2.blur(alpha, (3, 3)), np.ascontiguousarray(alpha)).astype(np.float32)


def _frame_camera(camera: Camera, number: int, frame: Array) -> tuple[Array, Array, Array]:
    height, width = frame.shape[:2]
    scale = np.array((width / camera.width, height / camera.height, 1.0))
    K = camera.K[number].double().cpu().numpy() * scale[:, None]
    R, t = camera.R_w2c[number].cpu().numpy(), camera.t_w2c[number].cpu().numpy()
    return K, R.astype(np.float32), t.astype(np.float32)


def _to_camera(body: Tensor, R: Array, t: Array) -> Array:
    vertices = body.detach().cpu().numpy().astype(np.float32, copy=False)
    return vertices @ R.T + t
