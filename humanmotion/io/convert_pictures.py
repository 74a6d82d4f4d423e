"""Keypoints to keypoints and cameras to cameras, chosen by the paths' endings."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.files import read_json
from humanmotion.io.cameras_json import read_cameras_json, write_cameras_json
from humanmotion.io.colmap import read_colmap, write_colmap
from humanmotion.io.keypoints_json import (
    read_coco_wholebody,
    read_openpose,
    write_coco_wholebody,
    write_openpose,
)
from humanmotion.io.keypoints_npz import read_keypoints_npz, write_keypoints_npz
from humanmotion.io.npz import read_camera, read_motion
from humanmotion.io.sniff import Format, unknown_ending
from humanmotion.io.targets import check_colmap, check_file, check_openpose, remove_old_frames
from humanmotion.keypoints import Keypoints

DEFAULT_FPS = 30.0
_ASSUMED = f"no times in the source; {DEFAULT_FPS:g} frames a second assumed (--fps)"


def convert_keypoints(
    source: Path,
    target: Path,
    *,
    kind: Format,
    size: tuple[int, int] | None,
    fps: float | None,
    overwrite: bool,
) -> tuple[str, ...]:
    """To .npz (one person), COCO-WholeBody .json or an OpenPose folder; returns notes.

    Raises UsageError, also for an `fps` that neither file has a place for or that the source
    contradicts; OutputError as the checks of targets do.
    """
    folder = _is_folder(target)
    if not folder and target.suffix.lower() not in (".npz", ".json"):
        raise UsageError(f"{target} cannot hold keypoints; accepted are .npz, .json and a folder")
    if folder:
        _no_fps(fps, f"{target} is an OpenPose folder")
        check_openpose(target, overwrite=overwrite)
    else:
        check_file(target, overwrite=overwrite)
    people, timed = read_people(source, kind, size, fps=fps)
    notes: tuple[str, ...] = () if timed or fps is not None or folder else (_ASSUMED,)
    if not people:
        raise UsageError(f"{source} holds no person; nothing to convert")
    if folder:
        write_openpose(target, people)
        remove_old_frames(target, len(people[0]))
    elif target.suffix.lower() == ".json":
        write_coco_wholebody(target, people)
    else:
        write_keypoints_npz(target, people[0])
        if len(people) > 1:
            notes += (f"the first of {len(people)} people is written",)
    return notes


def convert_cameras(
    source: Path, target: Path, *, kind: Format, fps: float | None, overwrite: bool
) -> tuple[str, ...]:
    """To cameras.json or a COLMAP folder; returns notes. Raises as `convert_keypoints`."""
    folder = _is_folder(target)
    if not folder and target.suffix.lower() != ".json":
        raise unknown_ending(target)
    if folder:
        _no_fps(fps, f"{target} is a COLMAP folder")
        check_colmap(target, overwrite=overwrite)
    else:
        check_file(target, overwrite=overwrite)
    camera, times = read_any_camera(source, kind)
    left = ("only the camera is written, not the motion",) if kind == "motion" else ()
    if folder:
        write_colmap(target, camera)
        return left
    steps = torch.arange(len(camera), dtype=torch.float64) / (fps or DEFAULT_FPS)
    write_cameras_json(target, camera, times=steps if times is None else times)
    return (*left, _ASSUMED) if times is None and fps is None else left


def _is_folder(target: Path) -> bool:
    return target.suffix == "" or (
        target.is_dir() and target.suffix.lower() not in (".npz", ".json")
    )


def _no_fps(fps: float | None, where: str) -> None:
    if fps is not None:
        raise UsageError(f"{where}, which stores no times; leave --fps out")


def read_people(
    path: Path, kind: Format, size: tuple[int, int] | None, *, fps: float | None
) -> tuple[list[Keypoints], bool]:
    """Everyone in a keypoint file of this format, and whether it states its times.

    Raises UsageError for OpenPose files without the picture's `size`, and for an `fps` that the file
    contradicts.
    """
    if kind == "keypoints":
        return [read_keypoints_npz(path)], True
    rate = fps or DEFAULT_FPS
    if kind == "coco_wholebody":
        people = read_coco_wholebody(path, fps=rate)
        timed = all("timestamp" in image for image in read_json(path)["images"])
        if timed and fps is not None:
            raise UsageError(f"{path} states the time of every image; leave --fps out")
        return people, timed
    if size is None:
        raise UsageError(
            f"{path}: OpenPose files lack the picture's size; give it as --size WIDTHxHEIGHT"
        )
    return [read_openpose(path, width=size[0], height=size[1], fps=rate)], False


def read_any_camera(path: Path, kind: Format) -> tuple[Camera, Tensor | None]:
    """The camera of a COLMAP, cameras.json or motion file, and its times where the file has them.

    Raises UsageError for a motion without a camera.
    """
    if kind == "colmap":
        return read_colmap(path), None
    if kind == "cameras":
        return read_cameras_json(path)
    camera = read_camera(path)
    if camera is None:
        raise UsageError(
            f"{path} holds no camera; a motion is written to .npz, .bvh, .glb, .trc or .csv"
        )
    return camera, read_motion(path).times
