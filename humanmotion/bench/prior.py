"""`humanmotion bench prior`: denoising, completion and speed of the pose prior on held-out motion.

Test clips only; nothing is tuned on them. Rows against the published DPoser recipe trained on the same
data are listed as not run: those weights are not shipped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.bench.prior_methods import Method, methods
from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.errors import InputError
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_data import PoseSet, read_poses, windows
from humanmotion.metrics.smoothness import acceleration_error
from humanmotion.prior.fitting import fit_places, uncertainty_of_mean
from humanmotion.prior.model import PosePrior
from humanmotion.prior.problem import Chain, Places, Poses
from humanmotion.prior.sampling import complete
from humanmotion.prior.solver import Settings, refine, solve
from humanmotion.prior.space import BODY, SIZE, TOKENS, token_mask

SEED = 0
FRAMES = 60
CLIPS, QUICK_CLIPS = 24, 3
POSES, QUICK_POSES = 200, 30
NOISES_MM = (20, 40, 100)
HYPOTHESES, COMPLETIONS = 4, 50
JOINTS = tuple(range(22))
HIDDEN = {
    "legs": [f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle", "foot")],
    "left arm": ["left_shoulder", "left_elbow"],
    "trunk": ["spine1", "spine2", "spine3"],
    "left side": ["left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow"],
}


def run(data: Path | None, *, quick: bool) -> BenchReport:
    """Measure the shipped prior on the test splits under `data`; raises InputError without any."""
    if data is None:
        raise InputError("bench prior needs motion: give --data a folder with cmu, rocketbox, ...")
    prior, test = load_prior(), read_poses(data, split="test")
    compared = methods(
        prior, train=read_poses(data, split="train"), val=read_poses(data, split="val")
    )
    task = _Denoising.draw(test, clips=QUICK_CLIPS if quick else CLIPS)
    rows = [row for noise in NOISES_MM for row in _denoising_rows(task, compared, noise)]
    rows += _completion_rows(prior, test, poses=QUICK_POSES if quick else POSES)
    rows += _speed_rows(prior, task)
    return BenchReport.create("prior", rows, seeds=[SEED], data=data, quick=quick)


@dataclass(frozen=True)
class _Denoising:
    """Windows of test motion on the default body, root fixed, as published (DPoser, denoising)."""

    body: BodyModel
    joints: Tensor
    """`(C, 60, 22, 3)`."""

    @classmethod
    def draw(cls, test: PoseSet, *, clips: int) -> _Denoising:
        body = BodyModel.load()
        index = windows(test, frames=FRAMES, stride=FRAMES)
        order = torch.randperm(len(index), generator=torch.Generator().manual_seed(SEED))
        rotations = test[index[order[:clips]].flatten()].rotations
        root = torch.eye(3).expand(len(rotations), 1, 3, 3)
        joints = body.joints(torch.cat((root, rotations), 1))[:, : len(JOINTS)]
        return cls(body, joints.unflatten(0, (-1, FRAMES)))

    def error(self, method: Method, *, sigma: float, space_of: PosePrior) -> tuple[float, float]:
        """MPJPE and acceleration error, millimetres, of joints with noise `sigma` metres."""
        generator = torch.Generator().manual_seed(SEED)
        points = joint_points(self.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
        chain = Chain(points, space_of.space)
        settings = Settings(root_known=True, place_known=True)
        placed, shaken = [], []
        for truth in self.joints:
            seen = truth + sigma * torch.randn(truth.shape, generator=generator)
            many = seen.repeat(HYPOTHESES, 1, 1)
            start = Poses(torch.zeros(len(many), SIZE), torch.eye(3).expand(len(many), 3, 3),
                          truth[0, 0].expand(len(many), 3))  # fmt: skip
            found = solve(
                chain, [Places(many, torch.full(many.shape[:2], sigma))],
                method.expects(HYPOTHESES, FRAMES), start=start, settings=settings,
                generator=torch.Generator().manual_seed(SEED),
            )  # fmt: skip
            draws = found.state.reshape(HYPOTHESES, FRAMES, SIZE)
            best = refine(
                chain, [Places(seen, torch.full(seen.shape[:2], sigma))],
                Poses(draws.mean(0), start.root[:FRAMES], start.place[:FRAMES]),
                sigma=uncertainty_of_mean(draws), settings=settings,
            )  # fmt: skip
            joints = self.body.joints(space_of.space.to_rotations(best.state))[:, : len(JOINTS)]
            placed.append((joints - truth).norm(dim=-1).mean())
            shaken.append(acceleration_error(joints, truth, fps=30.0).mean() / 30.0**2)
        return 1000 * float(torch.stack(placed).mean()), 1000 * float(torch.stack(shaken).mean())


def _denoising_rows(task: _Denoising, compared: list[Method], noise: int) -> list[Row]:
    rows = []
    prior = load_prior()
    gaussian = 0.0
    for method in compared:
        placed, shaken = task.error(method, sigma=noise / 1000, space_of=prior)
        gaussian = placed if method.name == "gaussian" else gaussian
        name = f"denoise/{noise}/{method.name}"
        ours = method.name.startswith("ours")
        peer = Baseline("full Gaussian, same solver", gaussian) if ours else None
        rows += [
            Row(name, f"MPJPE at {noise} mm noise, {len(task.joints)} windows", placed, "mm",
                baseline=peer),
            Row(f"{name}/acceleration", "error of the joints' acceleration", shaken, "mm/frame^2"),
        ]  # fmt: skip
    what = "MPJPE over DPoser's, same data term and solver"
    rows.append(Row(f"denoise/{noise}/over DP", what, None, "x", 0.9, "<="))
    rows.append(Row(f"denoise/{noise}/temporal over DP", what, None, "x",
                    0.75 if noise == 20 else 0.7, "<="))  # fmt: skip
    return rows


def _completion_rows(prior: PosePrior, test: PoseSet, *, poses: int) -> list[Row]:
    body = BodyModel.load()
    generator = torch.Generator().manual_seed(SEED)
    rows = []
    for name, joints in HIDDEN.items():
        hidden = token_mask(*joints)
        there = test.recorded[:, hidden].all(-1).nonzero()[:, 0]
        chosen = there[torch.randperm(len(there), generator=generator)[:poses]]
        energy, held = _completed(prior, test[chosen], hidden, body)
        rows += [
            Row(f"complete/{name}/energy", f"energy score, {len(chosen)} poses, K = {COMPLETIONS}",
                1000 * energy, "mm"),
            Row(f"complete/{name}/coverage_low", "share of coordinates in the central 90 %",
                100 * held, "%", 85.0, ">="),
            Row(f"complete/{name}/coverage_high", "the same, from above", 100 * held, "%",
                95.0, "<="),
        ]  # fmt: skip
    return rows


def _completed(
    prior: PosePrior, poses: PoseSet, hidden: Tensor, body: BodyModel
) -> tuple[float, float]:
    """Energy score in metres of the joints that move with the hidden ones, and 90 % coverage."""
    root = torch.eye(3).expand(len(poses), 1, 3, 3)
    rotations = torch.cat((root, poses.rotations), 1)
    state = prior.space.to_state(rotations, poses.expression)
    in_body = torch.zeros(TOKENS, dtype=torch.bool)
    in_body[BODY] = True
    known = poses.recorded & ~hidden & in_body
    draws = complete(prior, state, known, hypotheses=COMPLETIONS, seed=SEED)
    # Where a joint is neither hidden nor recorded, the truth is what the file has.
    kept = hidden.expand(len(poses), TOKENS)
    joint = kept[:, :-1].T[None]
    turned = prior.space.to_rotations(draws)[..., 1:, :, :]
    mixed = torch.where(joint.permute(0, 2, 1)[..., None, None], turned, rotations[:, 1:])
    placed = body.joints(torch.cat((root.expand(COMPLETIONS, -1, 1, 3, 3), mixed), 2))[..., :22, :]
    truth = body.joints(rotations)[..., :22, :]
    moved = (placed.std(0) > 1e-6).any(-1).any(0)
    placed, truth = placed[:, :, moved], truth[:, moved]
    pairs = (placed[:, None] - placed[None]).norm(dim=-1).mean()
    spread = pairs * COMPLETIONS / (COMPLETIONS - 1)  # a draw is no pair with itself
    energy = (placed - truth).norm(dim=-1).mean() - 0.5 * spread
    # Of K draws and the truth, all from one distribution, each is as likely to be the lowest.
    edge = (0.05 * (COMPLETIONS + 1) - 1) / (COMPLETIONS - 1)
    low, high = placed.quantile(edge, dim=0), placed.quantile(1 - edge, dim=0)
    return float(energy), float(((truth >= low) & (truth <= high)).float().mean())


def _speed_rows(prior: PosePrior, task: _Denoising) -> list[Row]:
    points = joint_points(task.body, JOINTS, joints=JOINTS, betas=torch.zeros(10))
    noisy = task.joints[0] + 0.04 * torch.randn(
        task.joints[0].shape, generator=torch.Generator().manual_seed(SEED)
    )
    spent = []
    for _ in range(4):
        started = time.perf_counter()
        fit_places(prior, points, noisy, sigma=0.04)
        spent.append(time.perf_counter() - started)
    what = f"denoising {FRAMES} frames, temporal prior, {HYPOTHESES} draws, root unknown"
    return [Row("speed/denoise", what, sorted(spent[1:])[1], "s", 1.0, "<=")]
