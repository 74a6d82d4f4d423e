from __future__ import annotations

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.errors import UsageError
from humanmotion.prior.fitting import best_poses, draw_poses, fit_places
from humanmotion.prior.model import FIT_TRUST, PosePrior
from humanmotion.prior.problem import Chain, Places, Poses
from humanmotion.prior.solver import Settings
from humanmotion.prior.space import SIZE
from humanmotion.rotations import rotvec_to_matrix

BODY = BodyModel.load()
JOINTS = tuple(range(22))
BETAS = torch.zeros(10)


def scene(prior, frames: int = 6) -> tuple[Tensor, Tensor]:
    """Joints `(T, 22, 3)` of poses the prior finds likely, turned and moved, and the root."""
    generator = torch.Generator().manual_seed(2)
    state = 0.6 * torch.randn(frames, SIZE, generator=generator)
    root = rotvec_to_matrix(torch.randn(frames, 3, generator=generator))
    joints = BODY.joints(prior.space.to_rotations(state, root))[:, :22]
    return joints + torch.tensor((1.0, 2.0, 0.5)), root


def points(which: tuple[int, ...] = JOINTS):
    return joint_points(BODY, which, joints=JOINTS, betas=BETAS)


def placed(fit) -> Tensor:
    joints = BODY.joints(fit.rotations)
    return (joints - joints[:, :1] + fit.place[:, None])[:, :22]


@pytest.mark.parametrize("kind", ["pose", "motion"])
def test_clean_joints_are_met_wherever_they_stand(tiny, kind) -> None:
    joints, _ = scene(tiny)
    fit = fit_places(tiny, points(), joints, sigma=0.002, kind=kind)
    assert float((placed(fit) - joints).norm(dim=-1).mean()) < 0.004


def test_turning_what_was_seen_turns_the_answer(tiny) -> None:
    joints, _ = scene(tiny)
    turn = rotvec_to_matrix(torch.tensor((0.3, -1.0, 2.0)))
    a = fit_places(tiny, points(), joints, sigma=0.005)
    b = fit_places(tiny, points(), joints @ turn.T, sigma=0.005)
    assert float((placed(a) @ turn.T - placed(b)).norm(dim=-1).mean()) < 0.004


def test_six_points_are_enough_for_a_body_that_holds_them(tiny) -> None:
    joints, _ = scene(tiny)
    which = (0, 10, 11, 15, 20, 21)
    fit = fit_places(tiny, points(which), joints[:, list(which)], sigma=0.002)
    assert float((placed(fit) - joints)[:, list(which)].norm(dim=-1).mean()) < 0.004
    # What was not seen is less sure than what was.
    std = fit.joint_std(BODY)
    assert float(std[:, 4].mean()) > 2 * float(std[:, 10].mean())


@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_the_noise_is_measured(tiny, noise) -> None:
    joints, _ = scene(tiny, frames=40)
    generator = torch.Generator().manual_seed(0)
    seen = joints + noise * torch.randn(joints.shape, generator=generator)
    fit = fit_places(tiny, points(), seen)
    # A pose of 69 numbers follows 66 coordinates closely: part of the noise goes into the pose.
    assert 0.3 * noise < fit.sigma < 1.2 * noise


def test_missing_points_are_left_out(tiny) -> None:
    joints, _ = scene(tiny)
    seen = joints.clone()
    seen[:, 7] = torch.nan
    seen[2] = torch.nan
    fit = fit_places(tiny, points(), seen, sigma=0.002)
    assert bool(torch.isfinite(fit.states).all())
    assert float((fit.place[2] - fit.place[1]).norm()) < 1.5
    kept = [t for t in range(6) if t != 2]
    error = (placed(fit) - joints).norm(dim=-1)[kept]
    assert float(error[:, [0, 4, 15, 20]].mean()) < 0.005


def test_fewer_than_three_points(tiny) -> None:
    with pytest.raises(UsageError, match="fewer than three points"):
        fit_places(tiny, points((0, 1)), torch.zeros(4, 2, 3))
    with pytest.raises(UsageError, match="fewer than three points"):
        fit_places(tiny, points(), torch.full((4, 22, 3), torch.nan))


def test_a_point_far_off_is_let_go_wherever_the_body_stands(tiny) -> None:
    joints, _ = scene(tiny)
    seen = joints.clone()
    seen[:, 7] += torch.tensor((0.5, 0.0, 0.0))
    clean, spoilt = (placed(fit_places(tiny, points(), x, sigma=0.01)) for x in (joints, seen))
    others = [j for j in range(22) if j not in (4, 7, 10)]
    error = [(p - joints)[:, others].norm(dim=-1).mean() for p in (clean, spoilt)]
    assert float(error[1]) < float(error[0]) + 0.01


@pytest.mark.parametrize("wrong", [{"sigma": 0.0001}, {"sigma": float("nan")}, {"hypotheses": 0}])
def test_what_cannot_be_meant(tiny, wrong) -> None:
    joints, _ = scene(tiny)
    with pytest.raises(UsageError, match="give at least"):
        fit_places(tiny, points(), joints, **wrong)


