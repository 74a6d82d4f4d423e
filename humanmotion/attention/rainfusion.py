"""RainFusion (arXiv 2505.21036): each head is spatial, temporal or textural, told by a small sample.

A spatial head looks at near frames, a temporal one at the same place in all frames: both are bands, in
two orders of the tokens. A textural head looks at few keys that matter to all: it reads a checkerboard
of keys. The first frame and the text are always attended, and attend everything; so do the tokens of
different grids each other, between which a band says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.head_types import SPATIAL, TEMPORAL, TEXTURAL, head_types
from humanmotion.attention.layout import LooseTokens, Segment, TokenLayout
from humanmotion.attention.problem import Problem, check_block, check_grid, check_sparsity
from humanmotion.errors import UsageError

BAND_ORDERS: dict[int, Literal["frames", "pixels"]] = {SPATIAL: "frames", TEMPORAL: "pixels"}


@dataclass(frozen=True)
class RainFusion:
    """Settings of the method; raises UsageError for numbers that cannot be meant."""

    sparsity: float = 0.5
    """Share of pairs outside a band; a textural head keeps one key in `stride` instead."""
    recall: float = 0.9
    """Share of the sample's attention that a band must hold for a head to count as of its type."""
    stride: int = 2
    """A textural head reads the keys whose `t + y + x` it divides; with t, frames complement."""
    block: tuple[int, int] = (256, 64)
    """Rows of a query block and of a key block; bands are widened to whole blocks."""

    in_places = False
    drops_blocks = True
    needs_grid = True
    saves_time = True

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        check_block(self.block)
        if not 0 <= self.recall <= 1 or self.stride < 1:
            raise UsageError(f"{self}: recall must lie in [0, 1] and stride be 1 or more")

    def expected_density(self, layout: TokenLayout, key_layout: TokenLayout) -> float:
        """Share of pairs that spatial and temporal heads compute, sinks included."""
        return layout.pairs_kept(key_layout, share=1 - self.sparsity)

    @property
    def half_width(self) -> float:
        """Half-width of a band over its length: `1 - (1 - w)^2` of the pairs lie inside."""
        return 1 - math.sqrt(self.sparsity)

    def predict(self, q: Tensor, k: Tensor, problem: Problem) -> Tensor:
        """Types of the heads, `(B, H_q)`; raises UsageError for cross attention."""
        check_grid(problem.layout, problem.key_layout)
        return head_types(
            q, k, problem.layout.segments, half_width=self.half_width, recall=self.recall,
            key_mask=problem.key_mask, scale=problem.scale,
        )  # fmt: skip

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        prediction: Tensor,
        problem: Problem,
    ) -> Tensor:
        """Attention in three calls at most, one for all heads of a type."""
        heads, groups = q.shape[1], q.shape[1] // k.shape[1]
        types = prediction.flatten()
        order = types.argsort(stable=True)
        # The one place where the host waits for the device, for all heads together.
        sizes = types.bincount(minlength=3).tolist()
        parts = []
        for kind, numbers in enumerate(order.split(sizes)):
            if len(numbers):
                item, head = numbers // heads, numbers % heads
                rows = (q[item, head], k[item, head // groups], v[item, head // groups])
                mask = None if problem.key_mask is None else problem.key_mask[item]
                alone = [x[:, None] for x in rows]
                parts.append(self._bucket(*alone, kind=kind, key_mask=mask, problem=problem))
        return torch.cat(parts)[:, 0].index_select(0, order.argsort()).unflatten(0, q.shape[:2])

    def density(self, prediction: Tensor, problem: Problem) -> Tensor:
        """Realised share of computed pairs, a scalar."""
        segments, device, mask = problem.layout.segments, prediction.device, problem.key_mask
        shares = torch.zeros(3, len(prediction), dtype=torch.float64, device=device)
        for kind in BAND_ORDERS:
            shares[kind] = self.band(segments, kind, device, key_mask=mask).density()[:, 0]
        shares[TEXTURAL] = self.board(segments, device, key_mask=mask).double().mean(-1)
        return shares[prediction, torch.arange(len(prediction), device=device)[:, None]].mean()

    def kept(self, prediction: Tensor, *, rows: Tensor, problem: Problem) -> Tensor | None:
        """Which keys the queries `rows` `(r)` attend, `(B, H_q, r, N_k)` bool."""
        segments, device, allowed = problem.layout.segments, prediction.device, problem.key_mask
        shape = 3, len(prediction), len(rows), problem.layout.tokens
        masks = torch.zeros(shape, dtype=torch.bool, device=device)
        masks[TEXTURAL] = self.board(segments, device, key_mask=allowed)[:, None]
        for kind, order in BAND_ORDERS.items():
            inverse = TokenLayout.of(*segments, order=order, device=device).inverse
            mask = self.band(segments, kind, device, key_mask=allowed)
            blocks = mask.rows.block[inverse[rows]], mask.columns.block[inverse]
            masks[kind] = mask.kept[:, 0, blocks[0]][..., blocks[1]]
        return masks[prediction, torch.arange(len(prediction), device=device)[:, None]]

    def band(
        self,
        segments: tuple[Segment, ...],
        kind: int,
        device: torch.device,
        *,
        key_mask: Tensor | None = None,
    ) -> BlockMask:
        """The band of a type in the type's own order of tokens, `(B or 1, 1, n_q, n_k)`.

        Blocks of queries to which `key_mask` `(B, N)`, in the order of the sequence, leaves no key of
        their band attend everything instead.
        """
        layout = TokenLayout.of(*segments, order=BAND_ORDERS[kind], device=device)
        rows, columns = (Blocks.cut(layout.runs, size, device=device) for size in self.block)
        always = layout.loose | layout.first
        forced = rows.any(always)[:, None] | columns.any(always)
        kept = _band(rows, columns, runs=layout.runs, half_width=self.half_width)
        mask = BlockMask((kept | forced)[None, None], rows, columns)
        return mask.reaching(None if key_mask is None else key_mask[:, layout.order])

    def textural_keys(self, segments: tuple[Segment, ...], device: torch.device) -> Tensor:
        """Tokens that a textural head reads, `(M)`: a checkerboard, the first frame, the text."""
        parts, start = [], 0
        for segment in segments:
            count = math.prod(segment.shape)
            keys = torch.arange(count, device=device)
            if not isinstance(segment, LooseTokens):
                places = torch.unravel_index(keys, tuple(segment.shape))
                on_board = torch.stack(places).sum(0) % self.stride == 0
                sink = (places[0] == 0) & (segment.shape[0] > 1)
                keys = keys[on_board | sink]
            parts.append(start + keys)
            start += count
        return torch.cat(parts)

    def board(
        self, segments: tuple[Segment, ...], device: torch.device, *, key_mask: Tensor | None
    ) -> Tensor:
        """The keys of a textural head, `(B or 1, N)` bool; all where none of them is allowed."""
        chosen = torch.zeros(1, sum(math.prod(s.shape) for s in segments), device=device).bool()
        chosen[:, self.textural_keys(segments, device)] = True
        if key_mask is None:
            return chosen
        return chosen | ~(chosen & key_mask).any(-1, keepdim=True)

    def textural_rest(
        self, segments: tuple[Segment, ...], device: torch.device
    ) -> tuple[Tensor, Blocks] | None:
        """Tokens that a textural head leaves out, `(R)`, and their blocks by windows; None without."""
        layout = TokenLayout.of(*segments, device=device)
        left = torch.ones(layout.tokens, dtype=torch.bool, device=device)
        left[self.textural_keys(segments, device)] = False
        by_place = left[layout.order]
        runs = [int(part.sum()) for part in by_place.split(layout.runs)]
        if not any(runs):
            return None
        blocks = Blocks.cut([run for run in runs if run], self.block[1], device=device)
        return layout.order[by_place], blocks

    def _bucket(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        kind: int,
        key_mask: Tensor | None,
        problem: Problem,
    ) -> Tensor:
        """Attention of heads of one type, each as a batch item of its own `(n, 1, N, d)`."""
        segments = problem.layout.segments
        if kind == TEXTURAL:
            keys = self.textural_keys(segments, q.device)
            rest = self.textural_rest(segments, q.device) if problem.tail else None
            return _attend_some(
                q, k, v, keys=keys, key_mask=key_mask, scale=problem.scale, rest=rest
            )
        layout = TokenLayout.of(*segments, order=BAND_ORDERS[kind], device=q.device)
        q, k, v = (layout.permute(x) for x in (q, k, v))
        mask = self.band(segments, kind, q.device, key_mask=key_mask)
        if key_mask is not None:
            key_mask = key_mask[:, layout.order]
        out = problem.executor(
            q, k, v, mask=mask, key_mask=key_mask, scale=problem.scale, tail=problem.tail
        )
        return layout.restore(out)


def _attend_some(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    keys: Tensor,
    key_mask: Tensor | None,
    scale: float,
    rest: tuple[Tensor, Blocks] | None = None,
) -> Tensor:
    """Dense attention on some keys, and on the mean of every block of the `rest`.

    An item of which none of these keys is allowed attends all allowed keys; without any it gets zeros.
    """
    some = k.index_select(2, keys), v.index_select(2, keys)
    if key_mask is None and rest is None:
        return attend_dense(q, *some, scale=scale)
    # Only the means' logs of counts need more digits than q has.
    wide = q.dtype if rest is None else torch.promote_types(q.dtype, torch.float32)
    weight = q.new_zeros(len(q), len(keys), dtype=wide)
    if key_mask is not None:
        weight = weight.masked_fill(~key_mask[:, keys], -math.inf)
    if rest is not None:
        means, counts = _means(k, v, rest=rest, key_mask=key_mask)
        some = torch.cat((some[0], means[0]), 2), torch.cat((some[1], means[1]), 2)
        weight = torch.cat((weight, counts.to(weight).log().expand(len(q), -1)), 1)
    full = weight.isfinite().any(-1)[:, None, None, None]
    # A row of nothing but minus infinity would be NaN: it attends evenly, and is then emptied.
    bias = weight[:, None, None].masked_fill(~full, 0)
    out = attend_dense(q, *some, bias=bias, scale=scale) * full
    return (
        out
        if key_mask is None
        else _attend_bare(out, q, k, v, keys=keys, key_mask=key_mask, scale=scale)
    )


def _attend_bare(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    keys: Tensor,
    key_mask: Tensor,
    scale: float,
) -> Tensor:
    """`out`, with dense attention for the items whose `keys` are all forbidden but others are not."""
    bare = (~key_mask[:, keys].any(-1) & key_mask.any(-1)).nonzero()[:, 0]
    if not len(bare):
        return out
    bias = forbidding(key_mask[bare], q)
    return out.index_copy(0, bare, attend_dense(q[bare], k[bare], v[bare], bias=bias, scale=scale))


def _means(
    k: Tensor, v: Tensor, *, rest: tuple[Tensor, Blocks], key_mask: Tensor | None
) -> tuple[list[Tensor], Tensor]:
    """Mean keys and values of the blocks of the rest, and of how many allowed keys each is one."""
    order, blocks = rest
    allowed = None if key_mask is None else key_mask[:, order]
    means = [blocks.means(x.index_select(2, order), allowed).to(x.dtype) for x in (k, v)]
    return means, blocks.counts(allowed)


def _band(rows: Blocks, columns: Blocks, *, runs: tuple[int, ...], half_width: float) -> Tensor:
    """Pairs of blocks with two places at most `half_width` of their run apart, or of different runs.

    Places say nothing about how near tokens of different grids are: those pairs are all kept.
    """
    device = rows.lengths.device
    length = torch.tensor(runs, device=device)
    ends = [blocks.lengths.cumsum(0) for blocks in (rows, columns)]
    run = [torch.searchsorted(length.cumsum(0), end) for end in ends]
    reach = (half_width * length).long()[run[0]][:, None]
    (row_end, key_end), (row_run, key_run) = ends, run
    row_start, key_start = row_end - rows.lengths, key_end - columns.lengths
    ahead = key_start - row_end[:, None] + 1
    behind = row_start[:, None] - key_end + 1
    return (torch.maximum(ahead, behind) <= reach) | (row_run[:, None] != key_run)
