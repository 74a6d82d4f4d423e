from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from humanmotion.errors import UsageError
from humanmotion.viz.mesh import (
    Mesh,
    Normals,
    face_normals,
    pixel_box,
    shade,
    shifted,
)
from humanmotion.viz.painter import Painter
from humanmotion.viz.render import GlRenderer, clip_matrix, open_renderer
from tests.viz.people import front_camera, walk

WIDTH, HEIGHT = 320, 400
K = np.array(((420.0, 0.0, 171.0), (0.0, 400.0, 188.0), (0.0, 0.0, 1.0)))
BLUE = (0.2, 0.4, 0.9)


@pytest.fixture(scope="module")
def bodies(body):
    """Two people in camera space, 3 m away, one partly behind the other, and their faces."""
    motion = walk(body, frames=9)
    camera = front_camera(9, distance=3.2)
    seen = camera.to_camera(body.pose(motion).vertices)
    near = seen[8].numpy().copy()
    return [near, near * 1.1 + np.array((0.25, 0.0, 0.3), np.float32)], body.faces.numpy()


@pytest.fixture(params=["gl", "painter"])
def renderer(request):
    return request.getfixturevalue("gl") if request.param == "gl" else Painter()


def _iou(a, b) -> float:
    return (a & b).sum() / (a | b).sum()


def test_painter_agrees_with_opengl(gl, bodies) -> None:
    vertices, faces = bodies
    meshes = [Mesh(vertices[0], faces, BLUE), Mesh(vertices[1], faces, (0.9, 0.5, 0.2))]
    pictures = [
        r.render(meshes, K, width=WIDTH, height=HEIGHT, background=(1.0, 1.0, 1.0))
        for r in (gl, Painter())
    ]
    masks = [picture.alpha > 127 for picture in pictures]
    assert _iou(*masks) > 0.97
    # Which person hides which: the colour decides, far from edges.
    red = [picture.rgb[..., 0].astype(int) - picture.rgb[..., 2] > 0 for picture in pictures]
    both = masks[0] & masks[1]
    assert (red[0] == red[1])[both].mean() > 0.97
    apart = np.abs(pictures[0].rgb[both].astype(int) - pictures[1].rgb[both]).mean()
    assert apart < 10


def test_points_land_where_the_intrinsics_put_them(renderer) -> None:
    """Small squares at known places, off-centre principal point: their masks' centres are there."""
    for place in ((0.0, 0.0, 2.0), (-0.5, 0.7, 3.0), (0.6, -0.6, 2.5)):
        mesh = _square(place, 0.05)
        alpha = renderer.render([mesh], K, width=WIDTH, height=HEIGHT).alpha.astype(float)
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        centre = ((columns * alpha).sum(), (rows * alpha).sum()) / alpha.sum()
        expected = (K @ place)[:2] / place[2]
        assert np.abs(centre - expected).max() < 0.4
        area = (K[0, 0] * 0.1 / place[2]) * (K[1, 1] * 0.1 / place[2])
        # OpenCV fills the pixels on the border too.
        slack = 0.06 if isinstance(renderer, Painter) else 0.03
        assert alpha.sum() / 255 == pytest.approx(area, rel=slack)


def test_a_crop_is_a_part_of_the_whole(renderer, bodies) -> None:
    vertices, faces = bodies
    mesh = Mesh(vertices[0], faces, BLUE)
    whole = renderer.render([mesh], K, width=WIDTH, height=HEIGHT)
    box = pixel_box(vertices[0], K, width=WIDTH, height=HEIGHT)
    assert box is not None
    x0, y0, x1, y1 = box
    part = renderer.render([mesh], shifted(K, x0, y0), width=x1 - x0, height=y1 - y0)
    cut = whole.rgba[y0:y1, x0:x1].astype(int)
    assert np.abs(cut - part.rgba).mean() < 0.2
    outside = whole.alpha.copy()
    outside[y0:y1, x0:x1] = 0
    assert not outside.any()


def test_buffers_kept_between_frames_change_nothing(gl, bodies) -> None:
    vertices, faces = bodies
    alone = Mesh(vertices[0], faces, BLUE)
    first = gl.render([alone], K, width=WIDTH, height=HEIGHT).rgba.copy()
    # Other sizes, colours, places and meshes in between.
    paint = np.random.default_rng(0).random(vertices[1].shape)
    gl.render([Mesh(vertices[1], faces, paint), alone], K, width=97, height=33)
    gl.render([_square((0, 0, 2), 0.2)], K, width=700, height=20)
    for size in range(8):
        gl.render([Mesh(vertices[1], faces, BLUE)], K, width=64 * (size + 1), height=64)
    again = gl.render([alone], K, width=WIDTH, height=HEIGHT).rgba
    assert np.array_equal(first, again)


def test_vertex_colors_and_background(renderer) -> None:
    square = _square((0.0, 0.0, 2.0), 0.3)
    colors = np.array(((1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 0)), float)
    mesh = Mesh(square.vertices, square.faces, colors)
    picture = renderer.render([mesh], K, width=WIDTH, height=HEIGHT, background=(0.0, 0.0, 1.0))
    assert picture.rgb[0, 0].tolist() == [0, 0, 255] and picture.alpha[0, 0] == 0
    top, bottom = picture.rgb[150, 171].astype(int), picture.rgb[235, 171].astype(int)
    assert top[0] > top[1] and bottom[1] > bottom[0]


