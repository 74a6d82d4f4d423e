"""IDF1: are the same people followed by the same tracks over the whole video?

Ristani, Solera, Zou, Cucchiara and Tomasi, Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking, 2016: true and found tracks are paired one to one, once for the whole video, so
that as many detections as possible are of the right person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from humanmotion.checks import check_tensor


@dataclass(frozen=True)
class IdentityScore:
    """Counts of boxes over one video or, added up, over many."""

    right: int = 0
    """Boxes of the true person in the track that is taken for them (IDTP)."""
    found: int = 0
    true: int = 0

    def __add__(self, other: IdentityScore) -> IdentityScore:
        return IdentityScore(
            self.right + other.right, self.found + other.found, self.true + other.true
        )

    @property
    def idf1(self) -> float:
        """2 IDTP / (2 IDTP + IDFP + IDFN); 1 where nobody is there and nobody was found."""
        both = self.true + self.found
        return 2 * self.right / both if both else 1.0


def identity_score(
    found: Sequence[Tensor], true: Sequence[Tensor], *, overlap: float = 0.5
) -> IdentityScore:
    """Tracks of boxes `(T, 4)` (x0, y0, x1, y1; no area where absent) against the true ones.

    A box is that of a person when both overlap (intersection over union) by `overlap` or more.
    Raises MotionError when tracks differ in length.
    """
    frames = len((*found, *true)[0]) if found or true else 0
    for name, tracks in (("found", found), ("true", true)):
        for track in tracks:
            check_tensor(f"{name} boxes", track, (frames, 4))
    hits = torch.tensor(
        [[int((box_overlap(a, b) >= overlap).sum()) for b in found] for a in true]
    ).reshape(len(true), len(found))
    rows, columns = linear_sum_assignment(hits.numpy(), maximize=True)
    return IdentityScore(
        int(hits[rows, columns].sum()), *(sum(_present(t) for t in s) for s in (found, true))
    )


def box_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes `(..., 4)`; 0 where one has no area."""
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    common = sides.clamp(min=0).prod(-1)
    area = _area(a) + _area(b) - common
    return torch.where(common > 0, common / area.clamp(min=1e-9), torch.zeros_like(common))


def _area(box: Tensor) -> Tensor:
    return (box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1)


def _present(track: Tensor) -> int:
    return int((_area(track) > 0).sum())
