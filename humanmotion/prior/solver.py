"""Likeliest poses: what the prior expects and what was seen, brought together level by level.

For a prior smeared by noise of a level, the gradient of its log density is (expected clean pose - pose)
/ level^2 (Tweedie's formula). So a Gauss-Newton step that is pulled to the expected pose with the level
as its standard deviation is a step on the smeared posterior itself, and there is no weight to choose.
Levels fall from where the prior knows only the average to where it is as sharp as it was trained. After
Romano et al. 2017, "The Little Engine that Could: Regularization by Denoising", with a falling level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.prior.neighbours import Neighbours
from humanmotion.prior.problem import Chain, Observation, Poses
from humanmotion.prior.space import SIZE

Expect = Callable[[Tensor, float], Tensor]
"""From states `(N, 172)` taken for noisy at a level to expected clean ones."""
ROOT_SIGMA, PLACE_SIGMA = 10.0, 100.0
"""Radians and metres: nothing is known of them."""
ROOT_DOUBT, PLACE_DOUBT = 1.0, 0.3
"""Radians and metres that root and pelvis may be off while the pose is as unsure as it can be."""
DAMPING = 1e-5
"""Share of each unknown's own trust that is added to it (Levenberg-Marquardt)."""
MAX_TURN = 0.8
"""Radians: the largest turn of a joint at once; beyond it the derivatives say nothing."""
ROWS = 512
"""Poses whose normal equations are held at once."""
REFINING_STEPS = 6
LOOK_SIGMA, LOOK_STEPS = 2.0, 4
"""Poses are held near the mean by so many standard deviations while they are only looked at."""


def falling(first: float, last: float, count: int) -> tuple[float, ...]:
    """`count` levels in even ratios."""
    return tuple(first * (last / first) ** (i / (count - 1)) for i in range(count))


@dataclass(frozen=True)
class Settings:
    """How a posterior is looked for; one set of numbers serves every task."""

    levels: tuple[float, ...] = falling(4.0, 0.01, 16)
    """Noise levels, falling; one step is made at each. Ending higher, movements go on shaking."""
    draw_levels: tuple[float, ...] = falling(4.0, 0.03, 8)
    """The same for draws, which begin at the likeliest poses."""
    outlier: float = 4.0
    """Standard deviations at which an observation is believed a quarter (Geman-McClure)."""
    root_known: bool = False
    place_known: bool = False
    neighbours: Neighbours | None = None
    """Ties neighbouring frames where the prior itself knows single poses only."""


def solve(
    chain: Chain,
    observations: Sequence[Observation],
    expect: Expect,
    *,
    start: Poses,
    levels: Sequence[float],
    settings: Settings,
) -> Poses:
    """The likeliest of each of `N` poses, beginning at `start`."""
    poses = start
    for level in levels:
        expected = expect(poses.state, level)
        # What is not solved for follows the prior alone.
        poses = replace(poses, state=_kept(poses.state, expected, chain))
        sigma = torch.full_like(expected, level)
        poses = _stepped(chain, observations, poses, expected, sigma, settings)
    return poses


def look(
    chain: Chain, observations: Sequence[Observation], start: Poses, *, settings: Settings
) -> tuple[Tensor, Tensor]:
    """States `(N, 172)` as they were observed, each pose by itself, and each number's level `(N, 172)`.

    A noisy look at the truth: the levels are infinite where an observation says nothing.
    """
    poses, free = start, chain.free
    mean = torch.zeros_like(start.state)
    sigma = torch.full_like(start.state, LOOK_SIGMA)
    for _ in range(LOOK_STEPS):
        poses = _stepped(chain, observations, poses, mean, sigma, settings)
    levels = []
    for rows in torch.arange(len(sigma)).split(ROWS):
        some = Poses(poses.state[rows], poses.root[rows], poses.place[rows])
        seen = [o.at(rows) for o in observations]
        linear = chain.linearise(some)
        normal, _ = _normal(chain, seen, some, linear, (mean[rows], sigma[rows]), settings)
        variance = torch.linalg.inv(normal).diagonal(dim1=-2, dim2=-1)[:, 3:-3]
        # What of it is due to what was seen, not to where the poses were held.
        trust = (1 / variance - LOOK_SIGMA**-2).clamp(min=0)
        levels.append(trust.rsqrt())
    out = torch.full((len(sigma), SIZE), torch.inf)
    out[:, free] = torch.cat(levels)
    out[out > LOOK_SIGMA] = torch.inf
    return poses.state, out


