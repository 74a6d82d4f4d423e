"""Weights of the video transformer Wan2.1-T2V-1.3B in the paper-scale ViMoGen, as published.

Taken over, by name: the embeddings of time and text, and of every block its time table, self-attention,
text cross-attention with the norm before it and feed-forward, and the head's time table (arXiv
2510.26794; names and shapes of Wan2.1's released safetensors). New are the layers of motion in and out
(276 numbers for a patch of video), the null text, the cross-attention to a reference motion with its
norm, and the reference's own blocks. Left behind are `patch_embedding` and `head.head`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from humanmotion.errors import FileFormatError
from humanmotion.generation.vimogen import ViMoGen

_OURS = (
    (r"time_embedding\.", "time.embed."),
    (r"time_projection\.", "time.spread."),
    (r"text_embedding\.", "enter_text."),
    (r"(blocks\.\d+\.)modulation", r"\1body.modulation"),
    (r"(blocks\.\d+\.)self_attn\.", r"\1body.attention."),
    (r"(blocks\.\d+\.)cross_attn\.", r"\1text."),
    (r"(blocks\.\d+\.)norm3\.", r"\1norm_text."),
    (r"(blocks\.\d+\.)ffn\.", r"\1body.feed."),
    (r"head\.modulation", "head.modulation"),
)
LEFT_BEHIND = ("patch_embedding.", "head.head.")


@dataclass(frozen=True)
class Taken:
    """What became of the tensors; names sorted."""

    mapped: list[str]
    """Of ours, those that were loaded."""
    new: list[str]
    """Of ours, those that Wan2.1 has nothing for; they are as they were."""
    left: list[str]
    """Of theirs, those with no place here."""


def our_name(name: str) -> str | None:
    """Where a tensor of Wan2.1 goes; None for those left behind and for unknown ones."""
    for pattern, ours in _OURS:
        if re.match(pattern, name):
            return re.sub(rf"^{pattern}", ours, name)
    return None


def load_wan21(network: ViMoGen, tensors: Mapping[str, Tensor]) -> Taken:
    """Put Wan2.1's tensors into `network`, in place, taking the tensors themselves (no copy).

    Raises FileFormatError for a tensor that is unknown, has another shape than ours, or is missing:
    a network of other sizes, or weights of another model or under other names (diffusers').
    """
    ours, mapped, left = network.state_dict(), {}, []
    for name, value in tensors.items():
        place = our_name(name)
        if place is None and name.startswith(LEFT_BEHIND):
            left.append(name)
        elif place is None or place not in ours:
            raise FileFormatError(f"{name} is no tensor of Wan2.1-T2V-1.3B at this network's size")
        elif value.shape != ours[place].shape:
            raise FileFormatError(
                f"{name} has shape {tuple(value.shape)}, the network {tuple(ours[place].shape)}: "
                "build it with the paper preset"
            )
        else:
            mapped[place] = value
    new = sorted(ours.keys() - mapped.keys())
    missing = [name for name in new if not _is_new(name)]
    if missing:
        raise FileFormatError(f"Wan2.1 weights lack {len(missing)} tensors, first {missing[0]}")
    network.load_state_dict(mapped, strict=False, assign=True)
    return Taken(sorted(mapped), new, sorted(left))


def _is_new(name: str) -> bool:
    own = r"(mean|spread|spectra|null_text|enter(_hints|_reference)?\.|reference_blocks\.|head\.head\.)"
    return re.match(rf"{own}|blocks\.\d+\.(reference|norm_reference)\.", name) is not None
