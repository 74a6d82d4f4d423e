"""What poses are common: a Gaussian over the joints and the range each joint stays in.

The weakest prior that keeps an ambiguous fit human. The numbers were measured on motion capture
(see docs/model_cards/pose_statistics.md) and are shipped; rotation vectors in radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.files import asset, read_npz

Floats = NDArray[np.float64]
WEIGHT = 1.0
"""One sigma of the statistics costs as much as one sigma of a keypoint coordinate."""
LIMIT_SIGMA = 0.1
"""Radians beyond a limit that cost one sigma."""


@dataclass(frozen=True)
class PoseStatistics:
    """Mean, precision and limits of the `n` numbers of one pose field (63 body, 45 hand)."""

    mean: Tensor
    """`(n)`."""
    precision: Tensor
    """Inverse covariance `(n, n)`, symmetric positive definite."""
    low: Tensor
    """Value that 0.5 % of the frames stay below, `(n)`."""
    high: Tensor
    """Value that 0.5 % of the frames exceed, `(n)`."""

    @classmethod
    def load(
        cls, field: Literal["body_pose", "left_hand_pose", "right_hand_pose"]
    ) -> PoseStatistics:
        """The shipped statistics of one field."""
        names = ("mean", "precision", "low", "high")
        arrays = read_npz(asset("pose_statistics.npz"), keys=[f"{field}/{n}" for n in names])
        return cls(**{n: torch.from_numpy(arrays[f"{field}/{n}"]) for n in names})

    def add_to(self, blocks: Tensor, right: Tensor, *, pose: Tensor, columns: slice) -> None:
        """Add the prior and the soft limits on `pose` `(T, n)` to normal equations, in place.

        `blocks` `(T, P, P)` and `right` `(T, P)`; `columns` are the n unknowns of this field.
        """
        weight = WEIGHT**2
        blocks[:, columns, columns] += weight * self.precision
        right[:, columns] -= weight * (pose - self.mean) @ self.precision
        beyond = (pose - self.high).clamp(min=0) + (pose - self.low).clamp(max=0)
        push = (beyond != 0).to(pose.dtype) / LIMIT_SIGMA**2
        blocks[:, columns, columns] += torch.diag_embed(push)
        right[:, columns] -= push * beyond


def measure(poses: Floats, weights: Floats) -> dict[str, NDArray[np.float32]]:
    """Statistics of `poses` `(N, n)`; `weights` `(N, n)` is 0 where a joint was not recorded.

    Covariances are taken over the frames that have both numbers; what that leaves indefinite is
    clipped to an eigenvalue of (2 degrees)^2, which also keeps frozen joints from being certain.
    """
    total = weights.sum(0)
    mean = (poses * weights).sum(0) / total
    centred = (poses - mean) * weights
    covariance = (centred.T @ centred) / (weights.T @ weights)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, np.deg2rad(2.0) ** 2)
    precision = (vectors / values) @ vectors.T
    limits = [
        np.quantile(poses[weights[:, i] > 0, i], (0.005, 0.995)) for i in range(poses.shape[1])
    ]
    low, high = np.array(limits).T
    out = {"mean": mean, "precision": (precision + precision.T) / 2, "low": low, "high": high}
    return {key: value.astype(np.float32) for key, value in out.items()}
