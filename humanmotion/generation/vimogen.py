"""ViMoGen: a diffusion transformer whose cross-attention reads a text or a reference motion.

arXiv 2510.26794, section 4, and its code: one linear layer a frame, fixed sine positions, no encoder of
motion and no rotary positions; blocks of self-attention, **one** of two cross-attentions, chosen by
sample, and feed-forward. The reference is local pose and root orientation without translation, and runs
through blocks of its own. The choice is given, not learnt: see `Condition.referring`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.attention import AttentionPlan, MotionGrid, RainFusion2, TokenLayout
from humanmotion.diffusion.dit import (
    EPS,
    BlockSizes,
    CrossAttention,
    DiTBlock,
    Head,
    TimeModulation,
    sinusoids,
)
from humanmotion.diffusion.flow import Flow
from humanmotion.diffusion.noise import SEGMENT, Noise
from humanmotion.errors import UsageError
from humanmotion.generation.features import REFERENCE, SIZE
from humanmotion.generation.hints import Hints

PREDICTS, NOISES = ("velocity", "data", "residual"), ("white", "motion")
EVEN_LEVEL = 0.25
"""Below it errors of predicted data count alike; ten steps of sampling ask of no lower level."""


@dataclass(frozen=True)
class ViMoGenConfig:
    """Sizes of a network; raises ValueError for sizes that cannot be."""

    width: int = 256
    hidden: int = 768
    """Numbers within a feed-forward."""
    blocks: int = 4
    heads: int = 4
    reference_blocks: int = 2
    """0 is a network that reads text alone, as ViMoGen-light."""
    text_width: int = 384
    """Numbers of a text token."""
    null_tokens: int = 2
    """Tokens that stand for no text; shorter texts are padded to as many."""
    text_mask: bool = True
    """Whether padding of texts is left out; the published network attends it."""
    dropout: float = 0.0
    shift: float = 5.0
    """Of the noise levels it is trained on, see `Flow`."""
    predicts: Literal["velocity", "data", "residual"] = "velocity"
    """What the last layer says; "velocity" is published. A velocity holds the noise, of which a stream
    narrower than the features cannot carry all: what is left would shake. Data are smooth. A residual
    is what a linear guess at data lacks, in units of its spread (Karras et al. 2022, eq. 7), right
    where noise is as strong as data at every frequency."""
    noise: Literal["white", "motion"] = "white"
    """What level 1 is: "white" is published, "motion" has the spectra of the training motion."""
    hints: bool = False
    """Whether it is told what kept numbers and references say of each number, see hints.py; published
    networks see a reference through cross-attention alone, and kept numbers as noisy as all others."""

    def __post_init__(self) -> None:
        if min(self.blocks, self.text_width, self.null_tokens) < 1 or self.reference_blocks < 0:
            raise ValueError(
                "blocks, text_width and null_tokens must be 1 or more, reference_blocks 0 or more"
            )
        for name, known in (("predicts", PREDICTS), ("noise", NOISES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; give one of {', '.join(known)}"
                )
        if self.hints and self.predicts != "residual":
            raise ValueError('hints need predicts "residual": they better the guess it starts from')
        _ = self.block

    @property
    def flow(self) -> Flow:
        """The noise levels."""
        return Flow(self.shift)

    def counted(self, sigma: Tensor) -> Tensor:
        """How much errors of velocity count at levels `sigma` beside the weights of the `flow`.

        Of data that are predicted, the velocity's error is theirs over the level: near data it would
        drown all else.
        """
        if self.predicts != "data":
            return torch.ones_like(sigma)
        return (sigma / EVEN_LEVEL).clamp(max=1) ** 2

    @property
    def refers(self) -> bool:
        """Whether it can refer to a motion."""
        return self.reference_blocks > 0

    @property
    def block(self) -> BlockSizes:
        """Sizes of one block."""
        return BlockSizes(self.width, self.hidden, self.heads, self.dropout)


SMALL: dict[str, Any] = {"predicts": "residual", "noise": "motion", "shift": 1.0, "hints": True}
"""What networks of less data than the published ones do otherwise."""
PRESETS = {
    "tiny": ViMoGenConfig(width=128, hidden=384, **SMALL),
    "small": ViMoGenConfig(**SMALL),
    "medium": ViMoGenConfig(width=384, hidden=1536, blocks=8, heads=6, reference_blocks=4, **SMALL),
    "base": ViMoGenConfig(
        width=768, hidden=3072, blocks=12, heads=12, reference_blocks=6, **SMALL
    ),
    "paper": ViMoGenConfig(
        width=1536, hidden=8960, blocks=30, heads=12, reference_blocks=15, text_width=4096,
        null_tokens=226, text_mask=False,
    ),
}  # fmt: skip
"""From a laptop's to the published one, whose width, heads and feed-forward are Wan2.1-1.3B's."""


@dataclass(frozen=True)
class Condition:
    """What `B` motions are to be like."""

    text: Tensor
    """Tokens `(B, L, text_width)`, 0 where there is none."""
    text_mask: Tensor
    """`(B, L)` bool: False for padding."""
    dropped: Tensor
    """`(B)` bool: the text is not to be known."""
    referring: Tensor
    """`(B)` bool: the reference counts and the text does not."""
    reference: Tensor | None = None
    """Normalised features `(B, T, 138)`; needed where anything refers."""
    reference_mask: Tensor | None = None
    """`(B, T)` bool: False for frames of the reference that are not there."""
    hints: Hints | None = None
    """For networks that take them; none is nothing known."""

    def __post_init__(self) -> None:
        rows = {len(x) for x in (self.text, self.text_mask, self.dropped, self.referring)}
        if len(rows) != 1 or self.text.shape[:2] != self.text_mask.shape:
            raise UsageError("text, text_mask, dropped and referring must be of one batch")


@dataclass(frozen=True)
class Context:
    """A condition made ready once for all steps of sampling."""

    text_rows: Tensor
    """Which samples read text `(b)`."""
    text_keys: list[tuple[Tensor, Tensor]]
    """Keys and values of the text tokens, by block."""
    text_mask: Tensor | None
    reference_rows: Tensor
    reference: Tensor | None
    """Tokens of the reference motion `(b, T, width)`, before their blocks."""
    reference_mask: Tensor | None
    hints: Hints | None
    hinted: Tensor | float
    """What hints add to the tokens of the frames `(B, T, width)`."""


class GatedBlock(nn.Module):
    """A block with two cross-attentions, of which each sample uses one; or that to the text alone."""

    norm_reference: nn.LayerNorm | None
    reference: CrossAttention | None

    def __init__(self, sizes: BlockSizes, *, refers: bool) -> None:
        super().__init__()
        self.body = DiTBlock(sizes)
        self.norm_text = nn.LayerNorm(sizes.width, eps=EPS)
        self.norm_reference = nn.LayerNorm(sizes.width, eps=EPS) if refers else None
        self.text = CrossAttention(sizes.width, sizes.heads)
        self.reference = CrossAttention(sizes.width, sizes.heads) if refers else None

    def read(self, x: Tensor, context: Context, *, layer: int, reference: Tensor | None) -> Tensor:
        """`x` `(B, T, width)` with what text or reference tokens `(b, T, width)` say."""
        rows, said = context.text_rows, torch.zeros_like(x)
        if len(rows):
            keys, mask = context.text_keys[layer], context.text_mask
            part = self.text(self.norm_text(x[rows]), keys, key_mask=mask)
            said = said.index_copy(0, rows, part.to(x.dtype))
        if reference is not None:
            assert self.reference is not None and self.norm_reference is not None
            rows, mask = context.reference_rows, context.reference_mask
            keys = self.reference.keys(reference)
            part = self.reference(self.norm_reference(x[rows]), keys, key_mask=mask)
            said = said.index_copy(0, rows, part.to(x.dtype))
        return x + said


class ViMoGen(nn.Module):
    """The network: the velocity of noisy normalised features."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: ViMoGenConfig) -> None:
        super().__init__()
        self.config = config
        width, sizes = config.width, config.block
        # Statistics of the training motion; kept in full precision with the weights.
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("spread", torch.ones(SIZE))
        if config.noise == "motion":
            self.register_buffer(
                "spectra", (torch.arange(SEGMENT // 2 + 1) > 0).float()[:, None].repeat(1, SIZE)
            )
        self.enter = nn.Linear(SIZE, width)
        self.enter_hints = nn.Linear(2 * SIZE, width, bias=False) if config.hints else None
        self.enter_reference = nn.Linear(len(REFERENCE), width) if config.refers else None
        self.enter_text = nn.Sequential(
            nn.Linear(config.text_width, width), nn.GELU("tanh"), nn.Linear(width, width)
        )
        self.null_text = nn.Parameter(0.02 * torch.randn(config.null_tokens, config.text_width))
        self.time = TimeModulation(width)
        self.blocks = nn.ModuleList(
            GatedBlock(sizes, refers=config.refers) for _ in range(config.blocks)
        )
        self.reference_blocks = nn.ModuleList(
            DiTBlock(sizes) for _ in range(config.reference_blocks)
        )
        self.head = Head(width, SIZE)

    @property
    def noise(self) -> Noise:
        """What level 1 is, in normalised features."""
        if self.config.noise == "white":
            return Noise()
        return Noise(self.get_buffer("spectra"))

    def normalised(self, features: Tensor) -> Tensor:
        """Features `(..., 276)` in units of their spread."""
        return (features - self.mean) / self.spread

    def restored(self, values: Tensor) -> Tensor:
        """The inverse of `normalised`."""
        return values * self.spread + self.mean

    def forward(
        self,
        state: Tensor,
        time: Tensor,
        *,
        text: Tensor,
        text_mask: Tensor,
        dropped: Tensor,
        referring: Tensor,
        reference: Tensor | None = None,
        reference_mask: Tensor | None = None,
        hints: Hints | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Velocities `(B, T, 276)` of normalised states `(B, T, 276)` at times `(B)` in [0, 1000].

        `mask` `(B, T)` bool is False for frames beyond a motion's end; the rest is a `Condition`.
        """
        condition = Condition(text, text_mask, dropped, referring, reference, reference_mask, hints)
        plan = frame_plan(state.shape[1], state.device)
        return self.velocity(state, time, self.context(condition), mask=mask, plan=plan)

    def context(self, condition: Condition) -> Context:
        """What every step needs of a condition.

        Raises UsageError where a reference is missing, or given to a network of text alone.
        """
        text_rows = (~condition.referring).nonzero()[:, 0]
        rows = condition.referring.nonzero()[:, 0]
        if len(rows) and self.enter_reference is None:
            raise UsageError(
                "a reference motion given to weights that read text alone; give it to the full model"
            )
        if len(rows) and condition.reference is None:
            raise UsageError(f"samples {rows.tolist()} refer to a motion, but none is given")
        tokens, text_mask = self._text(condition, text_rows)
        reference = reference_mask = None
        if condition.reference is not None and self.enter_reference is not None and len(rows):
            reference = self._placed(self.enter_reference(condition.reference[rows]))
            reference_mask = _rows_of(condition.reference_mask, rows)
        keys = [block.text.keys(tokens) for block in self._blocks()] if len(text_rows) else []
        hints = condition.hints if self.enter_hints is not None else None
        hinted: Tensor | float = 0.0
        if hints is not None and self.enter_hints is not None:
            sure = 1 - hints.variance
            hinted = self.enter_hints(torch.cat((sure * hints.values, sure), -1))
        return Context(text_rows, keys, text_mask, rows, reference, reference_mask, hints, hinted)

    def velocity(
        self,
        state: Tensor,
        time: Tensor,
        context: Context,
        *,
        plan: AttentionPlan,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`forward` for a context; `plan` carries self-attention through layers and steps."""
        said, spread = self.time(time)
        reference = self._referred(context, spread, plan)
        x = self._placed(self.enter(state) + context.hinted)
        for layer, block in enumerate(self._blocks()):
            x = block.body.attend(x, spread, plan=plan, layer=layer, key_mask=mask)
            x = block.read(x, context, layer=layer, reference=reference)
            x = block.body.feed_forward(x, spread)
        out: Tensor = self.head(x, said).float()
        if self.config.predicts == "velocity":
            return out
        level, state = (time / self.config.flow.points)[:, None, None], state.float()
        if self.config.predicts == "data":
            return (state - out) / level
        guess, variance = linear_guess(state, level, context.hints)
        return (state - guess - variance.sqrt() * out) / level

    def _blocks(self) -> list[GatedBlock]:
        return [block for block in self.blocks if isinstance(block, GatedBlock)]

    def _text(self, condition: Condition, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens `(b, L, width)` of the samples that read text, and which of them count."""
        null, config = self.null_text, self.config
        text, mask = condition.text[rows], condition.text_mask[rows]
        dropped = condition.dropped[rows]
        short = max(config.null_tokens - text.shape[1], 0)
        text = functional.pad(text.to(null.dtype), (0, 0, 0, short))
        mask = functional.pad(mask, (0, short))
        beyond = text.shape[1] - config.null_tokens
        none = functional.pad(null, (0, 0, 0, beyond))
        text = torch.where(dropped[:, None, None], none, text)
        first = torch.arange(text.shape[1], device=text.device) < config.null_tokens
        mask = torch.where(dropped[:, None], first, mask)
        return self.enter_text(text), mask if config.text_mask else None

    def _placed(self, x: Tensor) -> Tensor:
        return x + _places(x.shape[1], x.shape[2], x.device).to(x.dtype)

    def _referred(self, context: Context, time: Tensor, plan: AttentionPlan) -> Tensor | None:
        x, mask = context.reference, context.reference_mask
        if x is None:
            return None
        time = time[context.reference_rows]
        for layer, block in enumerate(self.reference_blocks, len(self.blocks)):
            assert isinstance(block, DiTBlock)
            x = block.attend(x, time, plan=plan, layer=layer, key_mask=mask)
            x = block.feed_forward(x, time)
        return x


def linear_guess(state: Tensor, level: Tensor, hints: Hints | None = None) -> tuple[Tensor, Tensor]:
    """The best linear guess at data, and the variance it leaves, by states `(B, T, n)` at levels
    `(B, 1, 1)` whose noise and data are alike and of variance 1, and by what else is known."""
    if hints is None:
        mean, precision = torch.zeros_like(state), torch.ones_like(level)
    else:
        mean, precision = hints.values, 1 / hints.variance
    variance = 1 / (precision + ((1 - level) / level) ** 2)
    return variance * (precision * mean + (1 - level) / level**2 * state), variance


@lru_cache(maxsize=16)
def _places(frames: int, width: int, device: torch.device) -> Tensor:
    """Positions `(frames, width)`; a sampler asks for the same ones at every step."""
    return sinusoids(torch.arange(frames, device=device), width)


def frame_plan(frames: int, device: torch.device | str = "cpu") -> AttentionPlan:
    """The attention of motions with one token a frame: dense until they are very long."""
    return AttentionPlan(TokenLayout.of(MotionGrid(frames, 1), device=device), RainFusion2())


def _rows_of(mask: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if mask is None else mask[rows]
