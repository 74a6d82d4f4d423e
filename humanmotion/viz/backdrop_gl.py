"""The backdrop as one full-screen pass on the GPU; `backdrop.draw_backdrop` is its twin."""

from __future__ import annotations

from typing import Any

import moderngl
import numpy as np

from humanmotion.viz.backdrop import SHADOW_DARK, SIDES, Backdrop, Box, Shadow
from humanmotion.viz.mesh import Array

_VERTEX = """
#version 330
in vec2 corner;
out vec2 place;
void main() { place = corner * 0.5 + 0.5; gl_Position = vec4(corner, 0.0, 1.0); }
"""
_FRAGMENT = """
#version 330
uniform vec2 size; uniform mat3 rays; uniform vec3 eye; uniform vec3 low; uniform vec3 high;
uniform float tile; uniform vec3 haze; uniform float clear; uniform float dark;
uniform vec3 shadow_square;
uniform sampler2DArray sides; uniform sampler2D shadow;
in vec2 place;
out vec4 pixel;

void main() {
    vec3 ray = rays * vec3(place * size, 1.0);
    ray = mix(ray, vec3(1e-9), lessThan(abs(ray), vec3(1e-9)));
    vec3 steps = (mix(low, high, greaterThan(ray, vec3(0.0))) - eye) / ray;
    vec2 on_x = (eye + steps.x * ray).yz, on_y = (eye + steps.y * ray).xz;
    vec2 on_z = (eye + steps.z * ray).xy;
    // Derivatives of each endless plane: across an edge of the box the hit's own mean nothing.
    vec4 slope_x = vec4(dFdx(on_x), dFdy(on_x)), slope_y = vec4(dFdx(on_y), dFdy(on_y));
    vec4 slope_z = vec4(dFdx(on_z), dFdy(on_z));
    float step = min(min(steps.x, steps.y), steps.z);
    bool is_z = step == steps.z, is_x = !is_z && step == steps.x;
    vec2 on = is_z ? on_z : is_x ? on_x : on_y;
    vec4 slope = (is_z ? slope_z : is_x ? slope_x : slope_y) / tile;
    float side = is_z ? float(ray.z > 0.0) : is_x ? 2.0 + float(ray.x > 0.0)
        : 4.0 + float(ray.y > 0.0);
    vec3 color = textureGrad(sides, vec3(on / tile, side), slope.xy, slope.zw).rgb;
    vec2 cell = (on_z - shadow_square.xy) / shadow_square.z;
    bool above = all(greaterThan(cell, vec2(0.0))) && all(lessThan(cell, vec2(1.0)));
    bool shaded = side == 0.0 && above;
    color *= 1.0 - (shaded ? dark * texture(shadow, cell).r : 0.0);
    float way = step * length(ray) / clear;
    pixel = vec4(mix(haze, color, exp(-way * way)), 0.0);
}
"""


class BackdropPass:
    """Draws backdrops in one OpenGL context; textures are uploaded once per box."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        corners = np.array(((-1, -1), (3, -1), (-1, 3)), np.float32)
        buffer = context.buffer(corners.tobytes())
        self._array = context.vertex_array(self._program, [(buffer, "2f", "corner")])
        self._box: Box | None = None
        self._sides: Any = None
        self._shadow: Any = None

    def draw(self, backdrop: Backdrop, K: Array, *, width: int, height: int) -> None:
        """Fill the bound framebuffer, alpha 0, without touching depth."""
        self._upload(backdrop.box)
        self._upload_shadow(backdrop.shadow)
        R = np.asarray(backdrop.R_w2c, np.float64)
        program, box = self._program, backdrop.box
        program["size"].value = (width, height)
        rays = R.T @ np.linalg.inv(np.asarray(K, np.float64))
        program["rays"].write(np.ascontiguousarray(rays.T, np.float32))
        eye = -R.T @ np.asarray(backdrop.t_w2c, np.float64)
        for name, value in (("eye", eye), ("low", box.low), ("high", box.high), ("haze", box.haze)):
            program[name].value = tuple(float(v) for v in value)
        program["tile"].value, program["clear"].value = box.tile_metres, box.clear_metres
        program["dark"].value = SHADOW_DARK
        program["shadow_square"].value = (*backdrop.shadow.corner, backdrop.shadow.edge_metres)
        self._sides.use(0)
        self._shadow.use(1)
        program["sides"].value, program["shadow"].value = 0, 1
        self._context.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._array.render()

    def _upload(self, box: Box) -> None:
        if box is self._box:
            return
        if self._sides is not None:
            self._sides.release()
        edge = box.textures.shape[1]
        data = np.ascontiguousarray(box.textures, np.uint8).tobytes()
        self._sides = self._context.texture_array((edge, edge, SIDES), 3, data, alignment=1)
        self._sides.build_mipmaps()
        self._sides.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._box = box

    def _upload_shadow(self, shadow: Shadow) -> None:
        cells = len(shadow.image)
        if self._shadow is None or self._shadow.size != (cells, cells):
            self._shadow = self._context.texture((cells, cells), 1, alignment=1)
            self._shadow.repeat_x = self._shadow.repeat_y = False
        self._shadow.write(np.ascontiguousarray(shadow.image))
