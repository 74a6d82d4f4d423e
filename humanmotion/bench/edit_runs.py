"""The chain from pixels on rendered and real videos: people, cuts, kind of camera, true boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.bench.detector_errors import Misses, all_missed, compare
from humanmotion.bench.rendered import Edit, frames
from humanmotion.body import BodyModel
from humanmotion.errors import NothingFoundError
from humanmotion.io.video import Image, probe, read_frames
from humanmotion.jobs.reconstruct import CAMERA_SIDE, DETECTION_SIDE, MAX_PEOPLE
from humanmotion.recovery.detection import Detector
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.odometry import estimate_motions
from humanmotion.recovery.people import People, find_people
from humanmotion.recovery.shots import Shot, find_shots

BOX_CONFIDENCE = 0.3
"""Of the keypoints that a found box is drawn about."""
MIN_INSIDE = 0.5
"""Share of somebody's points in the picture from which on they are to be found."""


@dataclass(frozen=True, eq=False)
class Watched:
    """What was seen in one video; nothing where nobody was found."""

    people: People | None
    cuts: tuple[int, ...]
    kinds: tuple[str, ...] = ()
    """Of the cameras of the shots, where they were asked for."""


def watch_edit(edit: Edit, body: BodyModel, detector: Detector, *, camera: bool = False) -> Watched:
    """Find people and cuts; with `camera`, for a video of one shot, the kind of its camera too."""
    if not camera:
        return _seen(frames(edit, body), detector, size=None)
    pictures = list(frames(edit, body))
    seen = _seen(pictures, detector, size=None)
    tracks = () if seen.people is None else seen.people.tracks
    motions = estimate_motions(pictures, tracks=tracks, shots=[Shot(0, len(edit))])
    return Watched(seen.people, seen.cuts, tuple(m.kind for m in motions))


def watch_video(path: Path, detector: Detector) -> Watched:
    """A real video as `humanmotion reconstruct` watches it, each shot's camera included."""
    info = probe(path)
    with closing(read_frames(path, max_side=DETECTION_SIDE)) as reader:
        seen = _seen(reader, detector, size=(info.width, info.height))
    if seen.people is None:
        return seen
    edges = [0, *seen.cuts, len(seen.people)]
    shots = [Shot(a, b) for a, b in pairwise(edges)]
    with closing(read_frames(path, max_side=CAMERA_SIDE)) as reader:
        motions = estimate_motions(reader, tracks=seen.people.tracks, shots=shots)
    return Watched(seen.people, seen.cuts, tuple(m.kind for m in motions))


def _seen(
    pictures: Iterable[tuple[float, Image]], detector: Detector, *, size: tuple[int, int] | None
) -> Watched:
    try:
        people = find_people(pictures, detector, max_people=MAX_PEOPLE, size=size)
    except NothingFoundError:
        return Watched(None, ())
    shots = find_shots(people.content, people.tracks, times=people.times)
    return Watched(people, tuple(s.start for s in shots[1:]))


def detector_misses(edit: Edit, watched: Watched, body: BodyModel) -> Misses:
    """How the detector errs on the one person of an edit of one shot."""
    if watched.people is None:
        return all_missed(len(edit))
    motion = edit.motions[0]
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    return compare(watched.people.tracks[0].to_set(SET), edit.takes[0].camera.project(marks))


def found_boxes(people: People | None) -> list[Tensor]:
    """Boxes `(T, 4)` about each track's body points, in pixels; zeros where it was not seen."""
    tracks: Sequence[Any] = () if people is None else people.tracks
    return [track.to_set(SET).boxes(BOX_CONFIDENCE) for track in tracks]


def true_boxes(edit: Edit, body: BodyModel) -> list[Tensor]:
    """Boxes `(T, 4)` about the same points of everybody, as far as they lie in the picture.

    Zeros where less than half of somebody's points do. While a dissolve mixes two shots, the one that
    weighs more counts.
    """
    return [_true_boxes(edit, body, number) for number in range(len(edit.motions))]


def _true_boxes(edit: Edit, body: BodyModel, number: int) -> Tensor:
    motion = edit.motions[number]
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    edges = [0, *(t.cut for t in edit.transitions), len(edit)]
    out = []
    for take, (start, stop) in zip(edit.takes, pairwise(edges), strict=True):
        camera = take.camera[slice(start - take.start, stop - take.start)]
        places, depth = camera.project(marks[start:stop]), camera.to_camera(marks[start:stop])
        edge = places.new_tensor((camera.width, camera.height))
        inside = ((places > 0) & (places < edge)).all(-1) & (depth[..., 2] > 0)
        held = places.clamp(min=torch.zeros(2), max=edge)
        box = torch.cat((held.amin(1), held.amax(1)), -1)
        out.append(box * (inside.float().mean(1, keepdim=True) >= MIN_INSIDE))
    return torch.cat(out)
