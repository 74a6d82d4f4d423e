"""Rows of `bench generation` for real motion itself: what the evaluator can tell, and how real feet go.

They come before every figure of what is generated, since no model need be better than real motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.bench.report import Row
from humanmotion.body import BodyModel
from humanmotion.generation.features import JOINTS, POSITIONS
from humanmotion.generation.retrieval import Evaluator
from humanmotion.jobs.clip_filters import measured
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.evaluator_scores import Embedded, embed, retrieval_figures
from humanmotion.metrics.text import BATCH, frechet_distance, kernel_distance

MOVES = {
    "jitter": "m/frame^2", "sliding": "m/frame", "penetration": "m", "dynamic": "m/frame",
}  # fmt: skip


def real_rows(
    evaluator: Evaluator,
    splits: Sequence[EvaluatorPairs],
    *,
    names: Sequence[str],
    body: BodyModel,
    repetitions: int = 20,
) -> list[Row]:
    """Retrieval, spread, distance from the first split, and the feet of each split's clips."""
    embedded = [embed(evaluator, pairs) for pairs in splits]
    rows: list[Row] = []
    for name, pairs, own in zip(names, splits, embedded, strict=True):
        rows += _retrieval(name, own, repetitions)
        rows += _distances(name, embedded[0], own) if own is not embedded[0] else []
        rows += _movement(name, pairs, body)
    return rows


def _retrieval(name: str, own: Embedded, repetitions: int) -> list[Row]:
    said = f"real motion, {name}, {len(own.text)} clips"
    if len(own.text) < BATCH:
        return [Row(f"real-{name}-R@3", f"{said}: fewer than a batch of {BATCH}", None, "")]
    return [
        Row(
            f"real-{name}-{key.replace(' ', '-')}",
            f"{said}: {key}, +-{found.half_width:.3f} over {found.repetitions} repetitions",
            found.mean, "",
        )
        for key, found in retrieval_figures(own, repetitions=repetitions).items()
    ]  # fmt: skip


def _distances(name: str, first: Embedded, own: Embedded) -> list[Row]:
    pair = first.motion, own.motion
    return [
        Row(f"real-{name}-FID", f"real motion, {name}, from train", frechet_distance(*pair), ""),
        Row(f"real-{name}-KID", f"real motion, {name}, from train", kernel_distance(*pair), ""),
    ]


def _movement(name: str, pairs: EvaluatorPairs, body: BodyModel) -> list[Row]:
    """Means over clips, each of them as likely."""
    found = [_moves(pairs.shards.of_clip(i), body) for i in pairs.clips]
    return [
        Row(f"real-{name}-{key}", f"real motion, {name}: {key}, mean over clips",
            float(torch.tensor([f[key] for f in found]).mean()), unit)
        for key, unit in MOVES.items()
    ]  # fmt: skip


def _moves(features: Tensor, body: BodyModel) -> dict[str, float]:
    joints = features[:, POSITIONS].unflatten(-1, (JOINTS, 3))
    about = joints - joints[:, :1]
    dynamic = sum(float(p.diff(dim=0).norm(dim=-1).mean()) for p in (joints, about))
    sure = torch.ones(joints.shape[:2])
    return measured(joints, sure, sole=body.sole_offset()) | {"dynamic": dynamic}
