"""A plan carries one model's sparse attention through its layers and steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from humanmotion.attention import autocast
from humanmotion.attention.dense import attend_dense, forbidding
from humanmotion.attention.executors import Backend, check_backend, executor_for
from humanmotion.attention.layout import TokenLayout
from humanmotion.attention.method import Method
from humanmotion.attention.predictions import Predictions
from humanmotion.attention.problem import (
    Executor,
    Problem,
    check_finite,
    check_grid,
    check_key_mask,
    check_layout,
    check_scale,
    check_tensors,
)
from humanmotion.attention.recall import kept_share, sample_rows
from humanmotion.attention.schedule import BreakEven, Schedule, now
from humanmotion.errors import UsageError


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
    """Dense attention's weight on the kept keys, over sampled queries; None unless measured."""


@dataclass
class AttentionPlan:
    """Layout, method and schedule of a model's attention, and what is kept between its calls.

    Predictions are kept within a run: call `reset` between two runs. Raises UsageError for a backend
    that there is not, a `tail` where the method drops no blocks, and layouts the method cannot serve.
    """

    layout: TokenLayout
    """Of the queries."""
    method: Method
    key_layout: TokenLayout | None = None
    """Of the keys; that of the queries unless given."""
    schedule: Schedule | None = None
    """Without one no step or layer is dense by itself."""
    backend: Backend = "auto"
    """What computes. "auto" is dense where sparse would not gain; another is taken at its word."""
    break_even: BreakEven | None = None
    """When dense is faster; the default of the device that the tensors are on unless given."""
    tail: bool = False
    """Whether dropped blocks still count by their mean keys."""
    permuted: bool = False
    """Whether q, k, v and key_mask come, and the result goes, in the order of places (see `rope`)."""
    step: int | None = None
    """The present step, for callers that cannot hand it to `attend`."""
    measure: bool = False
    """Whether to measure time and recall for the report; both cost time."""

    def __post_init__(self) -> None:
        check_backend(self.backend)
        if self.tail and not self.method.drops_blocks:
            raise UsageError(
                f"{self.method} drops no blocks: there is nothing for a tail to stand for"
            )
        if self.method.needs_grid:
            check_grid(self.layout, self.key_layout or self.layout)
        self._tally = _Tally()
        self._predictions = Predictions()
        self._executors: dict[tuple[torch.device, torch.dtype, bool], Executor] = {}

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        step: int | None = None,
        layer: int = 0,
        key_mask: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """What takes the place of dense attention, `(B, H_q, N_q, d_v)` in q's dtype, or autocast's.

        `q` is `(B, H_q, N_q, d)`, `k` and `v` `(B, H_k, N_k, d or d_v)`, H_q a multiple of H_k, all
        float32, bfloat16 or float16; queries and keys carry their rotary positions. `key_mask`
        `(B, N_k)` bool is False for keys that do not exist. `scale` is `d ** -0.5` unless given. `step`
        is required by a schedule; calls of a layer at one step are told apart by their order. Raises
        UsageError, naming shapes, for tensors that fit neither each other nor the layouts and for a
        scale that is not above 0, and InputError for NaN, infinity, or an item without any key.
        """
        run = self._run
        if torch.compiler.is_compiling():
            # Else every layout would be laid out anew within the graph. Not a decorator: that would
            # import the compiler, which takes seconds, for those who never compile.
            run = torch.compiler.disable(run)
        step = self.step if step is None else step
        return run(q, k, v, step=step, layer=layer, key_mask=key_mask, scale=scale)

    def reset(self) -> None:
        """Forget all predictions, as every run of another sample wants it; the report goes on."""
        self._predictions = Predictions()

    def report(self) -> AttentionReport:
        """What the calls so far have done."""
        return self._tally.report(measured=self.measure)

    def _run(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        step: int | None,
        layer: int,
        key_mask: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        q, k, v = (autocast.cast(x) for x in (q, k, v))
        with autocast.suspended(q.device):
            problem = self._problem(q, k, v, key_mask=key_mask, scale=scale)
            dense = self._is_dense(step, layer)
            if step is not None:
                self._predictions.begin(step, layer)
            expected = self.method.expected_density(problem.layout, problem.key_layout)
            if dense or self._is_slower(q, k, expected):
                out = self._dense(q, k, v, problem)
                # One tensor to look through instead of three, which short sequences would feel.
                if not math.isfinite(out.detach().sum()):
                    check_finite(q, k, v)
            else:
                check_finite(q, k, v)
                out = self._sparse(q, k, v, problem, step=step, layer=layer)
        self._tally.calls += 1
        return out

    def _sparse(
        self, q: Tensor, k: Tensor, v: Tensor, problem: Problem, *, step: int | None, layer: int
    ) -> Tensor:
        moved_q, moved_k, moved_v, moved = self._moved(q, k, v, problem)
        start = self._clock(q)
        prediction = self._prediction(moved_q, moved_k, moved, step=step, layer=layer)
        self._tally.predicting += self._clock(q) - start
        density = self.method.density(prediction, moved).detach()
        if self._is_slower(q, k, density):
            return self._dense(q, k, v, problem)
        out = self.method.attend(moved_q, moved_k, moved_v, prediction=prediction, problem=moved)
        self._tally.sparse += self._clock(q) - start
        self._tally.density = self._tally.density.to(density.device) + density
        if self.measure:
            self._measure_recall(moved_q, moved_k, prediction=prediction, problem=moved)
        return self._back(out, problem)

    def _problem(
        self, q: Tensor, k: Tensor, v: Tensor, *, key_mask: Tensor | None, scale: float | None
    ) -> Problem:
        check_tensors(q, k, v)
        layout = self.layout.to(q.device)
        key_layout = layout if self.key_layout is None else self.key_layout.to(q.device)
        check_layout(q, k, layout=layout, key_layout=key_layout)
        check_key_mask(k, key_mask)
        check_scale(scale)
        factor = q.shape[-1] ** -0.5 if scale is None else scale
        executor = self._executor(q, gradients=any(x.requires_grad for x in (q, k, v)))
        return Problem(layout, key_layout, key_mask, factor, self.tail, executor)

    def _executor(self, q: Tensor, *, gradients: bool) -> Executor:
        # Kept, so that a backend that cannot run warns once and not at every call.
        key = q.device, q.dtype, gradients
        if key not in self._executors:
            self._executors[key] = executor_for(self.backend, q, gradients=gradients)
        return self._executors[key]

    def _is_dense(self, step: int | None, layer: int) -> bool:
        if self.backend == "dense":
            return True
        if self.schedule is None:
            return False
        if step is None:
            raise UsageError(
                "a plan with a schedule needs the step of every call: give step=, or set plan.step"
            )
        return self.schedule.is_dense(step, layer)

    def _is_slower(self, q: Tensor, k: Tensor, density: float | Tensor) -> bool:
        """Whether dense attention would be faster; to compare, the host waits for the device."""
        if self.backend != "auto" or not self.method.saves_time:
            return False
        even = self.break_even or BreakEven.on(q.device)
        return even.prefers_dense(min(q.shape[2], k.shape[2]), float(density))

    def _dense(self, q: Tensor, k: Tensor, v: Tensor, problem: Problem) -> Tensor:
        out = attend_dense(q, k, v, bias=forbidding(problem.key_mask, q), scale=problem.scale)
        self._tally.dense += 1
        return out

    def _moved(
        self, q: Tensor, k: Tensor, v: Tensor, problem: Problem
    ) -> tuple[Tensor, Tensor, Tensor, Problem]:
        """Everything in the order that the method works in."""
        if self.method.in_places == self.permuted:
            return q, k, v, problem
        layout, key_layout, key_mask = problem.layout, problem.key_layout, problem.key_mask
        if self.permuted:
            q, k, v = layout.restore(q), key_layout.restore(k), key_layout.restore(v)
        else:
            q, k, v = layout.permute(q), key_layout.permute(k), key_layout.permute(v)
        if key_mask is not None:
            key_mask = key_mask[:, key_layout.inverse if self.permuted else key_layout.order]
        return q, k, v, replace(problem, key_mask=key_mask)

    def _back(self, out: Tensor, problem: Problem) -> Tensor:
        """The result in the order that the inputs came in."""
        if self.method.in_places == self.permuted:
            return out
        return problem.layout.permute(out) if self.permuted else problem.layout.restore(out)

    def _prediction(
        self, q: Tensor, k: Tensor, problem: Problem, *, step: int | None, layer: int
    ) -> Any:
        """This layer's earlier prediction while the schedule lets it stand, else a new one."""

        def _predict() -> Any:
            found = self.method.predict(q, k, problem)
            self._tally.predictions += 1
            return found

        # What drops no blocks holds values of its own step, which the next one must not see.
        if self.schedule is None or step is None or not self.method.drops_blocks:
            return _predict()
        # Tensors made in inference mode are no use to a later backward pass.
        about = (
            q.shape, k.shape, q.device, q.dtype, problem.scale, self.method, problem.layout,
            problem.key_layout, torch.is_inference_mode_enabled(),
        )  # fmt: skip
        refresh = self.schedule.refresh
        return self._predictions.take(
            about, problem.key_mask, _predict, layer=layer, refresh=refresh
        )

    def _clock(self, q: Tensor) -> float:
        return now(q.device) if self.measure else 0.0

    def _measure_recall(self, q: Tensor, k: Tensor, *, prediction: Any, problem: Problem) -> None:
        rows = sample_rows(q.shape[2], q.device)
        kept = self.method.kept(prediction, rows=rows, problem=problem)
        if kept is not None:
            share = kept_share(q, k, kept=kept, rows=rows, problem=problem)
            self._tally.recalls.append(float(share.mean()))


@dataclass
class _Tally:
    """Sums over a plan's calls."""

    calls: int = 0
    dense: int = 0
    predictions: int = 0
    density: Tensor = field(
        default_factory=lambda: torch.zeros((), dtype=torch.float64, device="cpu")
    )
    predicting: float = 0.0
    sparse: float = 0.0
    recalls: list[float] = field(default_factory=list)

    def report(self, *, measured: bool) -> AttentionReport:
        sparse = self.calls - self.dense
        return AttentionReport(
            calls=self.calls,
            dense_calls=self.dense,
            predictions=self.predictions,
            sparsity=1 - float(self.density) / sparse if sparse else None,
            predictor_share=self.predicting / self.sparse if measured and self.sparse else None,
            recall=sum(self.recalls) / len(self.recalls) if self.recalls else None,
        )
