"""Poses of people and poses near them, each with its distance: what the pose field is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.errors import InputError
from humanmotion.jobs.prior_data import distinct, read_poses
from humanmotion.prior.pose_field import (
    JOINTS,
    body_quaternions,
    mirrored,
    nearest_pose_distance,
)

LEAST_RECORDED = 15
"""Body joints that a pose must have recorded; the others are those of the most alike full pose."""
SPREAD = 0.5
"""Radians: the root mean square turn of a training pose is that of a half-Gaussian this wide."""
FEW_SHARE, FEW = 0.5, 4
"""Of the perturbed poses so many have turned joints of this number or fewer, the others all."""
CLEAN_SHARE = 0.1
"""Of the training poses that are left as they are."""


@dataclass(frozen=True)
class Labelled:
    """Poses and how far from known ones they are."""

    poses: Tensor
    """`(N, 21, 4)`."""
    distance: Tensor
    """`(N)` radians, as `pose_distance` measures them."""

    def to(self, device: torch.device | str) -> Labelled:
        """The same on `device`."""
        return Labelled(self.poses.to(device), self.distance.to(device))

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Poses `(count, 21, 4)`, half of them in a mirror, and their distances `(count)`."""
        at = generator.device
        rows = torch.randint(len(self.poses), (count,), generator=generator, device=at)
        swapped = torch.rand(count, generator=generator, device=at) < 0.5
        poses = self.poses[rows]
        poses = torch.where(swapped[:, None, None], mirrored(poses), poses)
        return poses, self.distance[rows]


def real_poses(data: str | Path, *, split: str) -> Tensor:
    """Body poses `(N, 21, 4)` of the default mixture, near-copies left out.

    Joints that a source did not record are those of the pose, among the fully recorded ones of the
    split, that is nearest in the others. Raises InputError where there is none.
    """
    found = read_poses(data, split=split)
    found = found[found.recorded[:, :JOINTS].sum(1) >= LEAST_RECORDED]
    found = found[distinct(found)] if len(found) else found
    recorded = found.recorded[:, :JOINTS]
    full = recorded.all(1)
    if not bool(full.any()):
        raise InputError(f"no {split} pose under {data} has all 21 body joints recorded")
    poses = body_quaternions(found.rotvec[:, :JOINTS])
    return _filled(poses, recorded, poses[full])


def _filled(poses: Tensor, recorded: Tensor, donors: Tensor) -> Tensor:
    flat = donors.flatten(1)
    out = poses.clone()
    for rows in torch.arange(len(poses)).split(512):
        there = recorded[rows].repeat_interleave(4, 1).to(poses)
        away = there @ flat.square().mT - 2 * (poses[rows].flatten(1) * there) @ flat.mT
        lent = donors[away.argmin(1)]
        out[rows] = torch.where(recorded[rows][..., None], poses[rows], lent)
    return out


def perturbed(poses: Tensor, *, generator: torch.Generator) -> Tensor:
    """Poses `(N, 21, 4)` turned by drawn amounts; some turn in a few joints only, some not at all."""
    count = len(poses)
    size = SPREAD * torch.randn(count, generator=generator).abs()
    size *= torch.rand(count, generator=generator) >= CLEAN_SHARE
    few = torch.randint(1, FEW + 1, (count,), generator=generator)
    few = torch.where(torch.rand(count, generator=generator) < FEW_SHARE, few, JOINTS)
    rank = torch.rand(count, JOINTS, generator=generator).argsort(1).argsort(1)
    turns = torch.randn(count, JOINTS, 3, generator=generator)
    turns *= (rank < few[:, None])[..., None]
    turns = functional.normalize(turns.flatten(1), dim=1).unflatten(1, (JOINTS, 3))
    return turned(poses, turns * (JOINTS**0.5 * size)[:, None, None])


def turned(poses: Tensor, rotvec: Tensor) -> Tensor:
    """Poses `(..., 21, 4)` whose joints turn by `rotvec` `(..., 21, 3)` first."""
    return quaternion_product(poses, body_quaternions(rotvec))


def quaternion_product(a: Tensor, b: Tensor) -> Tensor:
    """Of `wxyz` quaternions `(..., 4)`."""
    w, x = a[..., :1], a[..., 1:]
    v, y = b[..., :1], b[..., 1:]
    real = w * v - (x * y).sum(-1, keepdim=True)
    return torch.cat((real, w * y + v * x + torch.linalg.cross(x, y)), -1)


def labelled(poses: Tensor, known: Tensor, *, count: int, seed: int) -> Labelled:
    """`count` perturbed ones of `poses` `(N, 21, 4)`, with their distance to the nearest of `known`.

    What is in the mirror of a known pose is known too.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(poses), (count,), generator=generator)
    moved = perturbed(poses[rows], generator=generator)
    ways = [nearest_pose_distance(x, known) for x in (moved, mirrored(moved))]
    return Labelled(moved, torch.minimum(*ways))
