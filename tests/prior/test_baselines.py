from __future__ import annotations

from functools import partial

import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.prior.baseline_distance import DistanceField, distance_loss, nearest_distance
from humanmotion.prior.baseline_mixture import GaussianMixture, expectation_maximisation
from humanmotion.prior.baseline_vae import PoseVae, vae_loss
from humanmotion.prior.baselines import Gaussian, MeanPose, NoPrior

SIZE = 63


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small networks wait for their threads many times as long as they compute on busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def some_poses(count: int = 400, size: int = SIZE, *, seed: int = 0) -> torch.Tensor:
    """Three groups of poses, each in its own few directions."""
    groups = [
        2 * draws(size, seed=seed + g)
        + draws(count // 3 + 1, 4, seed=seed + 10 + g) @ draws(4, size, seed=seed + 20 + g)
        + 0.1 * draws(count // 3 + 1, size, seed=seed + 30 + g)
        for g in range(3)
    ]
    return torch.cat(groups)[:count]


def with_density(poses: torch.Tensor) -> list[MeanPose | Gaussian | GaussianMixture]:
    weights = torch.ones(len(poses))
    return [
        MeanPose.fit(poses, weights),
        Gaussian.fit(poses, weights),
        GaussianMixture.fit(poses, weights, components=3, seed=0),
    ]


@pytest.mark.parametrize("which", range(3))
class TestPriorsWithADensity:
    poses = some_poses()

    def test_without_noise_a_pose_is_itself(self, which):
        x = draws(5, SIZE)
        assert torch.allclose(with_density(self.poses)[which].anchor(x, 0.0), x)
        near = with_density(self.poses)[which].anchor(x, 1e-5)
        assert torch.allclose(near, x, atol=1e-2)

    def test_in_endless_noise_a_pose_is_the_mean(self, which):
        found = with_density(self.poses)[which].anchor(draws(2, 3, SIZE), 1e7)
        assert torch.allclose(found, self.poses.mean(0).expand(2, 3, SIZE), atol=1e-4)

    @pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
    def test_any_batch_in_single_precision_and_from_its_tensors(self, which, lead):
        prior = with_density(self.poses.float())[which]
        x = draws(*lead, SIZE).float()
        found = prior.anchor(x, 0.5)
        assert found.shape == x.shape and found.dtype == torch.float32
        again = type(prior).from_tensors(prior.tensors())
        assert torch.equal(again.anchor(x, 0.5), found)
        with pytest.raises(FileFormatError, match="another prior"):
            type(prior).from_tensors({})


class TestNoneAndMean:
    def test_no_prior_pulls_nowhere(self):
        x = draws(2, SIZE)
        assert torch.equal(NoPrior().anchor(x, 3.0), x) and NoPrior().tensors() == {}

    def test_a_mean_without_width_is_the_anchor_at_every_level(self):
        poses = some_poses()
        prior = MeanPose.fit(poses, torch.ones(len(poses)), scale=0.0)
        for rho in (0.0, 0.1, 10.0):
            assert torch.allclose(prior.anchor(draws(3, SIZE), rho), poses.mean(0).expand(3, SIZE))

    def test_it_is_a_gaussian_of_one_width(self):
        poses = some_poses()
        mean = MeanPose.fit(poses, torch.ones(len(poses)))
        square = Gaussian(mean.mean, torch.eye(SIZE).double(), mean.scale.expand(SIZE) ** 2)
        x = draws(3, SIZE)
        assert torch.allclose(mean.anchor(x, 0.7), square.anchor(x, 0.7))


class TestGaussian:
    @pytest.mark.parametrize("rho", [0.05, 0.5, 3.0])
    def test_anchor_is_the_plain_formula(self, rho):
        poses, x = some_poses(), draws(6, SIZE)
        prior = Gaussian.fit(poses, torch.ones(len(poses)))
        covariance = torch.cov(poses.T, correction=0)
        assert torch.allclose(prior.covariance, covariance, atol=1e-5)
        total = covariance + rho**2 * torch.eye(SIZE)
        plain = poses.mean(0) + (x - poses.mean(0)) @ torch.linalg.inv(total) @ covariance
        assert torch.allclose(prior.anchor(x, rho), plain, atol=1e-5)

    def test_a_weight_is_a_count(self):
        poses = some_poses(60, 9)
        counts = torch.arange(60) % 3
        repeated = poses.repeat_interleave(counts, 0)
        one = Gaussian.fit(poses, counts)
        other = Gaussian.fit(repeated, torch.ones(len(repeated), 9))
        assert torch.allclose(one.covariance, other.covariance)
        assert torch.allclose(one.mean, other.mean)

    def test_missing_numbers_do_not_count_and_do_not_break(self):
        poses = some_poses(3000, 9)
        weights = (draws(3000, 9, seed=5) > -0.5).double()
        spoilt = torch.where(weights > 0, poses, torch.full_like(poses, torch.nan))
        found = Gaussian.fit(spoilt, weights)
        whole = Gaussian.fit(poses, torch.ones(3000))
        assert torch.allclose(found.mean, whole.mean, atol=0.2)
        error = (found.covariance - whole.covariance).norm() / whole.covariance.norm()
        assert error < 0.1 and bool((found.variances > 0).all())

    @pytest.mark.parametrize(
        ("weights", "words"),
        [
            (torch.ones(3), "give"),
            (-torch.ones(60), "negative"),
            (torch.full((60,), torch.inf), "finite"),
            (torch.ones(60, 9) * (torch.arange(9) != 4), r"\[4\]"),
        ],
    )
    def test_what_cannot_be_meant(self, weights, words):
        with pytest.raises(UsageError, match=words):
            Gaussian.fit(some_poses(60, 9), weights)


class TestMixture:
    def test_one_component_is_the_gaussian(self):
        poses, x = some_poses(), draws(4, SIZE)
        one = GaussianMixture.fit(poses, torch.ones(len(poses)), components=1, seed=0)
        gaussian = Gaussian.fit(poses, torch.ones(len(poses)))
        for rho in (0.1, 1.0):
            assert torch.allclose(one.anchor(x, rho), gaussian.anchor(x, rho), atol=1e-4)

    def test_anchor_and_density_are_the_plain_formulas(self):
        poses, x, rho = some_poses(300, 6), 2 * draws(7, 6), 0.8
        mixture = GaussianMixture.fit(poses, torch.ones(300), components=3, seed=1)
        covariances = (mixture.axes * mixture.variances[:, None]) @ mixture.axes.mT
        noisy = covariances + rho**2 * torch.eye(6)
        each = torch.distributions.MultivariateNormal(mixture.means, noisy)
        joint = mixture.shares.log() + each.log_prob(x[:, None])
        away = (x[:, None] - mixture.means)[..., None]
        clean = mixture.means + (covariances @ torch.linalg.solve(noisy, away))[..., 0]
        plain = (joint.softmax(-1)[..., None] * clean).sum(1)
        assert torch.allclose(mixture.anchor(x, rho), plain)
        assert torch.allclose(mixture.log_density(x, rho), joint.logsumexp(-1))

    def test_tweedie(self):
        poses, rho = some_poses(300, 6), 0.5
        mixture = GaussianMixture.fit(poses, torch.ones(300), components=3, seed=1)
        x = (2 * draws(5, 6)).requires_grad_(True)
        slope = torch.autograd.grad(mixture.log_density(x, rho).sum(), x)[0]
        assert torch.allclose(mixture.anchor(x, rho), x + rho**2 * slope)

    @pytest.mark.parametrize("components", [1, 3, 12])
    @pytest.mark.parametrize("weighty", [False, True])
    def test_the_likelihood_never_falls(self, components, weighty):
        poses = some_poses(300, 6)
        weights = draws(300, seed=3).abs() if weighty else torch.ones(300)
        _, trace = expectation_maximisation(
            poses, weights, components=components, seed=0, steps=60, shrinkage=5, tolerance=0
        )
        rises = torch.tensor(trace).double().diff()
        assert float(rises.min()) > -1e-9

    def test_groups_are_found(self):
        poses = some_poses(300, 6)
        mixture = GaussianMixture.fit(poses, torch.ones(300), components=3, seed=0)
        centres = poses.unflatten(0, (3, 100)).mean(1)
        assert float(torch.cdist(centres, mixture.means).amin(1).max()) < 1.0
        assert torch.allclose(mixture.shares, torch.full((3,), 1 / 3).double(), atol=0.1)
        one = GaussianMixture.fit(poses, torch.ones(300), components=1, seed=0)
        assert mixture.log_density(poses).mean() > one.log_density(poses).mean()

    def test_the_seed_is_all_that_chance_decides(self):
        poses = some_poses(200, 6)
        first, again, other = (
            GaussianMixture.fit(poses, torch.ones(200), components=8, seed=s) for s in (1, 1, 2)
        )
        for name, value in first.tensors().items():
            assert torch.equal(value, again.tensors()[name])
        assert not torch.equal(first.means, other.means)

    def test_incomplete_poses_do_not_count(self):
        poses = some_poses(200, 6)
        weights = torch.ones(200, 6)
        weights[::2, 1] = 0
        kept = GaussianMixture.fit(poses, weights, components=2, seed=0)
        half = GaussianMixture.fit(poses[1::2], torch.ones(100), components=2, seed=0)
        assert torch.equal(kept.means, half.means)
        with pytest.raises(UsageError, match="no pose has all"):
            GaussianMixture.fit(poses, weights * (torch.arange(6) > 0), components=2, seed=0)
        with pytest.raises(UsageError, match="300 components"):
            GaussianMixture.fit(poses, weights, components=300, seed=0)

    def test_poses_that_are_all_one(self):
        same = torch.ones(20, 6).double()
        mixture = GaussianMixture.fit(same, torch.ones(20), components=4, seed=0)
        assert torch.allclose(mixture.anchor(draws(3, 6), 1.0), same[:3], atol=1e-4)


def trained(network, loss, *, steps: int, batch: int, data: torch.Tensor, rate: float = 1e-3):
    """By plain Adam with a falling rate; the shipped loop is another, and slower for so little."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        rows = torch.randint(len(data), (batch,), generator=generator)
        loss(network, data[rows], generator).backward()
        optimizer.step()
        falling.step()
    return network.eval().requires_grad_(False)


class TestVae:
    poses = some_poses(50).float() / 3

    def train(self, *, steps: int = 5, kl: float = 1e-5) -> PoseVae:
        torch.manual_seed(0)
        loss = partial(vae_loss, radians=torch.ones(SIZE), kl=kl)
        return trained(PoseVae(SIZE, units=128), loss, steps=steps, batch=50, data=self.poses)

    def test_it_learns_fifty_poses_by_heart(self):
        vae = self.train(steps=600)
        error = (vae.anchor(self.poses, 0.1) - self.poses).square().mean().sqrt()
        assert float(error) < 0.15 * float(self.poses.std())

    def test_a_heavy_divergence_leaves_only_the_mean(self):
        vae = self.train(steps=300, kl=10.0)
        shown = vae.anchor(self.poses, 0.1)
        assert float(shown.std(0).max()) < 0.1 * float(self.poses.std())

    def test_a_latent_pose_can_be_optimised(self):
        vae = self.train(steps=50)
        z = torch.zeros(2, 32, requires_grad=True)
        vae.decode(z).square().sum().backward()
        assert z.grad is not None and bool((z.grad != 0).any())
        assert all(not p.requires_grad for p in vae.parameters())

    @pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
    def test_any_batch_and_from_its_tensors(self, lead):
        vae, x = self.train(), draws(*lead, SIZE).float()
        assert vae.anchor(x, 0.5).shape == x.shape
        mean, deviation = vae.encode(x)
        assert mean.shape == deviation.shape == (*lead, 32) and bool((deviation > 0).all())
        again = PoseVae.from_tensors(vae.tensors())
        assert torch.equal(again.anchor(x, 0.5), vae.anchor(x, 0.5))
        with pytest.raises(FileFormatError):
            PoseVae.from_tensors({k: v for k, v in vae.tensors().items() if "decoder" not in k})

    def test_an_angle_counts_in_radians_and_a_prior_that_fits_costs_nothing(self):
        x = draws(8, SIZE).float()

        def turned(batch, noise):
            # A tenth of a whitened unit about one axis of each joint, from a unit Gaussian.
            off = 0.1 * torch.tensor((1.0, 0, 0)).repeat(SIZE // 3)
            return batch + off, torch.zeros(8, 32), torch.ones(8, 32)

        generator = torch.Generator().manual_seed(0)
        found = vae_loss(turned, x, generator, radians=torch.full((SIZE,), 0.5))
        assert float(found) == pytest.approx(2 * 0.05, rel=1e-3)

    def test_the_generator_is_all_that_chance_decides(self):
        vae = PoseVae(SIZE, units=16).eval()
        one, again, other = (
            float(vae_loss(vae, self.poses, torch.Generator().manual_seed(s),
                           radians=torch.ones(SIZE)).detach())
            for s in (1, 1, 2)
        )  # fmt: skip
        assert one == again != other


def a_loop(count: int = 200) -> torch.Tensor:
    """Poses on a closed curve `(N, 9)`, as of someone who walks."""
    phase = 2 * torch.pi * torch.arange(count, dtype=torch.double) / count
    waves = torch.stack((phase.cos(), phase.sin(), (2 * phase).cos(), (2 * phase).sin()), -1)
    return (waves @ draws(4, 9, seed=5)).float()


LOOP = a_loop()


@pytest.fixture(scope="module")
def field() -> DistanceField:
    torch.manual_seed(0)
    loss = partial(distance_loss, known=LOOP)
    return trained(DistanceField(9, units=96), loss, steps=800, batch=256, data=LOOP, rate=3e-3)


class TestDistanceField:
    def test_nothing_on_the_data_and_more_away_from_it(self, field):
        u = torch.nn.functional.normalize(draws(len(LOOP), 9, seed=4).float(), dim=-1)
        far = [float(field(LOOP + d * u).mean()) for d in (0.0, 1.0, 3.0, 6.0)]
        assert far[0] < 0.25
        assert far == sorted(far)

    def test_it_tells_the_distance(self, field):
        x = LOOP + 0.8 * draws(len(LOOP), 9, seed=7).float()
        true = nearest_distance(x, LOOP)
        assert float((field(x) - true).abs().mean()) < 0.1 * float(true.mean())
        assert bool((field(x) >= 0).all())

    def test_an_anchor_is_nearer_and_no_farther_than_the_distance(self, field):
        x = LOOP + 0.8 * draws(len(LOOP), 9, seed=8).float()
        anchor = field.anchor(x, 0.3)
        assert not anchor.requires_grad
        assert bool(((anchor - x).norm(dim=-1) <= field(x) * 1.001).all())
        before, after = nearest_distance(x, LOOP), nearest_distance(anchor, LOOP)
        assert float(after.mean()) < 0.4 * float(before.mean())

    def test_a_true_field_is_projected_upon_at_once(self):
        class Sphere(DistanceField):
            def forward(self, x):
                return (x.norm(dim=-1) - 1).abs()

        x = 3 * draws(20, 9).float()
        found = Sphere(9, units=4).anchor(x, 1.0)
        assert torch.allclose(found, torch.nn.functional.normalize(x, dim=-1), atol=1e-5)

    @pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
    def test_any_batch_and_from_its_tensors(self, field, lead):
        x = draws(*lead, 9).float()
        assert field.anchor(x, 0.5).shape == x.shape and field(x).shape == lead
        again = DistanceField.from_tensors(field.tensors())
        assert torch.equal(again.anchor(x, 0.5), field.anchor(x, 0.5))
        with pytest.raises(FileFormatError):
            DistanceField.from_tensors({"layers.0.weight": torch.zeros(4, 9)})

    def test_the_generator_is_all_that_chance_decides(self, field):
        one, again, other = (
            float(distance_loss(field, LOOP, torch.Generator().manual_seed(s), known=LOOP))
            for s in (1, 1, 2)
        )
        assert one == again != other

    def test_a_true_field_costs_nothing(self):
        known = draws(30, 9, seed=2).float()
        generator = torch.Generator().manual_seed(0)
        loss = distance_loss(lambda x: nearest_distance(x, known), known, generator, known=known)
        assert float(loss) == 0

    def test_distances_are_those_of_a_loop(self):
        x, known = draws(7, 9), draws(20, 9, seed=1)
        plain = torch.stack([(known - one).norm(dim=-1).min() for one in x])
        assert torch.allclose(nearest_distance(x, known), plain)
        assert nearest_distance(known, known).abs().max() == 0
