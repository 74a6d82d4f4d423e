"""Does the camera of a shot stand, turn or travel? Decided from followed background points.

Standing: against the shot's first view, not just the last frame, so that a slow pan is seen.
Turning or travelling: Torr's GRIC (IJCV 2002) weighs a rotation of the camera, which explains each
point in two dimensions, against epipolar geometry, which explains more but only to a line.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.background import BackgroundTracker, Segment
from humanmotion.recovery.corners import MIN_POINTS
from humanmotion.recovery.focal import FocalEstimate, pan_focal
from humanmotion.recovery.rotation_fit import Pair, fit_rotations

CameraKind = Literal["static", "pan", "moving"]
Floats = NDArray[np.float64]

MIN_USABLE = 0.5
INLIER = 1.5 / 640
"""A point this near to where a model puts it, as a share of the longest side, agrees with it."""
REST_QUANTILE = 0.05
"""All frames but this share must rest."""
MIN_REST_SHARE = 0.4
"""Of a standing camera's points so many rest, whoever walks past unmasked. A camera that turns
leaves hardly any point in its place; one that travels leaves those far away, and its rotation is
then the identity all the same."""
MIN_TURN_SHARE = 0.4
STREWN = 6.0 / 640
MIN_STREWN = 0.06
"""Where a rotation explains a good part of the points, and hardly any lie a little beside it, what
else moves in the picture moves itself: parallax comes in all sizes. Of 20 travelling cameras rendered
for validation the least has 0.07."""
PARALLAX_QUANTILE = 0.85
NOISE = 0.4 / 640
"""Tracking noise per axis."""
MIN_PARALLAX = 0.54 / 640
"""Between the most that 20 turning cameras rendered for validation show, 0.43, and the least that 20
travelling ones do, 0.68."""
MAX_SEGMENTS = 8
MAX_FRAMES = 1800
"""Of a key frame's long reign so many frames are looked at, evenly strewn."""
MOVING_SHARE = 0.2
"""The camera travels when this share of the looked-at key frames says so."""
GRIC_MARGIN = 0.1
"""By so much per point must epipolar geometry win: a crowd that walks is not a travelling camera."""


@dataclass(frozen=True)
class KindEvidence:
    """What was decided, and how well each kind of camera explains the background."""

    kind: CameraKind
    usable: float
    """Share of frames in which enough background was followed."""
    agreement: dict[CameraKind, float]
    """Share of the points, in a typical frame, that behave as this kind of camera asks."""
    pan_focal: FocalEstimate | None
    """Focal length in tracked pixels, where the camera turned enough to tell."""


def decide_kind(
    tracker: BackgroundTracker, *, width: int, height: int, seed: int = 0
) -> KindEvidence:
    """Static, pan or moving, from the background of a whole shot.

    `width` and `height` are those of the tracked picture; `seed` is of the random samples that
    epipolar geometry is looked for in. With less than half of the frames usable
    the answer is `static`, and nothing agrees with it.
    """
    known = np.array([s >= 0 for s in tracker.current], np.bool_)
    usable = float(known.mean()) if len(known) else 0.0
    if usable < MIN_USABLE:
        return KindEvidence("static", usable, {"static": 0.0, "pan": 0.0, "moving": 0.0}, None)
    resting = _resting(tracker, max(width, height))[known]
    centre = np.array([width / 2, height / 2])
    rests = bool(np.quantile(resting, REST_QUANTILE) > MIN_REST_SHARE)
    # A camera at rest says nothing about its lens.
    focal = (
        None
        if rests
        else pan_focal(_widest_pairs(tracker, centre), diagonal=math.hypot(width, height))
    )
    used = focal.focal_px if focal else math.hypot(width, height)
    side = max(width, height)
    looked = (_vote(s, centre, focal=used, side=side, seed=seed) for s in _longest(tracker))
    votes = [vote for vote in looked if vote is not None]
    agreement: dict[CameraKind, float] = {
        "static": float(np.median(resting)),
        "pan": float(np.median([v.turned for v in votes])) if votes else 0.0,
        "moving": float(np.median([v.travelled for v in votes])) if votes else 0.0,
    }
    if rests:
        return KindEvidence("static", usable, agreement, None)
    if _travels(votes):
        return KindEvidence("moving", usable, agreement, None)
    return KindEvidence("pan", usable, agreement, focal)


def _resting(tracker: BackgroundTracker, side: int) -> Floats:
    """Share of points that are where they were in the shot's first view, per frame `(T)`."""
    share = np.zeros(len(tracker))
    offset: dict[int, Floats] = {}
    for number, segment in enumerate(tracker.segments):
        offset[number] = _offset(tracker, segment, offset)
        for frame, xy, seen in zip(segment.frames, segment.xy, segment.seen, strict=True):
            if tracker.current[frame] == number:
                moved = (xy - segment.points + offset[number])[seen]
                share[frame] = (np.linalg.norm(moved, axis=-1) < INLIER * side).mean()
    return share


def _offset(tracker: BackgroundTracker, segment: Segment, known: dict[int, Floats]) -> Floats:
    """Median shift of a key frame from the first view, through the chain of key frames `(2)`."""
    if segment.parent < 0:
        return np.zeros(2)
    parent = tracker.segments[segment.parent]
    place = parent.frames.index(segment.key_frame)
    seen = parent.seen[place]
    step = np.median((parent.xy[place] - parent.points)[seen], axis=0)
    return np.asarray(known[segment.parent] + step)


