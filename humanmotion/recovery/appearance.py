"""Which pieces of track are the same person.

Within a shot by the clothes' colours, place and time; over a cut, where place means nothing, by
clothes, by what the body does just before and after, and by how it is built.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from humanmotion.recovery.body_rows import BodyRows
from humanmotion.recovery.detection import Image, PersonBox, Sighting
from humanmotion.recovery.likeness import build_distance, pose_distance, proportions
from humanmotion.recovery.shelf import Kept
from humanmotion.recovery.sightings import Sightings

Floats = NDArray[np.float32]

BINS = (8, 4, 4)
"""Hue, saturation and value bins of each of the two regions."""
SOFTENING = 0.8
"""Bins by which the histograms are blurred: light differs from view to view."""
SAME_PLACE_COLOURS = 0.5
"""Largest colour distance at which pieces that follow on in place and time are one person."""
SAME_SHOT_COLOURS = 0.32
"""The same for someone who left and came back."""
OTHER_SHOT_COLOURS = 0.45
"""The same over a cut, where light and side of the body change."""
LAST_TWO_COLOURS = 0.6
"""The same for the last two when as many people were seen in both shots and all others are known."""
AT_ONCE = 5
"""Frames between two sightings within which a body is in the same pose still."""
ANY_POSE = 0.15
"""Metres between two people's poses and difference in build that are nobody's in particular."""
LASTING_PICTURES = 30
"""So many pictures of somebody tell as much as more do."""
_WORST = 2.0
"""More than two people can differ in clothes, pose and build."""
SIDES_PER_SECOND = 3.0
"""Nobody runs faster than about three times the square around them in a second."""


@dataclass(eq=False)
class Piece:
    """One person followed without a break: sightings by frame index, and mean colours."""

    sightings: Sightings = field(default_factory=Sightings)
    colours: Floats = field(default_factory=lambda: np.zeros(2 * int(np.prod(BINS)), np.float32))
    shown: dict[int, Kept] = field(default_factory=dict)
    """The colours of each frame, half precision, on the shelf of the sightings."""

    def add(self, frame: int, sighting: Sighting, colours: Floats) -> None:
        """Put in what was seen at a frame (before, after or between those already there)."""
        self.sightings[frame] = sighting
        self.shown[frame] = self.sightings.shelf.put(colours.astype(np.float16).tobytes())
        self.colours += colours

    def split(self, cuts: Sequence[int]) -> list[Piece]:
        """The parts between `cuts` (first frames of later shots, rising), where it may be another."""
        parts: dict[int, Piece] = {}
        for frame in self.sightings:
            fresh = Piece(Sightings(self.sightings.shelf))
            part = parts.setdefault(bisect_right(cuts, frame), fresh)
            part.sightings.share(frame, self.sightings)
            part.shown[frame] = self.shown[frame]
            part.colours += np.frombuffer(self.shown[frame].read(), np.float16)
        return list(parts.values())

    @property
    def start(self) -> int:
        """First frame."""
        return min(self.sightings)

    @property
    def stop(self) -> int:
        """Last frame."""
        return max(self.sightings)

    @property
    def prominence(self) -> float:
        """Area times frames."""
        return sum(s.box.side**2 for s in self.sightings.values())


def body_colours(
    image: Image, sighting: Sighting, rows: BodyRows, *, shown: Image | None = None
) -> Floats:
    """HSV histogram of torso and thighs, `(2 * bins)`; zeros where they are not in the picture.

    What is 0 in `shown` `(H, W)` is somebody else and left out.
    """
    xy = sighting.xy
    side = sighting.box.side
    dressed = xy[np.concatenate((rows.torso, *rows.thighs))]
    low = np.floor(dressed.min(0) - 0.02 * side).astype(int)
    high = np.ceil(dressed.max(0) + 0.02 * side).astype(int)
    left, top = np.maximum(low, 0)
    patch = image[top : max(high[1], top), left : max(high[0], left)]
    if min(patch.shape[:2]) < 4:
        return np.zeros(2 * int(np.prod(BINS)), np.float32)
    # About 64 pixels show the colours as well as 600 do.
    step = max(1, min(patch.shape[:2]) // 64)
    hsv = np.asarray(
        cv2.cvtColor(np.ascontiguousarray(patch[::step, ::step]), cv2.COLOR_RGB2HSV), np.uint8
    )
    places = (xy - [left, top]) / step
    torso = np.zeros(hsv.shape[:2], np.uint8)
    cv2.fillConvexPoly(torso, cv2.convexHull(places[rows.torso].astype(np.int32)), 255)
    thighs = np.zeros(hsv.shape[:2], np.uint8)
    for thigh in rows.thighs:
        line = places[thigh].astype(np.int32)
        cv2.line(thighs, line[0].tolist(), line[1].tolist(), 255, max(1, round(0.03 * side / step)))
    if shown is not None:
        part = shown[top : high[1], left : high[0]][::step, ::step]
        torso, thighs = np.minimum(torso, part), np.minimum(thighs, part)
    return np.concatenate([_histogram(hsv, torso), _histogram(hsv, thighs)])


def _histogram(hsv: Image, mask: Image) -> Floats:
    counts = cv2.calcHist([hsv], [0, 1, 2], mask, list(BINS), [0, 180, 0, 256, 0, 256]).ravel()
    return np.asarray(counts / max(counts.sum(), 1.0), np.float32)


def colour_distance(a: Floats, b: Floats) -> float:
    """Hellinger distance of two summed histograms, 0 the same to 1 nothing in common."""
    if min(a.sum(), b.sum()) <= 0:
        # Clothes never seen: neither for nor against.
        return 0.5 * SAME_SHOT_COLOURS
    common = np.sqrt(_softened(a) * _softened(b)).sum()
    return float(np.sqrt(max(0.0, 1 - common)))


def _softened(histogram: Floats) -> Floats:
    regions = histogram.reshape(2, *BINS).astype(np.float64)
    # Hue is a circle; saturation and value end.
    modes = ["constant", "wrap", "nearest", "nearest"]
    widths = (0, SOFTENING, SOFTENING, SOFTENING)
    blurred = gaussian_filter(regions, widths, mode=modes).ravel()
    return np.asarray(blurred / blurred.sum(), np.float32)


def link(
    pieces: Sequence[Piece],
    times: Sequence[float],
    *,
    jumps: Sequence[int],
    cuts: Sequence[int] = (),
    rows: BodyRows | None = None,
) -> list[Piece]:
    """Pieces of the same person put together, most prominent first.

    `jumps` are the frames before which the picture changed at once, `cuts` those among them or beside
    them that begin another shot; no piece reaches over one. Without the `rows` of the sightings
    clothes alone tell who is who over a cut.
    """
    shots: dict[int, list[Piece]] = {}
    for piece in pieces:
        shots.setdefault(bisect_right(cuts, piece.start), []).append(piece)
    people: list[list[Piece]] = []
    for number in sorted(shots):
        seen = _within_shot(shots[number], _Seams(times, sorted(jumps)))
        people = _recognised(people, seen, rows)
    return sorted((reduce(_joined, parts) for parts in people), key=lambda p: -p.prominence)


def _recognised(
    people: list[list[Piece]], seen: Sequence[Piece], rows: BodyRows | None
) -> list[list[Piece]]:
    """People by their parts in each shot so far, joined one to one by those of the next."""
    if not people:
        return [[piece] for piece in seen]
    colours = np.array(
        [
            [min(colour_distance(p.colours, s.colours) for p in parts) for s in seen]
            for parts in people
        ]
    )
    unlike = _unlike([parts[-1] for parts in people], seen, rows)
    far = colours >= LAST_TWO_COLOURS
    # What lasts shortly, as who fades out in a dissolve, takes nobody from who stays.
    lasting = np.array([min(1.0, len(piece.sightings) / LASTING_PICTURES) for piece in seen])
    gain = np.where(far, 0.0, lasting * np.maximum(_WORST - colours - unlike, 0.0))
    places = list(zip(*linear_sum_assignment(gain, maximize=True), strict=True))
    sure = [place for place in places if colours[place] < OTHER_SHOT_COLOURS]
    if sure and len(places) - len(sure) == 1 and len(people) == len(seen):
        # Everybody else is there again: light makes the last one look different.
        sure = [p for p in places if not far[p]]
    known = {int(column): people[row] for row, column in sure}
    joined = [[*known.get(i, ()), piece] for i, piece in enumerate(seen)]
    return [p for p in people if not any(p is q for q in known.values())] + joined


def _unlike(
    before: Sequence[Piece], after: Sequence[Piece], rows: BodyRows | None
) -> NDArray[np.float64]:
    """How differently people before a cut (rows) and after it (columns) are built and move."""
    unlike = np.full((len(before), len(after)), ANY_POSE)
    if rows is None:
        return unlike
    builds = [[_build(piece, rows) for piece in side] for side in (before, after)]
    for i, last in enumerate(before):
        for j, piece in enumerate(after):
            there, here = builds[0][i], builds[1][j]
            if there is None or here is None:
                continue
            move = ANY_POSE
            if piece.start - last.stop <= AT_ONCE:
                ends = last.sightings[last.stop], piece.sightings[piece.start]
                move = pose_distance(*ends, rows)
            unlike[i, j] = build_distance(there, here) + move
    return unlike


def _build(piece: Piece, rows: BodyRows) -> NDArray[np.float64] | None:
    """Somebody's proportions; None where the detector says nothing of where points are in space."""
    seen = list(piece.sightings.values())
    xyz = np.stack([s.xyz for s in seen])
    return proportions(seen, rows) if np.isfinite(xyz).all() and xyz.any() else None


