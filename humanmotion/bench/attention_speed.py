"""Rows of `humanmotion bench attention` about time: sparse against dense attention in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from humanmotion.attention import (
    AttentionPlan,
    BreakEven,
    RainFusion,
    RainFusion2,
    TokenLayout,
    VideoGrid,
)
from humanmotion.attention.dense import attend_dense
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.method import Method
from humanmotion.attention.problem import Problem
from humanmotion.bench.attention_clock import Times, interleaved
from humanmotion.bench.report import Baseline, Row

HEADS = 8
SPARSITIES = (0.5, 0.8, 0.9)
BARS = {
    ("float32", 64): (1.3, 3.5, 6.5),
    ("float32", 128): (1.3, 3.5, 6.5),
    ("bfloat16", 64): (1.3, 3.1, 6.0),
    ("bfloat16", 128): (1.15, 2.8, 5.0),
}
"""Least speed over dense attention at each of SPARSITIES: 8192 tokens, 8 heads, 2 CPU threads."""
GPU_BARS = (1.5, 3.0, 5.0)
"""The same on a data-centre GPU: 32768 tokens, head size 128, bfloat16, with the permutation."""
LEAST_RATIO, LEAST_AT_ZERO = 0.95, 0.97
MOST_PREDICTING = {"float32": 0.005, "bfloat16": 0.015}
MOST_RECOGNISING = 0.01
LENGTHS = (512, 1024, 1536, 2048, 3072, 4096, 8192)
SHORT_LENGTH, SHORT_TURNS = 2048, 31
"""A call of so few tokens takes some milliseconds: the median of a few says little."""
PREDICTIONS = 8
"""A prediction is shorter than the ticks by which the processor's time is counted: a turn makes so
many, each of tensors that the cache does not hold."""
ALWAYS = BreakEven(tokens=0, density=1.0)


@dataclass(frozen=True)
class Setting:
    """One size of problem, random normal q, k and v."""

    tokens: int
    size: int
    dtype: torch.dtype
    device_name: str = "cpu"

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device(self.device_name)

    @property
    def layout(self) -> TokenLayout:
        """A video of 16 frames (of less than 1024 tokens: of 2) with rows of 32."""
        frames = 16 if self.tokens >= 1024 else 2
        grid = VideoGrid(frames, self.tokens // frames // 32, 32)
        return TokenLayout.of(grid, device=self.device)

    @property
    def name(self) -> str:
        """As in a row's id."""
        return f"{str(self.dtype).removeprefix('torch.')}_d{self.size}_n{self.tokens}"

    def tensors(self, seed: int = 0) -> list[Tensor]:
        """q, k and v, `(1, HEADS, tokens, size)`."""
        generator = torch.Generator().manual_seed(seed)
        shape = (1, HEADS, self.tokens, self.size)
        made = [torch.randn(shape, generator=generator) for _ in range(3)]
        return [x.to(self.dtype).to(self.device) for x in made]


def speed_rows(setting: Setting, *, turns: int, bars: tuple[float, ...] | None) -> list[Row]:
    """Ratios over dense attention at SPARSITIES, prediction included, tokens already in places."""
    # The first frames' blocks would come on top of the sparsity that the bars speak of.
    plans = [
        AttentionPlan(setting.layout, RainFusion2(sparsity=s, sink=False), permuted=True)
        for s in SPARSITIES
    ]
    times = _against_dense(setting, plans, turns=turns)
    rows = []
    for number, (sparsity, plan) in enumerate(zip(SPARSITIES, plans, strict=True)):
        bar = None if bars is None else bars[number]
        rows.append(_ratio(f"speed_{setting.name}_{sparsity:g}", times[0], times[number + 1],
                           what=f"{_realised(plan)}, prediction included", bar=bar))  # fmt: skip
    return rows


def whole_rows(setting: Setting, *, turns: int) -> list[Row]:
    """Ratios with the permutation and its inverse, with the sink, and of RainFusion."""
    methods: dict[str, Method] = {
        "permuting": RainFusion2(sparsity=0.8, sink=False),
        "sink": RainFusion2(sparsity=0.8),
        "rainfusion": RainFusion(sparsity=0.8),
    }
    plans = [AttentionPlan(setting.layout, method) for method in methods.values()]
    times = _against_dense(setting, plans, turns=turns)
    return [
        _ratio(f"whole_{name}_{setting.name}", times[0], time, what=f"{method}, {_realised(plan)}, "
               "permutation and inverse included")
        for (name, method), plan, time in zip(methods.items(), plans, times[1:], strict=True)
    ]  # fmt: skip


