"""Cameras that film a known motion in several shots: what recovery is tested and trained on.

Every shot gets a camera of its own: how far it has gone round the person since the last one, its
height, lens and how much of the picture the person fills are drawn, then it stands, turns after the
person, or travels as a hand would carry it. A standing camera that would lose the person is drawn
anew. Ranges follow the cameras of edited footage, wider than those WHAM is trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from humanmotion.camera import Camera, default_focal, intrinsics
from humanmotion.errors import UsageError
from humanmotion.rotations import rotvec_to_matrix

Kind = Literal["static", "pan", "moving"]
KIND_SHARES: tuple[tuple[Kind, float], ...] = (("static", 0.60), ("pan", 0.25), ("moving", 0.15))
STRATA = ((0, 45), (45, 90), (90, 135), (135, 180))
"""Degrees the view changes by at a cut; one range is drawn, then an angle in it."""
HEIGHT = (0.4, 3.0)
"""Of the camera over the floor, metres."""
SHARE = (0.25, 0.85)
"""Of the picture's height that the standing person fills."""
LENS = (0.7, 2.0)
"""Focal length in image diagonals."""
BODY_METRES = 1.7
ROLL_SIGMA = math.radians(1.5)
OFF_CENTRE = 0.08
"""Standard deviation of how far beside the person the camera looks, as a share of the picture."""
NEAREST = 1.0
"""Metres between a camera and the pelvis, at least."""
LOST_SHARE = 0.05
"""Frames of a shot in which the pelvis may be outside the picture."""
TRIES = 20
DOLLY_METRES = 0.6
"""Standard deviation of the way a moving camera goes in a second."""
SHAKE_PX = 0.3
"""Root mean square turn of a camera held by hand, in pixels of a picture of 640."""
SHAKE_SECONDS = 0.15
FOLLOW_SECONDS = 0.4
"""A camera that follows the person lags about so much."""


@dataclass(frozen=True)
class VirtualShot:
    """Frames `start` to `stop - 1` of a motion and the camera that films them."""

    start: int
    stop: int
    kind: Kind
    turn_rad: float
    """How far the view goes round the person at the cut before it, in [0, pi]; 0 in the first."""
    camera: Camera


def film(
    pelvis: Tensor,
    *,
    cuts: Sequence[int],
    fps: float,
    size: tuple[int, int],
    generator: torch.Generator,
) -> tuple[VirtualShot, ...]:
    """Shots of somebody whose pelvis goes along `pelvis` `(T, 3)`, metres, z up, floor at 0.

    `cuts` are first frames of later shots, `size` the picture's width and height. Raises UsageError
    for cuts that do not rise within the motion.
    """
    edges = [0, *cuts, len(pelvis)]
    if any(b <= a for a, b in pairwise(edges)):
        raise UsageError(f"cuts {tuple(cuts)} given for {len(pelvis)} frames; they must rise within")
    azimuth, shots = 2 * math.pi * _uniform(generator), []
    for start, stop in pairwise(edges):
        turn = 0.0
        if shots:
            low, high = STRATA[int(len(STRATA) * _uniform(generator))]
            turn = math.radians(low + (high - low) * _uniform(generator))
            azimuth += turn if _uniform(generator) < 0.5 else -turn
        kind, camera = _shot(pelvis[start:stop], azimuth, fps=fps, size=size, generator=generator)
        shots.append(VirtualShot(start, stop, kind, turn, camera))
    return tuple(shots)


def _shot(
    path: Tensor, azimuth: float, *, fps: float, size: tuple[int, int], generator: torch.Generator
) -> tuple[Kind, Camera]:
    for attempt in range(TRIES):
        kind = _kind(generator) if attempt < TRIES - 1 else "pan"
        camera = _camera(path, azimuth, kind=kind, fps=fps, size=size, generator=generator)
        depth = camera.to_camera(path)[:, 2]
        inside = camera.project(path)
        inside = ((inside > 0) & (inside < torch.tensor(size))).all(-1) & (depth > NEAREST / 2)
        if float((~inside).float().mean()) <= LOST_SHARE:
            break
    return kind, camera


