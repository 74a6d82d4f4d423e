"""Cameras that film a known motion in several shots: what recovery is tested and trained on.

Every shot gets a camera of its own: how far it has gone round the person since the last one, its
height, lens and how much of the picture the person fills are drawn, then it stands, turns after the
person, or travels as a hand would carry it. A standing camera that would lose the person turns after
them instead. Ranges follow the cameras of edited footage, wider than those WHAM is trained on.
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
KINDS: tuple[Kind, ...] = ("static", "pan", "moving")
KIND_SHARES = (0.60, 0.25, 0.15)
STRATUM = 45.0
"""Degrees; the view changes at a cut by an angle in one of four ranges so wide, equally often."""
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
"""Metres between a camera and the pelvis at the start of a shot, at least."""
LOST_SHARE = 0.05
"""Frames of a shot in which the pelvis may be outside the picture."""
DOLLY_SPEED = 0.6
"""Standard deviation of a moving camera's own speed, m/s."""
SWEEP = 0.7
"""Share of the person's way that a moving camera goes along."""
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
        raise UsageError(
            f"cuts {tuple(cuts)} given for {len(pelvis)} frames; they must rise within"
        )
    azimuth = 2 * math.pi * torch.rand(1, generator=generator)
    shots: list[VirtualShot] = []
    for start, stop in pairwise(edges):
        turn = torch.zeros(1)
        if shots:
            range_, inside, side = torch.rand(3, generator=generator)
            turn = torch.deg2rad(STRATUM * ((4 * range_).floor() + inside))[None]
            azimuth = azimuth + turn * torch.where(side < 0.5, 1.0, -1.0)
        kind, camera = draw_cameras(
            pelvis[None, start:stop], azimuth, fps=fps, size=size, generator=generator
        )
        shots.append(VirtualShot(start, stop, KINDS[int(kind)], float(turn), camera))
    return tuple(shots)


def draw_cameras(
    path: Tensor,
    azimuth: Tensor,
    *,
    fps: float,
    size: tuple[int, int],
    generator: torch.Generator,
) -> tuple[Tensor, Camera]:
    """Cameras of `B` shots: their kinds `(B)`, numbers in KINDS, and one Camera of `B * T` frames.

    `path` `(B, T, 3)` is the pelvis, `azimuth` `(B)` where the camera is from it at first. Everything
    lies where the generator lives.
    """
    at, count = generator.device, len(path)
    edges = torch.tensor(KIND_SHARES, device=at).cumsum(0)[:-1]
    kind = torch.bucketize(torch.rand(count, generator=generator, device=at), edges)
    drawn = _Drawn.draw(path, azimuth, size=size, generator=generator, fps=fps)
    camera = drawn.camera(kind, path)
    lost = (kind == 0) & (_lost(camera, path) > LOST_SHARE)
    kind = torch.where(lost, torch.ones_like(kind), kind)
    return kind, drawn.camera(kind, path)


