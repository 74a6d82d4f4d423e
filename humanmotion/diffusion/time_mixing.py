"""Self-attention over time with rotary positions (Su et al. 2021, RoFormer, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class TimeSizes:
    """Sizes of a network of `TimeBlock`s; raises ValueError for sizes that cannot be."""

    width: int
    hidden: int
    blocks: int
    heads: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.width, self.hidden, self.blocks, self.heads) < 1 or self.width % (
            2 * self.heads
        ):
            raise ValueError("sizes must be 1 or more, width a multiple of twice the heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")


class TimeMixing(nn.Module):
    """From `(B, T, width)` to the same, after a norm of its own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What every place learns from the others."""
        q, k, v = self.ask(self.norm(x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        turn = _turns(x.shape[-2], q.shape[-1], x)
        q, k, v = (part.transpose(-2, -3) for part in (_turned(q, turn), _turned(k, turn), v))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.answer(mixed.transpose(-2, -3).flatten(-2))


class TimeBlock(nn.Module):
    """Attention over time, then every place by itself; `(B, T, width)` to the same."""

    def __init__(self, width: int, hidden: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.mix = TimeMixing(width, heads)
        self.norm = nn.LayerNorm(width)
        self.grow = nn.Linear(width, hidden)
        self.shrink = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The same, further on."""
        x = x + self.drop(self.mix(x))
        return x + self.drop(self.shrink(functional.gelu(self.grow(self.norm(x)))))


def _turns(frames: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine `(T, 1, size / 2)` of each patch's place."""
    speed = 100.0 ** -(torch.arange(size // 2, device=like.device) / (size // 2))
    angle = torch.arange(frames, device=like.device)[:, None, None] * speed
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
