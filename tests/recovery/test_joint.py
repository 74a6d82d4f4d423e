"""The joint optimisation: its slopes are those of what it counts, and errors put in come out again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.body.carried_points import positions
from humanmotion.recovery import joint, joint_terms
from humanmotion.recovery.detector_noise import NONE, watch
from humanmotion.recovery.joint import optimise
from humanmotion.recovery.joint_problem import Evidence, Problem, Terms
from humanmotion.recovery.joint_terms import (
    FRAME,
    SHAPE,
    SHOT,
    Standing,
    World,
    contact_terms,
    running_mean,
    velocity_terms,
    world_columns,
)
from humanmotion.recovery.landmark_terms import observe
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.virtual_cameras import film
from humanmotion.rotations import geodesic_distance, rotation_about_z, rotvec_to_matrix

FPS, SIZE, FRAMES, CUT = 30.0, (1280, 720), 60, 30


@pytest.fixture(scope="module")
def scene(body, walk) -> tuple[World, Evidence]:
    """A walk in two standing shots: the truth, and what a detector without error says of it."""
    rotations, transl = walk[0][:FRAMES].float(), walk[1][:FRAMES].float()
    joints = body.joints(rotations, transl=transl)
    marks = body.landmarks("mediapipe_33", rotations, transl=transl)
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        shots = film(joints[:, 0], cuts=(CUT,), fps=FPS, size=SIZE, generator=generator)
        if all(s.kind == "static" for s in shots):
            break
    seen = watch(marks, joints, shots, fps=FPS, noise=NONE, generator=generator)
    seen = replace(seen, times=seen.times.float())
    R, t, K = (torch.cat([getattr(s.camera, n) for s in shots]) for n in ("R_w2c", "t_w2c", "K"))
    world = World(rotations, joints[:, 0], R, -(R.mT @ t[..., None])[..., 0],
                  torch.zeros(FRAMES, 7), torch.zeros(10))  # fmt: skip
    shot_id = (torch.arange(FRAMES) >= CUT).long()
    standing = Standing(torch.zeros(FRAMES, 2), torch.zeros(FRAMES, 2))
    still = torch.ones(FRAMES, dtype=torch.bool)
    velocity = (rotations[1:, 0].mT @ (FPS * joints[:, 0].diff(dim=0))[..., None])[..., 0]
    guess = PoseGuess(
        rotations=world.seen(body).rotations[:, :22], up=R[..., 2], contact=torch.zeros(FRAMES, 2),
        velocity=torch.cat((velocity[:1], velocity)),
    )  # fmt: skip
    return world, Evidence(observe(seen, K, shot_id), guess, standing, still, 0.2 * still)


def _away(a: World, b: World) -> float:
    """Largest distance of the pelvis, metres."""
    return float((a.pelvis - b.pelvis).norm(dim=-1).max())


def _disturbed(world: World) -> World:
    """The second shot turned by 6 degrees and half a metre off, camera and body alike; noisy joints."""
    turn = rotation_about_z(torch.tensor(math.radians(6.0)))
    shift = torch.tensor((0.4, -0.3, 0.0))
    later = torch.arange(FRAMES) >= CUT
    moved = later[:, None, None]
    rotations = world.rotations.clone()
    rotations[:, 0] = torch.where(moved, turn @ rotations[:, 0], rotations[:, 0])
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(FRAMES, 21, 3, generator=generator)
    rotations[:, 1:22] = rotations[:, 1:22] @ rotvec_to_matrix(noise)

    def placed(places):
        return torch.where(later[:, None], places @ turn.T + shift, places)

    R = torch.where(moved, world.R_w2c @ turn.T, world.R_w2c)
    return replace(world, rotations=rotations, pelvis=placed(world.pelvis), R_w2c=R,
                   centre=placed(world.centre))  # fmt: skip


LENS_KNOWN = Terms(lens=False)
"""A lens trades against distance: free, it goes where motion is smoothest, a few per cent away."""


def test_the_truth_stays_and_a_disturbed_world_comes_back(body, scene) -> None:
    world, evidence = scene
    stayed = optimise(world, evidence, body=body, prior=None, terms=LENS_KNOWN)
    assert _away(stayed, world) < 0.1
    start = _disturbed(world)
    assert _away(start, world) > 0.3
    found = optimise(start, evidence, body=body, prior=None, terms=LENS_KNOWN)
    assert _away(found, stayed) < 0.08
    for one, other, most in ((stayed, world, 2.0), (found, stayed, 1.5)):
        turned = geodesic_distance(one.R_w2c, other.R_w2c)
        assert math.degrees(float(turned.max())) < most


def test_in_windows_it_finds_about_the_same(body, scene, monkeypatch) -> None:
    world, evidence = scene
    start = _disturbed(world)
    monkeypatch.setattr(joint, "WINDOW", 30)
    assert len(list(joint._windows(evidence.seen.shot_id))) == 2
    parts = optimise(start, evidence, body=body, prior=None, terms=LENS_KNOWN)
    assert _away(parts, world) < 0.15


def test_windows_hold_every_frame_once_and_end_with_shots(monkeypatch) -> None:
    monkeypatch.setattr(joint, "WINDOW", 100)
    shot_id = torch.arange(4).repeat_interleave(torch.tensor((90, 260, 70, 80)))
    parts = list(joint._windows(shot_id))
    assert parts[0] == (0, 90)
    assert [b for _, b in parts[:-1]] == [a for a, _ in parts[1:]]
    assert parts[-1][1] == len(shot_id)
    assert max(b - a for a, b in parts) <= 150


@pytest.mark.parametrize("term", ["cameras", "lens", "shape"])
def test_what_may_not_change_does_not(body, scene, term: str) -> None:
    world, evidence = scene
    start = _disturbed(world)
    free = optimise(start, evidence, body=body, prior=None)
    found = optimise(start, evidence, body=body, prior=None, terms=Terms(**{term: False}))
    parts = {"cameras": lambda w: w.camera[:, :6], "lens": lambda w: w.camera[:, 6],
             "shape": lambda w: w.betas}  # fmt: skip
    part = parts[term]
    assert float(part(found).abs().max()) < 1e-4
    assert float(part(free).abs().max()) > 1e-3


def test_columns_are_slopes_of_what_is_seen(body, scene) -> None:
    """Against differences of the landmarks in camera axes, for turns, places, camera and all."""
    world, evidence = scene
    world = world[slice(20, 24)]
    for still in (True, False):
        held = torch.full((4,), still)
        problem = Problem(replace(evidence[slice(20, 24)], still=held), body, None, Terms(), 0)
        columns = world_columns(world, still=held)
        for unknown in (0, 1, 2, 20, 67, 68, 70, 72, 73, 74, 75, 77):
            ends = []
            for sign in (1.0, -1.0):
                frames, shared = torch.zeros(4, FRAME), torch.zeros(SHOT + SHAPE)
                if unknown < FRAME:
                    frames[:, unknown] = sign * 1e-3
                else:
                    shared[unknown - FRAME] = sign * 1e-3
                ends.append(problem._moved(world, frames, shared).seen(body))
            a, b = ends
            change = (positions(a.marks, a.rotations, a.pelvis)
                      - positions(b.marks, b.rotations, b.pelvis)) / 2e-3  # fmt: skip
            told = _carried(world.seen(body), columns[..., unknown])
            if unknown in ((70,) if still else (75, 77)):
                assert not columns[..., unknown].any()
            else:
                torch.testing.assert_close(told, change, atol=3e-3, rtol=0)


def _carried(state, column):
    """Change of the landmarks `(T, L, 3)` by a small step of the 69 numbers of a body."""
    from humanmotion.body.carried_points import positions_and_jacobian

    _, slope = positions_and_jacobian(state.marks, state.rotations, state.pelvis)
    turned = (slope.flatten(-2) @ column[:, None, :66, None])[..., 0]
    return turned + column[:, None, 66:69]


def _energy_slope(energy, world: World, frame: int, unknown: int) -> float:
    ends = []
    for sign in (1.0, -1.0):
        step = torch.zeros(len(world.pelvis), 69, dtype=torch.float64)
        step[frame, unknown] = sign * 1e-4
        rotations = world.rotations.double().clone()
        turn = rotvec_to_matrix(step[:, :66].unflatten(-1, (22, 3)))
        rotations[:, :22] = turn @ rotations[:, :22]
        moved = replace(world, rotations=rotations, pelvis=world.pelvis.double() + step[:, 66:])
        ends.append(float(energy(moved)))
    return (ends[0] - ends[1]) / 2e-4


def test_a_velocity_pulls_down_its_own_energy(body, scene) -> None:
    world = scene[0][slice(0, 6)]
    off = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)) * 0.1
    # Nothing lasts, or the whole second would count for less.
    off -= off.mean(0)
    steps = (world.rotations[1:, 0].mT @ (FPS * world.pelvis.diff(dim=0) + off)[..., None])[..., 0]
    velocity, sure = torch.cat((steps[:1], steps)), torch.ones(5)

    def energy(w: World):
        told = (w.rotations[1:, 0] @ velocity[1:, :, None].to(w.pelvis.dtype))[..., 0] / FPS
        off = (w.pelvis.diff(dim=0) - told) * FPS / 0.15
        return 0.5 * 9 * ((off**2).sum(-1) / (9 + (off**2).sum(-1))).sum()

    _, _, right = velocity_terms(world, velocity, sure=sure, fps=FPS)
    for frame, unknown in ((2, 0), (2, 2), (3, 66), (3, 67), (0, 66), (5, 68)):
        slope = _energy_slope(energy, world, frame, unknown)
        assert float(right[frame, unknown]) == pytest.approx(-slope, rel=0.02, abs=0.05)


def test_a_running_mean_is_the_mean_of_what_is_near() -> None:
    generator = torch.Generator().manual_seed(2)
    assert running_mean(torch.zeros(0, 3), torch.zeros(0), frames=10).shape == (0, 3)
    values, weight = torch.randn(40, 3, generator=generator), torch.rand(40, generator=generator)
    weight[10:25] = 0
    found = running_mean(values, weight, frames=10)
    for t in range(40):
        near = slice(max(t - 5, 0), t + 6)
        count = weight[near].sum()
        mean = (values[near] * weight[near, None]).sum(0) / count if count > 0 else torch.zeros(3)
        torch.testing.assert_close(found[t], mean, atol=1e-5, rtol=1e-4)


def test_a_gait_that_is_misjudged_all_along_does_not_hold_the_path_back(
    body, scene, monkeypatch
) -> None:
    world, evidence = scene
    slow = replace(evidence.guess, velocity=0.1 * evidence.guess.velocity)

    def length(guess: PoseGuess, terms: Terms) -> float:
        told = replace(evidence, guess=guess)
        found = optimise(world, told, body=body, prior=None, terms=replace(terms, lens=False))
        return float((found.pelvis[-1] - found.pelvis[0]).norm())

    true = float((world.pelvis[-1] - world.pelvis[0]).norm())
    assert length(evidence.guess, Terms()) == pytest.approx(true, rel=0.05)
    untold = length(slow, Terms(velocity=False))
    assert length(slow, Terms()) == pytest.approx(untold, rel=0.05)
    monkeypatch.setattr(joint_terms, "LASTING_SIGMA", 1e3)
    assert length(slow, Terms()) < 0.9 * untold


def test_standing_feet_hold(body, scene) -> None:
    """Both feet told to stand on the floor while the body drifts: one step takes the drift out."""
    world, _ = scene
    one = world[slice(0, 1)].map(lambda v: v.expand(20, *v.shape[1:]).clone())
    drift = torch.linspace(0, 0.02, 20)[:, None] * torch.tensor((1.0, 0.0, 0.0))
    moved = replace(one, pelvis=one.pelvis + drift)
    height = positions(one.feet(body), one.rotations, one.pelvis)[..., 2] + 0.01
    standing = Standing(torch.ones(20, 2), height)
    blocks, below, right = contact_terms(
        moved, standing, body, followed=torch.ones(19, dtype=torch.bool)
    )
    # Of all unknowns only the pelvis may move, and somebody's first step is held.
    own, across, pull = blocks[:, 66:, 66:], below[:, 66:, 66:], right[:, 66:]
    own[0] += 1e6 * torch.eye(3) * torch.tensor((1.0, 1.0, 0.0))
    size = own.new_zeros(60, 60)
    for t in range(20):
        size[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] = own[t]
    for t in range(19):
        size[3 * t + 3 : 3 * t + 6, 3 * t : 3 * t + 3] = across[t]
        size[3 * t : 3 * t + 3, 3 * t + 3 : 3 * t + 6] = across[t].T
    step = torch.linalg.solve(size.double(), pull.double().flatten()).reshape(20, 3)
    torch.testing.assert_close(step[:, 0], -drift[:, 0].double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(step[:, 2], torch.full((20,), 0.01).double(), atol=1e-3, rtol=0)


def test_a_guess_of_standing_and_velocity_leads_where_the_lens_misleads(body, scene) -> None:
    """Someone who stands, seen by a lens taken for half of what it is while bending: depth drifts."""
    world, evidence = scene
    one = world[slice(0, 1)].map(lambda v: v.expand(FRAMES, *v.shape[1:]).clone())
    guess = PoseGuess(rotations=one.seen(body).rotations[:, :22], up=torch.zeros(FRAMES, 3),
                      contact=torch.ones(FRAMES, 2), velocity=torch.zeros(FRAMES, 3))  # fmt: skip
    drift = torch.linspace(0, 1.0, FRAMES)[:, None] * one.R_w2c[0, 2]
    start = replace(one, pelvis=one.pelvis + drift)
    seen = replace(evidence.seen, weight2d=0 * evidence.seen.weight2d,
                   shot_id=torch.zeros_like(evidence.seen.shot_id))  # fmt: skip
    blind = replace(evidence, seen=seen, guess=guess)
    paths = [
        optimise(start, blind, body=body, prior=None, terms=Terms(velocity=on)).pelvis
        for on in (True, False)
    ]
    moved = [float((p[-1] - p[0]).norm()) for p in paths]
    assert moved[0] < 0.05
    assert moved[1] > 0.5


def test_a_lens_that_is_known_stays(body, scene) -> None:
    world, evidence = scene
    known = replace(evidence, lens_sigma=0 * evidence.lens_sigma)
    found = optimise(_disturbed(world), known, body=body, prior=None)
    assert float(found.camera[:, 6].abs().max()) < 1e-3


def test_cameras_that_are_known_stay_in_every_window(body, scene, monkeypatch) -> None:
    world, evidence = scene
    turn = rotation_about_z(torch.tensor(0.15))
    rotations = world.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    monkeypatch.setattr(joint, "WINDOW", 30)
    fixed = Terms(cameras=False, lens=False)
    start = replace(world, rotations=rotations)
    found = optimise(start, evidence, body=body, prior=None, terms=fixed)
    assert float((found.R_w2c - world.R_w2c).abs().max()) < 1e-4
    assert float((found.centre - world.centre).abs().max()) < 1e-3
    assert _away(found, world) < 0.15


def test_a_window_without_the_person_says_nothing_of_the_shape(body, scene, monkeypatch) -> None:
    world, evidence = scene
    monkeypatch.setattr(joint, "WINDOW", 30)
    there = (torch.arange(FRAMES) >= CUT).float()[:, None]
    seen = replace(
        evidence.seen,
        confidence=evidence.seen.confidence * there,
        weight2d=evidence.seen.weight2d * there,
        weight3d=evidence.seen.weight3d * there[..., None],
    )
    start = replace(world, betas=torch.full((10,), 0.8))
    late = optimise(start, replace(evidence, seen=seen), body=body, prior=None)
    free = optimise(start[slice(CUT, None)], replace(evidence, seen=seen)[slice(CUT, None)],
                    body=body, prior=None)  # fmt: skip
    # The truth has the mean shape: pictures pull towards it, and only they do.
    assert float(late.betas.abs().mean()) < 0.7
    assert float(free.betas.abs().mean()) < 0.7
    nobody = replace(seen, confidence=0 * seen.confidence, weight2d=0 * seen.weight2d,
                     weight3d=0 * seen.weight3d)  # fmt: skip
    blind = optimise(start, replace(evidence, seen=nobody), body=body, prior=None)
    assert float((blind.betas - 0.8).abs().max()) < 1e-3
