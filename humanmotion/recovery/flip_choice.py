"""In which shots a detector took the back of a person for the front: one choice per shot, all at once.

Evidence within a shot: people walk forwards, and the feet's account of the motion agrees with the
camera's. Evidence at a cut: pose and motion go on. Each shot is true or flipped; the cheapest chain of
choices is found by dynamic programming, and its doubt from the sum over all chains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.recovery.root_motion import RootMotion

FLIP_PRIOR = 0.06
WALKING_SPEED = 0.4
"""Slower than this, in m/s, direction says nothing."""
SIDEWAYS_SHARE = 0.1
"""Of the time somebody walks in any direction, backwards too."""
FORWARD_SHARPNESS = 2.0
DISAGREEMENT_SIGMA = 0.5
"""Usual difference between the camera's and the feet's velocity, m/s."""
SECONDS_PER_OPINION = 1.0
"""Errors within this time are the same error."""
FACE_COST = 4.0
"""For turning a person whose face is seen away from the camera."""


@dataclass(frozen=True)
class FlipChoice:
    """The chosen chain for one person."""

    flipped: tuple[bool, ...]
    """Per shot."""
    doubt: tuple[float, ...]
    """Per cut: probability that being flipped on exactly one side, or not, is the wrong answer."""


def shot_cost(
    motion: RootMotion, *, facing: Tensor, weight: Tensor, fps: float, flipped: bool, face: float
) -> float:
    """Minus the log-likelihood of one shot under one hypothesis, up to a constant.

    `facing` `(n, 2)` is where the body looks over the ground, `weight` `(n)` whether it is seen,
    `face` how surely the detector saw a face in [0, 1].
    """
    cost = -math.log(FLIP_PRIOR if flipped else 1 - FLIP_PRIOR)
    along = float(motion.still)
    velocity = motion.seen if motion.still else motion.stepped
    speed = velocity.norm(dim=-1).clamp(min=1e-6)
    cosine = (velocity * facing).sum(-1) / (speed * facing.norm(dim=-1).clamp(min=1e-6))
    forward = -torch.log(
        (1 - SIDEWAYS_SHARE) * torch.exp(FORWARD_SHARPNESS * (cosine - 1)) + SIDEWAYS_SHARE
    )
    share = weight / (fps * SECONDS_PER_OPINION)
    cost += float((forward * share * (speed > WALKING_SPEED)).sum())
    # The camera's depth is vague: the disagreement along the view counts with its own error.
    sigma = torch.stack(
        (torch.full_like(motion.distance, DISAGREEMENT_SIGMA),
         DISAGREEMENT_SIGMA + 0.1 * motion.distance), -1,
    )  # fmt: skip
    apart = (((motion.seen - motion.stepped) / sigma) ** 2).sum(-1)
    cost += along * float((0.5 * apart / (1 + apart / 9) * share).sum())
    away = facing[:, 1] / facing.norm(dim=-1).clamp(min=1e-6)
    seen = weight.sum().clamp(min=1e-6)
    return cost + FACE_COST * face * float((weight * (away > 0.3)).sum() / seen)


def choose_flips(
    shots: Sequence[tuple[float, float]], cuts: Sequence[NDArray[np.float64]]
) -> FlipChoice:
    """The cheapest chain; `shots` cost (true, flipped) each, `cuts` `(2, 2)` [before, after] each."""
    unary = np.array(shots, dtype=np.float64).reshape(-1, 2)
    best, came_from = unary[0].copy(), []
    for cost, own in zip(cuts, unary[1:], strict=True):
        total = best[:, None] + cost
        came_from.append(total.argmin(0))
        best = total.min(0) + own
    state = int(best.argmin())
    chain = [state]
    for previous in reversed(came_from):
        state = int(previous[state])
        chain.append(state)
    chain.reverse()
    return FlipChoice(tuple(bool(c) for c in chain), _doubts(unary, cuts, chain))


def _doubts(
    unary: NDArray[np.float64], cuts: Sequence[NDArray[np.float64]], chain: list[int]
) -> tuple[float, ...]:
    """Per cut, the probability of the other answer to "flipped on exactly one side"."""
    forward, backward = [-unary[0]], [np.zeros(2)]
    for cost, own in zip(cuts, unary[1:], strict=True):
        forward.append(np.logaddexp.reduce(forward[-1][:, None] - cost, axis=0) - own)
    for cost, own in zip(reversed(cuts), unary[:0:-1], strict=True):
        backward.append(np.logaddexp.reduce((backward[-1] - own)[None] - cost, axis=1))
    backward.reverse()
    doubts = []
    for i, cost in enumerate(cuts):
        joint = forward[i][:, None] - cost + (backward[i + 1] - unary[i + 1])[None]
        chance = np.exp(joint - np.logaddexp.reduce(joint.ravel()))
        same = float(chance[0, 0] + chance[1, 1])
        doubts.append(1 - same if chain[i] == chain[i + 1] else same)
    return tuple(min(max(d, 0.0), 1.0) for d in doubts)
