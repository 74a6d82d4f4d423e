"""What the refiner makes of one person over a video: windows blended, cuts inside, any frame rate."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.prior.rates import values_at
from humanmotion.recovery.integrator import Placed
from humanmotion.recovery.lifter import JOINTS
from humanmotion.recovery.refiner import Draft, Refined, Refiner, bare_joints, refine_window
from humanmotion.rotations import (
    interpolation_weights,
    matrix_to_rotvec,
    matrix_to_sixd,
    rotvec_to_matrix,
    sixd_to_matrix,
)

FPS = 30.0
"""Frame rate the refiner is trained at."""
WINDOW = 96
"""Frames it is trained on at once."""
Part = Literal["pose", "contact", "velocity"]
HELPFUL: frozenset[Part] = frozenset({"velocity"})
"""What is taken of its answer unless told otherwise: on val, poses and root come out further from the
truth than they went in, and with its contact the path errs more and feet slide more."""


@torch.no_grad()
def refine_person(
    refiner: Refiner,
    person: Placed,
    *,
    body: BodyModel,
    confidence: Tensor,
    times: Tensor,
    shot_id: Tensor,
    still: Tensor,
    parts: Set[Part] = HELPFUL,
) -> Placed:
    """The same person with what the refiner says of these `parts`; `pose` has the root in it.

    `confidence` `(T, 22)` of the joints, 0 where absent; `times` `(T)` seconds; `shot_id` `(T)`;
    `still` `(T)` bool where the camera keeps its place.
    """
    rows, spans = _even(times, shot_id)
    rotations = person.rotations[None, rows, :JOINTS].float()
    draft = Draft(
        rotations, bare_joints(rotations, body), confidence[None, rows].float(),
        person.offset[None, rows].float(), still[None, rows], shot_id[None, rows],
    )  # fmt: skip
    found = refine_windows(refiner, draft)
    change = matrix_to_rotvec(rotations[0].mT @ found.rotations[0])
    velocity = (found.rotations[0, :, 0] @ found.velocity[0, :, :, None])[..., 0]
    said = torch.cat((change.flatten(1), torch.sigmoid(found.contact[0]), velocity), -1)
    shots = [values_at(said[a:b], even, times[shot_id == s]) for s, (a, b, even) in spans.items()]
    change, contact, velocity = torch.cat(shots).split((3 * JOINTS, 2, 3), -1)
    turned = person.rotations
    if "pose" in parts:
        turned = turned.clone()
        turn = rotvec_to_matrix(change.unflatten(-1, (JOINTS, 3))).to(turned.dtype)
        turned[:, :JOINTS] = turned[:, :JOINTS] @ turn
    return replace(
        person,
        rotations=turned,
        contact=contact if "contact" in parts else None,
        velocity=velocity if "velocity" in parts else None,
    )


def _even(times: Tensor, shot_id: Tensor) -> tuple[Tensor, dict[int, tuple[int, int, Tensor]]]:
    """Frames nearest to 30 a second, shot after shot, and where each shot lies among them and when."""
    rows, spans, at = [], {}, 0
    for shot in shot_id.unique_consecutive().tolist():
        own = (shot_id == shot).nonzero()[:, 0]
        when = times[own]
        count = int(float(when[-1] - when[0]) * FPS + 1e-6) + 1
        even = when[0] + torch.arange(count, dtype=when.dtype) / FPS
        low, share = interpolation_weights(when, even)
        rows.append(own[(low + (share > 0.5).long()).clamp(max=len(when) - 1)])
        spans[shot] = (at, at + count, even)
        at += count
    return torch.cat(rows), spans


def refine_windows(refiner: Refiner, draft: Draft) -> Refined:
    """What is said of overlapping windows, blended by a weight that falls to their ends."""
    frames = draft.rotations.shape[1]
    last = max(frames - WINDOW, 0)
    total = draft.offset.new_zeros(1, frames, 6 * JOINTS + 5)
    weight = draft.offset.new_zeros(frames, 1)
    for start in (*range(0, last, WINDOW // 2), last):
        part = slice(start, start + WINDOW)
        found = refine_window(refiner, draft[part], fps=FPS)
        sixd = matrix_to_sixd(found.rotations).flatten(-2)
        length = sixd.shape[1]
        away = (torch.arange(length) - (length - 1) / 2).abs()
        ramp = 1 - away[:, None] / (WINDOW / 2 + 1)
        total[:, part] += torch.cat((sixd, found.contact, found.velocity), -1) * ramp
        weight[part] += ramp
    sixd, contact, velocity = (total / weight).split((6 * JOINTS, 2, 3), -1)
    return Refined(sixd_to_matrix(sixd.unflatten(-1, (JOINTS, 6))), contact, velocity)
