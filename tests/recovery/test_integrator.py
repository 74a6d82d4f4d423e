"""Paths, contacts and planted feet: what is right stays, what slides or sinks is put right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.body.floor import foot_shape
from humanmotion.body.planting import plant_feet
from humanmotion.metrics import (
    floor_penetration,
    foot_contact,
    foot_sliding,
    mpjpe,
    rte,
)
from humanmotion.recovery.integrator import Placed, integrate
from humanmotion.recovery.trajectory import PersonPath, solve_paths

FPS = 30.0


def _placed(rotations, transl, centre, *, noise: float = 0.0, body) -> Placed:
    """A body seen from `centre` `(T, 3)`, depth off by `noise` of the distance, slowly changing."""
    offset = transl + body.rest_joints()[0] - centre
    g = np.random.default_rng(0)
    wave = sum(g.normal() * np.sin(np.arange(len(offset)) / k) for k in (7, 13, 23))
    offset = offset * (1 + noise * torch.from_numpy(wave).float()[:, None])
    ones = torch.ones(len(offset))
    return Placed(rotations, torch.zeros(10), offset, ones, ones[:, None].repeat(1, 2))


def _run(people, body, *, still=True, shot_id=None):
    frames = len(people[0].offset)
    shot_id = np.zeros(frames, np.int64) if shot_id is None else shot_id
    return integrate(people, still=np.full(frames, still), shot_id=shot_id, fps=FPS, body=body)


@pytest.fixture(scope="module")
def camera(walk) -> torch.Tensor:
    return torch.tensor((0.5, -4.0, 1.4)).expand(len(walk[1]), 3)


def test_a_clean_walk_stays_what_it_was(body, walk, camera) -> None:
    rotations, transl = walk
    (person,), centre = _run([_placed(rotations, transl, camera, body=body)], body)
    truth = body.joints(rotations, transl=transl)
    got = body.joints(person.rotations, transl=person.transl)
    assert rte(got[:, 0], truth[:, 0]).mean() < 0.02
    assert mpjpe(got[:, :22], truth[:, :22]).mean() < 0.015
    assert float((centre[:, 2] - 1.4).abs().max()) < 0.03
    assert centre.diff(dim=0).abs().max() < 1e-3


def test_noisy_depth_leaves_feet_planted_and_the_path_better_than_it_came(
    body, walk, camera
) -> None:
    rotations, transl = walk
    placed = _placed(rotations, transl, camera, noise=0.05, body=body)
    (person,), _ = _run([placed], body)
    truth = body.joints(rotations, transl=transl)
    got = body.joints(person.rotations, transl=person.transl)
    naive = truth - truth[:, :1] + (placed.offset + camera)[:, None]
    sole = body.sole_offset()
    contact = foot_contact(truth, sole=sole, fps=FPS)
    assert rte(got[:, 0], truth[:, 0]).mean() < rte(naive[:, 0], truth[:, 0]).mean()
    assert foot_sliding(got, contact) < 0.25 * foot_sliding(naive, contact)
    assert floor_penetration(got, sole=sole).max() < 1e-4


@pytest.mark.parametrize("kind", ["travels", "cut"])
def test_the_camera_may_travel_or_jump_but_the_walk_goes_on(body, walk, camera, kind) -> None:
    rotations, transl = walk
    frames = len(transl)
    shot_id = np.zeros(frames, np.int64)
    if kind == "travels":
        centre = camera + torch.linspace(0, 2, frames)[:, None] * torch.tensor((1.0, 0.3, 0.0))
    else:
        centre = camera.clone()
        centre[120:] = torch.tensor((-2.0, 5.0, 2.2))
        shot_id[120:] = 1
    placed = _placed(rotations, transl, centre, body=body)
    (person,), found = _run([placed], body, still=kind == "cut", shot_id=shot_id)
    truth = body.joints(rotations, transl=transl)
    got = body.joints(person.rotations, transl=person.transl)
    assert rte(got[:, 0], truth[:, 0]).mean() < (0.25 if kind == "travels" else 0.06)
    step = (found[-1] - found[0]) - (centre[-1] - centre[0])
    assert step.norm() < (0.7 if kind == "travels" else 0.2)
    assert foot_sliding(got, foot_contact(truth, sole=body.sole_offset(), fps=FPS)) < 0.003


def test_turning_the_world_turns_the_answer(body, walk, camera) -> None:
    rotations, transl = walk
    c, s = math.cos(1.0), math.sin(1.0)
    turn = torch.tensor(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))
    placed = _placed(rotations, transl, camera, noise=0.02, body=body)
    other_rotations = rotations.clone()
    other_rotations[:, 0] = turn @ rotations[:, 0]
    other = Placed(
        other_rotations, placed.betas, placed.offset @ turn.T, placed.seen, placed.feet_seen
    )
    (a,), _ = _run([placed], body)
    (b,), _ = _run([other], body)
    ja = body.joints(a.rotations, transl=a.transl) @ turn.T
    jb = body.joints(b.rotations, transl=b.transl)
    apart = (ja - ja[:1, :1] - jb + jb[:1, :1]).norm(dim=-1)
    # A stretched leg's knee turns rounding into its square root: a few frames move by millimetres.
    assert apart.mean() < 1e-4 and apart.max() < 0.01


def test_two_people_share_one_camera_and_absence_is_bridged(body, walk, camera) -> None:
    rotations, transl = walk
    shifted = transl + torch.tensor((1.5, 0.5, 0.0))
    seen = torch.ones(len(transl))
    seen[100:130] = 0
    first = _placed(rotations, transl, camera, body=body)
    second = _placed(rotations.flip(0), shifted.flip(0), camera, body=body)
    gone = Placed(second.rotations, second.betas, second.offset, seen, second.feet_seen)
    (a, b), _ = _run([first, gone], body)
    between = b.transl[:90] - a.transl[:90] - (shifted.flip(0)[:90] - transl[:90])
    assert (between - between[:1]).norm(dim=-1).max() < 0.1
    assert torch.isfinite(b.transl).all()
    assert b.transl.diff(dim=0).norm(dim=-1).max() < 0.25


def test_planting_fixes_sliding_feet_and_lifts_sunk_ones(body, walk) -> None:
    rotations, transl = walk
    truth = body.joints(rotations, transl=transl)
    contact = foot_contact(truth, sole=body.sole_offset(), fps=FPS)
    drift = torch.stack(
        (torch.linspace(0, 0.3, 240), torch.zeros(240), torch.full((240,), -0.03)), -1
    )
    shape = foot_shape(body, torch.zeros(10))
    moved, root, kept = plant_feet(
        rotations, transl + drift, contact=contact, betas=torch.zeros(10), shape=shape, body=body,
        fps=FPS,
    )  # fmt: skip
    got = body.joints(moved, transl=root)
    slid = foot_sliding(truth + drift[:, None], contact)
    assert foot_sliding(got, kept) < 0.1 * slid
    assert floor_penetration(got, sole=body.sole_offset()).max() < 1e-4
    vertices = body.vertices(moved[::20], transl=root[::20])
    assert vertices[..., 2].min() > -0.02
    upper = [0, 3, 6, 9, 12, 15, 16, 17, 18, 19, 20, 21]
    now = (got - got[:, :1])[:, upper]
    assert torch.allclose(now, (truth - truth[:, :1])[:, upper], atol=1e-5)


def test_without_contact_nothing_moves(body, walk) -> None:
    rotations, transl = walk
    raised = transl + torch.tensor((0.0, 0.0, 0.5))
    moved, root, kept = plant_feet(
        rotations, raised, contact=torch.zeros(240, 2, dtype=torch.bool), betas=torch.zeros(10),
        shape=foot_shape(body, torch.zeros(10)), body=body, fps=FPS,
    )  # fmt: skip
    a, b = body.joints(rotations, transl=raised), body.joints(moved, transl=root)
    assert torch.allclose(a, b, atol=2e-3)
    assert not kept.any()


def _person(frames: int, **changes) -> PersonPath:
    fields = {
        "offset": np.tile((0.0, 4.0, -0.5), (frames, 1)), "seen": np.ones(frames),
        "feet": np.tile([[(0.1, 0.0, -0.9), (-0.1, 0.0, -0.9)]], (frames, 1, 1)),
        "sole": np.full(2, 0.02), "contact": np.ones((frames, 2)),
        "lowest": np.full(frames, -0.5), "feet_seen": np.ones((frames, 2)),
    }  # fmt: skip
    return PersonPath(**{**fields, **changes})


def test_a_body_that_lies_is_lifted_onto_the_floor() -> None:
    frames = 40
    contact = np.zeros((frames, 2))
    person = _person(frames, contact=contact, lowest=np.full(frames, -1.2))
    paths = solve_paths(
        [person], still=np.ones(frames, bool), shot_id=np.zeros(frames, np.int64), fps=FPS
    )
    assert (paths.pelvis[0, :, 2] - 1.2 > -0.02).all()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_frame_or_two_are_enough(frames: int) -> None:
    paths = solve_paths(
        [_person(frames)], still=np.ones(frames, bool), shot_id=np.zeros(frames, np.int64), fps=FPS
    )
    np.testing.assert_allclose(paths.pelvis[0], [(0, 4, 0.92)] * frames, atol=0.02)
    np.testing.assert_allclose(paths.centre, [(0, 0, 1.42)] * frames, atol=0.02)


def _told(placed: Placed, transl: torch.Tensor, **changes) -> Placed:
    step = torch.cat((torch.zeros(1, 3), transl.diff(dim=0) * FPS))
    return replace(placed, velocity=step, **changes)


def test_a_velocity_that_is_told_mends_a_noisy_path(body, walk, camera) -> None:
    rotations, transl = walk
    placed = _placed(rotations, transl, camera, noise=0.2, body=body)
    away = [
        (_run([p], body)[0][0].transl.diff(dim=0) - transl.diff(dim=0)).norm(dim=-1).mean()
        for p in (placed, _told(placed, transl))
    ]
    assert away[1] < 0.9 * away[0], away


def test_before_a_moving_camera_no_velocity_is_believed(body, walk, camera) -> None:
    rotations, transl = walk
    placed = _placed(rotations, transl, camera, noise=0.05, body=body)
    told = _told(placed, 3 * transl)
    paths = [_run([p], body, still=False)[0][0].transl for p in (placed, told)]
    torch.testing.assert_close(*paths)


def test_a_contact_that_is_told_takes_the_place_of_what_the_path_shows(body, walk, camera) -> None:
    rotations, transl = walk
    chance = torch.zeros(len(transl), 2)
    chance[20:40, 1] = 0.9
    told = replace(_placed(rotations, transl, camera, body=body), contact=chance)
    contact = _run([told], body)[0][0].contact
    assert not contact[:, 0].any() and not contact[40:, 1].any()
