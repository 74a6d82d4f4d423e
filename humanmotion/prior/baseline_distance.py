"""A distance field of body poses: how far from the nearest known pose, as a network.

After Pose-NDF (Tiwari et al. 2022) and NRDF (He et al. 2024): training distances are drawn from a
chosen law, directions at random, and a step down the field is as long as the distance it tells.
Distances are Euclidean in whitened numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.errors import FileFormatError
from humanmotion.prior.baselines import pick

NEAREST_NOISE, FARTHEST_NOISE = 0.02, 3.0
"""Noise levels of training poses, per number; their logarithm is uniform."""
CLEAN_SHARE = 0.1
"""Of training poses that carry no noise."""


class DistanceField(nn.Module):
    """Four hidden layers, smooth so that the field has a slope everywhere."""

    def __init__(self, size: int = 63, *, units: int = 512) -> None:
        super().__init__()
        widths = (size, units, units, units, units)
        layers: list[nn.Module] = []
        for into, out in pairwise(widths):
            layers += [nn.Linear(into, out), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(units, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Distances `(...)` of poses `(..., 63)`, never negative."""
        # The unit is that of one standard deviation in every number.
        return float(x.shape[-1] ** 0.5) * functional.softplus(self.layers(x))[..., 0]

    def anchor(self, x: Tensor, rho: float) -> Tensor:
        """Poses `(..., 63)` one Newton step down, no longer than their distance; whatever `rho`."""
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            far = self(at)
            slope = torch.autograd.grad(far.sum(), at)[0]
        steep = slope.norm(dim=-1, keepdim=True)
        shrunk = steep * steep.clamp(min=1.0)
        return x - far.detach()[..., None] * slope / shrunk.clamp(min=1e-12)

    def tensors(self) -> dict[str, Tensor]:
        """All parameters."""
        return {name: value.detach().contiguous() for name, value in self.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> DistanceField:
        """Of `tensors()`; raises FileFormatError where they do not fit."""
        (first,) = pick(tensors, "layers.0.weight")
        field = cls(first.shape[1], units=len(first))
        try:
            field.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise FileFormatError("these weights are not a distance field's") from error
        return _frozen(field)


def distance_loss(
    field: Callable[[Tensor], Tensor], batch: Tensor, generator: torch.Generator, *, known: Tensor
) -> Tensor:
    """Mean error of the distance told of whitened poses `(B, 63)` after noise was put on them.

    `known` `(M, 63)` stand for the data: the true distance is that to the nearest of them.
    """
    x = _noised(batch, generator)
    return (field(x) - nearest_distance(x, known)).abs().mean()


def nearest_distance(x: Tensor, known: Tensor) -> Tensor:
    """Distance `(N)` of each of `x` `(N, 63)` to the nearest of `known` `(M, 63)`."""
    # Distances by products lose the small ones, so that of the nearest is taken again.
    return (x - known[torch.cdist(x, known).argmin(-1)]).norm(dim=-1)


def _noised(poses: Tensor, generator: torch.Generator) -> Tensor:
    """Poses `(B, 63)`, most of them moved by a drawn length in a random direction."""
    count, size = poses.shape
    at = generator.device
    ends = torch.tensor((NEAREST_NOISE, FARTHEST_NOISE), device=at).log()
    share = torch.rand(count, 1, generator=generator, device=at)
    level = torch.lerp(ends[0], ends[1], share).exp()
    level = level * (torch.rand(count, 1, generator=generator, device=at) >= CLEAN_SHARE)
    drawn = torch.randn(count, size, generator=generator, device=at)
    direction = functional.normalize(drawn, dim=-1)
    return poses + (level * size**0.5 * direction).to(poses)


def _frozen(field: DistanceField) -> DistanceField:
    field.eval().requires_grad_(False)
    return field
