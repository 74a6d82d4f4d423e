"""The path of a camera that is known beforehand, from a file."""

from __future__ import annotations

from pathlib import Path

import torch

from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.io.convert import CAMERA_FORMATS
from humanmotion.io.convert_pictures import read_any_camera
from humanmotion.io.sniff import sniff
from humanmotion.recovery.odometry import KINDS, KindChoice


def check_camera(camera: str | Path, focal: float | None) -> None:
    """Raise UsageError for what is neither a kind nor there, and for a path beside a `focal`."""
    if camera in KINDS:
        return
    if not Path(camera).exists():
        raise UsageError(
            f"camera {str(camera)!r} given; it must be one of {', '.join(KINDS)}, or a file with the "
            "camera's path: cameras.json, motion.npz or a COLMAP text folder"
        )
    check_no_focal(camera, focal)


def kind_or_path(
    camera: str | Path, *, width: int, height: int, frames: int
) -> KindChoice | Camera:
    """The kind of motion that was named, or the path in the file; arguments as `read_camera_path`.

    `frames` is about how many the video has: what is far off is refused before any work.
    """
    for kind in KINDS:
        if camera == kind:
            return kind
    path = read_camera_path(camera, width=width, height=height)
    if abs(len(path) - frames) > max(2, frames // 50):
        of_every_frame(path, frames=frames, path=camera)
    return path


def check_no_focal(path: str | Path, focal: float | None) -> None:
    """Raise UsageError for a focal length beside a file that says it."""
    if focal is not None:
        raise UsageError(f"{path} says the focal length; leave --focal out")


def read_camera_path(path: str | Path, *, width: int, height: int) -> Camera:
    """The camera in a `cameras.json`, a `motion.npz` or a COLMAP text folder.

    `width` and `height` are those of the pictures. Raises UsageError for another kind of file or
    pictures of another size, InputError for a damaged file.
    """
    kind = sniff(Path(path))
    if kind not in CAMERA_FORMATS and kind != "motion":
        raise UsageError(
            f"{path} is a {kind} file; cameras are read from cameras.json, motion.npz and COLMAP"
        )
    camera, _ = read_any_camera(Path(path), kind)
    if (camera.width, camera.height) != (width, height):
        raise UsageError(
            f"{path} is of pictures of {camera.width}x{camera.height}, these are of "
            f"{width}x{height}; give both for the same pictures"
        )
    return camera


def of_every_frame(camera: Camera, *, frames: int, path: str | Path) -> Camera:
    """One camera a frame, from as many or from one; raises UsageError for another number.

    `path` is what the error calls it.
    """
    if len(camera) not in (1, frames):
        raise UsageError(
            f"{path} has {len(camera)} cameras for {frames} frames; give one, or one a frame"
        )
    return camera if len(camera) == frames else camera[torch.zeros(frames).long()]
