"""One person of a reconstructed world as a Motion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.motion import Motion
from humanmotion.recovery.flip import decided_confidence
from humanmotion.recovery.joint_world import JointResult
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.rotations import matrix_to_rotvec


def person_motion(
    found: JointResult,
    person: int,
    track: PoseTrack,
    *,
    shot_id: Tensor,
    body: BodyModel,
    fps: float | None,
    meta: dict[str, Any],
) -> Motion:
    """The motion of a `person` who was seen as `track`; `shot_id` `(T)`.

    `fps` is of a video of one frame, whose times do not tell.
    """
    placed = found.world.people[person]
    flipped = torch.tensor(found.world.flipped[person])[shot_id]
    times = track.times.double()
    steps = times.diff()
    return Motion.create(
        matrix_to_rotvec(placed.rotations.float()),
        placed.transl.float(),
        fps=float(1 / steps.median()) if len(steps) else fps or 30.0,
        betas=found.betas[person],
        expression=track.expression,
        times=times,
        confidence=decided_confidence(track.confidence, flipped),
        contact=placed.contact.float(),
        shot_id=shot_id,
        joints_present=body.joints_present.cpu(),
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta=meta,
    )
