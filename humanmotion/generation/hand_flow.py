"""Hands and jaw to a body that moves: a small flow-matching transformer beside ViMoGen.

Ours, in the form of ViMoGen's text branch: noise becomes the 186 numbers of hands.py while the body's
276 are there all along, free of noise, frame by frame. The body is read and never written, so motion
without fingers (most of what there is) can train the body alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from humanmotion.body import BodyModel
from humanmotion.diffusion.dit import (
    EPS,
    BlockSizes,
    CrossAttention,
    DiTBlock,
    Head,
    TimeModulation,
    sinusoids,
)
from humanmotion.diffusion.flow import Flow, euler, noised
from humanmotion.diffusion.noise import beyond, smooth_noise
from humanmotion.diffusion.weights import load_network
from humanmotion.errors import UsageError
from humanmotion.files import asset
from humanmotion.generation.features import SIZE, check_features, recanonical, rowwise_sixd
from humanmotion.generation.hands import HANDS_SIZE, hand_rotations
from humanmotion.generation.sampling import smoothed
from humanmotion.generation.vimogen import frame_plan

WINDOW = 120
"""Frames at 20 fps that go through the network at once; it is trained on no more."""
KEPT = 20
"""Frames that a window shares with the one before."""
EASED = 10
"""Frames over which what is left of a step between windows fades."""
STEPS = 8
NOISE_FRAMES = 5.0
"""Width of the Gaussian that makes noise as smooth as fingers move: out of white noise they tremble."""
SMOOTHED = 3.5
"""Frames of the Gaussian that smooths what comes out: fingers move more smoothly than feet. At 2 the
tips trembled 1.6 times as much as real ones (val), at 3.5 1.1 times, and still moved as far."""
SLOWER = 8
"""So much slower than a radian a frame do waves of position run, since fingers would follow them."""
FILE = "hands.safetensors"


@dataclass(frozen=True)
class HandsConfig:
    """Sizes of a network; raises ValueError for sizes that cannot be."""

    width: int = 128
    hidden: int = 256
    """Numbers within a feed-forward."""
    blocks: int = 4
    heads: int = 4
    text_width: int = 384
    """Numbers of a text token."""
    dropout: float = 0.0
    shift: float = 3.0
    """Of the noise levels, see `Flow`; all count alike, since sampling starts at pure noise."""

    def __post_init__(self) -> None:
        if min(self.blocks, self.text_width) < 1:
            raise ValueError("blocks and text_width must be 1 or more")
        _ = self.block, self.flow

    @property
    def flow(self) -> Flow:
        """The noise levels."""
        try:
            return Flow(self.shift)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @property
    def block(self) -> BlockSizes:
        """Sizes of one block."""
        return BlockSizes(self.width, self.hidden, self.heads, self.dropout)


class _Block(nn.Module):
    """Self-attention over time, attention to the text, feed-forward."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.body = DiTBlock(sizes)
        self.norm_text = nn.LayerNorm(sizes.width, eps=EPS)
        self.text = CrossAttention(sizes.width, sizes.heads)


