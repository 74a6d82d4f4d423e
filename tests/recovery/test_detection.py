"""The embedded detector on painted bodies whose landmarks are known, and the geometry around it."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest

from humanmotion.io.video import read_frames
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.recovery.body_rows import body_rows
from humanmotion.recovery.detection import (
    MIN_TILE,
    MediaPipeDetector,
    PersonBox,
    box_from_axis,
    distinct,
    tiles,
)

NAMES = JOINT_SETS["mediapipe_543"]
LEFT, RIGHT = NAMES.index("left_shoulder"), NAMES.index("right_shoulder")


@pytest.fixture(scope="module")
def detector():
    with closing(MediaPipeDetector()) as opened:
        yield opened


@pytest.fixture(scope="module")
def studio(painted, body):
    return painted.Studio(body)


def seen(detector, image):
    """The most certain person, looked at twice as the tracker does."""
    first = detector.look(image, detector.find(image, thorough=True)[0])
    return detector.look(image, first.box)


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi])
def test_landmarks_lie_where_they_were_painted(detector, studio, painted, yaw):
    image, marks = studio.paint((-0.2, 3.2, yaw, painted.BLUE))
    got = seen(detector, image)
    tall = np.ptp(marks[0][:, 1])
    apart = np.linalg.norm(got.xy[:33] - marks[0], axis=1)
    assert np.median(apart) < 0.02 * tall and got.box.score > 0.8
    # Its own left is on the picture's right when it faces the camera.
    assert np.sign(got.xy[LEFT, 0] - got.xy[RIGHT, 0]) == np.sign(math.cos(yaw))


def test_axes_are_the_cameras(detector, studio, painted):
    """x right, y down, z away, metres about the hips."""
    got = seen(detector, studio.paint((0, 3.2, 0.0, painted.BLUE))[0])
    point = {name: got.xyz[i] for i, name in enumerate(NAMES[:33])}
    assert point["left_shoulder"][0] > 0.1 > -0.1 > point["right_shoulder"][0]
    assert point["nose"][1] < -0.4 and point["left_ankle"][1] > 0.5
    assert point["nose"][2] < point["left_ear"][2]
    assert np.allclose((point["left_hip"] + point["right_hip"]) / 2, 0, atol=0.02)


def test_a_mirrored_picture_swaps_the_sides(detector, studio, painted):
    image, _ = studio.paint((-0.2, 3.2, 0.5, painted.BLUE))
    plain = seen(detector, image)
    turned = seen(detector, np.ascontiguousarray(image[:, ::-1]))
    rows = body_rows("mediapipe_543")
    back = turned.xy[rows.mirrored] * [-1, 1] + [image.shape[1] - 1, 0]
    apart = np.linalg.norm(back - plain.xy[rows.body], axis=1)
    assert np.median(apart) < 0.02 * plain.box.side


def test_points_move_with_the_picture(detector, studio, painted):
    image, _ = studio.paint((0, 3.2, 0.3, painted.BLUE))
    moved = np.pad(image, ((40, 0), (60, 0), (0, 0)), mode="edge")
    plain, shifted = seen(detector, image), seen(detector, moved)
    assert np.abs(shifted.xy[:33] - plain.xy[:33] - [60, 40]).mean() < 0.01 * plain.box.side


def test_looks_leave_no_trace(detector, studio, painted):
    """The same square of the same picture gives the same, whatever was looked at before."""
    image, _ = studio.paint((0, 3.2, 0.0, painted.BLUE))
    other, _ = studio.paint((0.3, 2.8, 1.0, painted.RED))
    box = detector.find(image, thorough=False)[0]
    first = detector.look(image, box)
    detector.look(other, detector.find(other, thorough=False)[0])
    again = detector.look(image, box)
    for field in ("xy", "confidence", "xyz", "sides"):
        assert np.array_equal(getattr(first, field), getattr(again, field))


def test_small_people_need_the_thorough_search(detector, painted, body):
    studio = painted.Studio(body, width=800, height=600)
    image, marks = studio.paint((-2.0, 9.5, 0.3, painted.BLUE), (1.6, 8.5, -0.4, painted.RED))
    boxes = detector.find(image, thorough=True)
    assert len(detector.find(image, thorough=False)) < len(boxes)
    for truth in marks:
        hips = truth[23:25].mean(0)
        assert min(math.dist((b.x, b.y), hips) for b in boxes) < 0.2 * np.ptp(truth[:, 1])


def test_nobody(detector):
    wall = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert detector.find(wall, thorough=True) == []
    assert detector.look(wall, PersonBox(160, 120, 200, 0, 1)) is None


def test_parts_too_small_to_tell_are_unseen(detector, painted, body):
    studio = painted.Studio(body, width=480, height=480)
    got = seen(detector, studio.paint((0, 4.5, 0.0, painted.BLUE))[0])
    assert got.confidence[:33].max() > 0.8
    assert got.confidence[33:75].max() == 0


def test_nothing_reaches_stderr_or_the_network():
    """The models lie in the wheel, and the library's start-up chatter is kept back."""
    code = (
        "import socket; socket.socket.connect = None\n"
        "from humanmotion.recovery.detection import MediaPipeDetector\n"
        "MediaPipeDetector().close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hands_and_face_of_a_real_person(detector, data):
    clip = read_frames(data / "videos" / "sam2_ball_juggle.mp4")
    image = next(picture for i, (_, picture) in enumerate(clip) if i == 30)
    clip.close()
    got = seen(detector, image)
    hand = {n: got.xyz[i] for i, n in enumerate(NAMES) if n.startswith("right_hand")}
    assert got.confidence[54:75].min() > 0.5 and got.sides[54:75].min() > 0.5
    palm = np.linalg.norm(hand["right_hand_middle1"] - hand["right_hand_wrist"])
    assert 0.06 < palm < 0.13
    assert np.allclose(hand["right_hand_wrist"], got.xyz[NAMES.index("right_wrist")], atol=1e-6)
    assert got.confidence[75:].min() > 0.3
    corners = got.xyz[NAMES.index("mesh_33")] - got.xyz[NAMES.index("mesh_263")]
    assert np.linalg.norm(corners) == pytest.approx(0.089, abs=1e-4)
    assert np.allclose(got.xyz[NAMES.index("mesh_1")], got.xyz[0], atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.5, 3.0, -2.0])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_box_from_axis_turns_and_grows_with_the_body(angle, scale):
    up = np.array([math.sin(angle), -math.cos(angle)])
    end = np.array([30.0, 40.0]) + 100 * scale * up
    box = box_from_axis((30.0, 40.0), (end[0], end[1]), score=0.5)
    assert (box.x, box.y, box.side) == pytest.approx((30, 40, 250 * scale))
    assert math.sin(box.angle - angle) == pytest.approx(0, abs=1e-9)
    assert math.cos(box.angle - angle) == pytest.approx(1)


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (700, 700), (300, 2000), (100, 90)])
def test_tiles_cover_the_picture_twice_over(size):
    width, height = size
    found = tiles(width, height)
    for side in {tile[2] for tile in found}:
        assert side >= MIN_TILE
        covered = np.zeros((height, width), int)
        for x, y, _ in [tile for tile in found if tile[2] == side]:
            assert 0 <= x <= width - side and 0 <= y <= height - side
            covered[y : y + side, x : x + side] += 1
        assert covered.min() >= 1
        lefts = sorted({tile[0] for tile in found if tile[2] == side})
        assert all(b - a <= side / 2 + 1 for a, b in pairwise(lefts))


def test_distinct_keeps_the_best_of_each():
    rng = np.random.default_rng(0)
    people = [(100, 100), (400, 120), (300, 400)]
    boxes = [
        PersonBox(x + rng.normal(0, 4), y + rng.normal(0, 4), 200, 0, float(rng.uniform(0.3, 1)))
        for x, y in people
        for _ in range(5)
    ]
    kept = distinct(boxes)
    assert len(kept) == 3
    for x, y in people:
        own = [b for b in boxes if math.dist((b.x, b.y), (x, y)) < 50]
        assert max(own, key=lambda b: b.score) in kept


def test_opening_keeps_nothing_that_its_callers_hold():
    # In a process of its own: only the first import of mediapipe could.
    code = """
import gc, weakref
from humanmotion.recovery.detection import MediaPipeDetector

class Held: ...

def caller():
    held = Held()
    MediaPipeDetector().close()
    return weakref.ref(held)

left = caller()
gc.collect()
raise SystemExit(left() is not None)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
