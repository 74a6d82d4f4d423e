"""The last steps of a fit, in which the prior of movement says which poses are plausible.

For a prior smeared by noise of a level, the gradient of its log density is (expected clean pose - pose)
/ level^2 (Tweedie; Robbins 1956), so that each step of Gauss-Newton pulls towards what the denoiser
expects, with the level as its standard deviation, and no weight is left to choose. The prior rates a
whole movement once; the landmarks must be counted alike, and their errors last for some frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.prior.model import FIT_TRUST, PosePrior
from humanmotion.prior.problem import left_jacobian
from humanmotion.prior.rates import values_at
from humanmotion.prior.space import TOKENS, PoseSpace, spread_tokens
from humanmotion.recovery.banded import solve_clip
from humanmotion.recovery.landmark_terms import (
    Observed,
    State,
    advance,
    normal_equations,
    smoothness,
)
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.quality import STANDARD

LEVEL = 1.0
"""Noise the prior is smeared by, in standard deviations of real poses."""
POSE_ERROR = 0.3
"""Standard deviations that the pose is off by before the prior has a say: by it windows are told lively
or still. At the prior's own level a pose without noise would pass for a still one."""
FPS = 30.0
"""Frame rate that the prior knows."""
SAME_2D_SECONDS, SAME_3D_SECONDS = 0.05, 0.15
"""For how long a landmark's error is the same error. Against calibrated cameras its autocorrelation
falls to a third within 0.05 s in 2D; in 3D within 0.1 s, and a third of it does not fade."""
JOINT_ACCELERATION_SIGMA = 15.0
"""Joint acceleration in rad/s^2 that is not noise: wide, because the prior knows movement better."""
GUESS_SIGMA = 0.3
"""Radians that a joint of a lifter's guess is taken to be off. On val half of it does a little better;
but val is seen by the detector that the lifter was trained on, and real ones err in more ways."""
LEAST_CONFIDENCE = 0.1
"""A joint none of whose landmarks is surer than this is not seen: the prior is shown nothing of it."""
_JOINTS = 21
_NUMBERS = 3 * _JOINTS


def make_plausible(
    state: State,
    seen: Observed,
    prior: PosePrior,
    *,
    guess: PoseGuess | None = None,
    steps: int = STANDARD.prior_steps,
) -> State:
    """The body after so many last steps; shape, fingers and face stay as they are.

    A `guess` goes on pulling.
    """
    counts = sightings(seen.fps)
    for _ in range(steps):
        blocks, right = normal_equations(state, seen, counts=counts)
        prior_pull(blocks, right, state=state, seen=seen, prior=prior)
        if guess is not None:
            guess.pull(
                blocks, right, state.rotations, confidence=seen.confidence, sigma=GUESS_SIGMA
            )
        blocks.diagonal(dim1=-2, dim2=-1).add_(1e-2)
        smooth, pull = smoothness(state, seen, joint_sigma=JOINT_ACCELERATION_SIGMA)
        step = solve_clip(blocks.numpy(), right.numpy() + pull, smooth=smooth, joined=seen.joined)
        state = advance(state, torch.from_numpy(step).to(state.pelvis.dtype))
    return state


def sightings(fps: float) -> tuple[float, float]:
    """For how many sightings one frame counts, in 2D and in 3D."""
    return _sightings(fps, SAME_2D_SECONDS), _sightings(fps, SAME_3D_SECONDS)


def frame_share(fps: float) -> float:
    """For how many frames at the usual rate one counts: more of them tell no more."""
    return _sightings(fps, 1 / FPS)


def prior_pull(
    blocks: Tensor, right: Tensor, *, state: State, seen: Observed, prior: PosePrior
) -> None:
    """Add the prior's pull at `state` to normal equations of 69 numbers a frame, in place.

    Movement is followed over all frames that `seen` says are of one shot.
    """
    pose = prior.space.to_state(state.rotations)
    expected = _expected(prior, pose, seen, known=_joints_seen(state, seen))
    precision = frame_share(seen.fps) / LEVEL**2
    _add_pull(blocks, right, pose, expected=expected, space=prior.space, precision=precision)


def _sightings(fps: float, same_seconds: float) -> float:
    """What one frame counts where frames nearer than `same_seconds` tell the same."""
    return min(1.0, 1 / (fps * same_seconds))


def _joints_seen(state: State, seen: Observed) -> Tensor:
    """Body joints `(T, 21)` bool that some landmark tells of."""
    moves = (state.marks.mass[:, 1:] > 0).to(seen.confidence.dtype)
    return (seen.confidence[..., None] * moves).amax(1) > LEAST_CONFIDENCE


def _expected(prior: PosePrior, pose: Tensor, seen: Observed, *, known: Tensor) -> Tensor:
    """Clean states `(T, 172)` behind `pose` `(T, 172)`; each shot by itself, at the prior's rate."""
    expected = torch.empty_like(pose)
    for shot in seen.shot_id.unique():
        here = seen.shot_id == shot
        times = seen.times[here]
        count = int(float(times[-1] - times[0]) * FPS + 1e-6) + 1
        even = times[0] + torch.arange(count, dtype=times.dtype) / FPS
        there = torch.zeros(count, TOKENS, dtype=torch.bool)
        there[:, :_JOINTS] = values_at(known[here].float(), times, even) > 0.5
        own = values_at(pose[here], times, even)
        classes = prior.liveliness(own, spread_tokens(torch.where(there, POSE_ERROR, torch.inf)))
        rho = torch.where(there, LEVEL, torch.inf)
        clean = prior.denoise(own, rho, kind="motion", classes=classes, trust=FIT_TRUST)
        expected[here] = values_at(clean, even, times)
    return expected


def _add_pull(
    blocks: Tensor,
    right: Tensor,
    pose: Tensor,
    *,
    expected: Tensor,
    space: PoseSpace,
    precision: float,
) -> None:
    """Add the pull from `pose` `(T, 172)` to `expected` to normal equations of 69, in place."""
    turned = (pose * space.spread)[:, :_NUMBERS].unflatten(-1, (_JOINTS, 3))
    reach = space.mean[:_JOINTS] @ left_jacobian(turned)
    reach = reach * space.spread[:_NUMBERS].reshape(_JOINTS, 1, 3)
    back = torch.linalg.inv(reach)  # a small turn in the state's numbers
    away = (expected - pose)[:, :_NUMBERS].reshape(-1, _JOINTS, 3, 1)
    right[:, 3 : 3 + _NUMBERS] += precision * (back.mT @ away).flatten(1)
    cells = blocks.unflatten(-1, (-1, 3)).unflatten(-3, (-1, 3))
    own = cells.diagonal(dim1=1, dim2=3)  # (T, 3, 3, 23)
    own[..., 1 : 1 + _JOINTS] += precision * (back.mT @ back).permute(0, 2, 3, 1)
