"""What kind of file a path is: by its ending, and where one ending serves many, by its content."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from humanmotion.errors import FileFormatError, InputError, UsageError
from humanmotion.files import existing_file, npz_shapes, read_json
from humanmotion.motion import MAX_FRAMES

Format = Literal[
    "motion", "amass", "smplx_params", "keypoints", "body", "bvh", "glb", "trc", "csv",
    "openpose", "coco_wholebody", "cameras", "colmap", "video",
]  # fmt: skip
EXTENSIONS: dict[str, str] = {
    ".npz": "motion.npz, AMASS, SMPL-X parameters, keypoints or a body, told apart by their keys",
    ".bvh": "skeleton and motion",
    ".glb": "skinned, animated body (written only)",
    ".trc": "joints as markers for OpenSim",
    ".csv": "joint positions",
    ".json": "OpenPose, COCO-WholeBody or cameras.json, told apart by their keys",
    "folder": "OpenPose files (one a frame) or a COLMAP text model",
}
"""Endings that are understood, and what lies behind them."""
MAX_NUMBERS = 400_000_000
"""In one npz: 1.6 GB as float32."""
_FRAME_KEYS = ("times", "trans", "poses", "global_orient", "body_pose", "root_orient", "xy")
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
_BY_ENDING: dict[str, Format] = {".bvh": "bvh", ".glb": "glb", ".trc": "trc", ".csv": "csv"}
_NPZ_MARKS: dict[Format, tuple[frozenset[str], ...]] = {
    "motion": (frozenset({"version", "global_orient"}),),
    "keypoints": (frozenset({"keypoints_version"}),),
    "body": (frozenset({"v_template"}),),
    "amass": (frozenset({"trans", "poses"}), frozenset({"trans", "root_orient"})),
    "smplx_params": (frozenset({"global_orient", "body_pose"}),),
}
"""Keys of which one set must be there in full; the first kind that fits."""


def sniff(path: str | Path) -> Format:
    """The format of a file or folder.

    Raises UsageError for an ending that is not understood, InputError where nothing is there,
    FileFormatError for content that fits no format, or two of them.
    """
    path = Path(path)
    if path.is_dir():
        return _sniff_folder(path)
    ending = path.suffix.lower()
    existing_file(path)
    if ending not in EXTENSIONS and ending not in VIDEO_ENDINGS:
        raise unknown_ending(path)
    if ending == ".npz":
        return _sniff_npz(path)
    if ending == ".json":
        return _sniff_json(path)
    return _BY_ENDING.get(ending, "video")


def unknown_ending(path: Path) -> UsageError:
    """The error for an ending that is not understood."""
    accepted = ", ".join((*EXTENSIONS, *VIDEO_ENDINGS))
    return UsageError(f"{path} has the ending {path.suffix or 'none'!r}; accepted are {accepted}")


def _sniff_folder(path: Path) -> Format:
    if (path / "images.txt").exists() and (path / "cameras.txt").exists():
        return "colmap"
    if (path / "motion.npz").exists():
        raise UsageError(f"{path} is a folder of results; name the file, {path / 'motion.npz'}")
    if any(path.glob("*.json")):
        return "openpose"
    raise InputError(f"folder {path} holds neither OpenPose files nor a COLMAP text model")


def _sniff_npz(path: Path) -> Format:
    shapes = npz_shapes(path)
    keys = set(shapes)
    fits = [kind for kind, marks in _NPZ_MARKS.items() if any(mark <= keys for mark in marks)]
    if "motion" in fits and "smplx_params" in fits:
        # Our own file uses smplx's names; its version key tells it apart.
        fits.remove("smplx_params")
    if len(fits) > 1:
        raise FileFormatError(f"{path} could be {' or '.join(fits)}; remove the keys of one")
    if not fits:
        some = ", ".join(sorted(k[:40] for k in keys)[:8]) or "none"
        raise FileFormatError(
            f"{path} holds the keys {some}; expected those of motion.npz, AMASS, SMPL-X "
            "parameters, keypoints or a body"
        )
    if fits[0] != "body":
        _check_size(path, {key: shape for key, (shape, _) in shapes.items()})
    return fits[0]


def _check_size(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse, from the headers, what would fill the memory once its numbers are read."""
    if sum(map(math.prod, shapes.values())) > MAX_NUMBERS:
        raise FileFormatError(
            f"{path} claims to unpack to more than {MAX_NUMBERS} numbers; it is not read"
        )
    frames = max((shapes[key][0] for key in _FRAME_KEYS if shapes.get(key)), default=0)
    if frames > MAX_FRAMES:
        raise FileFormatError(
            f"{path} has {frames} frames; at most {MAX_FRAMES} are read, so split it"
        )


def _sniff_json(path: Path) -> Format:
    value: Any = read_json(path)
    keys = set(value) if isinstance(value, dict) else set()
    if "people" in keys:
        return "openpose"
    if {"images", "annotations"} <= keys:
        return "coco_wholebody"
    if {"version", "frames", "width"} <= keys:
        return "cameras"
    if {"version", "shots", "quality"} <= keys:
        raise UsageError(f"{path} is the report of a reconstruction; its motion is in motion.npz")
    raise FileFormatError(f"{path} is JSON, but neither OpenPose, COCO-WholeBody nor cameras.json")
