"""Laws of rotations, over batch shapes, with samples at zero and near a half turn."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanmotion import rotations
from humanmotion.rotations import (
    Y_UP_TO_Z_UP,
    angular_velocity,
    between_vectors,
    geodesic_distance,
    interpolation_weights,
    matrix_to_rotvec,
    matrix_to_sixd,
    resample_rotations,
    rotation_about_z,
    rotvec_to_matrix,
    sixd_to_matrix,
    wrap_angle,
)

SHAPES = [(), (1,), (7,), (2, 3), (0,)]
ANGLES = [0.0, 1e-9, 1e-7, 1e-4, 0.5, 2.0, math.pi - 1e-3, math.pi - 1e-6]
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-11}


def axes(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Unit vectors from a fixed seed, the coordinate axes among them."""
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    random = torch.randn(*shape, 3, generator=generator, dtype=dtype)
    if random.ndim > 1 and len(random) >= 3:
        random.reshape(-1, 3)[:3] = torch.eye(3, dtype=dtype)
    return torch.nn.functional.normalize(random, dim=-1)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["f32", "f64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(params=ANGLES)
def angle(request: pytest.FixtureRequest) -> float:
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestOverShapes:
    def test_exp_gives_a_rotation(self, shape, dtype, angle):
        matrix = rotvec_to_matrix(angle * axes(*shape, dtype=dtype))
        eye = torch.eye(3, dtype=dtype).expand(*shape, 3, 3)
        assert matrix.shape == (*shape, 3, 3) and matrix.dtype == dtype
        torch.testing.assert_close(matrix @ matrix.mT, eye.clone(), atol=TOLERANCE[dtype], rtol=0)
        assert (torch.linalg.det(matrix) > 0).all()

    def test_log_undoes_exp(self, shape, dtype, angle):
        rotvec = angle * axes(*shape, dtype=dtype)
        again = matrix_to_rotvec(rotvec_to_matrix(rotvec))
        torch.testing.assert_close(again, rotvec, atol=TOLERANCE[dtype], rtol=0)

    def test_sixd_round_trip(self, shape, dtype, angle):
        matrix = rotvec_to_matrix(angle * axes(*shape, dtype=dtype))
        sixd = matrix_to_sixd(matrix)
        assert sixd.shape == (*shape, 6)
        torch.testing.assert_close(sixd_to_matrix(sixd), matrix, atol=TOLERANCE[dtype], rtol=0)

    def test_sixd_is_two_columns_one_after_the_other(self, shape, dtype):
        matrix = rotvec_to_matrix(axes(*shape, dtype=dtype))
        torch.testing.assert_close(matrix_to_sixd(matrix)[..., :3], matrix[..., :, 0])
        torch.testing.assert_close(matrix_to_sixd(matrix)[..., 3:], matrix[..., :, 1])

    def test_distance_is_the_angle(self, shape, dtype, angle):
        base = rotvec_to_matrix(2.1 * axes(*shape, dtype=dtype).flip(-1))
        turned = base @ rotvec_to_matrix(angle * axes(*shape, dtype=dtype))
        expected = torch.full(shape, angle, dtype=dtype)
        distance = geodesic_distance(base, turned)
        torch.testing.assert_close(distance, expected, atol=TOLERANCE[dtype], rtol=0)
        torch.testing.assert_close(geodesic_distance(turned, base), distance)

    def test_between_vectors_turns_one_onto_the_other(self, shape, dtype, angle):
        a = axes(*shape, dtype=dtype)
        side = torch.linalg.cross(a, axes(*shape, dtype=dtype).roll(1, -1) + 0.3)
        b = a * math.cos(angle) + torch.nn.functional.normalize(side, dim=-1) * math.sin(angle)
        turn = between_vectors(3.0 * a, 0.5 * b)
        torch.testing.assert_close(
            (turn @ a[..., None])[..., 0], b, atol=4 * TOLERANCE[dtype], rtol=0
        )
        assert (torch.linalg.det(turn) > 0).all()
        eye = torch.eye(3, dtype=dtype).expand_as(turn)
        smallest = geodesic_distance(eye, turn)
        torch.testing.assert_close(
            smallest, torch.full(shape, angle, dtype=dtype), atol=4 * TOLERANCE[dtype], rtol=0
        )

    def test_between_opposite_vectors_is_a_half_turn(self, shape, dtype):
        a = axes(*shape, dtype=dtype)
        turn = between_vectors(a, -a)
        torch.testing.assert_close((turn @ a[..., None])[..., 0], -a, atol=TOLERANCE[dtype], rtol=0)
        assert (torch.linalg.det(turn) > 0).all()

    def test_rotation_about_z_adds_angles(self, shape, dtype):
        a, b = axes(*shape, dtype=dtype)[..., 0] * 3, axes(*shape, dtype=dtype)[..., 1] * 3
        torch.testing.assert_close(
            rotation_about_z(a) @ rotation_about_z(b),
            rotation_about_z(a + b),
            atol=TOLERANCE[dtype],
            rtol=0,
        )

    def test_wrapping_keeps_the_direction(self, shape, dtype):
        angle = 40 * axes(*shape, dtype=dtype)
        wrapped = wrap_angle(angle)
        assert ((wrapped >= -math.pi - 1e-6) & (wrapped < math.pi)).all()
        torch.testing.assert_close(wrapped.sin(), angle.sin(), atol=1e-4, rtol=0)
        torch.testing.assert_close(wrapped.cos(), angle.cos(), atol=1e-4, rtol=0)


def test_exp_and_log_agree_with_scipy(angle):
    rotvec = angle * axes(50)
    matrix = rotvec_to_matrix(rotvec)
    theirs = Rotation.from_rotvec(rotvec.numpy())
    torch.testing.assert_close(matrix, torch.from_numpy(theirs.as_matrix()), atol=1e-12, rtol=0)
    back = torch.from_numpy(Rotation.from_matrix(matrix.numpy()).as_rotvec())
    torch.testing.assert_close(matrix_to_rotvec(matrix), back, atol=1e-9, rtol=0)


def test_log_of_an_exact_half_turn_is_a_half_turn():
    axis = axes(20)
    matrix = 2 * axis[:, :, None] * axis[:, None, :] - torch.eye(3, dtype=torch.float64)
    rotvec = matrix_to_rotvec(matrix)
    torch.testing.assert_close(rotvec.norm(dim=-1), torch.full((20,), math.pi).double())
    torch.testing.assert_close(rotvec_to_matrix(rotvec), matrix, atol=1e-12, rtol=0)


def test_wrapping_never_returns_the_upper_end():
    ends = torch.tensor([-math.pi - 1e-7, -math.pi, math.pi, 3 * math.pi, -3 * math.pi])
    for angles in (ends, ends.double(), torch.nextafter(ends, torch.tensor(-torch.inf))):
        assert (wrap_angle(angles) < math.pi).all()


class TestGradients:
    def test_log_of_exp_has_the_identity_as_gradient(self, angle, dtype):
        rotvec = (angle * axes(9, dtype=dtype)).requires_grad_()
        weight = axes(9, dtype=dtype).roll(1, 0)
        (matrix_to_rotvec(rotvec_to_matrix(rotvec)) * weight).sum().backward()
        near_pi = 1e3 if math.pi - angle < 1e-4 else 1
        torch.testing.assert_close(rotvec.grad, weight, atol=2e-5 * near_pi, rtol=0)

    def test_exp_agrees_with_finite_differences(self):
        for angle in (0.0, 1e-3, 1.0, math.pi - 1e-3, math.pi):
            assert torch.autograd.gradcheck(
                rotvec_to_matrix, (angle * axes(5)).requires_grad_(), atol=1e-6
            )

    def test_sixd_agrees_with_finite_differences(self):
        sixd = matrix_to_sixd(rotvec_to_matrix(axes(5))) * 1.3
        assert torch.autograd.gradcheck(sixd_to_matrix, sixd.requires_grad_())

    @pytest.mark.parametrize("apart", [1e-6, 1e-3, 1.0, math.pi - 1e-3, math.pi - 1e-6])
    def test_distance_has_a_unit_gradient(self, apart):
        size = torch.tensor(apart, dtype=torch.float64, requires_grad=True)
        eye = torch.eye(3, dtype=torch.float64)
        geodesic_distance(eye, rotvec_to_matrix(size * axes())).backward()
        assert float(size.grad) == pytest.approx(1.0, abs=1e-6)

    def test_gradients_are_finite_where_the_functions_have_a_kink(self, dtype):
        start = torch.eye(3, dtype=dtype).expand(2, 3, 3)
        half = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype))
        for other in (start[0], half):
            matrix = torch.stack((other, other)).requires_grad_()
            (geodesic_distance(start, matrix) + matrix_to_rotvec(matrix).sum(-1)).sum().backward()
            assert torch.isfinite(matrix.grad).all()
        for b in ([1.0, 0, 0], [-1.0, 0, 0], [-1.0, 1e-7, 0], [0, 1.0, 0]):
            a = torch.tensor([1.0, 0, 0], dtype=dtype, requires_grad=True)
            between_vectors(a, torch.tensor(b, dtype=dtype)).sum().backward()
            assert torch.isfinite(a.grad).all()


