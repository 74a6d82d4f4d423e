"""DPoser-X: sizes, fusion, masks, mirror, the regulariser's closed form, schedules, loops, sampler."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.errors import UsageError
from humanmotion.prior import published_networks as networks
from humanmotion.prior import published_solver as solver
from humanmotion.prior.published import (
    Normaliser,
    PartDropping,
    PublishedPrior,
    expected_clean,
    mirror_hand,
    mixed_loss,
    noise_loss,
    sample_states,
)
from humanmotion.prior.published_networks import FusedNetwork, PartNetworks, PublishedConfig

SMALL = PublishedConfig(width=64, clock=32, fusion_width=64, fusion_clock=32)
SIZE = sum(SMALL.sizes)
BODY, LEFT, RIGHT, FACE = (
    slice(start, start + size) for start, size in zip((0, 63, 108, 153), SMALL.sizes, strict=True)
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed))


def parts(config=SMALL):
    torch.manual_seed(0)
    return PartNetworks(config).eval()


def fused(awake=False):
    network = FusedNetwork(parts())
    if awake:
        torch.manual_seed(1)
        torch.nn.init.normal_(network.last.weight, std=0.1)
    return network.eval()


def parameters(network):
    return sum(p.numel() for p in network.parameters())


class Oracle:
    """The exact noise predictor of a Gaussian N(mean, cov) in normalised space."""

    def __init__(self, size=6, seed=0, dtype=torch.float64):
        a = torch.randn((size, size), generator=seeded(seed), dtype=torch.float64)
        self.cov = (a @ a.T / size + 0.05 * torch.eye(size)).to(dtype)
        self.mean = torch.randn(size, generator=seeded(seed + 1), dtype=torch.float64).to(dtype)
        self.size = size

    def __call__(self, x, t):
        alpha, sigma = (f(t.expand(x.shape[:-1]))[..., None] for f in (SUB_VP.alpha, SUB_VP.sigma))
        values, vectors = torch.linalg.eigh(self.cov)
        turned = (x - alpha * self.mean) @ vectors
        return (sigma * turned / (alpha**2 * values + sigma**2)) @ vectors.T


class TestNetworks:
    @pytest.mark.parametrize(("size", "millions"), [(63, 7.23), (45, 7.19), (103, 7.31)])
    def test_published_parts_have_the_published_sizes(self, size, millions):
        with torch.device("meta"):
            network = networks.TimeFC(size, size)
        assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.005)

    def test_published_fusion_has_the_published_size(self):
        with torch.device("meta"):
            network = FusedNetwork(PartNetworks(PublishedConfig(face=103)))
        learned = [p for p in network.parameters() if p.requires_grad]
        assert sum(p.numel() for p in learned) / 1e6 == pytest.approx(4.07, abs=0.005)
        assert network.last.weight.shape == (256, 256)

    def test_what_the_output_is_divided_by(self):
        table = networks.scale_table()
        found = [float(table[int(999 * t)]) for t in (0, 0.05, 0.1, 0.2, 0.5, 1)]
        assert found == pytest.approx([50, 32.9, 21.5, 9.2, 0.71, 0.01], rel=0.01)

    def test_waves_against_a_loop(self):
        found = networks.waves(torch.tensor([0.0, 3.7, 999.0]), 8)
        for row, label in zip(found.tolist(), (0.0, 3.7, 999.0), strict=True):
            angles = [label * 10_000 ** (-k / 3) for k in range(4)]
            want = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            assert row == pytest.approx(want, abs=1e-4)

    @pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
    def test_any_batch_shape_and_one_time_or_many(self, batch):
        network, state = parts().double(), normal(*batch, SIZE).double()
        common = torch.tensor(0.3, dtype=torch.float64)
        found = network(state, common.expand(batch))
        assert found.shape == state.shape
        torch.testing.assert_close(network(state, common), found)
        each = [network(row, common) for row in state.reshape(-1, SIZE)]
        torch.testing.assert_close(found.reshape(-1, SIZE), torch.stack(each))

    def test_parts_are_blind_to_each_other(self):
        state, t = normal(4, SIZE), torch.tensor(0.2)
        changed = state.clone()
        changed[:, LEFT] += 1
        apart = parts()(changed, t) - parts()(state, t)
        assert apart[:, LEFT].abs().max() > 0
        for part in (BODY, RIGHT, FACE):
            assert torch.equal(apart[:, part], torch.zeros_like(apart[:, part]))


class TestFusion:
    def test_starts_exactly_at_the_parts(self):
        state, t = normal(4, SIZE), torch.rand(4, generator=seeded())
        assert torch.equal(fused()(state, t), parts()(state, t))

    def test_only_the_correction_learns(self):
        network = fused(awake=True)
        noise_loss(network, normal(8, SIZE), seeded()).backward()
        assert all(p.grad is None for p in network.parts.parameters())
        assert all(p.grad is not None for p in network.correction.parameters())

    def test_parts_see_each_other_once_it_has_learned(self):
        network, state, t = fused(awake=True), normal(4, SIZE), torch.tensor(0.2)
        changed = state.clone()
        changed[:, LEFT] += 1
        assert (network(changed, t) - network(state, t))[:, BODY].abs().max() > 0

    def test_all_visible_is_the_default(self):
        network, state, t = fused(awake=True), normal(4, SIZE), torch.tensor(0.2)
        everything = torch.ones(4, 4, dtype=torch.bool)
        assert torch.equal(network(state, t, everything), network(state, t))

    def test_what_stands_in_a_hidden_part_does_not_matter(self):
        network, state, t = fused(awake=True), normal(4, SIZE), torch.tensor(0.2)
        visible = torch.tensor([True, False, True, True]).expand(4, 4)
        hidden = state.clone()
        hidden[:, LEFT] = torch.nan
        zeroed = state.clone()
        zeroed[:, LEFT] = 0
        assert torch.equal(network(hidden, t, visible), network(zeroed, t))


class TestLosses:
    def test_noise_loss_of_a_network_that_knows_nothing_is_one(self):
        loss = noise_loss(lambda x, t: torch.zeros_like(x), normal(2000, 63), seeded())
        assert float(loss) == pytest.approx(1, abs=0.02)

    def test_times_are_uniform_and_never_zero(self):
        seen = []
        noise_loss(lambda x, t: seen.append(t) or x, torch.zeros(20_000, 1), seeded())
        assert seen[0].min() >= 1e-5
        assert seen[0].max() <= 1
        assert float(seen[0].mean()) == pytest.approx(0.5, abs=0.01)

    def test_the_oracle_is_the_best(self):
        oracle = Oracle()
        batch = torch.distributions.MultivariateNormal(oracle.mean, oracle.cov)
        torch.manual_seed(0)
        batch = batch.sample((4000,))
        best = noise_loss(oracle, batch, seeded())
        assert best < noise_loss(lambda x, t: 0.97 * oracle(x, t), batch, seeded())
        assert best < noise_loss(lambda x, t: 1.03 * oracle(x, t), batch, seeded())

    @pytest.mark.parametrize("absent", range(4))
    def test_absent_parts_get_no_loss_and_may_hold_anything(self, absent):
        present = torch.ones(8, 4, dtype=torch.bool)
        present[:, absent] = False
        batch, part = normal(8, SIZE), (BODY, LEFT, RIGHT, FACE)[absent]
        found = []

        def network(x, t, visible):
            assert torch.equal(visible, present)
            found.append(torch.zeros_like(x).requires_grad_(True))
            return found[-1] + 0

        loss = mixed_loss(network, batch, seeded(), present=present, config=SMALL)
        loss.backward()
        assert torch.equal(found[-1].grad[:, part], torch.zeros_like(batch[:, part]))
        assert (found[-1].grad != 0).sum() == 8 * (SIZE - SMALL.sizes[absent])
        batch[:, part] = torch.nan
        again = mixed_loss(network, batch, seeded(), present=present, config=SMALL)
        assert float(again.detach()) == float(loss.detach())

    def test_nan_in_an_absent_part_reaches_no_weight(self):
        network, batch = fused(awake=True), normal(8, SIZE)
        batch[:, RIGHT] = torch.nan
        present = torch.tensor([True, True, False, True]).expand(8, 4)
        mixed_loss(network, batch, seeded(), present=present, config=SMALL).backward()
        learned = [p.grad for p in network.parameters() if p.requires_grad]
        assert all(torch.isfinite(grad).all() for grad in learned)

    @pytest.mark.parametrize(("reading", "keep"), [("code", 0.2), ("paper", 0.8)])
    def test_whole_bodies_are_dropped_in_part_but_asked_for_all(self, reading, keep):
        shown, found = [], []

        def network(x, t, visible):
            shown.append(visible)
            found.append(torch.zeros_like(x).requires_grad_(True))
            return found[-1] + 0

        batch, present = torch.zeros(4000, SIZE), torch.ones(4000, 4, dtype=torch.bool)
        dropping = PartDropping(reading=reading)
        mixed_loss(
            network, batch, seeded(), present=present, config=SMALL, dropping=dropping
        ).backward()
        assert float(shown[0].float().mean()) == pytest.approx(keep, abs=0.02)
        none = float((~shown[0]).all(-1).float().mean())
        assert none == pytest.approx((1 - keep) ** 4, abs=0.03)
        assert (found[0].grad != 0).all()


class TestNormaliser:
    def test_whitens_each_number_and_comes_back(self):
        poses = normal(500, 63) * torch.linspace(0.1, 2, 63) + torch.linspace(-1, 1, 63)
        normaliser = Normaliser.fit(poses)
        state = normaliser.to_state(poses)
        torch.testing.assert_close(state.mean(0), torch.zeros(63), atol=1e-5, rtol=0)
        torch.testing.assert_close(state.std(0), torch.ones(63), atol=1e-5, rtol=0)
        torch.testing.assert_close(normaliser.to_pose(state), poses, atol=1e-5, rtol=1e-5)

    def test_a_number_that_never_varies_stays_finite(self):
        state = Normaliser.fit(torch.ones(10, 3)).to_state(torch.ones(3))
        assert torch.isfinite(state).all()

    def test_mirror_is_its_own_inverse(self):
        hand = normal(5, 45)
        assert torch.equal(mirror_hand(mirror_hand(hand)), hand)
        assert torch.equal(mirror_hand(hand)[..., 0::3], hand[..., 0::3])


def whole_prior(network=None):
    each = (Normaliser.fit(normal(50, n, seed=n) + 0.3) for n in (63, 45, 13))
    body, hand, face = each
    normaliser = Normaliser.whole_body(body=body, hand=hand, face=face)
    return PublishedPrior(parts() if network is None else network, normaliser)


class TestDenoise:
    def test_mirrored_hands_give_mirrored_answers(self):
        prior, pose = whole_prior(), normal(4, SIZE)

        def swapped(x):
            out = x.clone()
            out[:, LEFT], out[:, RIGHT] = mirror_hand(x[:, RIGHT]), mirror_hand(x[:, LEFT])
            return out

        found = prior.denoise(swapped(pose), 0.3)
        torch.testing.assert_close(found, swapped(prior.denoise(pose, 0.3)), atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("rho", [0.0, 0.01, 0.5, 3.0, 100.0])
    def test_of_a_gaussian_is_its_posterior_mean(self, rho):
        oracle = Oracle()
        normaliser = Normaliser(*(normal(6, seed=s).double() for s in (1, 2)), torch.ones(6))
        normaliser = replace(normaliser, deviation=normaliser.deviation.abs() + 0.1)
        pose = normal(5, 6, seed=3).double()
        state = normaliser.to_state(pose)
        gain = oracle.cov @ torch.linalg.inv(oracle.cov + rho**2 * torch.eye(6))
        want = normaliser.to_pose(oracle.mean + (state - oracle.mean) @ gain.T)
        found = PublishedPrior(oracle, normaliser).denoise(pose, rho)
        torch.testing.assert_close(found, want, atol=1e-8, rtol=1e-6)
        each = PublishedPrior(oracle, normaliser).denoise(pose, torch.full((5,), rho))
        torch.testing.assert_close(each, want, atol=1e-6, rtol=1e-6)

    def test_no_noise_no_change(self):
        pose = normal(4, SIZE)
        torch.testing.assert_close(whole_prior().denoise(pose, 0.0), pose, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("rho", [-0.1, 200.0, math.nan])
    def test_levels_outside_are_refused(self, rho):
        with pytest.raises(UsageError, match="noise level"):
            whole_prior().denoise(torch.zeros(SIZE), rho)

    def test_dropout_is_off(self):
        network = parts().train()
        pose = normal(4, SIZE)
        prior = whole_prior(network)
        assert torch.equal(prior.denoise(pose, 0.3), prior.denoise(pose, 0.3))


TASK = solver.TASKS["mesh"]


class TestRegulariser:
    """With the exact denoiser of N(mu, S): the gradient's mean is 2 w rho^2 (S + rho^2)^-1 (x - mu)."""

    @staticmethod
    def gradient(oracle, state, noise, t, task):
        state = state.clone().requires_grad_(True)
        solver.regulariser(oracle, state, noise, t=t, task=task).mean().backward()
        return state.grad * math.prod(state.shape[:-1])

    @staticmethod
    def closed_form(oracle, state, t, task):
        rho = SUB_VP.rho(torch.tensor(t, dtype=torch.float64))
        precision = torch.linalg.inv(oracle.cov + rho**2 * torch.eye(oracle.size))
        weight = solver.snr_weight(task.weight, rho)
        return 2 * weight * rho**2 * (state - oracle.mean) @ precision

    @pytest.mark.parametrize("weight", ["half", "sqrt(1+snr)", "sqrt(1+snr^2)"])
    @pytest.mark.parametrize("t", [0.05, 0.1, 0.2, 0.5, 1.0])
    def test_mean_over_the_noise_is_exact(self, t, weight):
        # The oracle is linear in the noise, so noise of zero gives the mean.
        oracle, state, task = Oracle(), normal(5, 6).double(), replace(TASK, weight=weight)
        found = self.gradient(oracle, state, torch.zeros_like(state), t, task)
        want = self.closed_form(oracle, state, t, task)
        torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("t", [0.1, 0.2, 0.5])
    def test_antithetic_draws_agree(self, t):
        oracle, count = Oracle(), 50
        state = normal(1, 6).double().expand(2 * count, 6)
        noise = normal(count, 6, seed=3).double()
        found = self.gradient(oracle, state, torch.cat((noise, -noise)), t, TASK).mean(0)
        want = self.closed_form(oracle, state[0], t, TASK)
        assert (found - want).norm() < 0.01 * want.norm()

    def test_independent_draws_agree(self):
        oracle, count = Oracle(), 400_000
        state = (oracle.mean + 1).expand(count, 6)
        noise = normal(count, 6, seed=4).double()
        found = self.gradient(oracle, state, noise, 0.2, TASK).mean(0)
        want = self.closed_form(oracle, state[0], 0.2, TASK)
        assert (found - want).norm() < 0.01 * want.norm()

    def test_no_gradient_goes_through_the_network(self):
        network, state = parts(), normal(4, SIZE).requires_grad_(True)
        solver.regulariser(network, state, normal(4, SIZE), t=0.1, task=TASK).sum().backward()
        assert all(p.grad is None for p in network.parameters())
        at = torch.tensor(0.1)
        noise = normal(4, SIZE)
        clean = expected_clean(network, state.detach() + SUB_VP.rho(at) * noise, at).detach()
        want = 2 * solver.snr_weight(TASK.weight, SUB_VP.rho(at)) * (state.detach() - clean)
        torch.testing.assert_close(state.grad, want)

    def test_weights(self):
        rho = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
        snr = SUB_VP.alpha(SUB_VP.time(rho)) / SUB_VP.sigma(SUB_VP.time(rho))
        assert torch.equal(solver.snr_weight("half", rho), torch.full_like(rho, 0.5))
        for name, power in (("sqrt(1+snr)", 1), ("sqrt(1+snr^2)", 2)):
            want = 0.5 * (1 + snr**power).sqrt()
            torch.testing.assert_close(solver.snr_weight(name, rho), want)

    def test_sum_and_mean_differ_by_the_size(self):
        oracle, state = Oracle(), normal(5, 6).double()
        total, mean = (
            solver.regulariser(oracle, state, state, t=0.1, task=replace(TASK, over=over))
            for over in ("sum", "mean")
        )
        torch.testing.assert_close(total, 6 * mean)


