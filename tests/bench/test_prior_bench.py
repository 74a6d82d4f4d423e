"""The figures of `bench prior` on a prior whose truth is known: normal poses, and the shipped one."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.prior_completion import Completion, scored
from humanmotion.body import BodyModel
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.sampling import sample
from humanmotion.prior.scoring import score
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace, token_mask
from humanmotion.rotations import matrix_to_rotvec


@pytest.mark.parametrize(("spread", "low", "high"), [(1.0, 0.87, 0.95), (2.0, 0.4, 0.75)])
def test_coverage_of_a_calibrated_prior_is_ninety_percent(spread, low, high) -> None:
    """A prior of independent normal numbers, and poses that are just that, or twice as wide."""
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)).eval().requires_grad_(False)
    error = (table_levels() / (1 + table_levels() ** 2).sqrt())[:, None].expand(LEVELS, SIZE)
    space = PoseSpace(torch.eye(3).repeat(54, 1, 1), torch.full((SIZE,), 0.2))
    prior = PosePrior(space, {"pose": network}, {"pose": error})
    state = spread * torch.randn(500, SIZE, generator=torch.Generator().manual_seed(1))
    poses = PoseSet(
        rotvec=matrix_to_rotvec(space.to_rotations(state)[:, 1:]), expression=torch.zeros(500, 10),
        recorded=torch.ones(500, TOKENS, dtype=torch.bool), clip=torch.zeros(500), names=("a",),
    )  # fmt: skip
    task = Completion(BodyModel.load(), poses, token_mask("left_shoulder", "left_elbow"))
    _, held = scored(task.ours(prior), task.truth)
    assert low < held < high


def test_the_shipped_prior_knows_a_pose_from_noise() -> None:
    prior = load_prior()
    likely = sample(prior, 20, seed=0)[:, 0]
    odd = 2.5 * torch.randn(20, SIZE, generator=torch.Generator().manual_seed(0))
    assert float(score(prior, odd).mean()) > 1.5 * float(score(prior, likely).mean())
    assert set(prior.networks) == {"pose", "motion"}
