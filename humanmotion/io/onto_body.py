"""A motion made on one body, put onto another; and where its pelvis is."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion


def onto_body(motion: Motion, body: BodyModel) -> Motion:
    """The same rotations on `body`, with its name.

    Shape and translation are kept where the motion was made on that body, as far as the names tell.
    Elsewhere shape and expression values mean nothing and become zero, and one constant height puts
    the median stance sole at 0.
    """
    named = replace(motion, body_id=body.body_id, body_sha256=body.sha256)
    if _is_same(motion.body_id, body):
        return named
    note = f"made on body {motion.body_id}; put onto {body.body_id}, without its shape and face"
    moved = replace(
        named,
        betas=torch.zeros_like(motion.betas),
        expression=torch.zeros_like(motion.expression),
        meta=motion.meta | {"notes": [*motion.meta.get("notes", ()), note]},
    )
    return stand_on_floor(moved, body)


def stand_on_floor(motion: Motion, body: BodyModel) -> Motion:
    """The motion moved by one constant height, so that the median stance sole is at 0."""
    if not len(motion):
        return motion
    joints = body.joints_of(motion)
    lift = float(stance_sole_height(joints, sole=body.sole_offset(motion.betas), fps=motion.fps))
    return replace(motion, transl=motion.transl - motion.transl.new_tensor((0.0, 0.0, lift)))


def pelvis_path(motion: Motion, body: BodyModel) -> Tensor:
    """The pelvis joint in the world, `(T, 3)`; expression may move it a little on some bodies."""
    rest = body.rest_joints(motion.betas, motion.expression).detach()
    return motion.transl + rest[:, 0]


def _is_same(body_id: str, body: BodyModel) -> bool:
    """Whether a file's "smplx_female", say, is this body: same kind, and no other gender."""
    if body_id == body.body_id:
        return True
    kind, _, gender = body_id.lower().partition("_")
    if kind != body.kind.lower().replace("-", "") or not body.body_id.startswith(body.kind):
        return False
    words = re.split("[^a-z]+", body.body_id.lower())
    return not gender or gender in words
