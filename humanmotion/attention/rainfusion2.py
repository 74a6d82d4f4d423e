"""RainFusion2.0 (arXiv 2512.24086): block means say which blocks a block of queries needs.

Tokens stand in space-time windows; the scores of mean queries against mean keys choose the same number
of key blocks for every block of queries; the first frame and the text are always attended, and attend
everything. The published code gives the whole batch its first item's mask and needs aligned text; here
every item and head has its own, and blocks never cross a segment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.problem import Problem, check_block, check_sparsity


@dataclass(frozen=True)
class RainFusion2:
    """Settings of the method; raises UsageError for numbers that cannot be meant."""

    sparsity: float = 0.8
    """Share of the key blocks that top-k drops; forced blocks come on top, so less is realised."""
    sink: bool = True
    """Whether the first frame's blocks are kept, both ways."""
    block: tuple[int, int] = (256, 64)
    """Rows of a query block and of a key block; the published code has 128 and 128."""

    in_places = True
    drops_blocks = True
    needs_grid = False
    saves_time = True

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        check_block(self.block)

    def expected_density(self, layout: TokenLayout, key_layout: TokenLayout) -> float:
        """Share of pairs that top-k and the forced blocks compute, as if they overlapped by chance."""
        return layout.pairs_kept(key_layout, share=1 - self.sparsity, sink=self.sink)

    def predict(self, q: Tensor, k: Tensor, problem: Problem) -> BlockMask:
        """The mask `(B, H_q, n_q, n_k)` for q and k in the order of places (report, section 3)."""
        layout, key_layout = problem.layout, problem.key_layout
        rows = Blocks.cut(layout.runs, self.block[0], device=q.device)
        columns = Blocks.cut(key_layout.runs, self.block[1], device=q.device)
        with torch.no_grad():
            kept = top_blocks(
                rows.means(q), columns.means(k, problem.key_mask), keep=1 - self.sparsity,
                exists=None if problem.key_mask is None else columns.any(problem.key_mask),
            )  # fmt: skip
        forced = self._forced(rows, layout)[:, None] | self._forced(columns, key_layout)
        return BlockMask(kept | forced, rows, columns)

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        prediction: BlockMask,
        problem: Problem,
    ) -> Tensor:
        """Attention over the mask, all in the order of places."""
        return problem.executor(
            q, k, v, mask=prediction, key_mask=problem.key_mask, scale=problem.scale,
            tail=problem.tail,
        )  # fmt: skip

    def density(self, prediction: BlockMask, problem: Problem) -> Tensor:
        """Realised share of computed pairs, a scalar."""
        return prediction.density().mean()

    def kept(self, prediction: BlockMask, *, rows: Tensor, problem: Problem) -> Tensor | None:
        """Which keys the queries at places `rows` `(r)` attend, `(B, H_q, r, N_k)` bool."""
        mask = prediction
        return mask.kept[:, :, mask.rows.block[rows]][..., mask.columns.block]

    def _forced(self, blocks: Blocks, layout: TokenLayout) -> Tensor:
        return blocks.any(layout.loose | layout.first if self.sink else layout.loose)


def top_blocks(
    q_means: Tensor, k_means: Tensor, *, keep: float, exists: Tensor | None = None
) -> Tensor:
    """The `ceil(keep * n_k)` best key blocks of every query block, ties kept.

    Means `(B, H_q, n_q, d)` and `(B, H_k, n_k, d)` give `(B, H_q, n_q, n_k)` bool; `exists` `(B, n_k)`
    is False for key blocks that hold nothing. Softmax and scale leave the order as it is.
    """
    groups = q_means.shape[1] // k_means.shape[1]
    scores = q_means @ k_means.repeat_interleave(groups, 1).transpose(-1, -2)
    if exists is not None:
        scores = scores.masked_fill(~exists[:, None, None], -math.inf)
    # A share like 1 - 0.8 is a little more than 0.2: without the slack 10 blocks would keep 3.
    count = max(1, math.ceil(keep * scores.shape[-1] - 1e-9))
    worst = scores.topk(count, dim=-1, sorted=False).values.amin(-1, keepdim=True)
    kept = scores >= worst
    return kept if exists is None else kept & exists[:, None, None]
