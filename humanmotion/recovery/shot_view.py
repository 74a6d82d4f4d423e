"""What one shot shows of each person, turned into its gravity-view frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.recovery.alignment import Side, read_side
from humanmotion.recovery.flip import reverse_depth
from humanmotion.recovery.gravity import (
    Gravity,
    Witness,
    gravity_view,
    known_gravity,
    shot_gravity,
    untilt,
)
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.root_motion import RootMotion, root_motion

BODY_JOINTS = slice(0, 22)
JAW = 22


@dataclass(frozen=True)
class Seen:
    """One person over the whole video in camera axes."""

    track: PoseTrack
    joints: Tensor
    """`(T, 55, 3)` metres."""
    weight: Tensor
    """Mean confidence of the body joints `(T)`; 0 where absent."""


@dataclass(frozen=True)
class ShotFrame:
    """A shot's first camera in its own gravity-view frame, and how later frames turn into it."""

    start: int
    stop: int
    still: bool
    """Whether the camera's centre keeps its place: static or pan."""
    gravity: Gravity
    turn: Tensor
    """Camera axes of each frame to the gravity-view frame `(n, 3, 3)`."""


@dataclass(frozen=True)
class ShotView:
    """One person in one shot, in the shot's gravity-view frame."""

    joints: Tensor
    """`(n, 55, 3)`, the camera of the shot at the origin."""
    facing: Tensor
    """Where the body looks over the ground `(n, 2)`."""
    upright: Tensor
    """Turn about the pelvis `(3, 3)` that `joints` already contain (see gravity.untilt)."""
    motion: RootMotion
    weight: Tensor
    """`(n)`."""
    confidence: Tensor
    """`(n, 22)`."""
    times: Tensor
    """`(n)` seconds."""


def observe(track: PoseTrack, body: BodyModel) -> Seen:
    """The body of a track in camera axes."""
    joints = body.joints(track.rotations, betas=track.betas, transl=track.transl)
    weight = track.confidence[:, BODY_JOINTS].mean(-1) * track.seen
    return Seen(track, joints, weight)


def flipped(seen: Seen, body: BodyModel) -> Seen:
    """The same person with front and back exchanged in every frame."""
    return observe(reverse_depth(seen.track, pelvis=seen.joints[:, 0]), body)


def shot_frame(
    people: Sequence[Seen],
    *,
    start: int,
    stop: int,
    still: bool,
    R_c2c0: Tensor,
    fps: float,
    up: Tensor | None = None,
) -> ShotFrame:
    """Find up in one shot from everybody in it; where it is known, `up` `(3)` is taken as it is."""
    witnesses = []
    for person in people:
        joints = person.joints[start:stop] @ R_c2c0.mT
        weight = person.weight[start:stop]
        said = person.track.up
        told = None if said is None else (R_c2c0 @ said[start:stop, :, None])[..., 0]
        soles = joints[:, [10, 11]]
        witnesses.append(Witness(joints, soles, weight, fps=fps, up=told, ground=still))
    gravity = shot_gravity(witnesses) if up is None else known_gravity(up, witnesses)
    turn = gravity_view(gravity.up).to(R_c2c0.dtype) @ R_c2c0
    return ShotFrame(start, stop, still, gravity, turn)


def shot_view(person: Seen, frame: ShotFrame, *, sole: Tensor, fps: float) -> ShotView:
    """One person as the shot shows them, upright."""
    part = slice(frame.start, frame.stop)
    weight = person.weight[part]
    joints = person.joints[part] @ frame.turn.mT
    upright = untilt(joints, weight, fps=fps)
    pelvis = joints[:, :1]
    joints = (joints - pelvis) @ upright.mT + pelvis
    across = joints[:, 1] - joints[:, 2] + joints[:, 16] - joints[:, 17]
    return ShotView(
        joints=joints,
        # The left side lies to the left: ahead is a quarter turn to the right of it.
        facing=torch.stack((across[:, 1], -across[:, 0]), -1),
        upright=upright,
        motion=root_motion(joints, sole=sole, fps=fps, still=frame.still),
        weight=weight,
        confidence=person.track.confidence[part, BODY_JOINTS],
        times=person.track.times[part],
    )


def side_of(view: ShotView, *, at: float, last: bool) -> Side:
    """The person at the shot's end (`last`) or beginning, carried to time `at`."""
    velocity, information = view.motion.at(len(view.times) - 1 if last else 0)
    return read_side(
        view.joints[:, BODY_JOINTS],
        view.times,
        confidence=view.confidence * (view.weight > 0)[:, None],
        at=at,
        velocity=velocity,
        velocity_information=information,
    )