class TestSchedules:
    @pytest.mark.parametrize("name", solver.TASKS)
    @pytest.mark.parametrize("count", [2, 7, 300])
    def test_truncated_falls_from_end_to_end(self, name, count):
        task = solver.TASKS[name]
        times = solver.schedule_times("truncated", count, task=task, generator=seeded())
        assert (times[0], times[-1]) == pytest.approx(task.window)
        assert len(times) == count
        steps = [a - b for a, b in itertools.pairwise(times)]
        assert min(steps) > 0
        assert max(steps) == pytest.approx(min(steps))

    def test_uniform_covers_all_times(self):
        times = solver.schedule_times("uniform", 100, task=TASK, generator=seeded())
        assert (times[0], times[-1]) == pytest.approx((1.0, solver.LEAST_TIME))
        assert times == sorted(times, reverse=True)

    def test_fixed_stays(self):
        times = solver.schedule_times("fixed", 5, task=TASK, generator=seeded())
        assert times == [TASK.fixed] * 5

    def test_random_is_seeded_and_uniform(self):
        draws = [
            solver.schedule_times("random", 5000, task=TASK, generator=seeded(seed))
            for seed in (0, 0, 1)
        ]
        assert draws[0] == draws[1] != draws[2]
        assert min(draws[0]) >= solver.LEAST_TIME
        assert sum(draws[0]) / 5000 == pytest.approx(0.5, abs=0.02)

    def test_one_step(self):
        times = solver.schedule_times("truncated", 1, task=TASK, generator=seeded())
        assert times == [TASK.window[0]]


