"""Windows of recorded motion, filmed and seen anew every time: what the lifter learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, default_focal
from humanmotion.errors import InputError
from humanmotion.jobs.data import FPS, good_frames, list_clips, load_clip, runs
from humanmotion.jobs.prior_data import FROZEN, SETS, UNRELIABLE
from humanmotion.metrics.contact import foot_contact
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.detector_noise import DetectorNoise, detect
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.lifter import JOINTS, SHAPES, Shown, show
from humanmotion.recovery.virtual_cameras import draw_cameras
from humanmotion.rotations import (
    matrix_to_rotvec,
    matrix_to_sixd,
    rotation_about_z,
    rotvec_to_matrix,
    sixd_to_matrix,
)

WINDOW = 64
STRIDE = 8
SPEED = (0.67, 1.5)
SHAPE_SIGMA, SHAPE_MOST = 0.8, 2.5
SIZE = (1280, 720)
KNOWN_LENS = 0.5
"""Windows whose focal length is known; in the others the diagonal is taken for it."""
TILTED_SHARE = 0.35
"""Windows whose camera is held askew, as phones are."""
ROLL_SIGMA, TILTED_SIGMA = math.radians(2.0), math.radians(20.0)
FLAT_SHARE = 0.2
"""Windows in which the detector gives no 3D."""


@dataclass(frozen=True)
class Truth:
    """What the network should have said, leading shape `(B, T)`; as `Lifted`."""

    rotations: Tensor
    """Root in camera axes and local joints `(B, T, 22, 3, 3)`."""
    recorded: Tensor
    """Joints whose turn the source recorded `(B, 1, 22)` bool."""
    joints: Tensor
    """`(B, T, 22, 3)` about the pelvis, camera axes, metres."""
    pelvis: Tensor
    """Where it would be if the lens were the one that is told `(B, T, 3)`."""
    up: Tensor
    betas: Tensor
    velocity: Tensor
    contact: Tensor


@dataclass(frozen=True)
class MotionCorpus:
    """Recorded motion of one split, and its mirror image."""

    body: BodyModel
    turns: Tensor
    """`(N, 55, 6)`."""
    pelvis: Tensor
    """`(N, 3)` metres."""
    recorded: Tensor
    """`(N, 22)` bool."""
    starts: Tensor
    """First frames of windows and how many frames follow in the clip `(W, 2)`."""
    noise: DetectorNoise

    @classmethod
    def read(cls, data: str | Path, *, split: str, noise: DetectorNoise) -> MotionCorpus:
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
                    parts += [(motion[a:b], name) for a, b in runs(good) if b - a >= WINDOW]
        if not parts:
            raise InputError(f"{data} holds none of {', '.join(SETS)} with a {split} split")
        turns, pelvis, recorded, starts, at = [], [], [], [], 0
        for motion, name in parts:
            frames = len(motion)
            turns.append(matrix_to_sixd(motion.rotations))
            pelvis.append(body.joints_of(motion)[:, 0])
            recorded.append(_recorded(motion.rotvec, name).expand(frames, -1))
            starts += [(at + i, frames - i) for i in range(0, frames - WINDOW + 1, STRIDE)]
            at += frames
        return cls(body, torch.cat(turns), torch.cat(pelvis), torch.cat(recorded),
                   torch.tensor(starts), noise)  # fmt: skip

    def to(self, device: torch.device | str) -> MotionCorpus:
        """The same on `device`."""
        return MotionCorpus(self.body.to(device), self.turns.to(device), self.pelvis.to(device),
                            self.recorded.to(device), self.starts.to(device), self.noise)  # fmt: skip

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Shown, Truth]:
        """`count` windows as a detector sees them, and what they are."""
        at = generator.device
        chosen = self.starts[torch.randint(len(self.starts), (count,), generator=generator,
                                           device=at)]  # fmt: skip
        rotations, pelvis, recorded = self._played(chosen, generator)
        u = torch.rand(3, count, generator=generator, device=at)
        turn = rotation_about_z(2 * math.pi * u[0])[:, None]
        rotations = torch.cat((turn[:, :, None] @ rotations[:, :, :1], rotations[:, :, 1:]), 2)
        pelvis = (turn @ pelvis[..., None])[..., 0]
        betas = SHAPE_SIGMA * torch.randn(count, 1, SHAPES, generator=generator, device=at)
        betas = betas.clamp(-SHAPE_MOST, SHAPE_MOST)
        return self._filmed(rotations, pelvis, recorded, betas, u[1:], generator)

    def _played(self, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Windows at another speed, half of them in a mirror."""
        count, at = len(chosen), generator.device
        u = torch.rand(2, count, generator=generator, device=at)
        speed = SPEED[0] * (SPEED[1] / SPEED[0]) ** u[0]
        speed = torch.minimum(speed, (chosen[:, 1] - 1) / (WINDOW - 1))
        place = speed[:, None] * torch.arange(WINDOW, device=at)
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

    def _filmed(
        self,
        rotations: Tensor,
        pelvis: Tensor,
        recorded: Tensor,
        betas: Tensor,
        u: Tensor,
        generator: torch.Generator,
    ) -> tuple[Shown, Truth]:
        body, lead = self.body, pelvis.shape[:2]
        rest = body.rest_joints(betas)
        # A taller body takes longer steps.
        pelvis = pelvis * (body.leg_length(betas) / body.leg_length())[..., None]
        transl = pelvis - rest[..., 0, :]
        joints = body.joints(rotations, betas=betas, transl=transl)
        marks = body.landmarks(SET, rotations, betas=betas, transl=transl)
        azimuth = 2 * math.pi * torch.rand(lead[0], generator=generator, device=pelvis.device)
        _, camera = draw_cameras(joints[:, :, 0], azimuth, fps=FPS, size=SIZE, generator=generator)
        camera = _rolled(camera, lead, generator)
        xy, confidence, xyz = detect(
            marks, joints, camera, fps=FPS, noise=self.noise, generator=generator
        )
        xyz = torch.where((u[0] < FLAT_SHARE)[:, None, None, None], torch.zeros_like(xyz), xyz)
        K, R = (x.unflatten(0, lead) for x in (camera.K, camera.R_w2c))
        true = K[..., 0, 0]
        guess = torch.where(u[1][:, None] < KNOWN_LENS, true, default_focal(*SIZE))
        zoom = (guess / true)[..., None, None]
        told = K.clone()
        told[..., 0, 0], told[..., 1, 1] = guess, guess
        turned = matrix_to_rotvec(R[:, :1] @ R.mT) / zoom[..., 0]
        shown = show(xy, confidence, xyz, K=told, R_c2c0=rotvec_to_matrix(turned), fps=FPS)
        return shown, self._truth(rotations, joints, R, camera.to_camera(
            joints[:, :, 0].flatten(0, 1)).unflatten(0, lead), zoom, recorded, betas)  # fmt: skip

    def _truth(
        self,
        rotations: Tensor,
        joints: Tensor,
        R: Tensor,
        place: Tensor,
        zoom: Tensor,
        recorded: Tensor,
        betas: Tensor,
    ) -> Truth:
        root = R @ rotations[:, :, 0]
        step = (joints[:, 1:, 0] - joints[:, :-1, 0]) * FPS
        step = torch.cat((step[:, :1], step), 1)
        relative = joints[:, :, :JOINTS] - joints[:, :, :1]
        sole = self.body.sole_offset(betas[:, 0])[:, None]
        contact = foot_contact(joints, sole=sole, fps=FPS)
        return Truth(
            rotations=torch.cat((root[:, :, None], rotations[:, :, 1:JOINTS]), 2),
            recorded=recorded,
            joints=relative @ R.mT,
            pelvis=torch.cat((place[..., :2], place[..., 2:] * zoom[..., 0]), -1),
            up=R[..., :, 2],
            betas=betas,
            velocity=(rotations[:, :, 0].mT @ step[..., None])[..., 0],
            contact=contact,
        )


def _rolled(camera: Camera, lead: torch.Size, generator: torch.Generator) -> Camera:
    """Cameras of `lead` `(B, T)` windows turned about their views, each by one angle."""
    at, count = generator.device, lead[0]
    tilted = torch.rand(count, generator=generator, device=at) < TILTED_SHARE
    sigma = torch.where(tilted, TILTED_SIGMA, ROLL_SIGMA)
    roll = rotation_about_z(sigma * torch.randn(count, generator=generator, device=at))
    roll = roll.repeat_interleave(lead[1], 0)
    t = (roll @ camera.t_w2c[..., None])[..., 0]
    return Camera(camera.K, roll @ camera.R_w2c, t, camera.width, camera.height)


def _recorded(rotvec: Tensor, name: str) -> Tensor:
    """Joints `(22)` bool that a clip moves and its set gets right; the root always."""
    moves = rotvec[:, :JOINTS].std(0).amax(-1) > FROZEN
    if name in UNRELIABLE:
        moves[1:] &= ~UNRELIABLE[name][: JOINTS - 1]
    moves[0] = True
    return moves
