"""Points of the background followed through a shot, each against a key frame.

Shi-Tomasi corners (CVPR 1994) of a key frame are followed by pyramidal Lucas-Kanade straight from
the key frame to every later frame, and back (at most 1 px apart), so that a track does not drift
within a key frame's reign. Where the view returns to an older key frame, that one is taken again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAX_POINTS = 180
MIN_POINTS = 12
"""Fewer followed points than this say nothing about a camera."""
FORWARD_BACKWARD_PX = 1.0
SPACING_PX = 12
GRID = 8
"""Cells along the longer side of the picture between which points are shared out."""
WINDOW = 15
ALL_LEVELS = 2
FEW_LEVELS = 1
"""Pyramid levels above the picture itself; few do where the guess is good."""
SLOW_PX = 1.5
"""Up to this median step from frame to frame the last place is a good guess."""
QUICK_SHARE = 0.7
MOTION_POINTS = 60
STILL_PX = 0.25
STILL_RUN = 8
STILL_STRIDE = 3
"""After a run of frames slower than STILL_PX only every third point is looked at."""
WEAK_SHARE = 0.25
"""With a smaller share of its points followed, a key frame has lost the picture."""
RENEW_SHARE = 0.4
RENEW_SHIFT = 0.3
"""A median displacement of this share of the longest side asks for a new key frame."""
STILL_SHARE = 0.03
RESTING_SHARE = 0.35
"""No new key frame while this share of the points is nearer to its old place than STILL_SHARE."""
REUSE_SHIFT = 0.12
MAX_GAP = 4
"""So many unusable frames in a row (blur, flash, cover) end the link to what was before."""
MAX_KEPT_IMAGES = 64


@dataclass(eq=False)
class Segment:
    """One key frame, its points, and where they were seen."""

    key_frame: int
    points: Points
    """Pixels in the key frame `(n, 2)`."""
    ids: NDArray[np.int64]
    """`(n)`; a point carried over from an earlier key frame keeps its id."""
    parent: int
    """The segment that saw this key frame as one of its frames, or -1."""
    image: Image | None
    to_first: Floats
    """Rough homography `(3, 3)` of the key frame onto the first one, for finding it again."""
    frames: list[int] = field(default_factory=list)
    xy: list[Points] = field(default_factory=list)
    seen: list[Bools] = field(default_factory=list)

    def add(self, frame: int, xy: Points, seen: Bools) -> None:
        """Note where the points `(n, 2)` lie in a frame and which were found `(n)`."""
        self.frames.append(frame)
        self.xy.append(xy)
        self.seen.append(seen)

    def stacked(self) -> tuple[NDArray[np.int64], Floats, Bools]:
        """Frames `(F)`, pixels `(F, n, 2)` and found `(F, n)`."""
        frames = np.array(self.frames, np.int64)
        return frames, np.stack(self.xy).astype(np.float64), np.stack(self.seen)


class BackgroundTracker:
    """Follows the background of one shot; feed it the shot's frames in order."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.flow: list[float] = []
        """Median displacement to the frame before, pixels; 0 where it is not known."""
        self.current: list[int] = []
        """Segment that saw the frame, or -1 for an unusable frame."""
        self.closures: list[tuple[int, int, int]] = []
        """Frames seen by two segments besides their own: (frame, segment, segment)."""
        self._at = -1
        self._next_id = 0
        self._gap = 0
        self._last: tuple[Image, Image | None] | None = None
        self._xy = np.zeros((0, 2), np.float32)
        self._seen = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.current)

    def add(self, gray: Image, mask: Image | None = None) -> None:
        """Follow into the next frame `(h, w)`; `mask` is 0 where a person hides the background."""
        if self._at < 0 or len(self.segments[self._at].points) < MIN_POINTS:
            self._start_over(gray, mask)
        else:
            self._follow(gray, mask)
        if self.current[-1] >= 0:
            self._last = gray, mask

    def finish(self) -> None:
        """Let go of the pictures; no frame can be added afterwards."""
        self._last = None
        for segment in self.segments:
            segment.image = None

    def _follow(self, gray: Image, mask: Image | None) -> None:
        xy, seen = self._quick(gray, mask)
        if self._weak(seen):
            xy, seen = self._track(gray, mask)
        if self._weak(seen) and self._renew_at_last():
            xy, seen = self._track(gray, mask)
        if self._weak(seen):
            self._miss(gray, mask)
            return
        self._gap = 0
        # After an unusable frame the step spans more than one frame.
        self.flow.append(self._step(xy, seen) if self.current[-1] >= 0 else 0.0)
        self._note(xy, seen)
        self._maybe_renew(gray, mask)

    def _quick(self, gray: Image, mask: Image | None) -> tuple[Points, Bools]:
        """Look where the points were last; finds nothing unless the camera was slow."""
        recent = self.flow[-STILL_RUN:]
        if recent[-1] > SLOW_PX or self.current[-1] < 0:
            return self._xy, np.zeros_like(self._seen)
        if len(recent) == STILL_RUN and max(recent) < STILL_PX:
            xy, seen = self._look(gray, mask, guess=self._xy, every=STILL_STRIDE)
            before = int(self._seen[::STILL_STRIDE].sum())
            if seen.sum() >= max(MIN_POINTS, 0.8 * before) and self._step(xy, seen) < STILL_PX:
                return xy, seen
        guess = predict(self.segments[self._at].points, self._xy, self._seen)
        xy, seen = self._look(gray, mask, guess=guess)
        kept = seen.sum() >= QUICK_SHARE * self._seen.sum() and self._step(xy, seen) < SLOW_PX
        return xy, seen & kept

    def _look(
        self, gray: Image, mask: Image | None, *, guess: Points, levels: int = 0, every: int = 1
    ) -> tuple[Points, Bools]:
        """Follow (every so manieth) point from the key frame to near its guess `(n, 2)`."""
        segment = self.segments[self._at]
        assert segment.image is not None
        some = slice(None, None, every)
        points = np.ascontiguousarray(segment.points[some])
        xy, seen = guess.copy(), np.zeros_like(self._seen)
        xy[some], seen[some] = follow(
            segment.image, gray, points, guess=guess[some], mask=mask, levels=levels
        )
        return xy, seen

    def _step(self, xy: Points, seen: Bools) -> float:
        """Median motion since the frame before, pixels, of the points seen in both."""
        both = seen & self._seen
        if not both.any():
            return 0.0
        return float(np.median(np.linalg.norm(xy[both] - self._xy[both], axis=-1)))

    def _note(self, xy: Points, seen: Bools) -> None:
        self.segments[self._at].add(len(self.current), xy, seen)
        self.current.append(self._at)
        self._xy, self._seen = xy, seen

    def _track(self, gray: Image, mask: Image | None) -> tuple[Points, Bools]:
        """Predict by the motion of the whole picture, then follow from the key frame.

        Without the prediction each point needs a coarse pyramid, whose windows reach over to the
        people.
        """
        guess = predict(self.segments[self._at].points, self._xy, self._seen)
        return self._look(gray, mask, guess=self._carry_on(gray, mask, guess), levels=FEW_LEVELS)

    def _carry_on(self, gray: Image, mask: Image | None, points: Points) -> Points:
        """Where the picture's motion since the last good frame takes points `(n, 2)`."""
        assert self._last is not None
        before, after = _half(self._last[0]), _half(gray)
        hidden = None if mask is None else mask[::2, ::2][: after.shape[0], : after.shape[1]]
        some = np.flatnonzero(self._seen)
        some = some[:: max(1, len(some) // MOTION_POINTS)]
        start = self._xy[some] / 2
        end, good = follow(before, after, start, guess=start, mask=hidden, levels=ALL_LEVELS)
        if good.sum() < max(MIN_POINTS, WEAK_SHARE * len(some)):
            shift = self._coarse_shift(gray)
            guess = start + shift / 2
            end, good = follow(before, after, start, guess=guess, mask=hidden, levels=ALL_LEVELS)
            if good.sum() < MIN_POINTS:
                return points + shift
        return _affine(2 * start[good], 2 * end[good], points)

    def _weak(self, seen: Bools) -> bool:
        return int(seen.sum()) < max(MIN_POINTS, WEAK_SHARE * len(seen))

    def _coarse_shift(self, gray: Image) -> Points:
        """Shift of the whole picture since the last good frame `(2)`, for jumps LK cannot bridge."""
        assert self._last is not None
        size = (160, max(16, round(160 * gray.shape[0] / gray.shape[1])))
        before, after = (
            cv2.resize(g, size, interpolation=cv2.INTER_AREA).astype(np.float32)
            for g in (self._last[0], gray)
        )
        window = cv2.createHanningWindow(size, cv2.CV_32F)
        (dx, dy), _ = cv2.phaseCorrelate(before, after, window)
        return np.array([dx, dy], np.float32) * np.float32(gray.shape[1] / size[0])

    def _miss(self, gray: Image, mask: Image | None) -> None:
        self._gap += 1
        if self._gap > MAX_GAP:
            self._start_over(gray, mask)
            return
        self.current.append(-1)
        self.flow.append(0.0)

    def _start_over(self, gray: Image, mask: Image | None) -> None:
        """A first key frame, or one without a link to what was before."""
        self._gap = 0
        points = corners(gray, mask, np.zeros((0, 2), np.float32))
        self.flow.append(0.0)
        if len(points) < MIN_POINTS:
            self.current.append(-1)
            return
        self._open(len(self.current), gray, points, self._new_ids(len(points)), parent=-1)
        self._note(points, np.ones(len(points), np.bool_))

    def _new_ids(self, count: int) -> NDArray[np.int64]:
        self._next_id += count
        return np.arange(self._next_id - count, self._next_id)

    def _open(
        self, frame: int, gray: Image, points: Points, ids: NDArray[np.int64], *, parent: int
    ) -> None:
        to_first = np.eye(3)
        if parent >= 0:
            old = self.segments[parent]
            place = old.frames.index(frame)
            to_first = old.to_first @ homography(old.xy[place], old.points, old.seen[place])
        self.segments.append(Segment(frame, points, ids, parent, gray, to_first))
        self._at = len(self.segments) - 1
        kept = [s for s in self.segments if s.image is not None]
        if len(kept) > MAX_KEPT_IMAGES:
            kept[0].image = None

    def _renew_at_last(self) -> bool:
        """Make the last frame a key frame; False when it is one already or was unusable."""
        last = len(self.current) - 1
        if self._last is None or self.current[last] < 0:
            return False
        if self.segments[self._at].key_frame == last:
            return False
        self._new_key(last, *self._last)
        return True

    def _new_key(self, frame: int, gray: Image, mask: Image | None) -> None:
        """A key frame at a frame just followed: its found points go on, new corners fill up."""
        old, seen = self.segments[self._at], self._seen
        kept = self._xy[seen]
        fresh = corners(gray, mask, kept)
        ids = np.concatenate((old.ids[seen], self._new_ids(len(fresh))))
        points = np.concatenate((kept, fresh))
        self._open(frame, gray, points, ids, parent=self._at)
        self._xy, self._seen = points, np.ones(len(points), np.bool_)
        self.segments[self._at].add(frame, points, self._seen)
        self.current[frame] = self._at

    def _maybe_renew(self, gray: Image, mask: Image | None) -> None:
        segment = self.segments[self._at]
        side = max(gray.shape)
        moved = np.linalg.norm(self._xy[self._seen] - segment.points[self._seen], axis=-1)
        if (moved < STILL_SHARE * side).mean() > RESTING_SHARE:
            # The camera rests; what moves or is covered is not the background.
            return
        shift = float(np.median(moved))
        thin = self._seen.mean() < RENEW_SHARE
        if not thin and shift < RENEW_SHIFT * side:
            return
        if not self._reuse(gray, mask):
            self._new_key(len(self.current) - 1, gray, mask)

    def _reuse(self, gray: Image, mask: Image | None) -> bool:
        """Go on from an older key frame that shows the same view; False when there is none."""
        segment = self.segments[self._at]
        to_first = segment.to_first @ homography(self._xy, segment.points, self._seen)
        for index in self._near(to_first, gray):
            old = self.segments[index]
            assert old.image is not None
            guess = _carry(np.linalg.solve(to_first, old.to_first), old.points)
            xy, seen = follow(
                old.image, gray, old.points, guess=guess, mask=mask, levels=FEW_LEVELS
            )
            if seen.sum() < max(MIN_POINTS, RENEW_SHARE * len(seen)):
                continue
            frame = len(self.current) - 1
            self.closures.append((frame, self._at, index))
            old.add(frame, xy, seen)
            self._at, self._xy, self._seen = index, xy, seen
            self.current[frame] = index
            return True
        return False

    def _near(self, to_first: Floats, gray: Image) -> list[int]:
        """The best two older key frames whose view is close to the present one."""
        h, w = gray.shape
        grid = np.array([(x * w, y * h) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)])
        found = []
        for index, segment in enumerate(self.segments):
            if index == self._at or segment.image is None:
                continue
            turn = np.linalg.solve(to_first, segment.to_first)
            turn = turn / turn[2, 2]
            if (np.c_[grid, np.ones(9)] @ turn[2] <= 0.2).any():
                continue
            shift = float(np.linalg.norm(_carry(turn, grid) - grid, axis=-1).mean())
            if shift < REUSE_SHIFT * max(h, w):
                found.append((shift, index))
        return [index for _, index in sorted(found)[:2]]


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
    found = cv2.goodFeaturesToTrack(gray, 4 * MAX_POINTS, 0.002, SPACING_PX, mask=free)
    if found is None:
        return np.zeros((0, 2), np.float32)
    return _spread(np.asarray(found, np.float32).reshape(-1, 2), kept, gray.shape)


def _spread(found: Points, kept: Points, shape: tuple[int, ...]) -> Points:
    """The best corners of each cell of a grid: one busy thing must not outnumber the scene.

    `found` is sorted, best first; a cell's share counts the points kept in it.
    """
    h, w = shape
    cells = np.array([GRID, max(1, round(GRID * h / w))]) if w >= h else np.array(
        [max(1, round(GRID * w / h)), GRID]
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
    moved = _affine(points[seen], xy[seen], points) if seen.any() else points
    return np.where(seen[:, None], xy, moved)


def _half(gray: Image) -> Image:
    size = max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _affine(source: Points, target: Points, points: Points) -> Points:
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
    found, _ = cv2.findHomography(source[seen], target[seen], cv2.USAC_MAGSAC, 1.5)
    return np.eye(3) if found is None else np.asarray(found, np.float64)


def _carry(homography_: Floats, points: NDArray[np.floating]) -> Points:
    mapped = np.c_[points, np.ones(len(points))] @ homography_.T
    return (mapped[:, :2] / np.where(np.abs(mapped[:, 2:]) < 1e-9, 1e-9, mapped[:, 2:])).astype(
        np.float32
    )
