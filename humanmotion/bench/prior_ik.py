"""Whole poses from six points: head, hands, feet and pelvis, as a headset and trackers see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.bench.prior_denoising import FRAMES, JOINTS, Denoising
from humanmotion.bench.prior_methods import Method
from humanmotion.bench.report import Baseline, Row
from humanmotion.body.carried_points import joint_points
from humanmotion.prior.problem import Chain, Places, Poses
from humanmotion.prior.solver import Settings, look, solve

POINTS = (0, 15, 20, 21, 10, 11)
"""Pelvis, head, wrists, feet."""
SIGMA = 0.002
EVERY = 6
"""One frame in so many of each window is fitted, by itself."""


@dataclass(frozen=True)
class _Found:
    mpjpe: float
    """Millimetres, of all 22 joints."""
    seen: float
    """Millimetres, of the points that were seen."""


def ik_rows(task: Denoising, compared: list[Method]) -> list[Row]:
    """Of ours and of every published prior, in one solver, root known."""
    truth = task.joints[:, ::EVERY].flatten(0, 1)
    found = {m.name: _fitted(task, m, truth) for m in compared}
    one = found["ours"]
    rows = [Row(f"ik/{name}", f"MPJPE from six points, {len(truth)} poses", f.mpjpe, "mm")
            for name, f in found.items()]  # fmt: skip
    rivals = [f.mpjpe for name, f in found.items() if name.startswith("DP, seed")]
    peer = sum(rivals) / len(rivals) if rivals else None
    ratio = None if peer is None else one.mpjpe / peer
    base = None if peer is None else Baseline("DP", peer)
    rows += [
        Row("ik/over DP", "the same over DP's", ratio, "x", 0.8, "<=", base),
        Row("ik/seen", "distance to the points that were seen", one.seen, "mm", 2.0, "<="),
    ]
    return rows


def _fitted(task: Denoising, method: Method, truth: Tensor) -> _Found:
    chain = Chain(joint_points(task.body, POINTS, joints=JOINTS, betas=torch.zeros(10)),
                  method.space)  # fmt: skip
    count = len(truth)
    start = Poses(method.begin(task.space, count), torch.eye(3).expand(count, 3, 3), truth[:, 0])
    settings = Settings(root_known=True, place_known=True)
    seen = Places(truth[:, list(POINTS)], torch.full((count, len(POINTS)), SIGMA))
    expect = method.expects(FRAMES // EVERY, lambda: look(chain, [seen], start, settings=settings))
    poses = solve(chain, [seen], expect, start=start,
                  levels=settings.levels, settings=settings)  # fmt: skip
    joints = task.body.joints(method.space.to_rotations(poses.state))[:, : len(JOINTS)]
    away = 1000 * (joints - joints[:, :1] + poses.place[:, None] - truth).norm(dim=-1)
    return _Found(float(away.mean()), float(away[:, list(POINTS)].mean()))
