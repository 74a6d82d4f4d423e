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

ROTATION_TOLERANCE = 1e-3


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
        if frames and (gap > ROTATION_TOLERANCE).any():
            raise MotionError(f"R_w2c is no rotation at frame {int(gap.argmax())}")
        if self.width <= 0 or self.height <= 0:
            raise MotionError(f"camera image size {self.width}x{self.height} must be positive")

    def __len__(self) -> int:
        return len(self.t_w2c)

    def __getitem__(self, frames: slice | Tensor) -> Camera:
        return replace(
            self, K=self.K[frames], R_w2c=self.R_w2c[frames], t_w2c=self.t_w2c[frames]
        )

    @property
    def centre(self) -> Tensor:
        """Camera position in the world, `(T, 3)` metres."""
        return -(self.R_w2c.transpose(-1, -2) @ self.t_w2c[..., None])[..., 0]

    def to_camera(self, points: Tensor) -> Tensor:
        """World points `(T, ..., 3)` to camera coordinates `(T, ..., 3)`, metres."""
        flat = points.reshape(points.shape[0], -1, 3)
        out = flat @ self.R_w2c.transpose(-1, -2) + self.t_w2c[:, None]
        return out.reshape(points.shape)

    def project(self, points: Tensor) -> Tensor:
        """World points `(T, ..., 3)` in metres to pixels `(T, ..., 2)`.

        Points behind the camera have no image; their coordinates are finite but meaningless.
        """
        return project(self.to_camera(points), self.K)

    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Pixels `(T, ..., 2)` at `depth` `(T, ...)` metres along z to world points `(T, ..., 3)`."""
        flat = pixels.reshape(pixels.shape[0], -1, 2)
        rays = torch.cat((flat, torch.ones_like(flat[..., :1])), -1)
        rays = rays @ torch.linalg.inv(self.K).transpose(-1, -2)
        cam = rays * depth.reshape(depth.shape[0], -1, 1)
        world = (cam - self.t_w2c[:, None]) @ self.R_w2c
        return world.reshape(*pixels.shape[:-1], 3)


def project(points: Tensor, K: Tensor) -> Tensor:
    """Camera-space points `(T, ..., 3)` to pixels `(T, ..., 2)` with `K` `(T, 3, 3)`."""
    flat = points.reshape(points.shape[0], -1, 3)
    # A depth of zero would give infinite pixels and NaN gradients; 1 mm is nearer than any lens.
    z = flat[..., 2:]
    z = torch.where(z.abs() < 1e-3, torch.full_like(z, 1e-3), z)
    xy = (flat / z) @ K.transpose(-1, -2)
    return xy[..., :2].reshape(*points.shape[:-1], 2)


def intrinsics(focal: Tensor | float, *, width: int, height: int) -> Tensor:
    """`(..., 3, 3)` intrinsics from a focal length in pixels, principal point at the centre."""
    focal = torch.as_tensor(focal, dtype=torch.get_default_dtype())
    K = torch.zeros(*focal.shape, 3, 3)
    K[..., 0, 0] = K[..., 1, 1] = focal
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = width / 2, height / 2, 1.0
    return K


def default_focal(width: int, height: int) -> float:
    """Focal length in pixels when nothing is known: the image diagonal (as GVHMR), 53 degrees."""
    return math.hypot(width, height)
