"""Following people from picture to picture, in one pass."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from humanmotion.keypoints import joint_map
from humanmotion.recovery.appearance import (
    SAME_SHOT_COLOURS,
    SIDES_PER_SECOND,
    Piece,
    body_colours,
    colour_distance,
    link,
)
from humanmotion.recovery.body_rows import BodyRows, body_rows
from humanmotion.recovery.detection import Detector, Floats, Image, PersonBox, Sighting
from humanmotion.recovery.likeness import share_within, step_between
from humanmotion.recovery.masks import hide_person
from humanmotion.recovery.shelf import RecentPictures, Shelf
from humanmotion.recovery.sightings import Sightings

SEARCH_SECONDS = 1.0
"""How often the whole picture is searched while everybody is being followed."""
FIRST_PAUSE = 3
"""Pictures to the next search while somebody is missing, after one that found another."""
PATIENCE = 1.5
"""So much longer is the pause after each search that finds nobody."""
KEPT_PICTURES = 30
"""Pictures kept for following a newcomer back; after as many without a search one is due."""
MIN_SCORE = 0.5
MIN_POINTS = 8
"""Confident points that make a person."""
MAX_STEP = 0.2
"""Mean motion of the points between two pictures in sides of the square; more is no motion."""
MAX_DRIFT = 0.06
"""How far a second look may differ from the first before the find is taken for no person."""
OTHER_CLOTHES = 0.55
"""Colour distance to the last pictures of somebody from which on somebody else has stepped before."""
LAST_PICTURES = 10.0
"""So many the colours of the last pictures are a mean over."""
LOST_SECONDS = 2.0
"""For so long somebody who was lost is looked for near their last place."""
NEAR_BY = 0.5
"""Sides of the square from somebody's last place within which they are found again."""
SOON_SECONDS = 0.5
"""Within it and NEAR_BY, clothes need only not be another's: half hidden they look different."""
BESIDE = 0.12
"""Sides of the square between two people who stand beside each other in the picture, at least."""
BEFORE = 0.7
"""Sides of the square within which somebody may stand before another."""
PAINTED = 0.5
"""Width of the paint over somebody: wide paint leaves too little of who stands behind."""
WITHIN = 0.7
"""Share of a newcomer's box inside another person's that makes it a part of that person."""
BEHIND = 1.6
"""Who stands behind another is smaller than they by this factor at most."""
KEPT_SETS = {"mediapipe_543": "mediapipe_143"}
"""What is kept of a detector's points over a whole video, where that is not all: three quarters of
MediaPipe's are a face mesh that nothing is fitted to. The body's own rows are the same in both."""
DOUBLE = 0.08
"""Two tracks whose points lie closer than this, in sides of the square, follow one person."""


@dataclass(eq=False)
class _Live:
    piece: Piece
    box: PersonBox
    last: Sighting
    colours: Floats
    """Of the last pictures, faded."""

    def unlike(self, colours: Floats) -> float:
        """How little these clothes are the person's."""
        return colour_distance(self.colours, colours)

    def is_other(self, colours: Floats) -> bool:
        """Whether these are somebody else's clothes; clothes that are not seen are nobody's."""
        known = colours.sum() > 0 and self.colours.sum() > 0
        return bool(known and self.unlike(colours) > OTHER_CLOTHES)

    def take(self, frame: int, sighting: Sighting, colours: Floats) -> None:
        """Go on to what was seen at a frame."""
        self.piece.add(frame, sighting, colours)
        self.box, self.last = sighting.box, sighting
        self.colours = self.colours * np.float32(1 - 1 / LAST_PICTURES) + colours


