"""Block-sparse attention by our Triton kernels: NVIDIA and AMD GPUs, nothing to compile at install.

Under `TRITON_INTERPRET=1` the same kernels run on a CPU, slowly: that is how the tests check them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from humanmotion.attention import triton_kernels as kernels
from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.attention.gather import attend_gather
from humanmotion.errors import UsageError

TILE = 64
"""Rows of queries, and of keys, that a program holds at a time; larger blocks are walked in parts."""
FORWARD_TILE = 128
"""Rows of queries of a program that only goes forward, where rows are short: twice the work for each
key that is fetched. Eight warps hold it without spilling registers (compiled for sm_90)."""


def attend_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: BlockMask,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    tail: bool = False,
) -> Tensor:
    """What `attend_reference` defines, with the same arguments; differentiable once, deterministic.

    With `tail` the gathering executor computes the same instead. Raises UsageError where Triton cannot
    run (see `can_run`) and for float64.
    """
    if tail:
        return attend_gather(q, k, v, mask=mask, key_mask=key_mask, scale=scale, tail=True)
    if not can_run(q.device) or q.dtype == torch.float64:
        raise UsageError(f"Triton cannot attend q {tuple(q.shape)} of {q.dtype} on {q.device}")
    heads = q.shape[:2]
    own = BlockMask(mask.kept.expand(*heads, -1, -1), mask.rows, mask.columns)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    call = _Call.of(q, k, v, mask=own, key_mask=key_mask, scale=factor)
    out: Tensor = _Triton.apply(call, *(x.contiguous() for x in (q, k, v)))  # type: ignore[no-untyped-call]
    return out


def can_run(device: torch.device) -> bool:
    """Whether Triton is installed and compiles for a device, or interprets on a CPU."""
    return kernels.HAS_TRITON and (device.type in ("cuda", "xpu") or _interprets())


def _interprets() -> bool:
    # What TRITON_INTERPRET said when the kernels were imported; later it changes nothing.
    return type(kernels._forward).__name__ == "InterpretedFunction"


@dataclass(frozen=True, eq=False)
class _Call:
    """What every kernel of one call is told besides its tensors."""

    mask: BlockMask
    key_mask: Tensor
    scale: float
    sizes: dict[str, int | bool]
    """The kernels' compile-time numbers, except BLOCKS."""
    roomy: bool
    """Whether rows are short enough for the larger tile: half precision, heads of 128 or less."""

    @classmethod
    def of(
        cls,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        mask: BlockMask,
        key_mask: Tensor | None,
        scale: float,
    ) -> _Call:
        tiles = [min(TILE, _power(blocks.size)) for blocks in (mask.rows, mask.columns)]
        size, size_v = q.shape[-1], v.shape[-1]
        sizes: dict[str, int | bool] = {
            "HEADS": q.shape[1], "GROUPS": q.shape[1] // k.shape[1],
            "QUERIES": q.shape[2], "KEYS": k.shape[2],
            "PARTS": -(-mask.rows.size // tiles[0]), "KEY_PARTS": -(-mask.columns.size // tiles[1]),
            "D": size, "DV": size_v, "WIDTH": _power(size), "WIDTH_V": _power(size_v),
            "TILE": tiles[0], "KEY_TILE": tiles[1],
            "MASKED": key_mask is not None, "WIDE": q.dtype == torch.float32 or _interprets(),
        }  # fmt: skip
        given = q.new_zeros(1, dtype=torch.uint8) if key_mask is None else key_mask.to(torch.uint8)
        roomy = q.dtype != torch.float32 and max(size, size_v) <= 128
        return cls(mask, given.contiguous(), scale, sizes, roomy)

    @property
    def forward(self) -> _Call:
        """The same with the tile of queries that going forward has room for."""
        rows = self.mask.rows.size
        tile = min(FORWARD_TILE if self.roomy else TILE, _power(rows))
        return replace(self, sizes=self.sizes | {"TILE": tile, "PARTS": -(-rows // tile)})

    def blocks(self) -> list[Tensor]:
        """Starts and lengths of the blocks of queries, then of keys."""
        both = (self.mask.rows, self.mask.columns)
        return [part for blocks in both for part in (_starts(blocks), blocks.lengths.int())]

    def run(
        self, kernel: Any, mask: BlockMask, tensors: list[Tensor], *, programs: tuple[int, int]
    ) -> None:
        """Launch a kernel over the compressed rows of `mask`."""
        starts, numbers = mask.csr()
        told = [*tensors, self.key_mask, starts, numbers, *self.blocks(), self.scale]
        with torch.cuda.device_of(tensors[0]):
            warps = 8 if self.sizes["TILE"] == FORWARD_TILE else 4
            kernel[programs](*told, **self.sizes, BLOCKS=mask.rows.count, num_warps=warps)


def _power(size: int) -> int:
    """The power of 2, at least 16 as matrix units want it, that holds `size`."""
    return max(16, 1 << (size - 1).bit_length())


def _starts(blocks: Blocks) -> Tensor:
    return (blocks.lengths.cumsum(0) - blocks.lengths).int()


class _Triton(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> Tensor:
        q, _, v = tensors
        out = q.new_zeros(*q.shape[:-1], v.shape[-1])
        lse = q.new_zeros(q.shape[:-1], dtype=torch.float32)
        ahead = call.forward
        programs = ahead.mask.rows.count * int(ahead.sizes["PARTS"]), q.shape[0] * q.shape[1]
        ahead.run(kernels._forward, call.mask, [*tensors, out, lse], programs=programs)
        ctx.call = call
        ctx.save_for_backward(*tensors, out, lse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        call, (q, k, v, out, lse) = ctx.call, ctx.saved_tensors
        grad = grad.contiguous()
        delta = (grad.float() * out.float()).sum(-1)
        grads = [torch.zeros_like(x) for x in (q, k, v)]
        given = [q, k, v, grad, lse, delta]
        programs = call.mask.rows.count * int(call.sizes["PARTS"]), q.shape[0] * q.shape[1]
        call.run(kernels._backward_q, call.mask, [*given, grads[0]], programs=programs)
        keys = call.mask.transposed()
        programs = keys.rows.count * int(call.sizes["KEY_PARTS"]), k.shape[0] * k.shape[1]
        call.run(kernels._backward_kv, keys, [*given, *grads[1:]], programs=programs)
        return None, *grads
