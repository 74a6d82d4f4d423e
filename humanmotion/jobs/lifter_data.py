"""Windows of recorded motion, filmed and seen anew every time: what the lifter learns from.

Every batch has a picture shape and a detector of its own: one that errs more or less than the one that
`bench multishot` measures with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, default_focal
from humanmotion.jobs.data import FPS
from humanmotion.jobs.motion_corpus import MotionCorpus, Played
from humanmotion.metrics.contact import foot_contact
from humanmotion.recovery.detector_noise import DetectorNoise, another_detector, detect
from humanmotion.recovery.lifter import JOINTS, Shown, show
from humanmotion.recovery.virtual_cameras import draw_cameras
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z, rotvec_to_matrix

WINDOW = 64
SIZE = (1280, 720)
SIZES = (SIZE, SIZE, (720, 1280), (960, 960))
"""Pictures, equally often: half of them lie, the others stand or are square."""
KNOWN_LENS = 0.5
"""Windows whose focal length is known; in the others the diagonal is taken for it."""
TILTED_SHARE = 0.35
"""Windows whose camera is held askew, as phones are."""
ROLL_SIGMA, TILTED_SIGMA = math.radians(2.0), math.radians(20.0)
CROPPED_SHARE, CROP = 0.25, (0.25, 0.45)
"""Windows in which the picture ends near the person: how far their middle is moved, standard deviations
across and upright as shares of the picture."""
FLAT_SHARE = 0.2
"""Windows in which the detector gives no 3D."""
SIZE3D_SIGMA = 0.06
"""Log of how much larger than life the detector's 3D is."""


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
class Take:
    """Windows filmed by one camera each, as the lifter is shown them; leading shape `(B, T)`."""

    shown: Shown
    confidence: Tensor
    """Of the landmarks `(B, T, 33)`."""
    R_w2c: Tensor
    """`(B, T, 3, 3)`."""
    R_c2c0: Tensor
    """The camera's turn since its first frame, as the lens that is told makes of it `(B, T, 3, 3)`."""
    pelvis: Tensor
    """In camera axes, if the lens were the one that is told `(B, T, 3)`."""
    still: Tensor
    """Whether the camera keeps its place `(B)`."""


def film_windows(
    marks: Tensor,
    joints: Tensor,
    azimuth: Tensor,
    *,
    noise: DetectorNoise,
    generator: torch.Generator,
) -> Take:
    """Landmarks `(B, T, 33, 3)` and joints `(B, T, 55, 3)` seen from `azimuth` `(B)` by `noise`."""
    lead, at = joints.shape[:2], generator.device
    size = SIZES[int(torch.randint(len(SIZES), (), generator=generator, device=at))]
    kind, camera = draw_cameras(joints[:, :, 0], azimuth, fps=FPS, size=size, generator=generator)
    camera = _cropped(_rolled(camera, lead, generator), lead, generator)
    xy, confidence, xyz = detect(marks, joints, camera, fps=FPS, noise=noise, generator=generator)
    u = torch.rand(2, lead[0], 1, generator=generator, device=at)
    larger = SIZE3D_SIGMA * torch.randn(lead[0], generator=generator, device=at)
    xyz = xyz * (larger.exp() * (u[0, :, 0] >= FLAT_SHARE))[:, None, None, None]
    K, R = (x.unflatten(0, lead) for x in (camera.K, camera.R_w2c))
    true = K[..., 0, 0]
    guess = torch.where(u[1] < KNOWN_LENS, true, default_focal(*size))
    zoom = (guess / true)[..., None]
    told = K.clone()
    told[..., 0, 0], told[..., 1, 1] = guess, guess
    turned = rotvec_to_matrix(matrix_to_rotvec(R[:, :1] @ R.mT) / zoom)
    place = camera.to_camera(joints[:, :, 0].flatten(0, 1)).unflatten(0, lead)
    place = torch.cat((place[..., :2], place[..., 2:] * zoom), -1)
    shown = show(xy, confidence, xyz, K=told, R_c2c0=turned, fps=FPS)
    return Take(shown, confidence, R, turned, place, kind != 2)


def velocities(played: Played) -> Tensor:
    """Of the pelvis in the root's axes `(B, T, 3)`, m/s; each frame's is the step that led to it."""
    step = played.joints[:, :, 0].diff(dim=1) * FPS
    step = torch.cat((step[:, :1], step), 1)
    return (played.rotations[:, :, 0].mT @ step[..., None])[..., 0]


def contacts(played: Played, body: BodyModel) -> Tensor:
    """Which feet stand `(B, T, 2)` bool."""
    sole = body.sole_offset(played.betas[:, 0])[:, None]
    return foot_contact(played.joints, sole=sole, fps=FPS)


@dataclass(frozen=True)
class LifterWindows:
    """What the lifter is trained on."""

    corpus: MotionCorpus
    noise: DetectorNoise
    """The detector that others are made from."""

    @classmethod
    def read(cls, data: str | Path, *, split: str, noise: DetectorNoise) -> LifterWindows:
        """Raises InputError as `MotionCorpus.read`."""
        return cls(MotionCorpus.read(data, split=split), noise)

    def to(self, device: torch.device | str) -> LifterWindows:
        """The same on `device`."""
        return LifterWindows(self.corpus.to(device), self.noise)

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Shown, Truth]:
        """`count` windows as a detector sees them, and what they are."""
        body = self.corpus.body
        played = self.corpus.draw(count, frames=WINDOW, generator=generator)
        azimuth = 2 * math.pi * torch.rand(count, generator=generator, device=generator.device)
        noise = another_detector(self.noise, generator)
        take = film_windows(
            played.marks(body), played.joints, azimuth, noise=noise, generator=generator
        )
        root = take.R_w2c @ played.rotations[:, :, 0]
        joints = played.joints[:, :, :JOINTS] - played.joints[:, :, :1]
        return take.shown, Truth(
            rotations=torch.cat((root[:, :, None], played.rotations[:, :, 1:JOINTS]), 2),
            recorded=played.recorded,
            joints=joints @ take.R_w2c.mT,
            pelvis=take.pelvis,
            up=take.R_w2c[..., :, 2],
            betas=played.betas,
            velocity=velocities(played),
            contact=contacts(played, body),
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


def _cropped(camera: Camera, lead: torch.Size, generator: torch.Generator) -> Camera:
    """The same pictures moved, some so far that they do not hold the whole person any more."""
    at, count = generator.device, lead[0]
    u = torch.rand(count, 1, generator=generator, device=at) < CROPPED_SHARE
    edge = torch.tensor((CROP[0] * camera.width, CROP[1] * camera.height), device=at)
    shift = u * edge * torch.randn(count, 2, generator=generator, device=at)
    K = camera.K.clone()
    K[:, :2, 2] += shift.repeat_interleave(lead[1], 0)
    return Camera(K, camera.R_w2c, camera.t_w2c, camera.width, camera.height)
