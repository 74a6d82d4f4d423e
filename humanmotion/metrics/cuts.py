"""Cuts that were found against those that are there: recall, precision, F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class CutScore:
    """Counts over one video or, added up, over many."""

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: CutScore) -> CutScore:
        return CutScore(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def recall(self) -> float:
        """Share of the true cuts that were found; 1 where there is none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the found cuts that are true; 1 where none was found."""
        return self.hits / self.found if self.found else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 1 where there is no cut and none was found."""
        both = self.true + self.found
        return 2 * self.hits / both if both else 1.0


def match_cuts(
    found: Sequence[int], spans: Sequence[tuple[int, int]], *, tolerance: int
) -> list[int | None]:
    """For each true cut the frame found for it, or None.

    A true cut is a span of frames `(first, last)`, one frame long where it is a hard cut; a cut found
    within the span or up to `tolerance` frames beside it is right. Each is matched once; of all ways
    the one with the most matches is taken, and of those the nearest to the middles of the spans.
    """
    if not found or not spans:
        return [None] * len(spans)
    frames = np.array(found, float)[None]
    first, last = np.array(spans, float).T[:, :, None]
    fits = (frames >= first - tolerance) & (frames <= last + tolerance)
    away = np.abs(frames - (first + last) / 2)
    cost = np.where(fits, away / (1 + away.max()) - len(spans), 0.0)
    rows, columns = linear_sum_assignment(cost)
    pairs = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if fits[r, c]}
    return [found[pairs[i]] if i in pairs else None for i in range(len(spans))]


def score_cuts(
    found: Sequence[int], spans: Sequence[tuple[int, int]], *, tolerance: int
) -> CutScore:
    """Counts of `match_cuts`."""
    matched = match_cuts(found, spans, tolerance=tolerance)
    return CutScore(sum(m is not None for m in matched), len(found), len(spans))
