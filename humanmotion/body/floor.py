"""Where a body touches the ground: points under its feet, and how thick it is around its joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body.model import BodyModel

ANKLES, FEET = (7, 8), (10, 11)
RADIUS = {
    0: 0.09, 1: 0.07, 2: 0.07, 3: 0.09, 4: 0.045, 5: 0.045, 6: 0.09, 9: 0.09, 12: 0.05, 15: 0.09,
    16: 0.05, 17: 0.05, 18: 0.035, 19: 0.035, 20: 0.025, 21: 0.025,
}  # fmt: skip
"""Least distance of a joint from the skin, metres, for the joints that may lie on a floor."""


@dataclass(frozen=True)
class FootShape:
    """Points under both feet at rest, in the axes of the joint that carries them, metres."""

    ball: Tensor
    """Foot joint minus ankle `(2, 3)`."""
    heel: Tensor
    """Rear end of the sole minus ankle `(2, 3)`."""
    toe: Tensor
    """Front end of the sole minus foot joint `(2, 3)`."""
    sole: Tensor
    """Height of the foot joint above the sole `(2)`."""


def foot_shape(body: BodyModel, betas: Tensor) -> FootShape:
    """The feet of one body shape `(10)`."""
    rest = body.rest_joints(betas)
    ends = []
    for ids in body.soles:
        skin = body.template[ids] + body.shapedirs[ids] @ betas
        back, front = skin[skin[:, 2].argmin()].clone(), skin[skin[:, 2].argmax()].clone()
        # The last vertex lies on the round of the heel: the ground meets it under that point.
        back[1] = front[1] = skin[:, 1].amin()
        ends.append(torch.stack((back, front)))
    corners = torch.stack(ends)
    return FootShape(
        ball=rest[list(FEET)] - rest[list(ANKLES)],
        heel=corners[:, 0] - rest[list(ANKLES)],
        toe=corners[:, 1] - rest[list(FEET)],
        sole=body.sole_offset(betas),
    )


def lowest_point(joints: Tensor) -> Tensor:
    """Height `(T)` of the lowest skin of joints `(T, 55, 3)`, the feet left out, z up."""
    index = list(RADIUS)
    radius = joints.new_tensor([RADIUS[j] for j in index])
    lowest: Tensor = (joints[:, index, 2] - radius).amin(-1)
    return lowest
