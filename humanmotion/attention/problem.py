"""One attention call as every method sees it, and the errors for what cannot be one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, SupportsIndex

import torch
from torch import Tensor

from humanmotion.attention.blocks import BlockMask
from humanmotion.attention.layout import LooseTokens, TokenLayout
from humanmotion.errors import InputError, UsageError

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class Executor(Protocol):
    """`attend_reference` and everything that gives its numbers."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        mask: BlockMask,
        key_mask: Tensor | None = None,
        scale: float | None = None,
        tail: bool = False,
    ) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Problem:
    """What besides q, k and v says what is to be computed."""

    layout: TokenLayout
    """Of the queries."""
    key_layout: TokenLayout
    key_mask: Tensor | None
    """`(B, N_k)` bool, False where a key is forbidden; in the order the method works in."""
    scale: float
    tail: bool
    """Whether a dropped block still counts by its mean key."""
    executor: Executor
    """What computes attention over a block mask."""


def check_sparsity(sparsity: float) -> None:
    """Raise UsageError unless `sparsity`, the share of pairs to drop, lies in [0, 1)."""
    if not 0 <= sparsity < 1:
        raise UsageError(f"sparsity {sparsity} must lie in [0, 1): the share of pairs to drop")


def check_block(block: tuple[int, int]) -> None:
    """Raise UsageError unless `block`, rows of a query block and of a key block, is two counts."""
    if len(block) != 2 or any(not isinstance(n, SupportsIndex) or n < 1 for n in block):
        raise UsageError(f"block {block} must be two whole numbers of 1 or more: queries, keys")


def check_grid(layout: TokenLayout, key_layout: TokenLayout) -> None:
    """Raise UsageError unless queries and keys are the same tokens, with a grid among them."""
    if layout.segments != key_layout.segments:
        raise UsageError(
            f"RainFusion needs queries and keys of the same tokens, not {layout.segments} and "
            f"{key_layout.segments}"
        )
    if all(isinstance(s, LooseTokens) for s in layout.segments):
        raise UsageError(f"segments {layout.segments} hold no grid, whose frames RainFusion needs")


def check_scale(scale: float | None) -> None:
    """Raise UsageError for a scale of the logits that is not a finite number above 0."""
    if scale is not None and not 0 < scale < math.inf:
        raise UsageError(f"scale {scale} must be a finite number above 0, or None for d ** -0.5")


def check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise UsageError, naming the shapes, for tensors that cannot attend each other."""
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not (q.ndim == k.ndim == v.ndim == 4):
        raise UsageError(f"{shapes}: all must be (B, H, N, d)")
    if min(*q.shape, *k.shape, *v.shape) < 1:
        raise UsageError(f"{shapes}: no size may be 0")
    if len({x.dtype for x in (q, k, v)}) > 1 or q.dtype not in DTYPES:
        kinds = f"{q.dtype}, {k.dtype}, {v.dtype}"
        raise UsageError(f"{shapes} of {kinds}: all must be one of float32, bfloat16, float16")
    if len({x.device for x in (q, k, v)}) > 1 or q.is_meta:
        places = f"{q.device}, {k.device}, {v.device}"
        raise UsageError(f"{shapes} on {places}: all must be on one device that holds numbers")
    if not (q.shape[0] == k.shape[0] == v.shape[0] and q.shape[-1] == k.shape[-1]):
        raise UsageError(f"{shapes}: batch sizes must agree, and head sizes of q and k")
    if k.shape[1:3] != v.shape[1:3]:
        raise UsageError(f"{shapes}: k and v must have equally many heads and tokens")
    if q.shape[1] % k.shape[1]:
        raise UsageError(f"{shapes}: q's heads must be a multiple of k's")


def check_layout(q: Tensor, k: Tensor, *, layout: TokenLayout, key_layout: TokenLayout) -> None:
    """Raise UsageError, naming the shape, when a layout describes another number of tokens."""
    for name, x, given in (("q", q, layout), ("k", k, key_layout)):
        if x.shape[2] != given.tokens:
            shapes = ", ".join(f"{type(s).__name__}{tuple(s.shape)}" for s in given.segments)
            raise UsageError(
                f"{name} {tuple(x.shape)} has {x.shape[2]} tokens, its layout {given.tokens}: {shapes}"
            )


def check_key_mask(k: Tensor, key_mask: Tensor | None) -> None:
    """Raise UsageError for a mask of another shape, InputError for an item without any key."""
    if key_mask is None:
        return
    want = (k.shape[0], k.shape[2])
    if tuple(key_mask.shape) != want or key_mask.dtype != torch.bool:
        raise UsageError(
            f"key_mask {tuple(key_mask.shape)} of {key_mask.dtype}: it must be {want} of torch.bool"
        )
    empty = (~key_mask.any(-1)).nonzero()[:, 0].tolist()
    if empty:
        raise InputError(
            f"key_mask {want} forbids every key of batch items {empty}: nothing is left to attend"
        )


def check_finite(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise InputError, naming the tensor, its shape and the first bad place, for NaN or infinity."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        # One pass without a copy; where a sum of finite numbers overflows, a second one tells.
        if not math.isfinite(x.detach().sum()) and not x.isfinite().all():
            at = tuple((~x.isfinite()).nonzero()[0].tolist())
            raise InputError(f"{name} {tuple(x.shape)} is not finite, first at {at}")
