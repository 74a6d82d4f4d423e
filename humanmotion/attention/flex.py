"""Block-sparse attention by torch's FlexAttention: a cross-check on a CPU, a fused kernel on a GPU."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex
from torch.nn.functional import pad

from humanmotion.attention.blocks import BlockMask


@dataclass(frozen=True, eq=False)
class _Tables:
    """What the kernel looks up, with every block filled up to its size."""

    kept: Tensor
    """`(B, H_q, n_q, n_k + extra)` bool."""
    allowed: Tensor
    """`(B, (n_k + extra) * b_k)` bool."""
    weight: Tensor | None
    """`(B, H_q, n_q, n_k)`: added to the logits of the mean keys, which stand behind the others."""


def attend_flex(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: BlockMask,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    tail: bool = False,
) -> Tensor:
    """What `attend_reference` defines, with the same arguments.

    On a CPU it runs uncompiled, with an `N_q * N_k` array, and has no gradients.
    """
    sizes = mask.rows.size, mask.columns.size
    tables = _tables(mask, key_mask, heads=q.shape[:2], tail=tail)
    queries = mask.rows.split(q).flatten(2, 3)
    keys, values = (_filled(x, mask, key_mask, tables) for x in (k, v))
    counts = tables.kept.sum(-1, dtype=torch.int32)
    order = tables.kept.to(torch.int8).argsort(dim=-1, descending=True, stable=True).int()
    blocks = flex.BlockMask.from_kv_blocks(
        counts, order, BLOCK_SIZE=sizes, mask_mod=_mask_mod(tables, sizes),
        seq_lengths=(queries.shape[2], keys.shape[2]),
    )  # fmt: skip
    base = mask.columns.count * sizes[1]
    out = _kernel(q.device.type)(
        queries, keys, values, score_mod=_score_mod(tables, sizes[0], base), block_mask=blocks,
        scale=scale, enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    return mask.rows.join(out.unflatten(2, (mask.rows.count, sizes[0])))


def _tables(mask: BlockMask, key_mask: Tensor | None, *, heads: torch.Size, tail: bool) -> _Tables:
    columns = mask.columns
    kept = mask.kept.expand(*heads, -1, -1)
    if key_mask is None:
        key_mask = torch.ones(heads[0], columns.tokens, dtype=torch.bool, device=kept.device)
    allowed = columns.split(key_mask[..., None].to(torch.uint8)).flatten(1).bool()
    if not tail:
        return _Tables(kept.contiguous(), allowed, None)
    extra = -(-columns.count // columns.size)
    real = torch.arange(extra * columns.size, device=kept.device) < columns.count
    weight = columns.counts(key_mask).float().log()[:, None, None]
    weight = weight.expand(kept.shape).masked_fill(kept, -math.inf)
    return _Tables(
        pad(kept, (0, extra), value=True),
        torch.cat((allowed, real.expand(heads[0], -1)), 1),
        weight,
    )


def _filled(x: Tensor, mask: BlockMask, key_mask: Tensor | None, tables: _Tables) -> Tensor:
    """Keys or values with filled-up blocks, and with a tail their means behind them."""
    rows = mask.columns.split(x).flatten(2, 3)
    if tables.weight is not None:
        rows = torch.cat((rows, mask.columns.means(x, key_mask).to(x.dtype)), 2)
    return pad(rows, (0, 0, 0, tables.allowed.shape[1] - rows.shape[2]))


def _mask_mod(tables: _Tables, sizes: tuple[int, int]) -> Callable[..., Tensor]:
    def _allowed(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return tables.kept[b, h, i // sizes[0], j // sizes[1]] & tables.allowed[b, j]

    return _allowed


def _score_mod(tables: _Tables, rows: int, base: int) -> Callable[..., Tensor] | None:
    weight = tables.weight
    if weight is None:
        return None

    def _add(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        at = (j - base).clamp(0, weight.shape[-1] - 1)
        return torch.where(j >= base, score + weight[b, h, i // rows, at], score)

    return _add


@cache
def _kernel(device: str) -> Callable[..., Any]:
    """Compiled where that fuses it; on a CPU a compile of each shape takes longer than it saves."""
    kernel: Callable[..., Any] = flex.flex_attention
    if device != "cpu":
        return torch.compile(kernel)

    def _quiet(*tensors: Tensor, **options: Any) -> Any:
        with warnings.catch_warnings():
            # That it is not compiled is meant.
            warnings.filterwarnings("ignore", message="flex_attention called without")
            return kernel(*tensors, **options)

    return _quiet
