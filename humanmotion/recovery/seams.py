"""Smoothing the step that a cut leaves in the pose: each side goes half way to meet the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from humanmotion.recovery.integrator import Placed
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

FADE_SECONDS = 0.27
LARGEST_RAD = 1.2
"""A larger difference is no fitting error, so it is left as it is."""


def blend_seams(person: Placed, *, starts: Sequence[int], fps: float) -> Placed:
    """Rotations that agree at every cut; `starts` are the first frames of later shots.

    The step of each joint beyond what both sides' own motion explains is shared out over a few frames
    on both sides. Nothing is done where the person is absent next to a cut.
    """
    rotations = person.rotations.clone()
    frames, fade = len(rotations), max(1, round(FADE_SECONDS * fps))
    for start in starts:
        if min(float(person.seen[start - 1]), float(person.seen[start])) <= 0:
            continue
        before, after = rotations[start - 1], rotations[start]
        # Carry both sides half a frame on, so that motion over the cut is not taken for an error.
        left = before @ _half_step(rotations[max(start - 2, 0)], before)
        right = after @ _half_step(rotations[min(start + 1, frames - 1)], after)
        step = matrix_to_rotvec(left.mT @ right)
        step = step * (step.norm(dim=-1, keepdim=True) < LARGEST_RAD)
        for side, span in ((1.0, range(start - fade, start)),
                           (-1.0, range(start, start + fade))):  # fmt: skip
            inside = [t for t in span if 0 <= t < frames]
            away = torch.tensor([abs(t + 0.5 - start) for t in inside]) / fade
            share = 0.5 * side * (1 - away).clamp(min=0) ** 2 * (1 + 2 * away)
            turn = rotvec_to_matrix(share[:, None, None].to(step.dtype) * step)
            rotations[inside] = rotations[inside] @ turn
    return replace(person, rotations=rotations)


def _half_step(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Half of the local turn from `a` to `b`, both `(55, 3, 3)`."""
    return rotvec_to_matrix(0.5 * matrix_to_rotvec(a.mT @ b))
