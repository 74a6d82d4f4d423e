from __future__ import annotations

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joined, joint_axes, joint_points, positions
from humanmotion.errors import UsageError
from humanmotion.prior.fitting import fit_places
from humanmotion.prior.orientations import Orientations, Turns
from humanmotion.prior.problem import Chain, Places, Poses
from humanmotion.prior.space import SIZE
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

BODY = BodyModel.load()
FREE = tuple(range(22))
WHICH = (0, 15, 20)


def poses(prior, count: int) -> tuple[Poses, Tensor, Tensor]:
    """Poses, their joints `(N, 55, 3)` and the joints' world rotations."""
    generator = torch.Generator().manual_seed(3)
    state = 0.7 * torch.randn(count, SIZE, generator=generator)
    root = rotvec_to_matrix(torch.randn(count, 3, generator=generator))
    place = torch.randn(count, 3, generator=generator)
    joints, world = BODY.frames(prior.space.to_rotations(state, root))
    return Poses(state, root, place), joints - joints[:, :1] + place[:, None], world


def test_axes_are_the_columns_of_world_rotations(tiny) -> None:
    at, _, world = poses(tiny, 4)
    axes = joint_axes(BODY, WHICH, joints=FREE, betas=torch.zeros(10))
    found = positions(axes, tiny.space.to_rotations(at.state, at.root), at.place)
    assert torch.allclose(found.unflatten(1, (3, 3)).mT, world[:, WHICH], atol=1e-5)


def test_slope_is_that_of_automatic_differentiation(tiny) -> None:
    at, _, world = poses(tiny, 2)
    points = joint_points(BODY, (4, 7), joints=FREE, betas=torch.zeros(10))
    axes = joint_axes(BODY, WHICH, joints=FREE, betas=torch.zeros(10))
    chain = Chain(joined(points, axes), tiny.space)
    away = rotvec_to_matrix(torch.tensor((0.7, -0.9, 0.4)))
    seen = Orientations(world[:, WHICH] @ away, torch.full((2, 3), 0.1))
    residual, rows = seen.compare(*chain.linearise(at))
    assert torch.allclose(residual.norm(dim=-1) * 0.1, torch.tensor(1.2083), atol=1e-3)

    def moved(step: Tensor) -> Tensor:
        here = chain.moved(at, step.expand(2, -1))
        points = positions(chain.points, chain.rotations(here), here.place)
        return seen.compare(points, torch.zeros(2, points.shape[1], 3, 1))[0].sum(0)

    slow = torch.autograd.functional.jacobian(moved, torch.zeros(rows.shape[-1]))
    assert torch.allclose(rows.sum(0), torch.as_tensor(slow), atol=2e-3)
    assert not rows[..., -3:].abs().max() > 1e-4


def test_places_and_orientations_are_met_together(tiny) -> None:
    _, joints, world = poses(tiny, 6)
    which = (0, 10, 11, 15, 20, 21)
    points = joint_points(BODY, which, joints=FREE, betas=torch.zeros(10))
    turns = Turns((15, 20), world[:, [15, 20]], 0.01)
    fit = fit_places(tiny, points, joints[:, which], sigma=0.001, turns=turns, hypotheses=3)
    found, turned = BODY.frames(fit.rotations)
    found = found - found[:, :1] + fit.place[:, None]
    assert float((found - joints)[:, which].norm(dim=-1).max()) < 0.002
    assert float(geodesic_distance(turned, world)[:, [15, 20]].max()) < 0.05


def test_one_point_and_orientations_are_enough(tiny) -> None:
    at, joints, world = poses(tiny, 5)
    points = joint_points(BODY, (0,), joints=FREE, betas=torch.zeros(10))
    rotation = world[:, WHICH].clone()
    rotation[2, 0] = torch.nan
    fit = fit_places(tiny, points, joints[:, :1], sigma=0.002, turns=Turns(WHICH, rotation, 0.01))
    _, turned = BODY.frames(fit.rotations)
    apart = geodesic_distance(turned, world)[:, WHICH]
    apart[2, 0] = 0.0
    assert float(apart.max()) < 0.05
    assert float((fit.place - at.place).norm(dim=-1).max()) < 0.005


def test_what_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="have shape"):
        Turns((1, 2), torch.eye(3).expand(4, 1, 3, 3), 0.1)
    with pytest.raises(UsageError, match="give at least"):
        Turns((1,), torch.eye(3).expand(4, 1, 3, 3), 0.0)


def test_places_cover_the_axes_without_saying_anything_of_them(tiny) -> None:
    turns = Turns((1,), torch.eye(3).expand(2, 1, 3, 3), 0.1)
    padded, _ = turns.observations(Places(torch.ones(2, 4, 3), torch.ones(2, 4)))
    residual, rows = padded.compare(torch.rand(2, 7, 3), torch.rand(2, 7, 3, 5))
    assert not residual[:, 4:].any() and not rows[:, 4:].any()
