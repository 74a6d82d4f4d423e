"""Denoising where the noise is told wrongly or not at all, and with joints thrown far off; and speed.

By the public call, root known; what is told wrongly is found out there.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from humanmotion.bench.prior_denoising import FRAMES, JOINTS, Denoising
from humanmotion.bench.report import Baseline, Row
from humanmotion.body.carried_points import joint_points
from humanmotion.prior.fitting import Fit, fit_places
from humanmotion.prior.model import PosePrior

MM = 40
FACTORS = (0.5, 2.0)


def robust_rows(task: Denoising, prior: PosePrior) -> list[Row]:
    """MPJPE over that with the right noise."""
    sigma, seen = MM / 1000, task.seen(MM / 1000)

    def error(joints: Tensor, told: float | None) -> tuple[float, float]:
        fits = [fitted(task, prior, one, told=told) for one in joints]
        body = torch.cat([task.body.joints(f.rotations) for f in fits])
        return float(task.errors(body).mpjpe.mean()), sum(f.sigma for f in fits) / len(fits)

    right, _ = error(seen, sigma)
    peer = Baseline("the noise told right", right)
    rows = [
        Row(f"robust/sigma x {factor:g}", f"MPJPE over that with the right sigma, {MM} mm noise",
            error(seen, factor * sigma)[0] / right, "x", 1.1, "<=", peer)
        for factor in FACTORS
    ]  # fmt: skip
    unknown, measured = error(seen, None)
    return [
        *rows,
        Row("robust/sigma measured", "noise found over the true one", measured / sigma, "x"),
        Row("robust/sigma unknown", "MPJPE over that with the right sigma", unknown / right, "x",
            1.1, "<=", peer),
        Row("robust/outliers", "MPJPE with 5 % of joints 0.5 m off, over that without",
            error(task.with_outliers(seen), sigma)[0] / right, "x", 1.25, "<=", peer),
    ]  # fmt: skip


def fitted(task: Denoising, prior: PosePrior, joints: Tensor, *, told: float | None) -> Fit:
    """A window `(60, 22, 3)` whose root is known, the noise told to be `told` metres."""
    points = joint_points(task.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
    return fit_places(prior, points, joints, sigma=told, hypotheses=1,
                      root=torch.eye(3).expand(len(joints), 3, 3),
                      place=task.joints[0, 0, 0].expand(len(joints), 3))  # fmt: skip


def speed_rows(task: Denoising, prior: PosePrior) -> list[Row]:
    """Seconds of one window by the public call, root unknown: the median of three."""
    points = joint_points(task.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
    noisy = task.seen(MM / 1000)[0]
    spent = []
    for _ in range(4):
        started = time.perf_counter()
        fit_places(prior, points, noisy, sigma=MM / 1000)
        spent.append(time.perf_counter() - started)
    what = f"denoising {FRAMES} frames, temporal prior, 4 draws, root unknown"
    return [Row("speed/denoise", what, sorted(spent[1:])[1], "s", 1.0, "<=")]
