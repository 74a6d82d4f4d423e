"""Finding people in one picture, and the keypoints of one person: the interface and MediaPipe's.

A detector is stateless: what it says of a picture depends on that picture alone, so that one
detector serves many people, frames can be looked at in any order, and a cut leaves no trace.

MediaPipe 0.10.14 carries its models in the wheel. Its ready-made `Holistic` follows one person and
smooths over time; here its parts are wired into two graphs of our own instead: one finds people,
the other takes the square around a person and gives body, hands and face of that square. Sources:
Bazarevsky et al., BlazePose (2020); Zhang et al., MediaPipe Hands (2020); Kartynnik et al.,
Real-time Facial Surface Geometry (2019).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery import holistic_graph

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_TILE = 224
"""Tiles smaller than the model's input show it nothing new."""
SAME = 0.15
"""Sides of the square within which two finds are one person; people beside each other are farther."""
TILE_SHARES = (1.0, 0.6)
"""Sides of the square tiles as shares of the picture's shorter side."""


@dataclass(frozen=True, slots=True)
class PersonBox:
    """A square around one person, turned so that the person stands upright in it."""

    x: float
    """Centre (middle of the hips), pixels."""
    y: float
    side: float
    """Pixels."""
    angle: float
    """Radians, clockwise in the picture, by which the person is turned from upright."""
    score: float
    """In [0, 1]."""

    def near(self, other: PersonBox, *, reach: float = 0.25) -> bool:
        """Whether both surround the same place: centres within `reach` sides, sizes within 1.8."""
        large, small = max(self.side, other.side), min(self.side, other.side)
        apart = math.hypot(self.x - other.x, self.y - other.y)
        return apart < reach * large and large < 1.8 * small


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one picture."""

    xy: Floats
    """Pixels `(J, 2)`."""
    confidence: Floats
    """In [0, 1], `(J)`; 0 where nothing was seen."""
    xyz: Floats
    """Metres `(J, 3)`, camera axes, about the middle of the hips."""
    sides: Floats
    """How sure the detector is that a point is not its twin on the other side, `(J)`, in [0, 1].

    1 where it cannot tell; kept apart from the confidence because a swap of sides turns it round.
    """
    box: PersonBox
    """Where to look in the next picture."""

    def at(self, rows: NDArray[np.int64]) -> Sighting:
        """The same with some of its points alone."""
        return Sighting(
            self.xy[rows], self.confidence[rows], self.xyz[rows], self.sides[rows], self.box
        )


class Detector(Protocol):
    """What the tracker needs of a detector; any model can stand behind it."""

    joint_set: str
    """Name of the joint set of its sightings."""

    def find(self, image: Image, *, thorough: bool) -> list[PersonBox]:
        """Squares around people, best first; `thorough` looks for small people too."""

    def look(self, image: Image, box: PersonBox) -> Sighting | None:
        """The person in that square, or None when there is none."""

    def close(self) -> None:
        """Free what the models hold."""


class MediaPipeDetector:
    """Body, hands and face (`mediapipe_543`) by the models in mediapipe's wheel, on the CPU.

    Where the 3D of the parts comes from: body `xyz` as the model gives it, metres about the middle
    of the hips; hand `xyz` from the hand model in metres, its wrist put on the body's wrist; face
    `xyz` from the face mesh, scaled so that the outer eye corners are 8.9 cm apart, its nose put on
    the body's nose. Axes as the camera's: x right, y down, z away from it.
    Confidence: body as the model says (visible and inside the picture); hands and face are seen or
    not, less sure when small, and 0 when they do not fit the body (`holistic_graph.PART_REACH`).
    `sides` of a hand's points: how sure the hand model is of which hand it sees.
    """

    joint_set = "mediapipe_543"

    def __init__(self) -> None:
        self._finder = holistic_graph.open_graph(holistic_graph.FIND_PEOPLE)
        self._looker = holistic_graph.open_graph(holistic_graph.LOOK_AT_PERSON)

    def find(self, image: Image, *, thorough: bool) -> list[PersonBox]:
        """See `Detector`; the whole picture, and with `thorough` overlapping tiles of it too."""
        height, width = image.shape[:2]
        found = self._find_in(image, 0, 0)
        if thorough:
            for x, y, side in tiles(width, height):
                tile = np.ascontiguousarray(image[y : y + side, x : x + side])
                for box in self._find_in(tile, x, y):
                    found.append(_less_sure_at_seams(box, (x, y, side), (width, height)))
        return distinct(found)

    def look(self, image: Image, box: PersonBox) -> Sighting | None:
        """See `Detector`."""
        height, width = image.shape[:2]
        roi = holistic_graph.rectangle(
            (box.x, box.y), side=box.side, angle=box.angle, size=(width, height)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = self._looker.process({"image": image, "roi": roi})
        if result.pose is None or result.world is None or result.aux is None:
            return None
        points = holistic_graph.assemble(result, width, height)
        aux = [(p.x * width, p.y * height) for p in result.aux.landmark]
        score = float(np.sort(points.confidence[:33])[-12:].mean())
        return Sighting(
            xy=points.xy,
            confidence=points.confidence,
            xyz=points.xyz,
            sides=points.sides,
            box=box_from_axis(aux[0], aux[1], score=score),
        )

    def close(self) -> None:
        """Free the models; the detector cannot be used afterwards."""
        self._finder.close()
        self._looker.close()

    def _find_in(self, image: Image, left: int, top: int) -> list[PersonBox]:
        height, width = image.shape[:2]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detections = self._finder.process(image).detections
        boxes = []
        for detection in detections or []:
            keys = detection.location_data.relative_keypoints
            ends = [(left + k.x * width, top + k.y * height) for k in keys[:2]]
            boxes.append(box_from_axis(ends[0], ends[1], score=min(1.0, detection.score[0])))
        return boxes


def box_from_axis(
    hips: tuple[float, float], end: tuple[float, float], *, score: float
) -> PersonBox:
    """The square about the middle of the hips; `end` lies above the head on the circle round all.

    The margin of a quarter and the meaning of both points are BlazePose's.
    """
    x, y = end[0] - hips[0], end[1] - hips[1]
    side = max(2.5 * math.hypot(x, y), 2.0)
    return PersonBox(hips[0], hips[1], side, math.atan2(x, -y), score)


def tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """Overlapping square tiles (left, top, side) that cover a picture at two sizes."""
    out = []
    for share in TILE_SHARES:
        side = round(min(width, height) * share)
        if side >= MIN_TILE:
            out += [(x, y, side) for y in _starts(height, side) for x in _starts(width, side)]
    return [tile for tile in out if tile[2] < max(width, height)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one axis: neighbours overlap by half at least."""
    steps = math.ceil(2 * (length - side) / side)
    return [round(i * (length - side) / max(steps, 1)) for i in range(steps + 1)]


def _less_sure_at_seams(
    box: PersonBox, tile: tuple[int, int, int], size: tuple[int, int]
) -> PersonBox:
    # A tile's edge through a person makes the model guess the rest; the whole view wins over it.
    x, y, side = tile
    radius = 0.4 * box.side
    cut = (x > 0 and box.x - radius < x) or (x + side < size[0] and box.x + radius > x + side)
    cut |= (y > 0 and box.y - radius < y) or (y + side < size[1] and box.y + radius > y + side)
    score = box.score * (0.6 if cut else 1.0)
    return PersonBox(box.x, box.y, box.side, box.angle, score)


def distinct(boxes: Sequence[PersonBox]) -> list[PersonBox]:
    """Best first, each person once."""
    kept: list[PersonBox] = []
    for box in sorted(boxes, key=lambda b: -b.score):
        if not any(box.near(other, reach=SAME) for other in kept):
            kept.append(box)
    return kept
