"""The shape of a body together with its poses, where bones do not show it: few points, pictures.

Gauss-Newton on all poses and the one shape at once; the poses are eliminated frame by frame (Schur
complement), so that what a turn of joints explains is not put down to the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.body.carried_points import CarriedPoints, positions
from humanmotion.prior.problem import Chain, Observation, Poses
from humanmotion.prior.solver import Settings

STEPS = 5
POSE_SIGMA = 0.5
"""Standard deviations by which a state may leave what the prior found, while shape is looked for."""
WORTH = 20
"""Frames that count in full; the errors of more are not independent of theirs."""
MOST_FRAMES = 60
LARGEST_STEP = 1.0


def fitted_shape(
    build: Callable[[Tensor], CarriedPoints],
    chain: Chain,
    observations: Sequence[Observation],
    *,
    poses: Poses,
) -> Tensor:
    """Betas `(10)`, standard normal before anything is seen, near the `poses` of a fit.

    `build` gives the points of a shape; `chain` has those of the shape that `poses` were fitted
    with. `observations` are of all frames; at most 60 of them are looked at.
    """
    rows = torch.linspace(0, len(poses.state) - 1, min(len(poses.state), MOST_FRAMES)).long()
    seen = [o.at(rows) for o in observations]
    start = Poses(poses.state[rows], poses.root[rows], poses.place[rows])
    betas, poses = chain.points.betas, start
    for _ in range(STEPS):
        chain = replace(chain, points=build(betas))
        moved, change = _step(build, chain, seen, poses=poses, start=start)
        betas, poses = betas + change.clamp(-LARGEST_STEP, LARGEST_STEP), chain.moved(poses, moved)
    return betas


def _step(
    build: Callable[[Tensor], CarriedPoints],
    chain: Chain,
    observations: Sequence[Observation],
    *,
    poses: Poses,
    start: Poses,
) -> tuple[Tensor, Tensor]:
    """Steps of the unknowns of each pose `(N, P)` and of the shape `(10)`."""
    points, slope = chain.linearise(poses)
    betas, unknowns = chain.points.betas, slope.shape[-1]
    rotations = chain.rotations(poses)
    # Points are linear in betas for a fixed pose, so unit differences are exact.
    columns = [positions(build(betas + unit), rotations, poses.place) - points
               for unit in torch.eye(10)]  # fmt: skip
    both = torch.cat((slope, torch.stack(columns, -1)), -1)
    trust = torch.full((len(points), unknowns + 10), 1e-4)
    trust[:, 3:-13] = POSE_SIGMA**-2
    trust[:, -10:] = 0
    normal, pull = torch.diag_embed(trust), torch.zeros_like(trust)
    pull[:, 3:-13] = trust[:, 3:-13] * (start.state - poses.state)[:, chain.free]
    for seen in observations:
        residual, rows = seen.compare(points, both)
        belief = 1 / (1 + residual.square().mean(-1) / Settings().outlier ** 2)
        rows = (rows * belief[..., None, None]).flatten(1, 2)
        away = (residual * belief[..., None]).flatten(1)
        normal = normal + rows.mT @ rows
        pull = pull - (rows.mT @ away[..., None])[..., 0]
    return _eliminated(normal, pull, betas, unknowns=unknowns)


def _eliminated(
    normal: Tensor, pull: Tensor, betas: Tensor, *, unknowns: int
) -> tuple[Tensor, Tensor]:
    own, mixed, shape = (normal[:, :unknowns, :unknowns], normal[:, :unknowns, unknowns:],
                         normal[:, unknowns:, unknowns:])  # fmt: skip
    factor = torch.linalg.cholesky(own)
    through = torch.cholesky_solve(mixed, factor)
    alone = torch.cholesky_solve(pull[:, :unknowns, None], factor)[..., 0]
    worth = min(1.0, WORTH / len(normal))
    left = worth * (shape - mixed.mT @ through).sum(0) + torch.eye(10)
    right = worth * (pull[:, unknowns:] - (mixed.mT @ alone[..., None])[..., 0]).sum(0) - betas
    change = torch.linalg.solve(left, right)
    return alone - through @ change, change
