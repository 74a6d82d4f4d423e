"""A textured room seen by a camera that stands, turns or travels: pictures with known poses.

Rays are cast against the six walls of a box and against a few boxes standing in it; every wall
carries a random texture. World: z up, metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 180
TEXTURE = 512
TEXELS_PER_METRE = 70.0
NOISE = 2.0


@dataclass(frozen=True)
class Take:
    """A camera path through a room, and the pictures it took."""

    kind: str
    focal: float
    rotation: np.ndarray
    """World to camera `(T, 3, 3)`."""
    centre: np.ndarray
    """`(T, 3)`."""
    frames: list[np.ndarray]
    """Gray `(HEIGHT, WIDTH)`."""
    masks: list[np.ndarray]
    """0 on a textured thing that crosses the picture, like a person."""

    def relative(self) -> np.ndarray:
        """`(T, 3, 3)` with `x_first = R x`."""
        return np.einsum("ij,tkj->tik", self.rotation[0], self.rotation)


def take(kind: str, seed: int, *, frames: int) -> Take:
    """`static`, `pan`, `slow pan` (1.2 degrees in all) or `moving`, all with 0.3 px jitter at 640."""
    rng = np.random.default_rng(seed)
    focal = np.hypot(WIDTH, HEIGHT) * rng.uniform(0.8, 1.3)
    turn, centre = _path(kind, rng, frames)
    turn[:, :2] += rng.normal(size=(frames, 2)) * 0.3 / 640 * WIDTH / focal
    rotation = np.stack([_look(*t) for t in turn])
    room = _Room(rng)
    across = WIDTH * (0.5 + 0.4 * np.sin(np.linspace(0, 4, frames) + rng.uniform(0, 6)))
    thing = _texture(rng)[: int(HEIGHT * 0.9), : int(WIDTH * 0.15)]
    pictures, masks = [], []
    for pose, place, x in zip(rotation, centre, across, strict=True):
        picture, mask = _paste(room.render(pose, place, focal), thing, int(x))
        noisy = picture + rng.normal(size=picture.shape) * NOISE
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
        masks.append(mask)
    return Take(kind, focal, rotation, centre, pictures, masks)


def angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between rotations `(T, 3, 3)`."""
    cosine = (np.einsum("tij,tij->t", a, b) - 1) / 2
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def _path(kind: str, rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Yaw, pitch, roll `(T, 3)` in radians and centre `(T, 3)`."""
    share = np.linspace(0, 1, frames)
    turn = np.tile([rng.uniform(0, 6.28), rng.uniform(-0.2, 0.0), 0.0], (frames, 1))
    centre = np.tile([*rng.uniform(-0.8, 0.8, 2), 0.0], (frames, 1))
    side = rng.choice([-1.0, 1.0])
    if kind == "pan":
        turn[:, 0] += side * np.deg2rad(rng.uniform(15, 30)) * share
        turn[:, 1] += np.deg2rad(4) * np.sin(3 * share)
    elif kind == "slow pan":
        turn[:, 0] += side * np.deg2rad(1.2) * share
    elif kind == "moving":
        heading = turn[0, 0] + rng.uniform(-0.6, 0.6)
        walk = np.array([np.cos(heading), np.sin(heading), 0.0]) * rng.uniform(0.5, 1.0)
        centre += share[:, None] * walk
        centre[:, 2] += 0.04 * np.sin(12 * share)
        turn += np.deg2rad([3, 2, 1.5]) * np.sin(np.outer(share, [5, 7, 4]))
    return turn, centre


def _look(yaw: float, pitch: float, roll: float) -> np.ndarray:
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    level = np.stack([right, np.cross(ahead, right), ahead])
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ level


def _paste(picture: np.ndarray, thing: np.ndarray, x: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.full(picture.shape, 255, np.uint8)
    left, right = max(x, 0), min(x + thing.shape[1], picture.shape[1])
    if right > left:
        picture[-len(thing) :, left:right] = thing[:, left - x : right - x]
        mask[-len(thing) - 4 :, max(left - 4, 0) : right + 4] = 0
    return picture, mask


def _texture(rng: np.random.Generator) -> np.ndarray:
    total = np.zeros((TEXTURE, TEXTURE), np.float32)
    for cells in (4, 8, 16, 32, 64, 128):
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        fine = cv2.resize(noise, (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)
        total += fine * (8 / cells) ** 0.35
    for _ in range(40):
        x, y, w, h = *rng.integers(0, TEXTURE - 60, 2), *rng.integers(10, 60, 2)
        total[y : y + h, x : x + w] += rng.normal() * 1.5
    return np.clip(128 + 24 * cv2.GaussianBlur(total, (0, 0), 1.2), 0, 255).astype(np.uint8)


class _Room:
    half = (5.0, 4.0, 1.5)

    def __init__(self, rng: np.random.Generator) -> None:
        textures = [np.pad(_texture(rng), ((0, 1), (0, 1)), mode="wrap") for _ in range(6)]
        self._atlas = np.concatenate(textures)
        self._boxes = []
        for place in rng.uniform(-0.8, 0.8, (6, 2)) * self.half[:2]:
            if np.linalg.norm(place) > 2.0:
                size, top = rng.uniform(0.15, 0.4, 2), rng.uniform(-0.8, 1.0)
                self._boxes.append(((*place - size, -1.5), (*place + size, top)))

    def render(self, rotation: np.ndarray, centre: np.ndarray, focal: float) -> np.ndarray:
        """Gray `(HEIGHT, WIDTH)` of a camera at `centre` with `rotation` world to camera."""
        u = ((np.arange(WIDTH) + 0.5 - WIDTH / 2) / focal)[None].astype(np.float32)
        v = ((np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / focal)[:, None].astype(np.float32)
        r = rotation.astype(np.float32)
        ray = [r[0, k] * u + r[1, k] * v + r[2, k] for k in range(3)]
        inverse = [1 / np.where(np.abs(x) < 1e-6, np.float32(1e-6), x) for x in ray]
        walls = [
            (np.where(i > 0, h, -h) - c) * i
            for i, h, c in zip(inverse, self.half, centre, strict=True)
        ]
        depth, axis = np.min(walls, 0), np.argmin(walls, 0)
        number = axis * 2 + (np.choose(axis, inverse) > 0)
        for low, high in self._boxes:
            near, far, front = self._enter(low, high, centre, inverse)
            hit = (near < far) & (near > 0.05) & (near < depth)
            depth, axis = np.where(hit, near, depth), np.where(hit, front, axis)
        point = [c + depth * x for c, x in zip(centre, ray, strict=True)]
        x = np.where(axis == 0, point[1], point[0]) * TEXELS_PER_METRE
        y = np.where(axis == 2, point[1], point[2]) * TEXELS_PER_METRE
        column = np.mod(x, TEXTURE).astype(np.float32)
        row = (np.mod(y, TEXTURE) + (TEXTURE + 1) * number).astype(np.float32)
        return cv2.remap(self._atlas, column, row, cv2.INTER_LINEAR)

    @staticmethod
    def _enter(low, high, centre, inverse) -> Iterator[np.ndarray]:
        """Depth of entering and leaving a box, and the axis of the face entered through."""
        sides = [
            np.sort([(a - c) * i, (b - c) * i], 0)
            for a, b, c, i in zip(low, high, centre, inverse, strict=True)
        ]
        entries = np.stack([s[0] for s in sides])
        return entries.max(0), np.min([s[1] for s in sides], 0), entries.argmax(0)
