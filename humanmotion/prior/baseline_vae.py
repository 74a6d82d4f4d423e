"""A variational autoencoder of body poses, after VPoser (Pavlakos et al. 2019, "SMPL-X", section 3.3).

Its networks, losses and weights are VPoser's, but for two: poses are whitened rotation vectors, so the
angle between joints is taken in tangent space, and there is no body, hence no loss on vertices.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.errors import FileFormatError
from humanmotion.prior.baselines import pick, weighted

ANGLE_WEIGHT = 2.0
"""Of the mean joint angle in radians; the weight of the latent's divergence is `kl`."""
DROPOUT = 0.1


class PoseVae(nn.Module):
    """Poses to a Gaussian of latent numbers, and latent numbers to poses."""

    def __init__(self, size: int = 63, *, latent: int = 32, units: int = 512) -> None:
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


def train_vae(
    poses: Tensor,
    weights: Tensor,
    *,
    steps: int,
    seed: int,
    batch: int = 128,
    latent: int = 32,
    units: int = 512,
    kl: float = 5e-3,
    spread: Tensor | None = None,
    learning_rate: float = 1e-3,
) -> PoseVae:
    """From whitened poses `(N, 63)` and weights `(N, 63)` or `(N,)`, 0 where a number is missing.

    `spread` `(63)` turns whitened numbers into radians in the loss; without it every number counts
    alike. A missing number is shown as the mean's, 0, and asked for nothing. Adam, falling to rate 0.
    """
    values, trust = (part.float() for part in weighted(poses, weights))
    radians = torch.ones_like(values[0]) if spread is None else spread.to(values)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = PoseVae(poses.shape[1], latent=latent, units=units).to(poses.device)
        optimizer = torch.optim.Adam(vae.parameters(), lr=learning_rate)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        for _ in range(steps):
            rows = torch.randint(len(values), (batch,)).to(poses.device)
            optimizer.zero_grad(set_to_none=True)
            loss = _loss(vae, values[rows], recorded=trust[rows] > 0, radians=radians, kl=kl)
            loss.backward()
            optimizer.step()
            falling.step()
    return _frozen(vae)


def _loss(vae: PoseVae, x: Tensor, *, recorded: Tensor, radians: Tensor, kl: float) -> Tensor:
    """Mean joint angle and divergence of a batch `(B, 63)`; `recorded` `(B, 63)` bool."""
    mean, deviation = vae.encode(x)
    again = vae.decode(mean + deviation * torch.randn_like(deviation))
    miss = torch.where(recorded, radians * (again - x), torch.zeros_like(x))
    # The root of a sum of squares has no slope at zero.
    angle = (miss.unflatten(-1, (-1, 3)).square().sum(-1) + 1e-8).sqrt()
    asked = recorded.unflatten(-1, (-1, 3)).any(-1)
    turned = (angle * asked).sum() / asked.sum().clamp(min=1)
    divergence = 0.5 * (mean**2 + deviation**2 - 1 - 2 * deviation.clamp(min=1e-6).log())
    return ANGLE_WEIGHT * turned + kl * divergence.sum(-1).mean()


def _frozen(vae: PoseVae) -> PoseVae:
    vae.eval().requires_grad_(False)
    return vae
