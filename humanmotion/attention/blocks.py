"""Blocks of neighbouring tokens, and which pairs of blocks are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from humanmotion.errors import UsageError


@dataclass(frozen=True, eq=False)
class Blocks:
    """A cut of N places into blocks of `size` places, the last of every run short."""

    size: int
    tokens: int
    """N."""
    lengths: Tensor
    """`(n)`: places in each block, 1 to `size`."""
    block: Tensor
    """`(N)`: the block that each place lies in."""
    slots: Tensor
    """`(N)`: each place's row among `n * size` rows, where every block is filled up to `size`."""

    @classmethod
    def cut(cls, runs: Sequence[int], size: int, *, device: torch.device | str = "cpu") -> Blocks:
        """Cut runs of places into blocks that cross from no run into the next.

        Raises UsageError unless `size` and every run are 1 or more.
        """
        return _cut(tuple(runs), size, torch.device(device))

    @property
    def count(self) -> int:
        """n."""
        return len(self.lengths)

    @property
    def whole(self) -> bool:
        """Whether no block is short."""
        return self.count * self.size == self.tokens

    def split(self, x: Tensor) -> Tensor:
        """`(..., N, d)` to `(..., n, size, d)`; rows past a short block's end are zero."""
        if not self.whole:
            rows = x.new_zeros(*x.shape[:-2], self.count * self.size, x.shape[-1])
            x = rows.index_copy(-2, self.slots, x)
        return x.unflatten(-2, (self.count, self.size))

    def join(self, x: Tensor) -> Tensor:
        """`(..., n, size, d)` back to `(..., N, d)`."""
        rows = x.flatten(-3, -2)
        return rows if self.whole else rows.index_select(-2, self.slots)

    def counts(self, allowed: Tensor | None = None) -> Tensor:
        """Places in each block, `(n)`; with `allowed` `(B, N)` bool only those, `(B, n)`."""
        if allowed is None:
            return self.lengths
        return self.split(allowed[..., None].float()).sum((-1, -2)).long()

    def means(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Mean of every block, `(B, H, N, d)` to `(B, H, n, d)` float32 (of float64: float64).

        With `allowed` `(B, N)` bool, over the allowed places; a block without any has mean zero.
        """
        if allowed is not None:
            x = x * allowed[:, None, :, None]
        # A product with a constant row: a bfloat16 mean costs several times as much on a CPU.
        row = x.new_full((1, self.size), 1 / self.size)
        mean = (row @ self.split(x)).squeeze(-2)
        mean = mean.to(torch.promote_types(x.dtype, torch.float32))
        if self.whole and allowed is None:
            return mean
        counts = self.counts(allowed).clamp(min=1)
        scale = self.size / counts
        return mean * (scale[:, None] if allowed is None else scale[:, None, :, None])

    def any(self, places: Tensor) -> Tensor:
        """Which blocks hold a place that is set: `(..., N)` bool to `(..., n)`."""
        return self.split(places[..., None].to(torch.uint8)).amax((-1, -2)).bool()


@lru_cache(maxsize=256)
def _cut(runs: tuple[int, ...], size: int, device: torch.device) -> Blocks:
    if size < 1 or not runs or min(runs) < 1:
        raise UsageError(f"blocks of {size} over runs {runs}: every number must be 1 or more")
    lengths = [min(size, run - start) for run in runs for start in range(0, run, size)]
    # Shared by all later calls: no inference tensors, nor those of the caller's default device.
    with torch.inference_mode(False), torch.device("cpu"):
        length = torch.tensor(lengths)
        block = torch.arange(len(lengths)).repeat_interleave(length)
        slots = block * size + torch.arange(len(block)) - (length.cumsum(0) - length)[block]
        return Blocks(size, len(block), length.to(device), block.to(device), slots.to(device))


@dataclass(frozen=True, eq=False)
class BlockMask:
    """Which pairs of query and key blocks are computed, for every batch item and head.

    Raises UsageError when `kept` does not fit the blocks.
    """

    kept: Tensor
    """`(B, H, n_q, n_k)` bool; B and H may be 1 and then stand for all."""
    rows: Blocks
    columns: Blocks

    def __post_init__(self) -> None:
        want = (self.rows.count, self.columns.count)
        if self.kept.ndim != 4 or tuple(self.kept.shape[-2:]) != want:
            raise UsageError(f"mask of shape {tuple(self.kept.shape)} for {want} blocks of (B, H)")
        if self.kept.dtype != torch.bool:
            raise UsageError(f"mask of {self.kept.dtype} must be bool")

    @classmethod
    def full(cls, rows: Blocks, columns: Blocks) -> BlockMask:
        """Every pair."""
        shape = (1, 1, rows.count, columns.count)
        return cls(torch.ones(shape, dtype=torch.bool, device=rows.lengths.device), rows, columns)

    @classmethod
    def from_csr(
        cls, starts: Tensor, numbers: Tensor, *, rows: Blocks, columns: Blocks
    ) -> BlockMask:
        """The mask that `csr` wrote."""
        batch, heads, count = *starts.shape[:2], rows.count
        ends = starts.flatten(0, 1).diff(dim=-1).flatten().long()
        row = torch.arange(len(ends), device=ends.device).repeat_interleave(ends)
        kept = torch.zeros(len(ends), columns.count, dtype=torch.bool, device=ends.device)
        kept[row, numbers.long()] = True
        return cls(kept.reshape(batch, heads, count, columns.count), rows, columns)

    def csr(self) -> tuple[Tensor, Tensor]:
        """Compressed rows, int32: starts `(B, H, n_q + 1)` into one list of kept key blocks."""
        counts = self.kept.sum(-1).flatten()
        ends = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        batch, heads, count = self.kept.shape[:3]
        at = torch.arange(batch * heads, device=ends.device)[:, None] * count
        at = at + torch.arange(count + 1, device=ends.device)
        starts = ends[at].reshape(batch, heads, count + 1)
        return starts.int(), self.kept.flatten(0, 2).nonzero()[:, 1].int()

    def __and__(self, other: BlockMask) -> BlockMask:
        return BlockMask(self.kept & other.kept, self.rows, self.columns)

    def __or__(self, other: BlockMask) -> BlockMask:
        return BlockMask(self.kept | other.kept, self.rows, self.columns)

    def transposed(self) -> BlockMask:
        """Queries and keys exchanged, as the backward pass of keys wants it."""
        return BlockMask(self.kept.transpose(-1, -2).contiguous(), self.columns, self.rows)

    def reaching(self, key_mask: Tensor | None) -> BlockMask:
        """The same, but a row that keeps no block with an allowed key `(B, N_k)` keeps every block."""
        if key_mask is None:
            return self
        some = self.columns.any(key_mask)[:, None, None]
        bare = ~(self.kept & some).any(-1, keepdim=True)
        return BlockMask(self.kept | bare, self.rows, self.columns)

    def density(self) -> Tensor:
        """Share of pairs of tokens that are computed, `(B, H)` float64: 1 - realised sparsity."""
        pairs = self.kept.double() @ self.columns.lengths.double()
        return pairs @ self.rows.lengths.double() / (self.rows.tokens * self.columns.tokens)

    def token_mask(self) -> Tensor:
        """The same for pairs of places, `(B, H, N_q, N_k)` bool: large, for tests and studies."""
        return self.kept[:, :, self.rows.block][..., self.columns.block]
