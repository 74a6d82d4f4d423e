"""Joints beyond their limits, counted one by one."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics.joint_limits import MARGIN, joint_limit_rate


@pytest.mark.parametrize("lead", [(), (5,), (2, 5)])
def test_the_rate_is_that_of_a_count(lead):
    generator = torch.Generator().manual_seed(0)
    turns = torch.randn(*lead, 6, 3, generator=generator)
    low, high = torch.full((6, 3), -0.7), torch.full((6, 3), 0.9)
    found = joint_limit_rate(turns, low=low, high=high)
    assert found.shape == lead
    for pose, rate in zip(turns.reshape(-1, 6, 3), found.reshape(-1), strict=True):
        beyond = [any(x < -0.7 - MARGIN or x > 0.9 + MARGIN for x in j) for j in pose.tolist()]
        assert float(rate) == pytest.approx(sum(beyond) / 6)
    assert (found > 0).all()


def test_just_beyond_a_limit_is_no_violation_yet():
    limits = torch.full((1, 3), 0.5)
    for turn, rate in ((0.5, 0.0), (0.59, 0.0), (0.61, 1.0), (-0.61, 1.0)):
        assert float(joint_limit_rate(torch.full((1, 3), turn), low=-limits, high=limits)) == rate


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(UsageError, match=r"\(2, 3\)"):
        joint_limit_rate(torch.zeros(2, 3), low=torch.zeros(1, 3), high=torch.zeros(1, 3))
