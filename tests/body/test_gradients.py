"""Derivatives against finite differences, in float64 on a very small body."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from humanmotion.body import BodyModel
from humanmotion.rotations import rotvec_to_matrix


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, synthetic_body, save_body) -> BodyModel:
    arrays = synthetic_body(vertices=58, correctives=0.01)
    path = save_body(tmp_path_factory.mktemp("tiny"), arrays)
    return BodyModel.load(path).to(dtype=torch.float64)


def inputs(scale: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((1, 55, 3), (10,), (1, 10), (1, 3))
    return tuple(
        (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).requires_grad_()
        for shape in shapes
    )


@pytest.mark.parametrize("scale", [0.5, 0.0])
@pytest.mark.parametrize("what", ["vertices", "joints", "landmarks"])
def test_derivatives(tiny: BodyModel, what: str, scale: float) -> None:
    def call(rotvec, betas, expression, transl):
        shape = {"betas": betas, "expression": expression, "transl": transl}
        rotations = rotvec_to_matrix(rotvec)
        if what == "landmarks":
            return tiny.landmarks("coco_17", rotations, **shape)
        return getattr(tiny, what)(rotations, **shape)

    assert gradcheck(call, inputs(scale), fast_mode=True)


def test_world_rotations_and_leg(tiny: BodyModel) -> None:
    rotvec, betas, *_ = inputs(0.5)
    assert gradcheck(lambda r: tiny.frames(rotvec_to_matrix(r))[1], (rotvec,), fast_mode=True)
    assert gradcheck(lambda b: (tiny.leg_length(b), tiny.sole_offset(b)), (betas,))
