"""Motion in several shots as our own chain has it, beside what it is: what the refiner learns from.

Recorded motion is filmed by virtual cameras with a cut or two, some with time missing there; the
made-up detector says what it sees, the body is fitted with lifter and prior, and the shots are joined.
That is done once. In every batch the drafts are then mirrored, given each other's errors, joined a
little worse and made to tremble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import default_focal, intrinsics
from humanmotion.files import read_tensors, write_tensors
from humanmotion.jobs.data import FPS
from humanmotion.jobs.fit_person import Learnt, View, fit_body
from humanmotion.jobs.lifter_data import SIZE, contacts, velocities
from humanmotion.jobs.motion_corpus import MotionCorpus
from humanmotion.metrics import heading
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.detector_noise import DetectorNoise, another_detector, watch
from humanmotion.recovery.focal import DIAGONAL_SIGMA, FocalEstimate
from humanmotion.recovery.lifter import JOINTS
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.refiner import Draft, bare_joints
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.virtual_cameras import VirtualShot, faded, film
from humanmotion.recovery.world import place_people, read_shots
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z, rotvec_to_matrix

CLIP, WINDOW = 128, 96
"""Frames that are filmed, and frames of them that are learnt from at once."""
SHORTEST_SHOT = 32
CUT_SHARES = (0.2, 0.5, 0.3)
"""Clips without a cut, with one and with two."""
GAP_SHARE, LONGEST_GAP = 0.3, 10
"""Cuts with time missing, and how many frames at most."""
KNOWN_LENS = 0.25
DRIFT_RAD = 2e-4
"""Standard deviation of what odometry is off by in a frame, added up over a shot."""
MIXED_SHARE = 0.5
"""Windows of training that take their errors, cuts and views from another clip."""
TILT_SIGMA = math.radians(1.0)
YAW_SIGMA, OUTLIER_SHARE, OUTLIER_SIGMA = math.radians(4.0), 0.07, math.radians(60.0)
"""How much worse shots are joined in training than they were."""
TREMBLE = 0.03
"""Largest standard deviation of a joint's added noise in a window, radians."""
KEEP = 0.85
"""Correlation of that noise from frame to frame."""


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
class Drafts:
    """`N` clips of CLIP frames, small enough to be kept."""

    turns: Tensor
    """Rotation vectors `(N, T, 22, 3)`, float16, the root's in the world."""
    confidence: Tensor
    """`(N, T, 22)` in 255ths."""
    offset: Tensor
    """Pelvis minus camera centre `(N, T, 3)`."""
    still: Tensor
    shot_id: Tensor
    """`(N, T)`, small numbers both."""
    true_turns: Tensor
    """As `turns`, heading as the first camera is taken to."""
    recorded: Tensor
    """`(N, 22)`."""
    contact: Tensor
    """`(N, T, 2)`."""
    velocity: Tensor
    """`(N, T, 3)`."""

    def write(self, path: Path) -> None:
        """Write all of it."""
        write_tensors(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Drafts:
        """What `write` wrote."""
        return cls(**read_tensors(path))


def make_drafts(
    corpus: MotionCorpus, count: int, *, learnt: Learnt, noise: DetectorNoise, seed: int
) -> Drafts:
    """Film, fit and join `count` clips, on the CPU."""
    clips = [
        _clip(corpus, learnt, noise, torch.Generator().manual_seed(1_000_003 * seed + i))
        for i in range(count)
    ]
    return Drafts(*(torch.stack([getattr(c, f.name) for c in clips]) for f in fields(Drafts)))


def _clip(
    corpus: MotionCorpus, learnt: Learnt, noise: DetectorNoise, generator: torch.Generator
) -> Drafts:
    """One clip, without the leading shape."""
    body = corpus.body
    cuts, kept = _cuts(generator)
    played = corpus.draw(1, frames=int(kept[-1]) + 1, generator=generator)
    joints, marks = played.joints[0, kept], played.marks(body)[0, kept]
    shots = film(joints[:, 0], cuts=cuts, fps=FPS, size=SIZE, generator=generator)
    if float(torch.rand((), generator=generator)) < 0.5:
        noise = another_detector(noise, generator)
    keypoints = watch(marks, joints, shots, fps=FPS, noise=noise, generator=generator)
    known = float(torch.rand((), generator=generator)) < KNOWN_LENS
    cameras = [_odometry(s, known, generator) for s in shots]
    lengths = torch.tensor([s.stop - s.start for s in shots])
    focal = torch.tensor([c.focal.focal_px for c in cameras]).repeat_interleave(lengths)
    K = intrinsics(focal, width=keypoints.width, height=keypoints.height)
    shot_id = torch.arange(len(shots)).repeat_interleave(lengths)
    view = View(K, torch.cat([c.R_c2c0 for c in cameras]), shot_id)
    track = fit_body(keypoints, body, learnt, view=view)
    spans = [Shot(s.start, s.stop) for s in shots]
    read = read_shots([track], shots=spans, cameras=cameras, body=body)
    R_c2w, placed = place_people(read, [turn for turn, _ in read.turns])
    seen, true = read.people[0].track, played.rotations[0, kept, :JOINTS]
    yaw = heading(R_c2w[:1]) - heading(shots[0].camera.R_w2c[:1].mT)
    true = torch.cat((rotation_about_z(yaw)[:, None] @ true[:, :1], true[:, 1:]), 1)
    still = torch.tensor([c.kind != "moving" for c in cameras]).repeat_interleave(lengths)
    return Drafts(
        turns=matrix_to_rotvec(placed[0].rotations[:, :JOINTS]).half(),
        confidence=(255 * seen.confidence[:, :JOINTS] * seen.seen[:, None]).round().byte(),
        offset=placed[0].offset.float(),
        still=still.byte(),
        shot_id=shot_id.byte(),
        true_turns=matrix_to_rotvec(true).half(),
        recorded=played.recorded[0, 0].byte(),
        contact=contacts(played, body)[0, kept].byte(),
        velocity=velocities(played)[0, kept],
    )


def _cuts(generator: torch.Generator) -> tuple[list[int], Tensor]:
    """First frames of later shots, and which frames `(CLIP)` of a longer take are kept."""
    shares = torch.tensor(CUT_SHARES)
    count = int(shares.multinomial(1, generator=generator))
    spare = CLIP - (count + 1) * SHORTEST_SHOT
    u = torch.rand(3, count, generator=generator)
    extra = (u[0].sort().values * (spare + 1)).long()
    cuts = [(i + 1) * SHORTEST_SHOT + int(x) for i, x in enumerate(extra)]
    missing = torch.where(u[1] < GAP_SHARE, 1 + (u[2] * LONGEST_GAP).long(), 0)
    kept = torch.arange(CLIP)
    for cut, gap in zip(cuts, missing.tolist(), strict=True):
        kept[cut:] += int(gap)
    return cuts, kept


def _odometry(shot: VirtualShot, known: bool, generator: torch.Generator) -> CameraMotion:
    """What watching the background would give: turns that drift, read with the lens that is told."""
    camera = shot.camera
    true, R_c2w = float(camera.K[0, 0, 0]), camera.R_w2c.mT
    guess = true if known else default_focal(camera.width, camera.height)
    turn = R_c2w[0].T @ R_c2w
    shift = (camera.centre - camera.centre[0]) @ R_c2w[0]
    drift = DRIFT_RAD * torch.randn(len(turn), 3, generator=generator).cumsum(0)
    turn = rotvec_to_matrix(matrix_to_rotvec(turn) * (true / guess) + drift)
    return CameraMotion(
        kind=shot.kind,
        R_c2c0=torch.eye(3).expand_as(turn).clone() if shot.kind == "static" else turn,
        t_c2c0=shift if shot.kind == "moving" else torch.zeros_like(shift),
        flow_px=torch.zeros(len(turn)),
        confidence=1.0,
        focal=FocalEstimate(guess, 0.0, "given") if known
        else FocalEstimate(guess, DIAGONAL_SIGMA, "diagonal"),
        warnings=(),
    )  # fmt: skip


@dataclass(frozen=True)
class RefinerWindows:
    """What the refiner is trained on."""

    drafts: Drafts
    body: BodyModel
    varied: bool
    """Whether drafts are changed in every batch; those of val are not."""

    def to(self, device: torch.device | str) -> RefinerWindows:
        """The same on `device`."""
        moved = Drafts(*(getattr(self.drafts, f.name).to(device) for f in fields(Drafts)))
        return RefinerWindows(moved, self.body.to(device), self.varied)

    @torch.no_grad()
    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Draft, Ideal]:
        """`count` windows as they come out of the shots, and what they are."""
        held, at = self.drafts, generator.device
        own = self._places(count, generator)
        share = MIXED_SHARE if self.varied else 0.0
        mixed = torch.rand(count, 1, generator=generator, device=at) < share
        other = tuple(torch.where(mixed, x, y) for x, y in
                      zip(self._places(count, generator), own, strict=True))  # fmt: skip
        true, true_other = (rotvec_to_matrix(held.true_turns[x].float()) for x in (own, other))
        rotations = true @ (true_other.mT @ rotvec_to_matrix(held.turns[other].float()))
        # Seen from where the other was, moving as this one does.
        velocity = held.velocity[own]
        offset = held.offset[other] + _way(true, velocity) - _way(true_other, held.velocity[other])
        shot_id = held.shot_id[other].long()
        if self.varied:
            turn = _misjoined(count, generator)
            turn = turn[torch.arange(count, device=at)[:, None], shot_id - shot_id[:, :1]]
            rotations = _trembling(rotations, generator)
            root = turn[:, :, None] @ rotations[:, :, :1]
            rotations = torch.cat((root, rotations[:, :, 1:]), 2)
            offset = (turn @ offset[..., None])[..., 0]
        drawn = _Drawn(
            rotations, true, held.confidence[other] / 255, offset,
            velocity, held.contact[own] > 0, held.recorded[own[0]] > 0,
        )  # fmt: skip
        drawn = drawn.mirrored(torch.rand(count, generator=generator, device=at) < 0.5)
        draft = Draft(drawn.rotations, bare_joints(drawn.rotations, self.body), drawn.confidence,
                      drawn.offset, held.still[other] > 0, shot_id)  # fmt: skip
        return draft, Ideal(
            rotations=drawn.true,
            recorded=drawn.recorded,
            joints=bare_joints(drawn.true, self.body),
            contact=drawn.contact,
            velocity=drawn.velocity,
        )

    def _places(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Clips `(count, 1)` and frames of them `(count, WINDOW)`."""
        at = generator.device
        clip = torch.randint(len(self.drafts.turns), (count, 1), generator=generator, device=at)
        first = torch.randint(CLIP - WINDOW + 1, (count, 1), generator=generator, device=at)
        return clip, first + torch.arange(WINDOW, device=at)


def _trembling(rotations: Tensor, generator: torch.Generator) -> Tensor:
    u = torch.rand(len(rotations), 1, 1, 1, generator=generator, device=generator.device)
    wander = faded(tuple(rotations.shape[:-1]), keep=KEEP, generator=generator)
    return rotations @ rotvec_to_matrix(TREMBLE * u * wander)


def _way(rotations: Tensor, velocity: Tensor) -> Tensor:
    """Path `(B, T, 3)` of a pelvis in the world, by its velocity in the axes of the root."""
    step = (rotations[:, :, 0] @ velocity[..., None])[..., 0] / FPS
    return step.cumsum(1) - step[:, :1]


@dataclass(frozen=True)
class _Drawn:
    """What a mirror changes, `(B, T, ...)`."""

    rotations: Tensor
    true: Tensor
    confidence: Tensor
    offset: Tensor
    velocity: Tensor
    contact: Tensor
    recorded: Tensor

    def mirrored(self, where: Tensor) -> _Drawn:
        """The windows `where` `(B)` seen in a mirror across x."""
        across = self.offset.new_tensor((-1.0, 1.0, 1.0))
        flipped = _Drawn(
            rotations=across[:, None] * self.rotations[:, :, _TWINS] * across,
            true=across[:, None] * self.true[:, :, _TWINS] * across,
            confidence=self.confidence[..., _TWINS],
            offset=self.offset * across,
            velocity=self.velocity * across,
            contact=self.contact.flip(-1),
            recorded=self.recorded[..., _TWINS],
        )
        pairs = ((getattr(self, f.name), getattr(flipped, f.name)) for f in fields(_Drawn))
        return _Drawn(
            *(torch.where(where.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs)
        )


_TWINS = list(MIRROR_JOINTS[:JOINTS])


def _misjoined(count: int, generator: torch.Generator) -> Tensor:
    """Wrong turns `(count, shots, 3, 3)`: off the vertical in all shots, about it in later ones."""
    at, shape = generator.device, (count, len(CUT_SHARES))
    tilt = TILT_SIGMA * torch.randn(*shape, 3, generator=generator, device=at)
    far = torch.rand(shape, generator=generator, device=at) < OUTLIER_SHARE
    sigma = torch.where(far, OUTLIER_SIGMA, YAW_SIGMA)
    yaw = sigma * torch.randn(shape, generator=generator, device=at)
    yaw[:, 0] = 0
    level = tilt.new_tensor((1.0, 1.0, 0.0))
    return rotation_about_z(yaw) @ rotvec_to_matrix(tilt * level)
