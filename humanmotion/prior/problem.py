"""What is observed of a pose, and how it moves with the numbers that are solved for.

The unknowns of one pose are a turn of the root, the state numbers of the free joints and the place of
the pelvis. Observations are points on the body, in metres or in pixels; their derivatives are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.body.carried_points import CarriedPoints, positions_and_jacobian
from humanmotion.prior.space import PoseSpace
from humanmotion.rotations import rotvec_to_matrix


@dataclass(frozen=True)
class Poses:
    """`N` poses as they stand."""

    state: Tensor
    """`(N, 172)`."""
    root: Tensor
    """`(N, 3, 3)`, in the axes of the observations."""
    place: Tensor
    """Pelvis `(N, 3)`, metres."""


class Observation(Protocol):
    """Something seen of each pose."""

    def compare(self, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals `(N, S, k)` in standard deviations and their slope `(N, S, k, P)`.

        `points` `(N, L, 3)` metres and their `slope` `(N, L, 3, P)` by the P unknowns. Both
        results are zero where nothing was seen.
        """

    def at(self, rows: Tensor) -> Observation:
        """What was seen of the poses at `rows`."""


@dataclass(frozen=True)
class Places:
    """Points seen in space."""

    xyz: Tensor
    """`(N, L, 3)` metres; anything finite where not seen."""
    sigma: Tensor
    """Standard deviation of a coordinate `(N, L)`, metres; infinite where not seen."""

    def compare(self, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """As `Observation`."""
        weight = (1 / self.sigma)[..., None]
        return (points - self.xyz) * weight, slope * weight[..., None]

    def at(self, rows: Tensor) -> Places:
        """As `Observation`."""
        return Places(self.xyz[rows], self.sigma[rows])


@dataclass(frozen=True)
class Pixels:
    """Points seen in pictures."""

    xy: Tensor
    """`(N, L, 2)` pixels; anything finite where not seen."""
    sigma: Tensor
    """Standard deviation of a coordinate `(N, L)`, pixels; infinite where not seen."""
    K: Tensor
    """Intrinsics `(N, 3, 3)`; the observations' axes are the camera's."""

    def compare(self, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """As `Observation`."""
        # Nearer than 10 cm a point would throw every other one off.
        depth = points[..., 2].clamp(min=0.1)
        focal = self.K[:, None, [0, 1], [0, 1]]
        ray = points[..., :2] / depth[..., None]
        weight = (1 / self.sigma)[..., None]
        residual = (focal * ray + self.K[:, None, :2, 2] - self.xy) * weight
        scale = focal / depth[..., None] * weight
        return residual, scale[..., None] * (slope[..., :2, :] - ray[..., None] * slope[..., 2:, :])

    def at(self, rows: Tensor) -> Pixels:
        """As `Observation`."""
        return Pixels(self.xy[rows], self.sigma[rows], self.K[rows])


@dataclass(frozen=True)
class Shaken:
    """Something seen as it might have been with other noise of the same size."""

    seen: Observation
    noise: Tensor
    """In standard deviations, of the shape of the residuals `(N, S, k)`."""

    def compare(self, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """As `Observation`."""
        residual, rows = self.seen.compare(points, slope)
        there = (rows != 0).any(-1)
        return residual + torch.where(there, self.noise, torch.zeros_like(residual)), rows

    def at(self, rows: Tensor) -> Shaken:
        """As `Observation`."""
        return Shaken(self.seen.at(rows), self.noise[rows])


@dataclass(frozen=True)
class Chain:
    """The points of one body and the joints that may turn to bring them where they were seen."""

    points: CarriedPoints
    """Its free joints are the root and then the free joints of the state."""
    space: PoseSpace

    @property
    def free(self) -> list[int]:
        """Numbers of the state that are solved for, in order."""
        return [3 * (j - 1) + axis for j in self.points.joints[1:] for axis in range(3)]

    def rotations(self, poses: Poses) -> Tensor:
        """Local rotations `(N, 55, 3, 3)`."""
        return self.space.to_rotations(poses.state, poses.root)

    def linearise(self, poses: Poses) -> tuple[Tensor, Tensor]:
        """Points `(N, L, 3)` and their derivative `(N, L, 3, P)`.

        The P unknowns: a turn of the root `(3)`, the free numbers, the place `(3)`.
        """
        points, slope = positions_and_jacobian(self.points, self.rotations(poses), poses.place)
        count = len(self.points.joints) - 1
        turned = (poses.state * self.space.spread)[:, self.free].unflatten(-1, (count, 3))
        tokens = [j - 1 for j in self.points.joints[1:]]
        reach = self.space.mean[tokens] @ left_jacobian(turned)
        reach = reach * self.space.spread[self.free].reshape(count, 1, 3)
        n, length = points.shape[:2]
        inner = slope[..., 1:, :].permute(0, 3, 1, 2, 4).reshape(n, count, 3 * length, 3) @ reach
        inner = inner.reshape(n, count, length, 3, 3).permute(0, 2, 3, 1, 4).flatten(-2)
        # Directions, whose weights sum to 0, stay where the pelvis moves.
        here = (self.points.gather.sum(-1)[:, None, None] * torch.eye(3)).expand(n, length, 3, 3)
        return points, torch.cat((slope[..., 0, :], inner, here), -1)

    def moved(self, poses: Poses, step: Tensor) -> Poses:
        """Poses after a step `(N, P)` of the unknowns."""
        state = poses.state.clone()
        state[:, self.free] += step[:, 3:-3]
        return Poses(state, rotvec_to_matrix(step[:, :3]) @ poses.root, poses.place + step[:, -3:])


def left_jacobian(rotvec: Tensor) -> Tensor:
    """`(..., 3, 3)`: the small turn, applied first, that a small change of `rotvec` `(..., 3)` makes.

    Sola et al. 2018, "A micro Lie theory", equation 145.
    """
    x, y, z = rotvec.unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack((o, -z, y, z, o, -x, -y, x, o), -1).unflatten(-1, (3, 3))
    square = (rotvec**2).sum(-1)
    small = square < 1e-4
    # Both branches are finite everywhere, so that gradients are.
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - square / 120, (angle - angle.sin()) / (safe * angle))
    eye = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return eye + first[..., None, None] * cross + second[..., None, None] * (cross @ cross)
