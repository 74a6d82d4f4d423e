"""MediaPipe's parts wired into our two graphs, and their results put into one table of points.

Every node is a sub-graph or calculator registered in the mediapipe 0.10.14 wheel; only models that
lie in the wheel are named (`complexity` 1), so nothing is ever downloaded.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

POINTS = 33 + 21 + 21 + 468
LEFT_HAND, RIGHT_HAND, FACE = 33, 54, 75
"""First row of each part."""
PART_REACH = 0.12
"""A hand or face farther than this (metres) from the body's wrist or nose is another's."""
ONE_HAND = 0.04
"""Two hands whose points lie this near (metres) are one hand, found twice."""
SCALE_RATIO = 2.0
"""Hand or face larger or smaller than the body by more than this factor is no part of it."""
MIN_HAND_PIXELS = 20.0
"""Longer side of a hand below which fingers cannot be told apart; half sure at twice that."""
MIN_FACE_PIXELS = 20.0
EYE_CORNERS = 0.089
"""Metres between the outer eye corners of MediaPipe's canonical face (landmarks 33 and 263)."""

FIND_PEOPLE = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:detections" }
"""


def _hand_nodes(side: str, pose_rows: tuple[int, int, int]) -> str:
    """Wrist, index and little finger of the pose give a rough square, which is refined."""
    ranges = " ".join(f"ranges {{ begin: {row} end: {row + 1} }}" for row in pose_rows)
    return f"""
node {{ calculator: "SplitNormalizedLandmarkListCalculator" input_stream: "pose"
  output_stream: "{side}_from_pose" options {{ [mediapipe.SplitVectorCalculatorOptions.ext] {{
    {ranges} combine_outputs: true }} }} }}
