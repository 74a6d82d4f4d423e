"""The observations' derivatives against automatic differentiation, and posteriors that are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.prior.problem import Chain, Pixels, Places, Poses, left_jacobian
from humanmotion.prior.solver import Settings, look, solve
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


def gaussian_prior(state: Tensor, level: float) -> Tensor:
    """Expected clean states for numbers that are standard normal."""
    return state / (1 + level**2)


def solved(c: Chain, seen: Places, first: Poses, settings: Settings) -> Poses:
    return solve(c, [seen], gaussian_prior, start=first, levels=settings.levels, settings=settings)


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
    found = solved(c, Places(seen, torch.full((8, 22), 0.002)), first, settings)
    error = (points_of(c, found) - seen).norm(dim=-1)
    assert float(error.mean()) < 0.003


def test_it_ends_where_the_posterior_has_no_slope() -> None:
    c, truth = chain(), poses(5)
    truth = Poses(0.7 * truth.state, truth.root, truth.place)
    noise = 0.03 * torch.randn(5, 22, 3, generator=torch.Generator().manual_seed(1))
    seen = Places(points_of(c, truth) + noise, torch.full((5, 22), 0.03))
    settings = Settings(outlier=1e6, root_known=True, place_known=True)
    found = solved(c, seen, Poses(start(5).state, truth.root, truth.place), settings)
    last = settings.levels[-1]

    def minus_log(free: Tensor) -> Tensor:
        state = found.state.clone()
        state[:, :63] = free
        residual, _ = seen.compare(*c.linearise(replace(found, state=state)))
        # A standard normal smeared by the last level.
        return 0.5 * (residual.square().sum() + (free**2).sum() / (1 + last**2))

    slope = torch.autograd.functional.jacobian(minus_log, found.state[:, :63])
    begin = torch.autograd.functional.jacobian(minus_log, torch.zeros(5, 63))
    assert float(torch.as_tensor(slope).norm()) < 0.02 * float(torch.as_tensor(begin).norm())


def test_blocks_of_poses_do_not_know_of_each_other(monkeypatch) -> None:
    c, truth = chain(), poses(7)
    seen = Places(points_of(c, truth), torch.full((7, 22), 0.02))
    first = Poses(start(7).state, truth.root, truth.place)
    whole = solved(c, seen, first, Settings())
    monkeypatch.setattr("humanmotion.prior.solver.ROWS", 3)
    assert torch.allclose(solved(c, seen, first, Settings()).state, whole.state, atol=2e-3)


def test_far_off_points_are_not_followed() -> None:
    c, truth = chain(), poses(6)
    truth = Poses(0.5 * truth.state, truth.root, truth.place)
    clean = points_of(c, truth)
    spoilt = clean.clone()
    spoilt[:, 20] += torch.tensor((0.5, 0.0, 0.0))
    first = Poses(start(6).state, truth.root, truth.place)
    settings = Settings(root_known=True, place_known=True)

    def error(seen: Tensor) -> float:
        found = solved(c, Places(seen, torch.full((6, 22), 0.01)), first, settings)
        # Of a forearm's two ends either may be the wrong one; the rest of the body must not care.
        others = [j for j in range(22) if j not in (18, 20)]
        return float((points_of(c, found) - clean)[:, others].norm(dim=-1).mean())

    assert error(spoilt) < error(clean) + 0.005


def test_a_look_is_as_far_off_as_its_levels_say() -> None:
    """Over many draws of the noise, numbers that are well seen deviate by their level at most."""
    c, count, sigma = chain(), 200, 0.005
    truth = poses(1)
    truth = Poses(0.5 * truth.state, truth.root, truth.place)
    exact = points_of(c, truth)
    noise = torch.randn(count, *exact.shape[1:], generator=torch.Generator().manual_seed(1))
    every = Poses(*(x.expand(count, *x.shape[1:]) for x in
                    (truth.state, truth.root, truth.place)))  # fmt: skip
    seen = Places(exact + sigma * noise, torch.full((count, exact.shape[1]), sigma))
    known = Settings(root_known=True, place_known=True)
    state, level = look(c, [seen], every, settings=known)
    away = (state - truth.state)[:, :63].square().mean(0).sqrt()
    sure = level[0, :63] < 0.5
    assert int(sure.sum()) > 15
    # What the start holds along with unseen turns errs by less.
    ratio = away[sure] / level[0, :63][sure]
    assert float(ratio.median()) > 0.6 and float(ratio.max()) < 1.2
    assert bool(torch.isinf(level[:, 63:]).all())
