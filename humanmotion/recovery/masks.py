"""Where people are in the picture, so that the camera is judged by the background alone.

A person is drawn as capsules along the limbs, a filled torso and a disc for the head, all wider
than the body by a margin; thin errors of the detector then stay inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from humanmotion.errors import UsageError
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints

_LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}", width)
    for side in ("left", "right")
    for a, b, width in (
        ("shoulder", "elbow", 0.34),
        ("elbow", "wrist", 0.34),
        ("hip", "knee", 0.45),
        ("knee", "ankle", 0.40),
        ("ankle", "heel", 0.30),
        ("ankle", "big_toe", 0.30),
        ("ankle", "foot", 0.30),
        ("shoulder", "hip", 0.40),
        ("shoulder", "ear", 0.40),
    )
)
"""Joint, joint, and width of the capsule as a share of the torso's length."""
_TORSO = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
_HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head")
_TIPS = (("left_wrist", 0.38), ("right_wrist", 0.38), ("left_ankle", 0.32), ("right_ankle", 0.32))
"""Ends from which fingers or toes reach on: disc radius as a share of the torso's length."""
MIN_CONFIDENCE = 0.1
"""Low on purpose: hiding a little background costs nothing, an unhidden arm misleads."""
BOX_SHARE = 0.3
"""Torso length as a share of the person's box when the torso itself is not seen."""

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


class PeopleMasks:
    """Background masks of a video, frame by frame, from the tracks of everyone in it."""

    def __init__(self, tracks: Sequence[Keypoints], *, width: int, height: int) -> None:
        """`width` and `height` are those of the masks; keypoints are scaled to them."""
        if width <= 0 or height <= 0:
            raise UsageError(f"mask size {width}x{height} given; both must be positive")
        self._size = (height, width)
        self._people = []
        for track in tracks:
            scale = np.array([width / track.width, height / track.height])
            self._people.append((track, scale))

    def background(self, frame: int) -> Image:
        """`(height, width)` uint8: 255 where the background shows in this frame, 0 on people.

        A frame outside a track's range holds nothing of that person.
        """
        mask = np.full(self._size, 255, np.uint8)
        for track, scale in self._people:
            if not 0 <= frame < len(track):
                continue
            confidence = track.confidence[frame].numpy()
            if confidence.max(initial=0.0) > MIN_CONFIDENCE:
                xy = track.xy[frame].numpy().astype(np.float64) * scale
                hide_person(mask, xy, confidence, joint_set=track.joint_set)
        return mask


def hide_person(
    mask: Image,
    xy: Floats,
    confidence: NDArray[np.floating],
    *,
    joint_set: str,
    width: float = 1.0,
) -> None:
    """Draw one person as 0 into `mask` `(h, w)`; `xy` `(J, 2)` in its pixels, confidence `(J)`.

    `width` is that of the limbs and the head as a share of what hides all of them for sure.
    """
    places = _places(joint_set)
    seen = confidence > MIN_CONFIDENCE
    if not seen.any():
        return
    limit = 4.0 * max(mask.shape)
    points = {name: np.clip(xy[j], -limit, limit) for name, j in places.items() if seen[j]}
    torso = width * _torso_length(points, xy[seen])
    for a, b, share in _LIMBS:
        if a in points and b in points:
            _line(mask, points[a], points[b], share * torso)
    corners = [points[name] for name in _TORSO if name in points]
    if len(corners) >= 3:
        hull = cv2.convexHull(np.round(corners).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 0)
    for name, radius in _TIPS:
        if name in points:
            _disc(mask, points[name], radius * torso)
    head = [points[name] for name in _HEAD if name in points]
    if head:
        _disc(mask, np.mean(head, axis=0), 0.45 * torso)
    if len(points) < 3:
        _box(mask, xy[seen], 0.2 * torso)


@cache
def _places(joint_set: str) -> dict[str, int]:
    names = JOINT_SETS[joint_set]
    return {name: names.index(name) for name in _WANTED if name in names}


_WANTED = tuple(
    dict.fromkeys([name for limb in _LIMBS for name in limb[:2]] + [*_TORSO, *_HEAD, *dict(_TIPS)])
)


def _torso_length(points: dict[str, Floats], seen: Floats) -> float:
    """Length of the torso in pixels, never shorter than a share of the person's box.

    Seen from above or lying towards the camera the torso is short, the limbs are as thick as ever.
    """
    box = float(np.ptp(seen, axis=0).max()) if len(seen) > 1 else 0.0
    sides = [
        float(np.linalg.norm(points[f"{s}_shoulder"] - points[f"{s}_hip"]))
        for s in ("left", "right")
        if f"{s}_shoulder" in points and f"{s}_hip" in points
    ]
    longest = max(sides, default=BOX_SHARE * box)
    return max(longest, 0.6 * BOX_SHARE * box, 4.0)


def _line(mask: Image, a: Floats, b: Floats, width: float) -> None:
    start, end = ((round(float(p[0])), round(float(p[1]))) for p in (a, b))
    cv2.line(mask, start, end, 0, max(1, min(int(width), 255)))


def _disc(mask: Image, centre: Floats, radius: float) -> None:
    cv2.circle(mask, (round(float(centre[0])), round(float(centre[1]))), max(1, int(radius)), 0, -1)


def _box(mask: Image, seen: Floats, margin: float) -> None:
    low, high = seen.min(0) - margin, seen.max(0) + margin
    cv2.rectangle(mask, (int(low[0]), int(low[1])), (int(high[0]), int(high[1])), 0, -1)
