"""Laws of the block bootstrap: shift, scale, constants, and what neighbours that are alike cost."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import block_bootstrap


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_a_constant_has_no_width() -> None:
    low, high = block_bootstrap([torch.full((37,), 1.25), torch.full((5,), 1.25)], block=16)
    assert low == high == 1.25


def test_shift_and_scale_go_through() -> None:
    low, high = block_bootstrap([noise(50)], block=8)
    moved = block_bootstrap([3 * noise(50) + 2], block=8)
    assert moved == pytest.approx((3 * low + 2, 3 * high + 2), abs=1e-5)


def test_single_samples_give_the_interval_of_independent_ones() -> None:
    values = noise(400)
    low, high = block_bootstrap([values], block=1, draws=4000)
    half = 1.96 * float(values.std(unbiased=False)) / 400**0.5
    mean = float(values.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_samples_that_come_in_runs_are_less_sure() -> None:
    runs = noise(25).repeat_interleave(16)
    alone, together = (block_bootstrap([runs], block=b) for b in (1, 16))
    # 16 alike tell as much as one: four times the width.
    assert 2.5 < (together[1] - together[0]) / (alone[1] - alone[0]) < 5


def test_a_block_over_the_whole_series_changes_nothing() -> None:
    low, high = block_bootstrap([noise(12)], block=12)
    assert (low, high) == pytest.approx((float(noise(12).mean()),) * 2)


def test_the_same_seed_gives_the_same_interval() -> None:
    first = block_bootstrap([noise(40), noise(60, 1)], block=16)
    assert first == block_bootstrap([noise(40), noise(60, 1)], block=16)
    assert first != block_bootstrap([noise(40), noise(60, 1)], block=16, seed=1)


@pytest.mark.parametrize("bad", [{"block": 0}, {"block": 4, "draws": 0}, {"block": 4, "level": 1}])
def test_what_cannot_be_meant_is_refused(bad) -> None:
    with pytest.raises(UsageError, match="give at least one sample"):
        block_bootstrap([noise(9)], **bad)


def test_no_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="0 samples"):
        block_bootstrap([torch.zeros(0)], block=4)
