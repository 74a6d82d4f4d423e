"""A network that lifts 2D keypoints over time to a body: pose, place, up, shape and standing feet.

Each frame is seen by a virtual camera that looks straight at the person, so that what the network is
shown does not depend on where in the picture they are; what it says is in that camera's axes too. A
transformer over time with rotary positions mixes the frames. After GVHMR (Shen et al. 2024), with a
detector's own 3D as a further input and without image features: it runs on any detector's keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from humanmotion.camera import looking_at
from humanmotion.diffusion.time_mixing import TimeBlock, TimeSizes
from humanmotion.recovery.initial_pose import NAMES
from humanmotion.rotations import matrix_to_rotvec, sixd_to_matrix

JOINTS = 22
SHAPES = 10
CONFIDENT = 0.1
"""Landmarks surer than this span the person's box."""
BODY_METRES = 1.7
_SIZES = {
    "pose": 6 * JOINTS, "up": 3, "distance": 1, "offset": 2, "betas": SHAPES, "velocity": 3,
    "contact": 2,
}  # fmt: skip
INPUTS = len(NAMES) * 6 + 11


@dataclass(frozen=True)
class Shown:
    """Keypoints of `B` windows of `T` frames as the network is shown them."""

    values: Tensor
    """`(B, T, INPUTS)`."""
    view: Tensor
    """Camera axes from those of a camera that looks at the person `(B, T, 3, 3)`."""
    centre: Tensor
    """Middle of the person's box before that camera, of focal length one, `(B, T, 2)`."""
    size: Tensor
    """Its larger side `(B, T)`."""


@dataclass(frozen=True)
class Lifted:
    """What the network says, in camera axes; leading shape `(B, T)`."""

    rotations: Tensor
    """Root in camera axes and 21 local joint rotations `(B, T, 22, 3, 3)`."""
    pelvis: Tensor
    """`(B, T, 3)` metres."""
    up: Tensor
    """Unit vector `(B, T, 3)`."""
    betas: Tensor
    """`(B, T, 10)`."""
    velocity: Tensor
    """Of the pelvis in the root's axes `(B, T, 3)`, m/s."""
    contact: Tensor
    """Logits of standing feet `(B, T, 2)`."""


def show(
    xy: Tensor, confidence: Tensor, xyz: Tensor, *, K: Tensor, R_c2c0: Tensor, fps: float
) -> Shown:
    """Pixels `(B, T, 33, 2)`, confidence `(B, T, 33)` and 3D `(B, T, 33, 3)` of a detector (zeros where
    it gives none), with `K` and the camera's turn `R_c2c0` `(B, T, 3, 3)`."""
    rays = torch.cat((xy, torch.ones_like(xy[..., :1])), -1) @ torch.linalg.inv(K).mT
    sure = (confidence > CONFIDENT).to(xy.dtype)[..., None]
    there = sure.amax(-2)
    middle = (rays * sure).sum(-2) / sure.sum(-2).clamp(min=1)
    ahead = middle.new_tensor((0.0, 0.0, 1.0)).expand_as(middle)
    view = looking_at(torch.where(there > 0, middle, ahead))
    turned = rays @ view
    plane = turned[..., :2] / turned[..., 2:].clamp(min=0.05)
    low = torch.where(sure > 0, plane, torch.inf).amin(-2)
    high = torch.where(sure > 0, plane, -torch.inf).amax(-2)
    size = torch.where(there > 0, high - low, torch.ones_like(low)).amax(-1).clamp(min=0.01)
    centre = torch.where(there > 0, (low + high) / 2, torch.zeros_like(low))
    inside = ((plane - centre[..., None, :]) / size[..., None, None]).clamp(-2, 2) * sure
    has3d = (xyz.abs().amax((-1, -2)) > 0).to(xy.dtype)[..., None]
    values = torch.cat(
        (
            inside.flatten(-2), confidence * sure[..., 0], (xyz * sure).clamp(-2, 2).flatten(-2),
            size.log()[..., None] * there, centre / size[..., None], has3d, there,
            _turning(R_c2c0 @ view, fps), view[..., 2, :],
        ), -1,
    )  # fmt: skip
    return Shown(values, view, centre, size)


def _turning(axes: Tensor, fps: float) -> Tensor:
    """Angular velocity `(B, T, 3)` of axes `(B, T, 3, 3)`, rad/s."""
    step = matrix_to_rotvec(axes[:, :-1].mT @ axes[:, 1:]) * fps
    return torch.cat((torch.zeros_like(axes[:, :1, 0]), step), 1).clamp(-5, 5)


class Lifter(nn.Module):
    """The network."""

    def __init__(self, config: TimeSizes) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(INPUTS, config.width)
        self.blocks = nn.ModuleList(
            TimeBlock(config.width, config.hidden, heads=config.heads, dropout=config.dropout)
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, sum(_SIZES.values()))
        with torch.no_grad():
            # At first everybody stands at rest, upright before the camera.
            self.leave.weight.mul_(0.01)
            self.leave.bias.zero_()
            self.leave.bias[: 6 * JOINTS] = torch.tensor((1.0, 0, 0, 0, 1.0, 0)).repeat(JOINTS)

    def forward(self, values: Tensor) -> Tensor:
        """What it says `(B, T, n)` of what is shown `(B, T, INPUTS)`; `bodies` reads it."""
        x = self.enter(values)
        for block in self.blocks:
            x = block(x)
        said: Tensor = self.leave(self.norm(x))
        return said


def bodies(said: Tensor, shown: Shown) -> Lifted:
    """Bodies in camera axes from what a network says of what it was shown."""
    part = dict(zip(_SIZES, said.float().split(tuple(_SIZES.values()), -1), strict=True))
    rotations = sixd_to_matrix(part["pose"].unflatten(-1, (JOINTS, 6)))
    root = shown.view @ rotations[..., 0, :, :]
    distance = (part["distance"][..., 0].clamp(-3, 3)).exp() * BODY_METRES / shown.size
    plane = shown.centre + part["offset"] * shown.size[..., None]
    ahead = torch.cat((plane, torch.ones_like(plane[..., :1])), -1) * distance[..., None]
    up = part["up"] + part["up"].new_tensor((0.0, -1.0, 0.0))
    up = torch.nn.functional.normalize(up, dim=-1)
    return Lifted(
        rotations=torch.cat((root[..., None, :, :], rotations[..., 1:, :, :]), -3),
        pelvis=(shown.view @ ahead[..., None])[..., 0],
        up=(shown.view @ up[..., None])[..., 0],
        betas=part["betas"],
        velocity=part["velocity"],
        contact=part["contact"],
    )