def never_slower_rows(*, lengths: tuple[int, ...], turns: int) -> list[Row]:
    """The worst ratio over short and long sequences, and what sparsity 0 costs."""
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        worst: tuple[float, str] = (float("inf"), "")
        for tokens in lengths:
            setting = Setting(tokens, 64, dtype)
            plans = [AttentionPlan(setting.layout, RainFusion2(sparsity=s)) for s in (0.5, 0.8)]
            enough = turns if tokens > SHORT_LENGTH else max(turns, SHORT_TURNS)
            times = _against_dense(setting, plans, turns=enough)
            worst = min(worst, *((times[0].cpu / t.cpu, setting.name) for t in times[1:]))
        name = str(dtype).removeprefix("torch.")
        what = f"least ratio over dense, at {worst[1]}, of {lengths} tokens at 50 and 80 %"
        rows.append(Row(f"never_slower_{name}", what, worst[0], "x", LEAST_RATIO, ">="))
    setting = Setting(4096, 64, torch.float32)
    plan = AttentionPlan(setting.layout, RainFusion2(sparsity=0.0))
    times = _against_dense(setting, [plan], turns=turns)
    rows.append(_ratio("sparsity_zero", times[0], times[1], what="sparsity 0 goes dense",
                       bar=LEAST_AT_ZERO))  # fmt: skip
    return rows


def break_even_rows(*, lengths: tuple[int, ...], turns: int) -> list[Row]:
    """The shortest sequence at which sparse attention is as fast as dense, per sparsity and type."""
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        found: dict[float, int] = {}
        for tokens in lengths:
            setting = Setting(tokens, 64, dtype)
            plans = [
                AttentionPlan(setting.layout, RainFusion2(sparsity=s, sink=False), permuted=True,
                              break_even=ALWAYS)
                for s in SPARSITIES
            ]  # fmt: skip
            times = _against_dense(setting, plans, turns=turns)
            for sparsity, taken in zip(SPARSITIES, times[1:], strict=True):
                if taken.cpu <= times[0].cpu:
                    found.setdefault(sparsity, tokens)
        name = str(dtype).removeprefix("torch.")
        for sparsity in SPARSITIES:
            value = found.get(sparsity)
            what = f"fewest of {lengths} tokens at which {sparsity:.0%} sparsity is not slower"
            rows.append(Row(f"break_even_{name}_{sparsity:g}", what, value, "tokens"))
    return rows


def overhead_rows(setting: Setting, *, turns: int) -> list[Row]:
    """Share of dense attention's time that predicting takes."""
    problems = [setting.tensors(seed) for seed in range(PREDICTIONS)]
    methods: dict[str, Method] = {"predicting": RainFusion2(), "recognising": RainFusion()}
    layout = setting.layout
    problem = Problem(layout, layout, None, setting.size**-0.5, False, attend_gather)

    def predict(method: Method) -> None:
        for q, k, _ in problems:
            method.predict(q, k, problem)

    calls: list[Callable[[], object]] = [lambda: attend_dense(*problems[0])]
    calls += [partial(predict, method) for method in methods.values()]
    times = interleaved(calls, turns=turns, device=setting.device)
    bars = (MOST_PREDICTING[setting.name.split("_")[0]], MOST_RECOGNISING)
    return [
        Row(f"{name}_{setting.name}", f"time of {name} over dense attention's",
            taken.cpu / PREDICTIONS / times[0].cpu, "", bar, "<=")
        for name, taken, bar in zip(methods, times[1:], bars, strict=True)
    ]  # fmt: skip


def gpu_rows(*, turns: int) -> list[Row]:
    """Goal G4 on the GPU of this machine; without one the rows stand as not run."""
    setting = Setting(32768, 128, torch.bfloat16, "cuda")
    ids = [f"gpu_{setting.name}_{sparsity:g}" for sparsity in SPARSITIES]
    if not torch.cuda.is_available():
        what = "no GPU in this machine: run this bench on one"
        return [
            Row(name, what, None, "x", bar, ">=") for name, bar in zip(ids, GPU_BARS, strict=True)
        ]
    plans = [
        AttentionPlan(setting.layout, RainFusion2(sparsity=s), break_even=ALWAYS)
        for s in SPARSITIES
    ]
    times = _against_dense(setting, plans, turns=turns)
    return [
        _ratio(name, times[0], taken, what=_realised(plan), bar=bar)
        for name, taken, plan, bar in zip(ids, times[1:], plans, GPU_BARS, strict=True)
    ]


def _against_dense(setting: Setting, plans: list[AttentionPlan], *, turns: int) -> list[Times]:
    """Times of dense attention, then of every plan."""
    q, k, v = setting.tensors()
    calls: list[Callable[[], object]] = [lambda: attend_dense(q, k, v)]
    calls += [lambda plan=plan: plan.attend(q, k, v) for plan in plans]  # type: ignore[misc]
    return interleaved(calls, turns=turns, device=setting.device)


def _realised(plan: AttentionPlan) -> str:
    report = plan.report()
    if report.sparsity is None:
        return "went dense"
    return f"{report.sparsity:.1%} of the pairs dropped"


def _ratio(name: str, dense: Times, taken: Times, *, what: str, bar: float | None = None) -> Row:
    """Dense over sparse time: of the processor where the bar stands, of the wall clock beside it."""
    words = f"times faster than dense: {what} (wall clock {dense.wall / taken.wall:.3g} x, " \
            f"spread {max(dense.spread, taken.spread):.2g})"  # fmt: skip
    baseline = Baseline("dense scaled_dot_product_attention, ms", 1000 * dense.wall)
    row = Row(name, words, dense.cpu / taken.cpu, "x", baseline=baseline)
    return row if bar is None else replace(row, bar=bar, direction=">=")
