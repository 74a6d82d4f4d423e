"""Laws of the bootstraps: shift, scale, constants, and what samples that are alike cost."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import block_bootstrap, group_bootstrap


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


def difference(means: torch.Tensor) -> torch.Tensor:
    return means[:, 0] - means[:, 1]


def slow_group_bootstrap(values, groups, *, draws, seed=0) -> tuple[float, float]:
    """Draw by draw: the rows of the groups that were drawn, put one after another."""
    names = sorted(set(groups))
    generator = torch.Generator().manual_seed(seed)
    found = []
    for drawn in torch.randint(len(names), (draws, len(names)), generator=generator).tolist():
        rows = [r for i in drawn for r, g in enumerate(groups) if g == names[i]]
        found.append(difference(values[rows].double().mean(0, keepdim=True)))
    low, high = torch.cat(found).quantile(torch.tensor((0.025, 0.975), dtype=torch.float64))
    return float(low), float(high)


class TestGroups:
    values = torch.stack((noise(30), noise(30, 1)), -1)
    groups = ["c"] * 4 + ["a"] * 20 + ["b"] + ["d"] * 5

    def test_as_drawn_one_by_one(self) -> None:
        found = group_bootstrap(self.values, self.groups, statistic=difference, draws=300)
        slow = slow_group_bootstrap(self.values, self.groups, draws=300)
        assert found == pytest.approx(slow)

    def test_groups_of_one_give_the_interval_of_independent_samples(self) -> None:
        values = torch.stack((noise(400), torch.zeros(400)), -1)
        low, high = group_bootstrap(values, [str(i) for i in range(400)], statistic=difference,
                                    draws=4000)  # fmt: skip
        half = 1.96 * float(values[:, 0].std(unbiased=False)) / 400**0.5
        mean = float(values[:, 0].mean())
        assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)

    def test_what_both_columns_share_costs_no_width(self) -> None:
        shared = torch.stack((noise(30) + 2, noise(30)), -1)
        found = group_bootstrap(shared, self.groups, statistic=difference)
        assert found == pytest.approx((2.0, 2.0))

    def test_samples_of_one_group_that_are_alike_are_less_sure(self) -> None:
        alike = torch.stack((noise(25).repeat_interleave(16), torch.zeros(400)), -1)
        wide, narrow = (group_bootstrap(alike, [str(i // size) for i in range(400)],
                                        statistic=difference) for size in (16, 1))  # fmt: skip
        assert 2.5 < (wide[1] - wide[0]) / (narrow[1] - narrow[0]) < 5

    def test_the_same_seed_gives_the_same_interval(self) -> None:
        first, again, other = (
            group_bootstrap(self.values, [str(i) for i in range(30)], statistic=difference, seed=s)
            for s in (0, 0, 1)
        )
        assert first == again != other

    @pytest.mark.parametrize(
        "bad", [{"groups": ["a"] * 30}, {"groups": ["a", "b"]}, {"draws": 0}, {"level": 0.0}]
    )
    def test_what_cannot_be_meant_is_refused(self, bad) -> None:
        given = {"groups": self.groups, "statistic": difference} | bad
        with pytest.raises(UsageError, match="give a group to each sample"):
            group_bootstrap(self.values, **given)
