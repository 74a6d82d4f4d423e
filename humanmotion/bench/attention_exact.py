"""Rows of `humanmotion bench attention` about exactness and memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.attention import (
    AttentionPlan,
    BlockMask,
    Blocks,
    LooseTokens,
    RainFusion2,
    TokenLayout,
)
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.reference import attend_reference
from humanmotion.bench.attention_speed import ALWAYS, Setting
from humanmotion.bench.report import Row
from humanmotion.memory import give_back

LENGTHS = (1, 63, 65, 500, 4097)
HEAD_SIZES = (32, 40, 64, 72, 80, 96, 128, 256)
GROUPS = (1, 2, 4, 8)
MOST_APART, MOST_GRADIENT, MOST_MEMORY = 2e-6, 1e-5, 1.3
MOST_FARTHEST, MOST_MEAN = 1e-2, 3e-3
TEXT = 77
CLEAR = Path("/proc/self/clear_refs")


def exactness_rows(*, configurations: int) -> list[Row]:
    """The gathering executor against the reference in float64, over random problems."""
    apart = plain = farthest = mean = gradient = 0.0
    for seed in range(configurations):
        q, k, v, mask = random_problem(seed)
        want = attend_reference(q.double(), k.double(), v.double(), mask=mask)
        apart = max(apart, float((attend_gather(q, k, v, mask=mask) - want).abs().max()))
        plain = max(plain, float((attend_reference(q, k, v, mask=mask) - want).abs().max()))
        half = [x.bfloat16() for x in (q, k, v)]
        rounded = attend_reference(*(x.double() for x in half), mask=mask)
        error = (attend_gather(*half, mask=mask) - rounded).abs()
        if rounded.abs().max() > 0:
            farthest = max(farthest, float(error.max() / rounded.abs().max()))
            mean = max(mean, float(error.sum() / rounded.abs().sum()))
        gradient = max(gradient, _gradients_apart(q, k, v, mask))
    what = f"gather against reference, the worst of {configurations} random problems"
    return [
        Row("exact_float32", f"{what}, greatest difference", apart, "", MOST_APART, "<="),
        Row("exact_float32_reference", "the reference itself in float32, the same", plain, ""),
        Row("exact_bfloat16_max", f"{what}, over the largest", farthest, "", MOST_FARTHEST, "<="),
        Row("exact_bfloat16_mean", f"{what}, sum over sum", mean, "", MOST_MEAN, "<="),
        Row("exact_gradients", f"{what}, over the largest", gradient, "", MOST_GRADIENT, "<="),
    ]


def random_problem(seed: int) -> tuple[Tensor, Tensor, Tensor, BlockMask]:
    """q, k, v and a mask of any length, head size and grouping, items with masks of their own."""
    choose = random.Random(seed).choice
    generator = torch.Generator().manual_seed(seed)
    batch, key_heads, groups = choose((1, 3)), choose((1, 2)), choose(GROUPS)
    lengths = choose(LENGTHS), choose(LENGTHS)
    if max(lengths) > 500:  # the reference holds all pairs
        batch, key_heads, groups = 1, 1, min(groups, 2)
    size, heads = choose(HEAD_SIZES), key_heads * groups
    q = torch.randn(batch, heads, lengths[0], size, generator=generator)
    k, v = (torch.randn(batch, key_heads, lengths[1], size, generator=generator) for _ in range(2))
    rows, columns = Blocks.cut(lengths[:1], choose((64, 256))), Blocks.cut(lengths[1:], 64)
    shape = (batch, heads, rows.count, columns.count)
    kept = torch.rand(shape, generator=generator) < choose((0.1, 0.3, 0.8))
    return q, k, v, BlockMask(kept, rows, columns)


def _gradients_apart(q: Tensor, k: Tensor, v: Tensor, mask: BlockMask) -> float:
    ask = torch.randn(*q.shape[:-1], v.shape[-1], generator=torch.Generator().manual_seed(0))
    found = []
    for attend, kind in ((attend_reference, torch.float64), (attend_gather, torch.float32)):
        leaves = [x.to(kind).requires_grad_() for x in (q, k, v)]
        out = attend(*leaves, mask=mask)
        found.append(torch.autograd.grad(out, leaves, ask.to(kind)))
    # Of one key alone the gradients of queries are zero: the largest of all says what is small.
    largest = max(float(x.abs().max()) for x in found[0])
    apart = max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))
    return apart / largest if largest > 0 else apart


def memory_rows(setting: Setting) -> list[Row]:
    """Most memory on top of the inputs, over q, k, v and the result together (Linux only).

    The bar is for whole blocks that stand in places; behind text, blocks are filled up in copies.
    """
    what = f"{setting.name}, 80 %: most memory on the way, the result included, over q, k, v and it"
    if not CLEAR.exists():
        what = f"{what}; this system does not tell"
    with_text = TokenLayout.of(LooseTokens(TEXT), *setting.layout.segments, device=setting.device)
    whole = _memory_share(setting, setting.layout, permuted=True)
    ragged = _memory_share(setting, with_text, permuted=False)
    more = f"{what}; behind {TEXT} tokens of text, moved by the call"
    return [
        Row(f"memory_{setting.name}", what, whole, "", MOST_MEMORY, "<="),
        Row(f"memory_text_{setting.name}", more, ragged, ""),
    ]


def _memory_share(setting: Setting, layout: TokenLayout, *, permuted: bool) -> float | None:
    if not CLEAR.exists():
        return None
    q, k, v = replace(setting, tokens=layout.tokens).tensors()
    plan = AttentionPlan(
        layout, RainFusion2(), permuted=permuted, break_even=ALWAYS, backend="gather"
    )
    used = _peak_bytes(lambda: plan.attend(q, k, v))
    return used / (4 * q.numel() * q.element_size())


def _peak_bytes(call: Callable[[], object]) -> int:
    """Bytes by which resident memory rises at the most during a call."""
    call()
    give_back()
    CLEAR.write_text("5")  # the high-water mark starts anew
    before = status_bytes("VmRSS")
    call()
    return status_bytes("VmHWM") - before


def status_bytes(name: str) -> int:
    """A figure of this process's memory as Linux tells it, such as VmRSS."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
