"""The first stage of recovery: one pass over the pictures gives everybody's keypoints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.errors import InputError, NothingFoundError, UsageError
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.body_rows import body_rows
from humanmotion.recovery.content import Content, ContentScorer
from humanmotion.recovery.detection import Detector, Image, Sighting
from humanmotion.recovery.shots import find_shots
from humanmotion.recovery.sides import settle_sides
from humanmotion.recovery.tracking import Followed, Tracker

MIN_SHARE = 0.05
"""Tracks less prominent than this share of the first are specks, not people."""
MIN_SPREAD = 0.4
"""Points of a person reach over this share of the square around them; a thing's lie in a heap."""


SMALL_PERSON = 60
"""Pixels of height below which the detector's models see next to nothing."""


@dataclass(frozen=True)
class People:
    """Everybody in a video, and how much its pictures change."""

    tracks: tuple[Keypoints, ...]
    """One for each person, each as long as the video, most prominent (area times frames) first."""
    times: Tensor
    """Seconds `(T)`."""
    content: Content
    """Change of the whole picture, for finding cuts."""
    width: int
    """Pixels the keypoints refer to."""
    height: int
    seconds: dict[str, float]
    """Wall time spent in decode, boxes, keypoints and content."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the input, one line each."""

    def __len__(self) -> int:
        return len(self.times)


def find_people(
    frames: Iterable[tuple[float, Image]],
    detector: Detector,
    *,
    max_people: int = 4,
    size: tuple[int, int] | None = None,
) -> People:
    """Everybody's keypoints in `frames`: `(seconds, (H, W, 3) uint8 RGB)`, all of one size.

    `size` (width, height) is what the keypoints should refer to when the pictures given are a
    smaller version of it. The pictures are looked at once and not kept.
    Raises NothingFoundError when nobody is seen, InputError when there is no picture, UsageError
    for `max_people` below 1.
    """
    return watch_people(frames, detector, max_people=max_people).people(size)


def watch_people(
    frames: Iterable[tuple[float, Image]], detector: Detector, *, max_people: int = 4
) -> Watched:
    """The half of `find_people` that needs the pictures and the detector; arguments as there."""
    if max_people < 1:
        raise UsageError(f"max_people is {max_people}; give at least 1")
    tracker, scorer = Tracker(detector, max_people=max_people), ContentScorer()
    decode = content = 0.0
    shown: tuple[int, int] | None = None
    mark = time.perf_counter()
    for seconds, image in frames:
        decoded = time.perf_counter()
        jump = scorer.add(image)
        scored = time.perf_counter()
        tracker.step(seconds, image, jump=jump)
        shown = (image.shape[1], image.shape[0])
        decode, content = decode + decoded - mark, content + scored - decoded
        mark = time.perf_counter()
    if shown is None:
        raise InputError("there is no picture to look for people in; give a video with pictures")
    spent = {"decode": decode, **tracker.seconds, "content": content}
    times = torch.tensor(tracker.times, dtype=torch.float32)
    view = _View(times, shown, shown, tracker.joint_set)
    return Watched(tracker.followed(), view, scorer.result(), spent)


@dataclass(frozen=True)
class Watched:
    """What was seen in the pictures, not yet put together."""

    followed: Followed
    view: _View
    content: Content
    seconds: dict[str, float]

    def people(self, size: tuple[int, int] | None = None) -> People:
        """The other half of `find_people`, once: the sightings are let go of as they are used."""
        view = replace(self.view, size=size or self.view.shown)
        people = self._prominent()
        if not people:
            raise NothingFoundError(
                f"no person was found in {len(view.times)} pictures; people must be in view, "
                "recognisable and at least about 60 pixels tall"
            )
        raw = [_keypoints(person.items(), view) for person in people]
        cuts = [shot.start for shot in find_shots(self.content, raw, times=view.times)[1:]]
        raw.clear()
        if cuts:
            # Who is who over a cut that only the tracks have shown.
            people = self._prominent(cuts) or people
        self.followed.pieces.clear()
        tracks = _tracks(people, view, cuts)
        return People(tracks, view.times, self.content, *view.size, seconds=self.seconds)

    def _prominent(self, cuts: Sequence[int] = ()) -> list[Mapping[int, Sighting]]:
        rows = body_rows(self.view.joint_set).body
        people = [p for p in self.followed.people(cuts) if _spread(p, rows) >= MIN_SPREAD]
        weight = [sum(s.box.side**2 for s in person.values()) for person in people]
        return [p for p, w in zip(people, weight, strict=True) if w >= MIN_SHARE * weight[0]]


@dataclass(frozen=True)
class _View:
    times: Tensor
    shown: tuple[int, int]  # of the pictures looked at
    size: tuple[int, int]  # that keypoints refer to
    joint_set: str


def _spread(person: Mapping[int, Sighting], rows: NDArray[np.int64]) -> float:
    return float(np.median([np.ptp(s.xy[rows], 0).max() / s.box.side for s in person.values()]))


def _tracks(
    people: list[Mapping[int, Sighting]], view: _View, cuts: Sequence[int]
) -> tuple[Keypoints, ...]:
    """Keypoints with left and right settled within each shot; empties `people`."""
    breaks = frozenset((0, *cuts))
    people.reverse()
    tracks = []
    while people:
        settled = settle_sides(people.pop(), view.joint_set, breaks=breaks)
        tracks.append(_keypoints(settled, view))
    return tuple(tracks)


def _keypoints(sightings: Iterable[tuple[int, Sighting]], view: _View) -> Keypoints:
    frames, joints = len(view.times), len(JOINT_SETS[view.joint_set])
    scale = np.array(view.size, np.float32) / np.array(view.shown, np.float32)
    xy = np.zeros((frames, joints, 2), np.float32)
    confidence = np.zeros((frames, joints), np.float32)
    xyz = np.zeros((frames, joints, 3), np.float32)
    for frame, sighting in sightings:
        xy[frame], xyz[frame] = sighting.xy * scale, sighting.xyz
        confidence[frame] = sighting.confidence * sighting.sides
    return Keypoints(
        xy=torch.from_numpy(xy),
        confidence=torch.from_numpy(confidence).clamp(0, 1),
        times=view.times,
        joint_set=view.joint_set,
        width=view.size[0],
        height=view.size[1],
        xyz=torch.from_numpy(xyz),
    )


def viewing_warnings(track: Keypoints) -> list[str]:
    """What is odd about how a person (set `mediapipe_543` or `mediapipe_33`) is seen."""
    points = track.to_set("mediapipe_33")
    box = points.boxes()
    tall = (box[:, 2:] - box[:, :2]).amax(-1)
    warnings = []
    if bool((tall > 0).any()) and float(tall[tall > 0].median()) < SMALL_PERSON:
        warnings.append(
            f"the person is only {float(tall[tall > 0].median()):.0f} pixels tall; below about "
            f"{SMALL_PERSON} what is found is a guess"
        )
    names = JOINT_SETS["mediapipe_33"]
    nose, ankles = names.index("nose"), [names.index(f"{s}_ankle") for s in ("left", "right")]
    sure = (points.confidence[:, [nose, *ankles]] > 0.5).all(-1)
    turned = points.xy[:, nose, 1] > points.xy[:, ankles, 1].amax(-1)
    if bool(sure.any()) and float(turned[sure].float().mean()) > 0.5:
        warnings.append(
            "the person is upside down in most of the video; if that is not meant, rotate the video"
        )
    return warnings
