"""Every executor gives the reference's numbers and gradients; the reference gives dense attention's."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.attention.flex import attend_flex
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.reference import attend_reference

EXECUTORS = [attend_reference, attend_gather, attend_flex]
HEAD_SIZES = [32, 40, 64, 72, 80, 96, 128, 256]
LENGTHS = [1, 63, 65, 500]
HARD = ["one_key_dominates", "all_equal", "huge_logits"]


def qkv(normal, *, batch=2, heads=(4, 2), tokens=(137, 114), size=32, dtype=torch.float32):
    queries, keys = (
        normal(batch, h, n, size, dtype=dtype) for h, n in zip(heads, tokens, strict=True)
    )
    return queries, keys, normal(batch, heads[1], tokens[1], size, dtype=dtype)


def slow_tail(q, k, v, mask):
    """Row by row: kept keys, and every dropped block as so many copies of its mean."""
    out = torch.zeros(*q.shape[:-1], v.shape[-1])
    for item, head, row in torch.cartesian_prod(*map(torch.arange, q.shape[:3])).tolist():
        keys, values = k[item, head], v[item, head]
        kept = mask.kept.expand(*q.shape[:2], -1, -1)[item, head, mask.rows.block[row]]
        keys, values = keys.clone(), values.clone()
        for block in (~kept).nonzero()[:, 0].tolist():
            inside = mask.columns.block == block
            keys[inside], values[inside] = keys[inside].mean(0), values[inside].mean(0)
        weights = (q[item, head, row] @ keys.T / math.sqrt(q.shape[-1])).softmax(-1)
        out[item, head, row] = weights @ values
    return out


class TestReference:
    @pytest.mark.parametrize("tokens", [(1, 1), (63, 65), (137, 114)])
    def test_a_full_mask_is_dense_attention(self, tokens, normal):
        q, k, v = qkv(normal, tokens=tokens)
        mask = BlockMask.full(Blocks.cut(tokens[:1], 64), Blocks.cut(tokens[1:], 32))
        want = scaled_dot_product_attention(q, k, v, enable_gqa=True)
        for attend in EXECUTORS:
            for tail in (False, True):
                found = attend(q, k, v, mask=mask, tail=tail)
                torch.testing.assert_close(found, want, atol=2e-6, rtol=0)

    def test_a_mask_is_attention_with_that_token_mask(self, normal, random_mask):
        q, k, v = qkv(normal, heads=(2, 2))
        mask = random_mask((130, 7), (64, 50), batch=2, heads=2)
        mask.kept[..., 0] = True
        want = scaled_dot_product_attention(q, k, v, attn_mask=mask.token_mask())
        found = attend_reference(q, k, v, mask=mask)
        torch.testing.assert_close(found, want, atol=2e-6, rtol=0)

    def test_tail(self, normal, random_mask):
        q, k, v = qkv(normal, heads=(2, 2), tokens=(40, 30), size=8)
        mask = random_mask((40,), (20, 10), sizes=(16, 8), batch=2, heads=2)
        found = attend_reference(q, k, v, mask=mask, tail=True)
        torch.testing.assert_close(found, slow_tail(q, k, v, mask), atol=2e-6, rtol=0)


@pytest.mark.parametrize("seed", range(40))
def test_executors_agree_on_random_problems(seed, normal, random_mask, generator):
    choose = random.Random(seed).choice
    generator.manual_seed(seed)
    key_heads, groups, batch = choose([1, 2]), choose([1, 2, 4, 8]), choose([1, 3])
    tokens = choose(LENGTHS), choose(LENGTHS)
    q, k, v = qkv(
        normal, batch=batch, heads=(groups * key_heads, key_heads), tokens=tokens,
        size=choose(HEAD_SIZES),
    )  # fmt: skip
    runs = [(n,) if n < 100 else (n - 70, 70) for n in tokens]
    shared = choose([True, False])
    mask = random_mask(
        *runs, sizes=choose([(64, 64), (256, 64), (128, 32)]), batch=1 if shared else batch,
        heads=1 if shared else groups * key_heads, chance=choose([0.1, 0.5, 0.9]),
    )  # fmt: skip
    forbidden = torch.rand(batch, tokens[1], generator=generator) < 0.7
    key_mask, scale, tail = choose([None, forbidden]), choose([None, 0.1]), choose([True, False])
    given = {"mask": mask, "key_mask": key_mask, "scale": scale, "tail": tail}
    want = attend_reference(q.double(), k.double(), v.double(), **given).float()
    # What float32 leaves of sums over 256 numbers is the processor's: the definition has it too.
    own = float((attend_reference(q, k, v, **given) - want).abs().max())
    assert own < 4e-6
    # Flex runs uncompiled here, which is slow.
    for attend in EXECUTORS[1:] if seed < 10 else EXECUTORS[1:2]:
        atol = max(2e-6, 1.5 * own)
        torch.testing.assert_close(attend(q, k, v, **given), want, atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "farthest", "mean"), [(torch.bfloat16, 1e-2, 3e-3), (torch.float16, 2e-3, 5e-4)]
)
@pytest.mark.parametrize("tail", [False, True])
def test_half_precision_is_the_reference_rounded(dtype, farthest, mean, tail, normal, random_mask):
    q, k, v = qkv(normal, tokens=(300, 400), dtype=dtype)
    mask = random_mask((300,), (330, 70), sizes=(128, 64), batch=2, heads=4)
    found = attend_gather(q, k, v, mask=mask, tail=tail)
    assert found.dtype == dtype
    want = attend_reference(q.float(), k.float(), v.float(), mask=mask, tail=tail)
    error = (found.float() - want).abs()
    assert float(error.max() / want.abs().max()) <= farthest
    assert float(error.sum() / want.abs().sum()) <= mean


@pytest.mark.parametrize("hard", HARD)
@pytest.mark.parametrize("attend", EXECUTORS)
def test_hard_logits(hard, attend, normal, random_mask):
    q, k, v = qkv(normal, heads=(2, 2))
    if hard == "one_key_dominates":
        k[:, :, 70] = 50 * q.mean(-2)
    elif hard == "all_equal":
        q, k = torch.ones_like(q), torch.ones_like(k)
    else:
        q, k = 1e3 * q, 1e2 * k
    mask = random_mask((137,), (64, 50), batch=2, heads=2, chance=0.6)
    found = attend(q, k, v, mask=mask)
    want = attend_reference(q.double(), k.double(), v.double(), mask=mask).float()
    # Logits of 1e4 keep three decimals in float32.
    torch.testing.assert_close(found, want, atol=1e-2 if hard == "huge_logits" else 5e-6, rtol=0)


@pytest.mark.parametrize("attend", EXECUTORS)
class TestLaws:
    def test_a_row_without_keys_is_zero(self, attend, normal, random_mask):
        q, k, v = qkv(normal)
        mask = random_mask((137,), (114,), batch=2, heads=4)
        mask.kept[0, 1, 1] = False
        found = attend(q, k, v, mask=mask)
        assert not found[0, 1, 64:128].any()
        nothing = torch.zeros(2, 114, dtype=torch.bool)
        for tail in (False, True):
            assert not attend(q, k, v, mask=mask, key_mask=nothing, tail=tail).any()

    def test_weights_sum_to_one(self, attend, normal, random_mask):
        q, k, v = qkv(normal)
        mask = random_mask((137,), (70, 44), batch=2, heads=4)
        mask.kept[..., 1] = True
        for tail in (False, True):
            found = attend(q, k, torch.ones_like(v), mask=mask, tail=tail)
            torch.testing.assert_close(found, torch.ones_like(found), atol=1e-6, rtol=0)

    def test_forbidden_keys_do_not_matter(self, attend, normal, random_mask):
        q, k, v = qkv(normal)
        mask = random_mask((137,), (70, 44), batch=2, heads=4)
        key_mask = torch.arange(114) < torch.tensor([[50], [100]])
        other = [x + 100 * normal(*x.shape) * ~key_mask[:, None, :, None] for x in (k, v)]
        for tail in (False, True):
            given = {"mask": mask, "key_mask": key_mask, "tail": tail}
            torch.testing.assert_close(
                attend(q, k, v, **given), attend(q, *other, **given), rtol=0, atol=1e-6
            )

    def test_a_batch_is_its_items(self, attend, normal, random_mask):
        q, k, v = qkv(normal, batch=3)
        mask = random_mask((137,), (70, 44), batch=3, heads=4)
        together = attend(q, k, v, mask=mask)
        for item in range(3):
            alone = BlockMask(mask.kept[item : item + 1], mask.rows, mask.columns)
            found = attend(*(x[item : item + 1] for x in (q, k, v)), mask=alone)
            torch.testing.assert_close(together[item : item + 1], found, atol=1e-6, rtol=0)

    def test_blocks_of_keys_may_change_places(self, attend, normal, random_mask, generator):
        q, k, v = qkv(normal, tokens=(137, 128))
        mask = random_mask((137,), (128,), batch=2, heads=4)
        places = torch.randperm(4, generator=generator)
        moved = BlockMask(mask.kept[..., places], mask.rows, mask.columns)
        shuffled = [x.unflatten(2, (4, 32))[:, :, places].flatten(2, 3) for x in (k, v)]
        torch.testing.assert_close(
            attend(q, k, v, mask=mask), attend(q, *shuffled, mask=moved), atol=1e-6, rtol=0
        )

    def test_values_of_another_width_and_any_strides(self, attend, normal, random_mask):
        q, k = normal(2, 137, 4, 24).transpose(1, 2), normal(2, 114, 2, 24).transpose(1, 2)
        v = normal(2, 2, 40, 114).transpose(2, 3)
        mask = random_mask((137,), (114,), batch=2, heads=4)
        want = attend_reference(*(x.contiguous() for x in (q, k, v)), mask=mask)
        assert want.shape == (2, 4, 137, 40)
        torch.testing.assert_close(attend(q, k, v, mask=mask), want, atol=2e-6, rtol=0)


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_the_reference(tail, masked, normal, random_mask, generator):
    inputs = qkv(normal, tokens=(300, 277))
    mask = random_mask((293, 7), (200, 77), batch=2, heads=4)
    key_mask = torch.rand(2, 277, generator=generator) < 0.7 if masked else None
    ask = normal(2, 4, 300, 32)
    found = []
    for attend in (attend_reference, attend_gather, attend_gather):
        leaves = [x.clone().requires_grad_() for x in inputs]
        out = attend(*leaves, mask=mask, key_mask=key_mask, tail=tail)
        found.append(torch.autograd.grad((out * ask).sum(), leaves))
    for want, first, again in zip(*found, strict=True):
        assert float((first - want).abs().max() / want.abs().max()) <= 1e-5
        assert torch.equal(first, again)


def test_gradients_against_finite_differences(normal, random_mask):
    inputs = qkv(normal, batch=1, heads=(2, 1), tokens=(9, 11), size=3, dtype=torch.float64)
    mask = random_mask((9,), (6, 5), sizes=(4, 4), heads=2, chance=0.5)
    for tail in (False, True):
        torch.autograd.gradcheck(
            lambda q, k, v, tail=tail: attend_gather(q, k, v, mask=mask, tail=tail),
            [x.requires_grad_() for x in inputs],
        )
