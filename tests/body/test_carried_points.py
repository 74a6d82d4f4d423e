"""Landmark derivatives against automatic differentiation of the body itself."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import (
    landmark_points,
    positions,
    positions_and_jacobian,
    shape_derivative,
)
from humanmotion.rotations import rotvec_to_matrix

BODY = BodyModel.load()


def _pose(frames: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    rotations = rotvec_to_matrix(0.4 * torch.randn(frames, 55, 3))
    return rotations, torch.randn(frames, 3), 0.5 * torch.randn(10)


@pytest.mark.parametrize("name", ["mediapipe_33", "hand21_left", "hand21_right", "face"])
def test_positions_equal_the_bodys_landmarks(name: str) -> None:
    rotations, pelvis, betas = _pose()
    marks = landmark_points(BODY, name, joints=(0, 1), betas=betas)
    slow = BODY.landmarks(name, rotations, betas=betas, transl=pelvis - marks.rest[0])
    assert torch.allclose(positions(marks, rotations, pelvis), slow, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "joints"),
    [("mediapipe_33", tuple(range(22))), ("hand21_left", (20, *range(25, 40))), ("face", (22,))],
)
def test_jacobian_equals_automatic_differentiation(name: str, joints: tuple[int, ...]) -> None:
    rotations, pelvis, betas = _pose()
    marks = landmark_points(BODY, name, joints=joints, betas=betas)
    _, fast = positions_and_jacobian(marks, rotations, pelvis)

    def moved(step: torch.Tensor) -> torch.Tensor:
        turned = rotations.clone()
        turned[:, list(joints)] = rotvec_to_matrix(step) @ rotations[:, list(joints)]
        return positions(marks, turned, pelvis).sum(0)

    slow = torch.autograd.functional.jacobian(moved, torch.zeros(3, len(joints), 3))
    slow = torch.as_tensor(slow).permute(2, 0, 1, 3, 4)
    assert torch.allclose(fast, slow, atol=2e-4)


def test_shape_derivative_predicts_another_shape_exactly() -> None:
    rotations, pelvis, betas = _pose()
    marks = landmark_points(BODY, "mediapipe_33", joints=(0,), betas=betas)
    slope = shape_derivative(marks, "mediapipe_33", rotations=rotations, pelvis=pelvis)
    other = torch.randn(10)
    there = landmark_points(BODY, "mediapipe_33", joints=(0,), betas=betas + other)
    linear = positions(marks, rotations, pelvis) + slope @ other
    assert torch.allclose(linear, positions(there, rotations, pelvis), atol=2e-4)
