"""Hands and jaw as numbers: both ways exact, in a mirror, and onto a body that stays as it is."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.hands import (
    HAND_JOINTS,
    HANDS_SIZE,
    PARTS,
    hand_rotations,
    hands_of,
    mirrored_hands,
    mirrored_parts,
    numbers_of_parts,
    with_hands,
)
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix

FREE = {"left_hand_pose", "right_hand_pose", "jaw_pose", "joints_present", "confidence"}


@pytest.fixture(scope="module")
def gesture() -> Motion:
    """All 55 joints turn, up to what an axis-angle can say."""
    generator = torch.Generator().manual_seed(1)
    turns = torch.randn(12, 55, 3, generator=generator)
    turns[0], turns[1] = 0.0, 1e-7 * turns[1]
    turns = turns * (3.0 / turns.norm(dim=-1, keepdim=True).clamp(min=3.0))
    return Motion.create(turns, torch.randn(12, 3, generator=generator), fps=20)


def test_the_order_is_left_fingers_right_fingers_jaw() -> None:
    names = [SMPLX_JOINTS[joint] for joint in HAND_JOINTS]
    assert [n.split("_")[0] for n in names] == ["left"] * 15 + ["right"] * 15 + ["jaw"]
    assert [n[5:] for n in names[:15]] == [n[6:] for n in names[15:30]]
    assert HANDS_SIZE == 186 and [p.stop for p in PARTS.values()] == [90, 180, 186]


def test_numbers_and_back(gesture) -> None:
    hands = hands_of(gesture)
    torch.testing.assert_close(
        hand_rotations(hands), gesture.rotations[:, list(HAND_JOINTS)], atol=1e-6, rtol=0
    )
    # Written out for one joint: two columns, row by row.
    matrix = rotvec_to_matrix(gesture.right_hand_pose[5, :3])
    first = [matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1], matrix[2, 0], matrix[2, 1]]
    torch.testing.assert_close(hands[5, 90:96], torch.stack(first), atol=1e-6, rtol=0)
    again = hands_of(with_hands(gesture, hands))
    torch.testing.assert_close(again, hands, atol=1e-6, rtol=0)


def test_the_body_keeps_every_bit(gesture) -> None:
    bare = replace(
        gesture, joints_present=torch.arange(55) < 22, confidence=torch.full((12, 55), 0.25)
    )
    made = with_hands(bare, hands_of(gesture).flip(0))
    for field in fields(Motion):
        if field.name not in FREE and field.type == "Tensor":
            assert torch.equal(getattr(made, field.name), getattr(bare, field.name)), field.name
    given = torch.zeros(55, dtype=torch.bool)
    given[list(HAND_JOINTS)] = True
    assert torch.equal(made.joints_present, bare.joints_present | given)
    # Eyes are given by nobody.
    assert not made.joints_present[23:25].any()
    assert made.confidence[:, given].eq(1).all() and made.confidence[:, ~given].eq(0.25).all()
    assert not torch.equal(made.left_hand_pose, bare.left_hand_pose)


@pytest.mark.parametrize("shape", [(11, 186), (12, 180), (12,)])
def test_hands_of_another_length(gesture, shape) -> None:
    with pytest.raises(UsageError, match=r"expected \(12, 186\)"):
        with_hands(gesture, torch.zeros(shape))


def test_the_mirror_is_that_of_motion_and_its_own_inverse(gesture) -> None:
    hands = hands_of(gesture)
    torch.testing.assert_close(mirrored_hands(hands), hands_of(gesture.mirror()), atol=1e-6, rtol=0)
    assert torch.equal(mirrored_hands(mirrored_hands(hands)), hands)
    assert not torch.equal(mirrored_hands(hands), hands)


def test_known_parts_swap_sides_too() -> None:
    known = torch.tensor([[True, False, False], [False, True, True], [True, True, False]])
    assert mirrored_parts(known).tolist() == [
        [False, True, False],
        [True, False, True],
        [True, True, False],
    ]
    numbers = numbers_of_parts(known)
    for row, own in zip(known, numbers, strict=True):
        for there, part in zip(row, PARTS.values(), strict=True):
            assert own[part].eq(there).all()
    # What is known of the mirror's numbers is what is known of the numbers, mirrored.
    marks = torch.arange(186.0)[None] * numbers
    assert torch.equal(mirrored_hands(marks) != 0, (mirrored_hands(torch.arange(186.0)) != 0)
                       & numbers_of_parts(mirrored_parts(known)))  # fmt: skip
