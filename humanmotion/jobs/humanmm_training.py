"""Training the published modules as they are described: recorded motion, noise made up on the poses.

Roots of later shots are turned about the vertical by up to one radian, joints at random places are
turned anyhow. Each module learns on what the one before makes of that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body import BodyModel
from humanmotion.jobs.lifter_data import contacts, velocities
from humanmotion.jobs.motion_corpus import MotionCorpus
from humanmotion.jobs.train_refiner import summed_error
from humanmotion.recovery.humanmm import Found
from humanmotion.recovery.lifter import JOINTS
from humanmotion.recovery.refiner import bare_joints
from humanmotion.rotations import (
    matrix_to_sixd,
    rotation_about_z,
    rotvec_to_matrix,
    sixd_to_matrix,
)

WINDOW = 96
MOST_CUTS = 3
YAW = 1.0
"""Largest turn of a root, radians."""
NOISED_SHARE, NOISE = 0.15, 0.3
"""Joints that are turned, and by how much, radians."""
WEIGHTS = {"pose": 5.0, "joints": 10.0, "contact": 1.0, "velocity": 1.0, "root": 1.0, "way": 1.0}


def humanmm_loss(
    network: nn.Module, count: int, generator: torch.Generator, *, corpus: MotionCorpus
) -> Tensor:
    """What all three modules are off by on `count` windows."""
    played = corpus.draw(count, frames=WINDOW, generator=generator)
    true = played.rotations[:, :, :JOINTS]
    shot_id = _shots(count, generator)
    noisy = _noised(true, shot_id, generator)
    found = network(matrix_to_sixd(noisy), shot_id, corpus.body.rest_joints())
    parts = _errors(found, true, velocities(played), contacts(played, corpus.body), corpus.body)
    return torch.stack([WEIGHTS[k] * v for k, v in parts.items()]).sum()


def _shots(count: int, generator: torch.Generator) -> Tensor:
    """Numbers of shots `(count, WINDOW)` with up to MOST_CUTS cuts anywhere."""
    at = generator.device
    cuts = torch.rand(count, MOST_CUTS, 1, generator=generator, device=at) * WINDOW
    some = torch.rand(count, MOST_CUTS, 1, generator=generator, device=at) < 0.5
    return ((torch.arange(WINDOW, device=at) >= cuts) & some).sum(1)


def _noised(true: Tensor, shot_id: Tensor, generator: torch.Generator) -> Tensor:
    at, (count, frames) = generator.device, true.shape[:2]
    yaw = YAW * torch.rand(count, MOST_CUTS + 1, generator=generator, device=at)
    yaw[:, 0] = 0
    turn = rotation_about_z(yaw.gather(1, shot_id))
    where = torch.rand(count, frames, JOINTS, 1, generator=generator, device=at) < NOISED_SHARE
    wrong = NOISE * where * torch.randn(count, frames, JOINTS, 3, generator=generator, device=at)
    noisy = true @ rotvec_to_matrix(wrong)
    return torch.cat((turn[:, :, None] @ noisy[:, :, :1], noisy[:, :, 1:]), 2)


def _errors(
    found: Found, true: Tensor, velocity: Tensor, contact: Tensor, body: BodyModel
) -> dict[str, Tensor]:
    joints = bare_joints(sixd_to_matrix(found.pose), body)
    refined = sixd_to_matrix(found.root) @ found.refined_velocity[..., None]
    wrong = refined - true[:, :, 0] @ velocity[..., None]
    return {
        "pose": functional.mse_loss(found.pose, matrix_to_sixd(true)),
        "joints": functional.l1_loss(joints, bare_joints(true, body)),
        "contact": functional.mse_loss(torch.sigmoid(found.contact), contact.float()),
        "velocity": functional.mse_loss(found.velocity, velocity),
        "root": functional.mse_loss(found.root, matrix_to_sixd(true[:, :, 0])),
        "way": summed_error(wrong[..., 0]),
    }
