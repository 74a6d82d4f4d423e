"""Up in the picture: exact for exact bodies, robust to people who do not stand, honest about doubt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.recovery.gravity import (
    Witness,
    gravity_view,
    known_gravity,
    shot_gravity,
    untilt,
)
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shot_view import Seen, shot_frame
from humanmotion.rotations import rotvec_to_matrix

LEVEL = torch.tensor(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
"""World z up to a level camera that looks along y."""


def _camera(pitch_deg: float, roll_deg: float) -> torch.Tensor:
    """World-to-camera rotation of a camera pitched down and rolled."""
    pitch = rotvec_to_matrix(torch.tensor((math.radians(pitch_deg), 0.0, 0.0)))
    roll = rotvec_to_matrix(torch.tensor((0.0, 0.0, math.radians(roll_deg))))
    return roll @ pitch @ LEVEL


def _witness(joints: torch.Tensor, R: torch.Tensor, *, ground: bool = True) -> Witness:
    """Bodies 4 m in front of a camera 1.5 m high."""
    seen = (joints + torch.tensor((0.0, 4.0, -1.5))) @ R.T
    return Witness(seen, seen[:, [10, 11]], torch.ones(len(seen)), fps=30.0, up=None, ground=ground)


def _degrees_apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.degrees(float(torch.linalg.cross(a, b).norm().atan2(a @ b)))


@pytest.fixture(scope="module")
def joints(body, walk):
    return body.joints(walk[0], transl=walk[1])


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (5, 0), (20, -8), (-8, 6), (30, 22)])
def test_a_walk_tells_up_whichever_way_the_camera_is_held(joints, pitch, roll) -> None:
    R = _camera(pitch, roll)
    found = shot_gravity([_witness(joints, R)])
    assert _degrees_apart(found.up, R[:, 2]) < 5.0
    assert math.degrees(found.roll_sigma_rad) < 4.0


def test_nobody_leaves_the_prior() -> None:
    found = shot_gravity([])
    assert _degrees_apart(found.up, _camera(5, 0)[:, 2]) < 0.1
    assert math.degrees(found.pitch_sigma_rad) == pytest.approx(15.0, abs=0.1)


def test_known_up_is_taken_as_it_is_and_bodies_that_contradict_it_cost(joints) -> None:
    R = _camera(20, -8)
    witness = _witness(joints, R)
    right, wrong = (known_gravity(up, [witness]) for up in (2 * R[:, 2], _camera(20, 40)[:, 2]))
    assert torch.allclose(right.up, R[:, 2], atol=1e-6)
    assert right.pitch_sigma_rad == right.roll_sigma_rad == 0
    assert wrong.cost > right.cost + 1
    estimated = shot_gravity([witness])
    assert right.cost >= estimated.cost - 1e-3


def test_somebody_lying_does_not_turn_the_world_over(joints) -> None:
    R = _camera(10, 3)
    lying = joints[:60] @ rotvec_to_matrix(torch.tensor((0.0, math.pi / 2, 0.0))).T
    found = shot_gravity([_witness(lying, R)])
    assert _degrees_apart(found.up, R[:, 2]) < 20.0


def test_one_who_stands_outvotes_one_who_lies(joints) -> None:
    R = _camera(10, 15)
    lying = joints[:60] @ rotvec_to_matrix(torch.tensor((0.0, math.pi / 2, 0.0))).T
    found = shot_gravity([_witness(lying, R), _witness(joints, R)])
    assert _degrees_apart(found.up, R[:, 2]) < 8.0


def test_ground_walked_over_beats_bodies_that_lean(joints) -> None:
    """Every body tilted 10 degrees towards the camera; the places of the feet are right."""
    R = _camera(12, 0)
    path = torch.stack((torch.zeros(240), torch.linspace(-1.5, 3, 240), torch.zeros(240)), -1)
    upright = joints - joints[:, :1] * torch.tensor((1.0, 1.0, 0.0)) + path[:, None]
    pivot = upright[:, [10, 11]].mean(1, keepdim=True)
    lean = rotvec_to_matrix(torch.tensor((math.radians(10), 0.0, 0.0)))
    leaning = (upright - pivot) @ lean.T + pivot
    with_ground = shot_gravity([_witness(leaning, R)])
    without = shot_gravity([_witness(leaning, R, ground=False)])
    assert _degrees_apart(with_ground.up, R[:, 2]) < 4.0
    assert _degrees_apart(without.up, R[:, 2]) > 4.5
    assert with_ground.pitch_sigma_rad < without.pitch_sigma_rad


def test_more_frames_never_make_it_less_sure(joints) -> None:
    R = _camera(5, 0)
    sigmas = [
        shot_gravity([_witness(joints[:n], R, ground=False)]).pitch_sigma_rad
        for n in (5, 20, 80, 240)
    ]
    assert sigmas == sorted(sigmas, reverse=True)


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (25, 10), (-15, -30), (89, 0), (90, 0)])
def test_gravity_view_is_a_rotation_with_z_up_and_the_view_ahead(pitch, roll) -> None:
    R = _camera(pitch, roll)
    turn = gravity_view(R[:, 2])
    assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-5)
    assert float(torch.linalg.det(turn)) == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(turn @ R[:, 2], torch.tensor((0.0, 0.0, 1.0)), atol=1e-5)
    ahead = turn @ torch.tensor((0.0, 0.0, 1.0))
    assert abs(float(ahead[0])) < 1e-4
    if pitch < 89:
        assert float(ahead[1]) > 0


def test_untilt_takes_out_a_common_lean_along_the_view_and_leaves_uprights(joints) -> None:
    lean = rotvec_to_matrix(torch.tensor((math.radians(-8), 0.0, 0.0)))
    weight = torch.ones(len(joints))
    pelvis = joints[:, :1]
    leaning = (joints - pelvis) @ lean.T + pelvis
    total = untilt(leaning, weight, fps=30.0) @ lean
    up = torch.tensor((0.0, 0.0, 1.0))
    assert _degrees_apart(total @ up, up) < 5.0
    assert _degrees_apart(untilt(joints, weight, fps=30.0) @ up, up) < 3.0
    assert torch.allclose(untilt(joints, weight * 0, fps=30.0), torch.eye(3))


def test_somebody_told_where_up_is_finds_it(body, walk) -> None:
    joints = body.joints(walk[0][:60], transl=walk[1][:60])
    # Somebody who leans all the time, by half a radian.
    leaning = (
        joints[:, :1] + (joints - joints[:, :1]) @ rotvec_to_matrix(torch.tensor((0.5, 0.0, 0.0))).T
    )
    R = _camera(12, 20)
    up = R[:, 2]
    for weight, helps in ((1.0, True), (0.2, False)):
        off = []
        for told in (None, up.expand(60, 3)):
            witness = replace(_witness(leaning, R, ground=False), up=told)
            witness = replace(witness, weight=torch.full((60,), weight))
            off.append(_degrees_apart(shot_gravity([witness]).up, up))
        # Where somebody is hardly seen, what is told of them does not count.
        assert off[1] < 0.6 * off[0] if helps else off[1] == off[0], off


def test_little_told_is_little_believed(body, walk) -> None:
    R = _camera(5, 0)
    joints = body.joints(walk[0][:60], transl=walk[1][:60])
    sigma = []
    for count in (1, 60):
        weight = torch.zeros(60)
        weight[:count] = 1.0
        witness = replace(_witness(joints, R, ground=False), up=R[:, 2].expand(60, 3))
        sigma.append(shot_gravity([replace(witness, weight=weight)]).pitch_sigma_rad)
    assert sigma[0] > 1.5 * sigma[1]


def test_what_a_turning_camera_is_told_is_turned_to_the_first_frame(body, walk) -> None:
    R = _camera(10, 0)
    up = R[:, 2]
    joints = body.joints(walk[0][:40], transl=walk[1][:40])
    first = (joints + torch.tensor((0.0, 4.0, -1.5))) @ R.T
    turn = rotvec_to_matrix(torch.linspace(0, 0.6, 40)[:, None] * torch.tensor((0.0, 0.0, 1.0)))
    seen = (turn.mT[:, None] @ first[..., None])[..., 0]
    off = []
    for told in ((turn.mT @ up[:, None])[..., 0], up.expand(40, 3)):
        track = PoseTrack(
            torch.eye(3).repeat(40, 55, 1, 1), torch.zeros(40, 3), torch.zeros(10),
            torch.zeros(40, 10), torch.ones(40, 55), torch.arange(40).double() / 30, told,
        )  # fmt: skip
        person = Seen(track, seen, torch.ones(40))
        frame = shot_frame([person], start=0, stop=40, still=True, R_c2c0=turn, fps=30.0)
        off.append(_degrees_apart(frame.gravity.up, up))
    assert off[0] < 1.5 and off[1] > off[0] + 2, off
