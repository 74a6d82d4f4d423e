"""How the camera of each shot moved, from the background alone.

Frames are fed once, in order; people are masked out. Each shot is called `static`, `pan` (the camera
only turns) or `moving` and gets a rotation per frame. Where the background says too little, the
answer is a standing camera, a warning and no confidence, never a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.checks import check_tensor
from humanmotion.errors import MotionError, UsageError
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.background import BackgroundTracker
from humanmotion.recovery.camera_kind import (
    MIN_USABLE,
    CameraKind,
    KindEvidence,
    decide_kind,
)
from humanmotion.recovery.camera_path import CameraPath, camera_path
from humanmotion.recovery.focal import FocalEstimate, choose_focal
from humanmotion.recovery.masks import PeopleMasks
from humanmotion.recovery.shots import Shot

Image = NDArray[np.uint8]
KindChoice = Literal["auto", "static", "pan", "moving"]
KINDS: tuple[KindChoice, ...] = ("auto", "static", "pan", "moving")

TRACKED_SIDE = 640
"""Longest side in pixels of the pictures that are looked at."""
SMALL_SIDE = 1280
"""Up to this longest side a picture is resized exactly; larger ones by a whole factor, which is
several times faster."""
LOW_CONFIDENCE = 0.5


@dataclass(frozen=True)
class CameraMotion:
    """The camera's motion in one shot of `n` frames; checks itself (raises MotionError)."""

    kind: CameraKind
    """`static`, `pan` (only turns) or `moving`."""
    R_c2c0: Tensor
    """`(n, 3, 3)`: `x_c0 = R_c2c0 @ x_c + t_c2c0`, camera axes of frame 0 of the shot; the identity
    exactly for a static camera."""
    t_c2c0: Tensor
    """`(n, 3)`, zero unless `moving`, and then up to one unknown scale for the shot."""
    flow_px: Tensor
    """Median motion of the background since the frame before, `(n)`, pixels at 640 px."""
    confidence: float
    """In [0, 1]: share of usable frames times share of the background that agrees."""
    focal: FocalEstimate
    """The focal length the rotations were computed with."""
    warnings: tuple[str, ...]
    """What the user should know before trusting the result."""
    up: Tensor | None = None
    """Up in the axes of frame 0 `(3)`, where it is known: the pictures of the background do not say."""

    def __post_init__(self) -> None:
        frames = len(self.flow_px)
        check_tensor("R_c2c0", self.R_c2c0, (frames, 3, 3))
        check_tensor("t_c2c0", self.t_c2c0, (frames, 3))
        check_tensor("flow_px", self.flow_px, (frames,))
        if self.up is not None:
            check_tensor("up", self.up, (3,))
        if not 0 <= self.confidence <= 1:
            raise MotionError(f"confidence {self.confidence} must lie in [0, 1]")

    def __len__(self) -> int:
        return len(self.flow_px)


class OdometryTracker:
    """Watches one shot: feed it the frames in order, then ask for the result."""

    def __init__(
        self, width: int, height: int, *, kind: KindChoice = "auto", seed: int = 0
    ) -> None:
        """`width` and `height` are those of the frames; `kind` other than `auto` is taken as is.

        Raises UsageError for another kind or an empty frame.
        """
        if kind not in KINDS:
            raise UsageError(f"camera kind {kind!r} given; it must be one of {', '.join(KINDS)}")
        self.size = tracked_size(width, height)
        self.full_size = (width, height)
        self._kind, self._seed = kind, seed
        self._background = BackgroundTracker()
        self._evidence: KindEvidence | None = None

    def add(self, frame: Image, mask: Image | None = None) -> None:
        """Watch the next frame `(height, width)` gray or `(height, width, 3)` RGB, uint8.

        `mask`, of the tracked size (`size` is its width and height), is 0 on people. Raises
        UsageError for a frame of another size.
        """
        if frame.shape[:2] != self.full_size[::-1]:
            raise UsageError(
                f"frame of {frame.shape[1]}x{frame.shape[0]} given; the first was "
                f"{self.full_size[0]}x{self.full_size[1]}, and all must be equal"
            )
        self._evidence = None
        self._background.add(shrink(frame), mask)

    def evidence(self) -> KindEvidence:
        """What the frames so far say about the kind of camera."""
        if self._evidence is None:
            self._evidence = decide_kind(
                self._background, width=self.size[0], height=self.size[1], seed=self._seed
            )
        return self._evidence

    def finish(self) -> None:
        """Let go of the kept pictures; no frame can be added afterwards."""
        self._background.finish()

    def pan_focal(self) -> FocalEstimate | None:
        """Focal length in pixels of the frames, where the camera turned enough to tell it."""
        found = self.evidence().pan_focal
        if found is None or self._kind in ("static", "moving"):
            return None
        return FocalEstimate(found.focal_px / self._scale, found.sigma, found.method)

    def result(self, focal: FocalEstimate) -> CameraMotion:
        """The motion over the frames fed, with a focal length in pixels of the frames."""
        evidence = self.evidence()
        kind = evidence.kind if self._kind == "auto" else self._kind
        path = self._path(kind, focal)
        flow = np.array(self._background.flow) * TRACKED_SIDE / max(self.size)
        confidence = evidence.usable * evidence.agreement[kind] / (1 + path.broken)
        return CameraMotion(
            kind=kind,
            R_c2c0=torch.from_numpy(path.rotation).float(),
            t_c2c0=torch.from_numpy(path.translation).float(),
            flow_px=torch.from_numpy(flow).float(),
            confidence=confidence,
            focal=focal,
            warnings=_warnings(evidence, confidence, path),
        )

    @property
    def _scale(self) -> float:
        return self.size[0] / self.full_size[0]

    def _path(self, kind: CameraKind, focal: FocalEstimate) -> CameraPath:
        frames = len(self._background)
        if kind == "static" or not self._background.segments:
            return CameraPath(np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3)), 0)
        return camera_path(
            self._background,
            centre=np.array([self.size[0] / 2, self.size[1] / 2]),
            focal=focal.focal_px * self._scale,
            travels=kind == "moving",
        )


