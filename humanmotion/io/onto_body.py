"""A motion made on one body, put onto another."""

from __future__ import annotations

from dataclasses import replace

import torch

from humanmotion.body import BodyModel
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion


def onto_body(motion: Motion, body: BodyModel) -> Motion:
    """The same rotations on `body`; the motion itself where it is on that body already.

    Shape values mean something on their own body only, so they become zero. One constant height
    puts the median stance sole at 0 (architecture: motion data onto a body).
    """
    if motion.body_id == body.body_id:
        return motion
    meta = motion.meta | {"retargeted_from": motion.body_id}
    moved = replace(
        motion,
        betas=torch.zeros_like(motion.betas),
        expression=torch.zeros_like(motion.expression),
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta=meta,
    )
    return stand_on_floor(moved, body)


def stand_on_floor(motion: Motion, body: BodyModel) -> Motion:
    """The motion moved by one constant height, so that the median stance sole is at 0."""
    if not len(motion):
        return motion
    joints = body.joints_of(motion)
    lift = float(stance_sole_height(joints, sole=body.sole_offset(), fps=motion.fps))
    return replace(motion, transl=motion.transl - motion.transl.new_tensor((0.0, 0.0, lift)))
