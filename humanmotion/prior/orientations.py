"""Orientations of joints as something seen, beside points: trackers, inertial sensors, known hands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body.carried_points import CarriedPoints, joined, joint_axes
from humanmotion.errors import UsageError
from humanmotion.prior.problem import Chain, Observation, Places, Poses, left_jacobian
from humanmotion.rotations import matrix_to_rotvec

LEAST_TURN_SIGMA = 0.002
"""Radians (0.1 degrees): below, the normal equations lose their last digits."""


@dataclass(frozen=True)
class Orientations:
    """World rotations seen of `M` joints, whose axes are the last `3 M` points."""

    rotation: Tensor
    """`(N, M, 3, 3)`: the rest pose (y up, facing +z) turned into the axes of the observations."""
    sigma: Tensor
    """Standard deviation about each axis `(N, M)`, radians; infinite where not seen."""

    def compare(self, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """As `Observation`: the rotation vector from what was seen to what is."""
        count = self.rotation.shape[1]
        columns = points[:, -3 * count :].unflatten(1, (count, 3))
        moved = slope[:, -3 * count :].unflatten(1, (count, 3))
        turned = columns.mT
        away = matrix_to_rotvec(self.rotation.mT @ turned)
        # A small turn w moves column c by w x c, so that w is half the sum of c x dc.
        turn = torch.linalg.cross(columns[..., None], moved, dim=-2).sum(2) / 2
        rows = torch.linalg.inv(left_jacobian(-away)) @ turned.mT @ turn
        weight = (1 / self.sigma)[..., None]
        return away * weight, rows * weight[..., None]

    def at(self, rows: Tensor) -> Orientations:
        """As `Observation`."""
        return Orientations(self.rotation[rows], self.sigma[rows])


@dataclass(frozen=True)
class Turns:
    """World rotations of some joints over `T` frames, as they are given to a fit."""

    joints: tuple[int, ...]
    """The M joints, among the 55."""
    rotation: Tensor
    """`(T, M, 3, 3)` as in `Orientations`; NaN where not seen."""
    sigma: float
    """Radians."""

    def __post_init__(self) -> None:
        shape = (len(self.rotation), len(self.joints), 3, 3)
        if tuple(self.rotation.shape) != shape or not self.joints:
            raise UsageError(
                f"rotations of {len(self.joints)} joints have shape {tuple(self.rotation.shape)}; "
                "give (T, M, 3, 3) of at least one joint"
            )
        # NaN fails too.
        if not self.sigma >= LEAST_TURN_SIGMA:
            raise UsageError(
                f"sigma {self.sigma} rad of orientations given; give at least {LEAST_TURN_SIGMA}"
            )

    @property
    def seen(self) -> Tensor:
        """`(T, M)` bool."""
        return torch.isfinite(self.rotation).all(-1).all(-1)

    def carried_with(self, points: CarriedPoints) -> CarriedPoints:
        """The points and, after them, the axes of these joints."""
        axes = joint_axes(points.body, self.joints, joints=points.joints, betas=points.betas)
        return joined(points, axes)

    def observations(self, places: Places) -> list[Observation]:
        """What is seen of the points of `carried_with`: `places`, and the orientations."""
        frames, unseen = len(self.rotation), 3 * len(self.joints)
        seen = self.seen
        padded = Places(
            torch.cat((places.xyz, places.xyz.new_zeros(frames, unseen, 3)), 1),
            torch.cat((places.sigma, torch.full((frames, unseen), torch.inf)), 1),
        )
        return [
            padded,
            Orientations(
                torch.where(seen[..., None, None], self.rotation, torch.eye(3)),
                torch.where(seen, torch.tensor(self.sigma), torch.inf),
            ),
        ]

    def root_of(self, chain: Chain, poses: Poses) -> tuple[Tensor, Tensor]:
        """Roots `(T, 3, 3)` that turn `poses` onto the first joint seen in each frame, and where.

        The second is `(T)` bool: false where no joint was seen.
        """
        seen = self.seen
        _, world = chain.points.body.frames(chain.rotations(poses), betas=chain.points.betas)
        first = seen.int().argmax(-1)
        rows = torch.arange(len(seen))
        joints = torch.tensor(self.joints)[first]
        wanted = torch.where(seen[..., None, None], self.rotation, torch.eye(3))[rows, first]
        return wanted @ world[rows, joints].mT @ poses.root, seen.any(-1)