def test_nothing_in_view_is_an_empty_picture(renderer) -> None:
    behind = _square((0.0, 0.0, -2.0), 0.3)
    for meshes in ([], [behind]):
        picture = renderer.render(meshes, K, width=40, height=30)
        assert picture.rgba.shape == (30, 40, 4) and not picture.rgba.any()


def test_clip_matrix_is_the_pinhole() -> None:
    points = np.random.default_rng(0).standard_normal((50, 3)) + np.array((0, 0, 5))
    clip = np.c_[points, np.ones(50)] @ clip_matrix(K, width=WIDTH, height=HEIGHT).T
    ndc = clip[:, :3] / clip[:, 3:]
    pixels = (ndc[:, :2] + 1) / 2 * (WIDTH, HEIGHT)
    image = points @ K.T
    assert np.allclose(pixels, image[:, :2] / image[:, 2:])
    order = np.argsort(points[:, 2])
    assert (np.diff(ndc[order, 2]) > 0).all()


def test_smooth_normals_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    vertices = rng.standard_normal((12, 3)).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(11), (20, 1)), axis=1)[:, :3]
    slow = np.zeros((12, 3))
    for a, b, c in faces:
        flat = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for corner in (a, b, c):
            slow[corner] += flat
    used = np.linalg.norm(slow, axis=1) > 0
    slow[used] /= np.linalg.norm(slow[used], axis=1, keepdims=True)
    assert np.allclose(Normals(faces, 12).of(vertices), slow, atol=1e-5)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    assert np.allclose(face_normals(vertices, faces), np.cross(b - a, c - a), atol=1e-5)


def test_light_turns_with_the_world() -> None:
    """Turning the surface and the world together changes nothing."""
    rng = np.random.default_rng(2)
    normals = rng.standard_normal((30, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    albedo = rng.random((30, 3))
    plain = shade(albedo, normals, np.eye(3))
    assert np.allclose(plain, shade(albedo, normals @ turn.T, turn), atol=1e-5)
    up = shade(albedo[:1], np.array([[0.0, 0.0, 1.0]]), np.eye(3))
    down = shade(albedo[:1], np.array([[0.0, 0.0, -1.0]]), np.eye(3))
    assert (up > down).all()


def test_pixel_box_holds_every_point() -> None:
    rng = np.random.default_rng(3)
    points = (rng.standard_normal((40, 3)) * 0.3 + (0, 0, 3)).astype(np.float32)
    box = pixel_box(points, K, width=WIDTH, height=HEIGHT, margin=0)
    assert box is not None
    image = points @ K.T
    pixels = image[:, :2] / image[:, 2:]
    assert (pixels >= box[:2]).all() and (pixels <= box[2:]).all()
    assert pixel_box(points - np.array((0, 0, 9)), K, width=WIDTH, height=HEIGHT) is None
    assert pixel_box(points + np.array((99, 0, 0)), K, width=WIDTH, height=HEIGHT) is None
    crossing = np.concatenate((points, -points))
    assert pixel_box(crossing, K, width=WIDTH, height=HEIGHT) == (0, 0, WIDTH, HEIGHT)


def test_a_mesh_checks_its_shapes() -> None:
    with pytest.raises(UsageError, match="vertices have shape"):
        Mesh(np.zeros((3, 2)), np.zeros((1, 3), int), BLUE)
    with pytest.raises(UsageError, match="faces have shape"):
        Mesh(np.zeros((3, 3)), np.zeros((1, 4), int), BLUE)
    with pytest.raises(UsageError, match="one per vertex"):
        Mesh(np.zeros((3, 3)), np.zeros((1, 3), int), np.zeros((2, 3)))


def test_the_painter_stands_in_where_opengl_cannot_be_had(monkeypatch) -> None:
    def refuse(**_):
        raise ImportError("libEGL.so.1 is not there")

    monkeypatch.setattr("moderngl.create_context", refuse)
    assert isinstance(open_renderer("auto"), Painter)
    assert isinstance(open_renderer("painter"), Painter)
    with pytest.raises(UsageError, match=r"no OpenGL context can be made \(libEGL"):
        open_renderer("gl")


def test_hard_edges_are_hard(gl, bodies) -> None:
    vertices, faces = bodies
    mesh = Mesh(vertices[0], faces, BLUE)
    with GlRenderer(samples=0) as hard:
        sharp = hard.render([mesh], K, width=WIDTH, height=HEIGHT)
        # Two renderers at work by turns do not disturb each other.
        soft = gl.render([mesh], K, width=WIDTH, height=HEIGHT)
        again = hard.render([mesh], K, width=WIDTH, height=HEIGHT)
    assert np.array_equal(sharp.rgba, again.rgba)
    assert set(np.unique(sharp.alpha)) == {0, 255}
    assert len(np.unique(soft.alpha)) > 2
    assert _iou(sharp.alpha > 127, soft.alpha > 127) > 0.97


def _square(place, half: float) -> Mesh:
    """A square that faces the camera; its first two corners are the upper ones."""
    corners = np.array(((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))) * half + np.array(place)
    return Mesh(corners.astype(np.float32), np.array(((0, 3, 2), (0, 2, 1))), (0.9, 0.9, 0.9))


def test_motion_can_be_made_after_a_picture_was_drawn() -> None:
    """In a process of its own: two compilers of one kind in a process end it, without an exception."""
    code = (
        "from humanmotion.viz.render import open_renderer; open_renderer().close(); "
        "from humanmotion.generation.sampler import TextToMotion; "
        "print(len(TextToMotion.from_pretrained()('a person walks', seconds=1, steps=1)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
