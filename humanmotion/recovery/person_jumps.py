"""Signs of a cut in the people: box, joints and heading that jump between two frames.

A fast motion moves everything over several frames and a detector's slip comes back; a cut is one
step between two quiet stretches, for everybody in the picture at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.keypoints import Keypoints
from humanmotion.recovery.body_rows import body_rows

CONFIDENT = 0.3
MIN_BOX_OVERLAP = 0.35
"""Overlap of the box with its constant-velocity prediction below which it has jumped."""
SQUARE = 0.15
"""Side of the square about each joint, as a share of the box's height."""
MIN_JOINT_OVERLAP = 0.15
QUIET_JOINT_OVERLAP = 0.4
"""Overlap of the joints' squares at the steps before and after a jump."""
HEADING_JUMP = 25.0
QUIET_HEADING = 8.0
"""Degrees in one frame, at the jump and beside it."""
GONE = 3
"""Frames for which those before a cut stay away, and those after it stay, when nobody goes on."""


def person_jumps(tracks: Sequence[Keypoints], frames: int) -> Tensor:
    """How many of the signs box, joints and heading hold between frames `t - 1` and `t`, `(T)`.

    A sign holds when it does for most (by area) of those seen in both frames.
    """
    votes, weights = torch.zeros(frames, 3), torch.zeros(frames)
    for track in tracks:
        if frames < 2:
            break
        seen = track.seen
        both = torch.cat((torch.zeros(1, dtype=torch.bool), seen[1:] & seen[:-1]))
        boxes = track.boxes(CONFIDENT)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(-1) * both
        votes += area[:, None] * torch.stack(_signs(track, boxes), -1)
        weights += area
    signs = (votes > 0.5 * weights[:, None]) & (weights > 0)[:, None]
    return signs.sum(-1) + 2 * _everybody_changed(tracks, frames)


def _signs(track: Keypoints, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows = body_rows(track.joint_set)
    body, mirrored = torch.from_numpy(rows.body), torch.from_numpy(rows.mirrored)
    plain = _joint_overlap(track, boxes, before=body, now=body)
    crossed = _joint_overlap(track, boxes, before=body, now=mirrored)
    joints = torch.maximum(plain, crossed)
    jumped = (joints < MIN_JOINT_OVERLAP) & (_beside(joints, fill=0.0) > QUIET_JOINT_OVERLAP)
    turned = _heading_jump(track, crossed > plain)
    turn = (turned > HEADING_JUMP) & (-_beside(-turned, fill=-180.0) < QUIET_HEADING)
    return _box_jump(boxes), jumped, turn


def _box_jump(boxes: Tensor) -> Tensor:
    """Whether each box lies off where the two before it lead, `(T)` bool."""
    before = torch.cat((boxes[:1], boxes[:-1]))
    earlier = torch.cat((before[:1], before[:-1]))
    known = ((earlier[:, 2] > earlier[:, 0]) & (before[:, 2] > before[:, 0]))[:, None]
    centre = (before[:, 2:] + before[:, :2]) / 2 - (earlier[:, 2:] + earlier[:, :2]) / 2
    predicted = before + torch.where(known, centre, 0.0).repeat(1, 2)
    return torch.maximum(_overlap(boxes, predicted), _overlap(boxes, before)) < MIN_BOX_OVERLAP


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes `(..., 4)`."""
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    common = sides.clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return common / (area - common).clamp(min=1e-9)


def _joint_overlap(track: Keypoints, boxes: Tensor, *, before: Tensor, now: Tensor) -> Tensor:
    """Mean overlap of squares about rows `before` and rows `now`, `(T)`; 0 where not seen."""
    half = SQUARE / 2 * (boxes[:, 3] - boxes[:, 1])
    half = torch.maximum(half, torch.cat((half[:1], half[:-1])))[:, None]
    sure = track.confidence > CONFIDENT
    both = sure[:, now] & sure[:, before].roll(1, 0)
    both[0] = False
    moved = (track.xy[:, now] - track.xy[:, before].roll(1, 0)).abs()
    common = (2 * half[..., None] - moved).clamp(min=0).prod(-1)
    overlap = common / (8 * half**2 - common).clamp(min=1e-9)
    return (overlap * both).sum(-1) / both.sum(-1).clamp(min=1)


def _heading_jump(track: Keypoints, crossed: Tensor) -> Tensor:
    """Degrees by which shoulders and hips turn about the vertical between two frames, `(T)`.

    Where left and right were taken for each other (`crossed`), the detector's depth is mirrored
    too, and the heading is corrected before the difference is taken.
    """
    if track.xyz is None:
        return torch.zeros(len(track))
    rows = torch.from_numpy(body_rows(track.joint_set).torso)
    left, right = rows[[0, 3]], rows[[1, 2]]
    across = (track.xyz[:, left] - track.xyz[:, right]).mean(1)
    heading = torch.rad2deg(torch.atan2(across[:, 2], across[:, 0]))
    now = torch.where(crossed, 180.0 - heading, heading)
    jump = ((now - heading.roll(1) + 180.0) % 360.0 - 180.0).abs()
    seen = track.seen & track.seen.roll(1)
    seen[0] = False
    return torch.where(seen, jump, 0.0)


def _beside(values: Tensor, *, fill: float) -> Tensor:
    """The smaller of the values one frame before and after, `(T)`."""
    end = torch.tensor([fill])
    return torch.minimum(torch.cat((end, values[:-1])), torch.cat((values[1:], end)))


def _everybody_changed(tracks: Sequence[Keypoints], frames: int) -> Tensor:
    """Frames `(T)` from which on nobody of before is left but somebody else is there."""
    out = torch.zeros(frames, dtype=torch.long)
    if not tracks or frames < 2 * GONE:
        return out
    seen = torch.stack([track.seen for track in tracks])
    windows = seen.unfold(1, GONE, 1)  # (people, T - GONE + 1, GONE): frames t to t + GONE - 1
    before, after = windows[:, :-GONE], windows[:, GONE:]
    alike = (before.any(2) & after.any(2)).any(0)
    changed = before.all(2).any(0) & after.all(2).any(0) & ~alike
    out[GONE : frames - GONE + 1] = changed.long()
    return out
