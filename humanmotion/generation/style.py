"""Style by a reference clip: its posture, and how large its movements are, carried over while sampling.

What is carried over are the mean and the spread over time of each pose number of trunk, head and arms,
as AdaIN does with the channels of a picture (Huang and Belongie 2017) and, within a network trained for
it, of a motion (Aberman et al. 2020). Here nothing is trained for it: at every step the clean motion
that the network has in mind is given the clip's means and spreads, and later steps make the rest fit.
Legs are left alone: they carry the action, and the floor holds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS, POSE, features_of
from humanmotion.generation.vimogen import ViMoGen
from humanmotion.motion import Motion

CARRIED = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
"""Spine, neck, head, collars and arms."""
COLUMNS = [POSE.start + 6 * (joint - 1) + k for joint in CARRIED for k in range(6)]
SHORTEST = 10
"""Feature frames that a clip has at least: half a second."""
MOST_SCALED = 2.0
"""Movements become at most so many times as large, or as small."""
_LEAST = 1e-4


@dataclass(frozen=True)
class Style:
    """Of a clip, in a network's normalised features; raises UsageError for no strength it can have."""

    mean: Tensor
    """`(78)`."""
    spread: Tensor
    """`(78)`, standard deviations over time."""
    strength: float
    """0 is none, 1 all of it."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"style strength {self.strength:g} given; give 0 to 1")

    @classmethod
    def of(
        cls, motion: Motion, body: BodyModel, network: ViMoGen, *, strength: float = 1.0
    ) -> Style:
        """The style of a motion of any rate; raises UsageError for one that is too short."""
        features = features_of(motion, body).to(network.mean.device)
        if len(features) < SHORTEST:
            raise UsageError(
                f"a style clip of {len(features) / FPS:.2f} s given; give {SHORTEST / FPS:g} s or more"
            )
        own = network.normalised(features)[:, COLUMNS]
        return cls(own.mean(0), own.std(0), strength)

    def applied(self, clean: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Normalised features `(B, T, 276)` in this style; `mask` `(B, T)` is False behind the end."""
        own = clean[..., COLUMNS]
        there = torch.ones_like(clean[..., :1]) if mask is None else mask[..., None].to(clean)
        count = there.sum(1, keepdim=True).clamp(min=1)
        mean = (own * there).sum(1, keepdim=True) / count
        off = own - mean
        spread = ((off**2 * there).sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
        scale = (self.spread / spread.clamp(min=_LEAST)).clamp(1 / MOST_SCALED, MOST_SCALED)
        out = clean.clone()
        out[..., COLUMNS] = torch.lerp(own, self.mean + scale * off, self.strength)
        return out

    def led(
        self, velocity: Tensor, state: Tensor, level: float, *, mask: Tensor | None = None
    ) -> Tensor:
        """The velocity `(B, T, 276)` at `state` that leads to what is led to now, in this style."""
        if level <= 0:
            return velocity
        clean = state - level * velocity
        return velocity + (clean - self.applied(clean, mask=mask)) / level
