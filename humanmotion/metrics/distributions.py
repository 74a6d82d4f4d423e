"""How alike two sets of poses are as a whole: overlap, nearest neighbours, moments, spread.

Distances between poses are mean angles over the joints, in radians. For what each number misses, see
its function; none of them says enough alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import UsageError

ROWS = 256
"""Poses compared with all others at once: memory, not the result, depends on it."""


@dataclass(frozen=True)
class Overlap:
    """Shares of two sets that lie within reach of each other."""

    precision: float
    """Of the made-up poses, those within a real one's ball."""
    recall: float
    """Of the real poses, those within a made-up one's ball; wide sets have large balls and gain."""
    density: float
    """Real balls around a made-up pose, over `k`; above 1 where they crowd."""
    coverage: float
    """Of the real poses, those whose own ball holds a made-up one; no gain from wide sets."""


def overlap(real: Tensor, made_up: Tensor, across: Tensor, *, k: int = 3) -> Overlap:
    """From distances within the sets `(N, N)` and `(M, M)` and between them `(N, M)`.

    A ball reaches to the `k`-th nearest other pose of its own set. Precision and recall: Kynkaanniemi
    et al. 2019, equation 1; density and coverage: Naeem et al. 2020, equations 3 and 5. Raises
    UsageError for shapes that do not fit and for sets of `k` poses or fewer.
    """
    sizes = len(real), len(made_up)
    square = real.shape == (sizes[0],) * 2 and made_up.shape == (sizes[1],) * 2
    if not square or across.shape != sizes or min(sizes) <= k or k < 1:
        raise UsageError(
            f"distances {tuple(real.shape)}, {tuple(made_up.shape)} and {tuple(across.shape)} with "
            f"k = {k} given; give (N, N), (M, M) and (N, M), both over k, and k of at least 1"
        )
    # A pose is its own nearest.
    reach_real, reach_made = (d.kthvalue(k + 1).values for d in (real, made_up))
    in_real = across <= reach_real[:, None]
    in_made = across <= reach_made
    return Overlap(
        precision=float(in_real.any(0).float().mean()),
        recall=float(in_made.any(1).float().mean()),
        density=float(in_real.float().sum(0).mean() / k),
        coverage=float(in_real.any(1).float().mean()),
    )


def pose_distances(a: Tensor, b: Tensor) -> Tensor:
    """Mean angle over the joints `(N, M)`, radians, of rotations `(N, J, 3, 3)` and `(M, J, 3, 3)`."""
    first, second = (x.double().flatten(2).transpose(0, 1) for x in (a, b))  # (J, N or M, 9)
    total = first.new_zeros(len(a), len(b))
    for one, other in zip(first, second, strict=True):
        total += _angle(one @ other.mT)
    return (total / len(first)).to(a.dtype)


def nearest_distances(poses: Tensor, among: Tensor) -> Tensor:
    """Of each pose `(N, J, 3, 3)` the mean angle `(N)`, radians, to its nearest in `(M, J, 3, 3)`.

    Nearest by the sum of squared differences of the matrices, which is one product of matrices and
    hardly another neighbour; published (DPoser, its dNN) is that of quaternions.
    """
    one, other = poses.flatten(1), among.flatten(1)
    rows = torch.cat([(part @ other.mT).argmax(1) for part in one.split(ROWS)])
    traces = (poses.double() * among[rows].double()).sum((-2, -1))
    return _angle(traces).mean(-1).to(poses.dtype)


def _angle(trace: Tensor) -> Tensor:
    """Angles of rotations with these traces; exact to 1e-8 where they are small, in doubles."""
    return 2 * ((3 - trace) / 4).clamp(0, 1).sqrt().asin()


def moment_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance of normal distributions with the moments of `(N, D)` and `(M, D)`.

    `|mean difference|^2 + tr(A + B - 2 (A B)^(1/2))` (Dowson and Landau 1982). It sees means and
    covariances only: a Gaussian fitted to the data has none. DPoser prints it as FID.
    """
    (mean_a, cov_a), (mean_b, cov_b) = ((x.double().mean(0), torch.cov(x.double().mT))
                                        for x in (a, b))  # fmt: skip
    values, axes = torch.linalg.eigh(torch.atleast_2d(cov_a))
    root = (axes * values.clamp(min=0).sqrt()) @ axes.mT
    cross = torch.linalg.eigvalsh(root @ torch.atleast_2d(cov_b) @ root).clamp(min=0).sqrt().sum()
    spread = torch.atleast_2d(cov_a).trace() + torch.atleast_2d(cov_b).trace() - 2 * cross
    return float(((mean_a - mean_b) ** 2).sum() + spread)


def mean_pair_distance(joints: Tensor) -> float:
    """Mean over all pairs of poses of the mean distance of their joints `(N, J, 3)`, as they lie.

    The published APD. Raises UsageError for fewer than two poses.
    """
    count = len(joints)
    if count < 2:
        raise UsageError(f"{count} poses given; pairs need at least 2")
    each = torch.cdist(joints.transpose(0, 1), joints.transpose(0, 1),
                       compute_mode="donot_use_mm_for_euclid_dist")  # fmt: skip
    return float(each.mean(0).sum() / (count * (count - 1)))
