"""The classifier two-sample test: no difference, full difference, and folds that leak nothing."""

from __future__ import annotations

import sys

import pytest
import torch

from humanmotion.errors import MissingExtraError, UsageError
from humanmotion.metrics import c2st_auc
from humanmotion.metrics.two_sample import grouped_folds


def noise(count: int, seed: int, dims: int = 4) -> torch.Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def alone(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(count), torch.arange(count) + count


def test_one_distribution_is_not_told_apart() -> None:
    pytest.importorskip("sklearn")
    auc = c2st_auc(noise(400, 0), noise(400, 1), groups=alone(400))
    assert auc.shape == (5,)
    assert float(auc.mean()) == pytest.approx(0.5, abs=0.06)


def test_disjoint_sets_are_told_apart() -> None:
    pytest.importorskip("sklearn")
    auc = c2st_auc(noise(100, 0), noise(100, 1) + 10, groups=alone(100))
    assert float(auc.min()) == 1


def test_the_area_of_a_known_shift() -> None:
    """Normals apart by d: the best classifier's area is the normal distribution at d / sqrt(2)."""
    pytest.importorskip("sklearn")
    best = float(torch.special.ndtr(torch.tensor(1.5 / 2**0.5)))
    shift = torch.tensor((1.5, 0.0))
    auc = c2st_auc(noise(1500, 0, 2), noise(1500, 1, 2) + shift, groups=alone(1500))
    assert best - 0.06 < float(auc.mean()) < best + 0.02


def test_copies_in_one_group_are_no_answer() -> None:
    """Ten copies of each pose: with folds by pose the classifier knows the held-out ones by heart."""
    pytest.importorskip("sklearn")
    a, b = (noise(60, s).repeat_interleave(10, 0) for s in (0, 1))
    clips = (torch.arange(60).repeat_interleave(10), torch.arange(60, 120).repeat_interleave(10))
    assert float(c2st_auc(a, b, groups=alone(600)).mean()) > 0.95
    assert float(c2st_auc(a, b, groups=clips).mean()) < 0.7


def test_no_group_is_in_two_folds_and_folds_are_even() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(40, (500,), generator=generator)
    b = torch.randint(20, 80, (300,), generator=generator)
    first, second = grouped_folds(a, b, folds=5)
    of: dict[int, set[int]] = {}
    for group, fold in zip([*a.tolist(), *b.tolist()], [*first.tolist(), *second.tolist()],
                           strict=True):  # fmt: skip
        of.setdefault(group, set()).add(fold)
    assert all(len(folds) == 1 for folds in of.values())
    for fold, count in ((first, 500), (second, 300)):
        sizes = torch.bincount(fold, minlength=5)
        assert int(sizes.min()) > 0.7 * count / 5 and int(sizes.max()) < 1.3 * count / 5


def test_the_same_samples_give_the_same_areas() -> None:
    pytest.importorskip("sklearn")
    one, other = (c2st_auc(noise(80, 0), noise(80, 1), groups=alone(80)) for _ in range(2))
    assert torch.equal(one, other)


def test_too_few_groups_are_refused() -> None:
    same = torch.zeros(50, dtype=torch.long)
    with pytest.raises(UsageError, match="as many groups"):
        grouped_folds(same, torch.arange(50) + 1, folds=5)
    with pytest.raises(UsageError, match="as many groups"):
        grouped_folds(torch.arange(50), torch.arange(50) + 50, folds=1)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match="bench"):
        c2st_auc(noise(9, 0), noise(9, 1), groups=alone(9))
