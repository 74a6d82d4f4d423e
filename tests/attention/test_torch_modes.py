"""Under autocast, checkpoints, inference mode, another default device and the compiler."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from humanmotion.attention import (
    AttentionPlan,
    LooseTokens,
    RainFusion,
    RainFusion2,
    SnapReuse,
    TokenLayout,
    TokenMerge,
    VideoGrid,
    grid_positions,
    sparse_attention,
)

LAYOUT = TokenLayout.of(LooseTokens(5), VideoGrid(6, 6, 7))
METHODS = [RainFusion(block=(32, 16)), RainFusion2(block=(32, 16)), SnapReuse(0.3), TokenMerge(0.9)]
# Layouts that no other test has built: shared ones would hide in which mode they were built.
SIZES = itertools.count(41)


@pytest.fixture
def qkv(normal):
    return [normal(2, 2, LAYOUT.tokens, 16) for _ in range(3)]


class TestAutocast:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("backend", ["gather", "reference", "flex", "dense"])
    def test_it_is_the_call_in_the_type_of_autocast(self, method, backend, qkv):
        given = {"layout": LAYOUT, "method": method, "backend": backend}
        want = sparse_attention(*(x.bfloat16() for x in qkv), **given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = sparse_attention(*qkv, **given)
            mixed = sparse_attention(*qkv[:2], qkv[2].bfloat16(), **given)
            like = scaled_dot_product_attention(*qkv)
        assert found.dtype == like.dtype == torch.bfloat16
        assert torch.equal(found, want) and torch.equal(mixed, want)

    def test_float64_stays_as_torch_has_it(self, qkv):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = sparse_attention(*(x.double() for x in qkv), layout=LAYOUT, backend="gather")
        assert out.dtype == torch.float64

    @pytest.mark.parametrize("tail", [False, True])
    @pytest.mark.parametrize("inside", [False, True])
    def test_gradients(self, tail, inside, qkv):
        given = {"layout": LAYOUT, "method": METHODS[1], "backend": "gather", "tail": tail}
        slopes = []
        for on in (False, True):
            leaves = [x.bfloat16().float().requires_grad_() for x in qkv]
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
                out = sparse_attention(*leaves, **given)
                # A weighted sum: of plain ones, q has no gradient.
                loss = (out.float() * qkv[0]).sum()
                if inside:
                    loss.backward()
            if not inside:
                loss.backward()
            slopes.append([x.grad for x in leaves])
        for want, found in zip(*slopes, strict=True):
            assert found.dtype == torch.float32
            assert float((found - want).abs().max() / want.abs().max()) < 2e-2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_gives_the_same_gradients(method, reentrant, qkv):
    plan = AttentionPlan(LAYOUT, method, backend="gather")
    slopes = []
    for saved in (False, True):
        leaves = [x.clone().requires_grad_() for x in qkv]
        if saved:
            out = checkpoint(plan.attend, *leaves, use_reentrant=reentrant)
        else:
            out = plan.attend(*leaves)
        (out * qkv[0]).sum().backward()
        slopes.append([x.grad for x in leaves])
    for want, found in zip(*slopes, strict=True):
        assert torch.equal(want, found)


def test_a_checkpoint_of_the_triton_kernels(normal):
    triton = pytest.importorskip("humanmotion.attention.triton_attention")
    if not triton.can_run(torch.device("cpu")):
        pytest.skip("no Triton interpreter here")
    layout = TokenLayout.of(VideoGrid(3, 4, 8))
    plan = AttentionPlan(layout, RainFusion2(block=(32, 16)), backend="triton")
    q = normal(1, 1, layout.tokens, 16).requires_grad_()
    checkpoint(plan.attend, q, q, q, use_reentrant=False).square().sum().backward()
    assert q.grad.isfinite().all() and q.grad.abs().sum() > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tail", [False, True])
def test_what_inference_mode_built_serves_training(method, tail, normal):
    grid = VideoGrid(4, 4, next(SIZES))
    given = {"method": method, "backend": "gather", "tail": tail and method.drops_blocks}
    q = normal(1, 2, 16 * grid.width, 8)
    with torch.inference_mode():
        sparse_attention(q, q, q, layout=TokenLayout.of(grid), **given)
    leaf = q.clone().requires_grad_()
    out = sparse_attention(leaf, leaf, leaf, layout=TokenLayout.of(grid), **given)
    out.square().sum().backward()
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_another_default_device_changes_nothing(method, normal):
    grid = VideoGrid(4, 4, next(SIZES))
    q = normal(1, 2, 16 * grid.width, 8)
    with torch.device("meta"):
        layout = TokenLayout.of(grid)
        plan = AttentionPlan(layout, method, backend="gather")
        found = plan.attend(q, q, q)
        positions = grid_positions(layout)
    assert layout.order.device.type == positions.device.type == "cpu"
    assert torch.equal(found, AttentionPlan(layout, method, backend="gather").attend(q, q, q))
    assert 0 <= plan.report().sparsity < 1


def test_the_compiler_leaves_attention_to_the_plan(qkv):
    graphs = []

    def backend(graph, _):
        graphs.append([node.target for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    plan = AttentionPlan(LAYOUT, METHODS[1], backend="gather")
    compiled = torch.compile(lambda q: plan.attend(q + 1, *qkv[1:]) * 2, backend=backend)
    assert torch.equal(compiled(qkv[0]), plan.attend(qkv[0] + 1, *qkv[1:]) * 2)
    # One graph before it, one behind, and nothing of it in either.
    assert [len(graph) for graph in graphs] == [1, 1]
