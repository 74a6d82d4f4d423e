"""The figures of fits to keypoints: what a detector sees, one start for all, and whose cost is what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from humanmotion.bench import prior_pixels
from humanmotion.bench.prior_methods import Method, ours
from humanmotion.bench.prior_pixels import (
    HIDDEN,
    LIMBS,
    MOVEMENT,
    WIDTH,
    Pictures,
    _detected,
    pixel_rows,
    surprise,
)
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.prior.baseline_mixture import GaussianMixture
from humanmotion.prior.baselines import Gaussian
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.keypoint_fitting import SIDES, fit_pixels
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.problem import Pixels
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

NAMES = list(JOINT_SETS["openpose_25"])


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def plain() -> PosePrior:
    """Independent normal numbers about a mean that is not the rest pose: D(x) = x / (1 + rho^2)."""
    space = PoseSpace(rotvec_to_matrix(0.2 * draws(54, 3, seed=5)), torch.full((SIZE,), 0.2))
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)).eval().requires_grad_(False)
    error = (table_levels() / (1 + table_levels() ** 2).sqrt())[:, None].expand(LEVELS, SIZE)
    return PosePrior(space, {"pose": network}, {"pose": error})


def some_poses(space: PoseSpace, count: int) -> PoseSet:
    rotations = space.to_rotations(draws(count, SIZE, seed=1))[:, 1:]
    return PoseSet(
        matrix_to_rotvec(rotations), torch.zeros(count, 10),
        torch.ones(count, TOKENS, dtype=torch.bool), torch.arange(count) // 2,
        tuple(f"a/{i}" for i in range(count)),
    )  # fmt: skip


class TestWhatADetectorSees:
    exact = Pixels(torch.full((4000, len(NAMES), 2), WIDTH / 2), torch.zeros(4000, len(NAMES)),
                   torch.eye(3).expand(4000, 3, 3))  # fmt: skip
    found = _detected(exact, NAMES, torch.Generator().manual_seed(0))

    def test_noise_is_of_the_size_that_is_told(self):
        there = self.found.sigma.isfinite()
        sigma = self.found.sigma[there]
        assert 2.0 <= float(sigma.min()) < 2.1 and 7.9 < float(sigma.max()) <= 8.0
        away = (self.found.xy - WIDTH / 2)[there] / sigma[:, None]
        assert float(away.mean()) == pytest.approx(0, abs=0.01)
        assert float(away.std()) == pytest.approx(1, abs=0.01)

    def test_limbs_are_hidden_whole_and_nothing_else(self):
        there, limbs = self.found.sigma.isfinite(), {n for limb in LIMBS for n in limb}
        for limb in LIMBS:
            seen = there[:, [NAMES.index(n) for n in limb]]
            assert bool((seen.all(-1) | ~seen.any(-1)).all())
            assert float((~seen).float().mean()) == pytest.approx(HIDDEN, abs=0.03)
        assert bool(there[:, [i for i, n in enumerate(NAMES) if n not in limbs]].all())
        assert limbs < set(NAMES)

    def test_what_is_outside_the_picture_is_not_seen(self):
        beside = Pixels(self.exact.xy[:9] - torch.tensor((WIDTH, 0.0)), self.exact.sigma[:9],
                        self.exact.K[:9])  # fmt: skip
        found = _detected(beside, NAMES, torch.Generator().manual_seed(0))
        assert not bool(found.sigma.isfinite().any()) and bool(found.xy.isfinite().all())


class TestSurprise:
    """Minus the log density, up to a constant, from nothing but expected clean poses."""

    poses = draws(400, 63, seed=2) @ draws(63, 63, seed=3) / 6 + 0.3
    numbers = tuple(range(63))

    def asked(self, prior):
        def expect(state: Tensor, level: float) -> Tensor:
            return torch.cat((prior.anchor(state[:, :63], level), 0 * state[:, 63:]), -1)

        return expect

    def test_is_exact_for_a_gaussian(self):
        one = Gaussian.fit(self.poses, torch.ones(400))
        states, origin = draws(5, SIZE), draws(5, SIZE, seed=1)
        found = surprise(self.asked(one), origin, states, level=0.3, numbers=self.numbers)
        smeared = torch.distributions.MultivariateNormal(
            one.mean, one.axes @ torch.diag(one.variances + 0.3**2) @ one.axes.T
        )
        wanted = smeared.log_prob(origin[:, :63]) - smeared.log_prob(states[:, :63])
        assert torch.allclose(found, wanted, rtol=2e-3, atol=0.05)

    def test_is_exact_for_a_mixture_asked_often_enough(self, monkeypatch):
        monkeypatch.setattr(prior_pixels, "NODES", 64)
        mixture = GaussianMixture.fit(
            torch.cat((self.poses, self.poses / 2 + 1)), torch.ones(800), components=2, seed=0
        )
        states, origin = self.poses[:40], mixture.means.mean(0).expand(40, 63)
        pad = torch.zeros(40, SIZE - 63)
        found = surprise(self.asked(mixture), torch.cat((origin, pad), -1),
                         torch.cat((states, pad), -1), level=0.6, numbers=self.numbers)  # fmt: skip
        parts = torch.distributions.MultivariateNormal(
            mixture.means, mixture.axes @ torch.diag_embed(mixture.variances + 0.6**2)
            @ mixture.axes.mT,
        )  # fmt: skip
        smeared = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(mixture.shares), parts
        )
        wanted = smeared.log_prob(origin) - smeared.log_prob(states)
        assert float((found - wanted).abs().mean()) < 0.05 * float(wanted.std())

    def test_of_no_prior_is_nothing(self):
        states = draws(3, SIZE)
        found = surprise(lambda s, _: s, 0 * states, states, level=0.1, numbers=self.numbers)
        assert not bool(found.any())


class TestPictures:
    def test_cameras_and_seeds(self, plain):
        task = Pictures.draw(some_poses(plain.space, 30), count=20, space=plain.space)
        again = Pictures.draw(some_poses(plain.space, 30), count=20, space=plain.space)
        assert torch.equal(task.pixels.xy, again.pixels.xy) and task.clips == again.clips
        focal = task.pixels.K[:, 0, 0] / WIDTH
        assert 1.0 <= float(focal.min()) < float(focal.max()) <= 1.5
        blind = task.without_focal()
        assert torch.equal(blind.pixels.xy, task.pixels.xy)
        assert blind.pixels.K[:, 0, 0].tolist() == pytest.approx([WIDTH * math.sqrt(2)] * 20)

    @pytest.mark.parametrize("other", [False, True])
    def test_a_prior_that_knows_the_answer_finds_it_in_any_space(self, plain, other):
        poses = some_poses(plain.space, 12)
        task = Pictures.draw(poses, count=12, space=plain.space)
        space = PoseSpace(torch.eye(3).repeat(54, 1, 1), torch.full((SIZE,), 0.5))
        space = space if other else plain.space
        order = torch.randperm(12, generator=torch.Generator().manual_seed(prior_pixels.SEED))
        turned = torch.cat((torch.eye(3).expand(12, 1, 3, 3), poses[order].rotations), 1)
        truth = space.to_state(turned)
        # The pull to the answer is as strong as the level is low.
        knows = Method(
            "knows", space, lambda _, look: lambda state, _: truth.repeat(len(state) // 12, 1)
        )
        assert float(task.errors(knows).pa.max()) < 15
        assert torch.equal(truth.repeat(SIDES, 1)[12:24], truth)

    def test_the_steps_are_those_of_fit_pixels(self, plain):
        task = Pictures.draw(some_poses(plain.space, 16), count=16, space=plain.space)
        there = task.pixels.sigma.isfinite()
        xy = torch.where(there[..., None], task.pixels.xy, torch.nan)
        sigma = torch.where(there, task.pixels.sigma, 1.0)
        fit = fit_pixels(plain, task.points, xy, sigma=sigma, K=task.pixels.K, hypotheses=1)
        public, found = task.compared(fit.rotations), task.errors(ours("ours", plain, "pose"))
        # The side may be another one, for it is chosen by another cost.
        assert float(((public.pa - found.pa).abs() < 0.5).float().mean()) > 0.7
        assert task.seconds(plain) > 0


def test_rows_compare_ours_with_the_best_other(plain) -> None:
    tight = Method("tight", plain.space, lambda _, look: lambda state, level: 0 * state)
    loose = Method("loose", plain.space, lambda _, look: lambda state, level: state)
    movement = Method(MOVEMENT, plain.space, lambda _, look: lambda state, level: state / 0)
    rows = pixel_rows(plain, some_poses(plain.space, 12),
                      [loose, movement, ours("ours", plain, "pose"), tight], poses=8,
                      by={})  # fmt: skip
    value = {row.id: row.value for row in rows}
    assert f"pixels/{MOVEMENT}" not in value
    best = min(("loose", "tight"), key=lambda name: value[f"pixels/{name}"])
    row = next(r for r in rows if r.id == "pixels/over best other")
    assert row.baseline is not None and row.baseline.name == best
    assert row.value == pytest.approx(value["pixels/ours"] / value[f"pixels/{best}"])
    assert (row.bar, row.direction) == (1.0, "<=")
    gain = value["pixels/ours"] - value[f"pixels/{best}"]
    assert value["pixels/over best other/low"] <= gain <= value["pixels/over best other/high"]
    assert {"pixels/ours/MPJPE", "pixels/ours, focal unknown", "speed/pixels"} <= value.keys()
