"""How alike two sightings are but for their clothes: place, pose and build.

Pose and build are read off the detector's own 3D points, so that they hold from any side. Time goes
on over a cut: who raised a foot before it still does after it. How long the bones are the detector
knows only roughly, which is why this tells people apart only beside the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.body_rows import BodyRows
from humanmotion.recovery.detection import Sighting
from humanmotion.recovery.rotation_fit import kabsch

Floats = NDArray[np.float64]

LEAST_METRES = 1e-3
"""Bones are no shorter: a detector without 3D gives points that all lie in one place."""
_BONES = ((0, 1), (1, 2), (0, 3), (3, 4), (4, 5))
"""Of shoulder, elbow, wrist, hip, knee and ankle."""


def step_between(a: Sighting, b: Sighting, rows: BodyRows) -> float:
    """Mean distance in the picture of the body's points, in sides of the larger square.

    The detector may take left for right; that is no motion, so the smaller of both counts.
    """
    distances = []
    for other in (rows.body, rows.mirrored):
        both = (a.confidence[rows.body] > 0.3) & (b.confidence[other] > 0.3)
        if both.any():
            apart = a.xy[rows.body][both] - b.xy[other][both]
            distances.append(float(np.linalg.norm(apart, axis=1).mean()))
    return min(distances, default=float("inf")) / max(a.box.side, b.box.side)


def share_within(a: Sighting, b: Sighting) -> float:
    """Share of the first one's extent that lies inside the other's, in [0, 1]."""
    (low, high), (least, most) = _extent(a), _extent(b)
    common = np.maximum(np.minimum(high, most) - np.maximum(low, least), 0)
    return float(np.prod(common) / np.prod(high - low))


def _extent(seen: Sighting) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    points = seen.xy[seen.confidence > 0.5]
    return points.min(0), points.max(0)


def pose_distance(a: Sighting, b: Sighting, rows: BodyRows) -> float:
    """Mean distance of the limbs' joints in metres, the bodies turned and moved onto each other.

    The detector may take left for right, so the smaller of both ways counts.
    """
    there = _limbs(a, rows)
    here = _limbs(b, rows)
    return min(_apart(there, here), _apart(there, here[:, ::-1]))


def proportions(sightings: Sequence[Sighting], rows: BodyRows) -> Floats:
    """Logarithms of the lengths `(5)` of arms, trunk and legs, both sides' mean, median over time."""
    limbs = np.stack([_limbs(seen, rows) for seen in sightings])
    bones = np.stack([limbs[:, a] - limbs[:, b] for a, b in _BONES], 1)
    lengths = np.linalg.norm(bones, axis=-1).mean(-1)
    return np.asarray(np.median(np.log(np.maximum(lengths, LEAST_METRES)), axis=0))


def build_distance(a: Floats, b: Floats) -> float:
    """How differently two people are built: root mean square of the difference of `proportions`."""
    return float(np.sqrt(np.square(a - b).mean()))


def _limbs(seen: Sighting, rows: BodyRows) -> Floats:
    return seen.xyz[rows.limbs].astype(np.float64)


def _apart(a: Floats, b: Floats) -> float:
    """Of points `(..., 3)` after the best rotation."""
    a, b = (points.reshape(-1, 3) - points.reshape(-1, 3).mean(0) for points in (a, b))
    (turn,) = kabsch(a[None], b[None], np.ones((1, len(a))))
    return float(np.linalg.norm(a @ turn.T - b, axis=1).mean())
