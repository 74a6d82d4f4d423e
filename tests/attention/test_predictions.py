"""Predictions are used again only where they were meant to be: same run, call, mask, settings."""

from __future__ import annotations

import pytest
import torch

from humanmotion.attention import AttentionPlan, RainFusion2, Schedule, TokenLayout, VideoGrid

LAYOUT = TokenLayout.of(VideoGrid(8, 8, 8))
METHOD = RainFusion2(sparsity=0.7, sink=False, block=(64, 32))


@pytest.fixture
def samples(normal):
    """q, k, v of three samples."""
    return [[normal(1, 2, LAYOUT.tokens, 16) for _ in range(3)] for _ in range(3)]


def plan(**given):
    schedule = Schedule(10, dense_first=0.2, refresh=10)
    return AttentionPlan(LAYOUT, METHOD, schedule=schedule, backend="gather", **given)


def fresh(qkv, **given):
    return AttentionPlan(LAYOUT, METHOD, backend="gather").attend(*qkv, **given)


def test_a_later_step_uses_the_same_keys_again(samples):
    found = plan()
    for step in range(10):
        found.attend(*samples[0], step=step)
    assert found.report().predictions == 1


def test_a_second_run_predicts_anew(samples):
    found = plan()
    for qkv in samples:
        outs = [found.attend(*qkv, step=step) for step in range(10)]
        for out in outs[2:]:
            assert torch.equal(out, fresh(qkv))
    assert found.report().predictions == 3


def test_a_run_that_was_broken_off_is_forgotten(samples):
    found = plan()
    for step in range(3):
        found.attend(*samples[0], step=step)
    for step in range(10):
        out = found.attend(*samples[1], step=step)
    assert torch.equal(out, fresh(samples[1]))


def test_reset_forgets(samples):
    found = plan()
    found.attend(*samples[0], step=5)
    found.reset()
    assert torch.equal(found.attend(*samples[1], step=6), fresh(samples[1]))
    assert found.report().calls == 2


def test_two_calls_of_a_layer_at_one_step_have_predictions_of_their_own(samples):
    found = plan()
    for step in range(10):
        outs = [found.attend(*qkv, step=step) for qkv in samples[:2]]
    assert found.report().predictions == 2
    for out, qkv in zip(outs, samples[:2], strict=True):
        assert torch.equal(out, fresh(qkv))


def test_another_key_mask_predicts_anew(samples):
    found = plan()
    first, last = (torch.zeros(1, LAYOUT.tokens, dtype=torch.bool) for _ in range(2))
    first[:, LAYOUT.order[:100]] = True
    last[:, LAYOUT.order[-100:]] = True
    found.attend(*samples[0], step=2, key_mask=first)
    for key_mask in (last, None):
        out = found.attend(*samples[0], step=3, key_mask=key_mask)
        assert torch.equal(out, fresh(samples[0], key_mask=key_mask))
        assert (out != 0).any(-1).all()


def test_a_key_mask_that_is_written_into_predicts_anew(samples):
    permuted = plan(permuted=True)  # here nothing moves the mask to a tensor of its own
    key_mask = torch.arange(LAYOUT.tokens)[None] < 100
    permuted.attend(*samples[0], step=2, key_mask=key_mask)
    key_mask.logical_not_()
    permuted.attend(*samples[0], step=3, key_mask=key_mask)
    assert permuted.report().predictions == 2


@pytest.mark.parametrize("change", ["method", "scale", "dtype", "shape"])
def test_other_settings_and_tensors_predict_anew(change, samples):
    found, qkv = plan(), samples[0]
    found.attend(*qkv, step=2)
    given = {"scale": 0.01} if change == "scale" else {}
    if change == "method":
        found.method = RainFusion2(sparsity=0.2, sink=False, block=(64, 32))
    elif change == "dtype":
        qkv = [x.bfloat16() for x in qkv]
    elif change == "shape":
        qkv = [x[:, :1] for x in qkv]
    found.attend(*qkv, step=3, **given)
    assert found.report().predictions == 2
