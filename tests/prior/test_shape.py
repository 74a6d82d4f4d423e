from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.prior.fitting import fit_places
from humanmotion.prior.problem import Chain, Places
from humanmotion.prior.shape import fitted_shape
from humanmotion.prior.space import SIZE

BODY = BodyModel.load()
WHICH = (0, 15, 20, 21, 10, 11)
SIGMA = 0.002


def build(betas: Tensor):
    return joint_points(BODY, WHICH, joints=tuple(range(22)), betas=betas)


def test_end_points_show_a_body_that_the_average_cannot_reach(tiny) -> None:
    betas = torch.tensor((2.0, *[0.0] * 9))
    state = 0.3 * torch.randn(12, SIZE, generator=torch.Generator().manual_seed(0))
    xyz = BODY.joints(tiny.space.to_rotations(state), betas=betas)[:, list(WHICH)]
    missed = []
    shape = torch.zeros(10)
    for _ in range(2):
        fit = fit_places(tiny, build(shape), xyz, sigma=SIGMA, kind="pose", hypotheses=1)
        chain = Chain(build(shape), tiny.space)
        missed.append(float((chain.linearise(fit.best)[0] - xyz).norm(dim=-1).mean()))
        seen = Places(xyz, torch.full(xyz.shape[:2], SIGMA))
        shape = fitted_shape(build, chain, [seen], poses=fit.best)
    assert missed[1] < missed[0] / 2 or missed[0] < SIGMA
    assert float(shape[0]) > 0.3


def test_a_body_that_fits_keeps_its_shape(tiny) -> None:
    state = 0.3 * torch.randn(8, SIZE, generator=torch.Generator().manual_seed(0))
    xyz = BODY.joints(tiny.space.to_rotations(state))[:, :22]
    every = joint_points(BODY, tuple(range(22)), joints=tuple(range(22)), betas=torch.zeros(10))
    fit = fit_places(tiny, every, xyz, sigma=SIGMA, kind="pose", hypotheses=1)
    found = fitted_shape(
        lambda b: joint_points(BODY, tuple(range(22)), joints=tuple(range(22)), betas=b),
        Chain(every, tiny.space),
        [Places(xyz, torch.full((8, 22), SIGMA))],
        poses=fit.best,
    )
    assert float(found.abs().max()) < 0.1
