"""How much of dense attention's weight a method's kept keys hold."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.attention.problem import Problem

SAMPLE_ROWS = 64
"""Queries that are looked at, spread evenly."""


def sample_rows(tokens: int, device: torch.device) -> Tensor:
    """Numbers of the queries to look at, `(r)`."""
    count = min(tokens, SAMPLE_ROWS)
    return torch.arange(count, device=device) * tokens // count


@torch.no_grad()
def attention_rows(q: Tensor, k: Tensor, *, rows: Tensor, problem: Problem) -> Tensor:
    """Dense attention weights of the queries `rows` `(r)`, `(B, H_q, r, N_k)` float32."""
    keys = k.float().repeat_interleave(q.shape[1] // k.shape[1], 1)
    logits = problem.scale * q[:, :, rows].float() @ keys.transpose(-1, -2)
    if problem.key_mask is not None:
        logits = logits.masked_fill(~problem.key_mask[:, None, None], -math.inf)
    return logits.softmax(-1)


def kept_share(q: Tensor, k: Tensor, *, kept: Tensor, rows: Tensor, problem: Problem) -> Tensor:
    """Mean weight on the keys that are `kept`, `(B, H_q, r, N_k)` bool, per head `(B, H_q)`."""
    weights = attention_rows(q, k, rows=rows, problem=problem)
    return (weights * kept).sum(-1).mean(-1)
