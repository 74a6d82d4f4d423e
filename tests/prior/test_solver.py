"""The observations' derivatives against automatic differentiation, and posteriors that are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.prior.problem import Chain, Pixels, Places, Poses, left_jacobian
from humanmotion.prior.solver import Settings, solve
from humanmotion.prior.space import SIZE, PoseSpace
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

BODY = BodyModel.load()
FREE = tuple(range(22))


def chain(free: tuple[int, ...] = FREE) -> Chain:
    generator = torch.Generator().manual_seed(5)
    mean = rotvec_to_matrix(0.2 * torch.randn(54, 3, generator=generator))
    space = PoseSpace(mean, 0.1 + 0.3 * torch.rand(SIZE, generator=generator))
    return Chain(joint_points(BODY, FREE, joints=free, betas=torch.zeros(10)), space)


def poses(count: int, seed: int = 0) -> Poses:
    generator = torch.Generator().manual_seed(seed)
    turn = rotvec_to_matrix(torch.randn(count, 3, generator=generator))
    place = torch.randn(count, 3, generator=generator) + torch.tensor((0.0, 0.0, 4.0))
    return Poses(torch.randn(count, SIZE, generator=generator), turn, place)


def points_of(c: Chain, p: Poses) -> Tensor:
    return c.linearise(p)[0]


@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-3, 0.01, 1.0, 3.0])
def test_left_jacobian_is_the_derivative_of_the_exponential(size) -> None:
    axis = torch.nn.functional.normalize(torch.tensor((1.0, -2.0, 0.5)).double(), dim=0)
    at = size * axis

    def turned(v: Tensor) -> Tensor:
        return matrix_to_rotvec(rotvec_to_matrix(v) @ rotvec_to_matrix(at).T)

    slow = torch.autograd.functional.jacobian(turned, at + 1e-9)
    assert torch.allclose(left_jacobian(at), torch.as_tensor(slow), atol=1e-4)


@pytest.mark.parametrize("free", [FREE, (0, 16, 18, 20)])
def test_derivatives_by_every_unknown(free) -> None:
    c, p = chain(free), poses(3)
    _, slope = c.linearise(p)
    unknowns = 6 + 3 * (len(free) - 1)
    assert slope.shape == (3, 22, 3, unknowns)

    def moved(step: Tensor) -> Tensor:
        return points_of(c, c.moved(p, step.expand(3, -1))).sum(0)

    slow = torch.autograd.functional.jacobian(moved, torch.zeros(unknowns))
    assert torch.allclose(slope.sum(0), torch.as_tensor(slow), atol=1e-4)


def test_residuals_of_pixels_and_their_slope() -> None:
    c, p = chain(), poses(2)
    K = torch.tensor(((500.0, 0, 320), (0, 510.0, 240), (0, 0, 1))).expand(2, 3, 3)
    points = points_of(c, p)
    seen = Pixels(torch.zeros(2, 22, 2), torch.full((2, 22), 3.0), K)
    # The points themselves as unknowns: each moves itself only.
    own = torch.eye(66).reshape(22, 3, 66).expand(2, 22, 3, 66)
    residual, slope = seen.compare(points, own)
    flat = points @ K.mT
    assert torch.allclose(residual * 3, flat[..., :2] / flat[..., 2:], atol=1e-3)
    slow = torch.autograd.functional.jacobian(lambda x: seen.compare(x, own)[0], points)
    for n in range(2):
        whole = torch.as_tensor(slow)[n, :, :, n].flatten(-2)
        assert torch.allclose(slope[n], whole, atol=1e-2)


def gaussian_prior(state: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Expected clean states and their errors for numbers that are standard normal."""
    variance = level**2 / (1 + level**2)
    return state / (1 + level**2), torch.full_like(state, variance**0.5)


def start(count: int) -> Poses:
    return Poses(torch.zeros(count, SIZE), torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3))


@pytest.mark.parametrize("known", [True, False])
def test_exact_points_are_met(known) -> None:
    c, truth = chain(), poses(8)
    truth = Poses(0.7 * truth.state, truth.root, truth.place)
    seen = points_of(c, truth)
    first = start(8)
    if known:
        first = Poses(first.state, truth.root, truth.place)
    else:
        first = Poses(first.state, truth.root @ rotvec_to_matrix(torch.tensor((0.3, 0.2, -0.3))),
                      truth.place + 0.1)  # fmt: skip
    settings = Settings(root_known=known, place_known=known)
    found = solve(c, [Places(seen, torch.full((8, 22), 0.002))], gaussian_prior, start=first,
                  settings=settings, generator=torch.Generator().manual_seed(0))  # fmt: skip
    error = (points_of(c, found) - seen).norm(dim=-1)
    assert float(error.mean()) < 0.003


def test_without_observations_the_prior_is_sampled() -> None:
    c = chain()
    blind = Places(torch.zeros(400, 22, 3), torch.full((400, 22), torch.inf))
    settings = Settings(levels=(5.0, 3.0, 2.0, 1.3, 0.9, 0.6, 0.4, 0.25, 0.15, 0.1))
    found = solve(c, [blind], gaussian_prior, start=start(400), settings=settings,
                  generator=torch.Generator().manual_seed(0))  # fmt: skip
    body = found.state[:, :63]
    assert float(body.mean(0).abs().max()) < 0.2
    assert 0.85 < float(body.std()) < 1.1


def test_far_off_points_are_not_followed() -> None:
    c, truth = chain(), poses(6)
    truth = Poses(0.5 * truth.state, truth.root, truth.place)
    clean = points_of(c, truth)
    spoilt = clean.clone()
    spoilt[:, 20] += torch.tensor((0.5, 0.0, 0.0))
    first = Poses(start(6).state, truth.root, truth.place)
    settings = Settings(root_known=True, place_known=True)

    def error(seen: Tensor) -> float:
        found = solve(c, [Places(seen, torch.full((6, 22), 0.01))], gaussian_prior, start=first,
                      settings=settings, generator=torch.Generator().manual_seed(0))  # fmt: skip
        # Of a forearm's two ends either may be the wrong one; the rest of the body must not care.
        others = [j for j in range(22) if j not in (18, 20)]
        return float((points_of(c, found) - clean)[:, others].norm(dim=-1).mean())

    assert error(spoilt) < error(clean) + 0.005


def test_the_same_seed_gives_the_same_bytes() -> None:
    c, truth = chain(), poses(3)
    seen = Places(points_of(c, truth), torch.full((3, 22), 0.02))

    def run(seed: int) -> Tensor:
        return solve(c, [seen], gaussian_prior, start=start(3), settings=Settings(),
                     generator=torch.Generator().manual_seed(seed)).state  # fmt: skip

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
