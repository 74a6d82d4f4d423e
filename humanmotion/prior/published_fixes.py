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
from humanmotion.prior.published import NoiseNetwork, noise_errors
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
        clean = self.clean(state / SUB_VP.alpha(t)[..., None], t)
        return (state - SUB_VP.alpha(t)[..., None] * clean) / SUB_VP.sigma(t)[..., None]


class Preconditioned(nn.Module):
    """The scalings of Karras et al. 2022, table 1, around the network."""

    def __init__(self, network: TimeFC) -> None:
        super().__init__()
        network.scale.fill_(1.0)
        self.network = network

    def clean(self, noisy: Tensor, t: Tensor) -> Tensor:
        """Clean states `(..., D)` of `noisy`, clean plus `rho(t)` times noise."""
        scale = scalings(SUB_VP.rho(t)[..., None])
        return scale.skip * noisy + scale.out * self._told(noisy, t)

    def forward(self, state: Tensor, t: Tensor) -> Tensor:
        """Noise `(..., D)` in states of the sub-VP process at times `t`, one or `(...)`."""
        noisy, rho = state / SUB_VP.alpha(t)[..., None], SUB_VP.rho(t)[..., None]
        # (noisy - clean) / rho, written so that small levels keep their digits.
        return noisy * rho / (1 + rho**2) - self._told(noisy, t) / (1 + rho**2).sqrt()

    def _told(self, noisy: Tensor, t: Tensor) -> Tensor:
        return self.network(scalings(SUB_VP.rho(t)[..., None]).input * noisy, t)


def clean_loss(network: NoiseNetwork, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of the clean states `(B, D)`; every number and every time counts alike.

    Times are drawn as in the published loss. A clean state errs by `rho` times what the noise does.
    """
    errors, t = noise_errors(network, batch, generator)
    return (SUB_VP.rho(t)[:, None] ** 2 * errors).mean()


def preconditioned_loss(network: NoiseNetwork, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error in the inner network's own scale, where its target has unit variance.

    Karras et al. 2022, section 5 (their weight `1 / out^2` on clean states), times as published.
    """
    errors, t = noise_errors(network, batch, generator)
    return ((1 + SUB_VP.rho(t)[:, None] ** 2) * errors).mean()
