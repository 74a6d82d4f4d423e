"""The motion diffusion model that ours is compared with: Tevet et al. 2023 (MDM), re-implemented.

A transformer encoder over the frames, before which stand a token of the text and one of the time; it
says the clean motion, not the noise. Cosine schedule (Nichol and Dhariwal 2021) of 50 steps, the
condition dropped in training, guided in sampling. It reads one vector a text and works on the same 276
numbers as ours; nothing else in the package uses it, and its weights are not shipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.diffusion.dit import sinusoids
from humanmotion.diffusion.flow import guided
from humanmotion.generation.features import SIZE

GUIDANCE = 2.5
DROPPED = 0.1
"""Share of training samples whose text is not known."""
_OFFSET, _STEEPEST = 0.008, 0.999
"""Of the cosine schedule."""


@dataclass(frozen=True)
class MDMConfig:
    """Sizes; raises ValueError for sizes that cannot be."""

    width: int = 320
    hidden: int = 1024
    layers: int = 6
    heads: int = 4
    text_width: int = 384
    dropout: float = 0.1
    steps: int = 50

    def __post_init__(self) -> None:
        sizes = self.width, self.hidden, self.layers, self.heads, self.text_width, self.steps
        if min(sizes) < 1 or self.width % (2 * self.heads):
            raise ValueError("sizes must be 1 or more, width a multiple of twice the heads")


PUBLISHED = MDMConfig(width=512, hidden=1024, layers=8, heads=4, text_width=512)
"""Sizes of the published model, whose texts are CLIP's."""


class MDM(nn.Module):
    """The network: clean normalised features of noisy ones."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: MDMConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("spread", torch.ones(SIZE))
        self.enter, self.leave = nn.Linear(SIZE, width), nn.Linear(width, SIZE)
        self.text = nn.Linear(config.text_width, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        layer = nn.TransformerEncoderLayer(
            width, config.heads, config.hidden, config.dropout, "gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(
        self, state: Tensor, step: Tensor, *, sentence: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Clean features `(B, T, 276)` of states at steps `(B)` and texts `(B, d)`, 0 for none.

        `mask` `(B, T)` bool is False behind a motion's end.
        """
        width = self.config.width
        time = self.time(sinusoids(step, width).to(state.dtype))
        x = torch.cat((self.text(sentence)[:, None], time[:, None], self.enter(state)), 1)
        x = x + sinusoids(torch.arange(x.shape[1], device=x.device), width).to(x.dtype)
        absent = None if mask is None else functional.pad(~mask, (2, 0))
        out: Tensor = self.leave(self.layers(x, src_key_padding_mask=absent)[:, 2:])
        return out.float()


def kept_shares(steps: int) -> Tensor:
    """What is left of the clean motion's variance after each of `steps` steps, `(steps)` float64."""
    place = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((place + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    betas = (1 - curve[1:] / curve[:-1]).clamp(max=_STEEPEST)
    return (1 - betas).cumprod(0)


def mdm_loss(
    network: nn.Module,
    clean: Tensor,
    asked: Tensor,
    *,
    sentence: Tensor,
    mask: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error of what is said of noisy `clean` `(B, T, 276)` where `asked`, a scalar.

    `mask` `(B, T)` bool is False behind a motion's end; texts `sentence` `(B, d)` are dropped here.
    """
    at, count = generator.device, len(clean)
    step = torch.randint(steps, (count,), generator=generator, device=at)
    share = kept_shares(steps).to(clean)[step][:, None, None]
    noise = torch.randn(clean.shape, generator=generator, device=at)
    known = torch.rand(count, 1, generator=generator, device=at) >= DROPPED
    state = share.sqrt() * clean + (1 - share).sqrt() * noise
    said = network(state, step, sentence=sentence * known, mask=mask)
    return ((said - clean) ** 2 * asked).sum() / asked.sum().clamp(min=1)


@torch.no_grad()
def mdm_sampled(
    network: MDM, sentence: Tensor, frames: Sequence[int], *, seeds: Sequence[int],
    guidance: float = GUIDANCE,
) -> Tensor:  # fmt: skip
    """Normalised features `(B, T, 276)` of texts `(B, d)`, by the ancestral sampler (Ho et al. 2020).

    Each sample has its own number of frames and its own seed, whatever batch it is in.
    """
    at, longest = network.mean.device, max(frames)
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    mask = torch.arange(longest, device=at) < torch.tensor(frames, device=at)[:, None]
    shares = kept_shares(network.config.steps).tolist()
    both = torch.cat((sentence, torch.zeros_like(sentence))).to(at)
    twice = None if bool(mask.all()) else torch.cat((mask, mask))
    state = _noise(draws, frames, longest).to(at)
    for step in reversed(range(len(shares))):
        time = torch.full((2 * len(state),), step, device=at)
        said = network(torch.cat((state, state)), time, sentence=both, mask=twice)
        asked, free = said.chunk(2)
        clean = guided(free, (asked, guidance))
        if step == 0:
            return clean
        share, before = shares[step], shares[step - 1]
        beta = 1 - share / before
        mean = before**0.5 * beta / (1 - share) * clean
        mean = mean + (1 - beta) ** 0.5 * (1 - before) / (1 - share) * state
        deviation = (beta * (1 - before) / (1 - share)) ** 0.5
        state = mean + deviation * _noise(draws, frames, longest).to(at)
    return state


def _noise(draws: Sequence[torch.Generator], frames: Sequence[int], longest: int) -> Tensor:
    rows = [
        functional.pad(torch.randn(n, SIZE, generator=g), (0, 0, 0, longest - n))
        for g, n in zip(draws, frames, strict=True)
    ]
    return torch.stack(rows)
