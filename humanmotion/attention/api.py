"""The one call that takes the place of dense attention."""

from __future__ import annotations

from torch import Tensor

from humanmotion.attention.executors import Backend
from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.method import Method
from humanmotion.attention.plan import AttentionPlan
from humanmotion.attention.rainfusion2 import RainFusion2

DEFAULT_METHOD = RainFusion2()


def sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    layout: TokenLayout,
    method: Method = DEFAULT_METHOD,
    key_layout: TokenLayout | None = None,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    tail: bool = False,
    backend: Backend = "auto",
) -> Tensor:
    """One call's attention, `(B, H_q, N_q, d_v)` in q's dtype or autocast's; a model keeps a plan.

    `q` is `(B, H_q, N_q, d)`, `k` and `v` `(B, H_k, N_k, d or d_v)`, H_q a multiple of H_k, tokens in
    the order of the sequence that `layout` (of the keys: `key_layout`, if another) describes.
    `key_mask` `(B, N_k)` bool is False for keys that do not exist; `scale` is `d ** -0.5` unless given;
    with `tail` dropped blocks still count by their mean keys. Where sparse attention would be slower,
    "auto" goes dense. Raises UsageError, naming shapes, for tensors that fit neither each other nor the
    layout, and InputError for NaN, infinity, or an item without any key.

        >>> layout = TokenLayout.of(VideoGrid(16, 32, 32), LooseTokens(77))
        >>> out = sparse_attention(q, k, v, layout=layout, method=RainFusion2(sparsity=0.8))
    """
    plan = AttentionPlan(layout, method, key_layout, backend=backend, tail=tail)
    return plan.attend(q, k, v, key_mask=key_mask, scale=scale)
