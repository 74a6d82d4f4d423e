"""Resection: cameras moved by a known amount come back, and what it minimises is at its least."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.camera import intrinsics, project
from humanmotion.recovery.focal import FocalEstimate
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.resection import (
    BODY_JOINTS,
    PIXEL_SIGMA,
    SHIFT_SIGMA,
    TURN_SIGMA,
    resect,
)
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.world import WorldResult
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z, rotvec_to_matrix

FRAMES = 60
SHOTS = (Shot(0, 30), Shot(30, 60))
K = intrinsics(900.0, width=1280, height=720).expand(FRAMES, 3, 3)


def _looking(azimuth: float) -> tuple[torch.Tensor, torch.Tensor]:
    centre = torch.tensor((6 * math.cos(azimuth), 6 * math.sin(azimuth), 1.4))
    forward = torch.nn.functional.normalize(torch.tensor((0.0, 0.0, 0.9)) - centre, dim=0)
    right = torch.linalg.cross(forward, torch.tensor((0.0, 0.0, 1.0)))
    right = torch.nn.functional.normalize(right, dim=0)
    R = torch.stack((right, torch.linalg.cross(forward, right), forward))
    return R, -R @ centre


@pytest.fixture(scope="module")
def cameras() -> tuple[torch.Tensor, torch.Tensor]:
    """True `R_w2c` and `t_w2c`: a camera that turns by 0.2 rad, then one that stands."""
    turning = [_looking(-1.2)] * 30
    pan = [rotvec_to_matrix(torch.tensor((0.0, 0.2 * (i / 29 - 0.5), 0.0))) for i in range(30)]
    views = [(P @ R, P @ t) for P, (R, t) in zip(pan, turning, strict=True)]
    views += [_looking(0.4)] * 30
    return torch.stack([R for R, _ in views]), torch.stack([t for _, t in views])


@pytest.fixture(scope="module")
def seen(body, walk, cameras) -> tuple[WorldPerson, PoseTrack]:
    """A person in the world, and the same person exactly as these cameras see them."""
    rotations, transl = (value[:FRAMES].float() for value in walk)
    transl = transl - transl.mean(0) * torch.tensor((1.0, 1.0, 0.0))
    R, t = cameras
    pelvis = transl + body.rest_joints()[0]
    inside = rotations.clone()
    inside[:, 0] = R @ rotations[:, 0]
    track = PoseTrack(
        rotations=inside,
        transl=(R @ pelvis[..., None])[..., 0] + t - body.rest_joints()[0],
        betas=torch.zeros(10),
        expression=torch.zeros(FRAMES, 10),
        confidence=torch.ones(FRAMES, 55),
        times=torch.arange(FRAMES) / 30.0,
    )
    return WorldPerson(rotations, transl, torch.zeros(FRAMES, 2)), track


def _moved(cameras, turn, shift) -> tuple[torch.Tensor, torch.Tensor]:
    """The cameras turned about their own centre, then shifted, in world axes."""
    R, t = cameras
    centre = -(R.mT @ t[..., None])[..., 0] + torch.tensor(shift)
    R = R @ rotvec_to_matrix(torch.tensor(turn))
    return R, -(R @ centre[..., None])[..., 0]


def _world(people, R, t) -> WorldResult:
    return WorldResult(tuple(people), R, t, (), ((False, False),) * len(people), (0.1, 0.1))


def _motions(kinds=("pan", "static")) -> tuple[CameraMotion, ...]:
    return tuple(
        CameraMotion(
            kind=kind,
            R_c2c0=torch.eye(3).expand(30, 3, 3),
            t_c2c0=torch.zeros(30, 3),
            flow_px=torch.zeros(30),
            confidence=1.0,
            focal=FocalEstimate(900.0, 0.0, "given"),
            warnings=(),
        )
        for kind in kinds
    )


def _resect(world, tracks, body, kinds=("pan", "static")) -> WorldResult:
    return resect(world, tracks, K=K, shots=SHOTS, cameras=_motions(kinds), body=body)


def _apart(R, other) -> float:
    return math.degrees(float(matrix_to_rotvec(R @ other.mT).norm(dim=-1).max()))


def _centre(R, t) -> torch.Tensor:
    return -(R.mT @ t[..., None])[..., 0]


@pytest.mark.parametrize(
    ("turn", "shift"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.02, -0.03, 0.04), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.1, -0.15, 0.08)),
        ((-0.04, 0.02, 0.05), (-0.2, 0.1, 0.05)),
    ],
)
def test_a_camera_moved_by_a_little_comes_back(turn, shift, cameras, seen, body) -> None:
    """To what the prior, which would rather have it unmoved, leaves of some 3 degrees."""
    person, track = seen
    R, t = _moved(cameras, turn, shift)
    found = _resect(_world([person], R, t), [track], body)
    assert _apart(found.R_w2c, cameras[0]) < 0.2
    assert (_centre(found.R_w2c, found.t_w2c) - _centre(*cameras)).norm(dim=-1).max() < 0.02
    points = body.joints(person.rotations, transl=person.transl)[:, :BODY_JOINTS]
    pixels = [
        project(points @ a.mT + b[:, None], K) for a, b in (cameras, (found.R_w2c, found.t_w2c))
    ]
    assert (pixels[0] - pixels[1]).norm(dim=-1).max() < 0.5
    assert found.people == (person,)


def test_the_pan_keeps_its_own_motion(cameras, seen, body) -> None:
    person, track = seen
    R, t = _moved(cameras, (0.03, 0.02, -0.02), (0.1, 0.0, 0.0))
    found = _resect(_world([person], R, t), [track], body)
    # One turn and one shift for the shot: from frame to frame nothing changes.
    own, before = (X[1:30] @ X[:29].mT for X in (found.R_w2c, R))
    assert torch.allclose(own, before, atol=1e-5)
    assert _centre(found.R_w2c, found.t_w2c)[:30].std(0).max() < 1e-5


def test_a_moving_camera_is_left_alone(cameras, seen, body) -> None:
    person, track = seen
    R, t = _moved(cameras, (0.02, -0.03, 0.04), (0.1, 0.0, 0.0))
    found = _resect(_world([person], R, t), [track], body, ("moving", "static"))
    assert torch.equal(found.R_w2c[:30], R[:30]) and torch.equal(found.t_w2c[:30], t[:30])
    assert _apart(found.R_w2c[30:], cameras[0][30:]) < 0.2


def test_a_shot_in_which_nobody_is_seen_is_left_alone(cameras, seen, body) -> None:
    person, track = seen
    confidence = track.confidence.clone()
    confidence[:30] = 0
    R, t = _moved(cameras, (0.02, -0.03, 0.04), (0.1, 0.0, 0.0))
    found = _resect(_world([person], R, t), [replace(track, confidence=confidence)], body)
    assert torch.equal(found.R_w2c[:30], R[:30]) and torch.equal(found.t_w2c[:30], t[:30])
    assert _apart(found.R_w2c[30:], cameras[0][30:]) < 0.2


def test_the_first_person_decides(cameras, seen, body) -> None:
    """Somebody else placed half a metre off hardly moves the camera."""
    person, track = seen
    other = replace(person, transl=person.transl + torch.tensor((0.0, 0.5, 0.0)))
    found = _resect(_world([person, other], *cameras), [track, track], body)
    assert (_centre(found.R_w2c, found.t_w2c) - _centre(*cameras)).norm(dim=-1).max() < 0.1
    swapped = _resect(_world([other, person], *cameras), [track, track], body)
    moved = _centre(swapped.R_w2c, swapped.t_w2c) - _centre(*cameras)
    assert moved.norm(dim=-1).max() > 0.2


def test_what_is_found_is_the_least_of_what_is_written_down(cameras, seen, body) -> None:
    """The cost, term by term as the module says it, grows whichever way the camera is moved on."""
    person, track = seen
    bent = person.rotations.clone()
    # The world's person differs from the seen one, so that there is an error left to share out.
    bent[:, [1, 5, 16]] = rotation_about_z(torch.tensor(0.25)) @ bent[:, [1, 5, 16]]
    person = replace(person, rotations=bent, transl=person.transl + torch.tensor((0.05, 0, 0.03)))
    R, t = _moved(cameras, (0.03, -0.02, 0.02), (0.15, -0.1, 0.1))
    found = _resect(_world([person], R, t), [track], body)
    points = body.joints(person.rotations, transl=person.transl)[30:, :BODY_JOINTS].double()
    inside = body.joints(track.rotations, transl=track.transl)[30:, :BODY_JOINTS].double()
    goal, start, centre = (
        project(inside, K[30:].double()),
        R[30].double(),
        _centre(R, t)[30].double(),
    )

    def cost(turn: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        new = start @ turn
        cam = (points - centre - shift) @ new.T
        scale = 900.0 / cam[..., 2]
        off = (project(cam, K[30:].double()) - goal).norm(dim=-1) / (PIXEL_SIGMA * scale)
        # Geman and McClure's robust square, of three sigmas; one second is one sighting.
        data = (off**2 / (1 + off**2 / 9)).sum() / len(points)
        held = (matrix_to_rotvec(turn) / TURN_SIGMA).square().sum()
        return data + held + (shift / SHIFT_SIGMA).square().sum()

    turn = start.T @ found.R_w2c[30].double()
    shift = _centre(found.R_w2c, found.t_w2c)[30].double() - centre
    least = float(cost(turn, shift))
    assert least < 0.7 * float(cost(torch.eye(3).double(), torch.zeros(3).double()))
    for axis in torch.eye(3).double():
        for size in (-1.0, 1.0):
            assert least < float(cost(rotvec_to_matrix(0.01 * size * axis) @ turn, shift))
            assert least < float(cost(turn, shift + 0.05 * size * axis))
