"""How RainFusion tells the types of heads apart (arXiv 2505.21036, adaptive recognition module)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.attention.layout import LooseTokens, Segment
from humanmotion.errors import UsageError

TEMPORAL, SPATIAL, TEXTURAL = range(3)
SAMPLE_ROWS = 256
"""Queries of a sample whose attention is computed: in a short clip one frame is a large share."""


def head_types(
    q: Tensor,
    k: Tensor,
    segments: Sequence[Segment],
    *,
    half_width: float,
    recall: float,
    key_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """TEMPORAL, SPATIAL or TEXTURAL for every head, `(B, H_q)` int64, without waiting for the device.

    Within one frame, a head whose attention stays within a band looks at the same place: temporal. Over
    every (T - 1)th token of the later frames, a band means near frames: spatial. `recall` is the share
    of the attention that has to lie within `half_width` (of the sample's length); temporal is asked
    first. Judged on the largest grid; raises UsageError when there is none.
    """
    start, (frames, *place) = main_grid(segments)
    size = math.prod(place)
    first = start + min(1, frames - 1) * size
    frame = slice(first, first + size)
    spread = slice(start + size, start + frames * size, max(frames - 1, 1))
    shares = [
        _share_in_band(q, k, tokens, half_width=half_width, key_mask=key_mask, scale=scale)
        for tokens in (frame, spread if frames > 1 else frame)
    ]
    spatial = torch.where(shares[1] >= recall, SPATIAL, TEXTURAL)
    return torch.where(shares[0] >= recall, TEMPORAL, spatial)


def main_grid(segments: Sequence[Segment]) -> tuple[int, tuple[int, ...]]:
    """First token and shape of the largest grid; raises UsageError when no segment is one."""
    sizes = [math.prod(s.shape) for s in segments]
    grids = [n for n, s in enumerate(segments) if not isinstance(s, LooseTokens)]
    if not grids:
        raise UsageError(f"segments {tuple(segments)} hold no grid, whose frames RainFusion needs")
    best = max(grids, key=lambda n: sizes[n])
    return sum(sizes[:best]), tuple(segments[best].shape)


@torch.no_grad()
def _share_in_band(
    q: Tensor,
    k: Tensor,
    tokens: slice,
    *,
    half_width: float,
    key_mask: Tensor | None,
    scale: float | None,
) -> Tensor:
    """Share of the sampled attention with `|i - j| <= half_width * n`, `(B, H_q)`."""
    keys, groups = k[:, :, tokens].float(), q.shape[1] // k.shape[1]
    count = keys.shape[-2]
    some = min(count, SAMPLE_ROWS)
    rows = torch.arange(some, device=q.device) * count // some
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    asked = factor * q[:, :, tokens][:, :, rows].float()
    keys = keys if groups == 1 else keys.repeat_interleave(groups, 1)
    weights = asked @ keys.transpose(-1, -2)
    if key_mask is not None:
        weights.masked_fill_(~key_mask[:, None, None, tokens], -math.inf)
    # In place: on a CPU fresh memory of this size costs more than the softmax.
    torch.softmax(weights, -1, out=weights)
    if key_mask is not None:
        # A sample without any allowed key says nothing: no band.
        weights = weights.nan_to_num(0)
    near = (rows[:, None] - torch.arange(count, device=q.device)).abs() <= int(half_width * count)
    return weights.flatten(-2) @ near.to(weights.dtype).flatten() / some
