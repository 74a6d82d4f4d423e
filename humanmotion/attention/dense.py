"""Dense attention as torch has it: what short sequences, early steps and full masks use."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend_dense(
    q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """`softmax(scale * q k^T + bias) v`: `(B, H_q, N_q, d_v)`, query head h reading key head h // g.

    `q` is `(B, H_q, N_q, d)`, `k` and `v` `(B, H_k, N_k, d or d_v)`, `bias` broadcasts to
    `(B, H_q, N_q, N_k)`.
    """
    gqa = q.shape[1] != k.shape[1]
    return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale, enable_gqa=gqa)


def forbidding(key_mask: Tensor | None, like: Tensor) -> Tensor | None:
    """`(B, N_k)` bool as a bias `(B, 1, 1, N_k)`: minus infinity where False."""
    if key_mask is None:
        return None
    bias = torch.zeros(key_mask.shape, dtype=like.dtype, device=like.device)
    return bias.masked_fill(~key_mask, -math.inf)[:, None, None]
