"""How sure a mean is when samples are alike: neighbours (block bootstrap), or those of one group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from humanmotion.errors import UsageError


def block_bootstrap(
    series: Sequence[Tensor],
    *,
    block: int,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Central interval of the mean over all samples of `series`, each `(T_i)` in order of time.

    Each series is drawn anew from its own runs of `block` samples, wrapped round its end (circular
    block bootstrap; Politis and Romano 1992), and every draw gives one mean. Raises UsageError
    without samples, and for a block or number of draws below 1 or a level outside (0, 1).
    """
    whole = [s.double() for s in series if len(s)]
    if not whole or block < 1 or draws < 1 or not 0 < level < 1:
        raise UsageError(
            f"{sum(map(len, series))} samples, block {block}, {draws} draws, level {level} given; "
            "give at least one sample, block and draws of at least 1 and a level in (0, 1)"
        )
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(draws, dtype=torch.float64)
    for samples in whole:
        count = -(-len(samples) // block)
        start = torch.randint(len(samples), (draws, count, 1), generator=generator)
        rows = ((start + torch.arange(block)) % len(samples)).flatten(1)[:, : len(samples)]
        total += samples[rows].sum(-1)
    return _central(total / sum(map(len, whole)), level)


def group_bootstrap(
    values: Tensor,
    groups: Sequence[str],
    *,
    statistic: Callable[[Tensor], Tensor],
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Central interval of a statistic of the means of `values` `(N, M)`, whose rows are paired.

    Whole groups are drawn anew, as many as there are; a group keeps all its rows, since they are alike
    (cluster bootstrap; Davison and Hinkley 1997, section 3.8). `statistic` takes means `(draws, M)`
    to `(draws)`. Raises UsageError unless every row has a group, there are two groups or more and
    `draws` and `level` are as in `block_bootstrap`.
    """
    names = sorted(set(groups))
    if len(groups) != len(values) or len(names) < 2 or draws < 1 or not 0 < level < 1:
        raise UsageError(
            f"{len(values)} samples, {len(groups)} of them with one of {len(names)} groups, {draws} "
            f"draws, level {level} given; give a group to each sample, two groups or more, draws of "
            "at least 1 and a level in (0, 1)"
        )
    number = {name: i for i, name in enumerate(names)}
    rows = torch.tensor([number[g] for g in groups])
    one = torch.cat((values.double(), torch.ones(len(values), 1, dtype=torch.float64)), 1)
    totals = torch.zeros(len(names), one.shape[1], dtype=torch.float64).index_add(0, rows, one)
    generator = torch.Generator().manual_seed(seed)
    drawn = totals[torch.randint(len(names), (draws, len(names)), generator=generator)].sum(1)
    return _central(statistic(drawn[:, :-1] / drawn[:, -1:]), level)


def _central(draws: Tensor, level: float) -> tuple[float, float]:
    ends = torch.tensor(((1 - level) / 2, (1 + level) / 2), dtype=draws.dtype)
    low, high = draws.quantile(ends).tolist()
    return low, high
