from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.viz.backdrop import Backdrop, Box, contact_shadow, draw_backdrop
from humanmotion.viz.mesh import Mesh
from humanmotion.viz.outfit import Outfit, outfit_colors
from humanmotion.viz.painter import Painter
from humanmotion.viz.scene import open_floor, render_scene, side_view, textured_room, world_picture
from tests.viz.people import front_camera, walk

SIZE = (320, 240)


@pytest.fixture(scope="module")
def room() -> Box:
    return textured_room()


@pytest.fixture(scope="module")
def standing(body) -> np.ndarray:
    return body.pose(walk(body, frames=1)).vertices[0].numpy()


def _camera():
    camera = front_camera(1, width=SIZE[0], height=SIZE[1], distance=3.5)
    return {
        "K": camera.K[0].numpy(), "R_w2c": camera.R_w2c[0].numpy(), "t_w2c": camera.t_w2c[0].numpy()
    }  # fmt: skip


def test_both_renderers_show_the_same_room(gl, room, body, standing) -> None:
    mesh = Mesh(standing, body.faces.numpy(), outfit_colors(body))
    images = [
        render_scene([mesh], room, **_camera(), width=SIZE[0], height=SIZE[1], renderer=r)
        for r in (gl, Painter())
    ]
    # OpenGL filters the textures where they are far, the painter does not.
    assert np.abs(images[0].astype(int) - images[1]).mean() < 6
    blurred = [image.reshape(24, 10, 32, 10, 3).mean((1, 3)) for image in images]
    assert np.abs(blurred[0] - blurred[1]).mean() < 2.5


@pytest.mark.parametrize("box", ["room", "floor"])
def test_a_backdrop_against_one_ray_at_a_time(room, box) -> None:
    where = room if box == "room" else open_floor()
    view = _camera()
    K = view.pop("K")
    image = draw_backdrop(Backdrop(where, **view), K, width=SIZE[0], height=SIZE[1])
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(0, SIZE[0], 60), rng.integers(0, SIZE[1], 60), strict=True):
        expected = _slow_pixel(where, K, view["R_w2c"], view["t_w2c"], pixel=(x + 0.5, y + 0.5))
        assert np.abs(image[y, x] - expected).max() <= 1


def test_the_room_has_corners_to_track_and_depends_on_its_seed(room) -> None:
    view = _camera()
    K = view.pop("K")
    image = draw_backdrop(Backdrop(room, **view), K, width=SIZE[0], height=SIZE[1])
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(gray, 500, 0.02, 5)
    assert len(corners) > 200
    assert np.array_equal(room.textures, textured_room().textures)
    assert not np.array_equal(room.textures, textured_room(seed=1).textures)


def test_the_shadow_lies_under_the_feet(standing) -> None:
    shadow = contact_shadow([standing])
    cell = shadow.edge_metres / len(shadow.image)
    sole = standing[standing[:, 2] < 0.02, :2].mean(0)
    row, column = np.unravel_index(shadow.image.argmax(), shadow.image.shape)
    darkest = np.array(shadow.corner) + (np.array((column, row)) + 0.5) * cell
    assert np.abs(darkest - sole).max() < 0.25
    lifted = contact_shadow([standing + np.array((0, 0, 0.5))])
    assert lifted.image.max() < 0.6 * shadow.image.max()
    assert not contact_shadow([]).image.any()


def test_a_body_casts_its_shadow_into_the_picture(gl, body, standing) -> None:
    mesh = Mesh(standing, body.faces.numpy(), (0.5, 0.5, 0.5))
    size = {"width": SIZE[0], "height": SIZE[1]}
    for renderer in (gl, Painter()):
        view = _camera()
        seen = render_scene([mesh], open_floor(), **view, **size, renderer=renderer)
        bare = render_scene([], open_floor(), **view, **size, renderer=renderer)
        # The floor just in front of the toes.
        toes = standing[standing[:, 1].argmin()] * (1, 1, 0) - np.array((0, 0.02, 0))
        image = view["K"] @ (view["R_w2c"] @ toes + view["t_w2c"])
        x, y = (image[:2] / image[2]).astype(int)
        assert seen[y, x].astype(int).sum() < bare[y, x].astype(int).sum() - 30
        assert np.array_equal(seen[:40], bare[:40])