class HandFlow(nn.Module):
    """The velocity of noisy normalised hands, given the body's motion and a text."""

    mean: Tensor
    spread: Tensor
    body_mean: Tensor
    body_spread: Tensor

    def __init__(self, config: HandsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        for name, size in (("", HANDS_SIZE), ("body_", SIZE)):
            # Statistics of the training motion; kept in full precision with the weights.
            self.register_buffer(f"{name}mean", torch.zeros(size))
            self.register_buffer(f"{name}spread", torch.ones(size))
        self.enter = nn.Linear(HANDS_SIZE + SIZE, width)
        self.enter_text = nn.Sequential(
            nn.Linear(config.text_width, width), nn.GELU("tanh"), nn.Linear(width, width)
        )
        self.no_text = nn.Parameter(0.02 * torch.randn(width))
        self.time = TimeModulation(width)
        self.blocks = nn.ModuleList(_Block(config.block) for _ in range(config.blocks))
        self.head = Head(width, HANDS_SIZE)

    def forward(
        self,
        state: Tensor,
        time: Tensor,
        *,
        body: Tensor,
        text: Tensor,
        text_mask: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Velocities `(B, T, 186)` of normalised states `(B, T, 186)` at times `(B)` in [0, 1000].

        `body` `(B, T, 276)` are normalised features of the same frames; `text` `(B, L, text_width)`
        counts where `text_mask` `(B, L)` is True, which may be nowhere; `mask` `(B, T)` bool is False
        for frames beyond a motion's end.
        """
        said, spread = self.time(time)
        plan = frame_plan(state.shape[1], state.device)
        # One token is always there, so that no text is something to attend to.
        first = self.no_text.expand(len(text), 1, -1)
        tokens = torch.cat((first, self.enter_text(text)), 1)
        there = torch.cat((text_mask.new_ones(len(text), 1), text_mask), 1)
        x = self.enter(torch.cat((state, body), -1))
        places = torch.arange(x.shape[1], device=x.device) / SLOWER
        x = x + sinusoids(places, x.shape[2]).to(x.dtype)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            x = block.body.attend(x, spread, plan=plan, layer=layer, key_mask=mask)
            keys = block.text.keys(tokens)
            x = x + block.text(block.norm_text(x), keys, key_mask=there).to(x.dtype)
            x = block.body.feed_forward(x, spread)
        out: Tensor = self.head(x, said)
        return out.float()


def hand_noise(count: int, frames: int, *, generator: torch.Generator) -> Tensor:
    """Noise `(count, T, 186)` of variance 1 that is smooth over time."""
    shape = (count, frames + 2 * beyond(NOISE_FRAMES), HANDS_SIZE)
    white = torch.randn(shape, generator=generator, device=generator.device)
    return smooth_noise(white, NOISE_FRAMES)


def noise_of_frames(seed: int, *, first: int, frames: int) -> Tensor:
    """The part `(T, 186)` of a seed's endless noise from frame `first` on.

    Windows that overlap share it, so that they agree where they meet.
    """
    low, high = first - beyond(NOISE_FRAMES), first + frames + beyond(NOISE_FRAMES)
    blocks = range(low // KEPT, -(-high // KEPT))
    white = [
        torch.randn(
            KEPT, HANDS_SIZE,
            generator=torch.Generator().manual_seed((seed * 1_000_003 + block + KEPT) % 2**63),
        )
        for block in blocks
    ]  # fmt: skip
    start = low - KEPT * blocks.start
    return smooth_noise(torch.cat(white)[start : start + high - low], NOISE_FRAMES)


def load_hands(path: str | Path) -> HandFlow:
    """The network that `train hands` wrote; raises FileFormatError for other weights."""
    network: HandFlow = load_network(
        Path(path), lambda **sizes: HandFlow(HandsConfig(**sizes)), what="network of hands"
    )
    return network


@dataclass(frozen=True)
class HandMaker:
    """A trained network that gives hands to features of any length."""

    network: HandFlow
    rest: Tensor
    """Rest joints of the body `(55, 3)`."""

    @classmethod
    def beside(
        cls, path: str | Path, body: BodyModel, *, device: torch.device | str = "cpu"
    ) -> HandMaker:
        """From `hands.safetensors` in the folder of a generator's weights, else as shipped.

        Raises FileFormatError for weights that are none of hands.
        """
        own = Path(path).with_name(FILE)
        network = load_hands(own if own.exists() else asset(f"generator/{FILE}"))
        return cls(network.to(device), body.rest_joints())

    @torch.no_grad()
    def __call__(
        self,
        features: Tensor,
        *,
        text: tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
        steps: int = STEPS,
        held: Tensor | None = None,
        first: int = 0,
    ) -> Tensor:
        """Hands and jaw `(T, 186)` of a body's features `(T, 276)`, true rotations, on the CPU.

        `text` are tokens `(L, d)` and their mask `(L)`; those of an encoder that the network was not
        trained with are not read. `held` `(n, 186)` are hands of the first frames, made before: they
        stay as they are, and the others go on from them; `first` is then the number of the first
        frame in the motion. Longer motions are made window by window in that way. The same seed gives
        the same hands. Raises UsageError for no features.
        """
        check_features(features)
        found = features.new_zeros(0, HANDS_SIZE) if held is None else held.to(features)
        tokens = self._tokens(text)
        while len(found) < len(features):
            start = max(len(found) - KEPT, 0)
            window = recanonical(features[start : start + WINDOW], rest=self.rest)
            noise = noise_of_frames(seed, first=first + start, frames=len(window))
            made = self._made(window, tokens, noise, steps=steps, kept=found[start:])
            found = torch.cat((found, _joined(found, made[len(found) - start :])))
        return found

    def _tokens(self, text: tuple[Tensor, Tensor] | None) -> Tensor:
        """`(1, L, text_width)` without padding, so that it does not matter what lay beside a text."""
        width, at = self.network.config.text_width, self.network.mean.device
        if text is None or text[0].shape[-1] != width:
            return torch.zeros(1, 0, width, device=at)
        tokens, mask = text
        return tokens[mask][None].to(at)

    def _made(
        self, window: Tensor, tokens: Tensor, noise: Tensor, *, steps: int, kept: Tensor
    ) -> Tensor:
        network, at = self.network, self.network.mean.device
        body = ((window.to(at) - network.body_mean) / network.body_spread)[None]
        noise, shared = noise.to(at)[None], len(kept)
        given = ((kept.to(at) - network.mean) / network.spread)[None]
        there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=at)

        def velocity(state: Tensor, level: float) -> Tensor:
            time = state.new_full((1,), network.config.flow.points * level)
            said = network(state, time, body=body, text=tokens, text_mask=there)
            # What is kept runs along its own straight path, as noisy as the rest at each level.
            return torch.cat((noise[:, :shared] - given, said[:, shared:]), 1)

        levels = network.config.flow.levels(steps, start=1.0)
        first = noised(given, noise[:, :shared], sigma=noise.new_full((1,), levels[0]))
        state = torch.cat((first, noise[:, shared:]), 1)
        values = euler(velocity, state, levels)[0] * network.spread + network.mean
        return rowwise_sixd(hand_rotations(smoothed(values, SMOOTHED).cpu())).flatten(-2)


def _joined(before: Tensor, after: Tensor) -> Tensor:
    """Hands `(n, 186)` that go on where and as fast as those `before` went, which fades (EASED)."""
    if len(before) < 2 or len(after) < 2:
        return after
    speed = before[-1] - before[-2]
    step, turn = before[-1] + speed - after[0], speed - (after[1] - after[0])
    along = torch.arange(len(after))[:, None]
    fade = 0.5 * (1 + torch.cos(torch.pi * (along / EASED).clamp(max=1)))
    return rowwise_sixd(hand_rotations(after + fade * (step + along * turn))).flatten(-2)
