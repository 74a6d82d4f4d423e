"""Noise levels that a prior is trained on: every question it will be asked, in one mixture.

A third of the poses are noisy all over (denoising), most of the others have a part that is given or
nearly so while the rest is noisy (completion, at every stage of sampling it), some miss a part
altogether, some have a level of its own for every joint (observations of unequal quality).
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.prior.space import TOKENS, token_mask

LOG_MEAN, LOG_SPREAD = -0.8, 1.4
"""Of the natural logarithm of the noise level: most between 0.1 and 2, tails to 0.01 and 10."""
KNOWN_LOG_MEAN, KNOWN_LOG_SPREAD = -3.5, 0.8
"""Of what is nearly given; half of it is given exactly."""
SHARES = (0.35, 0.40, 0.10, 0.15)
"""Noisy all over; a part given; a part missing; a level per joint."""
_SIDE = ("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist")


def _groups() -> Tensor:
    """Sets of joints `(G, 55)` bool that are hidden or given together."""
    legs = [[f"{s}_{j}" for j in _SIDE[0]] for s in ("left", "right")]
    arms = [[f"{s}_{j}" for j in _SIDE[1]] for s in ("left", "right")]
    trunk = ["spine1", "spine2", "spine3", "left_shoulder", "right_shoulder"]
    sides = [legs[i] + arms[i] + [f"{s}_hand"] for i, s in enumerate(("left", "right"))]
    names = [*legs, legs[0] + legs[1], *arms, arms[0] + arms[1], trunk, *sides, ["body"]]
    names += [["left_hand"], ["right_hand"], ["left_hand", "right_hand"], ["jaw", "expression"]]
    names += [["jaw", "eyes", "expression"], ["neck", "head"]]
    return torch.stack([token_mask(*group) for group in names])


GROUPS = _groups()


def draw_levels(count: int, *, generator: torch.Generator) -> Tensor:
    """Noise levels `(count, 55)`, zero and infinity included, where the generator lives."""
    at = generator.device
    draw = torch.rand(count, generator=generator, device=at)
    edges = torch.tensor(SHARES, device=at).cumsum(0)[:-1]
    kind = torch.bucketize(draw, edges)[:, None]
    common = _log_normal((count, 1), LOG_MEAN, LOG_SPREAD, generator)
    each = _log_normal((count, TOKENS), LOG_MEAN, LOG_SPREAD, generator)
    nearly = _log_normal((count, 1), KNOWN_LOG_MEAN, KNOWN_LOG_SPREAD, generator)
    exact = torch.rand(count, 1, generator=generator, device=at) < 0.5
    given = torch.where(exact, torch.zeros_like(nearly), nearly)
    part = draw_parts(count, generator=generator)
    level = common.expand(count, TOKENS)
    level = torch.where((kind == 1) & ~part, given, level)
    level = torch.where((kind == 2) & part, torch.full_like(level, torch.inf), level)
    return torch.where(kind == 3, each, level)


def draw_parts(count: int, *, generator: torch.Generator) -> Tensor:
    """A part of the joints `(count, 55)` bool: a limb or the like, or each joint by itself.

    It lies where the generator lives.
    """
    at = generator.device
    group = GROUPS.to(at)[torch.randint(len(GROUPS), (count,), generator=generator, device=at)]
    share = torch.rand(count, 1, generator=generator, device=at)
    single = torch.rand(count, TOKENS, generator=generator, device=at) < share
    whole = torch.rand(count, 1, generator=generator, device=at) < 0.6
    return torch.where(whole, group, single)


def _log_normal(
    shape: tuple[int, ...], mean: float, spread: float, generator: torch.Generator
) -> Tensor:
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return (mean + spread * noise).exp()
