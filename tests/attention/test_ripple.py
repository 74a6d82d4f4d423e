"""TimeRipple: snapped tensors equal explicit reuse of products; merged tokens count as themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from humanmotion.attention.layout import LooseTokens, MotionGrid, TokenLayout, VideoGrid
from humanmotion.attention.problem import Problem
from humanmotion.attention.reference import attend_reference
from humanmotion.attention.reuse import SnapReuse, TokenMerge
from humanmotion.attention.ripple import (
    ThetaSchedule,
    ceiling_speedup,
    merge,
    saved_products,
    snap,
)
from humanmotion.errors import UsageError

SEGMENTS = (LooseTokens(3), VideoGrid(3, 4, 5), MotionGrid(5, 2))
TOKENS = 3 + 60 + 10


def slow_leads(x, theta):
    """For one head `(N, d)`: which token each entry takes its products from, one by one."""
    lead = torch.arange(TOKENS)[:, None].repeat(1, x.shape[1])
    start = 3
    for shape in ((3, 4, 5), (5, 2, 1)):
        strides = (shape[1] * shape[2], shape[2], 1)
        for place in torch.cartesian_prod(*map(torch.arange, shape)).tolist():
            own = start + sum(p * s for p, s in zip(place, strides, strict=True))
            for channel in range(x.shape[1]):
                lead[own, channel] = slow_step(x[:, channel], own, place, strides, theta)
        start += math.prod(shape)
    while not torch.equal(lead.gather(0, lead), lead):
        lead = lead.gather(0, lead)
    return lead


def slow_step(x, own, place, strides, theta):
    for number, stride in zip(place, strides, strict=True):
        if number % 2:
            window = x[[own - stride, own]]
            if window.std(correction=0) < theta:
                return own - stride
    return own


def problem(*, key_mask=None):
    layout = TokenLayout.of(*SEGMENTS)
    return Problem(layout, layout, key_mask, 0.4, False, attend_reference)


def attention(method, q, k, v, *, key_mask=None):
    given = problem(key_mask=key_mask)
    prediction = method.predict(q, k, given)
    return method.attend(q, k, v, prediction=prediction, problem=given)


@pytest.mark.parametrize("theta", [0.0, 0.1, 0.4, 1.0, 5.0])
class TestSnapping:
    def test_equals_the_slow_rule(self, theta, normal):
        x = normal(2, 2, TOKENS, 6)
        found = snap(x, SEGMENTS, theta=theta)
        for item, head in ((0, 0), (1, 1)):
            lead = slow_leads(x[item, head], theta)
            torch.testing.assert_close(found.values[item, head], x[item, head].gather(0, lead))
            own = torch.arange(TOKENS)[:, None]
            assert torch.equal(found.reused[item, head], lead != own)

    def test_products_equal_those_reused_one_by_one(self, theta, normal):
        q, k = normal(1, 1, TOKENS, 6), normal(1, 1, TOKENS, 6)
        leads = [slow_leads(x[0, 0], theta) for x in (q, k)]
        own = torch.arange(TOKENS)[:, None]
        products = q[0, 0, :, None] * k[0, 0]
        channel = torch.arange(6)
        reused = products[leads[0][:, None], leads[1][None], channel]
        snapped = [snap(x, SEGMENTS, theta=theta) for x in (q, k)]
        scores = snapped[0].values @ snapped[1].values.transpose(-1, -2)
        torch.testing.assert_close(scores[0, 0], reused.sum(-1), atol=1e-5, rtol=0)
        fresh = (leads[0] == own)[:, None] & (leads[1] == own)
        want = 1 - fresh.double().mean()
        torch.testing.assert_close(saved_products(*snapped), want, atol=1e-12, rtol=0)


def test_saved_products_of_grouped_heads_equal_brute_force(normal):
    q, k = normal(2, 4, TOKENS, 6), normal(2, 2, TOKENS, 6)
    snapped = [snap(x, SEGMENTS, theta=0.5) for x in (q, k)]
    key_reused = snapped[1].reused.repeat_interleave(2, 1)
    either = snapped[0].reused[:, :, :, None] | key_reused[:, :, None]
    torch.testing.assert_close(saved_products(*snapped), either.double().mean())


def test_threshold_zero_is_dense_attention(normal):
    q, k, v = normal(2, 4, TOKENS, 6), normal(2, 2, TOKENS, 6), normal(2, 2, TOKENS, 6)
    want = scaled_dot_product_attention(q, k, v, scale=0.4, enable_gqa=True)
    assert torch.equal(attention(SnapReuse(0.0), q, k, v), want)
    torch.testing.assert_close(attention(TokenMerge(0.0), q, k, v), want, atol=2e-6, rtol=0)


def test_snapping_keeps_gradients(normal):
    q, k, v = (normal(1, 2, TOKENS, 6).requires_grad_() for _ in range(3))
    attention(SnapReuse(0.3), q, k, v).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))


class TestMerging:
    def test_equal_tokens_merge_without_error(self, normal):
        # Every window of two along x holds one token twice, but the last column stands alone.
        def doubled(*shape):
            x = normal(*shape)
            video = x[:, :, 3:63].unflatten(2, (3, 4, 5))
            video[..., 1::2, :] = video[..., 0:4:2, :]
            return x

        q, k, v = doubled(2, 4, TOKENS, 6), doubled(2, 2, TOKENS, 6), normal(2, 2, TOKENS, 6)
        merged = merge(k, SEGMENTS, theta=1e-6)
        assert merged.weight.shape[-1] == TOKENS - 3 * 4 * 2
        assert float(merged.weight.sum()) == 2 * 2 * TOKENS
        want = scaled_dot_product_attention(q, k, v, scale=0.4, enable_gqa=True)
        found = attention(TokenMerge(1e-6), q, k, v)
        torch.testing.assert_close(found, want, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("theta", [0.5, 0.9])
    def test_weights_count_tokens_and_means_are_means(self, theta, normal):
        x = normal(2, 2, TOKENS, 6)
        merged = merge(x, SEGMENTS, theta=theta)
        spread = merged.spread(merged.mean(x))
        for head in range(2):
            for group in merged.group[1, head].unique().tolist():
                inside = merged.group[1, head] == group
                assert float(merged.weight[1, head, group]) == int(inside.sum()) <= 8
                mean = x[1, head, inside].mean(0)
                torch.testing.assert_close(
                    spread[1, head, inside], mean.expand(int(inside.sum()), -1)
                )

    def test_forbidden_keys_do_not_matter(self, normal):
        q, k, v = (normal(2, 2, TOKENS, 6) for _ in range(3))
        key_mask = torch.arange(TOKENS) < torch.tensor([[40], [60]])
        other = v + 100 * ~key_mask[:, None, :, None]
        for theta in (0.0, 0.8):
            found = attention(TokenMerge(theta), q, k, v, key_mask=key_mask)
            again = attention(TokenMerge(theta), q, k, other, key_mask=key_mask)
            torch.testing.assert_close(found, again)
        want = scaled_dot_product_attention(
            q, k, v, scale=0.4, attn_mask=key_mask[:, None, None].expand(-1, 1, TOKENS, -1)
        )
        found = attention(TokenMerge(0.0), q, k, v, key_mask=key_mask)
        torch.testing.assert_close(found, want, atol=2e-6, rtol=0)

    def test_density_is_the_share_that_remains(self, normal):
        k = normal(1, 1, TOKENS, 6)
        pair = TokenMerge(0.8).predict(k, k, problem())
        kept = pair[0].weight.shape[-1] / TOKENS
        assert float(TokenMerge(0.8).density(pair, problem())) == pytest.approx(kept**2)
        assert kept < 1


def test_schedule_is_dense_then_rises_and_ends_dense():
    schedule = ThetaSchedule(low=0.2, high=0.5, begin=10, end=20)
    found = [schedule.theta(step, 50) for step in range(50)]
    assert found[:10] == [None] * 10 and found[-1] is None
    assert found[10] == pytest.approx(0.2) and found[15] == pytest.approx(0.35)
    assert found[20:-1] == [pytest.approx(0.5)] * 29


@pytest.mark.parametrize(("saved", "gain"), [(0.0, 1.0), (0.75, 1.6), (0.85, 1.739), (1.0, 2.0)])
def test_ceiling(saved, gain):
    assert ceiling_speedup(saved) == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize("theta", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("method", [SnapReuse, TokenMerge])
def test_a_threshold_that_cannot_be_is_refused(theta, method):
    with pytest.raises(UsageError, match="theta"):
        method(theta)


def test_a_schedule_out_of_order_is_refused():
    with pytest.raises(UsageError, match="begin < end"):
        ThetaSchedule(begin=20, end=10)