def gaussian_prior():
    """A prior whose raw poses are its normalised states."""
    oracle = Oracle(dtype=torch.float32)
    return PublishedPrior(oracle, Normaliser(torch.zeros(6), torch.ones(6), torch.ones(6)))


KNOWN = torch.tensor([True, True, True, True, False, False])


class TestCompletion:
    def complete(self, pose, seed=0, **options):
        fit = replace(solver.COMPLETION, steps=50)
        return solver.complete_pose(
            gaussian_prior(), pose, KNOWN, generator=seeded(seed), fit=fit, **options
        )

    def test_known_numbers_stay_and_unknown_ones_are_not_looked_at(self):
        pose = normal(3, 6)
        found = self.complete(pose)
        assert found.shape == (10, 3, 6)
        assert torch.equal(found[..., KNOWN], pose[:, KNOWN].expand(10, 3, 4))
        blank = torch.where(KNOWN, pose, torch.nan)
        assert torch.equal(self.complete(blank), found)

    def test_same_seed_same_bytes(self):
        pose = normal(3, 6)
        assert torch.equal(self.complete(pose, seed=5), self.complete(pose, seed=5))
        assert not torch.equal(self.complete(pose, seed=5), self.complete(pose, seed=6))

    def test_hypotheses_lie_around_what_the_known_numbers_tell(self):
        prior = gaussian_prior()
        mean, cov = prior.network.mean, prior.network.cov
        torch.manual_seed(0)
        pose = torch.distributions.MultivariateNormal(mean, cov).sample((40,))
        gain = cov[4:, :4] @ torch.linalg.inv(cov[:4, :4])
        want = mean[4:] + (pose[:, :4] - mean[:4]) @ gain.T
        found = solver.complete_pose(prior, pose, KNOWN, generator=seeded(), hypotheses=20)[..., 4:]
        ours = (found.mean(0) - want).square().mean().sqrt()
        start = (want.square().mean() + 1).sqrt()
        assert ours < 0.5 * start

    @pytest.mark.parametrize("schedule", ["truncated", "random", "fixed", "uniform"])
    def test_every_schedule_runs(self, schedule):
        fit = replace(solver.COMPLETION, steps=5, schedule=schedule)
        found = solver.complete_pose(
            gaussian_prior(), normal(2, 6), KNOWN, generator=seeded(), fit=fit
        )
        assert torch.isfinite(found).all()


