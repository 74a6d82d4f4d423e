"""What a judge is shown: all of the body, from a camera that stands still, on the floor."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.errors import UsageError
from humanmotion.viz.judged_clip import SIDE, clip_pictures, judging_camera, shown_frames
from humanmotion.viz.painter import Painter


@pytest.fixture(scope="module")
def bodies():
    """A box of 0.4 x 0.3 x 1.7 m that walks 3 m along x, 5 m up in the air."""
    corners = np.stack(np.meshgrid((-0.2, 0.2), (-0.15, 0.15), (5.0, 6.7), indexing="ij"), -1)
    steps = np.linspace(0, 3, 4)[:, None] * (1.0, 0, 0)
    return corners.reshape(1, 8, 3) + steps[:, None]


FACES = np.array(
    ((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6),
     (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3))
)  # fmt: skip


@pytest.mark.parametrize("facing", [(1, 0, 0), (0, 1, 0), (-0.3, -0.4, 0), (0, 0, 0)])
def test_the_camera_looks_down_at_all_of_the_path(bodies, facing):
    placed = bodies - (0, 0, 5.0)
    K, R, t = judging_camera(placed, facing=np.array(facing, float), side=SIDE)
    assert np.allclose(R @ R.T, np.eye(3)) and np.linalg.det(R) == pytest.approx(1)
    assert R[2, 2] == pytest.approx(-0.5)
    eye = -R.T @ t
    assert eye[2] >= 1.5
    seen = (placed.reshape(-1, 3) @ R.T + t) @ K.T
    pixels = seen[:, :2] / seen[:, 2:]
    assert seen[:, 2].min() > 0 and pixels.min() > 0 and pixels.max() < SIDE
    # It sees 60 degrees.
    assert 2 * np.arctan(SIDE / 2 / K[0, 0]) == pytest.approx(np.pi / 3)
    if any(facing):
        unit = np.array(facing) / np.linalg.norm(facing)
        assert R[2] @ unit == pytest.approx(-np.cos(np.pi / 6))


def test_pictures_show_blue_on_grey_before_white(bodies):
    shown = list(
        clip_pictures(bodies, FACES, facing=np.array((0, 1.0, 0)), renderer=Painter(), side=120)
    )
    assert len(shown) == len(bodies)
    for picture in shown:
        assert picture.shape == (120, 120, 3)
        colour = picture.astype(int)
        blue = colour[..., 2] > colour[..., 0] + 25
        white = (colour == 255).all(-1)
        grey = ~blue & ~white
        assert blue.mean() > 0.01 and white.mean() > 0.2 and grey.mean() > 0.1
    # It walks, and the camera does not.
    places = [
        np.argwhere(x[..., 2].astype(int) > x[..., 0].astype(int) + 25).mean(0) for x in shown
    ]
    assert abs(places[-1][1] - places[0][1]) > 20


def test_frames_are_those_nearest_to_each_fifth_of_a_second():
    assert shown_frames(np.arange(31) / 30) == [0, 6, 12, 18, 24, 30]
    assert shown_frames(np.arange(100) / 20)[-1] == 96
    assert shown_frames([3.0]) == [0]
    assert shown_frames([0.0, 1.0]) == [0, 0, 0, 1, 1, 1]
    with pytest.raises(UsageError, match="0 frames"):
        shown_frames([])


def test_no_body_is_told(bodies):
    with pytest.raises(UsageError, match="one frame or more"):
        next(clip_pictures(bodies[:0], FACES, facing=np.ones(3), renderer=Painter()))