@dataclass(frozen=True, eq=False)
class _Offer:
    """How somebody may go on."""

    misfit: float = float("inf")
    sighting: Sighting | None = None
    colours: Floats = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Followed:
    """What was followed in the pictures of a video, not yet put together to people."""

    pieces: list[Piece]
    times: list[float]
    jumps: list[int]
    rows: BodyRows
    """Of the sightings."""

    def people(self, cuts: Sequence[int] = ()) -> list[Mapping[int, Sighting]]:
        """Sightings by frame index of each person, most prominent (area times frames) first.

        `cuts` are first frames of later shots, where they are known: what was followed over one of
        them may be somebody else.
        """
        # A find that lasts for a picture or two of many is a mistake, not a person.
        least = min(3, max(1, len(self.times) // 3))
        pieces = [p for p in self.pieces if len(p.sightings) >= least]
        parts = [part for piece in pieces for part in piece.split(cuts)]
        linked = link(parts, self.times, jumps=self.jumps, cuts=cuts, rows=self.rows)
        return [person.sightings for person in linked]


class Tracker:
    """Feed it pictures in order; then `followed` tells who was seen."""

    def __init__(self, detector: Detector, *, max_people: int) -> None:
        self.detector = detector
        self.max_people = max_people
        self.joint_set = KEPT_SETS.get(detector.joint_set, detector.joint_set)
        """Of the sightings that are kept."""
        self.times: list[float] = []
        self.seconds = {"boxes": 0.0, "keypoints": 0.0}
        self._live: list[_Live] = []
        self._lost: list[_Live] = []
        """Who was followed in this shot and is not any more."""
        self._pieces: list[Piece] = []
        self._jumps: list[int] = []
        self._kept = RecentPictures(KEPT_PICTURES)
        self._shelf = Shelf()
        self._searched = float("-inf")
        self._unsearched = 0
        self._most = 0
        self._pause = FIRST_PAUSE
        self._retry = 0
        self._rows = body_rows(detector.joint_set)
        self._columns = joint_map(detector.joint_set, self.joint_set).numpy()

    def step(self, seconds: float, image: Image, *, jump: bool) -> None:
        """Take the next picture; `jump` says that it has nothing to do with the one before."""
        frame = len(self.times)
        self.times.append(seconds)
        if jump:
            self._jumps.append(frame)
            for gone in (self._live, self._lost, self._kept):
                gone.clear()
            self._most = 0
        lost = self._follow(frame, image)
        self._lost = [*self._lost, *lost]
        if jump or lost:
            self._pause = FIRST_PAUSE
        overdue = seconds - self._searched >= SEARCH_SECONDS or self._unsearched >= KEPT_PICTURES
        missing = 0 < len(self._live) < self._most and frame >= self._retry
        thorough = bool(jump or lost or overdue or missing)
        if thorough or not self._live:
            self._search(frame, image, thorough=thorough)
        self._kept.add(frame, image)
        self._unsearched += 1

    def followed(self) -> Followed:
        """Everybody seen so far."""
        return Followed(self._pieces, self.times, self._jumps, body_rows(self.joint_set))

    def _follow(self, frame: int, image: Image) -> list[_Live]:
        """Go on with everybody, and tell who was lost.

        Of several who are led to one person the one whom place and clothes fit best goes on; the
        others are looked for with those painted over who were found.
        """
        everybody, self._live = self._live, []
        offers = [(live, self._offer(live, image)) for live in everybody]
        for live, offer in sorted(offers, key=lambda pair: pair[1].misfit):
            self._go_on(live, offer, frame=frame)
        for live in everybody:
            others = [o.last for o in self._others(live.box)]
            if live not in self._live and others:
                self._go_on(live, self._offer(live, image, others), frame=frame)
        lost = [live for live in everybody if live not in self._live]
        self._live.sort(key=everybody.index)
        return lost

    def _offer(self, live: _Live, image: Image, others: Sequence[Sighting] = ()) -> _Offer:
        """How somebody goes on in a picture, beside or behind `others`."""
        sighting = self._look(self._without(others, image), live.box)
        step = float("inf") if sighting is None else self._step(live.last, sighting)
        if sighting is None or step > MAX_STEP:
            return _Offer()
        colours = body_colours(image, sighting, self._rows)
        if live.is_other(colours):
            return _Offer()
        return _Offer(step / MAX_STEP + live.unlike(colours) / OTHER_CLOTHES, sighting, colours)

    def _go_on(self, live: _Live, offer: _Offer, *, frame: int) -> None:
        """Follow somebody, unless there is nobody or somebody who is followed."""
        seen = offer.sighting
        if seen and not any(self._step(o.last, seen) < DOUBLE for o in self._live):
            live.take(frame, seen, offer.colours)
            self._live.append(live)

    def _look(self, image: Image, box: PersonBox) -> Sighting | None:
        started = time.perf_counter()
        sighting = self.detector.look(image, box)
        self.seconds["keypoints"] += time.perf_counter() - started
        if sighting is None or sighting.box.score < MIN_SCORE:
            return None
        if (sighting.confidence > 0.5).sum() < MIN_POINTS:
            return None
        whole = self.joint_set == self.detector.joint_set
        return sighting if whole else sighting.at(self._columns)

    def _search(self, frame: int, image: Image, *, thorough: bool) -> None:
        before = len(self._live)
        self._search_rest(frame, image, thorough=thorough)
        if not before and self._live:
            # Who stands beside the first that are found is seen once those are painted over.
            self._search_rest(frame, image, thorough=thorough)
        if thorough:
            self._searched, self._unsearched = self.times[frame], 0
        found = len(self._live) > before
        longer = min(round(PATIENCE * self._pause), KEPT_PICTURES)
        self._pause = FIRST_PAUSE if found else longer
        self._retry = frame + self._pause
        self._most = max(self._most, len(self._live))

    def _search_rest(self, frame: int, image: Image, *, thorough: bool) -> None:
        """Look for people beside those who are followed."""
        shown = self._without([live.last for live in self._live], image)
        started = time.perf_counter()
        boxes = self.detector.find(shown, thorough=thorough)
        self.seconds["boxes"] += time.perf_counter() - started
        for live in sorted(self._lost, key=lambda live: -live.box.side):
            if len(self._live) < self.max_people:
                self._regain(live, boxes, frame=frame, image=image)
        since = self.times[frame] - LOST_SECONDS
        missing = [live for live in self._lost if live not in self._live]
        self._lost = [live for live in missing if self.times[live.piece.stop] >= since]
        for box in sorted(boxes, key=lambda box: -box.side * box.score):
            if len(self._live) < self.max_people:
                self._begin(box, frame, image)

    def _others(self, box: PersonBox) -> list[_Live]:
        """Who is followed near that box."""
        return [live for live in self._live if live.box.near(box, reach=BEFORE)]

    def _without(self, people: Sequence[Sighting], image: Image) -> Image:
        """The picture with people painted over.

        A detector takes overlapping finds for one, and looks at who is in front: who stands beside or
        behind another is found and followed this way.
        """
        if not people:
            return image
        out = image.copy()
        out[self._mask(people, image, width=PAINTED) == 0] = image.mean((0, 1)).astype(np.uint8)
        return out

    def _colours(self, image: Image, seen: Sighting, others: Sequence[Sighting]) -> Floats:
        """The clothes of somebody behind others, where those do not hide them."""
        shown = self._mask(others, image, width=1.0) if others else None
        return body_colours(image, seen, self._rows, shown=shown)

    def _mask(self, people: Sequence[Sighting], image: Image, *, width: float) -> Image:
        mask = np.full(image.shape[:2], 255, np.uint8)
        for seen in people:
            xy, sure = seen.xy.astype(np.float64), seen.confidence
            hide_person(mask, xy, sure, joint_set=self.joint_set, width=width)
        return mask

    def _regain(self, live: _Live, boxes: list[PersonBox], *, frame: int, image: Image) -> None:
        """Go on with a person who was lost, from a box found near the last place."""
        away = self.times[frame] - self.times[live.piece.stop]
        for box in boxes:
            if not box.near(live.box, reach=NEAR_BY + SIDES_PER_SECOND * away):
                continue
            sighting = self._confirmed(box, image)
            if sighting is None:
                continue
            others = [o.last for o in self._others(sighting.box)]
            colours = self._colours(image, sighting, others)
            soon = away < SOON_SECONDS and box.near(live.box, reach=NEAR_BY)
            if live.is_other(colours) if soon else live.unlike(colours) > SAME_SHOT_COLOURS:
                continue
            if self._is_taken(sighting, colours, frame=frame, by=live):
                continue
            self._trace_back(live, sighting)
            live.take(frame, sighting, colours)
            self._live.append(live)
            return

    def _begin(self, box: PersonBox, frame: int, image: Image) -> None:
        sighting = self._confirmed(box, image)
        if sighting is None:
            return
        colours = body_colours(image, sighting, self._rows)
        if self._is_taken(sighting, colours, frame=frame):
            return
        piece = Piece(Sightings(self._shelf))
        live = _Live(piece, sighting.box, sighting, np.zeros_like(piece.colours))
        self._pieces.append(live.piece)
        live.take(frame, sighting, colours)
        self._trace_back(live, sighting)
        self._live.append(live)

    def _trace_back(self, live: _Live, sighting: Sighting) -> None:
        """Follow a newcomer backwards through the pictures kept since the last search."""
        for frame, image in self._kept.backwards():
            if frame in live.piece.sightings:
                return
            earlier = self._earlier(live, sighting, frame=frame, image=image)
            if earlier is None:
                return
            live.piece.add(frame, earlier, body_colours(image, earlier, self._rows))
            sighting = earlier

    def _earlier(
        self, live: _Live, sighting: Sighting, *, frame: int, image: Image
    ) -> Sighting | None:
        """The same person one picture before, if need be with everybody else painted over."""
        others = [p.sightings[frame] for p in self._pieces if frame in p.sightings]
        near = [o for o in others if o.box.near(sighting.box, reach=BEFORE)]
        for hidden in ([], near) if near else ([],):
            earlier = self._look(self._without(hidden, image), sighting.box)
            if earlier is None or self._step(sighting, earlier) > MAX_STEP:
                continue
            if self._is_double(earlier, frame):
                continue
            if not live.is_other(body_colours(image, earlier, self._rows)):
                return earlier
        return None

    def _confirmed(self, box: PersonBox, image: Image) -> Sighting | None:
        """What is in the box, if a second look from its own square sees the same."""
        image = self._without([o.last for o in self._others(box)], image)
        first = self._look(image, box)
        second = self._look(image, first.box) if first is not None else None
        if first is None or second is None or self._step(first, second) > MAX_DRIFT:
            return None
        return second

    def _is_double(self, sighting: Sighting, frame: int) -> bool:
        others = [p.sightings[frame] for p in self._pieces if frame in p.sightings]
        return any(self._step(other, sighting) < DOUBLE for other in others)

    def _is_taken(
        self, sighting: Sighting, colours: Floats, *, frame: int, by: _Live | None = None
    ) -> bool:
        """Whether a find is not somebody new, or `by`, but who is followed already or a part of them.

        Limbs are taken for people, and so is what the paint has left. Who stands behind another is of
        about their size and wears other clothes.
        """
        if self._is_double(sighting, frame):
            return True
        for live in self._live:
            on = sighting.box.near(live.box, reach=BESIDE)
            if not on and share_within(sighting, live.last) <= WITHIN:
                continue
            worse = by is not None and live.unlike(colours) > by.unlike(colours)
            if not (worse or live.is_other(colours)) or live.box.side > BEHIND * sighting.box.side:
                return True
        return False

    def _step(self, a: Sighting, b: Sighting) -> float:
        return step_between(a, b, self._rows)