def test_side_view_holds_everybody(body) -> None:
    motion = walk(body, frames=40)
    vertices = body.pose(motion).vertices.numpy()
    for chosen in (vertices[::13], vertices[:1], vertices[::-20]):
        K, R, t = side_view(list(chosen), width=800, height=300)
        assert np.allclose(R @ R.T, np.eye(3), atol=1e-9) and np.linalg.det(R) > 0
        image = (chosen.reshape(-1, 3) @ R.T + t) @ K.T
        pixels = image[:, :2] / image[:, 2:]
        assert (image[:, 2] > 0).all()
        assert (pixels > 0).all() and (pixels < (800, 300)).all()
        # As large as they can be: the picture's width or height is nearly filled.
        assert ((pixels.max(0) - pixels.min(0)) / (800, 300)).max() > 0.6
    with pytest.raises(UsageError, match="no body given"):
        side_view([], width=10, height=10)


def test_a_world_picture_shows_every_body(gl, body) -> None:
    vertices = body.pose(walk(body, frames=61)).vertices.numpy()
    faces = body.faces.numpy()
    meshes = [Mesh(v, faces, (0.8, 0.2, 0.2)) for v in vertices[::30]]
    image = world_picture(meshes, width=480, height=200, renderer=gl).astype(int)
    red = image[..., 0] - image[..., 1] > 60
    count, _ = cv2.connectedComponents(red.astype(np.uint8))
    assert image.shape == (200, 480, 3)
    assert count - 1 >= 3
    assert not red[:, [0, -1]].any() and not red[[0, -1]].any()


def test_the_outfit_dresses_every_part(body) -> None:
    wear = Outfit()
    colors = outfit_colors(body, wear)
    rest = body.template.numpy()
    assert colors.shape == rest.shape and colors.min() >= 0 and colors.max() <= 1

    def share(color, mask) -> float:
        return float(np.isclose(colors[mask], color).all(1).mean())

    height = rest[:, 1] - rest[:, 1].min()
    top = height.max()
    chest = (height > 0.65 * top) & (height < 0.72 * top) & (np.abs(rest[:, 0]) < 0.1)
    assert share(wear.shirt, chest) == 1.0
    assert share(wear.trousers, (height > 0.2 * top) & (height < 0.45 * top)) == 1.0
    assert share(wear.shoes, height < 0.03 * top) == 1.0
    assert share(wear.skin, np.abs(rest[:, 0]) > 0.6) == 1.0
    assert share(wear.hair, height > 0.99 * top) == 1.0
    # Left and right wear the same.
    mirrored = rest * (-1, 1, 1)
    some = torch.randperm(len(rest), generator=torch.Generator().manual_seed(0))[:400].numpy()
    twin = np.linalg.norm(rest[None] - mirrored[some, None], axis=-1).argmin(1)
    assert np.abs(colors[some] - colors[twin]).mean() < 0.01


def _slow_pixel(box: Box, K, R, t, *, pixel) -> np.ndarray:
    """One pixel's colour with plain arithmetic."""
    eye = -R.T @ t
    ray = R.T @ np.linalg.inv(K.astype(float)) @ (*pixel, 1.0)
    hits = []
    for axis in range(3):
        bound = box.high[axis] if ray[axis] > 0 else box.low[axis]
        step = (bound - eye[axis]) / ray[axis] if ray[axis] else np.inf
        hits.append((step, axis, ray[axis] > 0))
    step, axis, ahead = min(hits)
    side = (1 if ahead else 0) if axis == 2 else 2 + 2 * axis + ahead
    point = eye + step * ray
    uv = [point[i] for i in range(3) if i != axis]
    texture = box.textures[side].astype(float)
    size = len(texture)
    u, v = (c / box.tile_metres % 1 * size - 0.5 for c in uv)
    color = np.zeros(3)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = int(np.floor(u)) + dx, int(np.floor(v)) + dy
            color += texture[y % size, x % size] * (1 - abs(u - x)) * (1 - abs(v - y))
    fade = np.exp(-((step * np.linalg.norm(ray) / box.clear_metres) ** 2))
    haze = np.array(box.haze) * 255
    return haze + (color - haze) * fade
