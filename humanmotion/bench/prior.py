"""`humanmotion bench prior`: the pose prior on held-out motion, beside simpler ones and the published.

Test clips only; nothing is tuned on them. The published DPoser recipe is trained on the same data by
`humanmotion train baselines`; with `--weights` its folder is read, without it those rows are not run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from humanmotion.bench.prior_completion import completion_rows
from humanmotion.bench.prior_denoising import (
    FRAMES,
    JOINTS,
    SEED,
    Denoising,
    Errors,
    chosen_jerk,
    filtered,
)
from humanmotion.bench.prior_ik import ik_rows
from humanmotion.bench.prior_methods import (
    Method,
    fingerprint,
    label,
    methods,
    ours,
    published,
    trained_methods,
)
from humanmotion.bench.prior_parts import part_rows
from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body.carried_points import joint_points
from humanmotion.errors import InputError
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_data import read_poses
from humanmotion.prior.fitting import fit_places
from humanmotion.prior.model import PosePrior
from humanmotion.prior.published import PublishedPrior

CLIPS, QUICK_CLIPS = 24, 3
VAL_CLIPS = 12
POSES, QUICK_POSES = 200, 30
NOISES_MM = (20, 40, 100)
ROBUST_MM = 40
FILTER_SHARES = (0.3, 0.6, 1.0)
TEMPORAL_BARS = {20: 0.75, 40: 0.70, 100: 0.70}


def run(data: Path | None, *, quick: bool, weights: Path | None = None) -> BenchReport:
    """Measure the shipped prior on the test splits under `data`; raises InputError without any."""
    if data is None:
        raise InputError("bench prior needs motion: give --data a folder with cmu, rocketbox, ...")
    prior, test = load_prior(), read_poses(data, split="test")
    rivals = {} if weights is None else published(weights)
    task = Denoising.draw(test, clips=QUICK_CLIPS if quick else CLIPS)
    val = Denoising.draw(read_poses(data, split="val"), clips=QUICK_CLIPS if quick else VAL_CLIPS)
    compared = methods(prior, train=read_poses(data, split="train"))
    compared += [] if weights is None else trained_methods(weights)
    rows = [] if weights is None else [Row("weights", fingerprint(weights), float(len(rivals)), "")]
    for noise in NOISES_MM:
        rows += _Noise(task, val, noise).rows(compared, rivals)
    rows += _robust_rows(task, prior)
    rows += ik_rows(task, [m for m in compared if m.name == "ours" or m.name.startswith("DP")])
    rows += completion_rows(prior, test, rivals, poses=QUICK_POSES if quick else POSES)
    if weights is not None:
        rows += part_rows(weights, data, poses=QUICK_POSES if quick else POSES)
    rows += _speed_rows(prior, task)
    return BenchReport.create("prior", rows, seeds=[SEED], data=data, quick=quick)


@dataclass(frozen=True)
class _Noise:
    """All that is measured at one noise."""

    task: Denoising
    val: Denoising
    mm: int

    @property
    def sigma(self) -> float:
        return self.mm / 1000

    def rows(self, compared: list[Method], rivals: dict[str, PublishedPrior]) -> list[Row]:
        seen = self.task.seen(self.sigma)
        found = {m.name: self.task.solved(m, seen, sigma=self.sigma) for m in compared}
        gaussian = next(m for m in compared if m.name == "gaussian")
        jerk = chosen_jerk(self.val, sigma=self.sigma)
        found["filter, then gaussian"] = filtered(
            self.task, gaussian, sigma=self.sigma, jerk=jerk, shares=FILTER_SHARES
        )
        for stem, one in rivals.items():
            name = f"{label(stem)}, published loop"
            found[name] = self.task.published(one, seen, noise_mm=self.mm)
        rows = [r for name, errors in found.items() for r in self._method_rows(name, errors)]
        return rows + self._bars(found)

    def _method_rows(self, name: str, errors: Errors) -> list[Row]:
        key = f"denoise/{self.mm}/{name}"
        what = f"MPJPE at {self.mm} mm noise, {len(errors.mpjpe)} windows"
        return [Row(key, what, float(errors.mpjpe.mean()), "mm"),
                Row(f"{key}/acceleration", "error of the joints' acceleration",
                    float(errors.acceleration.mean()), "mm/frame^2")]  # fmt: skip

    def _bars(self, found: dict[str, Errors]) -> list[Row]:
        """Against the published recipe's better row, solver and loop, means over its seeds."""
        # A recipe with one thing mended is named `DP, what: ...` and is no rival here.
        groups: dict[str, list[Errors]] = {}
        for name, errors in found.items():
            if name.startswith("DP, seed"):
                groups.setdefault("loop" if "loop" in name else "solver", []).append(errors)
        means = {k: (_mean([e.mpjpe for e in v]), _mean([e.acceleration for e in v]))
                 for k, v in groups.items()}  # fmt: skip
        best = min(means.values()) if means else None
        one, many = found["ours"], found["ours, temporal"]
        best_filter = float(found["filter, then gaussian"].mpjpe.mean())
        return [
            self._against("over DP", float(one.mpjpe.mean()), best and best[0], 0.9),
            self._against("temporal over DP", float(many.mpjpe.mean()), best and best[0],
                          TEMPORAL_BARS[self.mm]),
            self._against("temporal over DP, acceleration", float(many.acceleration.mean()),
                          best and best[1], 0.5),
            Row(f"denoise/{self.mm}/temporal over filter", "MPJPE over filter and IK's",
                float(many.mpjpe.mean()) / best_filter, "x", 1.0, "<=",
                Baseline("filter, then IK", best_filter)),
        ]  # fmt: skip

    def _against(self, name: str, value: float, peer: float | None, bar: float) -> Row:
        what = "over DP's better row"
        key = f"denoise/{self.mm}/{name}"
        if peer is None:
            return Row(key, what, None, "x", bar, "<=")
        return Row(key, what, value / peer, "x", bar, "<=", Baseline("DP", peer))


