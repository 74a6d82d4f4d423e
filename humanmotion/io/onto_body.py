"""A motion made on one body, put onto another; and where its pelvis is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion

SOURCE_LEG_METRES = 0.855
"""Hip to knee to ankle of a body that is not at hand: what the mocap skeletons here are made to."""
_DEFAULT_BODY = "humanmotion-default-"


@dataclass(frozen=True)
class Placement:
    """Where a motion's world went when it was put onto another body: `x -> scale x + (0, 0, z)`."""

    scale: float = 1.0
    """Of the pelvis path, about the world's origin."""
    lift: float = 0.0
    """Metres upwards."""

    def camera(self, camera: Camera) -> Camera:
        """The camera moved along: the pelvis stays where it was in the picture."""
        up = camera.R_w2c[..., 2] * self.lift
        return replace(camera, t_w2c=self.scale * camera.t_w2c - up)


def onto_body(motion: Motion, body: BodyModel) -> Motion:
    """The same rotations on `body`, with its name; see `place_onto_body`."""
    return place_onto_body(motion, body)[0]


def place_onto_body(motion: Motion, body: BodyModel) -> tuple[Motion, Placement]:
    """The same rotations on `body`, with its name, and where that put its world.

    Shape and translation are kept where the motion was made on that body, as far as names and
    hashes tell, or names none. Elsewhere shape and expression values mean nothing and become zero,
    the pelvis path is scaled by the ratio of leg lengths (SOURCE_LEG_METRES where the other body is
    not known), and one constant height puts the median stance sole at 0. A note says so.
    """
    named = replace(motion, body_id=body.body_id, body_sha256=body.sha256)
    if not motion.body_id:
        return _noted(named, f"no body is named; taken as made on {body.body_id}"), Placement()
    if is_same_body(motion, body):
        if motion.body_id == body.body_id and _hashes_differ(motion, body):
            named = _noted(named, f"made on another file of body {body.body_id}; its shape is kept")
        return named, Placement()
    source = _known_source(motion)
    leg = SOURCE_LEG_METRES if source is None else float(source.leg_length(motion.betas))
    scale = float(body.leg_length()) / leg
    scaled = replace(
        named,
        transl=_scaled_path(motion, source, body, scale=scale),
        betas=torch.zeros_like(motion.betas),
        expression=torch.zeros_like(motion.expression),
    )
    lift = -_stance_height(scaled, body)
    note = (
        f"made on body {motion.body_id}; put onto {body.body_id} without its shape and face: path "
        f"scaled by {scale:.3f} (legs of {scale * leg:.3f} m for {leg:.3f} m), then moved by "
        f"{100 * lift:+.1f} cm so that the standing sole is on the floor"
    )
    return _noted(_lifted(scaled, lift), note), Placement(scale, lift)


def stand_on_floor(motion: Motion, body: BodyModel) -> Motion:
    """The motion moved by one constant height, so that the median stance sole is at 0."""
    return _lifted(motion, -_stance_height(motion, body))


def pelvis_path(motion: Motion, body: BodyModel) -> Tensor:
    """The pelvis joint in the world, `(T, 3)`; expression may move it a little on some bodies."""
    rest = body.rest_joints(motion.betas, motion.expression).detach()
    return motion.transl + rest[:, 0]


def is_same_body(motion: Motion, body: BodyModel) -> bool:
    """Whether a motion's "smplx_female", say, is this body: same file, or kind and no other gender.

    A renamed file is known by its hash.
    """
    if motion.body_id == body.body_id or (body.sha256 and motion.body_sha256 == body.sha256):
        return True
    kind, _, gender = motion.body_id.lower().partition("_")
    if kind != body.kind.lower().replace("-", "") or not body.body_id.startswith(body.kind):
        return False
    words = re.split("[^a-z]+", body.body_id.lower())
    return not gender or gender in words


def _hashes_differ(motion: Motion, body: BodyModel) -> bool:
    return bool(motion.body_sha256 and body.sha256) and motion.body_sha256 != body.sha256


def _noted(motion: Motion, note: str) -> Motion:
    return replace(motion, meta=motion.meta | {"notes": [*motion.meta.get("notes", ()), note]})


def _known_source(motion: Motion) -> BodyModel | None:
    """The body a motion was made on, where we have it: only the default one."""
    if not motion.body_id.startswith(_DEFAULT_BODY):
        return None
    body = BodyModel.load()
    return body if body.body_id == motion.body_id else None


def _scaled_path(
    motion: Motion, source: BodyModel | None, body: BodyModel, *, scale: float
) -> Tensor:
    """Translation on `body` that scales the pelvis path about the origin.

    Where the source's rest pelvis is not known it is taken as the body's own, which is wrong by a
    constant offset.
    """
    rest = body.rest_joints().detach()[0].to(motion.transl)
    if source is None:
        return scale * (motion.transl + rest) - rest
    return scale * pelvis_path(motion, source).to(motion.transl) - rest


def _stance_height(motion: Motion, body: BodyModel) -> float:
    if not len(motion):
        return 0.0
    joints = body.joints_of(motion)
    return float(stance_sole_height(joints, sole=body.sole_offset(motion.betas), fps=motion.fps))


def _lifted(motion: Motion, lift: float) -> Motion:
    return replace(motion, transl=motion.transl + motion.transl.new_tensor((0.0, 0.0, lift)))
