"""The published shot detector as its paper describes it, on the same inputs as ours.

HumanMM (CVPR 2025) section 3: three tests in series, and the cuts of all of them. The scene test is
PySceneDetect's content detector with its defaults; the box test and the pose test ask whether the
person's box and joints overlap from frame to frame. The paper gives no thresholds for these two: they
are set to those of our own signs, and a joint's box is a square about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.keypoints import Keypoints
from humanmotion.metrics.identity import box_overlap
from humanmotion.recovery.body_rows import body_rows
from humanmotion.recovery.content import Content
from humanmotion.recovery.person_jumps import (
    CONFIDENT,
    MIN_BOX_OVERLAP,
    MIN_JOINT_OVERLAP,
    SQUARE,
)

TESTS = ("scene", "scene + box", "scene + box + pose")
SCENE_LEVEL = 27.0
SCENE_FRAMES = 15
"""PySceneDetect's defaults: change of content, and frames of the shortest scene."""


def published_cuts(content: Content, tracks: Sequence[Keypoints], *, tests: str) -> list[int]:
    """First frames of later shots, by one of TESTS; people who are not seen say nothing."""
    hits = content.change > SCENE_LEVEL
    for track in tracks:
        boxes = track.boxes(CONFIDENT)
        both = torch.zeros(len(track), dtype=torch.bool)
        both[1:] = track.seen[1:] & track.seen[:-1]
        if "box" in tests:
            hits = hits | (both & (_to_last(boxes) < MIN_BOX_OVERLAP))
        if "pose" in tests:
            hits = hits | (both & (_joints_overlap(track, boxes) < MIN_JOINT_OVERLAP))
    cuts: list[int] = []
    for frame in hits.nonzero()[:, 0].tolist():
        if frame - (cuts[-1] if cuts else 0) >= SCENE_FRAMES:
            cuts.append(frame)
    return cuts


def _joints_overlap(track: Keypoints, boxes: Tensor) -> Tensor:
    """Mean over the joints seen twice of the overlap of squares about them, `(T)`."""
    rows = torch.from_numpy(body_rows(track.joint_set).body)
    half = SQUARE / 2 * (boxes[:, 3] - boxes[:, 1]).clamp(min=1.0)[:, None, None]
    squares = torch.cat((track.xy[:, rows] - half, track.xy[:, rows] + half), -1)
    sure = track.confidence[:, rows] > CONFIDENT
    both = torch.zeros_like(sure)
    both[1:] = sure[1:] & sure[:-1]
    overlap = _to_last(squares) * both
    known = both.sum(1)
    return torch.where(known > 0, overlap.sum(1) / known.clamp(min=1), torch.ones(len(track)))


def _to_last(boxes: Tensor) -> Tensor:
    """Overlap of boxes `(T, ..., 4)` with those one frame earlier."""
    return box_overlap(boxes, torch.cat((boxes[:1], boxes[:-1])))
