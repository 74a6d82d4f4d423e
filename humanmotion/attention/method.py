"""What a method of sparse attention is to a plan."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.problem import Problem


class Method(Protocol):
    """How a method chooses what to compute: `RainFusion`, `RainFusion2`, `SnapReuse`, `TokenMerge`."""

    @property
    def in_places(self) -> bool:
        """Whether it works on tokens in the order of places; else in that of the sequence."""
        ...

    @property
    def drops_blocks(self) -> bool:
        """Whether it leaves out blocks of keys, which a tail of mean keys can stand for."""
        ...

    @property
    def needs_grid(self) -> bool:
        """Whether it serves only the attention of tokens to themselves, with a grid among them."""
        ...

    @property
    def saves_time(self) -> bool:
        """Whether it is meant to be fast, and so makes way where dense attention is faster."""
        ...

    def expected_density(self, layout: TokenLayout, key_layout: TokenLayout) -> float:
        """Share of pairs that it will compute, as far as that is known before anything is predicted."""
        ...

    def predict(self, q: Tensor, k: Tensor, problem: Problem) -> Any:
        """What to compute; may be used again for the same layer at later steps."""
        ...

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, prediction: Any, problem: Problem
    ) -> Tensor:
        """Attention as predicted, `(B, H_q, N_q, d_v)`."""
        ...

    def density(self, prediction: Any, problem: Problem) -> Tensor:
        """Realised share of what is computed, a scalar."""
        ...

    def kept(self, prediction: Any, *, rows: Tensor, problem: Problem) -> Tensor | None:
        """Keys of some queries, `(B, H_q, r, N_k)` bool; None when no key is dropped."""
        ...
