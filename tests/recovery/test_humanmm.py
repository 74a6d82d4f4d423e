"""The published modules: standing feet reset the velocity, which rolls out to the path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanmotion.bench.humanmm import load_humanmm
from humanmotion.errors import InputError
from humanmotion.recovery.humanmm import FEET, FPS, HumanMM, reset_velocity, roll_out
from humanmotion.rotations import matrix_to_sixd


def test_a_velocity_rolls_out_to_the_path_it_came_from(walk) -> None:
    rotations, transl = walk
    step = torch.cat((torch.zeros(1, 3), transl.diff(dim=0) * FPS))
    velocity = (rotations[:, 0].mT @ step[..., None])[..., 0]
    path = roll_out(rotations[:, 0], velocity)
    torch.testing.assert_close(path, transl - transl[0], atol=1e-4, rtol=0)


def test_a_foot_that_stands_does_not_move_after_the_reset(walk, body) -> None:
    rotations = walk[0][None]
    joints = body.joints(rotations)
    feet = (joints - joints[:, :, :1])[:, :, list(FEET)]
    contact = torch.full((*rotations.shape[:2], 2), -9.0)
    contact[..., 0] = 9.0
    wrong = torch.randn(*rotations.shape[:2], 3, generator=torch.Generator().manual_seed(0))
    root = rotations[:, :, 0]
    reset = reset_velocity(wrong, contact, root, feet=feet)
    moved = feet[:, 1:, 0].diff(dim=1) * FPS + (root @ reset[..., None])[:, 2:, :, 0]
    assert float(moved.abs().max()) < 1e-3
    assert torch.equal(reset_velocity(wrong, -contact.abs(), root, feet=feet), wrong)


def test_the_number_of_the_shot_is_heard(walk, body) -> None:
    torch.manual_seed(0)
    network, pose = HumanMM().eval().requires_grad_(False), matrix_to_sixd(walk[0][None, :20, :22])
    shots = torch.zeros(1, 20, dtype=torch.long)
    a = network(pose, shots, body.rest_joints())
    b = network(pose, shots + (torch.arange(20) > 9), body.rest_joints())
    assert a.pose.shape == (1, 20, 22, 6) and a.root.shape == (1, 20, 6)
    assert float((a.pose - b.pose).abs().max()) > 1e-3


def test_a_folder_without_them_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train baselines"):
        load_humanmm(tmp_path)
