"""COLMAP's text model: cameras.txt and images.txt, both ways.

COLMAP's poses are world-to-camera with OpenCV axes and its principal point counts from the corner
of the picture, all as ours; its world has no up, so coordinates are passed through.
Source: COLMAP documentation, "Output Format".
"""

from __future__ import annotations

import re
from pathlib import Path

import roma
import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import read_text, writable_folder, write_text
from humanmotion.io.fields import naming

_FOCAL_COUNT = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2}
"""Supported camera model to its number of focal lengths; what follows cx, cy is distortion."""


def read_colmap(folder: str | Path) -> Camera:
    """The cameras of a COLMAP text folder, one frame an image, in the order of image names.

    Numbers in names count as numbers: frame_2 comes before frame_10.

    Raises FileFormatError: a damaged line, an unsupported model, lens distortion (undistort
    first), or images of several sizes.
    """
    folder = Path(folder)
    cameras = _read_cameras(folder / "cameras.txt")
    rows = sorted(_read_images(folder / "images.txt"), key=lambda row: _natural(row[0]))
    if not rows:
        raise FileFormatError(f"{folder / 'images.txt'} lists no images")
    missing = {row[1] for row in rows} - set(cameras)
    if missing:
        raise FileFormatError(f"{folder / 'images.txt'} names cameras {sorted(missing)} that lack")
    sizes = {cameras[row[1]][:2] for row in rows}
    if len(sizes) > 1:
        raise FileFormatError(f"{folder} has pictures of several sizes: {sorted(sizes)}")
    pose = torch.tensor([row[2] for row in rows], dtype=torch.float64)
    quaternion_xyzw = torch.nn.functional.normalize(pose[:, [1, 2, 3, 0]], dim=-1)
    width, height = sizes.pop()
    with naming(folder):
        return Camera(
            K=torch.stack([cameras[row[1]][2] for row in rows]).float(),
            R_w2c=roma.unitquat_to_rotmat(quaternion_xyzw).float(),
            t_w2c=pose[:, 4:].float(),
            width=width,
            height=height,
        )


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def write_colmap(folder: str | Path, camera: Camera) -> None:
    """Write cameras.txt, images.txt (and an empty points3D.txt, which COLMAP wants) to a folder.

    Images are named frame_000000.png ...; equal intrinsics share one PINHOLE camera. Raises
    UsageError for intrinsics with skew, which COLMAP's models cannot hold.
    """
    if len(camera) and float(camera.K[:, 0, 1].abs().max()) > 1e-6:
        raise UsageError("the camera has skew; COLMAP's PINHOLE model cannot hold it")
    folder = writable_folder(folder)
    K = camera.K.double()
    unique, which = torch.unique(K.reshape(-1, 9), dim=0, return_inverse=True)
    lines = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, fx, fy, cx, cy"]
    for number, row in enumerate(unique.tolist(), 1):
        values = _numbers((row[0], row[4], row[2], row[5]))
        lines.append(f"{number} PINHOLE {camera.width} {camera.height} {values}")
    write_text(folder / "cameras.txt", "\n".join(lines) + "\n")
    quaternion_xyzw = roma.rotmat_to_unitquat(camera.R_w2c.double())
    rows = torch.cat((quaternion_xyzw[:, [3, 0, 1, 2]], camera.t_w2c.double()), -1).tolist()
    lines = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME (then a line of points)"]
    for frame, (row, at) in enumerate(zip(rows, which.tolist(), strict=True)):
        lines += [f"{frame + 1} {_numbers(row)} {at + 1} frame_{frame:06d}.png", ""]
    write_text(folder / "images.txt", "\n".join(lines) + "\n")
    write_text(folder / "points3D.txt", "# no points\n")


def _numbers(values: tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{value:.12g}" for value in values)


def _read_cameras(path: Path) -> dict[int, tuple[int, int, Tensor]]:
    """Camera id to width, height, K `(3, 3)`."""
    found = {}
    for number, line in _lines(path):
        parts = line.split()
        try:
            name, width, height = int(parts[0]), int(parts[2]), int(parts[3])
            model, values = parts[1], [float(p) for p in parts[4:]]
        except (ValueError, IndexError) as error:
            raise FileFormatError(f"{path} line {number} is not a camera: {error}") from error
        if model not in _FOCAL_COUNT:
            raise FileFormatError(
                f"{path} line {number}: model {model}; accepted are {', '.join(_FOCAL_COUNT)}"
            )
        focal = _FOCAL_COUNT[model]
        if len(values) < focal + 2:
            raise FileFormatError(f"{path} line {number} has too few parameters for {model}")
        if any(values[focal + 2 :]):
            raise FileFormatError(f"{path} line {number} has lens distortion; undistort first")
        cx, cy = values[focal : focal + 2]
        rows = [[values[0], 0.0, cx], [0.0, values[focal - 1], cy], [0.0, 0.0, 1.0]]
        found[name] = (width, height, torch.tensor(rows, dtype=torch.float64))
    return found


def _read_images(path: Path) -> list[tuple[str, int, list[float]]]:
    """Name, camera id and qw qx qy qz tx ty tz of each image."""
    found = []
    # Every image has a second line, its 2D points, which may be empty.
    content = [(n, x) for n, x in enumerate(read_text(path).splitlines(), 1)
               if not x.startswith("#")]  # fmt: skip
    while content and not content[0][1].strip():
        content.pop(0)
    for number, line in content[::2]:
        if not line.strip():
            continue
        parts = line.split(maxsplit=9)
        try:
            pose, camera, name = [float(p) for p in parts[1:8]], int(parts[8]), parts[9]
        except (ValueError, IndexError) as error:
            raise FileFormatError(f"{path} line {number} is not an image: {error}") from error
        if not sum(q * q for q in pose[:4]) > 1e-12:
            raise FileFormatError(f"{path} line {number} has no rotation (zero quaternion)")
        found.append((name, camera, pose))
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    content = enumerate(read_text(path).splitlines(), 1)
    return [(n, line) for n, line in content if line.strip() and not line.startswith("#")]
