"""Corners in a picture, where they are in another, and the map that carries most of them.

Shi-Tomasi corners (CVPR 1994) and pyramidal Lucas-Kanade (Bouguet 2001), followed forth and back.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAX_POINTS = 200
MIN_POINTS = 12
"""Fewer followed points than this say nothing about a camera."""
FORWARD_BACKWARD_PX = 1.0
SPACING_PX = 12
GRID = 8
"""Cells along the longer side of the picture between which points are shared out."""
WINDOW = 15


def corners(gray: Image, mask: Image | None, kept: Points) -> Points:
    """New Shi-Tomasi corners `(n, 2)` away from the kept ones `(m, 2)`, at most MAX_POINTS - m."""
    room = MAX_POINTS - len(kept)
    if room <= 0:
        return np.zeros((0, 2), np.float32)
    free = np.full(gray.shape, 255, np.uint8) if mask is None else mask.copy()
    # Interlaced or letterboxed borders make corners that belong to the frame, not the scene.
    margin = 4
    free[:margin], free[-margin:], free[:, :margin], free[:, -margin:] = 0, 0, 0, 0
    for x, y in kept.astype(int).tolist():
        cv2.circle(free, (x, y), SPACING_PX, 0, -1)
    # OpenCV says None where its types do not.
    found: Any = cv2.goodFeaturesToTrack(gray, 4 * MAX_POINTS, 0.002, SPACING_PX, mask=free)
    if found is None:
        return np.zeros((0, 2), np.float32)
    return _spread(np.asarray(found, np.float32).reshape(-1, 2), kept, gray.shape)


def _spread(found: Points, kept: Points, shape: tuple[int, ...]) -> Points:
    """The best corners of each cell of a grid: one busy thing must not outnumber the scene.

    `found` is sorted, best first; a cell's share counts the points kept in it.
    """
    h, w = shape
    cells = (
        np.array([GRID, max(1, round(GRID * h / w))])
        if w >= h
        else np.array([max(1, round(GRID * w / h)), GRID])
    )
    quota = math.ceil(MAX_POINTS / int(cells.prod()))
    count = np.zeros(int(cells.prod()), np.int64)
    chosen = []
    for n, cell in enumerate(_cell(np.concatenate((kept, found)), cells, (w, h)).tolist()):
        if n < len(kept) or count[cell] < quota:
            count[cell] += 1
            if n >= len(kept):
                chosen.append(n - len(kept))
    return found[chosen[: MAX_POINTS - len(kept)]]


def _cell(points: Points, cells: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    place = (points * cells / np.array(size)).astype(np.int64).clip(0, cells - 1)
    return np.asarray(place[:, 0] * cells[1] + place[:, 1], np.int64)


def follow(
    before: Image,
    after: Image,
    points: Points,
    *,
    guess: Points,
    mask: Image | None,
    levels: int,
) -> tuple[Points, Bools]:
    """Places `(n, 2)` of `points` in `after`, and which were found forth and back, off people."""
    start = np.ascontiguousarray(guess, np.float32)
    xy, good = _lucas_kanade(before, after, points, start, levels)
    back, again = _lucas_kanade(after, before, xy, points, levels)
    gap = np.linalg.norm(back - points, axis=-1)
    seen = good & again & (gap <= FORWARD_BACKWARD_PX)
    h, w = after.shape
    seen &= (xy >= 2).all(-1) & (xy[:, 0] < w - 2) & (xy[:, 1] < h - 2)
    xy = np.where(seen[:, None], xy, start)
    if mask is not None:
        column = np.clip(xy[:, 0], 0, w - 1).astype(int)
        row = np.clip(xy[:, 1], 0, h - 1).astype(int)
        seen &= mask[row, column] > 0
    return xy, seen


def _lucas_kanade(
    before: Image, after: Image, points: Points, guess: Points, levels: int
) -> tuple[Points, Bools]:
    xy, good, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points,
        guess.copy(),
        winSize=(WINDOW, WINDOW),
        maxLevel=levels,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02),
    )
    found = np.asarray(xy, np.float32)
    return found, (np.asarray(good)[:, 0] == 1) & np.isfinite(found).all(-1)


def predict(points: Points, xy: Points, seen: Bools) -> Points:
    """Where each point `(n, 2)` is: its last place, or where the found ones' motion takes it."""
    if seen.all():
        return xy
    moved = affine(points[seen], xy[seen], points) if seen.any() else points
    return np.where(seen[:, None], xy, moved)


def half(gray: Image) -> Image:
    """A picture at half its size."""
    size = max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def affine(source: Points, target: Points, points: Points) -> Points:
    """Points `(n, 2)` carried by the affine map that most of `source` to `target` follows."""
    found = None
    if len(source) >= 6:
        # Affine, not a homography: it stays sane where it is extrapolated.
        found, _ = cv2.estimateAffine2D(
            source, target, method=cv2.RANSAC, ransacReprojThreshold=3.0, maxIters=200
        )
    if found is None:
        shift = np.median(target - source, axis=0) if len(source) else np.zeros(2)
        return np.asarray(points + shift, np.float32)
    return np.asarray(points @ found[:, :2].T + found[:, 2], np.float32)


def homography(source: Points, target: Points, seen: Bools) -> Floats:
    """Robust homography `(3, 3)` of `source` onto `target`, identity when there is none."""
    if seen.sum() < MIN_POINTS:
        return np.eye(3)
    found: Any = None
    # OpenCV's sampler raises on some degenerate sets instead of answering None.
    with contextlib.suppress(cv2.error):
        found, _ = cv2.findHomography(source[seen], target[seen], cv2.USAC_MAGSAC, 1.5)
    if found is None or not np.isfinite(found).all():
        return np.eye(3)
    return np.asarray(found, np.float64)


def carry(homography_: Floats, points: Points | Floats) -> Points:
    """Points `(n, 2)` mapped by a homography `(3, 3)`."""
    mapped = np.c_[points, np.ones(len(points))] @ homography_.T
    return (mapped[:, :2] / np.where(np.abs(mapped[:, 2:]) < 1e-9, 1e-9, mapped[:, 2:])).astype(
        np.float32
    )
