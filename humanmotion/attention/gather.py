"""Block-sparse attention in plain torch: gather the kept blocks, then dense attention per query tile.

Runs on whatever torch runs on. On a CPU its speed comes from tall query tiles: 256 rows against blocks
of 64 keys (measured in our specification of sparse attention, section 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from humanmotion.attention import autocast
from humanmotion.attention.blocks import BlockMask
from humanmotion.attention.dense import WIDE, attend_dense, attend_in_slices

TILES = 8
"""Query tiles per call of dense attention: few enough for the gathered keys to stay in the cache."""


@dataclass(frozen=True)
class _Group:
    """Query tiles that keep equally many blocks, so that one dense call serves them."""

    rows: Tensor
    """`(g)`: numbers of the tiles among all of `B * H_q * n_q`."""
    blocks: Tensor
    """`(g, c)`: numbers of their key blocks among all of `B * H_k * n_k`."""
    there: Tensor | None
    """`(g, c * b_k)` bool: which of the keys exist and are allowed; None when all are."""
    extra: Tensor | None
    """`(g, n_k)`: weight of every block's mean key; None without a tail."""
    heads: Tensor
    """`(g)`: numbers of the key heads among all of `B * H_k`."""


def attend_gather(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: BlockMask,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    tail: bool = False,
) -> Tensor:
    """What `attend_reference` defines, with the same arguments and without an `N_q * N_k` array.

    Differentiable once; the backward pass gathers again instead of keeping what was gathered.
    """
    kept = _reachable(mask, key_mask).expand(*q.shape[:2], -1, -1)
    allowed = _allowed(mask, key_mask, batch=len(q))
    means = _means(k, v, mask=mask, key_mask=key_mask) if tail else ()
    extra = _tail_bias(mask, key_mask, kept) if tail else None
    groups = _groups(kept, allowed, extra, heads=k.shape[1])
    tiles = mask.rows.split(q).flatten(0, 2)
    blocks = [mask.columns.split(x).flatten(0, 2) for x in (k, v)]
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    out = _Gathered.apply(groups, factor, tiles, *blocks, *means)  # type: ignore[no-untyped-call]
    return mask.rows.join(out.unflatten(0, (*q.shape[:2], mask.rows.count)))


def _reachable(mask: BlockMask, key_mask: Tensor | None) -> Tensor:
    """Kept blocks that hold an allowed key: a row of nothing but forbidden keys would be NaN."""
    if key_mask is None:
        return mask.kept
    return mask.kept & mask.columns.any(key_mask)[:, None, None]


def _allowed(mask: BlockMask, key_mask: Tensor | None, *, batch: int) -> Tensor | None:
    """`(B, n_k, b_k)`: keys that exist and are allowed; None when all are."""
    if key_mask is None and mask.columns.whole:
        return None
    if key_mask is None:
        key_mask = mask.columns.block.new_ones(batch, mask.columns.tokens).bool()
    return mask.columns.split(key_mask[..., None].to(torch.uint8))[..., 0].bool()


