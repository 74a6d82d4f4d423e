"""From any format to any other, chosen by the paths' endings."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import OutputError, UsageError
from humanmotion.io.amass import read_amass, write_amass
from humanmotion.io.bvh import read_bvh, write_bvh
from humanmotion.io.cameras_json import read_cameras_json, write_cameras_json
from humanmotion.io.colmap import read_colmap, write_colmap
from humanmotion.io.gltf import write_glb
from humanmotion.io.joints_csv import write_joints_csv
from humanmotion.io.keypoints_json import (
    read_coco_wholebody,
    read_openpose,
    write_coco_wholebody,
    write_openpose,
)
from humanmotion.io.keypoints_npz import read_keypoints_npz, write_keypoints_npz
from humanmotion.io.npz import read_camera, read_motion, write_motion
from humanmotion.io.onto_body import onto_body
from humanmotion.io.smplx_params import read_smplx_params, write_smplx_params
from humanmotion.io.sniff import Format, sniff, unknown_ending
from humanmotion.io.trc import write_trc
from humanmotion.keypoints import Keypoints
from humanmotion.motion import Motion

MOTION_FORMATS: tuple[Format, ...] = ("motion", "amass", "smplx_params", "bvh")
KEYPOINT_FORMATS: tuple[Format, ...] = ("openpose", "coco_wholebody", "keypoints")
CAMERA_FORMATS: tuple[Format, ...] = ("cameras", "colmap")
MOTION_ENDINGS = (".amass.npz", ".smplx.npz", ".npz", ".bvh", ".glb", ".trc", ".csv")
"""Endings a motion can be written to; plain .npz is motion.npz."""


def read_any(path: str | Path, *, body: BodyModel) -> Motion:
    """The motion in a file of any format that holds one, on `body`.

    A motion made on another body is put onto this one (see onto_body; noted in `meta["notes"]`).
    Raises UsageError for formats that hold no rotations, and what the format's own reader raises.
    """
    kind = sniff(path)
    if kind == "motion":
        motion = read_motion(path)
        return onto_body(motion, body) if motion.body_id else motion
    if kind == "amass":
        return read_amass(path, body=body)
    if kind == "smplx_params":
        return read_smplx_params(path, body=body)
    if kind == "bvh":
        return read_bvh(path, body=body)
    raise UsageError(
        f"{path} is a {kind} file, which holds no joint rotations; motion is read from motion.npz, "
        "AMASS npz, SMPL-X parameter npz and .bvh"
    )


def write_any(
    path: str | Path,
    motion: Motion,
    *,
    body: BodyModel,
    camera: Camera | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Write a motion by the path's ending (MOTION_ENDINGS); returns notes for the user.

    The camera goes where the format has a place for it (.npz, .glb). Raises UsageError for another
    ending, OutputError when the file exists and `overwrite` is false or cannot be written.
    """
    path = Path(path)
    _check_target(path, overwrite)
    name = path.name.lower()
    if name.endswith(".amass.npz"):
        write_amass(path, motion)
    elif name.endswith(".smplx.npz"):
        write_smplx_params(path, motion)
    elif name.endswith(".npz"):
        write_motion(path, motion, camera=camera)
    elif name.endswith(".bvh"):
        write_bvh(path, motion, body)
    elif name.endswith(".glb"):
        (gap,) = write_glb(path, [(motion, body)], camera=camera)
        return (f"skinned vertices within {1000 * gap:.3f} mm of the body's own",)
    elif name.endswith(".trc"):
        write_trc(path, motion, body)
    elif name.endswith(".csv"):
        write_joints_csv(path, motion, body)
    else:
        raise UsageError(
            f"{path} cannot hold a motion; accepted endings are {', '.join(MOTION_ENDINGS)}"
        )
    return ()


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Convert motion to motion, keypoints to keypoints, cameras to cameras; returns notes.

    A motion.npz with a camera also converts to cameras (`.json`, or a folder for COLMAP). `size` is
    the picture's width and height, which OpenPose files lack. Raises UsageError for pairs that do
    not go together.
    """
    target, kind = Path(target), sniff(source)
    pictures = target.suffix.lower() in (".json", "") or target.is_dir()
    if kind in KEYPOINT_FORMATS:
        _check_target(target, overwrite)
        return _write_keypoints(target, _read_keypoints(Path(source), kind, size))
    if kind in CAMERA_FORMATS or (kind == "motion" and pictures):
        _check_target(target, overwrite)
        return _write_camera(target, *_read_camera(Path(source), kind))
    if kind not in MOTION_FORMATS:
        raise UsageError(f"{source} is a {kind} file, which cannot be converted")
    camera = read_camera(source) if kind == "motion" else None
    # From our own npz to another npz no body is needed, so shape and face stay.
    kept = kind == "motion" and target.suffix.lower() == ".npz"
    motion = read_motion(source) if kept else read_any(source, body=body)
    notes = tuple(str(note) for note in motion.meta.get("notes", ()))
    return notes + write_any(target, motion, body=body, camera=camera, overwrite=overwrite)


def _check_target(path: Path, overwrite: bool) -> None:
    if path.is_file() and not overwrite:
        raise OutputError(f"{path} exists already; pass --overwrite or name another output")


def _read_keypoints(path: Path, kind: Format, size: tuple[int, int] | None) -> list[Keypoints]:
    if kind == "keypoints":
        return [read_keypoints_npz(path)]
    if kind == "coco_wholebody":
        return read_coco_wholebody(path)
    if size is None:
        raise UsageError(f"{path}: OpenPose files lack the picture's size; give it as WIDTHxHEIGHT")
    return [read_openpose(path, width=size[0], height=size[1])]


def _write_keypoints(target: Path, people: list[Keypoints]) -> tuple[str, ...]:
    if not people:
        raise UsageError("the file holds no person; nothing to convert")
    ending = target.suffix.lower()
    if ending == ".npz":
        write_keypoints_npz(target, people[0])
        return (f"the first of {len(people)} people is written",) if len(people) > 1 else ()
    if ending == ".json":
        write_coco_wholebody(target, people)
    elif ending == "" or target.is_dir():
        write_openpose(target, people)
    else:
        raise UsageError(f"{target} cannot hold keypoints; accepted are .npz, .json and a folder")
    return ()


def _read_camera(path: Path, kind: Format) -> tuple[Camera, Tensor | None]:
    if kind == "colmap":
        return read_colmap(path), None
    if kind == "cameras":
        return read_cameras_json(path)
    camera = read_camera(path)
    if camera is None:
        raise UsageError(f"{path} holds no camera; a motion is written to "
                         f"{', '.join(MOTION_ENDINGS)}")  # fmt: skip
    return camera, read_motion(path).times


def _write_camera(target: Path, camera: Camera, times: Tensor | None) -> tuple[str, ...]:
    if target.suffix.lower() == ".json":
        steps = torch.arange(len(camera), dtype=torch.float64) / 30
        write_cameras_json(target, camera, times=steps if times is None else times)
        return () if times is not None else ("no times in the source; 30 frames a second assumed",)
    if target.suffix and not target.is_dir():
        raise unknown_ending(target)
    write_colmap(target, camera)
    return ()
