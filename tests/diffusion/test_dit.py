"""Blocks against their formulas written out, and what they must not see."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.attention import AttentionPlan, MotionGrid, RainFusion2, TokenLayout
from humanmotion.diffusion.dit import (
    BlockSizes,
    CrossAttention,
    DiTBlock,
    Head,
    TimeModulation,
    sinusoids,
)

WIDTH, HEADS = 16, 4


def plan(tokens: int) -> AttentionPlan:
    return AttentionPlan(TokenLayout.of(MotionGrid(tokens, 1)), RainFusion2())


def example(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slow_norm(x, weight=None):
    """Layer norm without affine, or RMS-norm with a weight, of the last axis."""
    if weight is None:
        x = x - x.mean(-1, keepdim=True)
    root = (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return x / root * (1 if weight is None else weight)


def slow_attention(module, x, others, mask=None):
    """Head by head and query by query."""
    linear = torch.nn.functional.linear
    q = slow_norm(linear(x, module.q.weight, module.q.bias), module.norm_q.weight)
    k = slow_norm(linear(others, module.k.weight, module.k.bias), module.norm_k.weight)
    v = linear(others, module.v.weight, module.v.bias)
    size, out = WIDTH // HEADS, torch.zeros_like(q)
    for b in range(len(x)):
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for i in range(x.shape[1]):
                scores = k[b, :, part] @ q[b, i, part] / math.sqrt(size)
                if mask is not None:
                    scores = scores.masked_fill(~mask[b], -math.inf)
                out[b, i, part] = scores.softmax(0) @ v[b, :, part]
    return linear(out, module.o.weight, module.o.bias)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_sinusoids(shape) -> None:
    places = 40 * example(*shape).abs()
    found = sinusoids(places, 8)
    assert found.shape == (*shape, 8)
    for i in range(4):
        angle = places * 10_000 ** (-i / 4)
        torch.testing.assert_close(found[..., i], angle.cos())
        torch.testing.assert_close(found[..., 4 + i], angle.sin())


@pytest.mark.parametrize("masked", [False, True])
def test_a_block_is_its_formula(masked) -> None:
    torch.manual_seed(0)
    block = DiTBlock(BlockSizes(WIDTH, 40, HEADS)).eval()
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.1 * torch.randn_like(p))
    x, time = example(2, 7, WIDTH), example(2, 6, WIDTH, seed=1)
    mask = torch.arange(7) < torch.tensor([[7], [4]]) if masked else None
    e = (block.modulation + time)[:, :, None]
    want = x + e[:, 2] * slow_attention(
        block.attention, *2 * [slow_norm(x) * (1 + e[:, 1]) + e[:, 0]], mask
    )
    inner = (slow_norm(want) * (1 + e[:, 4]) + e[:, 3]) @ block.feed[0].weight.T
    inner = inner + block.feed[0].bias
    gelu = 0.5 * inner * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    want = want + e[:, 5] * (gelu @ block.feed[2].weight.T + block.feed[2].bias)
    found = block.attend(x, time, plan=plan(7), layer=0, key_mask=mask)
    found = block.feed_forward(found, time)
    torch.testing.assert_close(found, want, atol=2e-5, rtol=1e-5)


def test_cross_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    module = CrossAttention(WIDTH, HEADS).eval()
    x, others = example(2, 5, WIDTH), example(2, 3, WIDTH, seed=1)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = module(x, module.keys(others), key_mask=mask)
    torch.testing.assert_close(found, slow_attention(module, x, others, mask), atol=1e-5, rtol=1e-5)


def test_what_lies_behind_the_end_of_a_motion_is_not_seen() -> None:
    torch.manual_seed(0)
    block = DiTBlock(BlockSizes(WIDTH, 32, HEADS)).eval()
    x, time = example(1, 9, WIDTH), example(1, 6, WIDTH, seed=1)
    mask = (torch.arange(9) < 6)[None]
    other = torch.where(mask[..., None], x, 100 * example(1, 9, WIDTH, seed=2))
    a, b = (block.attend(v, time, plan=plan(9), layer=0, key_mask=mask)[:, :6] for v in (x, other))
    torch.testing.assert_close(a, b, atol=0, rtol=0)
    short = block.attend(x[:, :6], time, plan=plan(6), layer=0, key_mask=None)
    torch.testing.assert_close(a, short, atol=1e-6, rtol=1e-6)


def test_long_motions_are_sparse_and_short_ones_dense() -> None:
    torch.manual_seed(0)
    block = DiTBlock(BlockSizes(WIDTH, 32, HEADS)).eval()
    for tokens, dense in ((200, 1), (4096, 0)):
        carried = plan(tokens)
        with torch.no_grad():
            block.attend(example(1, tokens, WIDTH), example(1, 6, WIDTH), plan=carried, layer=0,
                         key_mask=None)  # fmt: skip
        assert carried.report().dense_calls == dense and carried.report().calls == 1


def test_a_new_head_says_nothing_and_time_tells() -> None:
    torch.manual_seed(0)
    head, time = Head(WIDTH, 3), TimeModulation(WIDTH)
    said, spread = time(torch.tensor((0.0, 1000.0)))
    assert said.shape == (2, WIDTH) and spread.shape == (2, 6, WIDTH)
    assert float((spread[0] - spread[1]).detach().abs().max()) > 0.01
    assert not head(example(2, 5, WIDTH), said).any()


def test_bfloat16_by_autocast_is_near() -> None:
    torch.manual_seed(0)
    block = DiTBlock(BlockSizes(WIDTH, 32, HEADS)).eval()
    x, time = example(2, 7, WIDTH), example(2, 6, WIDTH, seed=1)

    def run():
        y = block.attend(x, time, plan=plan(7), layer=0, key_mask=None)
        return block.feed_forward(y, time)

    full = run()
    with torch.autocast("cpu", torch.bfloat16):
        half = run()
    torch.testing.assert_close(half.float(), full, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    "sizes", [(0, 8, 1), (16, 8, 3), (16, 8, 16), (16, 0, 2), (16, 8, 2, 1.0), (16, 8, 2, -0.1)]
)
def test_sizes_that_cannot_be(sizes) -> None:
    with pytest.raises(ValueError, match="must"):
        BlockSizes(*sizes)
