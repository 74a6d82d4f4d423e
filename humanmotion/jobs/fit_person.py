"""One person's body, hands and face in camera space: what a video's pose stage does for each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.keypoints import Keypoints
from humanmotion.memory import give_back
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.face import fit_face
from humanmotion.recovery.hands import Side, fit_hand
from humanmotion.recovery.lifter import Lifter
from humanmotion.recovery.lifting import lift
from humanmotion.recovery.pose_guess import PoseGuess, guess_poses
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.quality import STANDARD, Quality
from humanmotion.recovery.refiner import Refiner


@dataclass(frozen=True)
class Learnt:
    """What a fit is helped by."""

    prior: PosePrior | None
    lifter: Lifter | None
    refiner: Refiner | None = None
    """Of shots that are joined."""


@dataclass(frozen=True)
class View:
    """How every frame was seen."""

    K: Tensor  # (T, 3, 3)
    R_c2c0: Tensor  # (T, 3, 3), the camera's turn since the start of its shot
    shot_id: Tensor  # (T)


def fit_body(
    track: Keypoints, body: BodyModel, learnt: Learnt, *, view: View, quality: Quality = STANDARD
) -> PoseTrack:
    """The body alone, fingers and face at rest."""
    guess = None if learnt.lifter is None else guess_body(track, learnt.lifter, view=view)
    give_back()
    return lift(
        track, body, K=view.K, shot_id=view.shot_id, statistics=PoseStatistics.load("body_pose"),
        prior=learnt.prior, guess=guess, quality=quality,
    )  # fmt: skip


def guess_body(track: Keypoints, lifter: Lifter, *, view: View) -> PoseGuess:
    """What the lifter says of one person."""
    return guess_poses(lifter, track, K=view.K, R_c2c0=view.R_c2c0, shot_id=view.shot_id)


def fit_hands_and_face(
    fitted: PoseTrack, track: Keypoints, body: BodyModel, *, shot_id: Tensor
) -> PoseTrack:
    """A body of `fit_body` with both hands, then the face; `shot_id` `(T)`."""
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        fitted = fit_hand(fitted, track, body, side=side, shot_id=shot_id)
        give_back()
    return fit_face(fitted, track, body)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of weights, so that poses fitted with other ones are fitted anew."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
