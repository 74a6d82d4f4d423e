"""A prior of tiny untrained networks: laws hold for it as for a trained one, and it costs nothing."""

from __future__ import annotations

import pytest
import torch

from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.space import SIZE, PoseSpace
from humanmotion.rotations import rotvec_to_matrix


@pytest.fixture(scope="session")
def tiny() -> PosePrior:
    """Its networks say nothing beyond what a standard normal would: D(x) = x / (1 + rho^2)."""
    generator = torch.Generator().manual_seed(5)
    mean = rotvec_to_matrix(0.2 * torch.randn(54, 3, generator=generator))
    space = PoseSpace(mean, 0.1 + 0.3 * torch.rand(SIZE, generator=generator))
    torch.manual_seed(0)
    networks = {
        "pose": Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)).eval(),
        "motion": Denoiser(
            DenoiserConfig(width=16, hidden=16, blocks=1, frames=60, heads=2)
        ).eval(),
    }
    for network in networks.values():
        network.requires_grad_(False)
    error = table_levels() / (1 + table_levels() ** 2).sqrt()
    table = error[:, None].expand(LEVELS, SIZE).clone()
    return PosePrior(space, networks, {"pose": table, "motion": table.clone()})
