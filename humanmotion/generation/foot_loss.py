"""How far the feet of a guess at data move otherwise than they should, seen through its rotations.

A network says rotations, places and speeds each for itself; a foot that stands in its speeds may slide
in its rotations, which are what is shown. After MDM's geometric losses (Tevet et al. 2023, eq. 4-5);
errors count by how fast a foot goes, as a standing one that creeps is seen and a swinging one is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body.kinematics import joint_positions
from humanmotion.generation.features import (
    JOINTS,
    ORIENT,
    POSE,
    STEP,
    TURN,
    VELOCITIES,
    rowwise_matrix,
)

FEET = [7, 8, 10, 11]
"""Ankles and feet."""
LEAST_STEP = 0.003
"""Metres a frame at 20 fps; errors below it are not seen."""


@dataclass(frozen=True)
class FootLoss:
    """Of one body and the spread of its feet's steps."""

    rest: Tensor
    """Rest joints of the body `(22, 3)`."""
    spread: Tensor
    """Of the steps of FEET, metres a frame, `(4)`."""
    weight: float = 1.0
    """What it counts."""

    @classmethod
    def of(cls, rest: Tensor, spread: Tensor, *, weight: float = 1.0) -> FootLoss | None:
        """By rest joints `(55, 3)` and the spread of features `(276)`; none that counts nothing."""
        if weight == 0:
            return None
        steps = spread[VELOCITIES].unflatten(-1, (JOINTS, 3))[FEET]
        return cls(rest[:JOINTS].clone(), steps.norm(dim=-1), weight)

    def to(self, device: torch.device | str) -> FootLoss:
        """The same on `device`."""
        return FootLoss(self.rest.to(device), self.spread.to(device), self.weight)

    def __call__(
        self, guess: Tensor, true: Tensor, *, level: Tensor, weight: Tensor, mask: Tensor
    ) -> Tensor:
        """A scalar of features `(B, T, 276)` that are guessed at levels `level` `(B)`.

        Where noise leaves open how fast a foot goes, errors of all speeds count alike: there a guess is
        the mean of what may be, and must not be drawn to standing still. `weight` `(B)` is that of the
        levels, `mask` `(B, T)` says of which frames the root is asked for.
        """
        steps = true[:, :-1, VELOCITIES].unflatten(-1, (JOINTS, 3))[:, :, FEET]
        error = (self.steps(guess, heading=true) - steps).square().sum(-1)
        open_of = (level[:, None] * self.spread).square()[:, None]
        scale = steps.square().sum(-1) + open_of + LEAST_STEP**2
        asked = (mask[:, 1:] & mask[:, :-1])[..., None]
        total = (error / scale * weight[:, None, None] * asked).sum()
        return self.weight * total / (asked.sum() * len(FEET)).clamp(min=1)

    def steps(self, features: Tensor, *, heading: Tensor) -> Tensor:
        """Steps `(B, T - 1, 4, 3)` of the feet as rotations and the root's changes say them.

        The root's own orientation is that of `heading` `(B, T, 276)`: what counts is how it changes.
        """
        pose = rowwise_matrix(features[..., POSE].unflatten(-1, (JOINTS - 1, 6)))
        straight = torch.eye(3, device=pose.device, dtype=pose.dtype)
        whole = torch.cat((straight.expand_as(pose[..., :1, :, :]), pose), -3)
        legs = (joint_positions(whole, self.rest) - self.rest[0])[..., FEET, :]
        root = rowwise_matrix(heading[:, :-1, ORIENT])
        after = rowwise_matrix(features[:, :-1, TURN]) @ root
        turned = legs[:, 1:] @ after.mT - legs[:, :-1] @ root.mT
        return turned + features[:, :-1, None, STEP]