def _mean(values: list[torch.Tensor]) -> float:
    return float(torch.stack(values).mean())


def _robust_rows(task: Denoising, prior: PosePrior) -> list[Row]:
    """The noise told wrongly, or not at all; and joints thrown far off."""
    sigma, seen = ROBUST_MM / 1000, task.seen(ROBUST_MM / 1000)
    method = ours("ours, temporal", prior, "motion")

    def error(joints: torch.Tensor, told: float) -> float:
        return float(task.solved(method, joints, sigma=told).mpjpe.mean())

    right = error(seen, sigma)
    peer = Baseline("the noise told right", right)
    rows = [
        Row(f"robust/sigma x {factor:g}", "MPJPE over that with the right sigma, 40 mm noise",
            error(seen, factor * sigma) / right, "x", 1.1, "<=", peer)
        for factor in (0.5, 2.0)
    ]  # fmt: skip
    measured = _measured(task, prior, seen)
    rows += [
        Row("robust/sigma measured", "noise found over the true one", measured / sigma, "x"),
        Row("robust/sigma unknown", "MPJPE over that with the right sigma",
            error(seen, measured) / right, "x", 1.1, "<=", peer),
        Row("robust/outliers", "MPJPE with 5 % of joints 0.5 m off, over that without",
            error(task.with_outliers(seen), sigma) / right, "x", 1.25, "<=", peer),
    ]  # fmt: skip
    return rows


def _measured(task: Denoising, prior: PosePrior, seen: torch.Tensor) -> float:
    points = joint_points(task.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
    flat = seen.flatten(0, 1)
    fit = fit_places(prior, points, flat, hypotheses=1, root=torch.eye(3).expand(len(flat), 3, 3),
                     place=task.joints[0, 0, 0].expand(len(flat), 3))  # fmt: skip
    return fit.sigma


def _speed_rows(prior: PosePrior, task: Denoising) -> list[Row]:
    points = joint_points(task.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
    noisy = task.seen(0.04)[0]
    spent = []
    for _ in range(4):
        started = time.perf_counter()
        fit_places(prior, points, noisy, sigma=0.04)
        spent.append(time.perf_counter() - started)
    what = f"denoising {FRAMES} frames, temporal prior, 4 draws, root unknown"
    return [Row("speed/denoise", what, sorted(spent[1:])[1], "s", 1.0, "<=")]