def test_seeds(tiny) -> None:
    joints, _ = scene(tiny)
    a, b, c = (fit_places(tiny, points(), joints, sigma=0.02, seed=s).states for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("kind", ["pose", "motion"])
def test_draws_of_what_was_never_seen_are_the_prior_s(tiny, kind) -> None:
    chain = Chain(points(), tiny.space)
    frames = 70
    blind = Places(torch.zeros(frames, 22, 3), torch.full((frames, 22), torch.inf))
    first = Poses(torch.zeros(frames, SIZE), torch.eye(3).expand(frames, 3, 3),
                  torch.zeros(frames, 3))  # fmt: skip
    best = best_poses(tiny, chain, [blind], first=first, kind=kind, settings=Settings())
    fit = draw_poses(tiny, chain, [blind], best=best, kind=kind, hypotheses=30, seed=0,
                     settings=Settings())  # fmt: skip
    body = fit.states[..., :63]
    # The tiny prior is normal with unit variance.
    assert float(body.mean().abs()) < 0.05
    assert float(body.std()) == pytest.approx(1, abs=0.07)
    assert float(fit.best.state[:, :63].abs().max()) < 0.01


def test_draws_spread_as_the_laplace_approximation_says(tiny) -> None:
    # At small noise the posterior is normal; its covariance is the inverse of the normal equations.
    chain = Chain(points(), tiny.space)
    pose = Poses(torch.zeros(1, SIZE), torch.eye(3)[None], torch.zeros(1, 3))
    seen, slope = chain.linearise(pose)
    observed = Places(seen, torch.full((1, 22), 0.02))
    settings = Settings(root_known=True, place_known=True)
    best = best_poses(tiny, chain, [observed], first=pose, kind="pose", settings=settings)
    fit = draw_poses(tiny, chain, [observed], best=best, kind="pose", hypotheses=400, seed=0,
                     settings=settings)  # fmt: skip
    rows = slope[0, :, :, 3:-3].flatten(0, 1) / 0.02
    wanted = torch.linalg.inv(rows.mT @ rows + torch.eye(63)).diagonal().sqrt()
    found = fit.states[:, 0, :63].std(0)
    ratio = (found / wanted).log().abs()
    assert float(ratio.mean()) < 0.12 and float(ratio.max()) < 0.5


@pytest.mark.parametrize(("told", "used"), [(0.03, 0.03), (0.01, 0.03), (0.09, 0.03)])
def test_noise_told_wrongly_is_found_out_where_enough_is_seen(tiny, told, used) -> None:
    joints, _ = scene(tiny, 40)
    noisy = joints + 0.03 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(7))
    # What little the pose can follow makes found noise too low; right noise stays as told.
    found = fit_places(tiny, points(), noisy, sigma=told, hypotheses=1).sigma
    assert found == pytest.approx(used, rel=1e-6 if told == used else 0.5)
    assert abs(found - 0.03) <= abs(told - 0.03) + 1e-6


def test_noise_is_believed_where_little_is_seen_and_of_points_that_differ(tiny) -> None:
    joints, _ = scene(tiny, 40)
    generator = torch.Generator().manual_seed(8)
    few = [0, 10, 11, 15, 20, 21]
    noisy = joints + 0.02 * torch.randn(joints.shape, generator=generator)
    fit = fit_places(tiny, points(tuple(few)), noisy[:, few], sigma=0.02, hypotheses=1)
    assert fit.sigma == pytest.approx(0.02)
    sigma = torch.full(joints.shape[:2], 0.01)
    sigma[:, 8:] = 0.1
    noisy = joints + sigma[..., None] * torch.randn(joints.shape, generator=generator)
    # Half of the points are not believed at all.
    sigma[:, ::2] = torch.inf
    fit = fit_places(tiny, points(), noisy, sigma=sigma, hypotheses=1)
    assert bool(torch.isfinite(fit.best.state).all())


def test_points_of_which_none_is_believed_leave_the_prior_alone(tiny) -> None:
    joints, _ = scene(tiny)
    fit = fit_places(tiny, points(), joints, sigma=float("inf"), hypotheses=1)
    assert bool(torch.isfinite(fit.best.state).all())


def test_fits_and_draws_trust_the_network_in_part(tiny, monkeypatch) -> None:
    joints, _ = scene(tiny)
    asked: list[float] = []
    denoise = PosePrior.denoise

    def listening(self, *args, trust: float = 1.0, **kwargs):
        asked.append(trust)
        return denoise(self, *args, trust=trust, **kwargs)

    monkeypatch.setattr(PosePrior, "denoise", listening)
    fit_places(tiny, points(), joints, sigma=0.01, kind="pose", hypotheses=2)
    levels = Settings()
    assert set(asked) == {FIT_TRUST}
    assert len(asked) >= len(levels.levels) + len(levels.draw_levels)
