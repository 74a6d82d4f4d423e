"""Motion in one shot or two as our own chain gets it wrong: what the refiner learns from.

Recorded motion is filmed by two virtual cameras with a cut between them, some with time missing at the
cut; the lifter answers what the made-up detector says of each shot, and its answers are put into the
world with errors of up, of heading after the cut and of the way, on top of which limbs go missing,
change sides and tremble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.jobs.data import FPS
from humanmotion.jobs.lifter_data import Take, contacts, film_windows, velocities
from humanmotion.jobs.motion_corpus import MotionCorpus, Played
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.detector_noise import DetectorNoise, another_detector, lasting
from humanmotion.recovery.lifter import JOINTS, Lifter, bodies
from humanmotion.recovery.lifting import body_confidence
from humanmotion.recovery.pose_guess import lift_windows
from humanmotion.recovery.refiner import Draft, bare_joints
from humanmotion.recovery.virtual_cameras import faded
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z, rotvec_to_matrix

WINDOW = 96
SHORTEST_SHOT = 16
ONE_SHOT_SHARE = 0.2
GAP_SHARE, LONGEST_GAP = 0.3, 10
"""Batches with time missing at the cut, and how many frames at most."""
TILT_SIGMA = math.radians(3.0)
YAW_SIGMA, OUTLIER_SHARE, OUTLIER_SIGMA = math.radians(8.0), 0.07, math.radians(60.0)
"""How a later shot is joined to the first."""
SHARE = (0.2, 1.0)
"""How much of the lifter's error is left: a fit to the pixels undoes some of it."""
TREMBLE = 0.05
"""Largest standard deviation of a joint's own noise in a window, radians."""
LIMB_CHANCE, SWAP_CHANCE = 0.001, 0.0005
"""That a limb goes missing, or a pair changes sides, in a frame."""
LIMBS = ((16, 18, 20), (17, 19, 21), (1, 4, 7, 10), (2, 5, 8, 11))
DEPTH_BIAS, DEPTH_NOISE, ACROSS_NOISE = 0.05, 0.015, 0.01
"""Of the way: shares of the distance for a whole shot and within it, and metres."""
KEEP = 0.85
"""Correlation of noise from frame to frame."""


@dataclass(frozen=True)
class Ideal:
    """What a refiner should have made of a draft, leading shape `(B, T)`; as `Refined`."""

    rotations: Tensor
    """`(B, T, 22, 3, 3)`."""
    recorded: Tensor
    """Joints whose turn the source recorded `(B, 1, 22)` bool."""
    joints: Tensor
    """About the pelvis `(B, T, 22, 3)`, of the body without shape."""
    contact: Tensor
    velocity: Tensor


