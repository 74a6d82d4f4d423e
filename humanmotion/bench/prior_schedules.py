"""The times at which the published recipe adds noise: its truncated schedule beside the three others.

DPoser-X, truncated timestep scheduling. Its loop, weights and constants for denoising at 40 mm and for
hidden legs, with its own network; only the times differ (and, for random ones in denoising, the weight,
as published). The same loop without the prior says what any schedule is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from humanmotion.bench.prior_completion import HIDDEN, Completion, scored
from humanmotion.bench.prior_denoising import Denoising
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.metrics.distributions import mean_pair_distance
from humanmotion.prior.published import PublishedPrior
from humanmotion.prior.published_solver import COMPLETION, DENOISING, Fit, Schedule
from humanmotion.prior.space import token_mask

SEED = 0
NOISE_MM = 40
PART = "legs"
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
SCAN = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5)
"""Times of the fixed schedule that say where a window ought to lie."""


@dataclass(frozen=True)
class Scores:
    """Of one schedule; all in mm, less is better but for `spread`."""

    denoising: float
    """MPJPE."""
    energy: float
    """Energy score of the completions: how far they are, less half of how far they are apart."""
    best: float
    """Mean joint error of the best of a pose's completions, as published."""
    mean: float
    """Mean joint error of all of them."""
    spread: float
    """Mean distance between two completions of a pose."""


def schedule_rows(
    task: Denoising,
    test: PoseSet,
    rivals: Mapping[str, PublishedPrior],
    *,
    clips: int,
    poses: int,
) -> list[Row]:
    """Of the first `dp_SEED` among `rivals`, on `clips` of the windows and `poses` with hidden legs.

    Where another schedule beats the truncated one, rows with the time fixed all over its window and
    beyond show why. Without a rival the bars' rows are not run.
    """
    stems = sorted(s for s in rivals if s.rsplit("_", 1)[0] == "dp")
    if not stems:
        return [_bar(name, None) for name in ("denoise", "complete")]
    compared = Compared.draw(task, test, rivals[stems[0]], clips=clips, poses=poses)
    found = {name: compared.scores(name) for name in SCHEDULES}
    rows = [
        row for name, one in found.items() for row in _rows(name, one, clips=clips, poses=poses)
    ]
    rows.append(Row("schedule/denoise/no prior", "MPJPE of the same loop without the prior",
                    compared.denoised(without(DENOISING[NOISE_MM])), "mm"))  # fmt: skip
    denoising = {name: one.denoising for name, one in found.items()}
    energy = {name: one.energy for name, one in found.items()}
    rows += [_bar("denoise", denoising), _bar("complete", energy)]
    if min(denoising, key=lambda n: denoising[n]) != "truncated":
        rows += [Row(f"schedule/denoise/fixed at {t:g}", "MPJPE with one time throughout",
                     compared.denoised(fixed(DENOISING[NOISE_MM], t)), "mm") for t in SCAN]  # fmt: skip
    if min(energy, key=lambda n: energy[n]) != "truncated":
        rows += [Row(f"schedule/complete/fixed at {t:g}", "energy score with one time throughout",
                     compared.completed(fixed(COMPLETION, t))[0], "mm") for t in SCAN]  # fmt: skip
    return rows


def fixed(fit: Fit, t: float) -> Fit:
    """The same with one time throughout."""
    return replace(fit, schedule="fixed", task=replace(fit.task, fixed=t))


def without(fit: Fit) -> Fit:
    """The same without the prior."""
    return replace(fit, prior=(0.0,) * len(fit.prior))


@dataclass(frozen=True)
class Compared:
    """One prior, and what it is asked for with every schedule."""

    prior: PublishedPrior
    task: Denoising
    seen: Tensor
    """Noisy joints `(C, 60, 22, 3)`."""
    completion: Completion

    @classmethod
    def draw(
        cls, task: Denoising, test: PoseSet, prior: PublishedPrior, *, clips: int, poses: int
    ) -> Compared:
        """The first `clips` windows of `task`, and `poses` of those whose legs are recorded."""
        some = replace(task, joints=task.joints[:clips], groups=task.groups[:clips])
        hidden = token_mask(*HIDDEN[PART])
        there = test.recorded[:, hidden].all(-1).nonzero()[:, 0]
        order = torch.randperm(len(there), generator=torch.Generator().manual_seed(SEED))
        chosen = test[there[order[:poses]]]
        return cls(prior, some, some.seen(NOISE_MM / 1000),
                   Completion(BodyModel.load(), chosen, hidden))  # fmt: skip

    def scores(self, schedule: Schedule) -> Scores:
        """Of both tasks."""
        denoising = self.denoised(replace(DENOISING[NOISE_MM], schedule=schedule))
        return Scores(denoising, *self.completed(replace(COMPLETION, schedule=schedule)))

    def denoised(self, fit: Fit) -> float:
        """MPJPE in mm."""
        return float(self.task.descended(self.prior, self.seen, fit=fit).mpjpe.mean())

    def completed(self, fit: Fit) -> tuple[float, float, float, float]:
        """Energy score, best, mean and spread of the joints that are hidden, in mm."""
        placed = self.completion.published(self.prior, fit=fit)
        energy = scored(placed, self.completion.truth)[0]
        moved = (placed.std(0) > 1e-6).any(-1).any(0)
        placed, truth = placed[:, :, moved], self.completion.truth[:, moved]
        away = (placed - truth).norm(dim=-1).mean(-1)  # (K, N)
        apart = [mean_pair_distance(each) for each in placed.transpose(0, 1)]
        best, mean = float(away.amin(0).mean()), float(away.mean())
        return 1000 * energy, 1000 * best, 1000 * mean, 1000 * sum(apart) / len(apart)


def _rows(name: str, one: Scores, *, clips: int, poses: int) -> list[Row]:
    return [
        Row(f"schedule/denoise/{name}", f"MPJPE at {NOISE_MM} mm noise, {clips} windows",
            one.denoising, "mm"),
        Row(f"schedule/complete/{name}/energy", f"energy score, hidden {PART}, {poses} poses",
            one.energy, "mm"),
        Row(f"schedule/complete/{name}/best", "error of the best of 10", one.best, "mm"),
        Row(f"schedule/complete/{name}/mean", "mean error of the 10; all at the mean pose do well here",
            one.mean, "mm"),
        Row(f"schedule/complete/{name}/spread", "distance between two of the 10", one.spread, "mm"),
    ]  # fmt: skip


def _bar(task: str, found: Mapping[Schedule, float] | None) -> Row:
    """The truncated schedule over the best of the others."""
    key, what = f"schedule/{task}/truncated over best", "the truncated schedule over the next best"
    if found is None:
        return Row(key, what, None, "x", 1.0, "<=")
    other = min((n for n in found if n != "truncated"), key=lambda n: found[n])
    return Row(key, what, found["truncated"] / found[other], "x", 1.0, "<=",
               Baseline(other, found[other]))  # fmt: skip
