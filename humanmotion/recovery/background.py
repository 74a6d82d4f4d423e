"""Points of the background followed through a shot, each against a key frame.

Shi-Tomasi corners (CVPR 1994) of a key frame are followed by pyramidal Lucas-Kanade straight from
the key frame to every later frame, and back (at most 1 px apart), so that a track does not drift
within a key frame's reign. Where the view returns to an older key frame, that one is taken again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.corners import (
    MIN_POINTS,
    Bools,
    Floats,
    Image,
    Points,
    affine,
    carry,
    corners,
    follow,
    half,
    homography,
    predict,
)

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

    def stacked(self, *, most: int | None = None) -> tuple[NDArray[np.int64], Floats, Bools]:
        """Frames `(F)`, pixels `(F, n, 2)` and found `(F, n)`; of many every so manieth alone."""
        some = slice(None, None, None if most is None else max(1, -(-len(self.frames) // most)))
        frames = np.array(self.frames[some], np.int64)
        return frames, np.stack(self.xy[some]).astype(np.float64), np.stack(self.seen[some])


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
        before, after = half(self._last[0]), half(gray)
        hidden = None if mask is None else mask[::2, ::2][: after.shape[0], : after.shape[1]]
        some = np.flatnonzero(self._seen)
        some = some[:: max(1, len(some) // MOTION_POINTS)]
        start = np.asarray(self._xy[some] / 2, np.float32)
        end, good = follow(before, after, start, guess=start, mask=hidden, levels=ALL_LEVELS)
        if good.sum() < max(MIN_POINTS, WEAK_SHARE * len(some)):
            shift = self._coarse_shift(gray)
            guess = np.asarray(start + shift / 2, np.float32)
            end, good = follow(before, after, start, guess=guess, mask=hidden, levels=ALL_LEVELS)
            if good.sum() < MIN_POINTS:
                return points + shift
        return 2 * affine(start[good], end[good], np.asarray(points / 2, np.float32))

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
            guess = carry(np.linalg.pinv(to_first) @ old.to_first, old.points)
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
            turn = np.linalg.pinv(to_first) @ segment.to_first
            if abs(turn[2, 2]) < 1e-6:
                continue
            turn = turn / turn[2, 2]
            if (np.c_[grid, np.ones(9)] @ turn[2] <= 0.2).any():
                continue
            shift = float(np.linalg.norm(carry(turn, grid) - grid, axis=-1).mean())
            if shift < REUSE_SHIFT * max(h, w):
                found.append((shift, index))
        return [index for _, index in sorted(found)[:2]]
