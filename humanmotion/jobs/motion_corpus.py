"""Recorded motion of one split, played at other speeds, mirrored, on other people's bodies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.jobs.data import good_frames, list_clips, load_clip, runs
from humanmotion.jobs.prior_data import FROZEN, SETS, UNRELIABLE
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.lifter import JOINTS, SHAPES
from humanmotion.rotations import matrix_to_sixd, rotation_about_z, sixd_to_matrix

SHORTEST = 64
"""Frames of the shortest run that windows are cut from; longer windows are played slower there."""
STRIDE = 8
SPEED = (0.67, 1.5)
SHAPE_SIGMA, SHAPE_MOST = 0.8, 2.5


@dataclass(frozen=True)
class Played:
    """Windows of motion on somebody's body, leading shape `(B, T)`."""

    rotations: Tensor
    """Local `(B, T, 55, 3, 3)`, the root's in the world."""
    transl: Tensor
    """`(B, T, 3)` metres."""
    betas: Tensor
    """`(B, 1, 10)`."""
    joints: Tensor
    """`(B, T, 55, 3)`."""
    recorded: Tensor
    """Joints whose turn the source recorded `(B, 1, 22)` bool."""

    def marks(self, body: BodyModel) -> Tensor:
        """Landmarks `(B, T, 33, 3)`."""
        return body.landmarks(SET, self.rotations, betas=self.betas, transl=self.transl)


@dataclass(frozen=True)
class MotionCorpus:
    """All runs of good frames, one after the other."""

    body: BodyModel
    turns: Tensor
    """`(N, 55, 6)`."""
    pelvis: Tensor
    """`(N, 3)` metres."""
    recorded: Tensor
    """`(N, 22)` bool."""
    starts: Tensor
    """First frames of windows and how many frames follow in the clip `(W, 2)`."""

    @classmethod
    def read(cls, data: str | Path, *, split: str) -> MotionCorpus:
        """All clips of the free sets under `data`; raises InputError without any."""
        body, parts = BodyModel.load(), []
        for name in SETS:
            folder = Path(data) / name
            if not (folder / "index.jsonl").exists():
                continue
            for clip in list_clips(folder, split=split):
                if not clip.excluded:
                    motion = load_clip(clip, body)
                    good = good_frames(clip, len(motion))
                    parts += [(motion[a:b], name) for a, b in runs(good) if b - a >= SHORTEST]
        if not parts:
            raise InputError(f"{data} holds none of {', '.join(SETS)} with a {split} split")
        turns, pelvis, recorded, starts, at = [], [], [], [], 0
        for motion, name in parts:
            frames = len(motion)
            turns.append(matrix_to_sixd(motion.rotations))
            pelvis.append(body.joints_of(motion)[:, 0])
            recorded.append(recorded_joints(motion.rotvec, name).expand(frames, -1))
            starts += [(at + i, frames - i) for i in range(0, frames - SHORTEST + 1, STRIDE)]
            at += frames
        return cls(
            body, torch.cat(turns), torch.cat(pelvis), torch.cat(recorded), torch.tensor(starts)
        )

    def to(self, device: torch.device | str) -> MotionCorpus:
        """The same on `device`."""
        return MotionCorpus(self.body.to(device), self.turns.to(device), self.pelvis.to(device),
                            self.recorded.to(device), self.starts.to(device))  # fmt: skip

    def draw(self, count: int, *, frames: int, generator: torch.Generator) -> Played:
        """`count` windows of `frames` frames at 30 fps, heading anywhere."""
        at, body = generator.device, self.body
        chosen = self.starts[torch.randint(len(self.starts), (count,), generator=generator,
                                           device=at)]  # fmt: skip
        rotations, pelvis, recorded = self._played(chosen, frames, generator)
        u = torch.rand(count, generator=generator, device=at)
        turn = rotation_about_z(2 * math.pi * u)[:, None]
        rotations = torch.cat((turn[:, :, None] @ rotations[:, :, :1], rotations[:, :, 1:]), 2)
        pelvis = (turn @ pelvis[..., None])[..., 0]
        betas = SHAPE_SIGMA * torch.randn(count, 1, SHAPES, generator=generator, device=at)
        betas = betas.clamp(-SHAPE_MOST, SHAPE_MOST)
        # A taller body takes longer steps.
        pelvis = pelvis * (body.leg_length(betas) / body.leg_length())[..., None]
        transl = pelvis - body.rest_joints(betas)[..., 0, :]
        joints = body.joints(rotations, betas=betas, transl=transl)
        return Played(rotations, transl, betas, joints, recorded)

    def _played(
        self, chosen: Tensor, frames: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Windows at another speed, half of them in a mirror."""
        count, at = len(chosen), generator.device
        u = torch.rand(2, count, generator=generator, device=at)
        speed = SPEED[0] * (SPEED[1] / SPEED[0]) ** u[0]
        speed = torch.minimum(speed, (chosen[:, 1] - 1) / (frames - 1))
        place = speed[:, None] * torch.arange(frames, device=at)
        low = place.floor().long()
        share = (place - low)[..., None]
        last = chosen[:, 1:] - 1
        first, second = ((chosen[:, :1] + torch.minimum(x, last)) for x in (low, low + 1))
        turns = torch.lerp(self.turns[first], self.turns[second], share[..., None])
        rotations = sixd_to_matrix(turns)
        pelvis = torch.lerp(self.pelvis[first], self.pelvis[second], share)
        recorded = self.recorded[first[:, :1]]
        mirrored = u[1] < 0.5
        other = list(MIRROR_JOINTS)
        sign = rotations.new_tensor((-1.0, 1.0, 1.0))
        flipped = rotations[:, :, other] * sign[:, None] * sign
        rotations = torch.where(mirrored[:, None, None, None, None], flipped, rotations)
        pelvis = torch.where(mirrored[:, None, None], pelvis * sign, pelvis)
        swapped = recorded[..., other[:JOINTS]]
        return rotations, pelvis, torch.where(mirrored[:, None, None], swapped, recorded)


def recorded_joints(rotvec: Tensor, name: str) -> Tensor:
    """Joints `(22)` bool that a clip moves and its set gets right; the root always."""
    moves = rotvec[:, :JOINTS].std(0).amax(-1) > FROZEN
    if name in UNRELIABLE:
        moves[1:] &= ~UNRELIABLE[name][: JOINTS - 1]
    moves[0] = True
    return moves
