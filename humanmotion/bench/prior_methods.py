"""The priors that `bench prior` compares, all behind the one question that the solver asks.

Every method gets the same solver, start, observations and number of draws; only the prior differs. The
error of a method's expected poses is measured on the val split for all of them. The mixture is fitted
to poses in which every body joint was recorded, which CMU's are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.baseline_mixture import GaussianMixture
from humanmotion.prior.baselines import BaselinePrior, Gaussian, MeanPose, NoPrior
from humanmotion.prior.model import Kind, PosePrior, table_levels
from humanmotion.prior.solver import Expect
from humanmotion.prior.space import BODY, SIZE, TOKENS, PoseSpace, spread_tokens

NUMBERS = 3 * BODY.stop
COMPONENTS = 8
THIN = 3
"""One training frame in so many fits the baselines; neighbours say the same thing."""


@dataclass(frozen=True)
class Method:
    """One prior, as the solver sees it."""

    name: str
    expects: Callable[[int, int], Expect]
    """From hypotheses and frames to what the solver calls."""


def methods(prior: PosePrior, *, train: PoseSet, val: PoseSet) -> list[Method]:
    """Ours and the baselines that are quick to fit: none, mean pose, Gaussian, mixture."""
    (poses, weights), (tested, seen) = _numbers(prior.space, train), _numbers(prior.space, val)
    other, its_weights = _numbers(prior.space, train.mirrored())
    poses, weights = torch.cat((poses, other)), torch.cat((weights, its_weights))
    whole = weights.all(-1)
    fitted: dict[str, BaselinePrior] = {
        "none": NoPrior(),
        "mean pose": MeanPose.fit(poses, weights),
        "gaussian": Gaussian.fit(poses, weights),
        f"gmm-{COMPONENTS}": GaussianMixture.fit(
            poses[whole], weights[whole], components=COMPONENTS, seed=0
        ),
    }
    out = [_baseline(name, one, tested, seen) for name, one in fitted.items()]
    return [*out, _ours("ours", prior, "pose"), _ours("ours, temporal", prior, "motion")]


def _ours(name: str, prior: PosePrior, kind: Kind) -> Method:
    body = torch.zeros(TOKENS, dtype=torch.bool)
    body[BODY] = True

    def expects(hypotheses: int, frames: int) -> Expect:
        def expect(state: Tensor, level: float) -> tuple[Tensor, Tensor]:
            rho = torch.where(body, torch.tensor(level), torch.inf)
            clean = prior.denoise(state.reshape(hypotheses, frames, SIZE), rho, kind=kind)
            return clean.reshape(-1, SIZE), prior.sigma(level, kind=kind).expand(len(state), SIZE)

        return expect

    return Method(name, expects)


def _baseline(name: str, one: BaselinePrior, val: Tensor, seen: Tensor) -> Method:
    levels, generator = table_levels(), torch.Generator().manual_seed(0)
    errors = []
    for level in levels.tolist():
        noisy = val + level * torch.randn(val.shape, generator=generator)
        square = (one.anchor(noisy, level) - val) ** 2 * seen
        errors.append((square.sum(0) / seen.sum(0)).sqrt())
    table = torch.stack(errors)

    def expect(state: Tensor, level: float) -> tuple[Tensor, Tensor]:
        clean = torch.zeros_like(state)
        clean[:, :NUMBERS] = one.anchor(state[:, :NUMBERS], level)
        sigma = torch.ones(SIZE)
        sigma[:NUMBERS] = _between(table, levels, level)
        return clean, sigma.expand_as(state)

    return Method(name, lambda hypotheses, frames: expect)


def _between(table: Tensor, levels: Tensor, level: float) -> Tensor:
    """The row `(63)` of the level, linear in its logarithm."""
    at = (torch.searchsorted(levels, torch.tensor(level)) - 1).clamp(0, len(levels) - 2)
    share = (torch.tensor(level) / levels[at]).log() / (levels[at + 1] / levels[at]).log()
    return torch.lerp(table[at], table[at + 1], share)


def _numbers(space: PoseSpace, poses: PoseSet) -> tuple[Tensor, Tensor]:
    """Body numbers `(N, 63)` and which were recorded, as 0 and 1."""
    some = poses[torch.arange(0, len(poses), THIN)]
    root = torch.eye(3).expand(len(some), 1, 3, 3)
    state = space.to_state(torch.cat((root, some.rotations), 1), some.expression)
    seen = spread_tokens(some.recorded)[:, :NUMBERS]
    return state[:, :NUMBERS], seen.float()
