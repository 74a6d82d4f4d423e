"""The definition of block-sparse attention: dense, masked, slow. Every executor must equal it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.attention.blocks import BlockMask


def attend_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: BlockMask,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    tail: bool = False,
) -> Tensor:
    """`softmax(scale * q k^T) v` over the kept pairs only, `(B, H_q, N_q, d_v)` in q's dtype.

    `q` is `(B, H_q, N_q, d)`, `k` and `v` `(B, H_k, N_k, d or d_v)` in the order of places, query head
    h reads key head `h // (H_q / H_k)`. `key_mask` `(B, N_k)` bool forbids the keys where it is False.
    `scale` is `d ** -0.5` unless given. With `tail` a dropped block of n allowed keys still counts as n
    keys that all equal its mean, with its mean value (PISA, arXiv 2602.01077, zeroth-order term). A
    query with no key at all gets zeros. Memory grows with `N_q * N_k`.
    """
    work = torch.promote_types(q.dtype, torch.float32)
    groups = q.shape[1] // k.shape[1]
    k, v = (x.to(work).repeat_interleave(groups, 1) for x in (k, v))
    keep = mask.token_mask()
    if key_mask is not None:
        keep = keep & key_mask[:, None, None]
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    queries = factor * q.to(work)
    logits = (queries @ k.transpose(-1, -2)).masked_fill(~keep, -math.inf)
    if tail:
        more, means = _tail(queries, k, v, mask=mask, key_mask=key_mask)
        logits, v = torch.cat((logits, more), -1), torch.cat((v, means), -2)
    peak = logits.detach().amax(-1, keepdim=True)
    weights = (logits - peak.clamp(min=torch.finfo(work).min)).exp()
    total = weights.sum(-1, keepdim=True)
    return (weights @ v / torch.where(total > 0, total, 1)).to(q.dtype)


def _tail(
    queries: Tensor, k: Tensor, v: Tensor, *, mask: BlockMask, key_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Logits `(B, H, N_q, n_k)` and values `(B, H, n_k, d_v)` of the blocks' mean keys."""
    blocks = mask.columns
    member = (blocks.block == torch.arange(blocks.count, device=k.device)[:, None]).to(k)
    member = member if key_mask is None else member * key_mask[:, None].to(k)
    count = member.sum(-1)
    member = (member / count.clamp(min=1)[..., None]).reshape(-1, 1, *member.shape[-2:])
    count = count.reshape(-1, 1, 1, blocks.count)
    logits = queries @ (member @ k).transpose(-1, -2) + count.log()
    dropped = ~mask.kept[:, :, mask.rows.block]
    return logits.masked_fill(~dropped, -math.inf), member @ v
