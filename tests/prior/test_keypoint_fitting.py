from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import positions
from humanmotion.body.named_points import named_points, set_points
from humanmotion.errors import UsageError
from humanmotion.jobs.fit import load_prior
from humanmotion.prior.keypoint_fitting import _path, fit_pixels
from humanmotion.prior.sampling import sample
from humanmotion.prior.space import SIZE
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

BODY = BodyModel.load()
K = torch.tensor(((900.0, 0, 320), (0, 900.0, 240), (0, 0, 1)))
UPRIGHT = torch.diag(torch.tensor((1.0, -1.0, -1.0)))
POINTS = named_points(BODY, list(set_points(BODY, "openpose_25").values()),
                      joints=tuple(range(22)), betas=torch.zeros(10))  # fmt: skip


def scene(prior, states: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels `(T, L, 2)` and roots `(T, 3, 3)` of people three to five metres away."""
    zero = torch.zeros_like(yaw)
    root = UPRIGHT @ rotvec_to_matrix(torch.stack((zero, yaw, zero), -1))
    place = torch.stack((0.2 * yaw.sin(), zero, 4 + yaw.cos()), -1)
    flat = positions(POINTS, prior.space.to_rotations(states, root), place) @ K.T
    return flat[..., :2] / flat[..., 2:], root


def seen(fit) -> Tensor:
    flat = positions(POINTS, fit.rotations, fit.place) @ K.T
    return flat[..., :2] / flat[..., 2:]


@pytest.mark.parametrize("kind", ["pose", "motion"])
def test_pixels_are_met_from_every_side(tiny, kind) -> None:
    states = 0.3 * torch.randn(8, SIZE, generator=torch.Generator().manual_seed(1))
    xy, root = scene(tiny, states, torch.arange(8) * 0.7)
    fit = fit_pixels(tiny, POINTS, xy, sigma=1.0, K=K, kind=kind)
    assert float((seen(fit) - xy).norm(dim=-1).mean()) < 1.5
    # Nose and toes tell front from back even a prior that knows nothing else.
    assert float(geodesic_distance(fit.best.root, root).median()) < 0.6


def test_turning_the_picture_turns_the_answer(tiny) -> None:
    states = 0.3 * torch.randn(3, SIZE, generator=torch.Generator().manual_seed(2))
    xy, _ = scene(tiny, states, torch.tensor((0.2, 0.4, 0.6)))
    quarter = torch.tensor(((0.0, -1.0), (1.0, 0.0)))
    turned = (xy - K[:2, 2]) @ quarter.T + K[:2, 2]
    a, b = (fit_pixels(tiny, POINTS, x, sigma=1.0, K=K, seed=4) for x in (xy, turned))
    whole = torch.eye(3)
    whole[:2, :2] = quarter
    assert float((a.place @ whole.T - b.place).norm(dim=-1).max()) < 0.05
    assert float(geodesic_distance(whole @ a.best.root, b.best.root).max()) < 0.1


def test_missing_points_and_frames(tiny) -> None:
    states = 0.3 * torch.randn(6, SIZE, generator=torch.Generator().manual_seed(1))
    xy, _ = scene(tiny, states, torch.full((6,), 0.3))
    gone = xy.clone()
    gone[:, 4], gone[2], gone[3, 1:] = torch.nan, torch.nan, torch.nan
    fit = fit_pixels(tiny, POINTS, gone, sigma=1.0, K=K, kind="motion")
    assert bool(torch.isfinite(fit.states).all()) and bool(torch.isfinite(fit.place).all())
    assert float((seen(fit) - xy).norm(dim=-1)[[0, 1, 4, 5]][:, 5:].mean()) < 2


def test_seeds(tiny) -> None:
    xy, _ = scene(tiny, torch.zeros(2, SIZE), torch.tensor((0.1, 0.2)))
    a, b, c = (fit_pixels(tiny, POINTS, xy, sigma=2.0, K=K, seed=s).states for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_the_cheapest_path_does_not_jump() -> None:
    roots = rotvec_to_matrix(torch.tensor(((0.0, 0, 0), (0, 3.0, 0))))[:, None].expand(2, 5, 3, 3)
    cost = torch.tensor(((0.0, 0, 3, 0, 0), (5.0, 5, 0, 5, 5)))
    assert _path(cost, roots).tolist() == [0, 0, 0, 0, 0]
    assert _path(cost, roots[:1].expand(2, 5, 3, 3)).tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("wrong", [{"sigma": 0.1}, {"sigma": float("nan")}, {"hypotheses": 0}])
def test_what_cannot_be_meant(tiny, wrong) -> None:
    xy, _ = scene(tiny, torch.zeros(1, SIZE), torch.zeros(1))
    with pytest.raises(UsageError, match="give at least"):
        fit_pixels(tiny, POINTS, xy, K=K, **({"sigma": 1.0} | wrong))
    xy[:, 2:] = torch.nan
    with pytest.raises(UsageError, match="fewer than three points"):
        fit_pixels(tiny, POINTS, xy, K=K, sigma=1.0)


def test_a_hundred_pictures_take_seconds() -> None:
    prior = load_prior()
    states = sample(prior, 100)[:, 0]
    xy, root = scene(prior, states, 6.28 * torch.rand(100, generator=torch.Generator()))
    start = time.process_time()
    fit = fit_pixels(prior, POINTS, xy, sigma=2.0, K=K)
    # Two cores have ten seconds of work in five.
    assert time.process_time() - start < 10
    joints = [BODY.joints(prior.space.to_rotations(s, r))[:, :22]
              for s, r in ((fit.best.state, fit.best.root), (states, root))]  # fmt: skip
    error = (joints[0] - joints[0][:, :1] - joints[1] + joints[1][:, :1]).norm(dim=-1).mean(-1)
    assert float(error.median()) < 0.09