@dataclass(frozen=True)
class _Drawn:
    """What was drawn of `B` cameras before it is known which kinds they are."""

    focal: Tensor  # (B)
    away: Tensor  # (B, 2), of the centre from the pelvis
    height: Tensor  # (B)
    turn: Tensor  # (B, 3), by which each looks beside the person
    shake: Tensor  # (B, T, 3)
    way: Tensor  # (B, T, 3)
    followed: Tensor  # (B, T, 3), the pelvis as a cameraman follows it
    size: tuple[int, int]

    @classmethod
    def draw(
        cls,
        path: Tensor,
        azimuth: Tensor,
        *,
        size: tuple[int, int],
        generator: torch.Generator,
        fps: float,
    ) -> _Drawn:
        at, (count, frames) = generator.device, path.shape[:2]
        u = torch.rand(3, count, generator=generator, device=at)
        focal = default_focal(*size) * (LENS[0] * (LENS[1] / LENS[0]) ** u[0])
        share = SHARE[0] + (SHARE[1] - SHARE[0]) * u[1]
        distance = (focal * BODY_METRES / (share * size[1])).clamp(min=NEAREST)
        height = torch.minimum(HEIGHT[0] + (HEIGHT[1] - HEIGHT[0]) * u[2], distance)
        side = torch.randn(3, count, generator=generator, device=at)
        beside = OFF_CENTRE * size[1] / focal
        speed = torch.tensor((DOLLY_SPEED, DOLLY_SPEED, 0.3 * DOLLY_SPEED), device=at)
        way = torch.randn(count, 1, 3, generator=generator, device=at) * speed
        angle = SHAKE_PX * max(size) / 640 / focal
        return cls(
            focal=focal,
            away=torch.stack((azimuth.cos(), azimuth.sin()), -1) * distance[:, None],
            height=height,
            turn=torch.stack((side[0] * beside, side[1] * beside, side[2] * ROLL_SIGMA), -1),
            shake=angle[:, None, None] * faded(
                (count, frames, 3), keep=math.exp(-1 / (fps * SHAKE_SECONDS)), generator=generator
            ),
            way=way * torch.arange(frames, device=at)[:, None] / fps,
            followed=_followed(path, fps),
            size=size,
        )  # fmt: skip

    def camera(self, kind: Tensor, path: Tensor) -> Camera:
        """The cameras if they are of these kinds `(B)`, `B * T` frames."""
        still, moving = (kind == 0)[:, None, None], (kind == 2)[:, None, None]
        middle = torch.where(still, path.mean(1, keepdim=True), path[:, :1])
        first = torch.cat((middle[:, 0, :2] + self.away, self.height[:, None]), -1)[:, None]
        flat = self.way.new_tensor((SWEEP, SWEEP, 0.0))
        centre = first + moving * (self.way + flat * (self.followed - self.followed[:, :1]))
        target = torch.where(still, middle, self.followed)
        turn = self.turn[:, None] + moving * self.shake
        R = rotvec_to_matrix(turn) @ _looking(centre.expand_as(target), target)
        t = -(R @ centre.expand_as(target)[..., None])[..., 0]
        width, height = self.size
        K = intrinsics(self.focal[:, None].expand(path.shape[:2]), width=width, height=height)
        return Camera(K.flatten(0, 1), R.flatten(0, 1), t.flatten(0, 1), width, height)


def _lost(camera: Camera, path: Tensor) -> Tensor:
    """Share of frames `(B)` in which the pelvis is not in the picture."""
    points = path.flatten(0, 1)
    place, depth = camera.project(points), camera.to_camera(points)[:, 2]
    edge = place.new_tensor((camera.width, camera.height))
    inside = ((place > 0) & (place < edge)).all(-1) & (depth > NEAREST / 2)
    return (~inside).float().reshape(path.shape[:2]).mean(-1)


def _looking(centre: Tensor, target: Tensor) -> Tensor:
    """World-to-camera rotations `(..., 3, 3)` of level cameras that look at `target` `(..., 3)`."""
    ahead = torch.nn.functional.normalize(target - centre, dim=-1)
    down = ahead.new_tensor((0.0, 0.0, -1.0)).expand_as(ahead)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, ahead), dim=-1)
    return torch.stack((right, torch.linalg.cross(ahead, right), ahead), -2)


def _followed(path: Tensor, fps: float) -> Tensor:
    """A pelvis `(B, T, 3)` as a cameraman follows it: later, and without its bouncing."""
    share = 1 - math.exp(-1 / (fps * FOLLOW_SECONDS))
    return _remembered(torch.cat((path[:, :1], share * path[:, 1:]), 1), keep=1 - share)


def faded(shape: tuple[int, ...], *, keep: float, generator: torch.Generator) -> Tensor:
    """Noise `(B, T, ...)` of unit variance that remembers `keep` of the last frame's."""
    fresh = torch.randn(shape, generator=generator, device=generator.device)
    size = math.sqrt(1 - keep**2)
    return _remembered(torch.cat((fresh[:, :1], size * fresh[:, 1:]), 1), keep=keep)


def _remembered(fresh: Tensor, *, keep: float) -> Tensor:
    """Sums `x[t] = keep * x[t - 1] + fresh[t]` over `(B, T, ...)`, twice as far back in every pass."""
    reach = 1
    while reach < fresh.shape[1]:
        older = keep**reach * fresh[:, :-reach]
        fresh = torch.cat((fresh[:, :reach], fresh[:, reach:] + older), 1)
        reach *= 2
    return fresh
