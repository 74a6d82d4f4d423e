"""DPoser-X's network told to learn something better: the first steps from it to our prior.

Both take and give what the published network does, so every solver of `published_solver` and the oracle
of its regulariser hold for them. The table that divides the published output, a leftover of another
recipe, is switched off in both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.diffusion.preconditioning import scalings
from humanmotion.prior.published import EARLIEST
from humanmotion.prior.published_networks import TimeFC


class CleanTarget(nn.Module):
    """The network tells the clean state; the noise follows from it."""

    def __init__(self, network: TimeFC) -> None:
        super().__init__()
        network.scale.fill_(1.0)
        self.network = network

    def clean(self, noisy: Tensor, t: Tensor) -> Tensor:
        """Clean states `(..., D)` of `noisy`, clean plus `rho(t)` times noise."""
        return self.network(SUB_VP.alpha(t)[..., None] * noisy, t)

    def forward(self, state: Tensor, t: Tensor) -> Tensor:
        """Noise `(..., D)` in states of the sub-VP process at times `t`, one or `(...)`."""
        return _noise(state, self.clean(state / SUB_VP.alpha(t)[..., None], t), t)


class Preconditioned(nn.Module):
    """The scalings of Karras et al. 2022, table 1, around the network."""

    def __init__(self, network: TimeFC) -> None:
        super().__init__()
        network.scale.fill_(1.0)
        self.network = network

    def clean(self, noisy: Tensor, t: Tensor) -> Tensor:
        """Clean states `(..., D)` of `noisy`, clean plus `rho(t)` times noise."""
        scale = scalings(SUB_VP.rho(t)[..., None])
        return scale.skip * noisy + scale.out * self.network(scale.input * noisy, t)

    def forward(self, state: Tensor, t: Tensor) -> Tensor:
        """Noise `(..., D)` in states of the sub-VP process at times `t`, one or `(...)`."""
        return _noise(state, self.clean(state / SUB_VP.alpha(t)[..., None], t), t)


def clean_loss(
    network: CleanTarget | Preconditioned, batch: Tensor, generator: torch.Generator
) -> Tensor:
    """Mean squared error on states `(B, D)`, times as in the published loss.

    A clean target counts alike at every time; the preconditioned network is judged in its own scale,
    where its target has unit variance at every level.
    """
    share = torch.rand(len(batch), generator=generator, dtype=batch.dtype)
    t = EARLIEST + (1 - EARLIEST) * share.to(batch.device)
    noise = torch.randn(batch.shape, generator=generator, dtype=batch.dtype).to(batch.device)
    rho = SUB_VP.rho(t)[:, None]
    noisy = batch + rho * noise
    if isinstance(network, CleanTarget):
        return ((network.clean(noisy, t) - batch) ** 2).mean()
    # (batch - skip * noisy) / out, written so that small levels keep their digits.
    target = (rho * batch - noise) / (1 + rho**2).sqrt()
    return ((network.network(scalings(rho).input * noisy, t) - target) ** 2).mean()


def _noise(state: Tensor, clean: Tensor, t: Tensor) -> Tensor:
    return (state - SUB_VP.alpha(t)[..., None] * clean) / SUB_VP.sigma(t)[..., None]