def _camera(
    path: Tensor,
    azimuth: float,
    *,
    kind: Kind,
    fps: float,
    size: tuple[int, int],
    generator: torch.Generator,
) -> Camera:
    width, height = size
    focal = default_focal(width, height) * math.exp(_between(*map(math.log, LENS), generator))
    share = _between(*SHARE, generator)
    distance = max(focal * BODY_METRES / (share * height), NEAREST)
    rise = min(_between(*HEIGHT, generator), distance)
    middle = path.mean(0) if kind == "static" else path[0]
    away = torch.tensor((math.cos(azimuth), math.sin(azimuth))) * distance
    centre = torch.stack((middle[0] + away[0], middle[1] + away[1], torch.tensor(rise)))
    centre = centre.expand(len(path), 3)
    target = middle.expand(len(path), 3) if kind == "static" else _followed(path, fps)
    if kind == "moving":
        seconds = torch.arange(len(path))[:, None] / fps
        way = torch.randn(3, generator=generator) * torch.tensor((1.0, 1.0, 0.3)) * DOLLY_METRES
        centre = centre + seconds * way + _swept(path, fps)
    R = _looking(centre, target)
    bias = torch.tensor((OFF_CENTRE * height, OFF_CENTRE * height)) / focal
    bias = torch.randn(2, generator=generator) * bias
    roll = ROLL_SIGMA * float(torch.randn((), generator=generator))
    turn = torch.tensor((float(bias[0]), float(bias[1]), roll)).expand(len(path), 3)
    if kind == "moving":
        angle = SHAKE_PX * max(size) / 640 / focal
        turn = turn + angle * _shake(len(path), fps=fps, generator=generator)
    R = rotvec_to_matrix(turn) @ R
    K = intrinsics(torch.full((len(path),), focal), width=width, height=height)
    return Camera(K=K, R_w2c=R, t_w2c=-(R @ centre[..., None])[..., 0], width=width, height=height)


def _kind(generator: torch.Generator) -> Kind:
    draw, total = _uniform(generator), 0.0
    for kind, share in KIND_SHARES:
        total += share
        if draw < total:
            return kind
    return KIND_SHARES[-1][0]


def _looking(centre: Tensor, target: Tensor) -> Tensor:
    """World-to-camera rotations `(T, 3, 3)` of level cameras that look at `target` `(T, 3)`."""
    ahead = torch.nn.functional.normalize(target - centre, dim=-1)
    down = torch.tensor((0.0, 0.0, -1.0)).expand_as(ahead)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, ahead), dim=-1)
    return torch.stack((right, torch.linalg.cross(ahead, right), ahead), -2)


def _followed(path: Tensor, fps: float) -> Tensor:
    """The pelvis as a cameraman follows it: later, and without its bouncing."""
    share = 1 - math.exp(-1 / (fps * FOLLOW_SECONDS))
    out, now = [], path[0]
    for place in path:
        now = now + share * (place - now)
        out.append(now)
    return torch.stack(out)


def _swept(path: Tensor, fps: float) -> Tensor:
    """What a moving camera goes along with the person, over the ground."""
    way = _followed(path, fps) - path[0]
    return way * torch.tensor((0.7, 0.7, 0.0))


def _shake(frames: int, *, fps: float, generator: torch.Generator) -> Tensor:
    """Unit-variance smooth noise `(T, 3)`."""
    keep = math.exp(-1 / (fps * SHAKE_SECONDS))
    noise = torch.randn(frames, 3, generator=generator)
    out, now = [], noise[0]
    for fresh in noise:
        now = keep * now + math.sqrt(1 - keep**2) * fresh
        out.append(now)
    return torch.stack(out)


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * _uniform(generator)
