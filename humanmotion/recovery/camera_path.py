"""From key frames to one path of the camera over a shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from humanmotion.recovery.background import BackgroundTracker, Segment
from humanmotion.recovery.corners import MIN_POINTS
from humanmotion.recovery.parallax_fit import ParallaxFit, fit_parallax
from humanmotion.recovery.rotation_fit import fit_rotations

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

AVERAGING_ROUNDS = 3
LENT_FRAMES = 16
"""About so many frames of a neighbouring segment help to fix the depths of one."""
UNIT_RANGE = (0.05, 20.0)


@dataclass(frozen=True)
class CameraPath:
    """Pose of every frame's camera in the first camera's axes: `x_first = R x + t`."""

    rotation: Floats
    """`(T, 3, 3)`."""
    translation: Floats
    """`(T, 3)`, up to one scale for the shot."""
    broken: int
    """How often the link to the frames before was lost."""


@dataclass(frozen=True)
class _Fitted:
    """A key frame with its poses and rays."""

    segment: Segment
    fit: ParallaxFit
    ray: Floats
    """`(n, 3)`, third coordinate 1."""

    def place(self, frame: int) -> int:
        """Where in the fit a frame is."""
        return self.segment.frames.index(frame)


@dataclass
class _Key:
    """Pose of a key frame in the first camera's axes, and the length of its unit."""

    rotation: Floats
    translation: Floats
    unit: float


def camera_path(
    tracker: BackgroundTracker, *, centre: Floats, focal: float, travels: bool
) -> CameraPath:
    """The path of a camera that turns, or (`travels`) turns and moves.

    `centre` `(2)` and `focal` in tracked pixels. Frames without a view take their neighbours' pose,
    interpolated; a shot in which nothing was followed stands still.
    """
    fitted: list[_Fitted] = []
    keys: list[_Key] = []
    for segment in tracker.segments:
        above = fitted[segment.parent] if segment.parent >= 0 else None
        if travels:
            lens = (centre, focal)
            fitted.append(_fit_travel(segment, above, _neighbours(tracker, segment), lens))
        else:
            fitted.append(_fit_turn(segment, centre, focal))
        keys.append(_key_pose(fitted[-1], fitted, keys))
    _close_loops(tracker, fitted, keys)
    frames = len(tracker)
    path = CameraPath(
        np.tile(np.eye(3), (frames, 1, 1)),
        np.zeros((frames, 3)),
        sum(1 for s in tracker.segments[1:] if s.parent < 0),
    )
    for number, (item, key) in enumerate(zip(fitted, keys, strict=True)):
        mine = [p for p, f in enumerate(item.segment.frames) if tracker.current[f] == number]
        places = np.array(item.segment.frames, np.int64)[mine]
        turn = item.fit.rotation[mine].transpose(0, 2, 1)
        back = -np.einsum("fij,fj->fi", turn, item.fit.translation[mine]) * key.unit
        path.rotation[places] = key.rotation @ turn
        path.translation[places] = back @ key.rotation.T + key.translation
    return _filled(tracker.current, path)


def _fit_turn(segment: Segment, centre: Floats, focal: float) -> _Fitted:
    _, xy, seen = segment.stacked()
    key = segment.points - centre
    rotation, _ = fit_rotations(key, xy - centre, seen, focal=focal)
    fit = ParallaxFit(rotation, np.zeros((len(xy), 3)), np.ones(len(key)))
    return _Fitted(segment, fit, np.c_[key / focal, np.ones(len(key))])


def _fit_travel(
    segment: Segment,
    above: _Fitted | None,
    neighbours: Sequence[Segment],
    lens: tuple[Floats, float],
) -> _Fitted:
    """Poses of a segment's frames; its neighbours' frames lend it their wider view."""
    centre, focal = lens
    _, xy, seen = segment.stacked()
    more = [_borrowed(segment, other) for other in neighbours]
    all_xy = np.concatenate([xy, *(m[0] for m in more)]) - centre
    all_seen = np.concatenate([seen, *(m[1] for m in more)])
    key = segment.points - centre
    known = None if above is None else _carried(segment, above)
    fit = fit_parallax(key, all_xy, all_seen, focal=focal, known=known)
    own = fit.at(np.arange(len(xy)))
    return _Fitted(segment, own, np.c_[key / focal, np.ones(len(key))])


def _neighbours(tracker: BackgroundTracker, segment: Segment) -> list[Segment]:
    number = tracker.segments.index(segment)
    near = [s for s in tracker.segments if s.parent == number]
    return near + ([tracker.segments[segment.parent]] if segment.parent >= 0 else [])


