"""The processor in diffusers' own attention module, against the processor it takes the place of."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

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


@pytest.mark.parametrize("kind", ["rms_norm_across_heads", "layer_norm_across_heads"])
@pytest.mark.parametrize("cross", [False, True])
def test_norms_across_heads_come_before_the_heads_are_split(kind, cross, normal):
    torch.manual_seed(0)
    options = {"query_dim": 48, "heads": 3, "kv_heads": 3, "dim_head": 16, "qk_norm": kind}
    module = processors.Attention(**options).eval()
    for norm in (module.norm_q, module.norm_k):
        torch.nn.init.normal_(norm.weight)
    module.set_processor(SparseProcessor(AttentionPlan(LAYOUT, METHOD, backend="dense")))
    x = normal(2, LAYOUT.tokens, 48)
    source = normal(2, 30, 48) if cross else x
    q, k = module.norm_q(module.to_q(x)), module.norm_k(module.to_k(source))
    heads = [y.unflatten(2, (3, 16)).transpose(1, 2) for y in (q, k, module.to_v(source))]
    want = module.to_out[0](scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
    found = module(x, encoder_hidden_states=source if cross else None)
    torch.testing.assert_close(found, want)


@pytest.mark.parametrize("kind", [None, "layer_norm", "fp32_layer_norm", "l2"])
def test_norms_of_each_head_equal_the_processor_of_diffusers(kind, normal):
    module = processors.Attention(query_dim=48, heads=3, dim_head=16, qk_norm=kind).eval()
    x = normal(2, LAYOUT.tokens, 48)
    module.set_processor(processors.AttnProcessor2_0())
    want = module(x)
    module.set_processor(SparseProcessor(AttentionPlan(LAYOUT, METHOD, backend="dense")))
    torch.testing.assert_close(module(x), want)


def test_cross_attention_takes_a_bias_as_diffusers_does(module, normal):
    x, other = normal(2, LAYOUT.tokens, 48), normal(2, 30, 48)
    bias = -1e4 * (torch.arange(30) > torch.tensor([[20], [9]])).float()[:, None]
    outs = []
    for processor in (
        processors.AttnProcessor2_0(),
        SparseProcessor(AttentionPlan(LAYOUT, METHOD)),
    ):
        module.set_processor(processor)
        outs.append(module(x, encoder_hidden_states=other, attention_mask=bias))
    torch.testing.assert_close(*outs)
    with pytest.raises(UsageError, match=r"must be \(2, 1, 30\)"):
        module(x, encoder_hidden_states=other, attention_mask=bias[..., :7])


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
