"""The published modules after alignment of HumanMM (Zhang et al. 2025, sections 3.3 and 3.4).

Re-implemented; what the paper leaves open is chosen here: sizes, how positions are coded, which poses
are noised. A transformer encoder over the whole video knows the number of the shot; a bidirectional
LSTM says which feet stand and how the root moves; WHAM's trajectory refiner (Shin et al. 2024) puts
root and velocity right, the velocity first reset by the standing feet. There are no picture features:
our inputs have none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from humanmotion.body.kinematics import forward_kinematics
from humanmotion.body.skeleton import JOINTS as ALL_JOINTS
from humanmotion.recovery.lifter import JOINTS
from humanmotion.rotations import sixd_to_matrix

WIDTH, HEADS, BLOCKS, HIDDEN = 256, 8, 6, 1024
MOST_SHOTS = 16
LSTM_WIDTH, REFINER_WIDTH, LAYERS = 256, 512, 2
FEET = (10, 11)
CONTACT = 0.7
"""Feet that stand more surely than this reset the velocity."""
FPS = 30.0


class Found(NamedTuple):
    """What the modules say in turn, leading shape `(B, T)`."""

    pose: Tensor
    """Of the encoder `(B, T, 22, 6)`, the root's in the world."""
    contact: Tensor
    """Logits of standing feet `(B, T, 2)`."""
    velocity: Tensor
    """Of the pelvis in the root's axes `(B, T, 3)`, m/s: the step that led to a frame."""
    root: Tensor
    """`(B, T, 6)` after the trajectory refiner."""
    refined_velocity: Tensor
    """`(B, T, 3)` in the axes of that root."""


class HumanMM(nn.Module):
    """All three networks; gradients of a later one do not reach an earlier one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MultiShotEncoder()
        self.integrator = nn.LSTM(6 * JOINTS, LSTM_WIDTH, LAYERS, batch_first=True,
                                  bidirectional=True)  # fmt: skip
        self.motion = nn.Linear(2 * LSTM_WIDTH, 2 + 3)
        inputs = 2 * LSTM_WIDTH + 3 * JOINTS + 6 + 6 + 3
        self.refiner = nn.LSTM(inputs, REFINER_WIDTH, LAYERS, batch_first=True)
        self.change = nn.Linear(REFINER_WIDTH, 6 + 3)

    def forward(self, pose: Tensor, shot_id: Tensor, rest: Tensor) -> Found:
        """From poses `(B, T, 22, 6)`, the root's in the world, and the number of the shot `(B, T)`.

        `rest` `(55, 3)` are a body's joints at rest.
        """
        refined = self.encoder(pose, shot_id)
        held = refined.detach()
        context, _ = self.integrator(held.flatten(-2))
        contact, velocity = self.motion(context).float().split((2, 3), -1)
        rotations = sixd_to_matrix(held.float())
        joints = _joints(rotations, rest)
        feet = joints[:, :, FEET]
        reset = reset_velocity(velocity.detach(), contact.detach(), rotations[:, :, 0], feet=feet)
        step = _step(feet) + (rotations[:, :, 0] @ reset[..., None]).mT
        gated = step * torch.sigmoid(contact.detach())[..., None]
        inputs = (context.detach(), joints.flatten(-2), gated.flatten(-2), held[:, :, 0], reset)
        change = self.change(self.refiner(torch.cat(inputs, -1))[0]).float()
        root = held[:, :, 0].float() + change[..., :6]
        return Found(refined.float(), contact, velocity, root, reset + change[..., 6:])


class MultiShotEncoder(nn.Module):
    """ms-HMR: a transformer encoder whose positions are the time and the number of the shot."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6 * JOINTS, WIDTH)
        self.shot = nn.Embedding(MOST_SHOTS, WIDTH)
        block = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, BLOCKS, enable_nested_tensor=False)
        self.leave = nn.Linear(WIDTH, 6 * JOINTS)

    def forward(self, pose: Tensor, shot_id: Tensor) -> Tensor:
        """Poses `(B, T, 22, 6)` again."""
        x = self.enter(pose.flatten(-2)) + self.shot(shot_id % MOST_SHOTS)
        x = self.blocks(x + _places(x.shape[1], x))
        change: Tensor = self.leave(x)
        return pose + change.unflatten(-1, (JOINTS, 6))


def _places(frames: int, like: Tensor) -> Tensor:
    """Sines and cosines of the time `(T, WIDTH)` (Vaswani et al. 2017)."""
    speed = 1e4 ** -(torch.arange(0, WIDTH, 2, device=like.device) / WIDTH)
    angle = torch.arange(frames, device=like.device)[:, None] * speed
    return torch.cat((angle.sin(), angle.cos()), -1)


def _joints(rotations: Tensor, rest: Tensor) -> Tensor:
    """Joints `(..., 22, 3)` about the pelvis of `(..., 22, 3, 3)`."""
    still = torch.eye(3, device=rest.device).expand(
        *rotations.shape[:-3], ALL_JOINTS - JOINTS, 3, 3
    )
    joints, _ = forward_kinematics(torch.cat((rotations, still), -3), rest)
    return joints[..., :JOINTS, :] - joints[..., :1, :]


def _step(feet: Tensor) -> Tensor:
    """Velocity `(B, T, 2, 3)` of feet about the pelvis, m/s: the step that led to a frame."""
    step = feet.diff(dim=1) * FPS
    return torch.cat((torch.zeros_like(step[:, :1]), step), 1)


def reset_velocity(velocity: Tensor, contact: Tensor, root: Tensor, *, feet: Tensor) -> Tensor:
    """Velocities `(B, T, 3)` in the root's axes that keep standing feet in place.

    `contact` `(B, T, 2)` are logits, `root` `(B, T, 3, 3)`, `feet` about the pelvis `(B, T, 2, 3)`.
    """
    stands = (torch.sigmoid(contact) > CONTACT).to(velocity.dtype)[..., None]
    moved = _step(feet) + (root @ velocity[..., None]).mT
    slip = (moved * stands).sum(-2) / stands.sum(-2).clamp(min=1)
    return velocity - (root.mT @ slip[..., None])[..., 0]


def roll_out(root: Tensor, velocity: Tensor) -> Tensor:
    """Path `(..., T, 3)` from the origin of a pelvis with `velocity` `(..., T, 3)` in root axes."""
    step = (root @ velocity[..., None])[..., 0] / FPS
    step = torch.cat((torch.zeros_like(step[..., :1, :]), step[..., 1:, :]), -2)
    return step.cumsum(-2)
