"""A network that puts right a whole video's motion in the world, cuts included.

After HumanMM's multi-shot encoder (Zhang et al. 2025, section 3.3): parts of the body that one shot
hides are seen in the next. Besides the poses it is shown which joints were seen well, from where the
person was seen, for errors lie along the view, how the pelvis moved and where the cuts are. A
transformer over time answers with what to add to pose and root, which feet stand and how the pelvis
moves. Headings are counted from the first frame's: turn the world, and the answer turns with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from humanmotion.body import BodyModel
from humanmotion.body.skeleton import JOINTS as ALL_JOINTS
from humanmotion.diffusion.time_mixing import TimeBlock, TimeSizes
from humanmotion.recovery.lifter import JOINTS
from humanmotion.rotations import matrix_to_sixd, rotation_about_z, sixd_to_matrix

FEET = (10, 11)
LEGS = (7, 8, 10, 11)
"""Ankles and feet: how they move about the pelvis says how the pelvis moves over them."""
FASTEST = 8.0
"""Steps are cut off there, m/s."""
NEAR_CUT = 5.0
"""Frames by which the nearness of a cut fades."""
_SIZES = {"pose": 6 * JOINTS, "contact": 2, "velocity": 3}
INPUTS = (6 + 3 + 1) * JOINTS + 14 + 3 * len(LEGS)


@dataclass(frozen=True)
class Draft:
    """Motion in a world whose z is up, as the shots' fits have it; leading shape `(B, T)`, 30 fps."""

    rotations: Tensor
    """Local `(B, T, 22, 3, 3)`, the root's in the world."""
    joints: Tensor
    """About the pelvis in the world `(B, T, 22, 3)`, of the body without shape, metres."""
    confidence: Tensor
    """`(B, T, 22)`, 0 where the person is absent."""
    offset: Tensor
    """Pelvis minus camera centre in world axes `(B, T, 3)`."""
    still: Tensor
    """Whether the camera keeps its place `(B, T)` bool."""
    shot_id: Tensor
    """`(B, T)`."""

    def __getitem__(self, frames: slice) -> Draft:
        return Draft(
            self.rotations[:, frames], self.joints[:, frames], self.confidence[:, frames],
            self.offset[:, frames], self.still[:, frames], self.shot_id[:, frames],
        )  # fmt: skip


@dataclass(frozen=True)
class Refined:
    """What a refiner makes of a draft; leading shape `(B, T)`."""

    rotations: Tensor
    """Local `(B, T, 22, 3, 3)`, the root's in the world."""
    contact: Tensor
    """Logits of standing feet `(B, T, 2)`, as `metrics.contact` has them."""
    velocity: Tensor
    """Of the pelvis in the root's axes `(B, T, 3)`, m/s: the step that led to a frame."""


class Refiner(nn.Module):
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
            # At first a draft is left as it is.
            self.leave.weight.mul_(0.01)
            self.leave.bias.zero_()

    def forward(self, values: Tensor) -> Tensor:
        """What it says `(B, T, n)` of what is shown `(B, T, INPUTS)`."""
        x = self.enter(values)
        for block in self.blocks:
            x = block(x)
        said: Tensor = self.leave(self.norm(x))
        return said


def refine_window(network: nn.Module, draft: Draft, *, fps: float) -> Refined:
    """One window put right, gradients and all."""
    turn = first_heading(draft.rotations)
    said = network(show_draft(_turned(draft, turn.mT), fps=fps)).float()
    part = dict(zip(_SIZES, said.split(tuple(_SIZES.values()), -1), strict=True))
    root = turn[:, None, None].mT @ draft.rotations[:, :, :1]
    start = torch.cat((root, draft.rotations[:, :, 1:]), 2)
    pose = matrix_to_sixd(start) + part["pose"].unflatten(-1, (JOINTS, 6))
    rotations = sixd_to_matrix(pose)
    root = turn[:, None, None] @ rotations[:, :, :1]
    rotations = torch.cat((root, rotations[:, :, 1:]), 2)
    return Refined(rotations, part["contact"], part["velocity"])


def first_heading(rotations: Tensor) -> Tensor:
    """The turn about z `(B, 3, 3)` from a body that faces x to the first of `(B, T, 22, 3, 3)`."""
    ahead = rotations[:, 0, 0, :, 2]
    return rotation_about_z(torch.atan2(ahead[:, 1], ahead[:, 0]))


def _turned(draft: Draft, turn: Tensor) -> Draft:
    """The draft in a world turned by `turn` `(B, 3, 3)`."""
    root = turn[:, None, None] @ draft.rotations[:, :, :1]
    return Draft(
        rotations=torch.cat((root, draft.rotations[:, :, 1:]), 2),
        joints=draft.joints @ turn[:, None].mT,
        confidence=draft.confidence,
        offset=draft.offset @ turn.mT,
        still=draft.still,
        shot_id=draft.shot_id,
    )


def show_draft(draft: Draft, *, fps: float) -> Tensor:
    """What the network is shown `(B, T, INPUTS)` of a draft."""
    confidence = draft.confidence
    seen = (confidence.amax(-1, keepdim=True) > 0).to(confidence.dtype)
    distance = draft.offset.norm(dim=-1, keepdim=True).clamp(min=0.3)
    same = draft.shot_id[:, 1:] == draft.shot_id[:, :-1]
    known = (same & draft.still[:, 1:])[..., None] * seen[:, 1:] * seen[:, :-1]
    step = (draft.offset.diff(dim=1) * fps).clamp(-FASTEST, FASTEST) * known
    legs = (draft.joints[:, :, LEGS].diff(dim=1) * fps).clamp(-FASTEST, FASTEST).flatten(-2)
    step, known, legs = (nn.functional.pad(x, (0, 0, 1, 0)) for x in (step, known, legs))
    low = draft.joints[..., FEET, 2].amin(-1, keepdim=True)
    parity = (draft.shot_id % 2).to(confidence.dtype)[..., None]
    return torch.cat(
        (
            matrix_to_sixd(draft.rotations).flatten(-2), draft.joints.flatten(-2), confidence,
            draft.offset / distance * seen, distance.log() * seen, step, known, legs, low, seen, parity,
            draft.still.to(confidence.dtype)[..., None], _nearness(same),
        ), -1,
    )  # fmt: skip


def _nearness(same: Tensor) -> Tensor:
    """How near the last and the next cut are `(B, T, 2)`, in (0, 1]; 0 without one.

    `same` `(B, T - 1)` says where a frame is in the shot of the one before.
    """
    frames = torch.arange(same.shape[1] + 1, device=same.device)
    far = 1e6
    first = torch.where(same, -far, frames[1:].float())
    before = nn.functional.pad(first, (1, 0), value=-far).cummax(1).values
    last = torch.where(same, far, frames[:-1].float())
    after = nn.functional.pad(last, (0, 1), value=far)
    after = after.flip(1).cummin(1).values.flip(1)
    away = torch.stack((frames - before, after - frames), -1)
    return (-away / NEAR_CUT).exp()


def bare_joints(rotations: Tensor, body: BodyModel) -> Tensor:
    """Joints `(..., 22, 3)` about the pelvis, of the body without shape in `(..., 22, 3, 3)`."""
    lead = rotations.shape[:-3]
    rest = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    rest = rest.expand(*lead, ALL_JOINTS - JOINTS, 3, 3)
    joints = body.joints(torch.cat((rotations, rest), -3))
    return joints[..., :JOINTS, :] - joints[..., :1, :]
