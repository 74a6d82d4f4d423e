"""Blocks of a diffusion transformer: attention and feed-forward, each modulated by time.

Peebles and Xie 2023, "Scalable Diffusion Models with Transformers" (adaLN), in the form of Wan2.1's
video transformer: RMS-norm of queries and keys over the full width, layer norms without affine, six
learned rows a block that are added to what the time says. Self-attention goes through an
`AttentionPlan`, which is dense where sparse would not gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.plan import AttentionPlan

TIME_WIDTH = 256
EPS = 1e-6


@dataclass(frozen=True)
class BlockSizes:
    """Sizes of a block; raises ValueError for sizes that cannot be."""

    width: int
    hidden: int
    heads: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.hidden, self.heads) < 1 or self.width % (2 * self.heads):
            raise ValueError("sizes must be 1 or more, width a multiple of twice the heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")


def sinusoids(places: Tensor, width: int) -> Tensor:
    """`(..., width)`: cosines, then sines, of places or times `(...)`; base 10,000."""
    half = width // 2
    speed = 10_000.0 ** -(torch.arange(half, device=places.device, dtype=torch.float32) / half)
    angle = places.float()[..., None] * speed
    return torch.cat((angle.cos(), angle.sin()), -1)


class TimeModulation(nn.Module):
    """What the blocks, and the head, are told of times `(B)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(TIME_WIDTH, width), nn.SiLU(), nn.Linear(width, width))
        self.spread = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """For the head `(B, width)` and for the blocks `(B, 6, width)`."""
        said = self.embed(sinusoids(time, TIME_WIDTH))
        return said, self.spread(said).unflatten(-1, (6, -1))


class _RootMeanSquareNorm(nn.RMSNorm):
    """The norm in the precision of its weight: torch's own has no fast mixture of two."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return super().forward(x.to(self.weight.dtype))


class Attention(nn.Module):
    """Projections of queries, keys, values and result, and the norms of the first two."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.norm_q, self.norm_k = (_RootMeanSquareNorm(width) for _ in range(2))

    def queries(self, x: Tensor) -> Tensor:
        """`(B, H, N, d)` of tokens `(B, N, width)`."""
        return self._split(self.norm_q(self.q(x)))

    def keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values `(B, H, N, d)` of tokens `(B, N, width)`."""
        return self._split(self.norm_k(self.k(x))), self._split(self.v(x))

    def result(self, mixed: Tensor) -> Tensor:
        """Tokens `(B, N, width)` of what was attended `(B, H, N, d)`."""
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        # Under autocast a norm answers in float32, a projection in bfloat16.
        return x.to(self._dtype(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _dtype(self, x: Tensor) -> torch.dtype:
        kind = x.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class CrossAttention(Attention):
    """Attention to tokens of something else; their keys and values can be made once and kept."""

    def forward(
        self, x: Tensor, kept: tuple[Tensor, Tensor], *, key_mask: Tensor | None = None
    ) -> Tensor:
        """`(B, N, width)` of tokens `x` like it and `keys` of the others; mask `(B, N_k)` bool."""
        q = self.queries(x)
        return self.result(attend_dense(q, *kept, bias=forbidding(key_mask, q)))


class DiTBlock(nn.Module):
    """Self-attention, then feed-forward; what lies between the two is the caller's."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width = sizes.width
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / width**0.5)
        self.attention = Attention(width, sizes.heads)
        self.feed = nn.Sequential(
            nn.Linear(width, sizes.hidden), nn.GELU("tanh"), nn.Linear(sizes.hidden, width)
        )
        self.drop = nn.Dropout(sizes.dropout)

    def attend(
        self, x: Tensor, time: Tensor, *, plan: AttentionPlan, layer: int, key_mask: Tensor | None
    ) -> Tensor:
        """`x` `(B, N, width)` after self-attention, told the time by `(B, 6, width)`."""
        shift, scale, gate = self._rows(time)[:3]
        inside = modulated(x, shift, scale)
        q, (k, v) = self.attention.queries(inside), self.attention.keys(inside)
        mixed = plan.attend(q, k, v, layer=layer, key_mask=key_mask)
        return x + gate * self.drop(self.attention.result(mixed))

    def feed_forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`x` after its feed-forward."""
        shift, scale, gate = self._rows(time)[3:]
        return x + gate * self.drop(self.feed(modulated(x, shift, scale)))

    def _rows(self, time: Tensor) -> tuple[Tensor, ...]:
        return (self.modulation + time).unsqueeze(2).unbind(1)


class Head(nn.Module):
    """Tokens to numbers, told the time by `(B, width)`; at first it says nothing but zeros."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, 2, width) / width**0.5)
        self.head = nn.Linear(width, out)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`(B, N, out)` of `(B, N, width)`."""
        shift, scale = (self.modulation + time[:, None]).unsqueeze(2).unbind(1)
        said: Tensor = self.head(modulated(x, shift, scale))
        return said


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """`x` `(B, N, width)` after a layer norm without affine, scaled and shifted `(B, 1, width)`."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift
