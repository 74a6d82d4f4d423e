"""Laws of overlap, neighbours, moments and spread, and slow obvious twins of each."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import (
    mean_pair_distance,
    moment_distance,
    nearest_distances,
    overlap,
    pose_distances,
)
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def poses(count: int, *, spread: float = 0.3, seed: int = 0) -> torch.Tensor:
    return rotvec_to_matrix(spread * noise(count, 5, 3, seed=seed))


def of(real: torch.Tensor, made_up: torch.Tensor, k: int = 3):
    return overlap(
        pose_distances(real, real), pose_distances(made_up, made_up),
        pose_distances(real, made_up), k=k,
    )  # fmt: skip


def test_a_set_overlaps_itself_wholly() -> None:
    found = of(poses(40), poses(40))
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # Each ball holds its own pose and the k others.
    assert found.density == pytest.approx(4 / 3)


def test_sets_far_apart_do_not_overlap() -> None:
    away = poses(30, seed=1) @ rotvec_to_matrix(torch.tensor((2.5, 0.0, 0.0)))
    found = of(poses(30), away)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_a_wide_set_gains_recall_and_no_coverage() -> None:
    real = poses(60)
    wide, alike = of(real, poses(60, spread=0.9, seed=1)), of(real, poses(60, seed=1))
    assert wide.recall > alike.recall and wide.precision < alike.precision
    assert wide.coverage < alike.coverage


def test_a_narrow_set_is_precise_and_recalls_little() -> None:
    found = of(poses(60), poses(60, spread=0.05, seed=1))
    assert found.precision == 1 and found.recall < 0.1


@pytest.mark.parametrize("k", [1, 3])
def test_overlap_is_that_of_its_slow_twin(k) -> None:
    real, made_up = poses(12), poses(9, seed=1)

    def apart(a, b) -> float:
        return float(geodesic_distance(a, b).mean())

    def reach(one, among) -> float:
        return sorted(apart(one, x) for x in among)[k]

    in_real = [[apart(r, m) <= reach(r, real) + 1e-6 for m in made_up] for r in real]
    in_made = [[apart(r, m) <= reach(m, made_up) + 1e-6 for m in made_up] for r in real]
    found = of(real, made_up, k)
    by_sample = list(zip(*in_real, strict=True))
    assert found.precision == pytest.approx(sum(map(any, by_sample)) / 9)
    assert found.recall == pytest.approx(sum(map(any, in_made)) / 12)
    assert found.density == pytest.approx(sum(map(sum, in_real)) / (9 * k))
    assert found.coverage == pytest.approx(sum(map(any, in_real)) / 12)


def test_overlap_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="both over k"):
        of(poses(3), poses(9))
    with pytest.raises(UsageError, match="both over k"):
        overlap(torch.zeros(5, 5), torch.zeros(6, 6), torch.zeros(6, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_are_mean_angles(dtype) -> None:
    a, b = poses(7).to(dtype), poses(4, spread=3.0, seed=1).to(dtype)
    slow = torch.stack([torch.stack([geodesic_distance(x, y).mean() for y in b]) for x in a])
    torch.testing.assert_close(pose_distances(a, b), slow, atol=2e-3, rtol=0)
    assert float(pose_distances(a, a).diagonal().max()) < 2e-3


def test_the_nearest_is_found_whatever_the_blocks() -> None:
    real = poses(300)
    near = real[:270] @ rotvec_to_matrix(torch.tensor((0.0, 0.1, 0.0)))
    torch.testing.assert_close(nearest_distances(near, real), torch.full((270,), 0.1),
                               atol=1e-3, rtol=0)  # fmt: skip
    far = poses(20, seed=1)
    # The nearest by matrices is hardly another than that by angles.
    best = pose_distances(far, real).amin(1)
    found = nearest_distances(far, real)
    assert bool((found >= best - 1e-5).all()) and float((found - best).mean()) < 0.01


def test_moments_of_known_normals() -> None:
    x = noise(400, 3)
    assert moment_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert moment_distance(x, x + torch.tensor((3.0, 0.0, 4.0))) == pytest.approx(25, rel=1e-5)
    # Twice as wide: the trace of the covariance once more.
    assert moment_distance(x, 2 * x - x.mean(0)) == pytest.approx(
        float(torch.cov(x.double().mT).trace()), rel=1e-4
    )
    y = noise(300, 3, seed=1) @ noise(3, 3, seed=2)
    assert moment_distance(x, y) == pytest.approx(moment_distance(y, x), rel=1e-6)


def test_moments_see_no_shape() -> None:
    x = noise(2000, 2)
    ring = 2**0.5 * torch.nn.functional.normalize(x, dim=1)
    assert moment_distance(x, ring) < 0.01


def test_pairs_are_counted_once_each_way() -> None:
    joints = noise(6, 4, 3)
    slow = [float((joints[i] - joints[j]).norm(dim=-1).mean())
            for i in range(6) for j in range(6) if i != j]  # fmt: skip
    assert mean_pair_distance(joints) == pytest.approx(sum(slow) / len(slow), rel=1e-5)
    assert mean_pair_distance(joints[:1].expand(4, -1, -1)) == 0
    with pytest.raises(UsageError, match="at least 2"):
        mean_pair_distance(joints[:1])
