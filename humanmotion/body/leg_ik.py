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

BENT = 0.05
"""A knee this far in front of the line from hip to ankle, in metres, or twice as far off anywhere,
shows which way it bends."""


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
    thigh = along[:, None] * axis + _knee_off(posed, limb, axis, far=out, front=front)
    return thigh, reach[:, None] * axis - thigh


def _knee_off(
    posed: Posed, limb: tuple[int, int, int], axis: Tensor, *, far: Tensor, front: Tensor
) -> Tensor:
    """How the knee is to lie off the line along `axis` from hip to ankle, `(T, 3)`, `far` `(T)` long.

    It keeps its side, swung over with the leg. What does not bend forwards shows none worth keeping, a
    straight leg, or one that an error of the fit bent back a little: as far as it is to bend more, it
    bends towards `front` `(T, 3)`.
    """
    hip, knee, ankle = limb
    own = torch.nn.functional.normalize(posed.joints[:, ankle] - posed.joints[:, hip], dim=-1)
    kept = _across(posed.joints[:, knee] - posed.joints[:, hip], own)
    kept = (between_vectors(own, axis) @ kept[..., None])[..., 0]
    length, far = kept.norm(dim=-1, keepdim=True).clamp(min=1e-9), far[:, None]
    front = torch.nn.functional.normalize(_across(front, axis), dim=-1)
    forwards = (kept * front).sum(-1, keepdim=True) / BENT
    straight = torch.minimum(1 - forwards, 2 - length / BENT).clamp(0, 1)
    towards = torch.nn.functional.normalize(
        straight * front + (1 - straight) * kept / length, dim=-1
    )
    kept = kept * (far / length).clamp(max=1)
    along = (kept * towards).sum(-1, keepdim=True)
    square = along**2 + far**2 - kept.square().sum(-1, keepdim=True)
    return kept + (square.clamp(min=0).sqrt() - along) * towards


def _across(vector: Tensor, axis: Tensor) -> Tensor:
    """What of vectors `(T, 3)` is across unit vectors `(T, 3)`."""
    return vector - (vector * axis).sum(-1, keepdim=True) * axis
