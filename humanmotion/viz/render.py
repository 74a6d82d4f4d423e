"""Meshes to pictures with OpenGL, without a window: EGL on Linux, the system's own way elsewhere.

5 ms a frame for a body at 512 pixels on a CPU (Mesa's llvmpipe); `open_renderer` falls back to the
painter of `painter.py` where no OpenGL context can be made.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Protocol

import moderngl
import numpy as np

from humanmotion.errors import UsageError
from humanmotion.viz.backdrop import Backdrop
from humanmotion.viz.backdrop_gl import BackdropPass
from humanmotion.viz.mesh import (
    AMBIENT_GROUND,
    AMBIENT_SKY,
    FAR_METRES,
    LEVEL_CAMERA,
    NEAR_METRES,
    Array,
    Mesh,
    Normals,
    Picture,
    Rgb,
    light_directions,
)
from humanmotion.viz.painter import Painter

Backend = Literal["auto", "gl", "painter"]
_BLOCK = 64
"""Framebuffers come in multiples of this many pixels, so that a moving crop reuses them."""
_KEPT_BUFFERS = 6

_VERTEX = """
#version 330
uniform mat4 clip;
in vec3 place; in vec3 normal; in vec3 color;
out vec3 facing; out vec3 albedo;
void main() { gl_Position = clip * vec4(place, 1.0); facing = normal; albedo = color; }
"""
_FRAGMENT = """
#version 330
uniform vec3 up; uniform vec2 ambient; uniform vec3 lights[3]; uniform vec3 strengths;
in vec3 facing; in vec3 albedo;
out vec4 pixel;
void main() {
    vec3 n = normalize(facing);
    float light = mix(ambient.x, ambient.y, 0.5 + 0.5 * dot(n, up));
    for (int i = 0; i < 3; i++) light += strengths[i] * max(dot(n, lights[i]), 0.0);
    vec3 linear = pow(albedo, vec3(2.2)) * light;
    pixel = vec4(pow(clamp(linear, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
"""


class Renderer(Protocol):
    """What draws meshes; `GlRenderer` and `Painter` do."""

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
        """Draw meshes as the camera `K` `(3, 3)` sees them in an image of `width` x `height`.

        The principal point may lie anywhere. `background` fills what is empty, unless there is a
        `backdrop`; `R_w2c` `(3, 3)` says how the lights' z-up world lies to the camera.
        """
        ...

    def close(self) -> None:
        """Give back what the renderer holds."""
        ...


def open_renderer(backend: Backend = "auto", *, smooth_edges: bool = True) -> Renderer:
    """A renderer: OpenGL, the painter, or with "auto" the painter where OpenGL cannot be had.

    Without `smooth_edges` OpenGL draws more than twice as fast on a CPU; the painter's edges are
    always smooth. Raises UsageError when "gl" is asked for and no context can be made.
    """
    if backend == "painter":
        return Painter()
    try:
        return GlRenderer(samples=4 if smooth_edges else 0)
    except UsageError:
        if backend == "gl":
            raise
        return Painter()


def _create_context() -> Any:
    # The names of the run-time libraries: moderngl asks for those of the development packages.
    egl: Any = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
    try:
        on_linux = platform.system() == "Linux"
        return moderngl.create_context(standalone=True, **(egl if on_linux else {}))
    # It reports a missing library or display with a bare Exception.
    except Exception as error:
        raise UsageError(
            f"no OpenGL context can be made ({error}); install Mesa's EGL "
            "(Debian: libegl1 libgl1-mesa-dri) or use the painter"
        ) from error


class GlRenderer:
    """Draws with OpenGL into memory; buffers stay from frame to frame. Not for several threads."""

    def __init__(self, *, samples: int = 4) -> None:
        """`samples` a pixel, 0 for hard edges. Raises UsageError when no context can be made."""
        self._context = _create_context()
        self._samples = min(samples, self._context.max_samples)
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._backdrop = BackdropPass(self._context)
        self._targets: dict[tuple[int, int], _Target] = {}
        self._slots: list[_MeshSlot] = []

    def __enter__(self) -> GlRenderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the context and everything in it."""
        self._context.release()

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
        # Another renderer's context may be the current one.
        with self._context:
            target = self._target(width, height)
            target.begin(width, height, background)
            if backdrop is not None:
                self._backdrop.draw(backdrop, K, width=width, height=height)
            self._context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
            # Clockwise, as the picture is drawn upside down.
            self._context.front_face = "cw"
            self._set_uniforms(clip_matrix(K, width=width, height=height), R_w2c)
            for number, mesh in enumerate(meshes):
                self._slot(number, mesh).draw(mesh)
            return Picture(target.read(width, height))

    def _set_uniforms(self, clip: Array, R_w2c: Array) -> None:
        program = self._program
        # GLSL reads matrices column by column.
        program["clip"].write(np.ascontiguousarray(clip.T, np.float32))
        program["up"].write(np.ascontiguousarray(R_w2c[:, 2], np.float32))
        program["ambient"].value = (AMBIENT_GROUND, AMBIENT_SKY)
        lights = light_directions(np.asarray(R_w2c, np.float32))
        program["lights"].write(np.stack([direction for direction, _ in lights]))
        program["strengths"].value = tuple(strength for _, strength in lights)

    def _target(self, width: int, height: int) -> _Target:
        """A framebuffer at least this large; the least used one makes room for a new size."""
        size = (-(-width // _BLOCK) * _BLOCK, -(-height // _BLOCK) * _BLOCK)
        target = self._targets.pop(size, None) or _Target(self._context, size, self._samples)
        self._targets[size] = target
        if len(self._targets) > _KEPT_BUFFERS:
            self._targets.pop(next(iter(self._targets))).release()
        return target

    def _slot(self, number: int, mesh: Mesh) -> _MeshSlot:
        if number < len(self._slots) and self._slots[number].fits(mesh):
            return self._slots[number]
        slot = _MeshSlot(self._context, self._program, mesh)
        if number < len(self._slots):
            self._slots[number].release()
            self._slots[number] = slot
        else:
            self._slots.append(slot)
        return slot


def clip_matrix(K: Array, *, width: int, height: int) -> Array:
    """`(4, 4)` from OpenCV camera space to OpenGL clip space, with the image's top row first.

    OpenGL reads pictures from the bottom up; drawing them upside down saves turning them over.
    """
    near, far = NEAR_METRES, FAR_METRES
    out = np.zeros((4, 4))
    out[0, :3] = 2 * np.asarray(K[0], np.float64) / width
    out[1, :3] = 2 * np.asarray(K[1], np.float64) / height
    out[:2, 2] -= 1.0
    out[2, 2:] = (far + near) / (far - near), -2 * far * near / (far - near)
    out[3, 2] = 1.0
    return out


class _Target:
    """A framebuffer and, where it has several samples a pixel, the plain one that it resolves into."""

    def __init__(self, context: Any, size: tuple[int, int], samples: int) -> None:
        self._context = context
        color = context.renderbuffer(size, 4, samples=samples)
        depth = context.depth_renderbuffer(size, samples=samples)
        self._many = context.framebuffer([color], depth)
        self._plain = (
            context.framebuffer([context.renderbuffer(size, 4)]) if samples else self._many
        )
        self._parts = {self._many, self._plain, color, depth}

    def begin(self, width: int, height: int, background: Rgb) -> None:
        self._many.use()
        self._many.viewport = (0, 0, width, height)
        self._many.clear(*background, 0.0)

    def read(self, width: int, height: int) -> Array:
        if self._plain is not self._many:
            self._context.copy_framebuffer(self._plain, self._many)
        data = self._plain.read(viewport=(0, 0, width, height), components=4)
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)

    def release(self) -> None:
        for part in self._parts:
            part.release()


class _MeshSlot:
    """The buffers of one mesh of a frame; kept while meshes with the same faces come."""

    def __init__(self, context: Any, program: Any, mesh: Mesh) -> None:
        vertices = len(mesh.vertices)
        self._faces, self._count = mesh.faces, vertices
        self._normals = Normals(mesh.faces, vertices)
        self._colors: Array | Rgb = mesh.colors
        self._geometry = context.buffer(reserve=max(vertices, 1) * 24, dynamic=True)
        self._paint = context.buffer(mesh.vertex_colors.tobytes())
        self._index = context.buffer(np.ascontiguousarray(mesh.faces, np.int32).tobytes())
        self._staging = np.zeros((vertices, 6), np.float32)
        layout = [(self._geometry, "3f 3f", "place", "normal"), (self._paint, "3f", "color")]
        self._array = context.vertex_array(program, layout, self._index)

    def fits(self, mesh: Mesh) -> bool:
        return mesh.faces is self._faces and len(mesh.vertices) == self._count

    def draw(self, mesh: Mesh) -> None:
        vertices = np.asarray(mesh.vertices, np.float32)
        self._staging[:, :3] = vertices
        self._staging[:, 3:] = self._normals.of(vertices)
        self._geometry.write(self._staging)
        if mesh.colors is not self._colors:
            self._colors = mesh.colors
            self._paint.write(mesh.vertex_colors)
        self._array.render()

    def release(self) -> None:
        for part in (self._array, self._geometry, self._paint, self._index):
            part.release()
