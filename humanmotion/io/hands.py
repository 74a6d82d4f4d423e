"""Hand poses measured from a body's mean (relaxed) hand, and ours, measured from a flat one.

smplx adds the mean hand to the pose, number by number, when it is made with `flat_hand_mean=False`
(vchoutas/smplx, body_models.py); so the flat hand's numbers are the sum.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.io.fields import Arrays, number
from humanmotion.motion import Motion

Hands = Literal["flat", "mean"]
"""What zero means in a file: a flat hand, or the body's mean hand."""
FLAG = "flat_hand_mean"
"""The key, named after smplx's argument: true where zero is a flat hand."""
_SIDES = {"left_hand_pose": slice(25, 40), "right_hand_pose": slice(40, 55)}


def hands_of_file(arrays: Arrays, hands: Hands | None, *, path: str | Path) -> Hands:
    """What the file says, else what the user says, else flat.

    Raises UsageError where the two disagree.
    """
    if FLAG not in arrays:
        return hands or "flat"
    flag = number(arrays, FLAG, path=path)
    if flag not in (0, 1):
        raise FileFormatError(f"{path}: {FLAG} is {flag:g}, expected true or false")
    said: Hands = "flat" if flag else "mean"
    if hands is not None and hands != said:
        raise UsageError(
            f"{path} says {FLAG}={bool(flag)}, so its hands are {said}; leave --hands {hands} out"
        )
    return said


def with_flat_hands(motion: Motion, body: BodyModel | None, *, path: str | Path) -> Motion:
    """A motion whose hands are measured from the mean hand of `body`, measured from a flat one.

    Without a body that has a mean hand, fingers cannot be known: they are left out, and a note says
    so. Raises UsageError where the motion has no hands.
    """
    here = {name: bool(motion.joints_present[part].any()) for name, part in _SIDES.items()}
    if not any(here.values()):
        raise UsageError(f"{path} holds no hands, so they are not measured from a mean hand either")
    if body is None or not body.hand_means.any():
        return _without_hands(motion, None if body is None else body.body_id)
    poses = {
        name: getattr(motion, name) + mean.to(motion.transl)
        for (name, there), mean in zip(here.items(), body.hand_means, strict=True)
        if there
    }
    note = f"hands are measured from a mean hand; that of body {body.body_id} was added"
    return replace(motion, **poses, meta=_noted(motion, note))


def _without_hands(motion: Motion, body_id: str | None) -> Motion:
    fingers = torch.arange(len(motion.joints_present)) >= _SIDES["left_hand_pose"].start
    lacking = "which no body is given for" if body_id is None else f"which body {body_id} lacks"
    note = f"hands are measured from a mean hand, {lacking}; fingers are left out"
    return replace(
        motion,
        left_hand_pose=torch.zeros_like(motion.left_hand_pose),
        right_hand_pose=torch.zeros_like(motion.right_hand_pose),
        joints_present=motion.joints_present & ~fingers,
        confidence=motion.confidence * ~fingers,
        meta=_noted(motion, note),
    )


def _noted(motion: Motion, note: str) -> dict[str, object]:
    return motion.meta | {"notes": [*motion.meta.get("notes", ()), note]}
