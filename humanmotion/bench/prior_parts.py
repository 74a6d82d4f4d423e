"""The published whole-body system: what fusing the parts gains, and what mixed training costs.

*Base* is three part networks side by side, *fused* adds a correction learnt from whole bodies, *mixed*
the same correction learnt from parts alone too. Both corrections were trained as long, on the same
folder (`train baselines`); base gets no training beyond its parts'. Test clips only, but for what mixed
training costs, which the val split says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.bench.prior_completion import scored
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.diffusion.paths import SUB_VP
from humanmotion.jobs.baseline_data import bodies, parts, raw_numbers
from humanmotion.jobs.baseline_weights import WHOLE, finished, read_whole
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_data import PoseSet, distinct, read_poses
from humanmotion.prior.model import PosePrior
from humanmotion.prior.published import (
    NoiseNetwork,
    PublishedPrior,
    expected_clean,
    mirror_hand,
    noise_errors,
    normal_like,
)
from humanmotion.prior.published_networks import (
    PARTS,
    FusedNetwork,
    PublishedConfig,
    spread_parts,
)
from humanmotion.prior.published_solver import complete_pose
from humanmotion.prior.sampling import complete
from humanmotion.prior.space import (
    BODY,
    EXPRESSION,
    EXPRESSION_TOKEN,
    JAW,
    LEFT_HAND,
    RIGHT_HAND,
    TOKENS,
    token_mask,
)
from humanmotion.prior.synthetic import sample_hands
from humanmotion.rotations import rotvec_to_matrix

CONFIG = PublishedConfig()
SEED = 0
HYPOTHESES = 10
LEVELS = (0.1, 0.3, 1.0)
"""Of noise, in standard deviations of each number."""
ALONE = 2000
"""Bodies and hands that are shown alone."""
COST_DRAWS = 4
MOST_COST = 1.02
ORDER = [*range(*BODY.indices(TOKENS)), *range(*LEFT_HAND.indices(TOKENS)),
         *range(*RIGHT_HAND.indices(TOKENS)), *range(*JAW.indices(TOKENS))]  # fmt: skip
"""Joint tokens in the order of a published whole body; the expression follows them."""
HANDS = slice(25, 55)
"""Joints of the left hand, then of the right."""


def part_rows(weights: Path, data: Path, *, poses: int) -> list[Row]:
    """Rows of base, fused and mixed, and ours beside them; none where `weights` has no whole bodies.

    `poses` are completed. Raises InputError where a part network or the motion is not there.
    """
    if not set(WHOLE) <= {name for name, _, _ in finished(weights)}:
        return []
    systems = {"base": read_whole(weights), "fused": read_whole(weights, "dp_fused"),
               "mixed": read_whole(weights, "dp_mixed")}  # fmt: skip
    task = HiddenHand.draw(_distinct(data, "test", ["rocketbox"]), poses=poses)
    val = parts(_distinct(data, "val", ["rocketbox"]), seed=SEED).whole
    return [
        *_hidden_rows(task, systems, load_prior()),
        *_alone_rows(systems, "cmu body", *_cmu_bodies(_distinct(data, "test")), part="body"),
        *_alone_rows(systems, "made-up hand", *_held_out_hands(), part="right_hand"),
        *cost_rows(systems, val),
    ]


def _distinct(data: Path, split: str, sets: Sequence[str] | None = None) -> PoseSet:
    poses = (
        read_poses(data, split=split) if sets is None else read_poses(data, split=split, sets=sets)
    )
    return poses[distinct(poses)]


@dataclass(frozen=True)
class HiddenHand:
    """Poses one of whose hands is hidden with its wrist, and what is drawn in its place."""

    body: BodyModel
    poses: PoseSet
    hidden: Tensor
    """Tokens `(N, 55)` bool."""

    @classmethod
    def draw(cls, test: PoseSet, *, poses: int) -> HiddenHand:
        """Of poses whose body and hands were all recorded; either hand, by chance."""
        generator = torch.Generator().manual_seed(SEED)
        needed = token_mask("body", "left_hand", "right_hand")
        there = test.recorded[:, needed].all(-1).nonzero()[:, 0]
        chosen = test[there[torch.randperm(len(there), generator=generator)[:poses]]]
        left = torch.rand(len(chosen), 1, generator=generator) < 0.5
        one, other = (token_mask(f"{side}_hand", f"{side}_wrist") for side in ("left", "right"))
        return cls(BodyModel.load(), chosen, torch.where(left, one, other))

    @property
    def known(self) -> Tensor:
        """Tokens `(N, 55)`: what was recorded and is not hidden; eyes are no part of the system."""
        return self.poses.recorded & ~self.hidden & ~token_mask("eyes")

    @property
    def truth(self) -> Tensor:
        """Joints of the hidden hands `(N, 15, 3)`."""
        return self.placed(self.poses.rotations[None])[0]

    def published(self, prior: PublishedPrior) -> Tensor:
        """Joints `(K, N, 15, 3)` of the published loop."""
        raw = torch.cat((self.poses.rotvec[:, ORDER].flatten(1), self.poses.expression), -1)
        face = self.known[:, EXPRESSION_TOKEN:].expand(-1, EXPRESSION)
        known = torch.cat((self.known[:, ORDER].repeat_interleave(3, 1), face), -1)
        found = complete_pose(prior, raw, known, hypotheses=HYPOTHESES,
                              generator=torch.Generator().manual_seed(SEED))  # fmt: skip
        turned = self.poses.rotations.expand(len(found), -1, -1, 3, 3).clone()
        turned[:, :, ORDER] = rotvec_to_matrix(found[..., :-EXPRESSION].unflatten(-1, (-1, 3)))
        return self.placed(turned)

    def ours(self, prior: PosePrior) -> Tensor:
        """Joints `(K, N, 15, 3)` of one conditional sampling run."""
        root = torch.eye(3).expand(len(self.poses), 1, 3, 3)
        state = prior.space.to_state(torch.cat((root, self.poses.rotations), 1))
        draws = complete(prior, state, self.known, hypotheses=HYPOTHESES, seed=SEED)
        return self.placed(prior.space.to_rotations(draws)[..., 1:, :, :])

    def placed(self, turned: Tensor) -> Tensor:
        """Joints of the hidden hands `(K, N, 15, 3)` turned as in `(K, N, 54, 3, 3)`, metres."""
        kept = self.hidden[:, :EXPRESSION_TOKEN, None, None]
        mixed = torch.where(kept, turned, self.poses.rotations)
        root = torch.eye(3).expand(*mixed.shape[:2], 1, 3, 3)
        both = self.body.joints(torch.cat((root, mixed), 2))[..., HANDS, :].unflatten(2, (2, -1))
        left = self.hidden[:, LEFT_HAND.start, None, None]
        return torch.where(left, both[:, :, 0], both[:, :, 1])


def _hidden_rows(
    task: HiddenHand, systems: dict[str, PublishedPrior], prior: PosePrior
) -> list[Row]:
    placed = {name: task.published(one) for name, one in systems.items()}
    placed["ours"] = task.ours(prior)
    truth = task.truth
    energy = {name: 1000 * scored(found, truth)[0] for name, found in placed.items()}
    rows = []
    for name, found in placed.items():
        error = 1000 * float((found - truth).norm(dim=-1).mean())
        what = f"hidden hand and wrist, {len(truth)} poses, K = {HYPOTHESES}"
        rows += [Row(f"parts/hidden hand/{name}", f"{what}: joint error, mean of K", error, "mm"),
                 Row(f"parts/hidden hand/{name}/energy", f"{what}: energy score", energy[name],
                     "mm")]  # fmt: skip
    best = min(systems, key=lambda name: energy[name])
    rows.append(
        Row("parts/hidden hand/over DP", "energy score over the best of base, fused, mixed",
            energy["ours"] / energy[best], "x", 0.85, "<=", Baseline(f"DP, {best}", energy[best]))
    )  # fmt: skip
    return rows


def _cmu_bodies(test: PoseSet) -> tuple[Tensor, Tensor]:
    """Raw bodies `(N, 63)` without gaps, and which numbers count `(N, 63)`."""
    cmu = torch.tensor([name.startswith("cmu/") for name in test.names])[test.clip].repeat(2)
    rows = cmu.nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED))[:ALONE]
    return bodies(test)[rows[order]], raw_numbers(test, BODY)[1][rows[order]]


def _held_out_hands() -> tuple[Tensor, Tensor]:
    """Right hands `(N, 45)` that show gestures no training hand comes near, all numbers counting."""
    generator = torch.Generator().manual_seed(SEED)
    hands = mirror_hand(sample_hands(ALONE, generator=generator, held_out=True).flatten(1))
    return hands, torch.ones_like(hands)


def _alone_rows(
    systems: dict[str, PublishedPrior], what: str, raw: Tensor, seen: Tensor, *, part: str
) -> list[Row]:
    return [
        Row(f"parts/alone/{what}/{level:g}/{name}",
            f"{what} alone, noise of {level:g} deviations: error of a joint's turn",
            alone_error(one, raw, seen, part=part, level=level), "deg")
        for level in LEVELS for name, one in systems.items()
    ]  # fmt: skip


def alone_error(
    prior: PublishedPrior, raw: Tensor, seen: Tensor, *, part: str, level: float
) -> float:
    """Mean error in degrees of the joints of one denoised `part` `(N, D)` that nothing else goes with.

    Noise is `level` times each number's deviation; `seen` `(N, D)` are the numbers that count.
    """
    here = torch.arange(len(PARTS)) == PARTS.index(part)
    mine = spread_parts(here, CONFIG)
    pose = torch.zeros(len(raw), len(mine))
    pose[:, mine] = raw
    state = prior.normaliser.to_state(pose)
    noise = normal_like(state, torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        clean = expected_clean(_shown(prior.network, here), state + level * noise,
                               SUB_VP.time(torch.tensor(level)))  # fmt: skip
    off = ((clean - state) * prior.normaliser.deviation)[:, mine].unflatten(-1, (-1, 3))
    counts = seen[:, ::3]
    return float((off.norm(dim=-1).rad2deg() * counts).sum() / counts.sum())


def _shown(network: NoiseNetwork, here: Tensor) -> NoiseNetwork:
    """The network when only the parts `here` `(4)` are shown to it."""
    if not isinstance(network, FusedNetwork):
        return network  # its parts are blind to each other
    return lambda state, t: network(state, t, here.expand(len(state), -1))


def cost_rows(systems: dict[str, PublishedPrior], val: Tensor) -> list[Row]:
    """How much worse mixed training makes each part of raw whole bodies `(W, 166)`; all are shown."""
    losses = {name: part_losses(one, val) for name, one in systems.items()}
    what = f"loss in the noise of {len(val)} whole val bodies"
    rows = [Row(f"parts/val loss/{part}/{name}", f"{what}: {part}", value, "")
            for name, each in losses.items() for part, value in each.items()]  # fmt: skip
    for peer in ("base", "fused"):
        ratio = {part: losses["mixed"][part] / losses[peer][part] for part in PARTS}
        worst = max(ratio, key=lambda part: ratio[part])
        rows.append(
            Row(f"parts/mixing costs parts, over {peer}", f"{what}, mixed over {peer}: the worst "
                f"part, {worst}", ratio[worst], "x", MOST_COST, "<=",
                Baseline(peer, losses[peer][worst]))
        )  # fmt: skip
    return rows


@torch.no_grad()
def part_losses(prior: PublishedPrior, poses: Tensor) -> dict[str, float]:
    """The published loss of raw whole bodies `(W, 166)` by part, always on the same noise."""
    state = prior.normaliser.to_state(poses)
    generator = torch.Generator().manual_seed(SEED)
    errors = [noise_errors(prior.network, state, generator)[0] for _ in range(COST_DRAWS)]
    by_number = torch.cat(errors).double().mean(0)
    means = [float(part.mean()) for part in by_number.split(CONFIG.sizes)]
    return dict(zip(PARTS, means, strict=True))