def _borrowed(segment: Segment, other: Segment) -> tuple[Floats, Bools]:
    """A segment's points in another's frames: pixels `(F, n, 2)` and found `(F, n)`."""
    _, xy, seen = other.stacked()
    _, mine, theirs = np.intersect1d(segment.ids, other.ids, return_indices=True)
    places = np.zeros((len(xy), len(segment.ids), 2))
    found = np.zeros((len(xy), len(segment.ids)), np.bool_)
    places[:, mine], found[:, mine] = xy[:, theirs], seen[:, theirs]
    rich = np.flatnonzero(found.sum(1) >= MIN_POINTS)
    keep = rich[:: max(1, len(rich) // LENT_FRAMES)]
    return places[keep], found[keep]


def _carried(segment: Segment, above: _Fitted) -> Floats:
    """Inverse depths `(n)` about 1 that the segment above gave to the points; NaN to new ones."""
    known = np.full(len(segment.ids), np.nan)
    _, mine, theirs = np.intersect1d(segment.ids, above.segment.ids, return_indices=True)
    depth = above.fit.depths(above.ray, above.place(segment.key_frame))[theirs]
    good = depth > 0
    if good.any():
        known[mine[good]] = np.median(depth[good]) / depth[good]
    return known


def _key_pose(item: _Fitted, fitted: Sequence[_Fitted], keys: Sequence[_Key]) -> _Key:
    """A key frame's pose from the segment that saw it; a lost link holds the pose before it."""
    if not keys:
        return _Key(np.eye(3), np.zeros(3), 1.0)
    lost = item.segment.parent < 0
    source = len(keys) - 1 if lost else item.segment.parent
    above, key = fitted[source], keys[source]
    place = len(above.segment.frames) - 1 if lost else above.place(item.segment.key_frame)
    turn = above.fit.rotation[place].T
    back = -turn @ above.fit.translation[place] * key.unit
    unit = key.unit * (1.0 if lost else _unit(above, item, place))
    return _Key(key.rotation @ turn, key.translation + key.rotation @ back, unit)


def _unit(above: _Fitted, item: _Fitted, place: int) -> float:
    """Length of an item's unit in that of the one above, by the depths of the points they share."""
    _, mine, theirs = np.intersect1d(item.segment.ids, above.segment.ids, return_indices=True)
    if len(mine) == 0:
        return 1.0
    depth = above.fit.depths(above.ray, place)[theirs]
    ratio = float(np.median(depth * item.fit.inverse_depth[mine]))
    return float(np.clip(ratio, *UNIT_RANGE))


def _close_loops(
    tracker: BackgroundTracker, fitted: Sequence[_Fitted], keys: Sequence[_Key]
) -> None:
    """Spread over the chain what is amiss where an older key frame was taken again.

    Rotation averaging: least squares in the tangent space, the first key frame held. Positions are
    left as they are.
    """
    if not tracker.closures:
        return
    links = [(s.key_frame, s.parent, n) for n, s in enumerate(tracker.segments) if s.parent >= 0]
    links += tracker.closures
    system = np.zeros((len(links) + 1, len(keys)))
    system[-1, 0] = 1.0
    for row, (_, a, b) in enumerate(links):
        system[row, a], system[row, b] = -1.0, 1.0
    for _ in range(AVERAGING_ROUNDS):
        amiss = np.zeros((len(links) + 1, 3))
        for row, (frame, a, b) in enumerate(links):
            views = [
                keys[k].rotation @ fitted[k].fit.rotation[fitted[k].place(frame)].T for k in (a, b)
            ]
            amiss[row] = Rotation.from_matrix(views[0] @ views[1].T).as_rotvec()
        turns, *_ = np.linalg.lstsq(system, amiss, rcond=None)
        for key, turn in zip(keys, turns, strict=True):
            key.rotation = Rotation.from_rotvec(turn).as_matrix() @ key.rotation


def _filled(current: Sequence[int], path: CameraPath) -> CameraPath:
    """Poses of unusable frames from the nearest usable ones on both sides."""
    known = np.flatnonzero(np.array(current) >= 0)
    if len(known) == 0 or len(known) == len(current):
        return path
    wanted = np.clip(np.arange(len(current)), known[0], known[-1])
    if len(known) == 1:
        only = known.repeat(len(current))
        return CameraPath(path.rotation[only], path.translation[only], path.broken)
    rotation = Slerp(known, Rotation.from_matrix(path.rotation[known]))(wanted).as_matrix()
    translation = np.stack(
        [np.interp(wanted, known, path.translation[known, k]) for k in range(3)], -1
    )
    return CameraPath(rotation, translation, path.broken)
