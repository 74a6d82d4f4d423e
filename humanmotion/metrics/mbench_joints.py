"""MBench's five metrics that need only joints, as published or with its defects put right.

Definitions of the released evaluation code of ViMoGen (arXiv 2510.26794), at 20 fps. `released` takes
the numbers as that code does: coordinate 2 is the height, the floor lies at 0, heights are of joints.
`corrected` honours the up axis and the frame rate, the floor is given or estimated, soles count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.metrics.contact import FEET, sole_height, stance_sole_height
from humanmotion.metrics.mbench_feet import (
    foot_clearance,
    foot_depth,
    foot_floating,
    foot_sliding,
    ground_penetration,
)
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.rotations import Y_UP_TO_Z_UP

FPS = 20.0
JOINTS = 22
Mode = Literal["corrected", "released"]
Up = Literal["y", "z"]
JOINT_METRICS = (
    "Jitter_Degree",
    "Ground_Penetration",
    "Foot_Floating",
    "Foot_Sliding",
    "Dynamic_Degree",
)
"""Published names, in the order of the published entries."""
CLEARANCE, DEPTH = "Foot_Clearance", "Foot_Depth"
"""Our own, in `corrected` mode only."""
_EXACT = 1e-6
"""Of a frame: times this close to the grid of 20 fps are on it."""


@dataclass(frozen=True)
class Scene:
    """What the joints alone do not say; `released` mode looks at none of it."""

    fps: float = FPS
    up: Up = "z"
    floor: float | None = None
    """Height of the floor, metres; None estimates it from the feet that stand."""
    sole: tuple[float, float] = (0.0, 0.0)
    """Metres of each foot joint above its sole."""
    present: Tensor | None = None
    """Which joints `(22)` are there, bool; None: all. Means are over those, and without a pelvis or a
    foot there are no metrics that need it."""
    times: Tensor | None = None
    """Seconds `(T)` where the frames are not even; then `fps` is not looked at."""


def jitter_degree(joints: Tensor) -> float:
    """Mean second difference of joints `(T, J, 3)`, T >= 3, and of those about joint 0, summed."""
    about = joints - joints[:, :1]
    return float(sum(x.diff(n=2, dim=0).norm(dim=-1).mean() for x in (joints, about)))


def dynamic_degree(joints: Tensor) -> float:
    """Mean step of joints `(T, J, 3)`, T >= 2, and of those about joint 0, summed."""
    about = joints - joints[:, :1]
    return float(sum(x.diff(dim=0).norm(dim=-1).mean() for x in (joints, about)))


def joint_metrics(
    joints: Tensor, *, mode: Mode = "corrected", scene: Scene | None = None
) -> dict[str, MetricValue]:
    """The five metrics of joints `(T, 22, 3)` in metres by their published names, and our two.

    A metric that the clip is too short for, or that lacks a joint, has no value but a reason. Raises
    UsageError for another shape, no frames, or joints that are present and not finite.
    """
    scene = Scene() if scene is None else scene
    present = torch.ones(JOINTS, dtype=torch.bool) if scene.present is None else scene.present
    _check(joints, present)
    joints = joints.detach().cpu().double()
    if mode == "corrected":
        joints = _upright(resampled(joints, scene), scene.up)
    height = _heights(joints, mode=mode, scene=scene, present=present)
    here = joints[:, present]
    root, feet = present[:1], present[[0, *FEET]]
    found = {
        "Jitter_Degree": _value(lambda: jitter_degree(here), joints, 3, has=root),
        "Ground_Penetration": _value(lambda: ground_penetration(height), joints, 1, has=feet[1:]),
        "Foot_Floating": _value(lambda: foot_floating(joints, height), joints, 2, has=feet),
        "Foot_Sliding": _value(lambda: foot_sliding(joints, height), joints, 2, has=feet[1:]),
        "Dynamic_Degree": _value(lambda: dynamic_degree(here), joints, 2, has=root),
    }
    if mode == "corrected":
        found[DEPTH] = _value(lambda: foot_depth(height), joints, 1, has=feet[1:])
        found[CLEARANCE] = _value(lambda: foot_clearance(joints, height), joints, 2, has=feet[1:])
    return found


def resampled(joints: Tensor, scene: Scene) -> Tensor:
    """Joints `(T, J, 3)` at 20 fps, by a cubic spline through all frames; the same where they are.

    The last new frame is never later than the last old one. Nothing is filtered: what shakes, shakes.
    """
    times = scene.times
    times = torch.arange(len(joints)).double() / scene.fps if times is None else times.double()
    times = times - times[:1]
    count = int(float(times[-1]) * FPS + _EXACT) + 1
    new = torch.arange(count).double() / FPS
    same = count == len(joints) and float((new - times).abs().max()) * FPS < _EXACT
    if same or len(joints) < 2:
        return joints
    filled = joints.nan_to_num(0.0)
    new = new.clamp(max=float(times[-1]))
    return torch.from_numpy(CubicSpline(times.numpy(), filled.numpy())(new.numpy()))


def _upright(joints: Tensor, up: Up) -> Tensor:
    return joints @ joints.new_tensor(Y_UP_TO_Z_UP).mT if up == "y" else joints


def _heights(joints: Tensor, *, mode: Mode, scene: Scene, present: Tensor) -> Tensor:
    """Heights `(T, 2)` of the feet, as the mode has them."""
    if mode == "released":
        return joints[:, FEET, 2]
    sole = joints.new_tensor(scene.sole)
    floor = scene.floor
    if floor is None:
        # A foot that is not there would lie at 0, and be taken for one that stands.
        known = bool(present[list(FEET)].all())
        floor = float(stance_sole_height(joints, sole=sole, fps=FPS)) if known else 0.0
    return sole_height(joints, sole=sole) - floor


def _value(
    measure: Callable[[], float | None], joints: Tensor, least: int, *, has: Tensor
) -> MetricValue:
    if not bool(has.all()):
        return MetricValue(None, "a joint that it needs (pelvis or foot) is not in the clip")
    if len(joints) < least:
        frames = "1 frame" if len(joints) == 1 else f"{len(joints)} frames"
        return MetricValue(None, f"{frames} at 20 fps; it needs at least {least}")
    value = measure()
    return MetricValue(value, None if value is not None else "the lower foot never stands still")


def _check(joints: Tensor, present: Tensor) -> None:
    if joints.ndim != 3 or joints.shape[1:] != (JOINTS, 3) or not len(joints):
        raise UsageError(
            f"joints {tuple(joints.shape)} given; expected (T, {JOINTS}, 3) with T >= 1"
        )
    bad = (~joints[:, present].isfinite()).flatten(1).any(-1)
    if bad.any():
        raise UsageError(f"joints are not finite at frame {int(bad.nonzero()[0])}")
