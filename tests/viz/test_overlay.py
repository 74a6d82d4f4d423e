from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.viz.mesh import PERSON_COLORS, Mesh
from humanmotion.viz.overlay import overlay, overlay_frames
from humanmotion.viz.painter import Painter
from tests.viz.people import front_camera, walk

FRAMES = 3


@pytest.fixture(scope="module")
def scene(body):
    """Noise frames, a camera, and vertices `(T, V, 3)` of two people."""
    camera = front_camera(FRAMES, width=320, height=240)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (FRAMES, 240, 320, 3), dtype=np.uint8)
    people = [
        body.pose(walk(body, frames=FRAMES, start=start)).vertices
        for start in ((-0.5, 0.0), (0.5, 0.3))
    ]
    return frames, camera, people


def test_only_the_people_change_and_the_rest_is_kept(body, scene) -> None:
    frames, camera, people = scene
    kept = frames.copy()
    rows = [[person[i] for person in people] for i in range(FRAMES)]
    out = list(overlay_frames(frames, rows, camera, faces=body.faces))
    assert np.array_equal(frames, kept)
    for i, image in enumerate(out):
        changed = (image != frames[i]).any(-1)
        pixels = torch.cat([camera[i : i + 1].project(p[i][None])[0] for p in people])
        columns, lines = pixels.T.int().numpy()
        inside = (columns >= 0) & (columns < 320) & (lines >= 0) & (lines < 240)
        assert changed[lines[inside], columns[inside]].mean() > 0.8
        assert 0.03 < changed.mean() < 0.4
        assert image.dtype == np.uint8 and image.shape == frames[i].shape


def test_the_crop_equals_a_blend_of_the_whole_picture(gl, scene, body) -> None:
    frames, camera, people = scene
    faces = body.faces.numpy()
    meshes = [
        Mesh(camera.to_camera(person[:1])[0].numpy(), faces, PERSON_COLORS[i])
        for i, person in enumerate(people)
    ]
    K = camera.K[0].numpy()
    out = overlay(frames[0], meshes, K, opacity=0.6, renderer=gl)
    picture = gl.render(meshes, K, width=320, height=240)
    # Away from edges, where the overlay softens.
    inner = picture.alpha == 255
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
        inner = inner & np.roll(picture.alpha == 255, shift, (0, 1))
    expected = 0.6 * picture.rgb + 0.4 * frames[0].astype(float)
    assert inner.sum() > 2000
    assert np.abs(out - expected)[inner].max() <= 2
    empty = picture.alpha == 0
    assert np.array_equal(out[empty], frames[0][empty])


def test_who_is_absent_is_not_drawn_and_keeps_the_colour(body, scene) -> None:
    frames, camera, people = scene
    rows = [[None, people[1][i]] for i in range(FRAMES - 1)] + [[None, None]]
    out = list(overlay_frames(frames * 0 + 128, rows, camera, faces=body.faces, opacity=1.0))
    color = out[0][(out[0] != 128).any(-1)].mean(0)
    assert color.argmax() == np.argmax(PERSON_COLORS[1])
    assert (out[-1] == 128).all()


def test_frames_of_another_size_are_drawn_at_their_own(body, scene) -> None:
    _, camera, people = scene
    rows = [[people[0][0]]]
    small, large = (
        next(
            overlay_frames(
                np.zeros((1, height, width, 3), np.uint8), rows, camera, faces=body.faces
            )
        )
        for width, height in ((160, 120), (320, 240))
    )
    halved = large.reshape(120, 2, 160, 2, 3).mean((1, 3))
    masks = small.max(-1) > 20, halved.max(-1) > 20
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.85


def test_the_painter_can_stand_in(gl, body, scene) -> None:
    frames, camera, people = scene
    rows = [[people[0][0]]]
    images = [
        next(overlay_frames(frames, rows, camera, faces=body.faces, renderer=renderer))
        for renderer in (gl, Painter())
    ]
    assert np.abs(images[0].astype(int) - images[1]).mean() < 3


def test_missing_cameras_and_bodies_are_named(body, scene) -> None:
    frames, camera, people = scene
    rows = [[people[0][0]]] * FRAMES
    with pytest.raises(UsageError, match="frame 1 has no camera"):
        list(overlay_frames(frames, rows, camera[:1], faces=body.faces))
    with pytest.raises(UsageError, match="frame 2 has no camera or no bodies"):
        list(overlay_frames(frames, rows[:2], camera, faces=body.faces))
