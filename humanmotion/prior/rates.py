"""Poses found at the prior's rate, brought to the frames that were seen."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.body.carried_points import CarriedPoints
from humanmotion.prior.fitting import uncertainty_of_mean
from humanmotion.prior.model import PosePrior
from humanmotion.prior.orientations import Turns
from humanmotion.prior.problem import Chain, Observation, Places, Poses
from humanmotion.prior.solver import Settings, refine
from humanmotion.rotations import interpolation_weights, resample_rotations


def poses_at(poses: Poses, old: Tensor, new: Tensor) -> Poses:
    """Poses of the times `old` `(T)` at `new` `(M)` between them."""
    return Poses(
        values_at(poses.state, old, new),
        resample_rotations(poses.root, old, new) if len(old) > 1 else poses.root[[0] * len(new)],
        values_at(poses.place, old, new),
    )


def values_at(values: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """`values` `(T, ...)` of the times `old` at `new`, linearly; the ends go on."""
    if len(old) < 2:
        return values[[0] * len(new)]
    low, share = interpolation_weights(old, new.clamp(float(old[0]), float(old[-1])))
    high = (low + 1).clamp(max=len(old) - 1)
    amount = share.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[low], values[high], amount)


def settled(
    prior: PosePrior,
    points: CarriedPoints,
    xyz: Tensor,
    *,
    start: Poses,
    draws: Tensor,
    sigma: float,
    turns: Turns | None = None,
) -> Poses:
    """Poses near `start` that agree with points `xyz` `(T, L, 3)` of their own frames.

    `draws` `(K, T, 172)`: states whose spread says how far a pose may go.
    """
    seen = xyz.isfinite().all(-1)
    places = Places(
        torch.where(seen[..., None], xyz, 0.0), torch.where(seen, torch.tensor(sigma), torch.inf)
    )
    observations: list[Observation] = [places]
    if turns is not None:
        points, observations = turns.carried_with(points), turns.observations(places)
    spread = uncertainty_of_mean(draws)
    return refine(Chain(points, prior.space), observations, start, sigma=spread,
                  settings=Settings())  # fmt: skip
