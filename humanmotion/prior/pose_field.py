"""PoseField: how far a body pose is from the poses that people take, as a network.

Built like NRDF (He et al. 2024) and Pose-NDF (Tiwari et al. 2022): each joint's quaternion goes through
a small network of its own together with what its parent's came to, six numbers a joint; those of all 21
joints go through a network that tells the distance. It was trained on free motion and is no NRDF: its
distances are not theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import roma
import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.errors import UsageError
from humanmotion.joint_sets import SMPLX_PARENTS
from humanmotion.prior.space import BODY, MIRROR_TOKENS

JOINTS = BODY.stop
PARENTS: tuple[int, ...] = tuple(p - 1 for p in SMPLX_PARENTS[1 : JOINTS + 1])
"""Parent of each of the 21 joints among them; -1 at the pelvis, whose turn is no part of a pose."""


def _generations() -> tuple[list[int], ...]:
    found = [[-1]]
    while children := [j for j in range(JOINTS) if PARENTS[j] in found[-1]]:
        found.append(children)
    return tuple(found[1:])


GENERATIONS: tuple[list[int], ...] = _generations()
"""The joints by the number of joints between them and the pelvis."""
BETA = 100.0
"""Sharpness of the softplus: nearly a ReLU, but smooth."""


@dataclass(frozen=True)
class PoseFieldConfig:
    """Sizes; raises ValueError for sizes that cannot be."""

    features: int = 6
    """Numbers a joint."""
    width: int = 384
    layers: int = 3

    def __post_init__(self) -> None:
        if min(self.features, self.width, self.layers) < 1:
            raise ValueError("features, width and layers must be 1 or more")


class PoseField(nn.Module):
    """The network."""

    def __init__(self, config: PoseFieldConfig) -> None:
        super().__init__()
        self.config = config
        of = config.features
        self.enter = _Bones(4 + of, 4 * of)
        self.leave = _Bones(4 * of, of)
        widths = [JOINTS * of, *[config.width] * config.layers]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, quaternions: Tensor) -> Tensor:
        """Distances `(...)`, as `pose_distance` measures them, of `wxyz` quaternions `(..., 21, 4)`."""
        x = self._features(one_sign(quaternions)).flatten(-2)
        for layer in self.layers:
            x = functional.softplus(layer(x), beta=BETA)
        return functional.softplus(self.last(x), beta=BETA)[..., 0]

    def _features(self, quaternions: Tensor) -> Tensor:
        """Numbers of each joint `(..., 21, features)`, from the pelvis outwards."""
        none = quaternions.new_zeros(*quaternions.shape[:-2], 1, self.config.features)
        # Joints as far from the pelvis are taken together, behind a parent of nothing.
        found, order = none, [-1]
        for joints in GENERATIONS:
            parents = found[..., [order.index(PARENTS[j]) for j in joints], :]
            x = torch.cat((quaternions[..., joints, :], parents), -1)
            x = functional.softplus(self.enter(x, joints), beta=BETA)
            found = torch.cat((found, self.leave(x, joints)), -2)
            order += joints
        return found[..., [order.index(j) for j in range(JOINTS)], :]


class _Bones(nn.Module):
    """A linear layer of its own for each joint."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.zeros(JOINTS, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(JOINTS, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor, joints: list[int]) -> Tensor:
        """`(..., K, outputs)` of `(..., K, inputs)` at so many joints."""
        return torch.einsum("...ki,kio->...ko", x, self.weight[joints]) + self.bias[joints]


def one_sign(quaternions: Tensor) -> Tensor:
    """Of the two unit quaternions `(..., 4)` of a rotation that with w not below 0."""
    return torch.where(quaternions[..., :1] < 0, -quaternions, quaternions)


def body_quaternions(rotvec: Tensor) -> Tensor:
    """`wxyz` unit quaternions `(..., 21, 4)`, w not below 0, of rotation vectors `(..., 21, 3)`.

    Raises UsageError for other shapes.
    """
    if rotvec.shape[-2:] != (JOINTS, 3):
        raise UsageError(
            f"rotvec {tuple(rotvec.shape)} given; give the 21 body joints (..., 21, 3)"
        )
    return one_sign(roma.rotvec_to_unitquat(rotvec).roll(1, -1))


def body_rotvec(quaternions: Tensor) -> Tensor:
    """Rotation vectors `(..., 21, 3)` of `wxyz` quaternions `(..., 21, 4)`."""
    return roma.unitquat_to_rotvec(quaternions.roll(-1, -1))


def mirrored(quaternions: Tensor) -> Tensor:
    """Poses `(..., 21, 4)` seen in a mirror."""
    flip = quaternions.new_tensor((1.0, 1.0, -1.0, -1.0))
    return quaternions[..., list(MIRROR_TOKENS[:JOINTS]), :] * flip


def pose_distance(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square over the joints of the angles between poses `(..., 21, 4)`, radians `(...)`.

    The distance on the product of the joints' quaternions, over the root of their number and doubled:
    an angle of rotation is twice that of its quaternions.
    """
    # The arc cosine of a dot product near 1 has no digits left; chords have.
    chord = torch.minimum((a - b).norm(dim=-1), (a + b).norm(dim=-1))
    angle = 4 * torch.asin((chord / 2).clamp(max=math.sqrt(0.5)))
    return angle.square().mean(-1).sqrt()


def nearest_pose_distance(poses: Tensor, known: Tensor, *, candidates: int = 8) -> Tensor:
    """Distance `(N)` of each of `poses` `(N, 21, 4)` to the nearest of `known` `(M, 21, 4)`.

    The nearest few are found by chords between quaternions of one sign, the distance is then exact. It
    may be that of another near pose where joints are turned far, and is never too small.
    """
    few = min(candidates, len(known))
    flat = one_sign(known).flatten(1)
    half = 0.5 * flat.square().sum(1)
    found = []
    for part in one_sign(poses).split(512):
        near = (half - part.flatten(1) @ flat.mT).topk(few, largest=False).indices
        found.append(pose_distance(part[:, None], known[near]).amin(1))
    return torch.cat(found) if found else poses.new_zeros(0)
