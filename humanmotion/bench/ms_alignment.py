"""Ways to join two shots that others use or that are simpler than ours, on the same inputs.

Each gives the rotation from the later camera's axes to the earlier one's at a cut; with up known in
both shots, that is a turn about the vertical.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from humanmotion.camera import looking_at
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.alignment import Turn
from humanmotion.recovery.detector_noise import HIPS

CONFIDENT = 0.5
RANSAC_PX = 3.0
PNP_PX = 20.0
LEAST_POINTS = 6
_BODY = range(11, 33)
"""Landmarks of the body without the face, which count eleven times as much as a shoulder else."""


@dataclass(frozen=True)
class Cut:
    """What is known at a cut: the frame before it and the first one after it."""

    frame: int
    keypoints: Keypoints
    K: Tensor
    """`(T, 3, 3)` as estimated."""
    up: tuple[Tensor, Tensor]
    """Camera to gravity-view rotations `(3, 3)` on both sides."""
    marks: Tensor
    """Landmarks of the fitted body in camera axes `(T, 33, 3)`, metres."""


Method = Callable[[Cut], Tensor | None]
"""From a cut to the rotation from later to earlier camera axes `(3, 3)`; None where it fails."""


def turn_by(method: Method, cut: Cut) -> Turn:
    """The turn about the vertical a method finds; where it fails, none."""
    found = method(cut)
    if found is None:
        return Turn(0.0, math.inf, 0.0, 0.0)
    turn = cut.up[0] @ found.to(cut.up[0].dtype) @ cut.up[1].T
    yaw = torch.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
    return Turn(float(yaw), 0.0, 0.0, 0.0)


def essential(cut: Cut) -> Tensor | None:
    """Essential matrix of one pair of frames by RANSAC (HumanMM, section 3.2)."""
    rows = _common(cut)
    if len(rows) < LEAST_POINTS:
        return None
    before, after = (_rays(cut, cut.frame - 1 + i)[rows].numpy() for i in (0, 1))
    eye = np.eye(3)
    cv2.setRNGSeed(0)
    threshold = RANSAC_PX / float(cut.K[cut.frame, 0, 0])
    matrix, _ = cv2.findEssentialMat(
        before, after, eye, method=cv2.RANSAC, prob=0.999, threshold=threshold
    )
    if matrix is None or matrix.shape[0] < 3:
        return None
    _, R, _, _ = cv2.recoverPose(matrix[:3], before, after, eye)
    return torch.from_numpy(R).T


def kabsch(cut: Cut) -> Tensor | None:
    """Rotation between the detector's own 3D on both sides."""
    rows = _common(cut)
    if cut.keypoints.xyz is None or len(rows) < 3:
        return None
    before, after = (_relative(cut, cut.frame - 1 + i)[rows] for i in (0, 1))
    return _rotation(before, after)


def yaw_only(cut: Cut) -> Tensor | None:
    """The same about the vertical alone."""
    rows = _common(cut)
    if cut.keypoints.xyz is None or len(rows) < 3:
        return None
    before, after = (_relative(cut, cut.frame - 1 + i)[rows] @ cut.up[i].double().T for i in (0, 1))
    dot = (before[:, :2] * after[:, :2]).sum()
    cross = (after[:, 0] * before[:, 1] - after[:, 1] * before[:, 0]).sum()
    yaw = torch.atan2(cross, dot)
    turn = torch.eye(3, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = yaw.cos()
    turn[1, 0], turn[0, 1] = yaw.sin(), -yaw.sin()
    return cut.up[0].double().T @ turn @ cut.up[1].double()


def pnp(cut: Cut) -> Tensor | None:
    """The fitted body of before, carried on by a frame, resected in the picture of after."""
    rows = _common(cut)
    if len(rows) < LEAST_POINTS or cut.frame < 2:
        return None
    body = (2 * cut.marks[cut.frame - 1] - cut.marks[cut.frame - 2])[rows].double().numpy()
    pixels = cut.keypoints.xy[cut.frame, rows].double().numpy()
    K = cut.K[cut.frame].double().numpy()
    cv2.setRNGSeed(0)
    found, turn, _, _ = cv2.solvePnPRansac(
        body,
        pixels,
        K,
        None,
        reprojectionError=PNP_PX,
        iterationsCount=200,
        flags=cv2.SOLVEPNP_SQPNP,
    )
    if not found:
        return None
    return torch.from_numpy(cv2.Rodrigues(turn)[0]).T


METHODS: dict[str, Method] = {
    "essential matrix (HumanMM)": essential,
    "Kabsch on 3D": kabsch,
    "Kabsch, yaw only": yaw_only,
    "PnP of the body": pnp,
}


def _common(cut: Cut) -> Tensor:
    """Landmarks that both sides are sure of."""
    sure = cut.keypoints.confidence[[cut.frame - 1, cut.frame]].amin(0) > CONFIDENT
    body = torch.zeros_like(sure)
    body[list(_BODY)] = True
    return (sure & body).nonzero()[:, 0]


def _rays(cut: Cut, frame: int) -> Tensor:
    """Landmarks of a frame as points of a camera of focal length one `(33, 2)`."""
    K = cut.K[frame].double()
    return (cut.keypoints.xy[frame].double() - K[:2, 2]) / K[[0, 1], [0, 1]]


def _relative(cut: Cut, frame: int) -> Tensor:
    """The detector's 3D of a frame in camera axes `(33, 3)`; it speaks of a camera that looks at the
    person."""
    assert cut.keypoints.xyz is not None
    hips = _rays(cut, frame)[list(HIPS)].mean(0)
    turn = looking_at(torch.cat((hips, torch.ones_like(hips[:1]))))
    return cut.keypoints.xyz[frame].double() @ turn.T


def _rotation(before: Tensor, after: Tensor) -> Tensor:
    u, _, vh = torch.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.linalg.det(u @ vh).sign()
    return (u * sign) @ vh
