"""Poses found at the prior's rate, brought to the frames that were seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.prior.problem import Chain, Observation, Poses
from humanmotion.prior.solver import Settings, refine
from humanmotion.rotations import interpolation_weights, resample_rotations


def poses_at(poses: Poses, old: Tensor, new: Tensor, *, held: Tensor) -> Poses:
    """Poses of the times `old` `(T)` at `new` `(M)` between them.

    Only frames that are `held` `(T)` bool by what was seen say where the body stands.
    """
    whole, times = held.nonzero()[:, 0], old[held]
    within = new.clamp(float(times[0]), float(times[-1]))
    root = poses.root[whole]
    return Poses(
        values_at(poses.state, old, new),
        resample_rotations(root, times, within) if len(whole) > 1 else root[[0] * len(new)],
        values_at(poses.place[whole], times, within),
    )


def values_at(values: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """`values` `(T, ...)` of the times `old` at `new`, linearly; the ends go on."""
    if len(old) < 2:
        return values[[0] * len(new)]
    low, share = interpolation_weights(old, new.clamp(float(old[0]), float(old[-1])))
    high = (low + 1).clamp(max=len(old) - 1)
    amount = share.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[low], values[high], amount)


def between(states: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """By how much states `(T, 172)` of the times `old` may err at `new` when they are interpolated.

    `(M, 172)`: a parabola leaves its chord by an eighth of its second difference in the middle.
    """
    if len(old) < 3:
        return torch.zeros(len(new), states.shape[-1])
    bend = states.diff(n=2, dim=0).abs() / 8
    bend = torch.cat((bend[:1], bend, bend[-1:]))
    low, share = interpolation_weights(old, new.clamp(float(old[0]), float(old[-1])))
    away = 4 * share * (1 - share)
    high = (low + 1).clamp(max=len(old) - 1)
    return torch.maximum(bend[low], bend[high]) * away[:, None].to(states.dtype)


def settled(
    chain: Chain, observations: Sequence[Observation], *, start: Poses, spread: Tensor
) -> Poses:
    """Poses near `start`, in units of `spread` `(T, 172)`, that agree with their own frames."""
    return refine(chain, observations, start, sigma=spread, settings=Settings())