class TestOverTime:
    def test_constant_spin_has_constant_world_velocity(self):
        velocity = torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)
        times = torch.arange(30, dtype=torch.float64) / 30
        spin = rotvec_to_matrix(times[:, None] * velocity) @ rotvec_to_matrix(axes())
        measured = angular_velocity(spin.expand(2, 30, 3, 3), fps=30.0)
        torch.testing.assert_close(measured, velocity.expand(2, 29, 3), atol=1e-9, rtol=0)

    def test_resampling_a_constant_spin_is_exact(self):
        velocity = torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)
        times = torch.tensor([0.0, 0.1, 0.15, 0.6, 1.0], dtype=torch.float64)
        new = torch.linspace(0, 1, 17, dtype=torch.float64)
        given = rotvec_to_matrix(times[:, None] * velocity)[:, None].expand(5, 4, 3, 3)
        expected = rotvec_to_matrix(new[:, None] * velocity)[:, None].expand(17, 4, 3, 3)
        torch.testing.assert_close(resample_rotations(given, times, new), expected)

    def test_resampling_takes_the_short_way_and_the_nearest_end(self):
        ends = rotvec_to_matrix(torch.tensor([[0, 0, -3.0], [0, 0, 3.0]], dtype=torch.float64))
        times = torch.tensor([0.0, 1.0], dtype=torch.float64)
        middle = resample_rotations(ends, times, torch.tensor([-1, 0.5, 9]).double())
        half = rotation_about_z(torch.tensor(math.pi).double())
        torch.testing.assert_close(middle, torch.stack((ends[0], half, ends[1])))

    def test_one_sample_serves_every_time(self):
        matrix = rotvec_to_matrix(axes(1))
        new = torch.tensor([-1.0, 0.0, 5.0])
        again = resample_rotations(matrix, torch.zeros(1), new)
        torch.testing.assert_close(again, matrix.expand(3, 3, 3).clone())

    def test_interpolation_weights_rebuild_the_times(self):
        times = torch.tensor([0.0, 0.1, 0.15, 0.6, 1.0])
        new = torch.linspace(0, 1, 23)
        low, share = interpolation_weights(times, new)
        torch.testing.assert_close(torch.lerp(times[low], times[low + 1], share), new)


def test_y_up_turns_to_z_up():
    turn = torch.tensor(Y_UP_TO_Z_UP)
    torch.testing.assert_close(turn @ torch.tensor([0, 1.0, 0]), torch.tensor([0, 0, 1.0]))
    torch.testing.assert_close(torch.linalg.det(turn), torch.tensor(1.0))


def test_a_long_row_is_converted_in_blocks_as_in_one(monkeypatch) -> None:
    turns = torch.randn(23, 4, 3, generator=torch.Generator().manual_seed(0))
    whole = rotvec_to_matrix(turns)
    monkeypatch.setattr(rotations, "BLOCK", 5)
    assert torch.equal(rotvec_to_matrix(turns), whole)
    torch.testing.assert_close(rotvec_to_matrix(matrix_to_rotvec(whole)), whole)