def estimate_motions(
    frames: Iterable[tuple[float, Image]],
    *,
    tracks: Sequence[Keypoints],
    shots: Sequence[Shot],
    focal: float | None = None,
    kind: KindChoice = "auto",
    seed: int = 0,
) -> tuple[CameraMotion, ...]:
    """The camera's motion in each shot, reading the video's frames (seconds, RGB) once.

    `tracks` are the people, over the same frames; `shots` lie in order. Without a `focal` (pixels
    of the frames) it is measured where a camera turns, else the image diagonal is used, and every
    result names it. Raises UsageError for an unknown kind, a focal length that is not positive, or
    a video with fewer frames than the shots.
    """
    if kind not in KINDS:
        raise UsageError(f"camera kind {kind!r} given; it must be one of {', '.join(KINDS)}")
    if not shots:
        return ()
    trackers = _watch(frames, tracks=tracks, shots=shots, kind=kind, seed=seed)
    width, height = trackers[0].full_size
    pans = [pan for tracker in trackers if (pan := tracker.pan_focal()) is not None]
    chosen = choose_focal(pans, width=width, height=height, given=focal)
    return tuple(tracker.result(chosen) for tracker in trackers)


def _watch(
    frames: Iterable[tuple[float, Image]],
    *,
    tracks: Sequence[Keypoints],
    shots: Sequence[Shot],
    kind: KindChoice,
    seed: int,
) -> list[OdometryTracker]:
    """One tracker per shot, fed with its frames; only key frames' small pictures are held."""
    trackers: list[OdometryTracker] = []
    masks: PeopleMasks | None = None
    waiting = list(shots)
    index = -1
    for index, (_, image) in enumerate(frames):
        if waiting and index == waiting[0].start:
            waiting.pop(0)
            for tracker in trackers[-1:]:
                tracker.finish()
            trackers.append(OdometryTracker(image.shape[1], image.shape[0], kind=kind, seed=seed))
        if not trackers or index >= shots[len(trackers) - 1].stop:
            continue
        if masks is None:
            size = trackers[-1].size
            masks = PeopleMasks(tracks, width=size[0], height=size[1])
        trackers[-1].add(image, masks.background(index))
    if index + 1 < shots[-1].stop:
        raise UsageError(
            f"the video has {index + 1} frames, the last shot ends at {shots[-1].stop}; find the "
            "shots in the same frames"
        )
    return trackers


def _warnings(evidence: KindEvidence, confidence: float, path: CameraPath) -> tuple[str, ...]:
    warnings = []
    if evidence.usable < MIN_USABLE:
        warnings.append("too little background to see the camera's motion")
    elif confidence < LOW_CONFIDENCE:
        warnings.append("the camera's motion is uncertain: much of the background disagrees")
    if path.broken:
        warnings.append(
            f"the background was lost {path.broken} x (blur or cover); the camera is taken to hold "
            "its direction meanwhile"
        )
    return tuple(warnings)


def tracked_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture that is looked at; raises UsageError for an empty one."""
    if width <= 0 or height <= 0:
        raise UsageError(f"frame size {width}x{height} given; both must be positive")
    side = max(width, height)
    if side <= TRACKED_SIDE:
        return width, height
    if side <= SMALL_SIDE:
        scale = TRACKED_SIDE / side
        return max(1, round(width * scale)), max(1, round(height * scale))
    factor = math.ceil(side / TRACKED_SIDE)
    return max(1, width // factor), max(1, height // factor)


def shrink(frame: Image) -> Image:
    """A gray or RGB picture as gray, of the tracked size."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
    height, width = gray.shape
    size = tracked_size(width, height)
    if size == (width, height):
        return np.asarray(gray, np.uint8)
    if max(width, height) > SMALL_SIDE:
        factor = math.ceil(max(width, height) / TRACKED_SIDE)
        gray = gray[: size[1] * factor, : size[0] * factor]
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
