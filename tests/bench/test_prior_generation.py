"""Generation on priors whose truth is known: poses of independent normal numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from humanmotion.bench.prior_generation import BODY_JOINTS, Real, generation_rows
from humanmotion.diffusion.paths import SUB_VP
from humanmotion.errors import InputError
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.published import Normaliser, PublishedPrior
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace, token_mask

pytest.importorskip("sklearn")
SPREAD = 0.2
CLIPS, FRAMES = 30, 10
COUNT = 120
GONE = token_mask("left_collar", "right_collar")


class Normal(nn.Module):
    """The exact noise network of normal numbers."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.variance = spread**2

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = SUB_VP.alpha(t)[..., None], SUB_VP.sigma(t)[..., None]
        return sigma * x / (alpha**2 * self.variance + sigma**2)


def poses(seed: int, *, sets: tuple[str, ...] = ("cmu",), stand_in: float = 0.0) -> PoseSet:
    """Normal poses of clips of the sets in turn; the collars are stand-ins and not recorded."""
    count = CLIPS * FRAMES
    rotvec = SPREAD * torch.randn(count, 54, 3, generator=torch.Generator().manual_seed(seed))
    rotvec[:, GONE[:54]] = stand_in
    recorded = torch.ones(count, TOKENS, dtype=torch.bool)
    recorded[:, GONE] = False
    names = tuple(f"{sets[i % len(sets)]}/{seed}-{i}" for i in range(CLIPS))
    clip = torch.arange(CLIPS).repeat_interleave(FRAMES)
    return PoseSet(rotvec, torch.zeros(count, 10), recorded, clip, names)


def splits(**kwargs: float) -> dict[str, PoseSet]:
    return {s: poses(i, **kwargs) for i, s in enumerate(("train", "val", "test"))}


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)).eval().requires_grad_(False)
    error = (table_levels() / (1 + table_levels() ** 2).sqrt())[:, None].expand(LEVELS, SIZE)
    space = PoseSpace(torch.eye(3).repeat(54, 1, 1), torch.full((SIZE,), SPREAD))
    return PosePrior(space, {"pose": network}, {"pose": error})


def rival(spread: float) -> PublishedPrior:
    each = torch.zeros(63), torch.full((63,), SPREAD), torch.ones(63)
    return PublishedPrior(Normal(spread), Normaliser(*each))


@pytest.fixture(scope="module")
def rows(prior):
    """A rival that is twice as wide as the truth, and one more that is no rival."""
    peers = {"dp_0": rival(2.0), "dp_1": rival(2.0), "dp_preconditioned_0": rival(1.0)}
    return {r.id: r for r in generation_rows(prior, splits(), peers, count=COUNT)}


def test_a_right_prior_is_not_told_from_the_truth(rows) -> None:
    for name in ("ours", "real train"):
        assert rows[f"generate/AUC/{name}"].value == pytest.approx(0.5, abs=0.1)
        assert rows[f"generate/AUC, no noise/{name}"].value == pytest.approx(0.5, abs=0.1)
    assert rows["generate/AUC/DP"].value > 0.75
    gain = rows["generate/AUC/over DP"]
    assert gain.passed and gain.value == pytest.approx(
        rows["generate/AUC/ours"].value - rows["generate/AUC/DP"].value
    )


def test_a_wide_prior_shows_in_every_number(rows) -> None:
    """Recall is the one that it gains in; coverage is printed beside for that."""
    of = {k: (rows[f"generate/{k}/ours"].value, rows[f"generate/{k}/DP"].value)
          for k in ("precision", "coverage", "moments", "dNN train", "dNN held", "APD")}  # fmt: skip
    assert all(of[k][0] > of[k][1] for k in ("precision", "coverage"))
    assert all(of[k][0] < of[k][1] for k in ("moments", "dNN train", "dNN held", "APD"))
    assert rows["generate/coverage/over DP"].passed
    assert rows["generate/recall/over DP"].baseline.value == rows["generate/recall/DP"].value


def test_calls_are_counted(rows) -> None:
    calls = rows["generate/calls"]
    assert (calls.value, calls.baseline.value, calls.passed) == (23, 1000, True)


def test_only_recorded_joints_count(rows) -> None:
    assert rows["generate/joints"].value == BODY_JOINTS - 2
    assert f"{COUNT} held-out poses" in rows["generate/joints"].what


def test_stand_ins_change_nothing(prior) -> None:
    def numbers(**kwargs):
        return [(r.id, r.value) for r in generation_rows(prior, splits(**kwargs), {}, count=40)]

    assert numbers() == numbers(stand_in=0.7)


def test_without_weights_the_bars_are_not_run(prior) -> None:
    found = {r.id: r for r in generation_rows(prior, splits(), {}, count=40)}
    assert "generate/AUC/DP" not in found
    for key in ("AUC", "recall", "coverage"):
        row = found[f"generate/{key}/over DP"]
        assert row.value is None and row.passed is None
    assert found["generate/calls"].passed


def test_shares_of_the_sets_are_train_s() -> None:
    mixed = {"train": poses(0, sets=("cmu", "rocketbox", "cmu")),
             "val": poses(1, sets=("rocketbox",)), "test": poses(2)}  # fmt: skip
    real = Real.read(mixed, count=90)
    for drawn in (real.held, real.some_train):
        sets = [drawn.names[c].split("/")[0] for c in drawn.clip.tolist()]
        assert (sets.count("cmu"), sets.count("rocketbox")) == (60, 30)
    # A set of which too little is held out makes all smaller, and keeps the shares.
    few = {**mixed, "val": mixed["val"][torch.arange(20)]}
    drawn = Real.read(few, count=90).held
    sets = [drawn.names[c].split("/")[0] for c in drawn.clip.tolist()]
    assert (sets.count("cmu"), sets.count("rocketbox")) == (40, 20)


def test_pieces_of_one_clip_are_one_group() -> None:
    cut = replace(poses(1), names=("cmu/a", "cmu/a", *poses(1).names[2:]))
    real = Real.read({**splits(), "val": cut}, count=20)
    first, second, third = (
        real.groups_of(replace(real.held, clip=torch.full((20,), n))) for n in range(3)
    )
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_data_that_recorded_nothing_are_refused() -> None:
    bare = {k: replace(p, recorded=torch.zeros_like(p.recorded)) for k, p in splits().items()}
    with pytest.raises(InputError, match="too few joints"):
        Real.read(bare, count=20)
