"""Triton kernels of block-sparse attention: forward, and a backward without atomic adds.

One program computes a tile of queries (or, backward, of keys) of one head, walking the compressed rows
(or columns) of its block mask; short blocks are masked at their end. Tensors are contiguous. Inside,
`head` counts query heads over the whole batch and `pair` key heads. What is handed in is annotated for
readers as tensors, numbers too: the compiler looks annotations up and knows no others.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

HAS_TRITON = find_spec("triton") is not None

if HAS_TRITON:
    import triton
    import triton.language as tl

    _jit: Callable[[Any], Any] = triton.jit
else:

    def _jit(kernel: Any) -> Any:
        """Nothing compiles these functions where there is no Triton; `attend_triton` says so."""
        return kernel


@_jit
def _load(
    x: tl.tensor, rows: tl.tensor, there: tl.tensor, SIZE: tl.constexpr, WIDTH: tl.constexpr,
    WIDE: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Rows of a matrix of SIZE columns as a tile of WIDTH, zero beyond; in float32 when WIDE."""
    channel = tl.arange(0, WIDTH)
    inside = there[:, None] & (channel < SIZE)[None, :]
    tile = tl.load(x + rows[:, None] * SIZE + channel[None, :], mask=inside, other=0.0)
    # Triton's interpreter multiplies bfloat16 matrices wrongly.
    return tile.to(tl.float32) if WIDE else tile


