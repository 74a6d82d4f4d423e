"""MBench's three metrics of the feet, and a clearance of our own. Metres and frames at 20 fps, z up.

Definitions of the released evaluation code of ViMoGen (arXiv 2510.26794). Feet are joints 10 and 11.
`height` `(T, 2)` is that of both feet over the floor: in the published code coordinate 2 of the joints,
in ours that of the soles. A velocity is the step to the next frame, the last one repeated.
"""

from __future__ import annotations

import torch
from scipy.signal import find_peaks
from torch import Tensor

from humanmotion.metrics.contact import FEET

PENETRATION_METRES = 0.005
CONTACT_STEP, CONTACT_METRES = 0.01, 0.02
ROOT_STEP = 0.001
"""Metres a frame; a root slower than this stands."""
FOOT_STEP = 1.2e-4
DRAGGED, HURRIED, CARRIED = 0.6, 1.75, 0.4
"""Speed of a foot about the root over the root's: bad below and above the first two where it stands,
below the third where it is in the air."""
LEAST_RUN = 4
MOST_PEAKS = 2
PEAK_DEGREES = 1e-3
"""Peaks lower than this are rounding: a foot that flies straight has an angle of 0."""
_TINY = 1e-6


def ground_penetration(height: Tensor) -> float:
    """Mean depth, of the feet that lie deeper than 5 mm, over frames and feet; 0 without any."""
    under = height[height < -PENETRATION_METRES]
    return float(under.abs().mean()) if len(under) else 0.0


def foot_depth(height: Tensor) -> float:
    """Mean depth under the floor over all frames and both feet, metres; our own.

    The published mean is over the feet that are under it, so that more of them, less deep, lower it.
    """
    return float((-height).clamp(min=0).mean())


def published_contact(joints: Tensor, height: Tensor) -> Tensor:
    """Which feet touch the floor, `(T, 2)` bool: slower than 1 cm a frame, OR lower than 2 cm."""
    step = _steps(joints[:, FEET, :]).norm(dim=-1)
    return (step < CONTACT_STEP) | (height < CONTACT_METRES)


def foot_sliding(joints: Tensor, height: Tensor) -> float:
    """Mean horizontal step while a foot touches the floor, of joints `(T, J, 3)`, mean of both feet."""
    contact = published_contact(joints, height).to(joints.dtype)
    step = _steps(joints[:, FEET, :])[..., :2].norm(dim=-1)
    return float(((step * contact).sum(0) / (contact.sum(0) + _TINY)).mean())


def foot_floating(joints: Tensor, height: Tensor) -> float:
    """Frames whose feet do not go with the root, of joints `(T, J, 3)`, over T; may exceed 1.

    Standing feet that drag behind or hurry on, half of the frames of each foot that is carried along
    in the air, and whole flights in which the left foot turns back more than twice.
    """
    contact = published_contact(joints, height)
    root = _steps(joints[:, 0]).norm(dim=-1)
    about = _steps(joints[:, FEET, :] - joints[:, :1]).norm(dim=-1)
    share = about / (root + _TINY)[:, None]
    moves = _steps(joints[:, FEET, :]).norm(dim=-1) > FOOT_STEP
    slipping = _slipping(contact, moves, share, root=root)
    flying, carried = zip(*(_flight(contact[:, i], share[:, i], root) for i in (0, 1)), strict=True)
    wavering = _wavering(joints[:, FEET[0]], flying[0] & flying[1])
    return (slipping + sum(carried) / 2 + wavering) / len(joints)


def foot_clearance(joints: Tensor, height: Tensor) -> float | None:
    """Mean height over the floor of the lower foot while it is slower than 1 cm a frame; metres.

    Our own: the published contact takes a slow foot for one that stands, however high it hovers.
    None where the lower foot is never slow.
    """
    lower = height.argmin(-1, keepdim=True)
    step = _steps(joints[:, FEET, :]).norm(dim=-1).gather(-1, lower)[:, 0]
    above = height.gather(-1, lower)[:, 0].clamp(min=0)[step < CONTACT_STEP]
    return float(above.mean()) if len(above) else None


def _steps(points: Tensor) -> Tensor:
    """Steps to the next frame of `(T, ...)`, the last one repeated; `(T, ...)`."""
    step = points.diff(dim=0)
    return torch.cat((step, step[-1:]))


def _slipping(contact: Tensor, moves: Tensor, share: Tensor, *, root: Tensor) -> int:
    """Frames in which every foot that stands slips against a root that moves."""
    wrong = (share < DRAGGED) | ((share > HURRIED) & (root > FOOT_STEP)[:, None])
    bad = contact & moves & wrong
    every = contact.any(-1) & (bad == contact).all(-1)
    return int((every & (root >= ROOT_STEP)).sum())


def _flight(contact: Tensor, share: Tensor, root: Tensor) -> tuple[Tensor, int]:
    """Frames `(T)` bool in which one foot is up for 4 frames or more, and how many it is carried."""
    label = torch.cat((contact.new_zeros(1), contact.diff())).long().cumsum(0)
    length = label.bincount()[label]
    still = label.bincount((root < ROOT_STEP).double())[label] / length
    flying = ~contact & (length >= LEAST_RUN)
    return flying, int((flying & (still <= 0.5) & (share < CARRIED)).sum())


def _wavering(foot: Tensor, flying: Tensor) -> int:
    """Frames of the runs of `flying` in which the path of a foot `(T, 3)` has more than two peaks."""
    edge = torch.cat((flying.new_zeros(1), flying, flying.new_zeros(1))).diff().nonzero()[:, 0]
    total = 0
    for first, end in edge.reshape(-1, 2).tolist():
        path = foot[first + 1 : end] - foot[first]
        if len(path) <= 2 * MOST_PEAKS:
            continue
        across = torch.linalg.cross(path, path[-1:].expand_as(path)).norm(dim=-1)
        angle = torch.atan2(across, (path * path[-1]).sum(-1)).rad2deg()
        peaks = find_peaks(angle.numpy(), prominence=PEAK_DEGREES)[0]
        total += end - first if len(peaks) > MOST_PEAKS else 0
    return total
