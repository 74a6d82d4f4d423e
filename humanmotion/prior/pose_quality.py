"""Pose quality of a clip: how far its poses are from people's, told by two priors of ours.

MBench's `Pose_Quality` is ten times the distance that NRDF's released network tells. These are other
networks, trained on other poses, and have other names.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.motion import JOINTS as ALL_JOINTS
from humanmotion.motion import Motion
from humanmotion.prior.model import PosePrior
from humanmotion.prior.pose_field import JOINTS, PoseField, body_quaternions
from humanmotion.prior.scoring import score
from humanmotion.prior.space import BODY, token_mask
from humanmotion.rotations import rotvec_to_matrix

DPOSERX_LEVEL = 0.4
"""Noise level at which DPoser-X looks at poses, in standard deviations of real ones; chosen on val."""


def pose_field_distance(field: PoseField, motion: Motion) -> MetricValue:
    """Mean over the frames of the distance to real poses, radians a joint; lower is better.

    No value for a clip that lacks body joints or the person.
    """
    frames, reason = _frames(motion)
    if reason is not None:
        return MetricValue(None, reason)
    turns = motion.body_pose[frames].unflatten(-1, (JOINTS, 3))
    return MetricValue(float(pose_field_distance_of(field, turns).double().mean()), None)


def pose_field_distance_of(field: PoseField, body_pose: Tensor) -> Tensor:
    """Of poses: rotation vectors `(N, 21, 3)` of the body joints to distances `(N)`."""
    with torch.no_grad():
        found: Tensor = field(body_quaternions(body_pose.float()))
    return found


def dposerx_distance(prior: PosePrior, motion: Motion) -> MetricValue:
    """Mean over frames and body joints of how far the prior moves a joint, told all the body's others.

    `scoring.score` at DPOSERX_LEVEL: 1 is usual, 3 is rare; lower is better. No value for a clip that
    lacks body joints or the person.
    """
    frames, reason = _frames(motion)
    if reason is not None:
        return MetricValue(None, reason)
    turns = motion.body_pose[frames].unflatten(-1, (JOINTS, 3))
    return MetricValue(float(dposerx_distance_of(prior, turns).double().mean()), None)


def dposerx_distance_of(prior: PosePrior, body_pose: Tensor) -> Tensor:
    """Of poses: rotation vectors `(N, 21, 3)` of the body joints to distances `(N)`."""
    others = body_pose.new_zeros(len(body_pose), ALL_JOINTS, 3, dtype=torch.float32)
    others[:, 1 : JOINTS + 1] = body_pose
    state = prior.space.to_state(rotvec_to_matrix(others))[:, None]
    found = score(prior, state, present=token_mask("body"), levels=(DPOSERX_LEVEL,))
    return found[:, 0, BODY].mean(-1)


def _frames(motion: Motion) -> tuple[Tensor, str | None]:
    """Which frames show the person `(T)` bool, and why there is nothing to be told of the clip."""
    frames = motion.confidence.any(1)
    missing = int((~motion.joints_present[1 : JOINTS + 1]).sum())
    if missing:
        return frames, f"{missing} of the 21 body joints are missing"
    if not bool(frames.any()):
        return frames, "no frame shows the person"
    return frames, None
