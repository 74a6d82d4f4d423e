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

FRONT_PRIOR, BACK_PRIOR = 0.08, 0.02
"""How often a reading as front, or as back, is the wrong one: detectors err towards seeing faces."""
WALKING_SPEED = 0.4
"""Slower than this, in m/s, direction says nothing."""
SIDEWAYS_SHARE = 0.1
"""Of the time somebody walks in any direction, backwards too."""
FORWARD_SHARPNESS = 2.0
DISAGREEMENT_SIGMA = 0.5
"""Usual difference between the camera's and the feet's velocity, m/s."""
SECONDS_PER_OPINION = 1.0
"""Errors within this time are the same error."""
FACE_COST, NO_FACE_COST = 4.0, 1.5
"""For reading as a back what shows a face; for reading as a front what shows none."""


@dataclass(frozen=True)
class FlipChoice:
    """The chosen chain for one person."""

    flipped: tuple[bool, ...]
    """Per shot."""
    doubt: tuple[float, ...]
    """Per cut: probability that being flipped on exactly one side, or not, is the wrong answer."""


def shot_cost(
    motion: RootMotion, *, facing: Tensor, weight: Tensor, face: Tensor | None, fps: float
) -> float:
    """Minus the log-likelihood of one reading of a shot, up to a constant.

    `facing` `(n, 2)` is where the body looks over the ground (y is away from the camera), `weight`
    `(n)` how well it is seen, `face` `(n)` how surely the detector saw a face, or None when it never
    sees this person's, which then means nothing.
    """
    facing = torch.nn.functional.normalize(facing, dim=-1)
    share = weight / (fps * SECONDS_PER_OPINION)
    cost = float((share * _walking_cost(motion, facing)).sum())
    cost += float((share * _disagreement_cost(motion)).sum())
    if face is not None:
        away = facing[:, 1]
        missed = FACE_COST * face * (away > 0.3) + NO_FACE_COST * (1 - face) * (away < -0.6)
        cost += float((weight * missed).sum() / weight.sum().clamp(min=1e-6))
    return cost


def flip_odds(facing: Tensor, weight: Tensor) -> float:
    """Minus the log of the prior odds that a reading facing `(n, 2)` is back to front."""
    front = float((weight * (facing[:, 1] < 0)).sum() / weight.sum().clamp(min=1e-6))
    chance = front * FRONT_PRIOR + (1 - front) * BACK_PRIOR
    return math.log((1 - chance) / chance)


def _walking_cost(motion: RootMotion, facing: Tensor) -> Tensor:
    """Per frame `(n)`: people who get on walk forwards, mostly."""
    velocity = motion.seen if motion.still else motion.stepped
    speed = velocity.norm(dim=-1).clamp(min=1e-6)
    cosine = (velocity * facing).sum(-1) / speed
    forward = (1 - SIDEWAYS_SHARE) * torch.exp(FORWARD_SHARPNESS * (cosine - 1))
    return -torch.log(forward + SIDEWAYS_SHARE) * (speed > WALKING_SPEED)


def _disagreement_cost(motion: RootMotion) -> Tensor:
    """Per frame `(n)`: the camera's and the feet's velocity, each with its own error."""
    if not motion.still:
        return torch.zeros_like(motion.distance)
    along = DISAGREEMENT_SIGMA + 0.1 * motion.distance
    sigma = torch.stack((torch.full_like(along, DISAGREEMENT_SIGMA), along), -1)
    apart = (((motion.seen - motion.stepped) / sigma) ** 2).sum(-1)
    return 0.5 * apart / (1 + apart / 9)


def as_seen(shots: int) -> FlipChoice:
    """The choice that nothing was exchanged in so many shots."""
    return FlipChoice((False,) * shots, (0.0,) * (shots - 1))


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
