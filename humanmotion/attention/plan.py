"""A plan carries one model's sparse attention through its layers and steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.problem import (
    Executor,
    Problem,
    check_finite,
    check_key_mask,
    check_layout,
    check_tensors,
)
from humanmotion.attention.recall import kept_share
from humanmotion.attention.reference import attend_reference
from humanmotion.attention.schedule import BreakEven, Schedule, now
from humanmotion.errors import UsageError

Backend = Literal["auto", "dense", "reference", "gather"]
EXECUTORS: dict[str, Executor] = {"reference": attend_reference, "gather": attend_gather}


class Method(Protocol):
    """How a method chooses what to compute: `RainFusion`, `RainFusion2`, `SnapReuse`, `TokenMerge`."""

    @property
    def in_places(self) -> bool:
        """Whether it works on tokens in the order of places; else in that of the sequence."""
        ...

    @property
    def nominal_density(self) -> float:
        """Share of pairs that it sets out to compute, as far as that is known beforehand."""
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


@dataclass(frozen=True)
class AttentionReport:
    """What a plan's calls have done so far."""

    calls: int
    dense_calls: int
    """Of these, by schedule or because dense is faster."""
    predictions: int
    """Calls that predicted; the other sparse ones used an earlier prediction again."""
    sparsity: float | None
    """Realised over the sparse calls, forced blocks counted; None without any."""
    predictor_share: float | None
    """Time of predicting over all time of the sparse calls; None unless measured."""
    recall: float | None
    """Share of dense attention's weight on the kept keys, over sampled queries; None unless measured."""


@dataclass
class AttentionPlan:
    """Layout, method and schedule of a model's attention, and what is kept between its calls.

    Raises UsageError for a backend that there is not, or a `tail` where the method drops no blocks.
    """

    layout: TokenLayout
    """Of the queries."""
    method: Method
    key_layout: TokenLayout | None = None
    """Of the keys; that of the queries unless given."""
    schedule: Schedule | None = None
    """Without one every call is sparse where that is faster."""
    backend: Backend = "auto"
    """What computes. "auto" is the fastest, dense where sparse would not gain; others are taken as said."""
    break_even: BreakEven = field(default_factory=BreakEven)
    tail: bool = False
    """Whether dropped blocks still count by their mean keys."""
    permuted: bool = False
    """Whether q, k, v come, and the result goes, in the order of places (see `rope`)."""
    measure: bool = False
    """Whether to measure time and recall for the report; both cost time."""

    def __post_init__(self) -> None:
        if self.backend not in ("auto", "dense", *EXECUTORS):
            raise UsageError(f"backend {self.backend!r}: choose auto, dense, reference or gather")
        if self.tail and hasattr(self.method, "theta"):
            raise UsageError(f"{self.method} drops no blocks: it has no tail to give")
        self._predictions: dict[int, tuple[int, tuple[int, ...], Any]] = {}
        self._densities: list[Tensor] = []
        self._recalls: list[Tensor] = []
        self._calls = self._dense = self._predicted = 0
        self._predicting = self._sparse = 0.0
