"""Rows of `bench generation` for sparse attention within the generator, from the same seed as dense."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from humanmotion.attention import AttentionPlan, BreakEven, MotionGrid, RainFusion2, TokenLayout
from humanmotion.bench.attention_clock import interleaved
from humanmotion.bench.report import Row
from humanmotion.generation.features import body_joints, decode
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.sampling import noise_of, sampled
from humanmotion.generation.vimogen import frame_plan

FRAMES = (200, 1024, 4096)
"""The longest window of training, and lengths at which self-attention begins to weigh."""
STEPS = 4
PROMPT = "a person walks forward"
ALWAYS = BreakEven(tokens=0, density=1.0)


def sparse_rows(make: TextToMotion, *, frames: Sequence[int], turns: int) -> list[Row]:
    """Whole sampling, guided: time over dense attention's, and how far joints come to lie apart."""
    rows, network = [], make.network
    sampling = make.sampling.given(steps=STEPS)
    condition = make.condition([PROMPT])
    for count in frames:
        noise = noise_of(network.noise, [0], [count])
        layout = TokenLayout.of(MotionGrid(count, 1))
        plans = {
            "dense": AttentionPlan(layout, RainFusion2(), backend="dense"),
            "sparse": AttentionPlan(layout, RainFusion2(), break_even=ALWAYS),
            "auto": frame_plan(count),
        }
        calls = [
            partial(sampled, network, condition, noise, sampling=sampling, plan=plan)
            for plan in plans.values()
        ]
        times = interleaved(calls, turns=turns, device=noise.device)
        wall = dict(zip(plans, (t.wall for t in times), strict=True))
        dense, sparse, auto = (_joints(make, call()) for call in calls)
        told = f"{count} frames, {STEPS} steps"
        rows += [
            Row(f"sparse/{count}/speed", f"{told}: sparse, times faster than dense",
                wall["dense"] / wall["sparse"], ""),
            Row(f"sparse/{count}/joints", f"{told}: joints of the same seed apart, sparse from dense",
                1000 * _apart(dense, sparse), "mm"),
            Row(f"sparse/{count}/auto", f"{told}: as it is left to choose, times faster than dense",
                wall["dense"] / wall["auto"], ""),
            Row(f"sparse/{count}/auto-joints", f"{told}: joints apart, as it is left to choose",
                1000 * _apart(dense, auto), "mm"),
        ]  # fmt: skip
    return rows


def _joints(make: TextToMotion, values: Tensor) -> Tensor:
    features = make.network.restored(values)[0].cpu()
    return body_joints(*decode(features), rest=make.body.rest_joints())


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm(dim=-1).mean())