def _means(
    k: Tensor, v: Tensor, *, mask: BlockMask, key_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean keys and values `(B * H_k, n_k, d)` of all blocks."""
    both = (mask.columns.means(x, key_mask).to(x.dtype).flatten(0, 1) for x in (k, v))
    return next(both), next(both)


def _tail_bias(mask: BlockMask, key_mask: Tensor | None, kept: Tensor) -> Tensor:
    """`(B * H_q * n_q, n_k)`: log of the keys that a dropped block's mean stands for, else -inf."""
    weight = mask.columns.counts(key_mask).float().log()
    weight = weight if key_mask is None else weight[:, None, None]
    return weight.expand(kept.shape).masked_fill(kept, -math.inf).flatten(0, 2)


def _groups(
    kept: Tensor, allowed: Tensor | None, extra: Tensor | None, *, heads: int
) -> list[_Group]:
    """Sort the tiles by how many blocks they keep, and cut them into calls."""
    columns = kept.shape[-1]
    counts = kept.sum(-1).flatten()
    starts = counts.cumsum(0) - counts
    numbers = kept.flatten(0, 2).nonzero()[:, 1]
    head = _key_heads(kept, heads)
    key = _kinds(kept, counts, allowed, extra)
    order = key.argsort(stable=True)
    kinds, sizes = key[order].unique_consecutive(return_counts=True)
    found = []
    # The one place where the host waits for the device.
    for kind, rows in zip(kinds.tolist(), order.split(sizes.tolist()), strict=True):
        for tiles in rows.split(TILES) if kind >= 0 else ():
            places = starts[tiles, None] + torch.arange(kind // 2, device=kept.device)
            blocks = head[tiles, None] * columns + numbers[places]
            there = None
            if kind % 2 and allowed is not None:
                there = allowed[blocks // (heads * columns), blocks % columns].flatten(1)
            more = None if extra is None else extra[tiles]
            found.append(_Group(tiles, blocks, there, more, head[tiles]))
    return found


def _key_heads(kept: Tensor, heads: int) -> Tensor:
    """`(B * H_q * n_q)`: the key head, among all of `B * H_k`, that each query tile reads."""
    batch, query_heads, tiles = kept.shape[:3]
    number = torch.arange(batch * query_heads, device=kept.device)
    item, head = number // query_heads, number % query_heads
    return (item * heads + head // (query_heads // heads)).repeat_interleave(tiles)


def _kinds(kept: Tensor, counts: Tensor, allowed: Tensor | None, extra: Tensor | None) -> Tensor:
    """Twice the number of kept blocks, plus 1 when keys in them are missing; -1 without any key."""
    partial = torch.zeros_like(counts, dtype=torch.bool)
    if allowed is not None:
        partial = (kept & ~allowed.all(-1)[:, None, None]).any(-1).flatten()
    empty = counts == 0
    if extra is not None:
        empty = empty & (extra == -math.inf).all(-1)
    return torch.where(empty, -1, 2 * counts + partial)


class _Gathered(torch.autograd.Function):
    """Attention of all groups; gathers anew in the backward pass."""

    @staticmethod
    def forward(ctx: Any, groups: Sequence[_Group], scale: float, *tensors: Tensor) -> Tensor:
        ctx.groups, ctx.scale = groups, scale
        ctx.save_for_backward(*tensors)
        q, v = tensors[0], tensors[2]
        out = q.new_zeros(*q.shape[:-1], v.shape[-1])
        for group in groups:
            out[group.rows] = _attend(group, scale, _taken(group, tensors))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors  # once: a checkpoint hands them out no second time
        # Sums over many tiles: bfloat16 would lose most of them.
        sums = [x.new_zeros(x.shape, dtype=_wide(x)) for x in tensors]
        for group in ctx.groups:
            taken = [x.detach().requires_grad_() for x in _taken(group, tensors)]
            with torch.enable_grad(), autocast.suspended(grad.device):
                out = _attend(group, ctx.scale, taken)
            parts = torch.autograd.grad(out, taken, grad[group.rows])
            for total, part, number in zip(sums, parts, _numbers(group, len(sums)), strict=True):
                total.index_add_(0, number.flatten(), part.flatten(0, number.ndim - 1).to(total))
        pairs = zip(sums, tensors, strict=True)
        return None, None, *(total.to(x.dtype) for total, x in pairs)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _numbers(group: _Group, count: int) -> list[Tensor]:
    """Where a group's queries, keys, values and, of five tensors, mean keys and values stand."""
    return [group.rows, group.blocks, group.blocks, group.heads, group.heads][:count]


def _taken(group: _Group, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tiles `(g, b_q, d)`, keys and values `(g, c, b_k, d)`, mean ones `(g, n_k, d)` of a group."""
    numbers = _numbers(group, len(tensors))
    return [
        # Whole blocks as rows of a matrix: the fastest gather there is on a CPU.
        x.flatten(1).index_select(0, at.flatten()).unflatten(1, x.shape[1:]).unflatten(0, at.shape)
        for x, at in zip(tensors, numbers, strict=True)
    ]


def _attend(group: _Group, scale: float, taken: Sequence[Tensor]) -> Tensor:
    q, k, v = taken[0], taken[1].flatten(1, 2), taken[2].flatten(1, 2)
    bias = _bias(group, q, k.shape[1])
    if len(taken) == 5:
        k, v = torch.cat((k, taken[3]), 1), torch.cat((v, taken[4]), 1)
    wide = q.dtype == torch.float32 and q.shape[-1] > WIDE
    attend = attend_in_slices if wide else attend_dense
    return attend(q[None], k[None], v[None], bias=bias, scale=scale)[0]


def _bias(group: _Group, q: Tensor, keys: int) -> Tensor | None:
    """`(1, g, 1, L)`: -inf for keys that are not there, then the weights of the mean keys."""
    if group.there is None and group.extra is None:
        return None
    # Only the weights need more digits than q has.
    bias = q.new_zeros(len(q), keys, dtype=q.dtype if group.extra is None else _wide(q))
    if group.there is not None:
        bias = bias.masked_fill(~group.there, -math.inf)
    if group.extra is not None:
        bias = torch.cat((bias, group.extra.to(bias)), 1)
    return bias[None, :, None]
