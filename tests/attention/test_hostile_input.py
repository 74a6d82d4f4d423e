"""What cannot be computed is refused in one line that names the shape; what cannot run falls back."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch

from humanmotion.attention import (
    AttentionPlan,
    BreakEven,
    LooseTokens,
    MotionGrid,
    RainFusion,
    RainFusion2,
    SnapReuse,
    TokenLayout,
    TokenMerge,
    sparse_attention,
)
from humanmotion.attention.problem import check_finite
from humanmotion.errors import InputError, UsageError

LAYOUT = TokenLayout.of(MotionGrid(10, 5))
GOOD = (2, 4, 50, 8)


def call(q=GOOD, k=GOOD, v=GOOD, **given):
    q, k, v = (torch.zeros(x) if isinstance(x, tuple) else x for x in (q, k, v))
    return sparse_attention(q, k, v, layout=LAYOUT, **given)


@pytest.mark.parametrize(
    ("shapes", "named"),
    [
        ({"q": (4, 50, 8)}, (4, 50, 8)),
        ({"q": (2, 4, 50, 7)}, (2, 4, 50, 7)),
        ({"q": (3, 4, 50, 8)}, (3, 4, 50, 8)),
        ({"k": (2, 4, 49, 8)}, (2, 4, 49, 8)),
        ({"v": (2, 2, 50, 8)}, (2, 2, 50, 8)),
        ({"k": (2, 3, 50, 8), "v": (2, 3, 50, 8)}, (2, 3, 50, 8)),
        ({"q": (2, 4, 48, 8)}, (2, 4, 48, 8)),
        ({"q": (0, 4, 50, 8), "k": (0, 4, 50, 8), "v": (0, 4, 50, 8)}, (0, 4, 50, 8)),
        ({"q": (2, 4, 50, 0), "k": (2, 4, 50, 0)}, (2, 4, 50, 0)),
    ],
)
def test_shapes_that_disagree_are_named(shapes, named):
    with pytest.raises(UsageError, match=re.escape(str(named))):
        call(**shapes)


def test_a_layout_of_another_length_is_named():
    with pytest.raises(UsageError, match=r"48 tokens, its layout 50: MotionGrid\(10, 5, 1\)"):
        call(*((2, 4, 48, 8),) * 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["q", "k", "v"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_number_that_is_none_is_placed(bad, which, dtype):
    x = torch.zeros(GOOD, dtype=dtype)
    x[1, 2, 33, 4] = bad
    given = {name: torch.zeros(GOOD, dtype=dtype) for name in "qkv"} | {which: x}
    with pytest.raises(
        InputError, match=re.escape(f"{which} {GOOD} is not finite, first at (1, 2, 33, 4)")
    ):
        call(**given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_large_numbers_are_numbers(dtype):
    x = torch.full(GOOD, 0.9 * torch.finfo(dtype).max, dtype=dtype)
    check_finite(x, -x, x)


def test_an_item_without_any_key_is_named():
    key_mask = torch.tensor([[True], [False]]).expand(2, 50)
    with pytest.raises(
        InputError, match=r"key_mask \(2, 50\) forbids every key of batch items \[1\]"
    ):
        call(key_mask=key_mask)


@pytest.mark.parametrize("shape", [(2, 49), (1, 50), (2, 1, 50)])
def test_a_key_mask_of_another_shape_is_named(shape):
    with pytest.raises(UsageError, match=re.escape(str(shape))):
        call(key_mask=torch.ones(shape, dtype=torch.bool))


def test_a_key_mask_of_numbers_is_refused():
    with pytest.raises(UsageError, match="float32"):
        call(key_mask=torch.ones(2, 50))


def test_other_types_and_places_are_named():
    with pytest.raises(UsageError, match="int64"):
        call(*(torch.zeros(GOOD, dtype=torch.int64) for _ in range(3)))
    with pytest.raises(UsageError, match="bfloat16"):
        call(q=torch.zeros(GOOD, dtype=torch.bfloat16))
    with pytest.raises(UsageError, match="meta"):
        call(*(torch.zeros(GOOD, device="meta") for _ in range(3)))
    with pytest.raises(UsageError, match="cpu, meta, cpu"):
        call(k=torch.zeros(GOOD, device="meta"))


def test_a_backend_that_there_is_not_is_named():
    with pytest.raises(UsageError, match="'cuda': choose one of auto, dense"):
        call(backend="cuda")


@pytest.mark.parametrize("scale", [math.nan, math.inf, -0.25, 0.0])
def test_a_scale_that_cannot_be_meant_is_refused(scale):
    with pytest.raises(UsageError, match=f"scale {scale} must be"):
        call(scale=scale)


@pytest.mark.parametrize(
    "numbers", [{"tokens": -5}, {"density": 7.0}, {"density": math.nan}, {"tokens": math.nan}]
)
def test_a_break_even_that_cannot_be_meant_is_refused(numbers):
    with pytest.raises(UsageError, match="tokens must be 0 or more"):
        BreakEven(**numbers)


@pytest.mark.parametrize("block", [(0, 64), (64, -1), (64,), (1.5, 64)])
def test_blocks_that_cannot_be_are_refused_at_once(block):
    with pytest.raises(UsageError, match="block"):
        RainFusion2(block=block)


def test_layouts_that_a_method_cannot_serve_are_refused_at_once():
    with pytest.raises(UsageError, match="same tokens"):
        AttentionPlan(LAYOUT, RainFusion(), TokenLayout.of(LooseTokens(4)))
    with pytest.raises(UsageError, match="hold no grid"):
        AttentionPlan(TokenLayout.of(LooseTokens(4)), RainFusion())


@pytest.mark.parametrize("method", [SnapReuse(0.1), TokenMerge(0.1)])
def test_a_tail_where_nothing_is_dropped_is_refused(method):
    with pytest.raises(UsageError, match="drops no blocks"):
        call(method=method, tail=True)


@pytest.mark.parametrize("backend", ["flex", "triton"])
def test_a_backend_that_cannot_run_warns_once_and_gives_the_same(backend, normal):
    # Triton has no float64 anywhere, Flex no gradients on a CPU.
    q, k, v = (normal(*GOOD).double().requires_grad_() for _ in range(3))
    method = RainFusion2(sparsity=0.5, block=(16, 8))
    plan = AttentionPlan(LAYOUT, method, backend=backend)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outs = [plan.attend(q, k, v) for _ in range(3)]
    (warned,) = caught
    assert str(warned.message).startswith(f"backend '{backend}' ")
    assert warned.filename == __file__
    want = AttentionPlan(LAYOUT, method, backend="reference").attend(q, k, v)
    for out in outs:
        torch.testing.assert_close(out, want, atol=2e-6, rtol=0)
