"""What learnt parts gain a reconstruction: one set of keypoints, fitted without them and with them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from humanmotion.bench.report import Row
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.reconstruct import reconstruct
from humanmotion.metrics import block_bootstrap

Part = Literal["prior", "lifter and prior"]
PARTS: tuple[Part, ...] = ("prior", "lifter and prior")
SHARE_BETTER = 0.75
"""Share of the views in which a part must help."""
BLOCK = 16
"""Frames that are drawn together: neighbours err alike."""
DRAWS = 2000


@dataclass(frozen=True)
class ViewGain:
    """One view's errors without and with the prior, frame by frame of its reference."""

    part: Part
    """What was left out."""
    reference: str
    """Views of one reference film the same moments."""
    without: Tensor
    """Millimetres `(F)`; NaN where the reference is not whole."""
    fitted: Tensor
    """The same with it."""

    @property
    def better(self) -> bool:
        """Whether the median error is lower with the part; never for a run that failed."""
        return bool(self.fitted.nanmedian() < self.without.nanmedian())


def reconstruct_without(video: Path, part: Part, *, done: Path, output: Path, seed: int) -> Path:
    """Reconstruct into `output` without a part, from the stages of the run in `done`.

    People, shots and camera are the same to the bit; poses and what follows are computed anew.
    """
    shutil.copytree(done / "stages", output / "stages")
    lifter = load_lifter if part == "prior" else None
    return reconstruct(video, output=output, prior=None, lifter=lifter, seed=seed).folder


def gain_rows(views: Sequence[ViewGain]) -> list[Row]:
    """In how many views each part helps, and by how much on the mean; nothing without views."""
    return [row for part in PARTS for row in _part_rows([v for v in views if v.part == part], part)]


def _part_rows(views: Sequence[ViewGain], part: Part) -> list[Row]:
    if not views:
        return []
    better = sum(v.better for v in views)
    bar = math.ceil(SHARE_BETTER * len(views))
    what = f"views of {len(views)} whose PA-MPJPE is lower with the {part} than without"
    rows = [Row(f"{part}/views_better", what, float(better), "", bar, ">=")]
    series = _series(views)
    if any(len(s) for s in series):
        low, high = block_bootstrap(series, block=BLOCK, draws=DRAWS)
        what = (
            f"mean gain by the {part}, 95 % interval {low:.1f} to {high:.1f} "
            f"(block bootstrap, {DRAWS} draws, blocks of {BLOCK} frames)"
        )
        rows.append(Row(f"{part}/gain", what, float(torch.cat(series).mean()), "mm"))
    return rows


def _series(views: Sequence[ViewGain]) -> list[Tensor]:
    """Gain per frame of each reference, the mean of its views: what they film is one sample."""
    out = []
    for name in dict.fromkeys(v.reference for v in views):
        gains = [v.without - v.fitted for v in views if v.reference == name]
        mean = torch.stack(gains).nanmean(0)
        out.append(mean[torch.isfinite(mean)])
    return out
