"""Forward kinematics of the first joints of the tree."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.body.kinematics import joint_positions
from humanmotion.rotations import rotvec_to_matrix


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (5000,)])
@pytest.mark.parametrize("joints", [1, 22, 25, 55])
def test_the_first_joints_do_not_need_the_others(shape, joints) -> None:
    rest = BodyModel.load().rest_joints()
    turns = torch.randn(*shape, 55, 3, generator=torch.Generator().manual_seed(0))
    rotations = rotvec_to_matrix(turns)
    whole = joint_positions(rotations, rest)
    part = joint_positions(rotations[..., :joints, :, :], rest[:joints])
    assert part.shape == (*shape, joints, 3)
    torch.testing.assert_close(part, whole[..., :joints, :], atol=1e-6, rtol=0)
