"""Clips that MBench's metrics are checked on, and faults put into them by a stated amount."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.jobs.data import list_clips, load_clip
from humanmotion.metrics.mbench_joints import FPS, JOINTS, Scene

_LEGS = (7, 8, 10, 11)
SIZES = (0.005, 0.01, 0.02, 0.04)
"""Mean displacement of a joint, metres, that every fault is brought to."""


@dataclass(frozen=True)
class Fault:
    """One way in which a motion is spoilt, and the metric that must show it."""

    name: str
    metric: str
    sign: int
    """Which way the metric must go: 1 up, -1 down."""
    put: Callable[[Tensor, float], Tensor]
    """Joints `(T, 22, 3)`, z up at 20 fps, and the mean displacement of a joint, to spoilt joints."""


def ragged_clip(number: int) -> Tensor:
    """A random clip `(T, 22, 3)` of 1 to 89 frames; some roots stand, some feet go along or stay."""
    g = torch.Generator().manual_seed(number)
    frames = 1 + number % 3 if number < 12 else int(torch.randint(1, 90, (), generator=g))
    scale = float(10 ** (torch.rand((), generator=g) * 2.5 - 3))
    joints = (torch.randn(frames, JOINTS, 3, generator=g).double() * scale).cumsum(0)
    joints[..., 2] += 0.3 * torch.rand(1, JOINTS, generator=g).double()
    if number % 4 == 0:
        joints[:, 0] = joints[:1, 0]
    if number % 4 == 1:
        joints[frames // 3 :, (10, 11)] = joints[frames // 3 :, :1] - 0.3
    if number % 4 == 2:
        joints[:, 10] = joints[:1, 10]
    return joints


def smooth_figure(fps: float, *, seconds: float = 6.0, seed: int = 0) -> Tensor:
    """A figure on its way `(T, 22, 3)`: sums of sines below 5 Hz, feet that step once a second."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(int(seconds * fps)).double() / fps
    joints = torch.zeros(len(t), JOINTS, 3).double()
    joints[..., 2] = torch.linspace(0.9, 1.5, JOINTS)
    joints[..., 0] += 0.9 * t[:, None]
    for _ in range(6):
        rate = 5 * torch.rand(JOINTS, 3, generator=g).double()
        size = 0.05 * torch.rand(JOINTS, 3, generator=g).double() / (1 + rate)
        phase = 6.3 * torch.rand(JOINTS, 3, generator=g).double()
        joints += size * (2 * math.pi * rate * t[:, None, None] + phase).sin()
    for foot, start in ((10, 0.0), (11, math.pi)):
        swing = 2 * math.pi * t + start
        joints[:, foot, 0] = 0.9 * t - 0.14 * swing.sin() + 0.01 * (2 * swing).cos()
        joints[:, foot, 2] = 0.05 - 0.06 * (swing + 0.4).cos()
    return joints


def real_clips(data: Path, *, count: int, frames: int = 100) -> list[tuple[Tensor, Scene]]:
    """Test clips of 5 s of the motion capture in `data/cmu` at 20 fps, with their soles and floor."""
    body = BodyModel.load()
    left, right = body.sole_offset().tolist()
    scene = Scene(floor=0.0, sole=(left, right))
    found: list[tuple[Tensor, Scene]] = []
    for clip in list_clips(data / "cmu", split="test"):
        joints = body.joints_of(load_clip(clip, body).resample(FPS))[:, :JOINTS].double()
        found += [
            (joints[first : first + frames], scene)
            for first in range(0, len(joints) - frames + 1, frames)
        ]
        if len(found) >= count:
            break
    return found[:count]


def _swayed(joints: Tensor, size: float) -> Tensor:
    t = torch.arange(len(joints)).double() / FPS
    wave = (2 * math.pi * t).sin()
    out = joints.clone()
    out[..., 0] += (size * wave / wave.abs().mean().clamp(min=1e-9))[:, None]
    return out


def _lifted(joints: Tensor, size: float) -> Tensor:
    return joints + joints.new_tensor((0.0, 0.0, size))


def _sunk(joints: Tensor, size: float) -> Tensor:
    return _lifted(joints, -size)


def _shaken(joints: Tensor, size: float) -> Tensor:
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(joints.shape, generator=g).double()
    return joints + size * noise / noise.norm(dim=-1).mean()


def _stilled(joints: Tensor, size: float) -> Tensor:
    away = joints.mean(0) - joints
    return joints + away * min(1.0, size / max(float(away.norm(dim=-1).mean()), 1e-9))


def _dragged(joints: Tensor, size: float) -> Tensor:
    legs = list(_LEGS)
    about = joints[:, legs] - joints[:, :1]
    away = about.mean(0) - about
    mean = float(away.norm(dim=-1).mean()) * len(legs) / JOINTS
    out = joints.clone()
    out[:, legs] += away * min(1.0, size / max(mean, 1e-9))
    return out


FAULTS: tuple[Fault, ...] = (
    Fault("sliding", "Foot_Sliding", 1, _swayed),
    Fault("sinking", "Ground_Penetration", 1, _sunk),
    Fault("sinking", "Foot_Depth", 1, _sunk),
    Fault("hovering", "Foot_Clearance", 1, _lifted),
    Fault("jitter", "Jitter_Degree", 1, _shaken),
    Fault("freezing", "Dynamic_Degree", -1, _stilled),
    Fault("floating", "Foot_Floating", 1, _dragged),
)
"""Sway along the floor once a second; down; up; noise; towards the mean pose and place; feet that are
carried along with the root. Listed before any was tried,
but for Foot_Depth, which is there because the published penetration need not rise with sinking."""
