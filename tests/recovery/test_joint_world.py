"""The optimisation over all shots reads what was seen as the joined world decided."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.keypoints import Keypoints
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.detector_noise import NONE, exchanged, watch
from humanmotion.recovery.flip import reverse_depth
from humanmotion.recovery.focal import FocalEstimate
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.joint_world import Look, optimise_world
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.virtual_cameras import film
from humanmotion.recovery.world import WorldResult
from humanmotion.rotations import geodesic_distance

FPS, FRAMES, CUT = 30.0, 60, 30
SHOTS = (Shot(0, CUT), Shot(CUT, FRAMES))


@pytest.fixture(scope="module")
def scene(body, walk):
    """The true world of a walk in two standing shots, and how it is seen without error."""
    rotations, transl = walk[0][:FRAMES].float(), walk[1][:FRAMES].float()
    joints = body.joints(rotations, transl=transl)
    marks = body.landmarks("mediapipe_33", rotations, transl=transl)
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        shots = film(joints[:, 0], cuts=(CUT,), fps=FPS, size=(1280, 720), generator=generator)
        if all(s.kind == "static" for s in shots):
            break
    seen = watch(marks, joints, shots, fps=FPS, noise=NONE, generator=generator)
    R, t, K = (torch.cat([getattr(s.camera, n) for s in shots]) for n in ("R_w2c", "t_w2c", "K"))
    inside = rotations.clone()
    inside[:, 0] = R @ rotations[:, 0]
    rest = body.rest_joints()[0]
    place = (R @ joints[:, 0, :, None])[..., 0] + t - rest
    track = PoseTrack(inside, place, torch.zeros(10), torch.zeros(FRAMES, 10),
                      torch.ones(FRAMES, 55), seen.times)  # fmt: skip
    step = FPS * joints[:, 0].diff(dim=0, prepend=joints[:1, 0])
    velocity = (rotations[:, 0].mT @ step[..., None])[..., 0]
    guess = PoseGuess(inside[:, :22], R[..., 2], torch.zeros(FRAMES, 2), velocity)
    cut = CutAlignment(CUT, 0.0, 0.1, False, 0.0, (0.0, 0.0, 0.0), 0.0, 1)
    person = WorldPerson(rotations, transl, torch.zeros(FRAMES, 2))
    world = WorldResult((person,), R, t, (cut,), ((False, False),), (0.1, 0.1))
    return world, Look(track, seen, guess), K


def _optimised(world: WorldResult, looks, K, body):
    still = CameraMotion(
        kind="static", R_c2c0=torch.eye(3).expand(CUT, 3, 3), t_c2c0=torch.zeros(CUT, 3),
        flow_px=torch.zeros(CUT), confidence=1.0, focal=FocalEstimate(900.0, 0.0, "given"),
        warnings=(),
    )  # fmt: skip
    return optimise_world(world, looks, K=K, shots=SHOTS, cameras=(still, still), body=body)


def _root_error_deg(found, world) -> float:
    turn = geodesic_distance(found.people[0].rotations[:, 0], world.people[0].rotations[:, 0])
    return math.degrees(float(turn.mean()))


def _reversed(look: Look, body) -> Look:
    """The second shot as a detector sees it that takes the back for the front."""
    track, points = look.track, look.keypoints
    pelvis = track.transl + body.rest_joints()[0]
    other = reverse_depth(track, pelvis=pelvis)
    later = torch.arange(FRAMES) >= CUT
    there = later[:, None].expand(FRAMES, 33)
    xyz = torch.where(there[..., None], points.xyz * torch.tensor((1.0, 1.0, -1.0)), points.xyz)
    seen = Keypoints(
        exchanged(points.xy, there), exchanged(points.confidence[..., None], there)[..., 0],
        points.times, points.joint_set, points.width, points.height, exchanged(xyz, there),
    )  # fmt: skip
    ray = torch.nn.functional.normalize(pelvis, dim=-1)
    rotations = torch.where(later[:, None, None, None], other.rotations, track.rotations)
    return Look(replace(track, rotations=rotations), seen, look.guess.decided(later, ray=ray))


def test_a_back_that_was_taken_for_a_front_stays_what_it_was_found_to_be(body, scene) -> None:
    world, look, K = scene
    plain = _optimised(world, [look], K, body)
    assert _root_error_deg(plain.world, world) < 3.0
    flipped = replace(world, flipped=((False, True),))
    found = _optimised(flipped, [_reversed(look, body)], K, body)
    assert _root_error_deg(found.world, world) < 6.0
    # Not told of the exchange, it would be dragged back.
    dragged = _optimised(world, [_reversed(look, body)], K, body)
    assert _root_error_deg(dragged.world, world) > 10.0


def test_somebody_else_does_not_move_the_cameras(body, scene) -> None:
    world, look, K = scene
    alone = _optimised(world, [look], K, body)
    person = world.people[0]
    other = replace(person, transl=person.transl + torch.tensor((0.4, 0.0, 0.0)))
    two = replace(world, people=(person, other), flipped=((False, False),) * 2)
    both = _optimised(two, [look, look], K, body)
    torch.testing.assert_close(both.world.R_w2c, alone.world.R_w2c)
    torch.testing.assert_close(both.world.t_w2c, alone.world.t_w2c)
    # The other one was half a metre from where these cameras see them, and is no more.
    apart = both.world.people[1].transl - both.world.people[0].transl
    assert float(apart.norm(dim=-1).max()) < 0.15


def test_a_raised_person_keeps_what_they_stand_on(body, scene) -> None:
    world, look, K = scene
    up = torch.tensor((0.0, 0.0, 1.2))
    person = replace(world.people[0], transl=world.people[0].transl + up)
    t = world.t_w2c - (world.R_w2c @ up)
    raised = replace(world, people=(person,), t_w2c=t)
    found = _optimised(raised, [look], K, body)
    height = found.world.people[0].transl[:, 2] - person.transl[:, 2]
    assert float(height.abs().max()) < 0.15
    assert float(found.world.people[0].contact.mean()) > 0.3


def test_without_the_first_person_in_a_shot_the_world_stays(body, scene) -> None:
    world, look, K = scene
    there = (torch.arange(FRAMES) < CUT).float()[:, None]
    hidden = replace(look, track=replace(look.track, confidence=look.track.confidence * there))
    found = _optimised(world, [hidden], K, body)
    assert found.world is world
