"""What would be replaced by writing to a path, asked before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

from humanmotion.errors import OutputError

COLMAP_FILES = ("cameras.txt", "images.txt", "points3D.txt")
_OWN_FRAME = re.compile(r"frame_(\d{12})_keypoints\.json")


def check_file(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError for a folder, and unless `overwrite` for a file that exists."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; pass --overwrite or name another output")


def check_colmap(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError for a file in the folder's place, or unless `overwrite` for a model in it."""
    _check_folder(folder)
    found = [name for name in COLMAP_FILES if (folder / name).exists()]
    if found and not overwrite:
        raise OutputError(
            f"{folder} holds {', '.join(found)} already; pass --overwrite or name another folder"
        )


def check_openpose(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError where frames of another result would be mixed with ours.

    With `overwrite` frames of our own naming may be there (see `remove_old_frames`), others not.
    """
    _check_folder(folder)
    found = sorted(path.name for path in folder.glob("*_keypoints.json"))
    if found and not overwrite:
        raise OutputError(
            f"{folder} holds {found[0]} already; pass --overwrite or name another folder"
        )
    others = [name for name in found if _OWN_FRAME.fullmatch(name) is None]
    if others:
        raise OutputError(
            f"{folder} holds OpenPose files of another program ({others[0]}), which would be read "
            "with ours; name another folder"
        )


def remove_old_frames(folder: Path, frames: int) -> None:
    """Remove what an earlier, longer result left: our frames from number `frames` on."""
    for path in folder.glob("frame_*_keypoints.json"):
        match = _OWN_FRAME.fullmatch(path.name)
        if match is not None and int(match[1]) >= frames:
            path.unlink()


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder, or a file with an ending")
