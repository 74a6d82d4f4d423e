"""The camera's motion in each shot, where its path is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.recovery.camera_kind import CameraKind
from humanmotion.recovery.focal import FocalEstimate
from humanmotion.recovery.odometry import TRACKED_SIDE, CameraMotion
from humanmotion.recovery.shots import Shot

AT_REST = 1e-5
"""Of a rotation matrix."""
ROUNDING = 4e-6
"""Of a place, as a share of its distance from the world's origin."""
MUCH = 0.02
"""What a lens may zoom, or its middle lie off the picture's (as a share of its longer side), unsaid."""


def known_motions(
    camera: Camera, *, shots: Sequence[Shot], scale: float = 1.0
) -> tuple[CameraMotion, ...]:
    """The motion of a known `camera` in each shot, in place of what the background would say.

    Its world may have any axes and any scale, as that of structure from motion has. Turns are taken
    from it and whether the camera travels, not where it stands: that is found from the body, as is how
    shots stand to each other. The focal length is the median of each shot, in pixels `scale` times as
    large as the camera's; the picture's middle is taken for the lens', with a warning where it is not.
    """
    return tuple(_motion(camera[slice(shot.start, shot.stop)], scale) for shot in shots)


def _motion(camera: Camera, scale: float) -> CameraMotion:
    R_c2w = camera.R_w2c.transpose(-1, -2)
    place = -(R_c2w @ camera.t_w2c[..., None])[..., 0]
    turn = camera.R_w2c[0] @ R_c2w
    path = (place - place[0]) @ camera.R_w2c[0].T
    kind = _kind(turn, path, reach=float(place.norm(dim=-1).max()))
    focal = float(camera.K[:, [0, 1], [0, 1]].mean(-1).median())
    return CameraMotion(
        kind=kind,
        R_c2c0=torch.eye(3).expand_as(turn).clone() if kind == "static" else turn,
        t_c2c0=path if kind == "moving" else torch.zeros_like(path),
        flow_px=_flow(turn, focal, max(camera.width, camera.height)),
        confidence=1.0,
        focal=FocalEstimate(focal / scale, 0.0, "given"),
        warnings=_lens_warnings(camera),
    )


def _kind(turn: Tensor, path: Tensor, *, reach: float) -> CameraKind:
    if float(path.abs().max()) > ROUNDING * reach:
        return "moving"
    return "pan" if float((turn - turn[0]).abs().max()) > AT_REST else "static"


def _lens_warnings(camera: Camera) -> tuple[str, ...]:
    focal = camera.K[:, [0, 1], [0, 1]].mean(-1)
    middle = camera.K.new_tensor((camera.width / 2, camera.height / 2))
    off = float((camera.K[:, :2, 2] - middle).norm(dim=-1).max())
    zoom = float(focal.max() / focal.min())
    warnings = []
    if zoom > 1 + MUCH:
        warnings.append(
            f"the given lens zooms by {zoom:.2f}; one focal length is used for the shot"
        )
    if off > MUCH * max(camera.width, camera.height):
        warnings.append(f"the given lens' middle, {off:.0f} px off, is taken to be the picture's")
    return tuple(warnings)


def _flow(turn: Tensor, focal: float, side: int) -> Tensor:
    """Motion of what lies far away in the middle of the picture since the frame before, `(n)`."""
    middle = turn[:, :, 2]
    step = torch.linalg.cross(middle[1:], middle[:-1], dim=-1).norm(dim=-1).clamp(max=1).asin()
    return torch.cat((step.new_zeros(1), step * focal * TRACKED_SIDE / side))
