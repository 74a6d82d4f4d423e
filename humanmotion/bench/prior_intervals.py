"""How sure a comparison of two methods is: the same samples, whole clips or actions drawn anew.

Windows of one clip are alike, and so are takes of one action; each counts as one sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.bench.report import Row
from humanmotion.jobs.data import read_index
from humanmotion.jobs.prior_data import SETS
from humanmotion.metrics import group_bootstrap

DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A figure and its central 95 % interval."""

    value: float
    low: float
    high: float

    def rows(self, key: str, what: str, unit: str) -> list[Row]:
        """Both ends."""
        how = f"{what}, 95 % interval ({DRAWS} draws of whole actions)"
        return [Row(f"{key}/low", f"{how}, its low end", self.low, unit),
                Row(f"{key}/high", f"{how}, its high end", self.high, unit)]  # fmt: skip


def actions(data: Path) -> dict[str, str]:
    """`set/action` of every `set/clip` under `data`; a clip whose set names no actions is its own."""
    found = {}
    for name in SETS:
        path = data / name / "index.jsonl"
        for row in read_index(path) if path.exists() else []:
            found[f"{name}/{row['id']}"] = f"{name}/{row.get('action') or row['id']}"
    return found


def grouped(clips: Sequence[str], by: Mapping[str, str]) -> tuple[str, ...]:
    """The action of each of `clips`, which are `set/clip`; a clip that `by` lacks is its own."""
    return tuple(by.get(clip, clip) for clip in clips)


def difference(one: Tensor, other: Tensor, groups: Sequence[str]) -> Interval:
    """Mean of `one` minus mean of `other`, errors `(N)` of the same samples; a group for each."""
    low, high = group_bootstrap(torch.stack((one, other), -1), groups, draws=DRAWS,
                                statistic=lambda means: means[:, 0] - means[:, 1])  # fmt: skip
    return Interval(float(one.mean() - other.mean()), low, high)


def ratio(one: Tensor, other: Tensor, groups: Sequence[str]) -> Interval:
    """Mean of `one` over mean of `other`, errors `(N)` of the same samples; a group for each."""
    low, high = group_bootstrap(torch.stack((one, other), -1), groups, draws=DRAWS,
                                statistic=lambda means: means[:, 0] / means[:, 1])  # fmt: skip
    return Interval(float(one.mean() / other.mean()), low, high)
