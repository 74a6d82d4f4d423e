"""Numbers of texts and motions: slow twins, closed forms, and what chance gives."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics.text import (
    SAME,
    diversity,
    frechet_distance,
    kernel_distance,
    matching_distance,
    multimodality,
    r_precision,
    repeated,
    same_captions,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(count: int, mean: torch.Tensor, spread: torch.Tensor, seed: int) -> torch.Tensor:
    noise = torch.randn(count, len(mean), generator=seeded(seed), dtype=torch.float64)
    return mean + noise * spread


def slow_r_precision(text, motion, same, generator, batch: int) -> list[float]:
    order = torch.randperm(len(text), generator=generator).tolist()
    hits, asked = [0, 0, 0], 0
    for first in range(0, len(order) - batch + 1, batch):
        rows = order[first : first + batch]
        for i in rows:
            asked += 1
            by_distance = sorted(rows, key=lambda j: float((text[i] - motion[j]).norm()))
            for k in range(3):
                hits[k] += any(bool(same[i, j]) for j in by_distance[: k + 1])
    return [h / asked for h in hits]


class TestRetrieval:
    @pytest.mark.parametrize("batch", [5, 32])
    def test_slow_twin(self, batch):
        text, motion = torch.randn(2, 70, 8, generator=seeded())
        same = same_captions(
            torch.nn.functional.normalize(torch.randn(70, 3, generator=seeded(1)), dim=-1)
        )
        found = r_precision(text, motion + text, same=same, generator=seeded(2), batch=batch)
        assert list(found) == pytest.approx(
            slow_r_precision(text, motion + text, same, seeded(2), batch)
        )

    def test_pairs_that_fit_are_found_and_chance_is_chance(self):
        text = torch.randn(3200, 16, generator=seeded())
        alone = torch.eye(3200, dtype=torch.bool)
        assert r_precision(text, text, same=alone, generator=seeded()) == (1.0, 1.0, 1.0)
        other = torch.randn(3200, 16, generator=seeded(1))
        found = r_precision(text, other, same=alone, generator=seeded())
        assert list(found) == pytest.approx([1 / 32, 2 / 32, 3 / 32], abs=0.012)

    def test_captions_that_mean_the_same_count(self):
        sentences = torch.tensor(((1.0, 0), (SAME + 0.01, 0), (SAME - 0.01, 0)))
        sentences[:, 1] = (1 - sentences[:, 0] ** 2).sqrt()
        assert same_captions(sentences)[0].tolist() == [True, True, False]
        text = torch.eye(4)
        motion = text[[1, 0, 3, 2]]
        same = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
        kept = {"generator": seeded(), "batch": 4}
        assert r_precision(text, motion, same=torch.eye(4).bool(), **kept)[0] == 0.0
        assert r_precision(text, motion, same=same, **kept)[0] == 1.0

    def test_matching_distance(self):
        text = torch.zeros(2, 2)
        assert matching_distance(text, torch.tensor(((3.0, 4), (0, 1)))) == pytest.approx(3.0)

    def test_wrong_use(self):
        with pytest.raises(UsageError, match="batches hold 32"):
            r_precision(
                torch.zeros(31, 2),
                torch.zeros(31, 2),
                same=torch.eye(31).bool(),
                generator=seeded(),
            )
        with pytest.raises(UsageError, match="give pairs"):
            matching_distance(torch.zeros(3, 2), torch.zeros(2, 2))


class TestDistributions:
    """Against closed forms of two known Gaussians."""

    mean, spread = torch.tensor((0.0, 0, 0)), torch.tensor((2.0, 1.0, 0.5))
    far, wide = torch.tensor((1.0, -1, 0.5)), torch.tensor((1.0, 1.0, 1.0))

    def test_frechet_distance_of_two_gaussians(self):
        a = gaussian(40_000, self.mean, self.spread, 0)
        b = gaussian(40_000, self.far, self.wide, 1)
        exact = float(
            (self.far - self.mean).square().sum() + (self.spread - self.wide).square().sum()
        )
        assert frechet_distance(a, b) == pytest.approx(exact, rel=0.03)
        # The first component alone is the widest axis of the real one.
        first = float(self.far[0] ** 2 + (self.spread[0] - self.wide[0]) ** 2)
        assert frechet_distance(a, b, components=1) == pytest.approx(first, rel=0.05)

    def test_a_set_is_at_no_distance_from_itself(self):
        a = gaussian(50, self.mean, self.spread, 0)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(a, a + 1) == pytest.approx(3.0)

    def test_kernel_distance_is_unbiased_where_the_other_is_not(self):
        draws = [gaussian(40, self.mean, self.wide, s) for s in range(200)]
        pairs = list(zip(draws[::2], draws[1::2], strict=True))
        kid = torch.tensor([kernel_distance(a, b) for a, b in pairs])
        fid = torch.tensor([frechet_distance(a, b) for a, b in pairs])
        assert abs(float(kid.mean())) < 3 * float(kid.std()) / 10
        assert float(fid.mean()) > 3 * float(fid.std()) / 10

    def test_kernel_distance_slow_twin(self):
        a, b = gaussian(7, self.mean, self.spread, 0), gaussian(5, self.far, self.wide, 1)
        a = a - a.mean(0)
        b = b - 0.1

        def k(x, y):
            return (float(x @ y) / 3 + 1) ** 3

        aa = [k(a[i], a[j]) for i in range(7) for j in range(7) if i != j]
        bb = [k(b[i], b[j]) for i in range(5) for j in range(5) if i != j]
        ab = [k(x, y) for x in a for y in b]
        expected = sum(aa) / 42 + sum(bb) / 20 - 2 * sum(ab) / 35
        # All components are kept, so the kernel sees the same products.
        assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9)

    def test_few_rows_and_wrong_use(self):
        a = gaussian(3, self.mean, self.spread, 0)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
        with pytest.raises(UsageError, match="two or more rows"):
            frechet_distance(a[:1], a)


class TestSpread:
    def test_diversity_of_two_points(self):
        two = torch.tensor(((0.0, 0), (3.0, 4)))
        assert diversity(two, generator=seeded()) == 5.0
        assert multimodality(torch.stack((two, 2 * two)), generator=seeded()) == pytest.approx(7.5)

    def test_diversity_is_the_mean_over_pairs(self):
        points = torch.randn(30, 4, generator=seeded())
        each = [
            float((points[i] - points[j]).norm()) for i in range(30) for j in range(30) if i != j
        ]
        found = diversity(points, generator=seeded(1), pairs=40_000)
        assert found == pytest.approx(sum(each) / len(each), rel=0.01)

    def test_one_is_not_diverse(self):
        with pytest.raises(UsageError, match="at least 2"):
            diversity(torch.zeros(1, 3), generator=seeded())


class TestRepeated:
    def test_interval_of_a_known_spread(self):
        found = repeated(lambda g: float(torch.randn(1, generator=g)), repetitions=400)
        assert abs(found.mean) < 0.2 and found.half_width == pytest.approx(1.96 / 20, rel=0.1)
        again = repeated(lambda g: float(torch.randn(1, generator=g)), repetitions=400)
        assert found == again

    def test_one_draw_has_no_interval(self):
        with pytest.raises(UsageError, match="at least 2"):
            repeated(lambda _: 0.0, repetitions=1)
