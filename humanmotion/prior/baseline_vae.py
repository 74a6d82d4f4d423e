"""A variational autoencoder of body poses, after VPoser (Pavlakos et al. 2019, "SMPL-X", section 3.3).

Its networks, losses and weights are VPoser's, but for two: poses are whitened rotation vectors, so the
angle between joints is taken in tangent space, and there is no body, hence no loss on vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.errors import FileFormatError
from humanmotion.prior.baselines import pick

ANGLE_WEIGHT = 2.0
"""Of the mean joint angle in radians."""
KL_WEIGHT = 5e-3
"""Of the divergence of the latent numbers."""
LATENT = 32
DROPOUT = 0.1


class PoseVae(nn.Module):
    """Poses to a Gaussian of latent numbers, and latent numbers to poses."""

    def __init__(self, size: int = 63, *, latent: int = LATENT, units: int = 512) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.BatchNorm1d(size),
            nn.Linear(size, units),
            nn.LeakyReLU(),
            nn.BatchNorm1d(units),
            nn.Dropout(DROPOUT),
            nn.Linear(units, units),
            nn.Linear(units, units),
        )
        self.to_mean = nn.Linear(units, latent)
        self.to_deviation = nn.Linear(units, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, units),
            nn.LeakyReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(units, units),
            nn.LeakyReLU(),
            nn.Linear(units, size),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(..., 32)` of the latent numbers of poses `(..., 63)`."""
        inner = self.encoder(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
        return self.to_mean(inner), functional.softplus(self.to_deviation(inner))

    def decode(self, z: Tensor) -> Tensor:
        """Poses `(..., 63)` of latent numbers `(..., 32)`, whose prior is a unit Gaussian."""
        return self.decoder(z)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Poses `(..., 63)` by way of one latent draw, whose `noise` `(..., 32)` is normal, and the
        latent numbers' means and standard deviations."""
        mean, deviation = self.encode(x)
        return self.decode(mean + deviation * noise), mean, deviation

    @torch.no_grad()
    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """What is left of poses `(..., 63)` after the bottleneck, whatever `rho`."""
        return self.decode(self.encode(x)[0])

    def tensors(self) -> dict[str, Tensor]:
        """All parameters and running statistics."""
        return {name: value.detach().contiguous() for name, value in self.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PoseVae:
        """Of `tensors()`; raises FileFormatError where they do not fit."""
        first, last = pick(tensors, "encoder.1.weight", "to_mean.weight")
        vae = cls(first.shape[1], latent=len(last), units=len(first))
        try:
            vae.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise FileFormatError("these weights are not a pose autoencoder's") from error
        return _frozen(vae)


def vae_loss(
    vae: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    batch: Tensor,
    generator: torch.Generator,
    *,
    radians: Tensor,
    kl: float = KL_WEIGHT,
    latent: int = LATENT,
) -> Tensor:
    """Mean joint angle and divergence from a unit Gaussian of a batch of whitened poses `(B, 63)`.

    `radians` `(63)` are what the whitened numbers are counted in.
    """
    shape = (len(batch), latent)
    noise = torch.randn(shape, generator=generator, dtype=batch.dtype, device=generator.device)
    again, mean, deviation = vae(batch, noise.to(batch.device))
    miss = (radians * (again - batch)).unflatten(-1, (-1, 3))
    # The root of a sum of squares has no slope at zero.
    turned = (miss.square().sum(-1) + 1e-8).sqrt().mean()
    divergence = 0.5 * (mean**2 + deviation**2 - 1 - 2 * deviation.clamp(min=1e-6).log())
    return ANGLE_WEIGHT * turned + kl * divergence.sum(-1).mean()


def _frozen(vae: PoseVae) -> PoseVae:
    vae.eval().requires_grad_(False)
    return vae
