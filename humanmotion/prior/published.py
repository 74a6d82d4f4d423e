"""DPoser-X as a prior of raw rotation vectors: normalisation, training losses, denoising, sampling.

Lu et al. 2025, "DPoser-X: Diffusion Model as Robust 3D Whole-body Human Pose Prior". It stands beside
our own prior to be compared with it on equal terms; the networks are in `published_networks`, its
solvers in `published_solver`.

A pose is a body `(63)`, a hand `(45)`, a face `(jaw 3, expression)` or a whole body in the order body,
left hand, right hand, face. Rotations are raw rotation vectors in radians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.errors import UsageError
from humanmotion.prior.published_networks import PublishedConfig, spread_parts

NoiseNetwork = Callable[[Tensor, Tensor], Tensor]
"""From noisy states `(..., D)` and times, one or `(...)`, to the noise in them `(..., D)`."""
EARLIEST = 1e-5
"""Smallest time in training."""
SAMPLING_END = 1e-3
"""Time at which sampling stops; the authors evaluate with 5e-3."""
LEAST_DEVIATION = 1e-4
"""Radians: a number that never varies in the data must not be divided by nothing."""


def mirror_hand(hand: Tensor) -> Tensor:
    """The other side's hand `(..., 45)`: second and third numbers of each joint change sign."""
    return hand * hand.new_tensor((1.0, -1.0, -1.0)).repeat(hand.shape[-1] // 3)


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Raw poses to numbers of zero mean and unit variance, each by itself, and back."""

    mean: Tensor
    """`(D)`, of right hands on both sides."""
    deviation: Tensor
    """`(D)`."""
    sign: Tensor
    """`(D)`: -1 where the left hand is mirrored, else 1."""

    @classmethod
    def fit(cls, poses: Tensor) -> Normaliser:
        """From poses of one part `(N, D)`; hands are right ones, left ones come mirrored."""
        deviation = poses.std(0).clamp(min=LEAST_DEVIATION)
        return cls(poses.mean(0), deviation, torch.ones_like(deviation))

    @classmethod
    def whole_body(cls, *, body: Normaliser, hand: Normaliser, face: Normaliser) -> Normaliser:
        """Of the parts, so that each network sees the numbers it was trained on."""
        parts = body, hand, hand, face
        signs = body.sign, mirror_hand(hand.sign), hand.sign, face.sign
        mean = torch.cat([part.mean for part in parts])
        return cls(mean, torch.cat([part.deviation for part in parts]), torch.cat(signs))

    def to_state(self, pose: Tensor) -> Tensor:
        """Raw poses `(..., D)` to states."""
        return (pose * self.sign - self.mean) / self.deviation

    def to_pose(self, state: Tensor) -> Tensor:
        """States `(..., D)` to raw poses."""
        return (state * self.deviation + self.mean) * self.sign

    def to(self, device: torch.device | str) -> Normaliser:
        """The same with its tensors on `device`."""
        return Normaliser(*(x.to(device) for x in (self.mean, self.deviation, self.sign)))


@dataclass(frozen=True, eq=False)
class PublishedPrior:
    """A trained network with its normalisation; the network is put in evaluation mode."""

    network: NoiseNetwork
    normaliser: Normaliser

    def __post_init__(self) -> None:
        if isinstance(self.network, nn.Module):
            self.network.eval()

    @property
    def mean_pose(self) -> Tensor:
        """The mean of the training poses `(D)`."""
        return self.normaliser.to_pose(torch.zeros_like(self.normaliser.mean))

    def denoise(self, pose: Tensor, rho: float | Tensor) -> Tensor:
        """Expected clean poses `(..., D)` of noisy ones at a level common to all numbers of a pose.

        `pose` is a clean pose plus `rho` times `normaliser.deviation` times normal noise; `rho`, one
        or `(...)`, lies in [0, 152]. Raises UsageError for another one.
        """
        level = torch.as_tensor(rho, dtype=pose.dtype, device=pose.device)
        most = SUB_VP.rho(torch.ones((), dtype=pose.dtype, device=pose.device))
        if not bool(((level >= 0) & (level <= most)).all()):
            raise UsageError(f"noise level {rho} given; the network knows 0 to {float(most):.0f}")
        with torch.no_grad():
            state = self.normaliser.to_state(pose)
            clean = expected_clean(self.network, state, SUB_VP.time(level).clamp(max=1.0))
        return self.normaliser.to_pose(clean)

    def sample(self, count: int, *, generator: torch.Generator, steps: int = 1000) -> Tensor:
        """Raw poses `(count, D)` drawn from the prior."""
        mean = self.normaliser.mean
        start = normal_like(mean.expand(count, -1), generator)
        return self.normaliser.to_pose(
            sample_states(self.network, start, generator=generator, steps=steps)
        )


def expected_clean(network: NoiseNetwork, noisy: Tensor, t: Tensor) -> Tensor:
    """Clean states `(..., D)` of `noisy`, clean plus `rho(t)` times noise; `t` is one or `(...)`.

    One step (Tweedie's formula): what the network holds for noise is taken away.
    """
    noise = network(SUB_VP.alpha(t)[..., None] * noisy, t)
    return noisy - SUB_VP.rho(t)[..., None] * noise


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise of the shape, dtype and device of `like`, drawn where the generator lives."""
    noise = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return noise.to(like.device)


def noise_loss(network: NoiseNetwork, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of the noise found in normalised states `(B, D)`: part, base and fused.

    Times are uniform in [1e-5, 1]; every number and every time counts alike, which is score matching
    weighted by `sigma^2` (Song et al. 2021, equation 7).
    """
    return noise_errors(network, batch, generator)[0].mean()


def noise_errors(
    network: NoiseNetwork, batch: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Squared errors `(B, D)` of the noise found in states `(B, D)`, and the times drawn `(B)`."""
    t, noise = _draw(batch, generator)
    return (network(_noised(batch, noise, t), t) - noise) ** 2, t


@dataclass(frozen=True)
class PartDropping:
    """How often a part of a whole body is hidden from the network in mixed training.

    The paper hides a part with probability 0.2. The release uses the same number as the probability
    to *keep* one: 80 % of the parts are hidden, and all four in 41 % of the samples. What the authors
    report was trained by their code, so its reading is the default.
    """

    probability: float = 0.2
    reading: Literal["code", "paper"] = "code"

    @property
    def keep(self) -> float:
        """Probability that a part stays visible."""
        return self.probability if self.reading == "code" else 1 - self.probability


PUBLISHED_DROPPING = PartDropping()


def mixed_loss(
    network: Callable[[Tensor, Tensor, Tensor], Tensor],
    batch: Tensor,
    generator: torch.Generator,
    *,
    present: Tensor,
    config: PublishedConfig,
    dropping: PartDropping = PUBLISHED_DROPPING,
) -> Tensor:
    """`noise_loss` for samples of which only some parts are `present` `(B, 4)` bool.

    DPoser-X, mixed training. A part that is absent is hidden and asked for nothing; `batch` `(B, D)`
    may hold anything there. Where all four are present they are dropped at random, and are still asked
    for. As in the release, the mean is over all numbers, so that a sample of few parts counts less.
    """
    t, noise = _draw(batch, generator)
    chance = torch.rand(present.shape, generator=generator, device=generator.device)
    kept = (chance < dropping.keep).to(present.device)
    visible = torch.where(present.all(-1, keepdim=True), kept, present)
    found = network(_noised(batch, noise, t), t, visible)
    asked = spread_parts(present, config)
    return (torch.where(asked, found - noise, torch.zeros_like(noise)) ** 2).mean()


def _draw(batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Times `(B)` and noise `(B, D)`."""
    share = torch.rand(len(batch), generator=generator, dtype=batch.dtype, device=generator.device)
    t = EARLIEST + (1 - EARLIEST) * share.to(batch.device)
    return t, normal_like(batch, generator)


def _noised(state: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    return SUB_VP.alpha(t)[:, None] * state + SUB_VP.sigma(t)[:, None] * noise


@torch.no_grad()
def sample_states(
    network: NoiseNetwork,
    start: Tensor,
    *,
    generator: torch.Generator,
    steps: int = 1000,
    end: float = SAMPLING_END,
) -> Tensor:
    """Normalised states `(..., D)` from normal noise `start`, one network call a step.

    Euler-Maruyama on the reverse-time equation (Song et al. 2021, equation 6) from time 1 to `end`.
    As in their code a step is `1 / steps` long; the last one adds no noise.
    """
    x = mean = start
    length = 1 / steps
    for t in torch.linspace(1.0, end, steps, dtype=start.dtype, device=start.device):
        spread = SUB_VP.diffusion(t)
        score = -network(x, t) / SUB_VP.sigma(t)
        mean = x + length * (0.5 * SUB_VP.rate(t) * x + spread**2 * score)
        x = mean + spread * length**0.5 * normal_like(x, generator)
    return mean
