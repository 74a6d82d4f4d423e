"""How alike two sightings are: laws of place, pose and build."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from humanmotion.recovery.body_rows import body_rows
from humanmotion.recovery.likeness import (
    build_distance,
    pose_distance,
    proportions,
    share_within,
    step_between,
)

ROWS = body_rows("mediapipe_33")


@pytest.mark.parametrize("yaw", [0.3, 1.5, 3.0])
def test_a_pose_is_the_same_from_any_side(stick, yaw):
    """Turned, moved in the picture and with left taken for right: the same pose."""
    here = stick.sighting(100, 200, swing=0.7)
    there = stick.sighting(400, 240, swing=0.7, yaw=yaw)
    assert pose_distance(here, there, ROWS) == pytest.approx(0, abs=1e-5)
    swapped = there.xyz.copy()
    swapped[ROWS.limbs] = there.xyz[ROWS.limbs[:, ::-1]]
    assert pose_distance(here, replace(there, xyz=swapped), ROWS) == pytest.approx(0, abs=1e-5)


def test_poses_differ_more_the_farther_the_stride(stick):
    still = stick.sighting(100, 200)
    apart = [pose_distance(still, stick.sighting(0, 0, swing=s), ROWS) for s in (0, 0.5, 1, 2)]
    assert apart == sorted(apart) and apart[0] < 1e-5 < apart[1]
    stride = stick.sighting(0, 0, swing=1.0)
    assert pose_distance(stride, still, ROWS) == pytest.approx(pose_distance(still, stride, ROWS))


def test_build_is_read_from_any_side_and_grows_with_size(stick):
    seen = [stick.sighting(100, 200, yaw=yaw) for yaw in (0, 1, 2)]
    built = proportions(seen, ROWS)
    assert np.allclose(built, proportions(seen[:1], ROWS), atol=1e-5)
    larger = [replace(s, xyz=1.2 * s.xyz) for s in seen]
    assert np.allclose(proportions(larger, ROWS) - built, np.log(1.2), atol=1e-5)
    assert build_distance(proportions(larger, ROWS), built) == pytest.approx(np.log(1.2), abs=1e-5)
    assert build_distance(built, built) == 0


def test_without_3d_everybody_is_built_alike(stick):
    flat = replace(stick.sighting(100, 200), xyz=np.zeros((33, 3), np.float32))
    assert build_distance(proportions([flat], ROWS), proportions([flat, flat], ROWS)) == 0
    assert pose_distance(flat, flat, ROWS) == 0


def test_a_step_is_in_sides_of_the_square(stick):
    here, there = stick.sighting(100, 200), stick.sighting(125, 200)
    assert step_between(here, there, ROWS) == pytest.approx(25 / here.box.side, abs=1e-5)
    unseen = replace(there, confidence=np.zeros(33, np.float32))
    assert step_between(here, unseen, ROWS) == float("inf")


def test_a_share_is_of_the_first(stick):
    small, large = stick.sighting(200, 200, tall=80), stick.sighting(200, 200, tall=240)
    assert share_within(small, large) == pytest.approx(1)
    assert share_within(large, small) == pytest.approx(1 / 9, abs=1e-4)
    assert share_within(small, stick.sighting(600, 200)) == 0
