"""From any format to any other, chosen by the paths' endings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.io.amass import read_amass, write_amass
from humanmotion.io.bvh import read_bvh, write_bvh
from humanmotion.io.convert_pictures import convert_cameras, convert_keypoints
from humanmotion.io.gltf import write_glb
from humanmotion.io.hands import Hands
from humanmotion.io.joints_csv import write_joints_csv
from humanmotion.io.npz import read_camera, read_motion, write_motion
from humanmotion.io.onto_body import place_onto_body
from humanmotion.io.smplx_params import foreign_shape, read_smplx_params, write_smplx_params
from humanmotion.io.sniff import Format, sniff
from humanmotion.io.targets import check_file
from humanmotion.io.trc import write_trc
from humanmotion.motion import Motion

MOTION_FORMATS: tuple[Format, ...] = ("motion", "amass", "smplx_params", "bvh")
KEYPOINT_FORMATS: tuple[Format, ...] = ("openpose", "coco_wholebody", "keypoints")
CAMERA_FORMATS: tuple[Format, ...] = ("cameras", "colmap")
MOTION_ENDINGS = (".amass.npz", ".smplx.npz", ".npz", ".bvh", ".glb", ".trc", ".csv")
"""Endings a motion can be written to; plain .npz is motion.npz."""
Units = Literal["metres", "centimetres"]
Content = Literal["motion", "keypoints", "cameras"]


def read_any(path: str | Path, *, body: BodyModel, hands: Hands | None = None) -> Motion:
    """The motion in a file of any format that holds one, on `body`.

    A motion made on another body is put onto this one (see onto_body; noted in `meta["notes"]`).
    `hands="mean"` is for AMASS and SMPL-X parameter files that do not say that their hands are
    measured from the mean hand. Raises UsageError for formats that hold no rotations or where
    `hands` has no meaning, and what the format's own reader raises.
    """
    return read_with_camera(path, body=body, hands=hands)[0]


def read_with_camera(
    path: str | Path, *, body: BodyModel, hands: Hands | None = None, fps: float | None = None
) -> tuple[Motion, Camera | None]:
    """As `read_any`, and the camera of a motion.npz, moved along with its motion.

    `fps` is for SMPL-X parameter files that do not say it.
    """
    kind = sniff(path)
    _check_source_options(path, kind, hands=hands, fps=fps)
    if kind == "motion":
        motion, placement = place_onto_body(read_motion(path), body)
        camera = read_camera(path)
        return motion, None if camera is None else placement.camera(camera)
    if kind == "amass":
        return read_amass(path, body=body, hands=hands), None
    if kind == "smplx_params":
        return read_smplx_params(path, body=body, hands=hands, fps=fps), None
    if kind == "bvh":
        return read_bvh(path, body=body), None
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
    units: Units | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Write a motion by the path's ending (MOTION_ENDINGS); returns notes for the user.

    The camera goes where the format has a place for it (.npz, .glb). `units` are those of a .bvh
    (centimetres if not given). Raises UsageError for another ending or units of another format,
    OutputError when the file exists and `overwrite` is false or cannot be written.
    """
    path = Path(path)
    _check_units(path, units)
    check_file(path, overwrite=overwrite)
    name = path.name.lower()
    if name.endswith(".npz"):
        return _write_npz(path, motion, camera)
    if name.endswith(".bvh"):
        write_bvh(path, motion, body, centimetres=units != "metres")
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


def content(source: str | Path, target: str | Path) -> Content:
    """What a conversion carries over.

    Raises UsageError for a source that cannot be converted, and what `sniff` raises.
    """
    target, kind = Path(target), sniff(source)
    ending = target.suffix.lower()
    pictures = ending in (".json", "") or (target.is_dir() and ending not in MOTION_ENDINGS)
    if kind in KEYPOINT_FORMATS:
        return "keypoints"
    if kind in CAMERA_FORMATS or (kind == "motion" and pictures):
        return "cameras"
    if kind in MOTION_FORMATS:
        return "motion"
    raise UsageError(
        f"{source} is a {kind} file, which holds no joint rotations; conversion starts from "
        "motion.npz, AMASS npz, SMPL-X parameter npz, .bvh, keypoints or cameras"
    )


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    body: BodyModel | None = None,
    hands: Hands | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    units: Units | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Convert motion to motion, keypoints to keypoints, cameras to cameras; returns notes.

    A motion.npz with a camera also converts to cameras (`.json`, or a folder for COLMAP). Motions
    are put onto `body`; without one a motion.npz keeps its own where the target is an npz, and all
    else is put onto the default body. `size` is the picture's width and height, which OpenPose
    files lack; `fps` is for files without times; `hands` and `units` as in `read_any` and
    `write_any`. Raises UsageError for pairs that do not go together and options without meaning
    for them, OutputError for a target that exists unless `overwrite`.
    """
    source, target = Path(source), Path(target)
    carried, kind = content(source, target), sniff(source)
    _check_source_options(source, kind, hands=hands, fps=fps)
    _check_units(target, units)
    if size is not None and kind != "openpose":
        raise UsageError(f"{source} is a {kind} file; --size is for OpenPose files only")
    if carried == "keypoints":
        return convert_keypoints(source, target, kind=kind, size=size, fps=fps, overwrite=overwrite)
    if carried == "cameras":
        return convert_cameras(source, target, kind=kind, fps=fps, overwrite=overwrite)
    check_file(target, overwrite=overwrite)
    if kind == "motion" and body is None and target.suffix.lower() == ".npz":
        motion = read_motion(source)
        return _notes(motion) + _write_npz(target, motion, read_camera(source))
    body = BodyModel.load() if body is None else body
    motion, camera = read_with_camera(source, body=body, hands=hands, fps=fps)
    written = write_any(target, motion, body=body, camera=camera, units=units, overwrite=overwrite)
    return _notes(motion) + written


def _write_npz(path: Path, motion: Motion, camera: Camera | None) -> tuple[str, ...]:
    """The npz formats, which need no body."""
    name = path.name.lower()
    if name.endswith(".amass.npz"):
        write_amass(path, motion)
    elif name.endswith(".smplx.npz"):
        write_smplx_params(path, motion)
    else:
        write_motion(path, motion, camera=camera)
        return ()
    note = foreign_shape(motion)
    return (note,) if note else ()


def _notes(motion: Motion) -> tuple[str, ...]:
    return tuple(motion.meta.get("notes", ()))


def _check_units(target: Path, units: Units | None) -> None:
    if units is not None and target.suffix.lower() != ".bvh":
        raise UsageError(f"{target} has fixed units; --units is for writing .bvh only")


def _check_source_options(
    path: str | Path, kind: Format, *, hands: Hands | None, fps: float | None
) -> None:
    """Refuse options that would have to be ignored."""
    if hands is not None and kind not in ("amass", "smplx_params"):
        raise UsageError(
            f"{path} is a {kind} file; --hands is for AMASS and SMPL-X parameter files only"
        )
    if fps is None:
        return
    if not 0 < fps < 1e6:
        raise UsageError(f"fps {fps} given; it must be above 0 and below 1e6")
    if kind not in ("smplx_params", "openpose", "coco_wholebody", "colmap"):
        raise UsageError(
            f"{path} is a {kind} file, which has a rate of its own; --fps is for OpenPose, COCO, "
            "COLMAP and SMPL-X parameter files that state none"
        )
