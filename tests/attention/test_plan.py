"""One call and the plan: dense where it should be, the same in any order, honest reports."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from humanmotion.attention import (
    AttentionPlan,
    BreakEven,
    LooseTokens,
    MotionGrid,
    RainFusion,
    RainFusion2,
    Schedule,
    SnapReuse,
    TokenLayout,
    TokenMerge,
    VideoGrid,
    sparse_attention,
)
from humanmotion.attention.schedule import DENSITIES
from humanmotion.errors import UsageError

LAYOUT = TokenLayout.of(LooseTokens(11), VideoGrid(6, 6, 7))
METHODS = [
    RainFusion(block=(32, 16)),
    RainFusion2(block=(32, 16)),
    SnapReuse(0.3),
    TokenMerge(0.9),
]
ALWAYS = BreakEven(tokens=0, density=1.0)


@pytest.fixture
def qkv(normal):
    return (normal(2, 4, LAYOUT.tokens, 16), *(normal(2, 2, LAYOUT.tokens, 16) for _ in range(2)))


def dense(q, k, v):
    return scaled_dot_product_attention(q, k, v, enable_gqa=True)


class TestDense:
    def test_short_sequences_are_dense(self, qkv):
        plan = AttentionPlan(LAYOUT, RainFusion2())
        assert torch.equal(plan.attend(*qkv), dense(*qkv))
        report = plan.report()
        assert (report.calls, report.dense_calls, report.predictions) == (1, 1, 0)
        assert report.sparsity is None

    @pytest.mark.parametrize("swapped", [False, True])
    def test_few_keys_are_as_dense_as_few_queries(self, swapped, normal):
        layouts = [TokenLayout.of(VideoGrid(64, 16, 16)), TokenLayout.of(VideoGrid(8, 4, 4))]
        many, few = reversed(layouts) if swapped else layouts
        plan = AttentionPlan(many, RainFusion2(), few)
        plan.attend(normal(1, 1, many.tokens, 8), *(normal(1, 1, few.tokens, 8),) * 2)
        assert (plan.report().dense_calls, plan.report().predictions) == (1, 0)

    def test_sparsity_zero_is_dense(self, qkv):
        plan = AttentionPlan(LAYOUT, RainFusion2(sparsity=0.0), break_even=BreakEven(tokens=0))
        assert torch.equal(plan.attend(*qkv), dense(*qkv))
        for backend in ("gather", "reference", "flex"):
            found = sparse_attention(
                *qkv, layout=LAYOUT, method=RainFusion2(sparsity=0.0), backend=backend
            )
            torch.testing.assert_close(found, dense(*qkv), atol=2e-6, rtol=0)

    def test_what_forced_blocks_fill_up_goes_dense(self, qkv):
        layout = TokenLayout.of(LooseTokens(LAYOUT.tokens - 82), VideoGrid(2, 1, 41))
        plan = AttentionPlan(layout, RainFusion2(), break_even=BreakEven(tokens=0))
        assert torch.equal(plan.attend(*qkv), dense(*qkv))
        assert (plan.report().predictions, plan.report().dense_calls) == (0, 1)

    def test_what_whole_blocks_fill_up_goes_dense(self, qkv):
        layout = TokenLayout.of(VideoGrid(1, 1, LAYOUT.tokens))
        method = RainFusion2(block=(64, 512))
        plan = AttentionPlan(layout, method, break_even=BreakEven(tokens=0))
        assert torch.equal(plan.attend(*qkv), dense(*qkv))
        assert (plan.report().predictions, plan.report().dense_calls) == (1, 1)

    @pytest.mark.parametrize("method", [RainFusion2(s, sink=k, block=(8, 8))
                                        for s in (0.3, 0.8) for k in (True, False)])  # fmt: skip
    def test_the_expected_density_is_what_is_realised(self, method, normal):
        layout = TokenLayout.of(LooseTokens(40), VideoGrid(8, 8, 16), MotionGrid(64, 4))
        tensors = [normal(1, 8, layout.tokens, 16) for _ in range(3)]
        plan = AttentionPlan(layout, method, backend="gather")
        plan.attend(*tensors)
        expected = method.expected_density(layout, layout)
        assert 1 - plan.report().sparsity == pytest.approx(expected, abs=0.03)

    def test_a_study_of_reuse_never_goes_dense(self, qkv):
        plan = AttentionPlan(LAYOUT, SnapReuse(0.3))
        assert not torch.allclose(plan.attend(*qkv), dense(*qkv), atol=1e-4)

    def test_asked_for(self, qkv):
        found = sparse_attention(*qkv, layout=LAYOUT, backend="dense")
        assert torch.equal(found, dense(*qkv))


class TestOneCall:
    @pytest.mark.parametrize("method", METHODS[:2])
    @pytest.mark.parametrize("tail", [False, True])
    def test_backends_agree(self, method, tail, qkv):
        given = {"layout": LAYOUT, "method": method, "tail": tail}
        want = sparse_attention(*qkv, backend="reference", **given)
        for backend in ("gather", "flex"):
            found = sparse_attention(*qkv, backend=backend, **given)
            torch.testing.assert_close(found, want, atol=2e-6, rtol=0)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_batch_is_its_items(self, method, qkv):
        together = sparse_attention(*qkv, layout=LAYOUT, method=method, backend="gather")
        for item in range(2):
            alone = [x[item : item + 1] for x in qkv]
            found = sparse_attention(*alone, layout=LAYOUT, method=method, backend="gather")
            torch.testing.assert_close(together[item : item + 1], found, atol=2e-6, rtol=0)

    @pytest.mark.parametrize("method", METHODS)
    def test_gradients_reach_everything(self, method, qkv):
        leaves = [x.requires_grad_() for x in qkv]
        sparse_attention(*leaves, layout=LAYOUT, method=method, backend="gather").sum().backward()
        assert all(x.grad.isfinite().all() and x.grad.abs().sum() > 0 for x in leaves[2:])
        # The weights of a row sum to one, so a sum of ones says nothing about q: ask for squares.
        (
            sparse_attention(*leaves, layout=LAYOUT, method=method, backend="gather") ** 2
        ).sum().backward()
        assert all(x.grad.isfinite().all() and x.grad.abs().sum() > 0 for x in leaves)

    def test_cross_attention(self, normal):
        q, k, v = normal(2, 2, 252, 16), normal(2, 2, 111, 16), normal(2, 2, 111, 16)
        layouts = TokenLayout.of(VideoGrid(6, 6, 7)), TokenLayout.of(MotionGrid(37, 3))
        given = {"layout": layouts[0], "key_layout": layouts[1], "method": METHODS[1]}
        want = sparse_attention(q, k, v, backend="reference", **given)
        found = sparse_attention(q, k, v, backend="gather", **given)
        torch.testing.assert_close(found, want, atol=2e-6, rtol=0)

    def test_bfloat16_and_other_widths(self, normal):
        q, k = (normal(1, 2, LAYOUT.tokens, 24, dtype=torch.bfloat16) for _ in range(2))
        v = normal(1, 2, LAYOUT.tokens, 40, dtype=torch.bfloat16)
        out = sparse_attention(q, k, v, layout=LAYOUT, method=METHODS[1], backend="gather")
        assert out.dtype == torch.bfloat16 and out.shape == (1, 2, LAYOUT.tokens, 40)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("masked", [False, True])
def test_tokens_in_the_order_of_places_give_the_same(method, masked, qkv, generator):
    key_mask = torch.rand(2, LAYOUT.tokens, generator=generator) < 0.7 if masked else None
    plans = [
        AttentionPlan(LAYOUT, method, backend="gather", permuted=permuted)
        for permuted in (False, True)
    ]
    want = plans[0].attend(*qkv, key_mask=key_mask)
    moved_mask = None if key_mask is None else key_mask[:, LAYOUT.order]
    moved = plans[1].attend(*(LAYOUT.permute(x) for x in qkv), key_mask=moved_mask)
    torch.testing.assert_close(LAYOUT.restore(moved), want, atol=2e-6, rtol=0)


class TestSchedule:
    def test_early_late_and_chosen_layers_are_dense(self):
        schedule = Schedule(10, dense_first=0.2, dense_last=0.1, dense_layers=frozenset({3}))
        assert [s for s in range(10) if schedule.is_dense(s, 0)] == [0, 1, 9]
        assert all(schedule.is_dense(step, 3) for step in range(10))
        assert [s for s in range(5) if Schedule(5, dense_first=0.0).is_dense(s, 0)] == []

    def test_a_plan_keeps_to_it(self, qkv):
        schedule = Schedule(4, dense_first=0.5)
        plan = AttentionPlan(LAYOUT, METHODS[1], schedule=schedule, backend="gather")
        outs = [plan.attend(*qkv, step=step) for step in range(4)]
        assert torch.equal(outs[0], dense(*qkv)) and torch.equal(outs[2], outs[3])
        assert not torch.allclose(outs[2], outs[1], atol=1e-3)
        assert (plan.report().calls, plan.report().dense_calls) == (4, 2)

    @pytest.mark.parametrize("method", METHODS[:2])
    def test_predictions_stand_for_some_steps(self, method, qkv, normal):
        schedule = Schedule(6, dense_first=0.0, refresh=3)
        plan = AttentionPlan(LAYOUT, method, schedule=schedule, backend="gather")
        for step in range(6):
            for layer in range(2):
                plan.attend(*qkv, step=step, layer=layer)
        assert plan.report().predictions == 4
        other = [x[:1] for x in qkv]
        assert plan.attend(*other, step=5).shape[0] == 1
        assert plan.report().predictions == 5

    def test_reused_values_are_never_those_of_an_earlier_step(self, qkv, normal):
        schedule = Schedule(6, dense_first=0.0, refresh=3)
        for method in METHODS[2:]:
            plan = AttentionPlan(LAYOUT, method, schedule=schedule)
            plan.attend(*(normal(*x.shape) for x in qkv), step=0)
            again = AttentionPlan(LAYOUT, method).attend(*qkv)
            assert torch.equal(plan.attend(*qkv, step=1), again)

    def test_a_step_is_needed_and_must_be_in_the_run(self, qkv):
        plan = AttentionPlan(LAYOUT, METHODS[1], schedule=Schedule(4))
        with pytest.raises(UsageError, match="step="):
            plan.attend(*qkv)
        with pytest.raises(UsageError, match="step 4 of a schedule of 4"):
            plan.attend(*qkv, step=4)

    @pytest.mark.parametrize(
        "given", [{"steps": 0}, {"steps": 5, "dense_first": 1.5}, {"steps": 5, "refresh": 0}]
    )
    def test_what_cannot_be_is_refused(self, given):
        with pytest.raises(UsageError):
            Schedule(**given)


class TestReport:
    @pytest.mark.parametrize("method", METHODS[:2])
    def test_sparsity_and_recall_equal_brute_force(self, method, qkv):
        plan = AttentionPlan(LAYOUT, method, backend="gather", measure=True)
        plan.attend(*qkv)
        report = plan.report()
        assert 0 < report.predictor_share < 1
        problem = plan._problem(*qkv, key_mask=None, scale=None)
        q, k, _, moved = plan._moved(*qkv, problem)
        prediction = method.predict(q, k, moved)
        every = torch.arange(LAYOUT.tokens)
        kept = method.kept(prediction, rows=every, problem=moved)
        assert report.sparsity == pytest.approx(1 - float(kept.double().mean()), abs=1e-9)
        weights = (q @ k.repeat_interleave(2, 1).transpose(-1, -2) / 4).softmax(-1)
        some = torch.arange(64) * LAYOUT.tokens // 64
        want = (weights * kept)[:, :, some].sum(-1).mean()
        assert report.recall == pytest.approx(float(want), abs=1e-5)

    def test_a_call_that_failed_is_not_counted(self, qkv):
        plan = AttentionPlan(LAYOUT, METHODS[1], schedule=Schedule(4), backend="gather")
        plan.attend(*qkv, step=2)
        before = plan.report()
        with pytest.raises(UsageError):
            plan.attend(*qkv)
        assert plan.report() == before and before.calls == 1

    def test_nothing_is_measured_unasked(self, qkv):
        plan = AttentionPlan(LAYOUT, METHODS[1], backend="gather")
        plan.attend(*qkv)
        assert plan.report().recall is None and plan.report().predictor_share is None


def test_break_even_is_measured_on_the_given_tensors(normal):
    q = normal(1, 1, 600, 8)
    found = BreakEven.measured(q, q, q, block=(64, 64))
    assert found.density in (0.0, *DENSITIES)
    assert found.tokens == 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert BreakEven.measured(q, q, q, block=(64, 64)).tokens == 0


def test_the_shorter_the_sequence_the_fewer_pairs_are_worth_it():
    even = BreakEven(tokens=100, density=0.5)
    assert all(even.prefers_dense(n, 0.001) for n in (1, 99, 100))
    assert even.prefers_dense(200, 0.26) and not even.prefers_dense(200, 0.24)
    assert even.prefers_dense(10**6, 0.51) and not even.prefers_dense(10**6, 0.49)
    assert not ALWAYS.prefers_dense(1, 1.0)


def test_a_gpu_is_dense_until_much_is_dropped() -> None:
    gpu, cpu = (BreakEven.on(torch.device(kind)) for kind in ("cuda", "cpu"))
    assert gpu.prefers_dense(32_768, 0.3) and not cpu.prefers_dense(32_768, 0.3)
    assert not gpu.prefers_dense(32_768, 0.2)


def test_a_plan_asks_the_device_that_the_tensors_are_on() -> None:
    plan = AttentionPlan(LAYOUT, RainFusion2())
    there = {kind: torch.zeros(1, 1, 32_768, 8, device=kind) for kind in ("cpu", "meta")}
    assert not plan._is_slower(there["cpu"], there["cpu"], 0.3)
    assert plan._is_slower(there["meta"], there["meta"], 0.3)
