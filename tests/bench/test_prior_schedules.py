"""The schedules beside each other, on a prior whose truth is known: independent normal numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from humanmotion.bench import prior_schedules
from humanmotion.bench.prior_completion import scored
from humanmotion.bench.prior_denoising import Denoising
from humanmotion.bench.prior_schedules import SCHEDULES, Compared, fixed, schedule_rows, without
from humanmotion.diffusion.paths import SUB_VP
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.published import Normaliser, PublishedPrior
from humanmotion.prior.published_solver import COMPLETION, DENOISING, schedule_times
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace

SPREAD = 0.2
FRAMES = 60


class Normal(nn.Module):
    """The exact noise network of normal numbers of unit variance, times `strength`."""

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = SUB_VP.alpha(t)[..., None], SUB_VP.sigma(t)[..., None]
        return self.strength * sigma * x / (alpha**2 + sigma**2)


def prior(strength: float = 1.0) -> PublishedPrior:
    each = torch.zeros(63), torch.full((63,), SPREAD), torch.ones(63)
    return PublishedPrior(Normal(strength), Normaliser(*each))


@pytest.fixture(scope="module")
def still() -> PoseSet:
    """Two clips in each of which one pose is held."""
    pose = SPREAD * torch.randn(2, 54, 3, generator=torch.Generator().manual_seed(0))
    return PoseSet(
        rotvec=pose.repeat_interleave(FRAMES, 0), expression=torch.zeros(2 * FRAMES, 10),
        recorded=torch.ones(2 * FRAMES, TOKENS, dtype=torch.bool),
        clip=torch.arange(2).repeat_interleave(FRAMES), names=("cmu/a", "cmu/b"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def task(still) -> Denoising:
    return Denoising.draw(
        still, clips=2, space=PoseSpace(torch.eye(3).expand(54, 3, 3), torch.ones(SIZE))
    )


@pytest.fixture(scope="module")
def compared(task, still) -> Compared:
    return Compared.draw(task, still, prior(), clips=1, poses=3)


def test_without_weights_the_bars_are_not_run(task, still) -> None:
    rows = schedule_rows(task, still, {"dp_clean_target_0": prior()}, clips=1, poses=2)
    assert [(r.id, r.value, r.passed) for r in rows] == [
        ("schedule/denoise/truncated over best", None, None),
        ("schedule/complete/truncated over best", None, None),
    ]


def test_what_is_asked_for_is_what_is_drawn(compared) -> None:
    assert compared.seen.shape == (1, FRAMES, 22, 3)
    assert len(compared.completion.poses) == 3


def test_changed_constants() -> None:
    generator = torch.Generator().manual_seed(0)
    one = fixed(COMPLETION, 0.2)
    assert set(schedule_times(one.schedule, 9, task=one.task, generator=generator)) == {0.2}
    assert replace(one, schedule="truncated", task=COMPLETION.task) == COMPLETION
    none = without(DENOISING[40])
    assert none.prior == (0.0,) * 3 and none.data == DENOISING[40].data


def test_without_the_prior_the_network_does_not_matter(compared) -> None:
    short = replace(without(DENOISING[40]), steps=5)
    other = replace(compared, prior=prior(strength=-3.0))
    assert compared.denoised(short) == other.denoised(short)
    with_it = replace(DENOISING[40], steps=5)
    assert compared.denoised(with_it) != other.denoised(with_it)


def test_scores_of_completions_are_those_of_slow_loops(compared) -> None:
    fit = replace(COMPLETION, steps=10)
    energy, best, mean, spread = compared.completed(fit)
    placed = compared.completion.published(compared.prior, fit=fit)
    truth = compared.completion.truth
    assert energy == pytest.approx(1000 * scored(placed, truth)[0])
    moved = [j for j in range(22) if float(placed[:, :, j].std(0).max()) > 1e-6]
    assert len(moved) == 6  # knees, ankles, feet; hips turn where they are
    errors, apart = [], []
    for n in range(3):
        draws = [placed[k, n, moved] for k in range(len(placed))]
        errors.append([float((d - truth[n, moved]).norm(dim=-1).mean()) for d in draws])
        apart += [float((a - b).norm(dim=-1).mean())
                  for i, a in enumerate(draws) for j, b in enumerate(draws) if i != j]  # fmt: skip
    assert best == pytest.approx(1000 * sum(map(min, errors)) / 3, rel=1e-4)
    assert mean == pytest.approx(1000 * sum(map(sum, errors)) / 3 / len(placed), rel=1e-4)
    assert spread == pytest.approx(1000 * sum(apart) / len(apart), rel=1e-4)
    # What the energy score is made of.
    assert energy == pytest.approx(mean - spread / 2, rel=1e-3)


@pytest.fixture(scope="module", params=[1.0, 0.0], ids=["right", "blind"])
def rows(request, task, still):
    """Of the exact network, and of one that finds no noise: its steps are at random."""
    found = schedule_rows(task, still, {"dp_0": prior(request.param)}, clips=1, poses=10)
    return {r.id: r for r in found}


@pytest.mark.parametrize(("name", "of"), [("denoise", "{}"), ("complete", "{}/energy")])
def test_where_truncated_loses_single_times_are_shown(rows, name, of) -> None:
    values = {s: rows[f"schedule/{name}/{of.format(s)}"].value for s in SCHEDULES}
    bar = rows[f"schedule/{name}/truncated over best"]
    others = [v for s, v in values.items() if s != "truncated"]
    assert bar.value == pytest.approx(values["truncated"] / min(others))
    assert values[bar.baseline.name] == min(others)
    scan = [r for r in rows if r.startswith(f"schedule/{name}/fixed at ")]
    assert len(scan) == (0 if bar.passed else len(prior_schedules.SCAN))
