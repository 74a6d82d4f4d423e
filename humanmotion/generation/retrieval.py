"""The evaluator: texts and motions in one space, so that it can be said how well they fit.

After TMR (Petrovich et al. 2023), for an hour of motion in place of its thirty: a transformer reads the
motion, and the text is what the frozen encoder says of the sentence, through one linear layer (locked
text, Zhai et al. 2022). A transformer over words learns so few captions by heart, and rebuilding
motion from them adds nothing. What it sees of a motion is what
all sources record alike: joints as they lie and move about the body's own heading. Rotations, of which
some sources have frozen joints, would tell it where a clip is from.
"""

from __future__ import annotations

from dataclasses import dataclass

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


class Evaluator(nn.Module):
    """The network; `embed_text` and `embed_motion` give unit vectors `(B, width)`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(SEEN))
        self.register_buffer("scale", torch.ones(SEEN))
        self.text = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(config.text_width, config.width)
        )
        self.motion = _Encoder(config.patch * SEEN, config)

    def embed_text(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Of tokens `(B, L, d)` and where they are, `(B, L)`."""
        there = mask[..., None].to(tokens.dtype)
        sentence = functional.normalize((tokens * there).sum(1), dim=-1)
        # Numbers of the size that a linear layer starts for.
        return functional.normalize(self.text(sentence * tokens.shape[-1] ** 0.5), dim=-1)

    def embed_motion(self, features: Tensor, mask: Tensor) -> Tensor:
        """Of features `(B, T, 276)` at 20 fps and where they are, `(B, T)`."""
        return functional.normalize(self.motion(*self._patches(features, mask)), dim=-1)

    def forward(
        self, features: Tensor, mask: Tensor, tokens: Tensor, *, token_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Unit vectors of pairs, of the texts and of the motions."""
        return self.embed_text(tokens, token_mask), self.embed_motion(features, mask)

    def _patches(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Patches `(B, N, patch * 133)`, 0 where nothing is, and which of them are there `(B, N)`."""
        size = self.config.patch
        seen = (looked_at(features) - self.mean) / self.scale * mask[..., None]
        behind = -features.shape[1] % size
        seen, mask = functional.pad(seen, (0, 0, 0, behind)), functional.pad(mask, (0, behind))
        return seen.unflatten(1, (-1, size)).flatten(-2), mask.unflatten(1, (-1, size)).any(-1)


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
    """A sequence to a vector."""

    def __init__(self, inputs: int, config: EvaluatorConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, config.width)
        self.asked = nn.Parameter(0.02 * torch.randn(1, config.width))
        self.layers = _layers(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = _placed(self.enter(x))
        x = torch.cat((self.asked.to(x.dtype).expand(len(x), -1, -1), x), 1)
        absent = functional.pad(~mask, (1, 0))
        out: Tensor = self.layers(x, src_key_padding_mask=absent)[:, 0].float()
        return out


def contrast(text: Tensor, motion: Tensor, same: Tensor) -> Tensor:
    """InfoNCE of paired unit vectors `(B, d)`, both ways, without the negatives that are none."""
    logits = text @ motion.mT
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = (logits / TEMPERATURE).masked_fill(others, -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    ways = functional.cross_entropy(logits, right), functional.cross_entropy(logits.mT, right)
    return torch.stack(ways).mean()
