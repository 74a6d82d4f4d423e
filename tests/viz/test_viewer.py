from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from humanmotion.errors import UsageError
from humanmotion.viz.viewer import serve
from tests.viz.people import front_camera, walk

# viser and the websockets it uses leave sockets to the collector when they stop.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
FRAMES = 20
CAMERAS = [front_camera(FRAMES), front_camera(FRAMES, distance=6.0)]


@pytest.fixture(scope="module")
def people(body):
    return [(walk(body, frames=FRAMES, start=(x, 0.0)), body) for x in (0.0, 1.0)]


@pytest.fixture(scope="module")
def viewer(people):
    viewer = serve(people, names=["a/b", "a b"], cameras=CAMERAS, port=18080)
    yield viewer
    viewer.close()


def test_the_page_answers(viewer) -> None:
    with urllib.request.urlopen(viewer.url, timeout=10) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read(4096).lower()


def test_a_taken_port_makes_way_for_the_next(viewer, people) -> None:
    second = serve(people[:1], port=viewer.port)
    try:
        assert second.port != viewer.port
    finally:
        second.close()


def test_bones_follow_the_motion(viewer, people) -> None:
    for frame in (0, 7, FRAMES - 1):
        motion, body = people[1]
        viewer.show(float(motion.times[frame]) + 0.004)
        places, turns = body.frames(motion.rotations, betas=motion.betas, transl=motion.transl)
        for joint, bone in enumerate(viewer._actors[1]._mesh.bones):
            assert np.allclose(bone.position, places[frame, joint], atol=1e-5)
            assert np.allclose(_matrix(bone.wxyz), turns[frame, joint], atol=1e-5)


def test_each_camera_stands_where_it_filmed(viewer) -> None:
    viewer.show(0.1)
    for lens, camera in zip(viewer._lenses, CAMERAS, strict=True):
        assert np.allclose(lens.frustum.position, camera.centre[0], atol=1e-5)
        assert np.allclose(_matrix(lens.frustum.wxyz), camera.R_w2c[0].T, atol=1e-5)


def test_a_motion_without_camera_has_none(people) -> None:
    viewer = serve(people, cameras=[None, CAMERAS[1]], port=18080)
    try:
        first, second = viewer._lenses
        assert first is None and viewer._frusta.visible
        assert np.allclose(second.frustum.position, CAMERAS[1].centre[0], atol=1e-5)
    finally:
        viewer.close()


def test_it_plays_and_starts_again(viewer) -> None:
    viewer.show(viewer.end - 0.05)
    viewer._playing.value = True
    seen = set()
    deadline = time.monotonic() + 5
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
        seen.add(viewer._slider.value)
    viewer._playing.value = False
    assert len(seen) >= 3 and min(seen) < viewer.end - 0.06


def test_side_by_side_and_hidden_parts(viewer) -> None:
    viewer._beside.value, viewer._skeleton.value = True, True
    first, second = viewer._actors
    assert np.linalg.norm(first._group.position - second._group.position) == pytest.approx(1.4)
    assert first._bones.visible
    for lens, actor in zip(viewer._lenses, viewer._actors, strict=True):
        assert np.allclose(lens._group.position, actor._group.position), "goes with its person"
    viewer._frusta.value = False
    assert not any(lens._group.visible for lens in viewer._lenses)
    viewer._frusta.value = True
    viewer._beside.value, viewer._skeleton.value = False, False
    assert np.allclose(first._group.position, 0) and not first._bones.visible


def test_closing_ends_the_server_and_its_threads(people, capsys) -> None:
    before = set(threading.enumerate())
    viewer = serve(people[:1], port=18090)
    viewer.close()
    viewer.close()
    viewer.wait()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(viewer.url, timeout=2)
    left = [t for t in set(threading.enumerate()) - before if not t.daemon]
    assert left == []
    assert capsys.readouterr().out == ""


def test_wrong_use_is_named(people) -> None:
    with pytest.raises(UsageError, match="no motion to view"):
        serve([])
    with pytest.raises(UsageError, match="1 names for 2 motions"):
        serve(people, names=["a"])
    with pytest.raises(UsageError, match="camera of b has 3 frames, its motion 20"):
        serve(people, names=["a", "b"], cameras=[None, front_camera(3)])
    with pytest.raises(UsageError, match="1 cameras for 2 motions"):
        serve(people, cameras=[None])


def _matrix(wxyz) -> np.ndarray:
    w, x, y, z = wxyz
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
    )
