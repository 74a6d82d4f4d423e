"""The evaluator: texts and motions in one space, so that it can be said how well they fit.

After TMR (Petrovich et al. 2023): two transformers, each with two learned tokens for the mean and the
log-variance of a latent, and a decoder of motion from either; smaller. What it sees of a motion is what
all sources record alike: joints as they lie and move about the body's own heading. Rotations, of which
some sources have frozen joints, would tell it where a clip is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body.skeleton import HIPS
from humanmotion.diffusion.dit import sinusoids
from humanmotion.generation.features import (
    JOINTS,
    POSITIONS,
    TURN,
    VELOCITIES,
    check_features,
    rowwise_matrix,
)
from humanmotion.rotations import rotation_about_z

SEEN = 6 * JOINTS + 1
"""Numbers a frame that the evaluator looks at."""
TEMPERATURE = 0.1
WEIGHTS = {"rebuilt": 1.0, "contrast": 0.1, "latent": 1e-5, "spread": 1e-5}
_FPS_SCALE = 20.0
"""Velocities in m/s and turns in rad/s are of the size of places in metres."""


@dataclass(frozen=True)
class EvaluatorConfig:
    """Sizes; raises ValueError for sizes that cannot be."""

    width: int = 160
    hidden: int = 480
    blocks: int = 3
    heads: int = 4
    patch: int = 4
    """Frames that become one token."""
    text_width: int = 384
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = self.width, self.hidden, self.blocks, self.heads, self.patch, self.text_width
        if min(sizes) < 1 or self.width % (2 * self.heads):
            raise ValueError("sizes must be 1 or more, width a multiple of twice the heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")


def looked_at(features: Tensor) -> Tensor:
    """What the evaluator sees `(..., T, 133)` of features `(..., T, 276)`.

    Places and velocities of the joints in the frame of each pose's hips, above the floor under the
    pelvis, and the root's turn about the vertical. Raises UsageError for other features.
    """
    check_features(features)
    joints = features[..., POSITIONS].unflatten(-1, (JOINTS, 3))
    moves = features[..., VELOCITIES].unflatten(-1, (JOINTS, 3)) * _FPS_SCALE
    left, right = HIPS
    across = joints[..., right, :] - joints[..., left, :]
    into = rotation_about_z(torch.atan2(across[..., 1], across[..., 0]))
    flat = joints.new_tensor((1.0, 1.0, 0.0))
    places = (joints - joints[..., :1, :] * flat) @ into
    change = rowwise_matrix(features[..., TURN])
    yaw = torch.atan2(change[..., 1, 0] - change[..., 0, 1], change[..., 0, 0] + change[..., 1, 1])
    return torch.cat(
        (places.flatten(-2), (moves @ into).flatten(-2), _FPS_SCALE * yaw[..., None]), -1
    )


class Matched(NamedTuple):
    """What a forward pass says of `B` pairs; a tuple, which Fabric can look into."""

    text: tuple[Tensor, Tensor]
    """Mean and log-variance of the latents, each `(B, width)`."""
    motion: tuple[Tensor, Tensor]
    rebuilt: tuple[Tensor, Tensor]
    """Patches decoded from the text's and from the motion's latent, each `(B, N, patch * 133)`."""
    patches: Tensor
    """What they should be."""
    mask: Tensor
    """Frames that are there, of each patch `(B, N, patch)`."""


class Evaluator(nn.Module):
    """The network; `embed_text` and `embed_motion` give unit vectors `(B, width)`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(SEEN))
        self.register_buffer("scale", torch.ones(SEEN))
        self.text = _Encoder(config.text_width, config)
        self.motion = _Encoder(config.patch * SEEN, config)
        self.decoder = _Decoder(config)

    def embed_text(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Of tokens `(B, L, d)` and where they are, `(B, L)`."""
        return functional.normalize(self.text(tokens, mask)[0], dim=-1)

    def embed_motion(self, features: Tensor, mask: Tensor) -> Tensor:
        """Of features `(B, T, 276)` at 20 fps and where they are, `(B, T)`."""
        patches, there = self._patches(features, mask)
        return functional.normalize(self.motion(patches, there.any(-1))[0], dim=-1)

    def forward(
        self, features: Tensor, mask: Tensor, tokens: Tensor, *, token_mask: Tensor, noise: Tensor
    ) -> Matched:
        """Of pairs; `noise` `(2, B, width)` draws latents out of what the encoders say."""
        patches, there = self._patches(features, mask)
        text = self.text(tokens, token_mask)
        motion = self.motion(patches, there.any(-1))
        drawn = [m + (0.5 * v).exp() * n for (m, v), n in zip((text, motion), noise, strict=True)]
        first, second = (self.decoder(z, there.any(-1)) for z in drawn)
        return Matched(text, motion, (first, second), patches, there)

    def _patches(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Patches `(B, N, patch * 133)`, 0 where nothing is, and which of their frames are there."""
        size = self.config.patch
        seen = (looked_at(features) - self.mean) / self.scale * mask[..., None]
        behind = -features.shape[1] % size
        seen, mask = functional.pad(seen, (0, 0, 0, behind)), functional.pad(mask, (0, behind))
        return seen.unflatten(1, (-1, size)).flatten(-2), mask.unflatten(1, (-1, size))


def _layers(config: EvaluatorConfig) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, config.hidden, config.dropout, "gelu",
        batch_first=True, norm_first=True,
    )  # fmt: skip
    return nn.TransformerEncoder(
        layer, config.blocks, nn.LayerNorm(config.width), enable_nested_tensor=False
    )