def _longest(tracker: BackgroundTracker) -> list[Segment]:
    ranked = sorted(tracker.segments, key=lambda s: len(s.frames), reverse=True)
    return [s for s in ranked[:MAX_SEGMENTS] if len(s.frames) > 1]


def _widest_pairs(tracker: BackgroundTracker, centre: Floats) -> list[Pair]:
    """For each long key frame the frame whose view differs most from it."""
    pairs = []
    for segment in _longest(tracker):
        _, xy, seen = segment.stacked(most=MAX_FRAMES)
        length = np.linalg.norm(xy - segment.points, axis=-1)
        typical = [np.median(d[s]) if s.any() else 0.0 for d, s in zip(length, seen, strict=True)]
        far = int(np.argmax(typical))
        if seen[far].sum() >= MIN_POINTS:
            good = seen[far]
            pairs.append(Pair(segment.points[good] - centre, xy[far][good] - centre))
    return pairs


@dataclass(frozen=True)
class _Vote:
    """What each model makes of a frame with much parallax; GRIC is per point."""

    turn: float
    travel: float
    parallax: float
    """Median residual of the rotation as a share of the longest side."""
    turned: float
    """Share of points the rotation explains."""
    strewn: float
    """Share of points it nearly explains."""
    travelled: float
    """Share of points epipolar geometry explains."""


def _vote(segment: Segment, centre: Floats, *, focal: float, side: int, seed: int) -> _Vote | None:
    _, xy, seen = segment.stacked(most=MAX_FRAMES)
    key = segment.points - centre
    _, residual = fit_rotations(key, xy - centre, seen, focal=focal)
    typical = np.array(
        [
            np.median(r[s]) if s.sum() >= MIN_POINTS else -1.0
            for r, s in zip(residual, seen, strict=True)
        ]
    )
    known = np.flatnonzero(typical >= 0)
    if len(known) == 0:
        return None
    # Not the very worst frame: there the fit of the rotation itself may have failed.
    order = known[typical[known].argsort()]
    wide = int(order[int(PARALLAX_QUANTILE * (len(order) - 1))])
    good = seen[wide]
    a, b = segment.points[good].astype(np.float64), xy[wide][good]
    turn, travel = residual[wide][good], _epipolar(a, b, side=side, seed=seed)
    near = turn < INLIER * side
    return _Vote(
        turn=gric(turn / (NOISE * side), dimension=2, parameters=4),
        travel=gric(travel / (NOISE * side), dimension=3, parameters=7),
        parallax=float(typical[wide]) / side,
        turned=float(near.mean()),
        strewn=float((~near & (turn < STREWN * side)).mean()),
        travelled=float((travel < INLIER * side).mean()),
    )


def gric(error: Floats, *, dimension: int, parameters: int) -> float:
    """Torr's geometric robust information criterion per point; the lower the better.

    `error` `(n)` in standard deviations of the noise, `dimension` of the model's manifold in the
    4-space of point pairs (2 for a map, 3 for epipolar geometry), number of model `parameters`.
    """
    count = len(error)
    robust = np.minimum(error**2, 2.0 * (4 - dimension)).sum()
    return (
        float(robust + math.log(4) * dimension * count + math.log(4 * count) * parameters) / count
    )


def _epipolar(a: Floats, b: Floats, *, side: int, seed: int) -> Floats:
    """Sampson distance `(n)` in pixels to the best fundamental matrix, large where there is none."""
    found = None
    if len(a) >= MIN_POINTS:
        # OpenCV's sampler raises on some degenerate sets instead of answering "none".
        with contextlib.suppress(cv2.error):
            found, _ = cv2.findFundamentalMat(a, b, _magsac(3 * NOISE * side, seed))
    if found is None or found.shape != (3, 3):
        return np.full(len(a), float(side))
    first, second = np.c_[a, np.ones(len(a))], np.c_[b, np.ones(len(b))]
    line, back = first @ found.T, second @ found
    slope = (line[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1)
    value = np.abs((second * line).sum(1)) / np.sqrt(np.maximum(slope, 1e-18))
    return np.asarray(value, np.float64)


def _magsac(threshold: float, seed: int) -> cv2.UsacParams:
    """What `cv2.USAC_MAGSAC` stands for, with a seed of its own (Barath et al. 2020, MAGSAC++)."""
    usual = cv2.UsacParams()
    usual.threshold, usual.confidence, usual.maxIterations = threshold, 0.999, 2000
    usual.score, usual.sampler = cv2.SCORE_METHOD_MAGSAC, cv2.SAMPLING_UNIFORM
    usual.loMethod, usual.final_polisher = cv2.LOCAL_OPTIM_SIGMA, cv2.MAGSAC
    usual.loIterations, usual.loSampleSize = 10, 50
    usual.randomGeneratorState = seed
    return usual


def _travels(votes: list[_Vote]) -> bool:
    """Whether enough key frames see parallax that a rotation does not explain."""
    wins = [
        vote.travel + GRIC_MARGIN < vote.turn
        and vote.parallax > MIN_PARALLAX
        and (vote.turned < MIN_TURN_SHARE or vote.strewn > MIN_STREWN)
        for vote in votes
    ]
    return sum(wins) >= max(1.0, MOVING_SHARE * len(wins))