@dataclass(frozen=True)
class RefinerWindows:
    """What the refiner is trained on."""

    corpus: MotionCorpus
    lifter: Lifter
    noise: DetectorNoise

    @classmethod
    def read(
        cls, data: str | Path, *, split: str, lifter: Lifter, noise: DetectorNoise
    ) -> RefinerWindows:
        """Raises InputError as `MotionCorpus.read`."""
        return cls(MotionCorpus.read(data, split=split), lifter, noise)

    def to(self, device: torch.device | str) -> RefinerWindows:
        """The same on `device`."""
        return RefinerWindows(self.corpus.to(device), self.lifter.to(device), self.noise)

    @torch.no_grad()
    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Draft, Ideal]:
        """`count` windows as they come out of the shots, and what they are."""
        body = self.corpus.body
        cut, gap = _cut(generator)
        played = self.corpus.draw(count, frames=WINDOW + gap, generator=generator)
        spans = [(0, cut), (cut + gap, WINDOW + gap)] if cut else [(0, WINDOW)]
        kept = torch.cat([torch.arange(a, b, device=generator.device) for a, b in spans])
        rotations, confidence, offset, still = self._shots(played, spans, generator)
        rotations, confidence = _damaged(rotations, confidence, generator)
        true = played.rotations[:, kept, :JOINTS]
        shot_id = (torch.arange(WINDOW, device=kept.device) >= cut).long() if cut else 0 * kept
        draft = Draft(rotations, bare_joints(rotations, body), confidence, offset, still,
                      shot_id.expand(count, -1))  # fmt: skip
        return draft, Ideal(
            rotations=true,
            recorded=played.recorded,
            joints=bare_joints(true, body),
            contact=contacts(played, body)[:, kept],
            velocity=velocities(played)[:, kept],
        )

    def _shots(
        self, played: Played, spans: list[tuple[int, int]], generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Rotations, confidence, offsets and standing cameras of all shots, `(B, T, ...)`."""
        count, many, at = len(played.joints), len(spans), generator.device
        # Every camera films everything, which costs less than filming twice.
        taken = film_windows(
            played.marks(self.corpus.body).repeat(many, 1, 1, 1),
            played.joints.repeat(many, 1, 1, 1),
            2 * math.pi * torch.rand(many * count, generator=generator, device=at),
            noise=another_detector(self.noise, generator), generator=generator,
        )  # fmt: skip
        parts = []
        for number, (start, stop) in enumerate(spans):
            take = taken.part(slice(number * count, (number + 1) * count), slice(start, stop))
            wrong = _misjoined(count, later=number > 0, generator=generator)
            R_c2w = wrong[:, None] @ take.R_w2c[:, :1].mT @ take.R_c2c0
            turned = self._answered(take, played.rotations[:, start:stop, :JOINTS], generator)
            root = R_c2w @ turned[:, :, 0]
            parts.append(
                (
                    torch.cat((root[:, :, None], turned[:, :, 1:]), 2),
                    body_confidence(take.confidence),
                    (R_c2w @ _misplaced(take.pelvis, generator)[..., None])[..., 0],
                    take.still[:, None].expand(-1, stop - start),
                )
            )
        return tuple(torch.cat(part, 1) for part in zip(*parts, strict=True))

    def _answered(self, take: Take, true: Tensor, generator: torch.Generator) -> Tensor:
        """What the lifter says of a shot `(B, T, 22, 3, 3)`, root in camera axes, with part of its
        error undone and noise of its own on every joint."""
        said = bodies(lift_windows(self.lifter, take.shown), take.shown).rotations
        root = take.R_w2c @ true[:, :, 0]
        true = torch.cat((root[:, :, None], true[:, :, 1:]), 2)
        u = torch.rand(2, len(true), 1, 1, 1, generator=generator, device=generator.device)
        share, size = SHARE[0] + (SHARE[1] - SHARE[0]) * u[0], TREMBLE * u[1]
        wander = faded(tuple(said.shape[:-1]), keep=KEEP, generator=generator)
        return true @ rotvec_to_matrix(share * matrix_to_rotvec(true.mT @ said) + size * wander)


def _cut(generator: torch.Generator) -> tuple[int, int]:
    """First frame of the second shot, 0 for none, and the frames missing before it."""
    u = torch.rand(4, generator=generator, device=generator.device).tolist()
    if u[0] < ONE_SHOT_SHARE:
        return 0, 0
    cut = SHORTEST_SHOT + int(u[1] * (WINDOW - 2 * SHORTEST_SHOT + 1))
    return cut, 1 + int(u[3] * LONGEST_GAP) if u[2] < GAP_SHARE else 0


def _misjoined(count: int, *, later: bool, generator: torch.Generator) -> Tensor:
    """Wrong turns of shots in the world `(count, 3, 3)`: off the vertical, of later ones about it."""
    at = generator.device
    tilt = TILT_SIGMA * torch.randn(count, 3, generator=generator, device=at)
    tilt = rotvec_to_matrix(tilt * tilt.new_tensor((1.0, 1.0, 0.0)))
    if not later:
        return tilt
    far = torch.rand(count, generator=generator, device=at) < OUTLIER_SHARE
    sigma = torch.where(far, OUTLIER_SIGMA, YAW_SIGMA)
    return rotation_about_z(sigma * torch.randn(count, generator=generator, device=at)) @ tilt


def _misplaced(place: Tensor, generator: torch.Generator) -> Tensor:
    """Pelvis `(B, T, 3)` in camera axes, nearer or further and beside where it is."""
    bias = DEPTH_BIAS * torch.randn(len(place), 1, 1, generator=generator, device=place.device)
    depth = DEPTH_NOISE * faded((*place.shape[:2], 1), keep=KEEP, generator=generator)
    beside = ACROSS_NOISE * faded(tuple(place.shape), keep=KEEP, generator=generator)
    return place * (bias + depth).exp() + beside


def _damaged(
    rotations: Tensor, confidence: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Limbs at rest for a while, which nobody is sure of; arms or legs that change sides, unnoticed."""
    limbs = torch.zeros(len(LIMBS), JOINTS, dtype=torch.bool, device=rotations.device)
    for number, joints in enumerate(LIMBS):
        limbs[number, list(joints)] = True
    u = torch.rand(*rotations.shape[:2], 6, generator=generator, device=rotations.device)
    swaps, _ = lasting(u[..., :2] < SWAP_CHANCE, "swap", fps=FPS, generator=generator)
    pairs = torch.stack((limbs[0] | limbs[1], limbs[2] | limbs[3]))
    swapped = (swaps[..., None] & pairs).any(-2)
    other = list(MIRROR_JOINTS[:JOINTS])
    sign = rotations.new_tensor((-1.0, 1.0, 1.0))
    mirrored = rotations[:, :, other] * sign[:, None] * sign
    rotations = torch.where(swapped[..., None, None], mirrored, rotations)
    gone, _ = lasting(u[..., 2:] < LIMB_CHANCE, "limb", fps=FPS, generator=generator)
    missing = (gone[..., None] & limbs).any(-2)
    rest = torch.eye(3, device=rotations.device)
    rotations = torch.where(missing[..., None, None], rest, rotations)
    return rotations, torch.where(missing, 0.1 * confidence, confidence)
