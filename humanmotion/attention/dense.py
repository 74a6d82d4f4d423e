"""Dense attention as torch has it: what short sequences, early steps and full masks use."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

SHORT = 512
"""Queries up to which a matrix of scores is nothing to worry about."""
WIDE, SLICE = 128, 64
"""Numbers of a head beyond which float32 scores are summed in slices, and numbers of a slice."""


def attend_dense(
    q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """`softmax(scale * q k^T + bias) v`: `(B, H_q, N_q, d_v)`, query head h reading key head h // g.

    `q` is `(B, H_q, N_q, d)`, `k` and `v` `(B, H_k, N_k, d or d_v)`, `bias` broadcasts to
    `(B, H_q, N_q, N_k)` and is of q's type or a wider one. The result is of q's type.
    """
    gqa, kind = q.shape[1] != k.shape[1], q.dtype
    if not gqa and _learns_in_halves(q, bias):
        return _written_out(q, k, v, bias=bias, scale=scale)
    wide = bias is not None and runs_wide(q, bias)
    if wide and bias is not None:
        q, k, v = (x.to(bias.dtype) for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale, enable_gqa=gqa)
    return out.to(kind) if wide else out


def runs_wide(q: Tensor, bias: Tensor) -> bool:
    """Whether attention with this bias has to be computed in the bias' type.

    The fused kernels of a GPU want a bias of q's type, and a bfloat16 log of a count of keys is wrong
    by 1 %; that of a CPU takes a float32 one as it is.
    """
    return bias.dtype != q.dtype and q.device.type != "cpu"


def _learns_in_halves(q: Tensor, bias: Tensor | None) -> bool:
    """Whether bfloat16 is to be differentiated on a CPU: torch's fused way back takes some three
    times as long there as plain products, whose matrices of scores short sequences can afford."""
    plain = bias is None or bias.dtype == q.dtype
    short = plain and q.shape[2] <= SHORT
    return short and q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu"


def _written_out(
    q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None, scale: float | None
) -> Tensor:
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1) @ v


def attend_in_slices(
    q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """`attend_dense` for wide heads in float32, with all scores in memory and as many heads of each.

    A sum of products keeps more digits when it is made of short sums: with 256 numbers a head the
    result is off by half as much as in one go, which takes two thirds to three quarters of the time.
    """
    q = q * (q.shape[-1] ** -0.5 if scale is None else scale)
    parts = zip(q.split(SLICE, -1), k.split(SLICE, -1), strict=True)
    scores = sum((a @ b.transpose(-1, -2) for a, b in parts), torch.zeros((), device=q.device))
    return (scores if bias is None else scores + bias).softmax(-1) @ v


def forbidding(key_mask: Tensor | None, like: Tensor) -> Tensor | None:
    """`(B, N_k)` bool as a bias `(B, 1, 1, N_k)`: minus infinity where False."""
    if key_mask is None:
        return None
    bias = torch.zeros(key_mask.shape, dtype=like.dtype, device=like.device)
    return bias.masked_fill(~key_mask, -math.inf)[:, None, None]