def points(pose):
    """Two joints and two surface points that move with the pose, each `(N, 2, 3)`."""
    joints = pose.unflatten(-1, (2, 3))
    return joints, joints + 0.05


class TestMotionDenoising:
    def clip(self):
        along = torch.linspace(0, 0.3, 12)[:, None]
        ways = (along * normal(6, seed=s) for s in (0, 1))
        return gaussian_prior().network.mean + torch.stack([*ways])

    def denoise(self, joints, fit, seed=0, seen=None):
        return solver.denoise_motion(
            gaussian_prior(),
            joints,
            points,
            start=gaussian_prior().network.mean,
            fit=fit,
            generator=seeded(seed),
            seen=seen,
        )

    def test_takes_noise_away(self):
        truth = self.clip()
        noisy = truth + 0.1 * normal(*truth.shape, seed=7)
        found = self.denoise(noisy.unflatten(-1, (2, 3)), solver.DENOISING[100])
        assert found.shape == truth.shape
        assert (found - truth).square().mean() < 0.6 * (noisy - truth).square().mean()

    def test_same_seed_same_bytes(self):
        joints, fit = self.clip().unflatten(-1, (2, 3)), replace(solver.DENOISING[20], steps=5)
        assert torch.equal(self.denoise(joints, fit, 3), self.denoise(joints, fit, 3))
        assert not torch.equal(self.denoise(joints, fit, 3), self.denoise(joints, fit, 4))

    def test_hidden_joints_may_hold_anything(self):
        joints, fit = self.clip().unflatten(-1, (2, 3)), replace(solver.HIDDEN["legs"], steps=5)
        seen = torch.tensor([True, False])
        found = self.denoise(joints, fit, seen=seen)
        joints[..., 1, :] = torch.nan
        assert torch.equal(self.denoise(joints, fit, seen=seen), found)
        assert torch.isfinite(found).all()

    def test_one_frame_is_refused(self):
        with pytest.raises(UsageError, match="one frame"):
            self.denoise(torch.zeros(1, 2, 3), solver.DENOISING[20])

    @pytest.mark.parametrize("window", [1, 3, 5])
    def test_smoothing_keeps_lines_and_ends(self, window):
        line = torch.linspace(0, 1, 12)[:, None] * torch.tensor([1.0, -2.0])
        torch.testing.assert_close(solver.smoothed(line, window, 2.0), line)
        rough = normal(2, 12, 3)
        found, reach = solver.smoothed(rough, window, 2.0), window // 2
        assert found.shape == rough.shape
        assert torch.equal(found[:, :reach], rough[:, :reach])
        assert torch.equal(found[:, 12 - reach :], rough[:, 12 - reach :])
        assert torch.equal(
            solver.smoothed(rough[:, : window - 1], window, 2.0), rough[:, : window - 1]
        )


class TestSampler:
    def test_of_a_gaussian_has_its_mean_and_covariance(self):
        oracle = Oracle(size=3)
        start = normal(4000, 3).double()
        found = sample_states(oracle, start, generator=seeded(1))
        assert (found.mean(0) - oracle.mean).abs().max() < 0.1
        spread = oracle.cov.diagonal().sqrt()
        apart = (torch.cov(found.T) - oracle.cov) / (spread[:, None] * spread)
        assert apart.abs().max() < 0.1

    def test_same_seed_same_bytes(self):
        prior = whole_prior()
        first, again, other = (
            prior.sample(3, generator=seeded(seed), steps=20) for seed in (0, 0, 1)
        )
        assert first.shape == (3, SIZE)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
