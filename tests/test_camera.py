"""Laws of the camera: projecting and unprojecting, over batch shapes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from humanmotion.camera import Camera, default_focal, intrinsics, project
from humanmotion.errors import MotionError
from humanmotion.rotations import rotvec_to_matrix

SHAPES = [(), (1,), (6,), (2, 3), (0,)]


def example(frames: int = 4) -> Camera:
    generator = torch.Generator().manual_seed(3)
    R = rotvec_to_matrix(torch.randn(frames, 3, generator=generator, dtype=torch.float64))
    K = intrinsics(torch.linspace(500, 900, max(frames, 1)).double(), width=640, height=480)[
        :frames
    ]
    K[:, 0, 1] = 3.0
    t = torch.randn(frames, 3, generator=generator, dtype=torch.float64)
    return Camera(K=K, R_w2c=R, t_w2c=t, width=640, height=480)


def points(*shape: int, depth: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    out = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    out[..., 2] = out[..., 2].abs() + depth
    return out


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("frames", [0, 1, 4])
class TestOverShapes:
    def test_unproject_undoes_project(self, frames, shape):
        camera = example(frames)
        in_camera = points(frames, *shape)
        # A slow way back to the world, one point at a time.
        world = torch.zeros_like(in_camera)
        for index in torch.ones(in_camera.shape[:-1]).nonzero().tolist():
            at = (index[0], *index[1:])
            R, t = camera.R_w2c[index[0]], camera.t_w2c[index[0]]
            world[at] = torch.linalg.solve(R, in_camera[at] - t)
        torch.testing.assert_close(camera.to_camera(world), in_camera)
        pixels = camera.project(world)
        assert pixels.shape == (frames, *shape, 2)
        torch.testing.assert_close(camera.unproject(pixels, in_camera[..., 2]), world)

    def test_projection_is_the_homogeneous_one(self, frames, shape):
        camera = example(frames)
        given = points(frames, *shape)
        flat = given.reshape(frames, given[0].numel() // 3 if frames else 0, 3)
        image = torch.stack([flat[f] @ camera.K[f].T for f in range(frames)]) if frames else flat
        expected = (image[..., :2] / image[..., 2:]).reshape(*given.shape[:-1], 2)
        torch.testing.assert_close(project(given, camera.K), expected)

    def test_depth_does_not_move_the_pixel(self, frames, shape):
        camera = example(frames)
        given = points(frames, *shape)
        torch.testing.assert_close(project(given, camera.K), project(3.7 * given, camera.K))


def test_centre_lies_at_the_origin_of_the_camera():
    camera = example()
    torch.testing.assert_close(camera.to_camera(camera.centre), torch.zeros(4, 3).double())


def test_the_axis_meets_the_middle_and_y_runs_down():
    K = intrinsics(800.0, width=640, height=480)[None]
    middle = project(torch.tensor([[0.0, 0.0, 5.0]]), K)
    torch.testing.assert_close(middle, torch.tensor([[320.0, 240.0]]))
    below = project(torch.tensor([[0.0, 1.0, 5.0]]), K)
    assert float(below[0, 1]) == pytest.approx(240 + 800 / 5)


def test_points_at_or_behind_the_lens_stay_finite():
    given = torch.tensor(
        [[[0.1, 0.2, 0.0], [0.1, 0.2, -1e-9], [1.0, 1.0, -3.0]]], requires_grad=True
    )
    pixels = project(given, intrinsics(700.0, width=640, height=480)[None])
    pixels.sum().backward()
    assert torch.isfinite(pixels).all() and torch.isfinite(given.grad).all()


def test_projection_gradient_agrees_with_finite_differences():
    camera = example(2)
    given = points(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: project(p, camera.K), given)


def test_slices_keep_the_picture():
    part = example()[1:3]
    assert len(part) == 2 and (part.width, part.height) == (640, 480)
    torch.testing.assert_close(part.K, example().K[1:3])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_intrinsics_over_shapes(shape, dtype):
    focal = torch.full(shape, 300.0, dtype=dtype, requires_grad=True)
    K = intrinsics(focal, width=100, height=50)
    assert K.shape == (*shape, 3, 3) and K.dtype == dtype
    K.sum().backward()
    torch.testing.assert_close(focal.grad, torch.full(shape, 2.0, dtype=dtype))
    assert K.detach().reshape(-1, 3, 3)[0, :, 2].tolist() == [50.0, 25.0, 1.0]


def test_intrinsics_of_a_whole_number_are_floating():
    assert intrinsics(300, width=100, height=50).dtype == torch.get_default_dtype()


def test_unknown_focal_is_the_diagonal():
    assert default_focal(300, 400) == 500.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R_w2c": 2 * torch.eye(3).double().expand(4, 3, 3)}, "no rotation at frame 0"),
        ({"R_w2c": -torch.eye(3).double().expand(4, 3, 3)}, "no rotation at frame 0"),
        ({"K": torch.zeros(3, 3)}, "K has shape"),
        ({"t_w2c": torch.full((4, 3), torch.nan)}, "t_w2c is not finite at frame 0"),
        ({"width": 0}, "0x480 must be positive"),
        ({"K": torch.zeros(4, 3, 3).double()}, "no positive focal length at frame 0"),
        ({"K": -torch.eye(3).double().expand(4, 3, 3)}, "no positive focal length at frame 0"),
        ({"K": 2 * torch.eye(3).double().expand(4, 3, 3)}, "last row of K is not 0 0 1 at frame 0"),
        ({"K": torch.full((4, 3, 3), torch.inf).double()}, "K is not finite at frame 0"),
    ],
)
def test_checks_itself(change, message):
    camera = example()
    given = {
        "K": camera.K,
        "R_w2c": camera.R_w2c,
        "t_w2c": camera.t_w2c,
        "width": 640,
        "height": 480,
    }
    with pytest.raises(MotionError, match=message):
        Camera(**(given | change))
