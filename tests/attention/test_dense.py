"""Dense attention in bfloat16 that is to be differentiated: products written out, same numbers."""

from __future__ import annotations

import pytest
import torch

from humanmotion.attention.dense import SHORT, attend_dense, forbidding


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
