"""Reference motions spoilt as video capture spoils them, to train on (ViMoGen's code).

All draws come from one generator, on its device, whatever the batch holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Corruption:
    """Ranges that each clip's rates are drawn from, evenly; in units of the features' spread."""

    noisy: tuple[float, float] = (0.0, 0.4)
    """Share of frames with noise."""
    noise: tuple[float, float] = (0.05, 0.15)
    """Its standard deviation."""
    blended: tuple[float, float] = (0.03, 0.08)
    """Share of frames that become a blend of their neighbours."""
    blend: tuple[float, float] = (0.35, 0.65)
    """The previous frame's part in it."""
    lost: float = 0.02
    """Share of frames that are zero and masked."""


PUBLISHED = Corruption()


def corrupted(
    clean: Tensor, mask: Tensor, *, generator: torch.Generator, kind: Corruption = PUBLISHED
) -> tuple[Tensor, Tensor]:
    """A spoilt reference `(B, T, d)` of normalised `clean` `(B, T, d)`, and its mask `(B, T)`.

    `mask` `(B, T)` bool says which frames there are; a clip never loses all of them.
    """
    at, (count, frames) = generator.device, clean.shape[:2]

    def uniform(between: tuple[float, float], *shape: int) -> Tensor:
        low, high = between
        return low + (high - low) * torch.rand(count, *shape, generator=generator, device=at)

    chosen = uniform((0, 1), frames) < uniform(kind.noisy, 1)
    noise = torch.randn(clean.shape, generator=generator, device=at)
    noise = noise * uniform(kind.noise, 1)[..., None]
    mixed = _blended(clean, mask, uniform(kind.blend, frames))
    between = uniform((0, 1), frames) < uniform(kind.blended, 1)
    spoilt = torch.where(between[..., None], mixed, clean) + noise * chosen[..., None]
    kept = mask & (uniform((0, 1), frames) >= kind.lost)
    kept = torch.where(kept.any(1, keepdim=True), kept, mask)
    return spoilt * kept[..., None], kept


def _blended(clean: Tensor, mask: Tensor, share: Tensor) -> Tensor:
    """Each frame as `share` `(B, T)` of the one before and the rest of the next; ends as they are."""
    before, after = clean.roll(1, 1), clean.roll(-1, 1)
    inside = mask.roll(1, 1) & mask.roll(-1, 1) & mask
    inside[:, 0] = inside[:, -1] = False
    mixed = share[..., None] * before + (1 - share[..., None]) * after
    return torch.where(inside[..., None], mixed, clean)
