"""Posterior poses: what the prior expects and what was seen, brought together level by level.

At each noise level the prior turns the present, re-noised poses into expected clean ones with a known
error; damped Gauss-Newton then finds the poses that agree with both those and the observations, and a
draw from the Gaussian around them is what is re-noised next. After Zhang et al. 2025, "Improving
Diffusion Inverse Problem Solving with Decoupled Noise Annealing" (algorithm 1), with a Laplace draw in
place of its Langevin steps. The weight between prior and observations is given by their errors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.prior.problem import Chain, Observation, Poses

Expect = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""From noisy states `(N, 172)` at a level to expected states and their standard deviations."""
ROOT_SIGMA, PLACE_SIGMA = 10.0, 100.0
"""Radians and metres: nothing is known of them."""
ROOT_DOUBT, PLACE_DOUBT = 1.0, 0.3
"""Radians and metres that root and pelvis may be off while the pose is as unsure as it can be."""
MAX_SHIFT = 0.3
"""Metres: the largest random shift of a pelvis that nothing holds."""
DAMPING = 1e-5
"""Share of each unknown's own trust that is added to it (Levenberg-Marquardt)."""
MAX_TURN = 0.8
"""Radians: the largest turn of a joint at once; beyond it the derivatives say nothing."""


@dataclass(frozen=True)
class Settings:
    """How a posterior is looked for; one set of numbers serves every task."""

    levels: tuple[float, ...] = (3.0, 1.8, 1.1, 0.7, 0.45, 0.3, 0.2, 0.13, 0.08, 0.05)
    """Noise levels, falling."""
    steps: int = 2
    """Gauss-Newton steps at each."""
    last_steps: int = 6
    """Steps at the last one, which nothing follows."""
    outlier: float = 4.0
    """Standard deviations at which an observation is believed a quarter (Geman-McClure)."""
    root_known: bool = False
    place_known: bool = False


def solve(
    chain: Chain,
    observations: Sequence[Observation],
    expect: Expect,
    *,
    start: Poses,
    settings: Settings,
    generator: torch.Generator,
) -> Poses:
    """One draw of each of `N` poses from their posterior, beginning at `start`."""
    poses = start
    expected, sigma = expect(
        _noised(poses.state, settings.levels[0], generator), settings.levels[0]
    )
    for number, level in enumerate(settings.levels):
        if number:
            expected, sigma = expect(_noised(poses.state, level, generator), level)
        # What is not solved for follows the prior alone.
        poses = replace(poses, state=_kept(poses.state, expected, chain))
        last = number == len(settings.levels) - 1
        steps = settings.last_steps if last else settings.steps
        for step in range(steps):
            normal, pull = _normal(chain, observations, poses, expected, sigma, settings)
            factor = torch.linalg.cholesky(normal)
            move = torch.cholesky_solve(pull[..., None], factor)[..., 0]
            poses = chain.moved(poses, _limited(move, chain))
            if step == steps - 1 and not last:
                noise = torch.randn(move.shape, generator=generator)[..., None]
                draw = torch.linalg.solve_triangular(factor.mT, noise, upper=True)[..., 0]
                poses = chain.moved(poses, _tamed(draw))
    return poses


def refine(
    chain: Chain,
    observations: Sequence[Observation],
    start: Poses,
    *,
    sigma: Tensor,
    settings: Settings,
) -> Poses:
    """The poses nearest to `start`, in units of `sigma` `(N, 172)`, that agree with what was seen.

    A mean of draws agrees with the observations less well than each draw does.
    """
    poses = start
    for _ in range(settings.last_steps):
        normal, pull = _normal(chain, observations, poses, start.state, sigma, settings)
        move = torch.cholesky_solve(pull[..., None], torch.linalg.cholesky(normal))[..., 0]
        poses = chain.moved(poses, _limited(move, chain))
    return poses


def _noised(state: Tensor, level: float, generator: torch.Generator) -> Tensor:
    return state + level * torch.randn(state.shape, generator=generator)


def _kept(state: Tensor, expected: Tensor, chain: Chain) -> Tensor:
    out = expected.clone()
    out[:, chain.free] = state[:, chain.free]
    return out


def _normal(
    chain: Chain,
    observations: Sequence[Observation],
    poses: Poses,
    expected: Tensor,
    sigma: Tensor,
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """Normal equations `(N, P, P)` and `(N, P)` of observations and prior at the present poses."""
    points, slope = chain.linearise(poses)
    free = chain.free
    known = (
        1e-4 if settings.root_known else ROOT_SIGMA,
        1e-5 if settings.place_known else PLACE_SIGMA,
    )
    ends = [torch.full((len(points), 3), k**-2) for k in known]
    trust = torch.cat((ends[0], sigma[:, free] ** -2, ends[1]), -1)
    normal = torch.diag_embed(trust)
    pull = torch.zeros_like(trust)
    pull[:, 3:-3] = trust[:, 3:-3] * (expected - poses.state)[:, free]
    doubt = _doubt(trust, sigma[:, free])
    for seen in observations:
        residual, rows = seen.compare(points, slope)
        weight = _belief(residual, rows, doubt, settings.outlier)[..., None]
        rows, residual = (rows * weight[..., None]).flatten(1, 2), (residual * weight).flatten(1)
        normal = normal + rows.mT @ rows
        pull = pull - (rows.mT @ residual[..., None])[..., 0]
    # Two unknowns that only differ behind single precision must not stop the factorisation.
    return normal + torch.diag_embed(DAMPING * normal.diagonal(dim1=-2, dim2=-1)), pull


def _doubt(trust: Tensor, sigma: Tensor) -> Tensor:
    """Variances `(N, P)` by which observations are judged.

    Nothing is known of where a body stands, but that must not excuse every observation: root and
    pelvis are doubted as far as the pose still is.
    """
    doubt = 1 / trust
    scale = sigma.square().mean(-1, keepdim=True).clamp(max=1.0)
    root = torch.minimum(doubt[:, :3], scale * ROOT_DOUBT**2)
    place = torch.minimum(doubt[:, -3:], scale * PLACE_DOUBT**2)
    return torch.cat((root, doubt[:, 3:-3], place), -1)


def _belief(residual: Tensor, rows: Tensor, variance: Tensor, outlier: float) -> Tensor:
    """Square roots `(N, L)` of Geman-McClure weights.

    A residual is judged by what the prior's own uncertainty lets it be: while little is known, an
    observation far from the pose is no outlier.
    """
    expected = 1 + (rows**2 @ variance[:, None, :, None])[..., 0].mean(-1)
    return 1 / (1 + (residual**2).mean(-1) / (expected * outlier**2))


def _tamed(draw: Tensor) -> Tensor:
    """A draw whose root and pelvis stay near, in frames where too little was seen to hold them."""
    turn, place = draw[:, :3], draw[:, -3:]
    return torch.cat(
        (turn.clamp(-MAX_TURN, MAX_TURN), draw[:, 3:-3], place.clamp(-MAX_SHIFT, MAX_SHIFT)), -1
    )


def _limited(move: Tensor, chain: Chain) -> Tensor:
    turns = torch.cat((move[:, :3], move[:, 3:-3] * chain.space.spread[chain.free]), -1)
    largest = turns.abs().amax(-1, keepdim=True)
    return move * (MAX_TURN / largest.clamp(min=MAX_TURN))
