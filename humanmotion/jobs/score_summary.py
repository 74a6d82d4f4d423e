"""What many clips say together: means with intervals, and which system is ahead, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.jobs.score_systems import SystemScores
from humanmotion.jobs.score_truth import TRUTH_METRICS
from humanmotion.metrics.bootstrap import block_bootstrap
from humanmotion.metrics.mbench_joints import CLEARANCE, DEPTH, JOINT_METRICS
from humanmotion.metrics.mbench_names import (
    CHOICE,
    DPOSERX,
    JUDGED_CHOICE,
    JUDGED_MATCH,
    MATCH,
    MESH_INSIDE,
    MESH_PENETRATION,
    POSE_FIELD,
)

LOWER_IS_BETTER = (
    *(name for name in JOINT_METRICS if name != "Dynamic_Degree"),
    CLEARANCE,
    DEPTH,
    MESH_PENETRATION,
    MESH_INSIDE,
    POSE_FIELD,
    DPOSERX,
    *TRUTH_METRICS,
)
"""Metrics by which systems are ranked. Dynamic_Degree says how much is going on, not how well: a still
figure wins all those of motion, so it is shown beside them and ranks nobody."""
HIGHER_IS_BETTER = (CHOICE, MATCH, JUDGED_CHOICE, JUDGED_MATCH)
"""Shares of clips that show their prompt, which rank too."""
CHANCE = {CHOICE: 0.1, JUDGED_CHOICE: 0.1}
"""What a guess scores."""
DRAWS = 2000
_SEED = 0


@dataclass(frozen=True)
class Aggregate:
    """One metric of one system."""

    mean: float | None
    """Plain mean over the clips that have a value, as published; None without any."""
    std: float | None
    """Of the population, as published."""
    num_samples: int
    low: float | None
    """95 % interval of the mean: clips drawn anew; None for fewer than two."""
    high: float | None


@dataclass(frozen=True)
class Rank:
    """A system's place in one metric, 1 the best."""

    place: int
    low: int
    """95 % interval of the place, when clips are drawn anew."""
    high: int


def label(metric: str) -> str:
    """A metric's name with the side that is better, and what a guess would score."""
    chance = f" (chance {CHANCE[metric]:g})" if metric in CHANCE else ""
    if metric in HIGHER_IS_BETTER:
        return f"{metric} ↑{chance}"
    return f"{metric} ↓" if metric in LOWER_IS_BETTER else f"{metric} (not ranked)"


def aggregate(system: SystemScores, metric: str) -> Aggregate:
    """Mean, population deviation and interval of a metric over a system's clips."""
    values = torch.tensor(list(system.numbers(metric).values()), dtype=torch.float64)
    if not len(values):
        return Aggregate(None, None, 0, None, None)
    mean, std = float(values.mean()), float(values.std(correction=0))
    if len(values) < 2:
        return Aggregate(mean, std, 1, None, None)
    low, high = block_bootstrap([values], block=1, draws=DRAWS, seed=_SEED)
    return Aggregate(mean, std, len(values), low, high)


def ranks(systems: Sequence[SystemScores], metric: str) -> dict[str, Rank]:
    """Place of each system that has a value, by its mean; nobody for metrics without a better side.

    Systems with the same clips are drawn together, which is the fairer comparison.
    """
    numbers = {system.name: system.numbers(metric) for system in systems}
    numbers = {name: values for name, values in numbers.items() if values}
    if metric not in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER) or len(numbers) < 2:
        return {}
    side = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    means = torch.tensor([[sum(v.values()) / len(v)] for v in numbers.values()])
    own = _places(side * means)[:, 0]
    drawn = _places(side * _drawn_means(list(numbers.values()))).double()
    ends = drawn.quantile(drawn.new_tensor((0.025, 0.975)), dim=1, interpolation="nearest")
    return {
        name: Rank(int(own[i]), int(ends[0, i]), int(ends[1, i])) for i, name in enumerate(numbers)
    }


def ranking(systems: Sequence[SystemScores], metrics: Sequence[str]) -> list[tuple[str, float]]:
    """Systems by their mean place over the metrics that rank, best first; empty for one alone."""
    places: dict[str, list[int]] = {}
    for metric in metrics:
        for name, rank in ranks(systems, metric).items():
            places.setdefault(name, []).append(rank.place)
    means = [(name, sum(found) / len(found)) for name, found in places.items()]
    return sorted(means, key=lambda row: row[1])


def worst_clips(system: SystemScores, metric: str, *, count: int) -> list[tuple[str, float]]:
    """Stems and values of the clips with the highest values of a metric, worst first."""
    found = sorted(system.numbers(metric).items(), key=lambda row: -row[1])
    return found[:count]


def _drawn_means(numbers: Sequence[dict[str, float]]) -> Tensor:
    """Means `(systems, DRAWS)` of clips drawn anew."""
    stems = [sorted(values) for values in numbers]
    paired = all(names == stems[0] for names in stems)
    generator = torch.Generator().manual_seed(_SEED)
    means = []
    for names, values in zip(stems, numbers, strict=True):
        if paired:
            generator.manual_seed(_SEED)
        own = torch.tensor([values[name] for name in names], dtype=torch.float64)
        rows = torch.randint(len(own), (DRAWS, len(own)), generator=generator)
        means.append(own[rows].mean(1))
    return torch.stack(means)


def _places(means: Tensor) -> Tensor:
    """Places `(systems, n)`, from 1, of means `(systems, n)`; equal ones share the better place."""
    return (means[None, :] < means[:, None]).sum(1) + 1
