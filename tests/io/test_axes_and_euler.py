"""Axis turns and Euler angles as laws, over batch shapes and at the pole."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from humanmotion.io.axes import turn_up
from humanmotion.io.euler import continuous_yzx, matrix_from_angles
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

SHAPES = [(), (1,), (4,), (2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
class TestTurnUp:
    def test_there_and_back(self, shape):
        points = torch.randn(*shape, 3)
        torch.testing.assert_close(turn_up(turn_up(points, "y"), "z"), points)

    def test_up_becomes_up_and_handedness_stays(self, shape):
        up = torch.tensor((0.0, 0.0, 1.0)).expand(*shape, 3)
        assert torch.equal(turn_up(up, "y"), torch.tensor((0.0, 1.0, 0.0)).expand(*shape, 3))
        a, b = torch.randn(2, *shape, 3)
        crossed = torch.linalg.cross(turn_up(a, "y"), turn_up(b, "y"))
        torch.testing.assert_close(crossed, turn_up(torch.linalg.cross(a, b), "y"))

    def test_a_rotation_turns_by_its_columns(self, shape):
        R, point = rotvec_to_matrix(torch.randn(*shape, 3)), torch.randn(*shape, 3)
        there = (turn_up(R.mT, "y").mT @ point[..., None])[..., 0]
        torch.testing.assert_close(there, turn_up((R @ point[..., None])[..., 0], "y"))


def test_standing_upright_is_the_t_pose_of_a_y_up_world():
    upright = rotvec_to_matrix(torch.tensor((math.pi / 2, 0.0, 0.0), dtype=torch.float64))
    torch.testing.assert_close(turn_up(upright.mT, "y").mT, torch.eye(3, dtype=torch.float64))


class TestEuler:
    @pytest.mark.parametrize("shape", [(5,), (5, 1), (7, 3), (2, 3, 4)])
    def test_angles_give_the_matrices_back(self, shape):
        R = rotvec_to_matrix(3 * torch.randn(*shape, 3, dtype=torch.float64))
        again = matrix_from_angles(continuous_yzx(R), "yzx")
        assert again.shape == R.shape
        torch.testing.assert_close(again, R, atol=1e-12, rtol=0)

    @pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-9, 1e-6, 1e-5, 2e-5, 1e-3])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_near_the_pole_the_matrices_still_come_back(self, gap, sign):
        y = torch.linspace(-3, 3, 50, dtype=torch.float64)
        z = torch.full_like(y, sign * (math.pi / 2 - gap))
        R = matrix_from_angles(torch.stack((y, z, 0.7 * y), -1), "yzx")
        again = matrix_from_angles(continuous_yzx(R), "yzx")
        # Within _POLE of the pole the split of y and x is free: at most twice that in angle.
        assert float(geodesic_distance(again, R).max()) < 4e-5

    @pytest.mark.parametrize("axis", range(3))
    def test_many_full_turns_never_jump(self, axis):
        angle = torch.linspace(0, 20, 400, dtype=torch.float64)
        R = rotvec_to_matrix(torch.nn.functional.one_hot(torch.tensor(axis), 3) * angle[:, None])
        steps = continuous_yzx(R).diff(dim=0).abs().max()
        assert float(steps) < 0.06

    def test_turning_through_the_pole_goes_straight_on(self):
        z = torch.linspace(0, math.pi, 100, dtype=torch.float64)
        fixed = torch.full_like(z, 0.4)
        R = matrix_from_angles(torch.stack((fixed, z, 2 * fixed), -1), "yzx")
        angles = continuous_yzx(R)
        torch.testing.assert_close(angles, torch.stack((fixed, z, 2 * fixed), -1))

    @pytest.mark.parametrize("seed", range(5))
    def test_no_step_is_larger_than_90_degrees_beyond_the_movement(self, seed):
        rng = torch.Generator().manual_seed(seed)
        seconds = torch.arange(3000, dtype=torch.float64)[:, None, None] / 30
        phase = 6 * torch.rand(20, 3, generator=rng, dtype=torch.float64)
        R = rotvec_to_matrix(3 * torch.sin(2 * seconds + phase))
        angles = continuous_yzx(R)
        movement = geodesic_distance(R[1:], R[:-1])
        steps = angles.diff(dim=0).abs().amax(-1)
        assert float((steps - movement).max()) < math.pi / 2
        # Angles taken frame by frame do jump, so the law says something.
        alone = torch.cat([continuous_yzx(frame) for frame in R.split(1)])
        assert float(alone.diff(dim=0).abs().max()) > 3

    @pytest.mark.parametrize("axes", ["".join(p) for p in itertools.permutations("xyz")])
    def test_products_of_any_order(self, axes):
        angles = torch.randn(4, 3, dtype=torch.float64)
        slow = torch.eye(3, dtype=torch.float64)
        for place, axis in enumerate(axes):
            one = torch.zeros(4, 3, dtype=torch.float64)
            one[:, "xyz".index(axis)] = angles[:, place]
            slow = slow @ rotvec_to_matrix(one)
        torch.testing.assert_close(matrix_from_angles(angles, axes), slow)

    def test_no_axes_is_the_identity(self):
        assert torch.equal(matrix_from_angles(torch.zeros(2, 0), ""), torch.eye(3).expand(2, 3, 3))
