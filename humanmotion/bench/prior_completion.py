"""Hidden joints drawn anew: energy score, and how often the truth lies within the draws' interval."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.bench.prior_methods import LABELS
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.model import PosePrior
from humanmotion.prior.published import PublishedPrior
from humanmotion.prior.published_solver import COMPLETION, Fit, complete_pose
from humanmotion.prior.sampling import complete
from humanmotion.prior.space import BODY, TOKENS, token_mask
from humanmotion.rotations import rotvec_to_matrix

SEED = 0
COMPLETIONS, PUBLISHED_COMPLETIONS = 50, 10
"""Draws of a pose; the energy score does not depend on how many, only its noise does."""
HIDDEN = {
    "legs": [f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle", "foot")],
    "left arm": ["left_shoulder", "left_elbow"],
    "trunk": ["spine1", "spine2", "spine3"],
    "left side": ["left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow"],
}


def completion_rows(
    prior: PosePrior, test: PoseSet, rivals: dict[str, PublishedPrior], *, poses: int
) -> list[Row]:
    """For every hidden part: ours with its bars, and the published way with the published weights."""
    body = BodyModel.load()
    generator = torch.Generator().manual_seed(SEED)
    rows = []
    for name, joints in HIDDEN.items():
        hidden = token_mask(*joints)
        there = test.recorded[:, hidden].all(-1).nonzero()[:, 0]
        chosen = test[there[torch.randperm(len(there), generator=generator)[:poses]]]
        task = Completion(body, chosen, hidden)
        energy, held = scored(task.ours(prior), task.truth)
        peers = {stem: scored(task.published(one), task.truth)[0]
                 for stem, one in rivals.items() if stem.startswith("dp_") and
                 stem.rsplit("_", 1)[0] == "dp"}  # fmt: skip
        rows += _rows(name, 1000 * energy, held, {k: 1000 * v for k, v in peers.items()},
                      count=len(chosen))  # fmt: skip
    return rows


def _rows(
    name: str, energy: float, held: float, peers: dict[str, float], *, count: int
) -> list[Row]:
    key = f"complete/{name}"
    mean = sum(peers.values()) / len(peers) if peers else None
    peer = None if mean is None else Baseline("DP", mean)
    each = [Row(f"{key}/energy/{LABELS['dp']}, {stem.rsplit('_', 1)[1]}",
                f"energy score, K = {PUBLISHED_COMPLETIONS}", value, "mm")
            for stem, value in peers.items()]  # fmt: skip
    return [
        Row(f"{key}/energy", f"energy score, {count} poses, K = {COMPLETIONS}", energy, "mm"),
        *each,
        Row(f"{key}/over DP", "the same over DP's", None if mean is None else energy / mean, "x",
            0.85, "<=", peer),
        Row(f"{key}/coverage_low", "share of coordinates in the central 90 %", 100 * held, "%",
            85.0, ">="),
        Row(f"{key}/coverage_high", "the same, from above", 100 * held, "%", 95.0, "<="),
    ]  # fmt: skip


class Completion:
    """Poses some of whose joints are hidden, and what they would be."""

    def __init__(self, body: BodyModel, poses: PoseSet, hidden: Tensor) -> None:
        self.body, self.poses, self.hidden = body, poses, hidden
        self.root = torch.eye(3).expand(len(poses), 1, 3, 3)
        self.rotations = torch.cat((self.root, poses.rotations), 1)
        self.truth = body.joints(self.rotations)[:, :22]

    def ours(self, prior: PosePrior) -> Tensor:
        """Joints `(K, N, 22, 3)` of our draws, given what was recorded of the body."""
        state = prior.space.to_state(self.rotations, self.poses.expression)
        in_body = torch.zeros(TOKENS, dtype=torch.bool)
        in_body[BODY] = True
        known = self.poses.recorded & ~self.hidden & in_body
        draws = complete(prior, state, known, hypotheses=COMPLETIONS, seed=SEED)
        return self._joints(prior.space.to_rotations(draws)[..., 1:, :, :])

    def published(self, prior: PublishedPrior, *, fit: Fit = COMPLETION) -> Tensor:
        """Joints `(K, N, 22, 3)` of the published loop, which is shown the whole file's body."""
        raw = self.poses.rotvec[:, BODY].flatten(1)
        known = ~self.hidden[BODY].repeat_interleave(3)
        found = complete_pose(prior, raw, known, hypotheses=PUBLISHED_COMPLETIONS, fit=fit,
                              generator=torch.Generator().manual_seed(SEED))  # fmt: skip
        turned = self.rotations[:, 1:].expand(len(found), -1, -1, 3, 3).clone()
        turned[:, :, BODY] = rotvec_to_matrix(found.unflatten(-1, (-1, 3)))
        return self._joints(turned)

    def _joints(self, turned: Tensor) -> Tensor:
        # Where a joint is neither hidden nor recorded, the truth is what the file has.
        kept = self.hidden[:-1, None, None]
        mixed = torch.where(kept, turned, self.rotations[:, 1:])
        root = self.root.expand(len(turned), -1, 1, 3, 3)
        return self.body.joints(torch.cat((root, mixed), 2))[..., :22, :]


def scored(placed: Tensor, truth: Tensor) -> tuple[float, float]:
    """Energy score in metres of the joints that move over draws `(K, N, 22, 3)`, and 90 % coverage."""
    count = len(placed)
    moved = (placed.std(0) > 1e-6).any(-1).any(0)
    placed, truth = placed[:, :, moved], truth[:, moved]
    pairs = (placed[:, None] - placed[None]).norm(dim=-1).mean()
    spread = pairs * count / (count - 1)  # a draw is no pair with itself
    energy = (placed - truth).norm(dim=-1).mean() - 0.5 * spread
    # Of K draws and the truth, all from one distribution, each is as likely to be the lowest.
    edge = max((0.05 * (count + 1) - 1) / (count - 1), 0.0)
    low, high = placed.quantile(edge, dim=0), placed.quantile(1 - edge, dim=0)
    return float(energy), float(((truth >= low) & (truth <= high)).float().mean())
