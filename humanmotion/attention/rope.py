"""Rotary positions in time and space (Su et al. 2021, RoFormer, section 3.2, once per axis).

Positions are real numbers: seconds, metres or grid steps, whatever the model was trained on; the angle
is position times frequency. Tables in the order of places turn tokens that already stand there, so a
model that permutes its tokens once, before its first layer, pays nothing for the order in any layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.attention.layout import LooseTokens, TokenLayout
from humanmotion.errors import UsageError


def grid_positions(
    layout: TokenLayout, *, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Tensor:
    """Positions `(N, 3)` float32 along t, y and x in the order of the sequence, `spacing` apart.

    A motion's joints are spaced along y. Loose tokens stand at the origin, that is, are not turned.
    """
    parts, device = [], layout.order.device
    for segment in layout.segments:
        if isinstance(segment, LooseTokens):
            parts.append(torch.zeros(segment.count, 3, device=device))
        else:
            axes = [torch.arange(size, device=device) for size in segment.shape]
            step = torch.tensor(spacing, device=device, dtype=torch.float32)
            parts.append(torch.cartesian_prod(*axes).float() * step)
    return torch.cat(parts).float()


@dataclass(frozen=True, eq=False)
class Rotary:
    """Cosines and sines of every token's angles; build it with `Rotary.of`."""

    cos: Tensor
    """`(N, d / 2)` float32."""
    sin: Tensor
    """`(N, d / 2)` float32."""

    @classmethod
    def of(cls, positions: Tensor, *, channels: tuple[int, ...], base: float = 10000.0) -> Rotary:
        """Tables of `positions` `(N, axes)`; axis a turns `channels[a]` channels, the sum being d.

        Of an axis' n channels, pair i turns by `base ** (-2 i / n)` radians per unit. Raises UsageError
        unless every axis has an even number of channels.
        """
        if positions.ndim != 2 or positions.shape[1] != len(channels):
            raise UsageError(
                f"positions {tuple(positions.shape)} for {len(channels)} axes: (N, axes)"
            )
        if any(n < 0 or n % 2 for n in channels) or sum(channels) == 0:
            raise UsageError(f"channels {channels}: even numbers, of which one is above 0")
        # In float64: a long video's angles reach thousands of turns.
        pairs = [
            torch.arange(n // 2, dtype=torch.float64, device=positions.device) / max(n // 2, 1)
            for n in channels
        ]
        turns = [positions[:, a, None].double() * base**-p for a, p in enumerate(pairs)]
        angles = torch.cat(turns, 1)
        return cls(angles.cos().float(), angles.sin().float())

    def permuted(self, layout: TokenLayout) -> Rotary:
        """The same in the order of places, for tokens that `layout.permute` has moved."""
        return Rotary(self.cos[layout.order], self.sin[layout.order])

    def to(self, device: torch.device | str) -> Rotary:
        """The same on another device."""
        if self.cos.device == torch.device(device):
            return self
        return Rotary(self.cos.to(device), self.sin.to(device))

    def turn(self, x: Tensor) -> Tensor:
        """Queries or keys `(..., N, d)` at their positions; channels 2i and 2i + 1 form a pair.

        Raises UsageError for another N or d than the tables have.
        """
        want = (self.cos.shape[0], 2 * self.cos.shape[1])
        if tuple(x.shape[-2:]) != want:
            raise UsageError(f"tensor {tuple(x.shape)} for rotary positions of (N, d) = {want}")
        work = torch.promote_types(x.dtype, torch.float32)
        a, b = x.to(work).unflatten(-1, (-1, 2)).unbind(-1)
        at = self.to(x.device)
        turned = (a * at.cos - b * at.sin, a * at.sin + b * at.cos)
        return torch.stack(turned, -1).flatten(-2).to(x.dtype)
