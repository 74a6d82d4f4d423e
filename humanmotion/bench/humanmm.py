"""The published modules (HumanMM) after alignment, on the same fits: encoder, integrator, refiner.

`humanmotion train baselines` trains them; without its folder the row is not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors
from humanmotion.recovery.alignment import Turn
from humanmotion.recovery.humanmm import CONTACT, HumanMM, roll_out
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.lifter import JOINTS
from humanmotion.recovery.world import ShotsRead, WorldResult, place_people
from humanmotion.rotations import matrix_to_sixd, sixd_to_matrix

WEIGHTS = "humanmm_0.safetensors"
WINDOW = 96
"""Frames the modules are trained on at once."""


def load_humanmm(weights: Path) -> HumanMM:
    """The modules that `train baselines` left in the folder `weights`.

    Raises InputError when it holds none, FileFormatError when they are of another version.
    """
    path = weights / WEIGHTS
    if not path.exists():
        raise InputError(f"{weights} holds no {WEIGHTS}; humanmotion train baselines makes it")
    held = {
        k.removeprefix("network/"): v.float()
        for k, v in read_tensors(path).items()
        if k.startswith("network/")
    }
    network = HumanMM()
    try:
        network.load_state_dict(held)
    except RuntimeError as error:
        raise FileFormatError(f"{path} holds weights of another network") from error
    return network.eval().requires_grad_(False)


def published_world(
    read: ShotsRead, network: HumanMM, *, turns: Sequence[Turn], body: BodyModel
) -> WorldResult:
    """The first person as the published modules have them, rolled out from the first frame."""
    R_c2w, placed = place_people(read, turns)
    person, lengths = placed[0], torch.tensor([s.stop - s.start for s in read.shots])
    shot_id = torch.arange(len(read.shots)).repeat_interleave(lengths)
    pose, contact, velocity = _blended(network, person.rotations, shot_id, body)
    rotations = person.rotations.clone()
    rotations[:, :JOINTS] = sixd_to_matrix(pose)
    path = roll_out(rotations[:, 0], velocity)
    joints = body.joints(rotations, betas=person.betas)
    low = (joints[..., 2] - joints[:, :1, 2]).amin(-1)
    path[:, 2] -= (path[:, 2] + low)[:WINDOW].quantile(0.1)
    rest = body.rest_joints(person.betas)[0]
    stands = (torch.sigmoid(contact) > CONTACT).to(path.dtype)
    centre = path - person.offset.to(path.dtype)
    return WorldResult(
        people=(WorldPerson(rotations, path - rest, stands),),
        R_w2c=R_c2w.mT.contiguous(),
        t_w2c=-(R_c2w.mT @ centre[..., None])[..., 0],
        cuts=(),
        flipped=tuple(c.flipped for c in read.choices),
        gravity_sigma_rad=tuple(f.gravity.pitch_sigma_rad for f in read.frames),
    )


@torch.no_grad()
def _blended(
    network: HumanMM, rotations: Tensor, shot_id: Tensor, body: BodyModel
) -> tuple[Tensor, Tensor, Tensor]:
    """Poses `(T, 22, 6)`, contact `(T, 2)` and velocities `(T, 3)` of overlapping windows, blended."""
    frames = len(rotations)
    pose = matrix_to_sixd(rotations[:, :JOINTS])
    total, weight = torch.zeros(frames, 6 * JOINTS + 5), torch.zeros(frames, 1)
    last = max(frames - WINDOW, 0)
    for start in (*range(0, last, WINDOW // 2), last):
        part = slice(start, start + WINDOW)
        shots = shot_id[part] - shot_id[start]
        found = network(pose[None, part], shots[None], body.rest_joints())
        refined = torch.cat((found.root[0], found.pose[0, :, 1:].flatten(1)), -1)
        away = (torch.arange(len(shots)) - (len(shots) - 1) / 2).abs()
        ramp = 1 - away[:, None] / (WINDOW / 2 + 1)
        said = torch.cat((refined, found.contact[0], found.refined_velocity[0]), -1)
        total[part] += said * ramp
        weight[part] += ramp
    turns, contact, velocity = (total / weight).split((6 * JOINTS, 2, 3), -1)
    return turns.unflatten(-1, (JOINTS, 6)), contact, velocity
