"""A walking stick figure in the set mediapipe_33, as keypoints, and a detector that sees only it."""

from __future__ import annotations

import numpy as np
import torch

from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.detection import PersonBox, Sighting

NAMES = JOINT_SETS["mediapipe_33"]
SIZE = (640, 480)
_LEFT = {  # x left, y up, z front, in body heights from the hips
    "nose": (0, 0.42, 0.08), "eye": (0.02, 0.44, 0.07), "ear": (0.05, 0.43, 0),
    "mouth": (0.02, 0.4, 0.07), "shoulder": (0.11, 0.32, 0), "elbow": (0.16, 0.15, 0),
    "wrist": (0.17, 0.0, 0.05), "pinky": (0.18, -0.04, 0.04), "index": (0.17, -0.05, 0.07),
    "thumb": (0.16, -0.03, 0.07), "hip": (0.06, 0, 0), "knee": (0.06, -0.23, 0.01),
    "ankle": (0.06, -0.45, -0.02), "heel": (0.06, -0.48, -0.04), "toe": (0.06, -0.48, 0.08),
}  # fmt: skip


def shape(swing: float = 0.0) -> np.ndarray:
    """The 33 points `(33, 3)`, x to the person's left, y up, z to the front, heights."""
    out = np.zeros((33, 3))
    for i, name in enumerate(NAMES):
        part = next(key for key in _LEFT if key in name)
        side = {"left": 1, "right": -1}.get(name.split("_")[0], 0)
        x, y, z = _LEFT[part]
        front = side * swing * {"ankle": 0.12, "heel": 0.12, "toe": 0.12, "knee": 0.06}.get(part, 0)
        front -= side * swing * {"wrist": 0.1, "elbow": 0.05}.get(part, 0)
        out[i] = (side * x, y, z + front)
    return out


def sighting(x: float, y: float, *, yaw: float = 0.0, swing: float = 0.0, tall: float = 200.0):
    """The figure with its hips at a pixel, turned by `yaw` radians from facing the camera."""
    body = shape(swing)
    c, s = np.cos(yaw), np.sin(yaw)
    # Facing the camera, its left is on the picture's right and its front points at the camera.
    camera = np.stack((c * body[:, 0] + s * body[:, 2], -body[:, 1],
                       s * body[:, 0] - c * body[:, 2]), -1)  # fmt: skip
    return Sighting(
        xy=(camera[:, :2] * tall + [x, y]).astype(np.float32),
        confidence=np.full(33, 0.9, np.float32),
        xyz=(camera * 1.7).astype(np.float32),
        sides=np.ones(33, np.float32),
        box=PersonBox(x, y, 1.25 * tall, 0.0, 0.9),
    )


def swapped(seen: Sighting) -> Sighting:
    """The same as a detector reports it that takes left for right: depths mirrored too."""
    order = [
        NAMES.index(n.replace("left", "*").replace("right", "left").replace("*", "right"))
        for n in NAMES
    ]
    xyz = seen.xyz[order] * np.array([1, 1, -1], np.float32)
    return Sighting(seen.xy[order], seen.confidence[order], xyz, seen.sides[order], seen.box)


def track(sightings, *, fps: float = 30.0) -> Keypoints:
    """Keypoints of a list of sightings, None where the figure is not there."""
    count = len(sightings)
    xy, sure, xyz = np.zeros((count, 33, 2)), np.zeros((count, 33)), np.zeros((count, 33, 3))
    for i, seen in enumerate(sightings):
        if seen is not None:
            xy[i], sure[i], xyz[i] = seen.xy, seen.confidence, seen.xyz
    return Keypoints(
        xy=torch.tensor(xy, dtype=torch.float32),
        confidence=torch.tensor(sure, dtype=torch.float32),
        times=torch.arange(count) / fps,
        joint_set="mediapipe_33",
        width=SIZE[0],
        height=SIZE[1],
        xyz=torch.tensor(xyz, dtype=torch.float32),
    )


class StickDetector:
    """Sees the people of a script: one list of sightings for each frame, told by the picture."""

    joint_set = "mediapipe_33"

    def __init__(self, script) -> None:
        self.script = script
        self.searches = []

    def find(self, image, *, thorough):
        """All boxes of the frame that the picture's first pixels number."""
        self.searches.append(frame_of(image))
        return [seen.box for seen in self.script[frame_of(image)]]

    def look(self, image, box):
        """The figure nearest to the box, if its hips lie within it."""
        near = [s for s in self.script[frame_of(image)] if s.box.near(box, reach=0.4)]
        return min(near, key=lambda s: abs(s.box.x - box.x) + abs(s.box.y - box.y), default=None)

    def close(self) -> None:
        """Nothing to free."""


def picture(frame: int, dressed=()) -> np.ndarray:
    """A grey picture that carries its number, with a coloured patch on each `(sighting, RGB)`."""
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    for seen, color in dressed:
        x, y, half = int(seen.box.x), int(seen.box.y), int(seen.box.side / 4)
        image[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = color
    image[0, 0] = (frame // 65536, frame // 256 % 256, frame % 256)
    return image


def frame_of(image: np.ndarray) -> int:
    """The number a picture carries."""
    high, middle, low = (int(v) for v in image[0, 0])
    return high * 65536 + middle * 256 + low
