"""Sparse attention in models built of diffusers' `Attention` modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.plan import AttentionPlan
from humanmotion.attention.problem import check_key_mask
from humanmotion.attention.rope import Rotary
from humanmotion.errors import UsageError


class SparseProcessor:
    """Takes the place of diffusers' `AttnProcessor2_0`; `attn.set_processor(SparseProcessor(plan))`.

    Self-attention goes through the plan, cross attention stays dense. One plan serves all layers of a
    model, each with a `layer` number of its own; with a schedule, set `plan.step` before every step.
    `rotary` turns queries and keys; it and the tokens are in the order of places for a permuted plan.
    """

    def __init__(
        self, plan: AttentionPlan, *, layer: int = 0, rotary: Rotary | None = None
    ) -> None:
        self.plan, self.layer, self.rotary = plan, layer, rotary

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: object = None,
    ) -> Tensor:
        """The module's result for tokens `(B, N, C)`; `attention_mask` is `(B, N_k)` bool or None.

        Cross attention also takes diffusers' own mask, a bias `(B, 1, N_k)`. Norms of queries and keys
        work on each head or across heads, as their width says. Raises UsageError for what this
        processor would have to ignore: pictures `(B, C, H, W)`, group or spatial norms, added
        projections, other masks, rotary embeddings that a model hands over.
        """
        cross = encoder_hidden_states is not None
        _check(attn, hidden_states, attention_mask, cross=cross, rotary=image_rotary_emb)
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            source = attn.norm_encoder_hidden_states(source)
        q, k, v = attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)
        size = q.shape[-1] // attn.heads
        q, k = _in_heads(q, attn.norm_q, size=size), _in_heads(k, attn.norm_k, size=size)
        v = _in_heads(v, None, size=size)
        if encoder_hidden_states is None:
            out = self._attend(q, k, v, attention_mask)
        else:
            out = attend_dense(q, k, v, bias=_bias(attention_mask, q, k))
        out = out.transpose(1, 2).flatten(2)
        for layer in attn.to_out:
            out = layer(out)
        out = out + hidden_states if attn.residual_connection else out
        return out / attn.rescale_output_factor

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        if self.rotary is not None:
            self.rotary = self.rotary.to(q.device)
            q, k = self.rotary.turn(q), self.rotary.turn(k)
        return self.plan.attend(q, k, v, layer=self.layer, key_mask=key_mask)


def _in_heads(x: Tensor, norm: Any, *, size: int) -> Tensor:
    """`(B, N, H * size)` to `(B, H, N, size)`, normed before or after by the width of the norm."""
    # LayerNorm says its width so, diffusers' RMSNorm in `dim`; what has none works on any.
    shape = getattr(norm, "normalized_shape", getattr(norm, "dim", None))
    width = shape[-1] if isinstance(shape, tuple) else size
    if width not in (size, x.shape[-1]):
        raise UsageError(f"a norm of width {width} for heads of {size}, {x.shape[-1]} in all")
    if norm is not None and width != size:
        x, norm = norm(x), None
    x = x.unflatten(-1, (-1, size)).transpose(1, 2)
    return x if norm is None else norm(x)


def _bias(mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
    """The mask of cross attention as a bias `(B, 1, 1, N_k)` in q's type."""
    if mask is None or mask.ndim == 2:
        check_key_mask(k, mask)
        return forbidding(mask, q)
    want = (k.shape[0], 1, k.shape[2])
    if tuple(mask.shape) != want:
        raise UsageError(f"attention_mask {tuple(mask.shape)}: as a bias it must be {want}")
    return mask[:, None].to(q.dtype)


def _check(attn: Any, x: Tensor, mask: Tensor | None, *, cross: bool, rotary: object) -> None:
    if x.ndim != 3:
        raise UsageError(f"hidden states {tuple(x.shape)}: SparseProcessor takes tokens (B, N, C)")
    odd = ("spatial_norm", "group_norm", "add_k_proj")
    found = [name for name in odd if getattr(attn, name, None) is not None]
    if found:
        raise UsageError(f"an attention module with {', '.join(found)}: SparseProcessor knows none")
    is_bias = cross and mask is not None and mask.ndim == 3 and mask.is_floating_point()
    if mask is not None and not is_bias and (mask.ndim != 2 or mask.dtype != torch.bool):
        also = " or a bias (B, 1, N_k)" if cross else ""
        raise UsageError(
            f"attention_mask {tuple(mask.shape)} of {mask.dtype}: give (B, N_k) bool{also}"
        )
    if rotary is not None:
        raise UsageError("image_rotary_emb: give the processor rotary=Rotary.of(...) instead")
