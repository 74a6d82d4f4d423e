"""The networks of DPoser-X: one for each part of the body, and their fusion.

Lu et al. 2025, "DPoser-X: Diffusion Model as Robust 3D Whole-body Human Pose Prior" (its fused
whole-body network), with the details of the authors' release that the paper leaves out. The code here
is ours. All networks take noisy normalised states at times in [0, 1] of the sub-VP clock and tell the
noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

GROUPS = 32
LABELS = 999
"""A time is shown to the network as this many times itself."""
SCALE_START, SCALE_END = 50.0, 0.01
PARTS = ("body", "left_hand", "right_hand", "face")
"""Order of the parts in a state; the left hand lies there mirrored, as a right one."""


@dataclass(frozen=True)
class PublishedConfig:
    """Sizes of the system; these are the published ones but for the face."""

    body: int = 63
    """Numbers of the body: 21 joints' rotation vectors."""
    hand: int = 45
    """Numbers of a hand: 15 joints' rotation vectors."""
    face: int = 13
    """The jaw's 3 and 10 expression coefficients. Published are 103: 100 coefficients."""
    width: int = 1024
    clock: int = 512
    """Numbers in which a network of a part is told the time."""
    blocks: int = 2
    dropout: float = 0.1
    fusion_width: int = 512
    fusion_clock: int = 256

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Numbers of each of `PARTS`."""
        return self.body, self.hand, self.hand, self.face


class TimeFC(nn.Module):
    """Fully connected layers that are told the time in every layer (DPoser-X, "TimeFC")."""

    scale: Tensor
    """Of `scale_table`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 1024,
        clock: int = 512,
        blocks: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.clock = nn.Linear(clock, clock)
        self.enter = _Layer(inputs, width, clock=clock, dropout=dropout)
        self.blocks = nn.ModuleList(
            _Block(width, clock=clock, dropout=dropout) for _ in range(blocks)
        )
        self.leave = nn.Linear(width, outputs)
        self.register_buffer("scale", scale_table(), persistent=False)

    def forward(self, state: Tensor, t: Tensor) -> Tensor:
        """Noise `(..., outputs)` in `state` `(..., inputs)` at times `t`, one or `(...)`."""
        label = LABELS * t.expand(state.shape[:-1]).flatten()
        told = nn.functional.silu(self.clock(waves(label, self.clock.in_features)))
        x = self.enter(state.reshape(-1, state.shape[-1]), told)
        for block in self.blocks:
            x = block(x, told)
        # A leftover of a variance-exploding recipe: the output is held down at small times.
        noise = self.leave(x) / self.scale[label.long().clamp(0, LABELS)][:, None]
        return noise.reshape(*state.shape[:-1], -1)

    def project(self, state: Tensor) -> Tensor:
        """What the first layer makes of a state before it is told the time `(..., width)`."""
        return self.enter.dense(state)


class _Layer(nn.Module):
    """Linear map of the input plus one of the time, group normalisation, SiLU, dropout."""

    def __init__(self, inputs: int, width: int, *, clock: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.clock = nn.Linear(clock, width)
        self.norm = nn.GroupNorm(GROUPS, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        inner = self.norm(self.dense(x) + self.clock(told))
        return self.dropout(nn.functional.silu(inner))


class _Block(nn.Module):
    """Two layers and a way around them."""

    def __init__(self, width: int, *, clock: int, dropout: float) -> None:
        super().__init__()
        self.first = _Layer(width, width, clock=clock, dropout=dropout)
        self.second = _Layer(width, width, clock=clock, dropout=dropout)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return x + self.second(self.first(x, told), told)


def waves(label: Tensor, size: int) -> Tensor:
    """Sines, then cosines `(..., size)` of labels `(...)` at wavelengths up to 2 pi 10000.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.5, with the last wave at 1 / 10000.
    """
    half = size // 2
    step = torch.arange(half, dtype=label.dtype, device=label.device) / (half - 1)
    angle = label[..., None] * torch.exp(-math.log(10_000.0) * step)
    return torch.cat((angle.sin(), angle.cos()), -1)


def scale_table() -> Tensor:
    """What the output is divided by at each whole label `(1000)`: from 50 evenly in log to 0.01."""
    ends = math.log(SCALE_START), math.log(SCALE_END)
    return torch.linspace(*ends, LABELS + 1, dtype=torch.float64).exp().float()


class PartNetworks(nn.Module):
    """Body, hands and face side by side, each blind to the others: the "base" of the paper."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        self.config = config
        self.body, self.hand, self.face = (
            TimeFC(
                size,
                size,
                width=config.width,
                clock=config.clock,
                blocks=config.blocks,
                dropout=config.dropout,
            )
            for size in (config.body, config.hand, config.face)
        )

    def forward(self, state: Tensor, t: Tensor) -> Tensor:
        """Noise `(..., D)` in whole-body states `(..., D)` at times `t`, one or `(...)`."""
        return torch.cat([net(part, t) for net, part in self._each(state)], -1)

    def features(self, state: Tensor) -> Tensor:
        """First-layer projections of the four parts, one after the other `(..., 4 width)`."""
        return torch.cat([net.project(part) for net, part in self._each(state)], -1)

    def _each(self, state: Tensor) -> list[tuple[TimeFC, Tensor]]:
        parts = state.split(self.config.sizes, -1)
        return list(zip((self.body, self.hand, self.hand, self.face), parts, strict=True))


class FusedNetwork(nn.Module):
    """Frozen part networks and a learned correction that knows all parts.

    "Fused" is this, trained on whole bodies with `noise_loss`; "mixed" is this, trained on parts too
    with `mixed_loss`. As published, the dropout of the frozen networks stays on in training.
    """

    def __init__(self, parts: PartNetworks) -> None:
        super().__init__()
        config = parts.config
        size = sum(config.sizes)
        self.parts = parts.requires_grad_(False)
        self.correction = TimeFC(
            len(PARTS) * config.width,
            size,
            width=config.fusion_width,
            clock=config.fusion_clock,
            blocks=config.blocks,
            dropout=config.dropout,
        )
        self.last = nn.Linear(size, size)
        # Training starts exactly at the part networks.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, state: Tensor, t: Tensor, visible: Tensor | None = None) -> Tensor:
        """Noise `(..., D)` in states `(..., D)` at times `t`, one or `(...)`.

        `visible` `(..., 4)` bool, all of them by default: a part that is not is taken for zeros, the
        mean pose without noise, whatever stands there. It is a means of training only.
        """
        if visible is not None:
            seen = spread_parts(visible, self.parts.config)
            state = torch.where(seen, state, torch.zeros_like(state))
        learned = self.correction(self.parts.features(state), t)
        return self.parts(state, t) + self.last(learned)


def spread_parts(values: Tensor, config: PublishedConfig) -> Tensor:
    """A value per part `(..., 4)` given to each of its numbers `(..., D)`."""
    each = zip(values.split(1, -1), config.sizes, strict=True)
    return torch.cat([value.expand(*value.shape[:-1], size) for value, size in each], -1)
