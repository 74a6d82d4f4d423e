"""Our Triton kernels, on a GPU or under Triton's interpreter: the reference's numbers and gradients."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from humanmotion.attention import BlockMask, Blocks
from humanmotion.attention.reference import attend_reference
from humanmotion.attention.triton_attention import attend_triton, can_run

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Query and key lengths in runs, heads of queries and keys, head sizes, block sizes.
CASES = {
    "one_token": (((1,), (1,)), (1, 1), (32, 32), (64, 64)),
    "ragged": (((130, 17), (63, 5)), (2, 2), (64, 64), (64, 64)),
    "grouped": (((65,), (70,)), (4, 1), (40, 24), (64, 32)),
    "tall_tiles": (((260,), (100,)), (2, 1), (72, 72), (256, 64)),
    "large_heads": (((64,), (64,)), (1, 1), (256, 256), (64, 64)),
    "odd_blocks": (((50, 3), (90,)), (2, 2), (16, 16), (24, 40)),
}


def problem(name, normal, generator, *, batch=2, dtype=torch.float32):
    runs, heads, sizes, block = CASES[name]
    lengths = [sum(r) for r in runs]
    q = normal(batch, heads[0], lengths[0], sizes[0], dtype=dtype).to(DEVICE)
    k = normal(batch, heads[1], lengths[1], sizes[0], dtype=dtype).to(DEVICE)
    v = normal(batch, heads[1], lengths[1], sizes[1], dtype=dtype).to(DEVICE)
    rows, columns = (Blocks.cut(r, n, device=DEVICE) for r, n in zip(runs, block, strict=True))
    shape = (batch, heads[0], rows.count, columns.count)
    kept = torch.rand(shape, generator=generator) < 0.6
    return q, k, v, BlockMask(kept.to(DEVICE), rows, columns)


def test_it_can_run_here():
    # Without a GPU: tests/attention/conftest.py asked for the interpreter in time.
    assert can_run(DEVICE)


def gradients(attend, q, k, v, **given):
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    out = attend(*leaves, **given)
    ask = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    return out.detach(), torch.autograd.grad(out, leaves, ask)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_numbers_and_gradients_are_those_of_the_reference(name, masked, normal, generator):
    q, k, v, mask = problem(name, normal, generator)
    allowed = (torch.rand(2, k.shape[2], generator=generator) < 0.7).to(DEVICE)
    key_mask = allowed if masked else None
    given = {"mask": mask, "key_mask": key_mask, "scale": 0.7 * q.shape[-1] ** -0.5}
    found, slopes = gradients(attend_triton, q, k, v, **given)
    want, want_slopes = gradients(attend_reference, q, k, v, **given)
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)
    largest = max(float(x.abs().max()) for x in want_slopes)
    for slope, other in zip(slopes, want_slopes, strict=True):
        assert float((slope - other).abs().max()) <= 1e-5 * largest


@pytest.mark.parametrize("name", ["grouped", "tall_tiles", "odd_blocks"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_half_precision(name, dtype, close, normal, generator):
    q, k, v, mask = problem(name, normal, generator, dtype=dtype)
    found, slopes = gradients(attend_triton, q, k, v, mask=mask)
    wide = [x.float() for x in (q, k, v)]
    want, want_slopes = gradients(attend_reference, *wide, mask=mask)
    assert found.dtype == dtype
    for a, b in zip((found, *slopes), (want, *want_slopes), strict=True):
        assert float((a.float() - b).abs().max()) <= close * float(b.abs().max())


def test_one_mask_for_all_heads_and_any_strides(normal, generator):
    q, k, v, mask = problem("ragged", normal, generator)
    shared = BlockMask(mask.kept[:1, :1], mask.rows, mask.columns)
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    want = attend_reference(q, k, v, mask=shared)
    torch.testing.assert_close(attend_triton(*strided, mask=shared), want, atol=2e-6, rtol=0)


def test_rows_without_keys_are_zero_with_zero_gradients(normal, generator):
    q, k, v, mask = problem("ragged", normal, generator)
    mask.kept[:, :, 1] = False
    out, slopes = gradients(attend_triton, q, k, v, mask=mask)
    rows = mask.rows.block == 1
    assert not out[:, :, rows].any() and not slopes[0][:, :, rows].any()
    assert all(slope.isfinite().all() for slope in slopes)


def test_gradients_are_the_same_in_every_run(normal, generator):
    q, k, v, mask = problem("grouped", normal, generator)
    first, again = (gradients(attend_triton, q, k, v, mask=mask)[1] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_tail_is_the_reference_too(normal, generator):
    q, k, v, mask = problem("ragged", normal, generator)
    found, want = (f(q, k, v, mask=mask, tail=True) for f in (attend_triton, attend_reference))
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)
