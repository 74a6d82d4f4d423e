"""Dense attention: a bias in a type that every device's kernels read rightly, and, in bfloat16 that is
to be differentiated, products written out with the same numbers."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.attention.dense import (
    SHORT,
    attend_dense,
    attend_in_slices,
    forbidding,
    runs_wide,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", ["cpu", "meta"])  # meta: as any device that is no CPU
def test_only_a_wider_bias_off_the_cpu_widens_the_call(dtype, device):
    q = torch.zeros(1, 2, 8, 16, dtype=dtype, device=device)
    key_mask = torch.ones(1, 8, dtype=torch.bool, device=device)
    assert not runs_wide(q, forbidding(key_mask, q))
    counts = torch.zeros(1, 1, 1, 8, device=device)
    assert runs_wide(q, counts) == (device == "meta" and dtype != torch.float32)
    assert attend_dense(q, q, q, bias=counts).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_wider_bias_is_exact_on_a_cpu(dtype, normal):
    q, k, v = (normal(1, 1, 64, 16, dtype=dtype) for _ in range(3))
    bias = torch.zeros(1, 1, 1, 64)
    bias[..., :7] = math.log(64) + 0.007  # what bfloat16 would round by most of a hundredth
    want = attend_dense(q.double(), k.double(), v.double(), bias=bias.double())
    error = (attend_dense(q, k, v, bias=bias) - want).abs().sum() / want.abs().sum()
    assert float(error) < {torch.bfloat16: 3e-3, torch.float16: 5e-4}[dtype]


def example(tokens: int, dtype: torch.dtype, *, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(3, 2, 4, tokens, 16, generator=generator)
    return [part.to(dtype).requires_grad_() for part in parts]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("tokens", [1, 37, SHORT, SHORT + 1])
def test_values_and_gradients_are_those_of_full_precision(masked, scale, tokens) -> None:
    mask = torch.arange(tokens) < torch.tensor([[tokens], [max(tokens // 2, 1)]])
    found, want = [], []
    for kept, dtype in ((found, torch.bfloat16), (want, torch.float32)):
        q, k, v = example(tokens, dtype)
        bias = forbidding(mask if masked else None, q)
        out = attend_dense(q, k, v, bias=bias, scale=scale)
        assert out.dtype == dtype
        out.float().square().sum().backward()
        kept += [out, q.grad, k.grad, v.grad]
    for a, b in zip(found, want, strict=True):
        error = (a.float() - b).norm() / b.norm().clamp(min=1e-3)
        assert float(error.detach()) < 0.03


def test_fewer_keys_than_queries_have_heads_in_common() -> None:
    q, k, v = example(9, torch.bfloat16)
    k, v = (x[:, :2].detach().clone().requires_grad_() for x in (k, v))
    want = attend_dense(q.detach().float(), k.detach().float(), v.detach().float())
    torch.testing.assert_close(attend_dense(q, k, v).float(), want, atol=0.05, rtol=0.05)


def test_a_wider_bias_can_be_learnt_under() -> None:
    q, k, v = example(9, torch.bfloat16)
    attend_dense(q, k, v, bias=torch.zeros(1, 1, 1, 9)).sum().backward()
    assert q.grad is not None and q.grad.isfinite().all()


@pytest.mark.parametrize("size", [200, 256])
def test_wide_heads_lose_fewer_digits_in_slices(normal, size: int) -> None:
    q, k, v = normal(1, 2, 4097, size), normal(1, 2, 63, size), normal(1, 2, 63, size)
    bias = torch.zeros(1, 1, 1, 63)
    bias[..., -5:] = -math.inf
    want = attend_dense(q.double(), k.double(), v.double(), bias=bias.double())
    off = float((attend_in_slices(q, k, v, bias=bias) - want).abs().max())
    assert off < 2e-6
    assert off < 0.8 * float((attend_dense(q, k, v, bias=bias) - want).abs().max())
