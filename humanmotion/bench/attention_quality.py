"""Rows of `humanmotion bench attention` about what sparse attention loses, on made-up smooth video."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from humanmotion.attention import (
    AttentionPlan,
    BreakEven,
    RainFusion2,
    SnapReuse,
    TokenLayout,
    TokenMerge,
    VideoGrid,
)
from humanmotion.attention.blocks import Blocks
from humanmotion.attention.dense import attend_dense
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.problem import Problem
from humanmotion.attention.recall import attention_rows, kept_share
from humanmotion.attention.ripple import ceiling_speedup
from humanmotion.attention.rope import Rotary, grid_positions
from humanmotion.bench.attention_clock import interleaved
from humanmotion.bench.report import Row

HEADS, CHANNELS = 8, (16, 24, 24)
WINDOWS = {"raster": (1, 1, 256), "frame_1x8x8": (1, 8, 8), "tile_2x4x8": (2, 4, 8)}
THETAS = (0.1, 0.2, 0.3, 0.5)
CPU = torch.device("cpu")
STUDY = BreakEven(tokens=0, density=1.0)


def smooth_video(layout: TokenLayout, *, seed: int) -> list[Tensor]:
    """q, k, v `(1, HEADS, N, 64)` of a grid: features that vary slowly in time and space, turned.

    Blurred noise with a little white noise; keys share most of it with the queries, whose standard
    deviation is 1.6, as in our specification of sparse attention, section 4.5.
    """
    generator = torch.Generator().manual_seed(seed)
    size = sum(CHANNELS)
    rotary = Rotary.of(grid_positions(layout), channels=CHANNELS)

    def field() -> Tensor:
        coarse = torch.randn(HEADS, size, 5, 5, 5, generator=generator)
        fine = interpolate(coarse, layout.segments[0].shape, mode="trilinear", align_corners=True)
        rows = fine.flatten(2).transpose(1, 2)[None]
        noisy = rows + 0.1 * torch.randn(rows.shape, generator=generator)
        return noisy / noisy.std()

    base = field()
    keys = 0.8 * base + 0.6 * field()
    return [rotary.turn(1.6 * base), rotary.turn(1.6 * keys), field()]


def predictor_rows(*, side: int, seeds: int) -> list[Row]:
    """Recall against the best choice of as many blocks, and error with and without the tail."""
    rows = []
    for name, window in WINDOWS.items():
        for keep in (0.5, 0.2, 0.1):
            found = [_predicted(side, window, keep=keep, seed=seed) for seed in range(seeds)]
            recall, best, error, tail = (statistics.mean(x) for x in zip(*found, strict=True))
            at = f"{name}_{keep:g}"
            what = f"{name}, {keep:.0%} of the blocks kept: "
            share = f"{what}weight on kept keys (best choice {best:.3f})"
            lost = f"{what}L1 error of the result over its L1 (with tail {tail:.3f})"
            rows += [Row(f"recall_{at}", share, recall, ""), Row(f"error_{at}", lost, error, "")]
    return rows


def _predicted(
    side: int, window: tuple[int, int, int], *, keep: float, seed: int
) -> tuple[float, float, float, float]:
    """Recall, that of the best choice, error without and with the tail."""
    layout = TokenLayout.of(VideoGrid(side, side, side, window=window))
    q, k, v = (layout.permute(x) for x in smooth_video(layout, seed=seed))
    method = RainFusion2(sparsity=1 - keep, sink=False, block=(64, 64))
    problem = Problem(layout, layout, None, q.shape[-1] ** -0.5, False, attend_gather)
    mask = method.predict(q, k, problem)
    # Whole blocks of queries, every fourth: the best choice is made for a block.
    rows = torch.cat(torch.arange(layout.tokens).split(mask.rows.size)[::4])
    kept = method.kept(mask, rows=rows, problem=problem)
    assert kept is not None
    recall = float(kept_share(q, k, kept=kept, rows=rows, problem=problem).mean())
    weights = attention_rows(q, k, rows=rows, problem=problem)
    best = best_recall(
        weights, mask.columns, size=mask.rows.size, count=int(mask.kept[0, 0, 0].sum())
    )
    dense = attend_dense(q, k, v)
    errors = [
        float(
            (attend_gather(q, k, v, mask=mask, tail=tail) - dense).abs().sum() / dense.abs().sum()
        )
        for tail in (False, True)
    ]
    return recall, best, errors[0], errors[1]


def best_recall(weights: Tensor, blocks: Blocks, *, size: int, count: int) -> float:
    """Weight on the heaviest `count` key blocks of every `size` queries, of `(B, H, r, N_k)`."""
    heavy = [
        blocks.split(part.mean(2)[..., None]).sum((-1, -2)).topk(count).values.sum(-1)
        for part in weights.split(size, dim=2)
    ]
    return float(torch.stack(heavy).mean())


def reuse_rows(*, side: int, turns: int) -> list[Row]:
    """TimeRipple: products saved, the most they could gain, and what the clock says, apart."""
    layout = TokenLayout.of(VideoGrid(side, side, side))
    q, k, v = smooth_video(layout, seed=0)
    dense = attend_dense(q, k, v)
    rows = []
    for theta in THETAS:
        for name, method in (("snap", SnapReuse(theta)), ("merge", TokenMerge(theta))):
            plan = AttentionPlan(layout, method, break_even=STUDY)
            calls: list[Callable[[], Any]] = [
                lambda: attend_dense(q, k, v),
                lambda plan=plan: plan.attend(q, k, v),  # type: ignore[misc]
            ]
            times = interleaved(calls, turns=turns, device=CPU)
            out = plan.attend(q, k, v)
            error = float((out - dense).abs().sum() / dense.abs().sum())
            sparsity = plan.report().sparsity
            at, what = f"{name}_{theta:g}", f"TimeRipple {name}, theta {theta:g}: "
            rows.append(Row(f"saved_{at}", f"{what}products of q k^T not computed", sparsity, ""))
            if name == "snap" and sparsity is not None:
                ceiling = ceiling_speedup(sparsity)
                rows.append(Row(f"ceiling_{at}", f"{what}most that could gain", ceiling, "x"))
            measured = times[0].wall / times[1].wall
            rows.append(Row(f"clock_{at}", f"{what}measured wall clock over dense", measured, "x"))
            rows.append(Row(f"error_{at}", f"{what}L1 error over L1", error, ""))
    return rows


def trained_rows() -> list[Row]:
    """Goals that wait for trained models of ours, as rows that have not been run."""
    waits = "waits for a trained model of ours: "
    gap, gain = (
        f"{waits}recall below the best choice, 80 %",
        f"{waits}share of the error off by tail",
    )
    error = f"{waits}median L1 error over L1, 80 %, 20 % dense steps"
    heads = f"{waits}heads given the mask of greatest recall"
    return [
        Row("trained_recall_gap", gap, None, "", 0.05, "<="),
        Row("trained_tail_gain", gain, None, "", 0.06, ">="),
        Row("trained_error", error, None, "", 0.08, "<="),
        Row("trained_psnr", f"{waits}decoded video against dense", None, "dB", 24.0, ">="),
        Row("trained_joints", f"{waits}mean joint deviation from dense", None, "mm", 5.0, "<="),
        Row("trained_heads", heads, None, "", 0.95, ">="),
    ]
