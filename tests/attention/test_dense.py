"""Dense attention takes a bias in a type that every device's kernels read rightly."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.attention.dense import attend_dense, forbidding, runs_wide


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
