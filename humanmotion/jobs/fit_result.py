"""What a fit writes: the motion, how sure each joint is, and, if asked for, every hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.files import write_npz
from humanmotion.io.npz import write_motion
from humanmotion.io.targets import check_file
from humanmotion.jobs.fit_input import FPS
from humanmotion.motion import JOINTS, Motion
from humanmotion.prior.fitting import Fit, uncertainty_of_mean
from humanmotion.prior.problem import Poses
from humanmotion.prior.rates import between, poses_at, values_at
from humanmotion.rotations import matrix_to_rotvec

CONFIDENT_STD = 0.05
"""Metres of standard deviation at which a joint's confidence is a half."""


@dataclass(frozen=True)
class FitTargets:
    """Where a fit is written; checked before anything is computed."""

    motion: Path
    std: Path
    each: tuple[Path, ...]
    """One for every hypothesis, or none."""

    @property
    def all(self) -> list[Path]:
        """Every path, the motion's first."""
        return [self.motion, self.std, *self.each]


def fit_targets(output: str | Path, *, hypotheses: int, each: bool, overwrite: bool) -> FitTargets:
    """The paths of a fit's results; raises UsageError and OutputError for those that cannot be."""
    path = Path(output)
    if path.suffix.lower() != ".npz":
        raise UsageError(f"{path} given; the result is a motion.npz, convert it afterwards")
    if hypotheses < 2:
        raise UsageError(f"{hypotheses} hypotheses asked for; a spread takes at least 2")
    numbers = range(1, hypotheses + 1) if each else ()
    targets = FitTargets(
        path,
        path.with_name(f"{path.stem}_std.npz"),
        tuple(path.with_stem(f"{path.stem}_{n}") for n in numbers),
    )
    for target in targets.all:
        check_file(target, overwrite=overwrite)
    return targets


@dataclass(frozen=True)
class Timed:
    """A fit at its own times, and the frames it is wanted at."""

    fit: Fit
    body: BodyModel
    betas: Tensor
    """Shape `(10)`."""
    free: tuple[int, ...]
    """Joints that were solved for."""
    solved: Tensor
    """Times `(T)` of the fit's poses, seconds."""
    held: Tensor
    """Those in which enough was seen to hold the body in its place, `(T)` bool."""
    times: Tensor
    """Times `(M)` of the frames to be written, seconds."""
    seen: Tensor
    """Frames of those in which anything was seen, `(M)` bool."""

    def draw(self, number: int) -> Poses:
        """Hypothesis `number` at the frames to be written."""
        fit = self.fit
        poses = Poses(fit.states[number], fit.roots[number], fit.places[number])
        return poses_at(poses, self.solved, self.times, held=self.held)

    def spread(self) -> Tensor:
        """How far each number of the best states may be off in its frame `(M, 172)`."""
        drawn = values_at(uncertainty_of_mean(self.fit.states), self.solved, self.times)
        return torch.hypot(drawn, between(self.fit.best.state, self.solved, self.times))

    @property
    def on_time(self) -> bool:
        """Whether the fit's frames are those to be written."""
        same = len(self.times) == len(self.solved)
        return same and torch.allclose(self.times, self.solved)

    def best(self) -> Poses:
        """The best poses at the frames to be written."""
        return poses_at(self.fit.best, self.solved, self.times, held=self.held)

    def std(self) -> Tensor:
        """Standard deviation `(M, 55)` of each joint in metres; NaN where nothing is known."""
        std = values_at(self.fit.joint_std(self.body, self.betas), self.solved, self.times)
        known = torch.zeros(JOINTS, dtype=torch.bool)
        known[list(self.free)] = True
        return torch.where(self.seen[:, None] & known, std, torch.nan)

    def motion(self, poses: Poses, std: Tensor, notes: Sequence[str]) -> Motion:
        """The motion of `poses`, in the axes they were solved in."""
        rotations = self.fit.prior.space.to_rotations(poses.state, poses.root)
        present = torch.zeros(JOINTS, dtype=torch.bool)
        present[list(self.free)] = True
        return Motion.create(
            matrix_to_rotvec(rotations),
            poses.place - self.body.rest_joints(self.betas)[0],
            fps=rate_of(self.times),
            betas=self.betas,
            times=self.times,
            confidence=(1 / (1 + (std / CONFIDENT_STD).square())).nan_to_num(0.0),
            joints_present=present,
            body_id=self.body.body_id,
            body_sha256=self.body.sha256,
            meta={"notes": list(notes)},
        )


def rate_of(times: Tensor) -> float:
    """Nominal frame rate of times `(T)` in seconds."""
    if len(times) < 2:
        return FPS
    rate, mean = 1 / float(times.diff().median()), (len(times) - 1) / float(times[-1] - times[0])
    # Times that are written with few digits are even only on average.
    return round(mean if abs(mean / rate - 1) < 0.01 else rate, 3)


def write_fit(
    targets: FitTargets,
    motion: Motion,
    std: Tensor,
    *,
    each: Sequence[Motion] = (),
    camera: Camera | None = None,
) -> list[Path]:
    """Write the motion, its uncertainty and the hypotheses; returns their paths."""
    write_motion(targets.motion, motion, camera=camera)
    arrays: dict[str, NDArray[np.generic]] = {
        "joint_std_metres": std.numpy(),
        "times": motion.times.numpy(),
    }
    write_npz(targets.std, arrays)
    for path, one in zip(targets.each, each, strict=True):
        write_motion(path, replace(one, meta=motion.meta), camera=camera)
    return targets.all
