"""Multi-shot camera-space tracks made from known motion: random cameras, cuts and fitting noise.

The noise is a simple model of what a detector and a per-frame fit leave: per shot a tilt, a heading
bias and a depth scale; AR(1) noise on every joint rotation and on depth; whole-body front/back flips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from humanmotion.body.floor import foot_shape
from humanmotion.body.leg_ik import Posed, reach_ankles
from humanmotion.recovery.flip import reversed_rotations
from humanmotion.recovery.focal import FocalEstimate
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix

FPS = 30.0


@dataclass(frozen=True)
class Noise:
    """Standard deviations; `scaled(0)` is a perfect fit."""

    tilt_deg: float = 4.6  # uniform +-8 degrees has this spread
    roll_deg: float = 2.0
    heading_deg: float = 5.0
    joint_deg: float = 3.0
    root_deg: float = 2.5
    depth_scale: float = 0.05
    depth: float = 0.03
    across: float = 0.015
    rho: float = 0.9

    def scaled(self, k: float) -> Noise:
        names = ("tilt_deg", "roll_deg", "heading_deg", "joint_deg", "root_deg",
                 "depth_scale", "depth", "across")  # fmt: skip
        return Noise(**{n: k * getattr(self, n) for n in names}, rho=self.rho)


@dataclass(frozen=True)
class Scene:
    """What the world stage is given, and the truth."""

    track: PoseTrack
    shots: tuple[Shot, ...]
    cameras: tuple[CameraMotion, ...]
    flipped: tuple[bool, ...]
    rotations: Tensor  # truth (T, 55, 3, 3), world
    transl: Tensor  # truth (T, 3)
    R_w2c: Tensor
    t_w2c: Tensor


def make_scene(
    rotations: Tensor,
    transl: Tensor,
    *,
    body,  # type: ignore[no-untyped-def]
    shots: int,
    seed: int,
    noise: Noise | None = None,
    kinds: tuple[str, ...] | None = None,
    flipped: tuple[bool, ...] | None = None,
) -> Scene:
    """Film a motion `(T, 55, 3, 3)`, `(T, 3)` with a random camera per shot and fit it badly."""
    rng = np.random.default_rng(seed)
    noise = Noise() if noise is None else noise
    frames = len(transl)
    parts = _shots(frames, shots, rng)
    kinds = kinds or tuple(rng.choice(["static", "pan", "moving"], p=[0.6, 0.25, 0.15], size=shots))
    flipped = flipped or (False,) * shots
    pelvis = transl + body.rest_joints()[0]
    azimuth, cameras, R, t = rng.uniform(-math.pi, math.pi), [], [], []
    for shot, kind in zip(parts, kinds, strict=True):
        azimuth += rng.choice([-1, 1]) * math.radians(rng.uniform(0, 180))
        path = pelvis[shot.start : shot.stop]
        R_w2c, t_w2c = _camera(path, azimuth, kind=kind, rng=rng)
        turn = R_w2c[0] @ R_w2c.transpose(-1, -2)
        cameras.append(
            CameraMotion(kind=kind, R_c2c0=turn, t_c2c0=torch.zeros(len(path), 3),
                         flow_px=torch.zeros(len(path)), confidence=1.0,
                         focal=FocalEstimate(1000.0, 0.1, "given"), warnings=())
        )  # fmt: skip
        R.append(R_w2c)
        t.append(t_w2c)
    R_w2c, t_w2c = torch.cat(R), torch.cat(t)
    track = _fit(rotations, transl, body=body, R_w2c=R_w2c, t_w2c=t_w2c,
                 parts=parts, flipped=flipped, noise=noise, rng=rng)  # fmt: skip
    return Scene(track, parts, tuple(cameras), flipped, rotations, transl, R_w2c, t_w2c)


def _shots(frames: int, count: int, rng: np.random.Generator) -> tuple[Shot, ...]:
    least = min(45, frames // count)
    spare = np.sort(rng.integers(0, frames - least * count + 1, count - 1))
    edges = [0, *(int(s) + least * (i + 1) for i, s in enumerate(spare)), frames]
    return tuple(Shot(a, b) for a, b in pairwise(edges))


def _camera(
    path: Tensor, azimuth: float, *, kind: str, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    frames = len(path)
    distance, height = rng.uniform(2.5, 6.0), rng.uniform(0.4, 3.0)
    middle = path.mean(0)
    away = torch.tensor((math.cos(azimuth), math.sin(azimuth), 0.0)) * distance
    centre = (middle + away).repeat(frames, 1)
    centre[:, 2] = height
    target = middle.repeat(frames, 1)
    if kind != "static":
        target = _slow(path)
    if kind == "moving":
        drift = torch.from_numpy(rng.normal(0, 0.5, 3)).float() * torch.tensor((1, 1, 0.2))
        centre = centre + _slow(path) - _slow(path)[:1]
        centre = centre + torch.linspace(0, 1, frames)[:, None] * drift
        centre[:, 2] = centre[:, 2].clamp(min=0.3)
    ahead = torch.nn.functional.normalize(target - centre, dim=-1)
    pitch, roll = rng.normal(0, 3), rng.normal(0, 2)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(ahead, torch.tensor((0.0, 0.0, 1.0)).expand_as(ahead)), dim=-1
    )
    down = torch.linalg.cross(ahead, right)
    look = torch.stack((right, down, ahead), 1)
    tilt = rotvec_to_matrix(torch.tensor((pitch, 0.0, roll)).float() * math.pi / 180)
    R = tilt @ look
    return R, -(R @ centre[..., None])[..., 0]


def _slow(path: Tensor) -> Tensor:
    kernel = torch.ones(1, 1, 31) / 31
    padded = torch.nn.functional.pad(path.T[:, None], (15, 15), mode="replicate")
    return torch.nn.functional.conv1d(padded, kernel)[:, 0].T


def _ar(shape: tuple[int, ...], rho: float, rng: np.random.Generator) -> Tensor:
    out = rng.normal(size=shape)
    for i in range(1, shape[0]):
        out[i] = rho * out[i - 1] + math.sqrt(1 - rho**2) * out[i]
    # What is left after a fit that is smooth over time: no step between frames.
    kernel = np.array((1.0, 2.0, 3.0, 2.0, 1.0)) / 9
    flat = np.pad(out.reshape(shape[0], -1), ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(c, kernel, mode="valid") for c in flat.T], -1)
    return torch.from_numpy(smooth.reshape(shape)).float()


def _fit(
    rotations: Tensor,
    transl: Tensor,
    *,
    body,  # type: ignore[no-untyped-def]
    R_w2c: Tensor,
    t_w2c: Tensor,
    parts: tuple[Shot, ...],
    flipped: tuple[bool, ...],
    noise: Noise,
    rng: np.random.Generator,
) -> PoseTrack:
    frames, rad = len(transl), math.pi / 180
    j0 = body.rest_joints()[0]
    turned = rotations.clone()
    turned[:, 0] = R_w2c @ rotations[:, 0]
    pelvis = (R_w2c @ (transl + j0)[..., None])[..., 0] + t_w2c
    sigma = torch.full((22, 1), noise.joint_deg * rad)
    sigma[0] = noise.root_deg * rad
    for part, flip in zip(parts, flipped, strict=True):
        s = slice(part.start, part.stop)
        n = part.stop - part.start
        bias = rng.normal(size=3) * (noise.tilt_deg, noise.heading_deg, noise.roll_deg)
        turned[s, 0] = rotvec_to_matrix(torch.from_numpy(bias).float() * rad) @ turned[s, 0]
        shake = rotvec_to_matrix(_ar((n, 22, 3), noise.rho, rng) * sigma)
        turned[s, :22] = turned[s, :22] @ shake
        stretch = 1 + noise.depth_scale * rng.normal() + noise.depth * _ar((n, 1), noise.rho, rng)
        pelvis[s] = pelvis[s] * stretch + noise.across * _ar((n, 3), noise.rho, rng)
        if flip:
            ray = torch.nn.functional.normalize(pelvis[s], dim=-1)
            turned[s] = reversed_rotations(turned[s], ray)
    confidence = torch.full((frames, 55), 0.9)
    # A face is found where it is seen: the true head's front towards the camera.
    facing = (R_w2c @ body.frames(rotations)[1][:, 15])[:, 2, 2]
    confidence[:, 22:25] *= (facing < -0.3)[:, None]
    return PoseTrack(
        rotations=turned, transl=pelvis - j0, betas=torch.zeros(10),
        expression=torch.zeros(frames, 10), confidence=confidence,
        times=torch.arange(frames, dtype=torch.float64) / FPS,
    )  # fmt: skip


STEP_SECONDS, STRIDE = 1.1, 1.05
"""One full cycle of the walk, and the metres it covers."""
STANCE_SHARE = 0.6


def walk(body, *, frames: int = 300, bend: float = 0.35, seed: int = 0) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """A walk along a bend (radians per metre): a gliding pelvis, flat feet that stand and swing.

    Returns rotations `(T, 55, 3, 3)` and transl `(T, 3)`, world z up. Standing feet do not move, and
    their soles are at 0.
    """
    time = torch.arange(frames) / FPS
    phase = time / STEP_SECONDS + 0.1 * seed
    upright = rotvec_to_matrix(torch.tensor((math.pi / 2, 0.0, 0.0)))
    vec = torch.zeros(frames, 55, 3)
    for shoulder, side, shift in ((16, -1.0, 0.5), (17, 1.0, 0.0)):
        vec[:, shoulder, 2] = side * 1.2
        vec[:, shoulder, 1] = -side * 0.4 * (2 * math.pi * (phase + shift)).sin()
    vec[:, 18, 1], vec[:, 19, 1] = -0.4, 0.6
    rotations = rotvec_to_matrix(vec)
    rotations[:, 0] = rotation_about_z(bend * STRIDE * phase) @ upright
    pelvis = _along(phase, bend)
    pelvis[:, 2] = 0.93 * float(body.leg_length()) + 0.17 + 0.015 * (4 * math.pi * phase).sin()
    transl = pelvis - body.rest_joints()[0]
    posed = Posed(*body.frames(rotations, transl=transl))
    shape = foot_shape(body, torch.zeros(10))
    places, headings = zip(*(_foot(phase + 0.5 * k, bend, side=s, ahead=0.5 * k)
                             for k, s in ((0, 1.0), (1, -1.0))), strict=True)  # fmt: skip
    feet_world = rotation_about_z(torch.stack(headings, 1)) @ upright
    balls = torch.stack(places, 1) + torch.stack((shape.sole * 0, shape.sole * 0, shape.sole), -1)
    ankles = balls - (feet_world @ shape.ball[..., None])[..., 0]
    return reach_ankles(rotations, posed, ankles=ankles, feet_world=feet_world), transl


def _along(phase: Tensor, bend: float, aside: float | Tensor = 0.0) -> Tensor:
    """Points `(T, 3)` on (or `aside` of) the bend that the walk follows, after `phase` cycles."""
    angle = bend * STRIDE * phase
    radius = 1 / bend - aside
    # The rest pose faces -y once it is upright.
    return torch.stack((radius * angle.cos() - 1 / bend, radius * angle.sin(), 0 * angle), -1) @ (
        rotation_about_z(torch.tensor(-math.pi)).T
    )


def _foot(phase: Tensor, bend: float, *, side: float, ahead: float) -> tuple[Tensor, Tensor]:
    """Where one foot is on the ground `(T, 3)` and how it is turned `(T)`."""
    cycle, share = phase.floor(), phase % 1
    swing = ((share - STANCE_SHARE) / (1 - STANCE_SHARE)).clamp(0, 1)
    smooth = swing**3 * (10 - 15 * swing + 6 * swing**2)
    # Half way through its stand the foot is below the pelvis.
    reached = cycle + smooth + STANCE_SHARE / 2 - ahead
    place = _along(reached, bend, aside=0.09 * side)
    place[:, 2] = 0.1 * (math.pi * smooth).sin()
    return place, bend * STRIDE * reached
