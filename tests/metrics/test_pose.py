"""Laws of the pose errors, and their slow twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import mpjpe, pa_mpjpe, procrustes, pve
from humanmotion.rotations import rotvec_to_matrix

SHAPES = [(), (3,), (2, 4)]


def _points(shape: tuple[int, ...], seed: int = 0, n: int = 9) -> torch.Tensor:
    return torch.randn(*shape, n, 3, generator=torch.Generator().manual_seed(seed)).double()


def _similar(points: torch.Tensor, seed: int = 5) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    lead = points.shape[:-2]
    turn = rotvec_to_matrix(torch.randn(*lead, 3, generator=g).double())
    size = torch.rand(*lead, 1, 1, generator=g).double() + 0.5
    return size * points @ turn.transpose(-1, -2) + torch.randn(*lead, 1, 3, generator=g).double()


def _slow_procrustes(source: np.ndarray, target: np.ndarray, *, scale: bool) -> np.ndarray:
    """Horn's quaternion method, sharing no step with the SVD."""
    s, t = source - source.mean(0), target - target.mean(0)
    m = s.T @ t
    z = np.array([m[1, 2] - m[2, 1], m[2, 0] - m[0, 2], m[0, 1] - m[1, 0]])
    n = np.zeros((4, 4))
    n[0, 0], n[0, 1:], n[1:, 0] = np.trace(m), z, z
    n[1:, 1:] = m + m.T - np.trace(m) * np.eye(3)
    w, x, y, zz = np.linalg.eigh(n)[1][:, -1]
    r = np.array(
        [
            [1 - 2 * (y * y + zz * zz), 2 * (x * y - w * zz), 2 * (x * zz + w * y)],
            [2 * (x * y + w * zz), 1 - 2 * (x * x + zz * zz), 2 * (y * zz - w * x)],
            [2 * (x * zz - w * y), 2 * (y * zz + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    k = (t * (s @ r.T)).sum() / (s * s).sum() if scale else 1.0
    return k * s @ r.T + target.mean(0)


@pytest.mark.parametrize("scale", [True, False])
def test_procrustes_agrees_with_horns_method(scale: bool) -> None:
    source, target = _points((5,)), _points((5,), 1)
    moved = procrustes(source, target, scale=scale)(source)
    for i in range(5):
        slow = _slow_procrustes(source[i].numpy(), target[i].numpy(), scale=scale)
        np.testing.assert_allclose(moved[i].numpy(), slow, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_procrustes_undoes_a_similarity_and_never_mirrors(shape: tuple[int, ...]) -> None:
    source = _points(shape)
    fit = procrustes(source, _similar(source))
    assert torch.allclose(fit(source), _similar(source), atol=1e-9)
    mirrored = source * torch.tensor((-1.0, 1.0, 1.0)).double()
    determinant = torch.linalg.det(procrustes(source, mirrored).rotation)
    assert torch.allclose(determinant, torch.ones_like(determinant))


def test_procrustes_weight_zero_is_as_if_the_point_were_not_there() -> None:
    source, target = _points(()), _points((), 1)
    weights = torch.ones(9).double()
    weights[4] = 0
    keep = weights > 0
    a = procrustes(source, target, weights=weights)
    b = procrustes(source[keep], target[keep])
    assert torch.allclose(a.rotation, b.rotation) and torch.allclose(a.translation, b.translation)


@pytest.mark.parametrize("shape", SHAPES)
def test_mpjpe_is_blind_to_place_and_pa_to_similarity(shape: tuple[int, ...]) -> None:
    a, b = _points(shape), _points(shape, 1)
    assert mpjpe(a, b).shape == shape
    assert torch.allclose(mpjpe(a + 3.0, b), mpjpe(a, b))
    assert torch.allclose(pa_mpjpe(_similar(a), b), pa_mpjpe(a, b), atol=1e-9)
    assert torch.allclose(mpjpe(a, a), torch.zeros(shape).double())
    assert (pa_mpjpe(a, b) > 0.1).all()


def test_mpjpe_twin() -> None:
    a, b = _points((4,)), _points((4,), 1)
    for i in range(4):
        x, y = a[i] - (a[i, 1] + a[i, 2]) / 2, b[i] - (b[i, 1] + b[i, 2]) / 2
        slow = sum(float((x[j] - y[j]).norm()) for j in range(9)) / 9
        assert float(mpjpe(a, b)[i]) == pytest.approx(slow)


def test_pve_of_a_shifted_mesh_is_zero_and_of_one_moved_vertex_its_share() -> None:
    truth = _points((2,), n=50)
    moved = truth.clone()
    moved[:, 3, 0] += 0.5
    root = truth[:, 0]
    shift = torch.tensor((1.0, 2.0, 3.0)).double()
    error = pve(moved + shift, truth, prediction_root=root + shift, truth_root=root)
    assert torch.allclose(error, torch.full((2,), 0.01).double())


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="one shape"):
        mpjpe(torch.zeros(3, 9, 3), torch.zeros(3, 8, 3))