node {{ calculator: "HandLandmarksFromPoseToRecropRoi"
  input_stream: "HAND_LANDMARKS_FROM_POSE:{side}_from_pose" input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:{side}_rough" }}
node {{ calculator: "HandRecropByRoiCpu" input_stream: "IMAGE:image"
  input_stream: "ROI:{side}_rough" output_stream: "HAND_ROI_FROM_RECROP:{side}_roi" }}
node {{ calculator: "HandLandmarkCpu" input_stream: "IMAGE:image" input_stream: "ROI:{side}_roi"
  input_side_packet: "MODEL_COMPLEXITY:complexity" output_stream: "LANDMARKS:{side}"
  output_stream: "WORLD_LANDMARKS:{side}_world" output_stream: "HANDEDNESS:{side}_label" }}
"""


_PERSON_OUTPUTS = "pose aux world left left_world left_label right right_world right_label face"
LOOK_AT_PERSON = (
    """
input_stream: "image"
input_stream: "roi"
input_side_packet: "complexity"
input_side_packet: "no"
"""
    + "".join(f'output_stream: "{name}"\n' for name in _PERSON_OUTPUTS.split())
    + """
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE:image"
  output_stream: "SIZE:size" }
node { calculator: "PoseLandmarkByRoiCpu" input_stream: "IMAGE:image" input_stream: "ROI:roi"
  input_side_packet: "MODEL_COMPLEXITY:complexity" input_side_packet: "ENABLE_SEGMENTATION:no"
  output_stream: "LANDMARKS:pose" output_stream: "AUXILIARY_LANDMARKS:aux"
  output_stream: "WORLD_LANDMARKS:world" }
"""
    + _hand_nodes("left", (15, 17, 19))
    + _hand_nodes("right", (16, 18, 20))
    + """
node { calculator: "SplitNormalizedLandmarkListCalculator" input_stream: "pose"
  output_stream: "face_from_pose" options { [mediapipe.SplitVectorCalculatorOptions.ext] {
    ranges { begin: 0 end: 11 } } } }
node { calculator: "FaceLandmarksFromPoseToRecropRoi"
  input_stream: "FACE_LANDMARKS_FROM_POSE:face_from_pose" input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:face_rough" }
node { calculator: "FaceDetectionShortRangeByRoiCpu" input_stream: "IMAGE:image"
  input_stream: "ROI:face_rough" output_stream: "DETECTIONS:faces" }
node { calculator: "FaceDetectionFrontDetectionsToRoi" input_stream: "DETECTIONS:faces"
  input_stream: "IMAGE_SIZE:size" output_stream: "ROI:face_roi" }
node { calculator: "FaceLandmarkCpu" input_stream: "IMAGE:image" input_stream: "ROI:face_roi"
  input_side_packet: "WITH_ATTENTION:no" output_stream: "LANDMARKS:face" }
"""
)


@dataclass(frozen=True)
class Points:
    """One person's 543 points; fields as in `Sighting`."""

    xy: Floats
    confidence: Floats
    xyz: Floats
    sides: Floats


def open_graph(text: str) -> Any:
    """A running graph with a `process` method; mediapipe is imported here, when first needed."""
    with warnings.catch_warnings(), _native_log_off():
        warnings.simplefilter("ignore")
        # Something that the import brings in keeps the frame it was imported from, and with it all that
        # the callers' frames ever held: over a long video hundreds of megabytes. A thread has none.
        with ThreadPoolExecutor(1) as thread:
            base = thread.submit(_solution_base).result()
        side = {"complexity": 1, "no": False} if "complexity" in text else None
        graph = base(graph_config=text, side_inputs=side)
        # The models load with the first picture, in other threads.
        blank: dict[str, Any] = {"image": np.zeros((64, 64, 3), np.uint8)}
        if "roi" in text:
            blank["roi"] = rectangle((32, 32), side=64, angle=0, size=(64, 64))
        graph.process(blank)
        return graph


def _solution_base() -> Any:
    # Importing the solution registers the option types that the graph text names.
    from mediapipe.python.solution_base import SolutionBase
    from mediapipe.python.solutions import holistic as _  # noqa: F401

    return SolutionBase


@contextmanager
def _native_log_off() -> Iterator[None]:
    """Keep the native library's start-up lines, which no setting turns off, from the user's stderr.

    They are written by C++ to file descriptor 2; errors still arrive as Python exceptions.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nothing)
        os.close(kept)


def rectangle(
    centre: tuple[float, float], *, side: float, angle: float, size: tuple[int, int]
) -> Any:
    """MediaPipe's rectangle for a square in pixels, turned clockwise by `angle` radians."""
    from mediapipe.framework.formats import rect_pb2

    return rect_pb2.NormalizedRect(
        x_center=centre[0] / size[0],
        y_center=centre[1] / size[1],
        width=side / size[0],
        height=side / size[1],
        rotation=angle,
    )


def assemble(result: Any, width: int, height: int) -> Points:
    """All points of one person; parts that were not found, or do not fit, have confidence 0."""
    points = Points(
        np.zeros((POINTS, 2), np.float32),
        np.zeros(POINTS, np.float32),
        np.zeros((POINTS, 3), np.float32),
        np.ones(POINTS, np.float32),
    )
    pose = _table(result.pose, width, height)
    points.xy[:33] = pose[:, :2]
    points.xyz[:33] = _table(result.world, 1, 1)[:, :3]
    points.confidence[:33] = pose[:, 3] * _inside(pose, width, height)
    metre = _pixels_per_metre(points.xy[:33], points.xyz[:33])
    for side, first, wrist in (("left", LEFT_HAND, 15), ("right", RIGHT_HAND, 16)):
        _put_hand(points, result, side, rows=(first, wrist), metre=metre, size=(width, height))
    _drop_shared_hand(points, metre)
    if result.face is not None:
        _put_face(points, _table(result.face, width, height), metre, size=(width, height))
    return points


def _table(landmarks: Any, width: int, height: int) -> Floats:
    """`(n, 4)`: x, y, z in pixels (or as they are), and visibility."""
    rows = [(p.x, p.y, p.z, p.visibility) for p in landmarks.landmark]
    # z comes in the unit of x: shares of the picture's width.
    return np.array(rows, np.float32) * np.array([width, height, width, 1], np.float32)


def _inside(table: Floats, width: int, height: int) -> NDArray[np.bool_]:
    x, y = table[:, 0], table[:, 1]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _pixels_per_metre(xy: Floats, xyz: Floats) -> float:
    """How large the picture shows the person, by the spread of both (weak perspective)."""
    spread = np.std(xyz[:, :2], axis=0).sum()
    return float(np.std(xy, axis=0).sum() / max(spread, 1e-6))


def _put_hand(
    points: Points,
    result: Any,
    side: str,
    *,
    rows: tuple[int, int],
    metre: float,
    size: tuple[int, int],
) -> None:
    landmarks, world = getattr(result, side), getattr(result, f"{side}_world")
    if landmarks is None or world is None:
        return
    first, wrist = rows
    hand, shape = _table(landmarks, *size), _table(world, 1, 1)[:, :3]
    points.xy[first : first + 21] = hand[:, :2]
    points.xyz[first : first + 21] = shape - shape[0] + points.xyz[wrist]
    apart = float(np.linalg.norm(hand[0, :2] - points.xy[wrist])) / metre
    own = _pixels_per_metre(hand, shape)
    if apart > PART_REACH or not 1 / SCALE_RATIO < own / metre < SCALE_RATIO:
        return
    extent = float(np.ptp(hand[:, :2], axis=0).max())
    sure = _enough(extent, MIN_HAND_PIXELS)
    points.confidence[first : first + 21] = sure * _inside(hand, *size)
    points.sides[first : first + 21] = _side_score(getattr(result, f"{side}_label"), side)


def _drop_shared_hand(points: Points, metre: float) -> None:
    """Two hands in one place are one hand; it stays with the side the hand model names."""
    left, right = slice(LEFT_HAND, RIGHT_HAND), slice(RIGHT_HAND, FACE)
    apart = np.linalg.norm(points.xy[left] - points.xy[right], axis=1).mean() / metre
    if min(points.confidence[left].max(), points.confidence[right].max()) > 0 and apart < ONE_HAND:
        worse = left if points.sides[left].mean() < points.sides[right].mean() else right
        points.confidence[worse] = 0


def _side_score(label: Any, side: str) -> float:
    """How sure the hand model is that this is the left (right) hand."""
    if label is None or not label.classification:
        return 0.0
    best = label.classification[0]
    # The model names hands as in a mirror.
    mirrored = {"left": "Right", "right": "Left"}[side]
    score = min(1.0, float(best.score))
    return score if best.label == mirrored else 1.0 - score


def _enough(pixels: float, least: float) -> float:
    """0 below `least` pixels, rising to 1 at three times that."""
    return min(1.0, max(0.0, (pixels - least) / (2 * least)))


def _put_face(points: Points, face: Floats, metre: float, *, size: tuple[int, int]) -> None:
    face = face[:468]
    scale = float(np.linalg.norm(face[33, :3] - face[263, :3])) / EYE_CORNERS
    points.xy[FACE:] = face[:, :2]
    # Landmark 1 is the tip of the nose, as the pose's first point is.
    points.xyz[FACE:] = (face[:, :3] - face[1, :3]) / max(scale, 1e-6) + points.xyz[0]
    apart = math.dist(face[1, :2], points.xy[0]) / metre
    if apart > PART_REACH or not 1 / SCALE_RATIO < scale / metre < SCALE_RATIO:
        return
    extent = float(np.ptp(face[:, :2], axis=0).max())
    sure = float(points.confidence[:11].mean()) * _enough(extent, MIN_FACE_PIXELS)
    points.confidence[FACE:] = sure * _inside(face, *size)
