"""The loss on feet: nothing for what is true, errors by how fast a foot goes, against a slow twin."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.generation.features import (
    ORIENT,
    POSITIONS,
    STEP,
    TRANSL,
    TURN,
    VELOCITIES,
    body_joints,
    decode,
    encode,
    rowwise_matrix,
)
from humanmotion.generation.foot_loss import FEET, LEAST_STEP, FootLoss
from humanmotion.rotations import rotvec_to_matrix

FRAMES = 12


@pytest.fixture(scope="module")
def rest() -> torch.Tensor:
    return BodyModel.load().rest_joints()


@pytest.fixture(scope="module")
def true(rest: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    turns = rotvec_to_matrix(0.2 * torch.randn(2, FRAMES + 1, 22, 3, generator=generator))
    path = 0.1 * torch.randn(2, FRAMES + 1, 3, generator=generator).cumsum(1)
    return encode(turns, path, rest=rest)


def loss_of(rest, guess, true, *, spread=0.02, level=0.5, mask=None) -> float:
    feet = FootLoss.of(rest, torch.full((276,), spread))
    assert feet is not None
    levels = torch.full((len(true),), level)
    mask = torch.ones(true.shape[:2], dtype=torch.bool) if mask is None else mask
    return float(feet(guess, true, level=levels, weight=torch.ones(len(true)), mask=mask))


def test_what_is_true_costs_nothing(rest, true) -> None:
    assert loss_of(rest, true, true) < 1e-6


def test_only_what_moves_the_feet_counts(rest, true) -> None:
    """Where the root is written to be, or joints and their speeds, is another loss's matter."""
    other = true.clone()
    for part in (POSITIONS, VELOCITIES, TRANSL, ORIENT):
        other[..., part] += 0.3
    assert loss_of(rest, other, true) < 1e-6
    other[..., STEP] += 0.1
    assert loss_of(rest, other, true) > 0.1


def test_it_is_the_sum_over_feet_and_frames(rest, true) -> None:
    """Slow twin: each frame decoded by itself, the next one turned on from it."""
    guess = true + 0.05 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    spread, level = 0.02, 0.3
    rotations, _ = decode(guess)
    heading, _ = decode(true)
    joints = true[..., POSITIONS].unflatten(-1, (22, 3))
    total = 0.0
    for i in range(2):
        for t in range(FRAMES - 1):
            now, after = rotations[i, t].clone(), rotations[i, t + 1].clone()
            now[0] = heading[i, t, 0]
            after[0] = rowwise_matrix(guess[i, t, TURN]) @ heading[i, t, 0]
            moved = body_joints(after, guess[i, t, STEP], rest=rest) - body_joints(
                now, torch.zeros(3), rest=rest
            )
            for foot in FEET:
                step = joints[i, t + 1, foot] - joints[i, t, foot]
                scale = step.square().sum() + (level * spread) ** 2 * 3 + LEAST_STEP**2
                total += float((moved[foot] - step).square().sum() / scale)
    want = total / (2 * (FRAMES - 1) * len(FEET))
    assert loss_of(rest, guess, true, spread=spread, level=level) == pytest.approx(want, rel=1e-3)


def test_a_standing_foot_may_creep_less_than_a_swinging_one(rest) -> None:
    straight = torch.eye(3).expand(2, FRAMES + 1, 22, 3, 3)
    path = torch.zeros(2, FRAMES + 1, 3)
    path[1, :, 0] = 0.05 * torch.arange(FRAMES + 1)
    true = encode(straight, path, rest=rest)
    creeping = true.clone()
    creeping[..., STEP.start + 1] += 0.01
    standing, swinging = (
        loss_of(rest, creeping[i : i + 1], true[i : i + 1], level=0.05) for i in (0, 1)
    )
    assert standing > 10 * swinging


def test_frames_that_are_not_there_count_nothing(rest, true) -> None:
    mask = torch.ones(2, FRAMES, dtype=torch.bool)
    mask[:, 6:] = False
    other = true.clone()
    other[:, 6:] += 0.4
    assert loss_of(rest, other, true, mask=mask) < 1e-6
    assert loss_of(rest, other, true, mask=torch.zeros_like(mask)) == 0
