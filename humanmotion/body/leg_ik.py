"""Moving the feet of a posed body to given places: two bones in closed form, the knee keeping its side.

The hip stays, the knee stays in the plane it bent in, the foot keeps its direction in the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.rotations import between_vectors

LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))
"""Hip, knee, ankle and foot joint of each leg."""
LONGEST = 0.9995
"""Largest share of the leg's length that a hip may be from its ankle; straighter would be unstable."""

STRAIGHT = 0.01
"""A knee this near to the line from hip to ankle, in metres, does not show which way it bends."""
BENT = 0.05
"""From here on it does, and from twice as far on nothing else counts."""


@dataclass(frozen=True)
class Posed:
    """Joints `(T, J, 3)` and world rotations `(T, J, 3, 3)` of the legs at least, or of all joints."""

    joints: Tensor
    world: Tensor


def reach_ankles(rotations: Tensor, posed: Posed, *, ankles: Tensor, feet_world: Tensor) -> Tensor:
    """Local rotations `(T, 55, 3, 3)` with the ankles at `ankles` `(T, 2, 3)` where legs reach.

    `posed` is the body of `rotations`; `feet_world` `(T, 2, 3, 3)` are the wanted world rotations of
    joints 7 and 8. A target out of reach is approached along the line from the hip.
    """
    out = rotations.clone()
    for side, (hip, knee, ankle, _) in enumerate(LEGS):
        parent, front = posed.world[:, 0], posed.world[:, hip, :, 2]
        upper, lower = two_bones(posed, (hip, knee, ankle), ankles[:, side], front=front)
        out[:, hip] = parent.mT @ upper
        out[:, knee] = upper.mT @ lower
        out[:, ankle] = lower.mT @ feet_world[:, side]
    return out


def two_bones(
    posed: Posed, limb: tuple[int, int, int], target: Tensor, *, front: Tensor
) -> tuple[Tensor, Tensor]:
    """World rotations `(T, 3, 3)` of a limb's first two joints, its third being at `target` `(T, 3)`.

    The middle joint keeps its side; where the limb is straight it goes towards `front` `(T, 3)`. A
    target out of reach is approached.
    """
    first, middle, end = limb
    bent = _bend(posed, limb, target, front=front)
    swing = between_vectors(posed.joints[:, middle] - posed.joints[:, first], bent[0])
    # The second bone follows the first one first, so that its twist about itself is kept.
    second = (swing @ (posed.joints[:, end] - posed.joints[:, middle])[..., None])[..., 0]
    lower = between_vectors(second, bent[1]) @ swing @ posed.world[:, middle]
    return swing @ posed.world[:, first], lower


def overreach(posed: Posed, *, ankles: Tensor) -> Tensor:
    """How far beyond its leg's length each ankle target lies, `(T, 2)` metres, 0 within reach."""
    excess = []
    for side, (hip, knee, ankle, _) in enumerate(LEGS):
        length = _length(posed, hip, knee) + _length(posed, knee, ankle)
        excess.append((ankles[:, side] - posed.joints[:, hip]).norm(dim=-1) - LONGEST * length)
    return torch.stack(excess, -1).clamp(min=0)


def _length(posed: Posed, a: int, b: int) -> Tensor:
    return (posed.joints[:, b] - posed.joints[:, a]).norm(dim=-1)


def _bend(
    posed: Posed, limb: tuple[int, int, int], target: Tensor, *, front: Tensor
) -> tuple[Tensor, Tensor]:
    """Thigh and shank vectors `(T, 3)` that lead from the hip to the target, or towards it."""
    hip, knee, ankle = limb
    upper, lower = _length(posed, hip, knee), _length(posed, knee, ankle)
    line = target - posed.joints[:, hip]
    distance = line.norm(dim=-1).clamp(min=1e-6)
    reach = torch.minimum(distance, LONGEST * (upper + lower))
    reach = torch.maximum(reach, (upper - lower).abs() + 1e-3)
    axis = line / distance[:, None]
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    out = (upper**2 - along**2).clamp(min=0).sqrt()
    thigh = along[:, None] * axis + out[:, None] * _knee_side(posed, limb, axis, front=front)
    return thigh, reach[:, None] * axis - thigh


def _knee_side(posed: Posed, limb: tuple[int, int, int], axis: Tensor, *, front: Tensor) -> Tensor:
    """Unit vector `(T, 3)` across the leg, which is to lie along `axis`, towards which the knee bends.

    A leg that is straight, or bent backwards by an error of the fit, has no bend worth keeping: there
    `front` takes over, as the thigh's own. That is seen from where the leg is to be; of one that is
    BENT the side is swung over with it, or it would turn over as the foot is moved past the knee.
    """
    hip, knee, ankle = limb
    own = torch.nn.functional.normalize(posed.joints[:, ankle] - posed.joints[:, hip], dim=-1)
    thigh = posed.joints[:, knee] - posed.joints[:, hip]
    bend, front, kept = (_across(*v) for v in ((thigh, axis), (front, axis), (thigh, own)))
    front = torch.nn.functional.normalize(front, dim=-1)
    share = ((bend * front).sum(-1, keepdim=True) / STRAIGHT).clamp(0, 1)
    side = share * torch.nn.functional.normalize(bend, dim=-1) + (1 - share) * front
    side = torch.nn.functional.normalize(side, dim=-1)
    share = (kept.norm(dim=-1, keepdim=True) / BENT - 1).clamp(0, 1)
    swung = (between_vectors(own, axis) @ kept[..., None])[..., 0]
    side = share * torch.nn.functional.normalize(swung, dim=-1) + (1 - share) * side
    return torch.nn.functional.normalize(side, dim=-1)


def _across(vector: Tensor, axis: Tensor) -> Tensor:
    """What of vectors `(T, 3)` is across unit vectors `(T, 3)`."""
    return vector - (vector * axis).sum(-1, keepdim=True) * axis
