"""Camera: an OpenCV pinhole camera and its path over time.

x right, y down, z forward; `x_cam = R_w2c @ x_world + t_w2c`; `K` in pixels of the upright image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.checks import check_tensor
from humanmotion.errors import MotionError
from humanmotion.rotations import between_vectors

ROTATION_TOLERANCE = 1e-3
LAST_ROW_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Camera:
    """A camera over `T` frames; checks itself when built (raises MotionError)."""

    K: Tensor
    """Intrinsics `(T, 3, 3)` in pixels."""
    R_w2c: Tensor
    """World-to-camera rotation `(T, 3, 3)`."""
    t_w2c: Tensor
    """World-to-camera translation `(T, 3)` in metres."""
    width: int
    """Image width in pixels."""
    height: int
    """Image height in pixels."""

    def __post_init__(self) -> None:
        frames = len(self.t_w2c)
        for name, tail in (("K", (3, 3)), ("R_w2c", (3, 3)), ("t_w2c", (3,))):
            check_tensor(name, getattr(self, name), (frames, *tail))
        eye = torch.eye(3, dtype=self.R_w2c.dtype, device=self.R_w2c.device)
        gap = (self.R_w2c @ self.R_w2c.transpose(-1, -2) - eye).abs().amax((-1, -2))
        bad = (gap > ROTATION_TOLERANCE) | (torch.linalg.det(self.R_w2c) < 0)
        if bad.any():
            raise MotionError(f"R_w2c is no rotation at frame {int(bad.nonzero()[0])}")
        focal, last = self.K[:, [0, 1], [0, 1]], self.K[:, 2]
        bad = (focal <= 0).any(-1)
        if bad.any():
            raise MotionError(f"K has no positive focal length at frame {int(bad.nonzero()[0])}")
        bad = ((last - last.new_tensor((0.0, 0.0, 1.0))).abs() > LAST_ROW_TOLERANCE).any(-1)
        if bad.any():
            raise MotionError(f"the last row of K is not 0 0 1 at frame {int(bad.nonzero()[0])}")
        if self.width <= 0 or self.height <= 0:
            raise MotionError(f"camera image size {self.width}x{self.height} must be positive")

    def __len__(self) -> int:
        return len(self.t_w2c)

    def __getitem__(self, frames: slice | Tensor) -> Camera:
        """The camera at some frames (a slice, or int64 indices)."""
        return replace(self, K=self.K[frames], R_w2c=self.R_w2c[frames], t_w2c=self.t_w2c[frames])

    @property
    def centre(self) -> Tensor:
        """Camera position in the world, `(T, 3)` metres."""
        return -(self.R_w2c.transpose(-1, -2) @ self.t_w2c[..., None])[..., 0]

    def to_camera(self, points: Tensor) -> Tensor:
        """World points `(T, ..., 3)` to camera coordinates `(T, ..., 3)`, metres."""
        return _apply(self.R_w2c, points) + _spread(self.t_w2c, points)

    def project(self, points: Tensor) -> Tensor:
        """World points `(T, ..., 3)` in metres to pixels `(T, ..., 2)`.

        Points behind the camera have no image; their coordinates are finite but meaningless.
        """
        return project(self.to_camera(points), self.K)

    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Pixels `(T, ..., 2)` at `depth` metres along z `(T, ...)` to the world `(T, ..., 3)`."""
        rays = torch.cat((pixels, torch.ones_like(pixels[..., :1])), -1)
        cam = _apply(torch.linalg.inv(self.K), rays) * depth[..., None]
        return _apply(self.R_w2c.transpose(-1, -2), cam - _spread(self.t_w2c, cam))


def project(points: Tensor, K: Tensor) -> Tensor:
    """Camera-space points `(T, ..., 3)` to pixels `(T, ..., 2)` with `K` `(T, 3, 3)`."""
    # A depth of zero would give infinite pixels and NaN gradients; 1 mm is nearer than any lens.
    z = points[..., 2:]
    z = torch.where(z.abs() < 1e-3, torch.full_like(z, 1e-3), z)
    ray = points[..., :2] / z
    return _apply(K[..., :2, :2], ray) + _spread(K[..., :2, 2], ray)


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    """One `(T, n, n)` matrix a frame on `(T, ..., n)` points."""
    return torch.einsum("tij,t...j->t...i", matrix, points)


def _spread(vector: Tensor, points: Tensor) -> Tensor:
    """One `(T, n)` vector a frame, shaped to add to `(T, ..., n)` points."""
    return vector.reshape(len(vector), *[1] * (points.ndim - 2), vector.shape[-1])


def intrinsics(focal: Tensor | float, *, width: int, height: int) -> Tensor:
    """`(..., 3, 3)` intrinsics from a focal length in pixels, principal point at the centre.

    A tensor keeps its dtype and device; a number gives the default dtype.
    """
    focal = torch.as_tensor(focal)
    focal = focal if focal.is_floating_point() else focal.to(torch.get_default_dtype())
    K = focal.new_zeros(*focal.shape, 3, 3)
    K[..., 0, 0] = K[..., 1, 1] = focal
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = width / 2, height / 2, 1.0
    return K


def looking_at(place: Tensor) -> Tensor:
    """Rotation `(..., 3, 3)`, camera axes from those of a camera that looks at `place` `(..., 3)`."""
    return between_vectors(place.new_tensor((0.0, 0.0, 1.0)).expand_as(place), place)


def default_focal(width: int, height: int) -> float:
    """Focal length in pixels when nothing is known: the image diagonal (as GVHMR), 53 degrees."""
    return math.hypot(width, height)
