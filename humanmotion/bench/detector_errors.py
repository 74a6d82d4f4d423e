"""How a keypoint detector errs where the truth is known: the real one beside the made-up one.

Distances are shares of the person's height in the picture, as in `detector_noise`, whose parameters
were fitted to rendered clips; the real views, whose reference is four views of the same detector,
verify them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from humanmotion.bench.ms_mocap import Filmed, listing, sequences
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.detector_noise import DetectorNoise
from humanmotion.recovery.initial_pose import SET, mark

LIMBS = ("elbow", "wrist", "knee", "ankle")
APART = 0.1
"""Sides that lie this share of the height apart can be told from each other."""
MADE_UP_SPLIT = "val"
MADE_UP_SEEDS = (0, 1, 2)
"""A shot taken for its other side makes every pair of it exchanged: one seed holds few such shots."""


@dataclass(frozen=True)
class Misses:
    """Of one detector, over everything that was compared."""

    away: Tensor
    """Distances to the true places `(N)`, shares of the person's height; frames without the person
    and landmarks outside of the picture are left out."""
    confidence: Tensor
    """What was said of them `(N)`."""
    exchanged: Tensor
    """Whether left and right of a limb lie nearer to each other's places `(M)`."""
    missed: Tensor
    """Frames in which the person was not found `(F)`."""


def compare(seen: Keypoints, true: Tensor) -> Misses:
    """Keypoints of `SET` against the true pixels `(T, 33, 2)`, NaN in frames where they are unknown."""
    known = torch.isfinite(true).all(-1).all(-1)
    xy, said, true, found = seen.xy[known], seen.confidence[known], true[known], seen.seen[known]
    size = (true.amax(-2) - true.amin(-2)).amax(-1)
    inside = ((true >= 0) & (true < true.new_tensor((seen.width, seen.height)))).all(-1)
    compared = inside & found[:, None]
    away = (xy - true).norm(dim=-1) / size[:, None]
    pairs = torch.tensor([[mark(f"{side}_{limb}") for side in ("left", "right")] for limb in LIMBS])
    ours, theirs = xy[:, pairs], true[:, pairs]
    straight = (ours - theirs).norm(dim=-1).sum(-1)
    crossed = (ours - theirs.flip(2)).norm(dim=-1).sum(-1)
    apart = (theirs[:, :, 0] - theirs[:, :, 1]).norm(dim=-1) > APART * size[:, None]
    told = apart & compared[:, pairs].all(-1)
    return Misses(away[compared], said[compared], (crossed < straight)[told], ~found)


def all_missed(frames: int) -> Misses:
    """Of a detector that found nobody in so many frames."""
    nothing = torch.zeros(0)
    return Misses(nothing, nothing, nothing.bool(), torch.ones(frames, dtype=torch.bool))


def gathered(parts: Sequence[Misses]) -> Misses:
    """All of them together."""
    names = ("away", "confidence", "exchanged", "missed")
    return Misses(*(torch.cat([getattr(p, name) for p in parts]) for name in names))


def made_up_misses(
    data: Path | None, body: BodyModel, *, seeds: Sequence[int] = MADE_UP_SEEDS
) -> Misses | None:
    """Of the made-up detector on ms-mocap in two shots; None where `data` holds none."""
    try:
        chosen = listing(data, split=MADE_UP_SPLIT, shots=(2,))
    except InputError:
        return None
    seen = (s for seed in seeds for s in sequences(chosen, body, noise=DetectorNoise(), seed=seed))
    return gathered([compare(s.keypoints, true_pixels(s, body)) for s in seen])


def true_pixels(seq: Filmed, body: BodyModel) -> Tensor:
    """Where the landmarks of a filmed body are in its pictures `(T, 33, 2)`."""
    motion = seq.motion
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    return torch.cat([s.camera.project(marks[s.start : s.stop]) for s in seq.shots])


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's, of `(N)` and `(N)`; NaN where one of them never changes."""
    if min(float(x.max() - x.min()) for x in (a, b)) == 0:
        return math.nan
    return float(spearmanr(a.numpy(), b.numpy()).statistic)


def figures(misses: Misses) -> dict[str, float]:
    """What is told of a detector, by name; percentages are of the height, of pairs, of frames."""
    if not len(misses.away):
        return dict.fromkeys(_TOLD, math.nan) | {"missed": 100.0}
    away = misses.away.sort().values
    return {
        "median": 100 * float(away[len(away) // 2]),
        "p90": 100 * float(away[int(0.9 * (len(away) - 1))]),
        "confidence": float(misses.confidence.mean()),
        "rank": _rank_correlation(misses.confidence, -misses.away),
        "exchanged": 100 * float(misses.exchanged.float().mean()),
        "missed": 100 * float(misses.missed.float().mean()),
    }


_TOLD = {
    "median": ("distance to the true landmarks, median", "% of height"),
    "p90": ("nine of ten are nearer", "% of height"),
    "confidence": ("mean confidence", ""),
    "rank": ("rank correlation of confidence with nearness", ""),
    "exchanged": ("left and right of a limb exchanged", "%"),
    "missed": ("frames without the person", "%"),
}


def detector_rows(name: str, where: str, *, found: Misses, made_up: Misses | None) -> list[Row]:
    """Rows `name` of the real detector `where` it was watched, the made-up one as its peer."""
    peer = None if made_up is None else figures(made_up)
    other = f"made-up detector, ms-mocap {MADE_UP_SPLIT}"
    rows = []
    for key, value in figures(found).items():
        what, unit = _TOLD[key]
        told = f"real detector, {where} ({len(found.away)} landmarks): {what}"
        beside = None if peer is None else Baseline(other, peer[key])
        rows.append(Row(f"detector/{name}/{key}", told, value, unit, baseline=beside))
    return rows
