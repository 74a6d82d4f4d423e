"""How sure a mean is when neighbouring samples are alike: the block bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

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
    means = total / sum(map(len, whole))
    ends = torch.tensor(((1 - level) / 2, (1 + level) / 2), dtype=torch.float64)
    low, high = means.quantile(ends).tolist()
    return low, high