@_jit
def _store(
    x: tl.tensor, rows: tl.tensor, there: tl.tensor, tile: tl.tensor, SIZE: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    channel = tl.arange(0, WIDTH)
    inside = there[:, None] & (channel < SIZE)[None, :]
    at = x + rows[:, None] * SIZE + channel[None, :]
    tl.store(at, tile.to(x.dtype.element_ty), mask=inside)


@_jit
def _places(
    starts: tl.tensor, lengths: tl.tensor, block: tl.tensor, part: tl.tensor, TILE: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Places of one tile of a block, and which of them the block has."""
    within = part * TILE + tl.arange(0, TILE)
    return (tl.load(starts + block) + within).to(tl.int64), within < tl.load(lengths + block)


@_jit
def _allowed(
    key_mask: tl.tensor, item: tl.tensor, key: tl.tensor, there: tl.tensor, KEYS: tl.constexpr,
    MASKED: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    if MASKED:
        there = there & (tl.load(key_mask + item * KEYS + key, mask=there, other=0) != 0)
    return there


@_jit
def _forward(
    q: tl.tensor, k: tl.tensor, v: tl.tensor, out: tl.tensor, lse: tl.tensor, key_mask: tl.tensor,
    starts: tl.tensor, numbers: tl.tensor, q_starts: tl.tensor, q_lengths: tl.tensor,
    k_starts: tl.tensor, k_lengths: tl.tensor, scale: tl.tensor, HEADS: tl.constexpr,
    GROUPS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, BLOCKS: tl.constexpr,
    PARTS: tl.constexpr, KEY_PARTS: tl.constexpr, D: tl.constexpr, DV: tl.constexpr,
    WIDTH: tl.constexpr, WIDTH_V: tl.constexpr, TILE: tl.constexpr, KEY_TILE: tl.constexpr,
    MASKED: tl.constexpr, WIDE: tl.constexpr,
) -> None:  # fmt: skip
    block, part = tl.program_id(0) // PARTS, tl.program_id(0) % PARTS
    head = tl.program_id(1).to(tl.int64)
    item, pair = head // HEADS, head // GROUPS
    row, there = _places(q_starts, q_lengths, block, part, TILE)
    queries = _load(q, head * QUERIES + row, there, D, WIDTH, WIDE)
    peak = tl.full((TILE,), float("-inf"), tl.float32)
    total = tl.zeros((TILE,), tl.float32)
    sums = tl.zeros((TILE, WIDTH_V), tl.float32)
    begin = tl.load(starts + head * (BLOCKS + 1) + block)
    end = tl.load(starts + head * (BLOCKS + 1) + block + 1)
    # One loop over the parts of all blocks: what comes next is fetched while this is multiplied.
    for step in range((end - begin) * KEY_PARTS):
        number = tl.load(numbers + begin + step // KEY_PARTS)
        key, real = _places(k_starts, k_lengths, number, step % KEY_PARTS, KEY_TILE)
        ok = _allowed(key_mask, item, key, real, KEYS, MASKED)
        keys = _load(k, pair * KEYS + key, real, D, WIDTH, WIDE)
        logits = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        logits = tl.where(ok[None, :], logits, float("-inf"))
        higher = tl.maximum(peak, tl.max(logits, 1))
        # Before the first allowed key there is no peak to subtract.
        base = tl.where(higher == float("-inf"), 0.0, higher)
        weights = tl.exp(logits - base[:, None])
        shrink = tl.exp(peak - base)
        values = _load(v, pair * KEYS + key, real, DV, WIDTH_V, WIDE)
        total = total * shrink + tl.sum(weights, 1)
        gained = tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        sums = sums * shrink[:, None] + gained
        peak = higher
    some = total > 0
    safe = tl.where(some, total, 1.0)
    _store(out, head * QUERIES + row, there, sums / safe[:, None], DV, WIDTH_V)
    tl.store(
        lse + head * QUERIES + row, tl.where(some, peak + tl.log(safe), float("-inf")), mask=there
    )


@_jit
def _weights(
    queries: tl.tensor, keys: tl.tensor, values: tl.tensor, grads: tl.tensor, lse: tl.tensor,
    delta: tl.tensor, ok: tl.tensor, scale: tl.tensor,
) -> tl.tensor:  # fmt: skip
    """Attention weights `(queries, keys)` of two tiles, and the gradients of their logits."""
    logits = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
    base = tl.where(lse == float("-inf"), 0.0, lse)
    weights = tl.where(ok, tl.exp(logits - base[:, None]), 0.0)
    slopes = tl.dot(grads, tl.trans(values), input_precision="ieee")
    return weights, weights * (slopes - delta[:, None]) * scale


@_jit
def _backward_q(
    q: tl.tensor, k: tl.tensor, v: tl.tensor, grad: tl.tensor, lse: tl.tensor, delta: tl.tensor,
    grad_q: tl.tensor, key_mask: tl.tensor, starts: tl.tensor, numbers: tl.tensor,
    q_starts: tl.tensor, q_lengths: tl.tensor, k_starts: tl.tensor, k_lengths: tl.tensor,
    scale: tl.tensor, HEADS: tl.constexpr, GROUPS: tl.constexpr, QUERIES: tl.constexpr,
    KEYS: tl.constexpr, BLOCKS: tl.constexpr, PARTS: tl.constexpr, KEY_PARTS: tl.constexpr,
    D: tl.constexpr, DV: tl.constexpr, WIDTH: tl.constexpr, WIDTH_V: tl.constexpr,
    TILE: tl.constexpr, KEY_TILE: tl.constexpr, MASKED: tl.constexpr, WIDE: tl.constexpr,
) -> None:  # fmt: skip
    block, part = tl.program_id(0) // PARTS, tl.program_id(0) % PARTS
    head = tl.program_id(1).to(tl.int64)
    item, pair = head // HEADS, head // GROUPS
    row, there = _places(q_starts, q_lengths, block, part, TILE)
    at_row = head * QUERIES + row
    queries = _load(q, at_row, there, D, WIDTH, WIDE)
    grads = _load(grad, at_row, there, DV, WIDTH_V, WIDE)
    row_lse = tl.load(lse + at_row, mask=there, other=float("-inf"))
    row_delta = tl.load(delta + at_row, mask=there, other=0.0)
    sums = tl.zeros((TILE, WIDTH), tl.float32)
    begin = tl.load(starts + head * (BLOCKS + 1) + block)
    end = tl.load(starts + head * (BLOCKS + 1) + block + 1)
    for at in range(begin, end):
        number = tl.load(numbers + at)
        for key_part in range(KEY_PARTS):
            key, real = _places(k_starts, k_lengths, number, key_part, KEY_TILE)
            ok = _allowed(key_mask, item, key, real, KEYS, MASKED)
            keys = _load(k, pair * KEYS + key, real, D, WIDTH, WIDE)
            values = _load(v, pair * KEYS + key, real, DV, WIDTH_V, WIDE)
            fits = there[:, None] & ok[None, :]
            _, slopes = _weights(queries, keys, values, grads, row_lse, row_delta, fits, scale)
            sums += tl.dot(slopes.to(keys.dtype), keys, input_precision="ieee")
    _store(grad_q, at_row, there, sums, D, WIDTH)


@_jit
def _backward_kv(
    q: tl.tensor, k: tl.tensor, v: tl.tensor, grad: tl.tensor, lse: tl.tensor, delta: tl.tensor,
    grad_k: tl.tensor, grad_v: tl.tensor, key_mask: tl.tensor, starts: tl.tensor,
    numbers: tl.tensor, q_starts: tl.tensor, q_lengths: tl.tensor, k_starts: tl.tensor,
    k_lengths: tl.tensor, scale: tl.tensor, HEADS: tl.constexpr, GROUPS: tl.constexpr,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, BLOCKS: tl.constexpr, PARTS: tl.constexpr,
    KEY_PARTS: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, WIDTH: tl.constexpr,
    WIDTH_V: tl.constexpr, TILE: tl.constexpr, KEY_TILE: tl.constexpr, MASKED: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:  # fmt: skip
    # BLOCKS are those of the keys here: the compressed rows are those of the transposed mask.
    block, part = tl.program_id(0) // KEY_PARTS, tl.program_id(0) % KEY_PARTS
    pair = tl.program_id(1).to(tl.int64)
    key, real = _places(k_starts, k_lengths, block, part, KEY_TILE)
    ok = _allowed(key_mask, pair * GROUPS // HEADS, key, real, KEYS, MASKED)
    keys = _load(k, pair * KEYS + key, real, D, WIDTH, WIDE)
    values = _load(v, pair * KEYS + key, real, DV, WIDTH_V, WIDE)
    sums = tl.zeros((KEY_TILE, WIDTH), tl.float32)
    sums_v = tl.zeros((KEY_TILE, WIDTH_V), tl.float32)
    for head in range(pair * GROUPS, pair * GROUPS + GROUPS):
        begin = tl.load(starts + head * (BLOCKS + 1) + block)
        end = tl.load(starts + head * (BLOCKS + 1) + block + 1)
        for at in range(begin, end):
            number = tl.load(numbers + at)
            for row_part in range(PARTS):
                row, there = _places(q_starts, q_lengths, number, row_part, TILE)
                at_row = head * QUERIES + row
                queries = _load(q, at_row, there, D, WIDTH, WIDE)
                grads = _load(grad, at_row, there, DV, WIDTH_V, WIDE)
                row_lse = tl.load(lse + at_row, mask=there, other=float("-inf"))
                row_delta = tl.load(delta + at_row, mask=there, other=0.0)
                fits = there[:, None] & ok[None, :]
                weights, slopes = _weights(
                    queries, keys, values, grads, row_lse, row_delta, fits, scale
                )
                sums += tl.dot(tl.trans(slopes).to(queries.dtype), queries, input_precision="ieee")
                sums_v += tl.dot(tl.trans(weights).to(grads.dtype), grads, input_precision="ieee")
    _store(grad_k, pair * KEYS + key, real, sums, D, WIDTH)
    _store(grad_v, pair * KEYS + key, real, sums_v, DV, WIDTH_V)