def _placed(x: Tensor) -> Tensor:
    return x + sinusoids(torch.arange(x.shape[1], device=x.device), x.shape[2]).to(x.dtype)


class _Encoder(nn.Module):
    """A sequence to the mean and log-variance of a latent."""

    def __init__(self, inputs: int, config: EvaluatorConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, config.width)
        self.asked = nn.Parameter(0.02 * torch.randn(2, config.width))
        self.layers = _layers(config)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = _placed(self.enter(x))
        x = torch.cat((self.asked.to(x.dtype).expand(len(x), -1, -1), x), 1)
        absent = functional.pad(~mask, (2, 0))
        mean, spread = self.layers(x, src_key_padding_mask=absent)[:, :2].float().unbind(1)
        return mean, spread.clamp(-10, 10)


class _Decoder(nn.Module):
    """A latent to patches of motion."""

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.layers = _layers(config)
        self.leave = nn.Linear(config.width, config.patch * SEEN)

    def forward(self, latent: Tensor, mask: Tensor) -> Tensor:
        x = latent[:, None].expand(-1, mask.shape[1], -1)
        return self.leave(self.layers(_placed(x), src_key_padding_mask=~mask)).float()


def matching_losses(said: Matched, same: Tensor) -> dict[str, Tensor]:
    """Each part of TMR's loss, to be weighted by WEIGHTS.

    `same` `(B, B)` bool says which captions mean the same: they are no negatives of each other.
    """
    there = said.mask[..., None].expand(*said.mask.shape, SEEN).flatten(-2)
    off = [
        (functional.smooth_l1_loss(r, said.patches, reduction="none") * there).sum()
        for r in said.rebuilt
    ]
    (a, _), (b, _) = said.text, said.motion
    return {
        "rebuilt": torch.stack(off).sum() / there.sum().clamp(min=1),
        "contrast": contrast(a, b, same),
        "latent": functional.smooth_l1_loss(a, b),
        "spread": _spreads(said.text, said.motion),
    }


def contrast(text: Tensor, motion: Tensor, same: Tensor) -> Tensor:
    """InfoNCE of paired latents `(B, d)`, both ways, without the negatives that are none."""
    logits = functional.normalize(text, dim=-1) @ functional.normalize(motion, dim=-1).mT
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = (logits / TEMPERATURE).masked_fill(others, -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    ways = functional.cross_entropy(logits, right), functional.cross_entropy(logits.mT, right)
    return torch.stack(ways).mean()


def _spreads(text: tuple[Tensor, Tensor], motion: tuple[Tensor, Tensor]) -> Tensor:
    """Divergences of the two Gaussians from each other and from the unit one."""
    unit = torch.zeros_like(text[0]), torch.zeros_like(text[0])
    pairs = ((text, motion), (motion, text), (text, unit), (motion, unit))
    return torch.stack([_divergence(a, b) for a, b in pairs]).sum()


def _divergence(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    (m, v), (n, w) = a, b
    return 0.5 * (w - v + (v.exp() + (m - n) ** 2) / w.exp() - 1).mean(0).sum()
