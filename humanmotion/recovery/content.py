"""How much the whole picture changes from frame to frame: cuts, flashes and dissolves.

The change is PySceneDetect's published content value with its default weights: the mean over hue,
saturation and value of the mean absolute difference to the frame before, on pictures 160 pixels
wide. Beside it stand two numbers that tell flashes and dissolves from cuts; both need a few frames
more than the pair, so they are taken while the pictures pass.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.recovery.detection import Image

WIDTH = 160
"""Pixels of the pictures compared."""
LEVEL = 21.0
"""Change (of 255) above which the picture may have been cut."""
RATIO = 3.0
"""And this many times the median change around."""
WINDOW = 12
"""Frames on each side that the median is over."""
FLASH_FRAMES = 8
"""A picture that is back within this many frames after a change was only flashed at."""
WATCHED = 0.25
"""Share of LEVEL from which a change is looked at for being a flash."""
DISSOLVE_STEPS = (4, 8, 12)
"""Half lengths in frames of the dissolves looked for."""
MIXTURE = 0.4
"""How near the middle of a dissolve is to the mean of its ends, as a share of their difference."""
FADED = 0.75
"""Most of the ends' detail (mean square of the brightness's slope) that shows in the middle: two
pictures that have nothing to do with each other keep half of theirs when they are mixed, and one that
moves keeps it all."""
FAINT = 7.0
"""Least difference between the ends: two views of one room may be much alike."""


@dataclass(frozen=True)
class Content:
    """Change of the whole picture at each frame, all `(T)`, all in [0, 255]."""

    change: Tensor
    """Difference to the frame before."""
    lasting: Tensor
    """Least difference between a picture before and one after, few frames apart: small in a flash."""
    dissolve: Tensor
    """How clearly a slow mixture of two pictures has its middle here; 0 where none has."""


class ContentScorer:
    """Takes pictures in order; keeps only a few small ones."""

    def __init__(self) -> None:
        self._change: list[float] = []
        self._lasting: list[float] = []
        self._dissolve: list[float] = []
        self._small: deque[NDArray[np.int16]] = deque(maxlen=2 * max(DISSOLVE_STEPS) + 1)
        self._detail: deque[float] = deque(maxlen=2 * max(DISSOLVE_STEPS) + 1)
        self._recent: deque[NDArray[np.int16]] = deque(maxlen=FLASH_FRAMES + 1)
        self._watched: list[int] = []

    def add(self, image: Image) -> bool:
        """Take the next picture; True when it has little to do with the one before."""
        small = _small(image)
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.int16)
        frame = len(self._change)
        change = _difference(hsv, self._recent[-1]) if self._recent else 0.0
        jump = change > LEVEL and change > RATIO * median(self._change[-WINDOW:])
        self._change.append(change)
        self._lasting.append(change)
        self._dissolve.append(0.0)
        self._compare_over(frame, hsv)
        self._recent.append(hsv)
        self._small.append(small.astype(np.int16))
        self._detail.append(_detail(small))
        self._score_dissolves(frame)
        return jump

    def result(self) -> Content:
        """The scores of all pictures so far."""
        rows = (self._change, self._lasting, self._dissolve)
        return Content(*(torch.tensor(row, dtype=torch.float32) for row in rows))

    def _compare_over(self, frame: int, hsv: NDArray[np.int16]) -> None:
        """Whether this picture was there before a change not long ago."""
        if self._change[frame] > WATCHED * LEVEL:
            self._watched.append(frame)
        self._watched = [f for f in self._watched if frame < f + FLASH_FRAMES]
        if not self._watched:
            return
        for back, before in enumerate(reversed(self._recent), 1):
            apart = _difference(hsv, before)
            for changed in self._watched:
                if changed > frame - back:
                    self._lasting[changed] = min(self._lasting[changed], apart)

    def _score_dissolves(self, frame: int) -> None:
        for step in DISSOLVE_STEPS:
            if len(self._small) <= 2 * step:
                return
            last, middle, first = (self._small[-1 - i * step] for i in range(3))
            after, at, before = (self._detail[-1 - i * step] for i in range(3))
            if at > FADED * (after + before) / 2:
                continue
            ends = _difference(last, first)
            mixed = float(np.abs(2 * middle - last - first).mean()) / 2
            if ends > FAINT and mixed < MIXTURE * ends:
                place = frame - step
                self._dissolve[place] = max(self._dissolve[place], ends - mixed)


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    size = WIDTH, max(1, round(height * WIDTH / width))
    if width >= 4 * WIDTH:
        # Halving first is three times as fast and averages the same pixels.
        half = (width // 2, height // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detail(small: Image) -> float:
    """Mean square of the slopes of the brightness, at half the size: the sensor's noise never fades."""
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    half = (max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2))
    gray = cv2.resize(gray, half, interpolation=cv2.INTER_AREA).astype(np.float32)
    slopes = (np.diff(gray, axis=axis) for axis in (0, 1))
    return float(sum(np.sum(slope**2) for slope in slopes)) / gray.size


def _difference(a: NDArray[np.int16], b: NDArray[np.int16]) -> float:
    if a.shape != b.shape:
        return 255.0
    return float(np.abs(a - b).mean())
