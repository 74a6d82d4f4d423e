"""The processor in diffusers' own attention module, against the processor it takes the place of."""

from __future__ import annotations

import pytest
import torch

from humanmotion.attention import (
    AttentionPlan,
    BreakEven,
    LooseTokens,
    RainFusion2,
    Schedule,
    TokenLayout,
    VideoGrid,
)
from humanmotion.attention.diffusers_processor import SparseProcessor
from humanmotion.attention.rope import Rotary, grid_positions
from humanmotion.errors import UsageError

processors = pytest.importorskip("diffusers.models.attention_processor")

LAYOUT = TokenLayout.of(LooseTokens(5), VideoGrid(4, 6, 8))
METHOD = RainFusion2(sparsity=0.5, block=(32, 16))


@pytest.fixture
def module():
    torch.manual_seed(0)
    options = {"query_dim": 48, "heads": 3, "dim_head": 16, "bias": True, "qk_norm": "rms_norm"}
    return processors.Attention(**options, residual_connection=True).eval()


@pytest.mark.parametrize("cross", [False, True])
def test_dense_it_equals_the_processor_of_diffusers(cross, module, normal):
    x, other = normal(2, LAYOUT.tokens, 48), normal(2, 30, 48) if cross else None
    module.set_processor(processors.AttnProcessor2_0())
    want = module(x, encoder_hidden_states=other)
    module.set_processor(SparseProcessor(AttentionPlan(LAYOUT, METHOD, backend="dense")))
    torch.testing.assert_close(module(x, encoder_hidden_states=other), want)


def test_sparse_it_uses_the_plan_and_its_step(module, normal):
    x = normal(2, LAYOUT.tokens, 48)
    always = BreakEven(tokens=0, density=1.0)
    plan = AttentionPlan(LAYOUT, METHOD, schedule=Schedule(4, dense_first=0.5), break_even=always)
    module.set_processor(SparseProcessor(plan))
    outs = []
    for plan.step in (0, 3):
        outs.append(module(x))
    assert (plan.report().calls, plan.report().dense_calls) == (2, 1)
    assert outs[1].isfinite().all() and not torch.allclose(*outs, atol=1e-4)


def test_tokens_in_places_with_permuted_positions_give_the_same(module, normal):
    x = normal(2, LAYOUT.tokens, 48)
    rotary = Rotary.of(grid_positions(LAYOUT), channels=(4, 6, 6))
    outs = []
    for permuted in (False, True):
        plan = AttentionPlan(LAYOUT, METHOD, backend="gather", permuted=permuted)
        turned = rotary.permuted(LAYOUT) if permuted else rotary
        module.set_processor(SparseProcessor(plan, rotary=turned))
        out = module(LAYOUT.permute(x) if permuted else x)
        outs.append(LAYOUT.restore(out) if permuted else out)
    torch.testing.assert_close(*outs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attention_mask": torch.zeros(2, 1, 197)}, r"\(2, 1, 197\)"),
        ({"image_rotary_emb": (1, 2)}, "image_rotary_emb"),
    ],
)
def test_what_it_would_have_to_ignore_is_refused(given, said, module, normal):
    module.set_processor(SparseProcessor(AttentionPlan(LAYOUT, METHOD)))
    with pytest.raises(UsageError, match=said):
        module(normal(2, LAYOUT.tokens, 48), **given)


def test_pictures_are_refused(module, normal):
    module.set_processor(SparseProcessor(AttentionPlan(LAYOUT, METHOD)))
    with pytest.raises(UsageError, match=r"\(2, 48, 8, 8\)"):
        module(normal(2, 48, 8, 8))
