"""RainFusion2.0's masks against an independent implementation that goes token by token."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.attention.gather import attend_gather
from humanmotion.attention.layout import LooseTokens, MotionGrid, TokenLayout, VideoGrid
from humanmotion.attention.problem import Problem
from humanmotion.attention.rainfusion2 import RainFusion2
from humanmotion.attention.reference import attend_reference
from humanmotion.errors import UsageError

APPENDED = {"window": (1, 8, 8), "edges": "appended"}
SEGMENTS = {
    "divisible": (VideoGrid(3, 16, 8, **APPENDED),),
    "leftovers": (VideoGrid(3, 13, 18, **APPENDED),),
    "text": (LooseTokens(21), VideoGrid(4, 9, 8, **APPENDED), LooseTokens(70)),
    "short_windows": (VideoGrid(5, 7, 9), LooseTokens(5)),
    "motion": (LooseTokens(9), MotionGrid(37, 7)),
}


def slow_runs(segment):
    """Lengths of the stretches that no block crosses: the first frame's windows, then the others'."""
    count, frame = math.prod(segment.shape), math.prod(segment.shape[1:])
    whole = isinstance(segment, LooseTokens) or getattr(segment, "edges", "short") == "appended"
    return [count] if whole else [frame, count - frame]


def slow_blocks(segments, layout, size):
    """Tokens of every block, and whether it is forced: all loose ones, those of first frames."""
    blocks, forced, place, start = [], [], 0, 0
    for segment in segments:
        first_frame = start + math.prod(segment.shape[1:])
        loose = isinstance(segment, LooseTokens)
        for run in slow_runs(segment):
            numbers = layout.order[place : place + run].tolist()
            for begin in range(0, run, size):
                blocks.append(numbers[begin : begin + size])
                forced.append(loose or min(blocks[-1]) < first_frame)
            place += run
        start += math.prod(segment.shape)
    return blocks, forced


def slow_token_mask(q, k, segments, *, block, sparsity):
    """For one batch item and head, in the order of the sequence."""
    layout = TokenLayout.of(*segments)
    rows, row_forced = slow_blocks(segments, layout, block[0])
    columns, column_forced = slow_blocks(segments, layout, block[1])
    means = torch.stack([k[tokens].double().mean(0) for tokens in columns])
    keep = math.ceil(round(len(columns) * (1 - sparsity), 9))
    out = torch.zeros(len(q), len(k), dtype=torch.bool)
    for tokens, row_is_forced in zip(rows, row_forced, strict=True):
        scores = (means @ q[tokens].double().mean(0)).tolist()
        worst = sorted(scores, reverse=True)[keep - 1]
        for score, keys, forced in zip(scores, columns, column_forced, strict=True):
            if score >= worst or forced or row_is_forced:
                out[torch.tensor(tokens)[:, None], torch.tensor(keys)] = True
    return out


def problem(segments, *, key_mask=None, tail=False, size=16, executor=attend_gather):
    layout = TokenLayout.of(*segments)
    return Problem(layout, layout, key_mask, size**-0.5, tail, executor)


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.8])
def test_masks_equal_the_slow_ones_bit_for_bit(name, sparsity, normal):
    segments, method = SEGMENTS[name], RainFusion2(sparsity=sparsity, block=(32, 16))
    given = problem(segments)
    layout = given.layout
    q, k = normal(2, 4, layout.tokens, 16), normal(2, 2, layout.tokens, 16)
    mask = method.predict(layout.permute(q), layout.permute(k), given)
    found = mask.token_mask()[:, :, layout.inverse][..., layout.inverse]
    for item, head in torch.cartesian_prod(torch.arange(2), torch.arange(4)).tolist():
        want = slow_token_mask(
            q[item, head], k[item, head // 2], segments, block=method.block, sparsity=sparsity
        )
        assert torch.equal(found[item, head], want)
    assert not torch.equal(mask.kept[0], mask.kept[1]) or sparsity == 0


def test_planted_blocks_are_found(normal, generator):
    segments = (VideoGrid(8, 8, 8),)
    given, method = problem(segments), RainFusion2(sparsity=0.75, sink=False, block=(64, 32))
    directions = torch.eye(16)
    partners = torch.stack([torch.randperm(16, generator=generator)[:4] for _ in range(8)])
    q = torch.stack([directions[row].sum(0) for row in partners]).repeat_interleave(64, 0)
    k = directions.repeat_interleave(32, 0)
    noise = [0.2 * normal(512, 16) for _ in range(2)]
    mask = method.predict((q + noise[0])[None, None], (k + noise[1])[None, None], given)
    want = torch.zeros(8, 16, dtype=torch.bool).scatter(1, partners, True)
    assert torch.equal(mask.kept[0, 0], want)


def test_the_sink_can_be_left_out_and_costs_density(normal):
    given = problem((VideoGrid(8, 8, 8),))
    q = normal(1, 2, 512, 16)
    masks = [
        RainFusion2(sink=sink, block=(64, 32)).predict(q, q, given).density().mean()
        for sink in (False, True)
    ]
    assert float(masks[0]) == pytest.approx(4 / 16) and masks[1] > masks[0]


def test_a_share_is_not_rounded_up_by_its_last_bit(normal):
    q = normal(1, 1, 640, 16)
    mask = RainFusion2(sparsity=0.8, sink=False, block=(64, 64)).predict(
        q, q, problem((MotionGrid(1, 640),))
    )
    assert mask.kept.sum(-1).unique().tolist() == [2]


def test_blocks_of_forbidden_keys_are_not_chosen(normal):
    segments = (VideoGrid(4, 8, 8),)
    key_mask = torch.ones(2, 256, dtype=torch.bool)
    key_mask[1, 128:] = False
    given = problem(segments, key_mask=key_mask)
    q, k = normal(2, 2, 256, 16), normal(2, 2, 256, 16)
    mask = RainFusion2(sparsity=0.5, sink=False, block=(64, 32)).predict(q, k, given)
    assert not mask.kept[1, :, :, 4:].any()
    assert (mask.kept.sum(-1) == 4).all()


@pytest.mark.parametrize("tail", [False, True])
def test_attention_is_that_of_the_reference(tail, normal):
    given = problem(SEGMENTS["text"], tail=tail)
    method = RainFusion2(block=(32, 16))
    q, k, v = (normal(2, 2, given.layout.tokens, 16) for _ in range(3))
    mask = method.predict(q, k, given)
    found, want = (
        method.attend(q, k, v, prediction=mask, problem=replace(given, executor=executor))
        for executor in (attend_gather, attend_reference)
    )
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)
    dense = attend_reference(q, k, v, mask=type(mask).full(mask.rows, mask.columns))
    assert float((found - dense).abs().max()) > 1e-3


def test_the_tail_comes_closer_to_dense_attention(normal):
    given = [problem((VideoGrid(8, 8, 8),), tail=tail) for tail in (False, True)]
    q, k, v = (normal(1, 4, 512, 16) for _ in range(3))
    method = RainFusion2(sparsity=0.8, block=(64, 16))
    mask = method.predict(q, k, given[0])
    dense = attend_reference(q, k, v, mask=type(mask).full(mask.rows, mask.columns))
    errors = [(method.attend(q, k, v, prediction=mask, problem=p) - dense).abs() for p in given]
    assert float(errors[1].mean()) < 0.7 * float(errors[0].mean())


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, math.nan])
def test_a_sparsity_that_cannot_be_is_refused(sparsity):
    with pytest.raises(UsageError, match=r"\[0, 1\)"):
        RainFusion2(sparsity=sparsity)