def _within_shot(pieces: Sequence[Piece], seams: _Seams) -> list[Piece]:
    """Greedy: of all pairs that share no frame and fit, the best is joined until none fits."""
    people = dict(enumerate(pieces))
    fits: dict[tuple[int, int], float] = {}

    def compare(i: int, j: int) -> None:
        cost = seams.mismatch(people[i], people[j])
        if cost is not None:
            fits[i, j] = cost

    for i, j in combinations(people, 2):
        compare(i, j)
    while fits:
        _, (i, j) = min((cost, pair) for pair, cost in fits.items())
        new = max(people) + 1
        people[new] = _joined(people.pop(i), people.pop(j))
        fits = {pair: cost for pair, cost in fits.items() if not {i, j} & {*pair}}
        for other in list(people):
            if other != new:
                compare(other, new)
    return list(people.values())


def _joined(a: Piece, b: Piece) -> Piece:
    return Piece(a.sightings | b.sightings, a.colours + b.colours, a.shown | b.shown)


@dataclass(frozen=True)
class _Seams:
    times: Sequence[float]
    jumps: list[int]

    def mismatch(self, a: Piece, b: Piece) -> float | None:
        """How badly two pieces fit as one person, or None when they cannot be."""
        colours = colour_distance(a.colours, b.colours)
        if colours >= SAME_PLACE_COLOURS or a.sightings.keys() & b.sightings.keys():
            return None
        before, after = _nearest(a, b)
        first, second = (a, b) if before in a.sightings else (b, a)
        gap = self.times[after] - self.times[before]
        left, back = first.sightings[before].box, second.sightings[after].box
        apart = _apart(left, back)
        if gap < 0.5 and apart < 0.1 + 0.5 * SIDES_PER_SECOND * gap:
            return 0.3 * colours
        if _between(self.jumps, before, after):
            return 1 + colours if colours < OTHER_SHOT_COLOURS else None
        if apart > 0.2 + SIDES_PER_SECOND * gap:
            return None
        return 0.6 + colours if colours < SAME_SHOT_COLOURS else None


def _between(jumps: list[int], before: int, after: int) -> bool:
    return bisect_right(jumps, after) > bisect_right(jumps, before)


def _nearest(a: Piece, b: Piece) -> tuple[int, int]:
    """The neighbouring frames, one of each, that lie closest in time, in order."""
    for first, second in ((a, b), (b, a)):
        if first.stop < second.start:
            return first.stop, second.start
    order = sorted([(f, 0) for f in a.sightings] + [(f, 1) for f in b.sightings])
    pairs = [
        (order[i + 1][0] - order[i][0], order[i][0], order[i + 1][0])
        for i in range(len(order) - 1)
        if order[i][1] != order[i + 1][1]
    ]
    _, before, after = min(pairs)
    return before, after


def _apart(a: PersonBox, b: PersonBox) -> float:
    return float(np.hypot(a.x - b.x, a.y - b.y)) / max(a.side, b.side)