def leverage(
    chain: Chain, observations: Sequence[Observation], poses: Poses, *, settings: Settings
) -> float:
    """Degrees of freedom that poses of unit variance, each by itself, take up in what was seen."""
    taken = 0.0
    for rows in torch.arange(len(poses.state)).split(ROWS):
        some = Poses(poses.state[rows], poses.root[rows], poses.place[rows])
        seen = [o.at(rows) for o in observations]
        unit = torch.ones_like(some.state)
        linear = chain.linearise(some)
        prior, _ = _normal(chain, [], some, linear, (some.state, unit), settings)
        both, _ = _normal(chain, seen, some, linear, (some.state, unit), settings)
        left = (torch.linalg.inv(both) * prior).sum((-1, -2))  # trace of both^-1 prior
        taken += float((both.shape[-1] - left).sum())
    return taken


def refine(
    chain: Chain,
    observations: Sequence[Observation],
    start: Poses,
    *,
    sigma: Tensor,
    settings: Settings,
) -> Poses:
    """The poses nearest to `start`, in units of `sigma` `(N, 172)`, that agree with what was seen.

    For poses from between the frames of a fit, which agree only nearly.
    """
    poses = start
    for _ in range(REFINING_STEPS):
        poses = _stepped(chain, observations, poses, start.state, sigma, settings)
    return poses


def _stepped(
    chain: Chain,
    observations: Sequence[Observation],
    poses: Poses,
    expected: Tensor,
    sigma: Tensor,
    settings: Settings,
) -> Poses:
    """One Gauss-Newton step; without `neighbours`, poses are tied to each other by `expected` alone."""
    tie = settings.neighbours
    whole = ROWS if tie is None else max(ROWS // tie.frames, 1) * tie.frames
    moves = []
    for rows in torch.arange(len(sigma)).split(whole):
        some = Poses(poses.state[rows], poses.root[rows], poses.place[rows])
        seen = [o.at(rows) for o in observations]
        points, slope = chain.linearise(some)
        normal, pull = _normal(
            chain, seen, some, (points, slope), (expected[rows], sigma[rows]), settings
        )
        if tie is not None:
            moves.append(tie.joined(normal, pull, points=points, slope=slope))
            continue
        moves.append(torch.cholesky_solve(pull[..., None], torch.linalg.cholesky(normal))[..., 0])
    return chain.moved(poses, _limited(torch.cat(moves), chain))


def _kept(state: Tensor, expected: Tensor, chain: Chain) -> Tensor:
    out = expected.clone()
    out[:, chain.free] = state[:, chain.free]
    return out


def _normal(
    chain: Chain,
    observations: Sequence[Observation],
    poses: Poses,
    linear: tuple[Tensor, Tensor],
    prior: tuple[Tensor, Tensor],
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """Normal equations `(N, P, P)` and `(N, P)` of observations and prior at the present poses.

    `linear` are the points and their slope, `prior` the expected state and its sigma.
    """
    (points, slope), (expected, sigma) = linear, prior
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


def _limited(move: Tensor, chain: Chain) -> Tensor:
    turns = torch.cat((move[:, :3], move[:, 3:-3] * chain.space.spread[chain.free]), -1)
    largest = turns.abs().amax(-1, keepdim=True)
    return move * (MAX_TURN / largest.clamp(min=MAX_TURN))
