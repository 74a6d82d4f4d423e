"""SMPL-X parameter npz: arrays under smplx's own argument names, one row a frame.

Written by many fitters; none of them says the rate or which way is up, so `fps` is read when it is
there (30 otherwise) and the world is taken to be ours (z up); both assumptions are noted in `meta`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_npz, write_npz
from humanmotion.io.fields import Arrays, naming, number, numbers
from humanmotion.io.onto_body import onto_body
from humanmotion.io.sampling import require_frames
from humanmotion.motion import JOINTS, POSE_FIELDS, Motion

KEYS = (*POSE_FIELDS, "betas", "expression", "transl", "fps")
DEFAULT_FPS = 30.0


def read_smplx_params(path: str | Path, *, body: BodyModel | None = None) -> Motion:
    """The motion of a parameter file; `global_orient`, `body_pose` are needed, the rest may lack.

    Its body is "smplx", or, with `body`, that one (shape kept when it is an SMPL-X body too, see
    onto_body). Pose arrays may be `(T, n)` or `(T, n/3, 3)`, betas `(10,)`, `(1, 10)` or equal
    rows. Raises FileFormatError otherwise; PCA hands (fewer than 45 numbers) are named as such.
    """
    arrays = read_npz(path, keys=KEYS)
    root = _pose(arrays, "global_orient", "T", path=path)
    frames = len(root)
    rotvec, present = torch.zeros(frames, JOINTS, 3), torch.zeros(JOINTS, dtype=torch.bool)
    at = 0
    for name, count in POSE_FIELDS.items():
        if name in arrays or name == "body_pose":
            rotvec[:, at : at + count] = _pose(arrays, name, frames, path=path)
            present[at : at + count] = True
        at += count
    notes = ["axes are not stated in the file; taken as z up"]
    if "fps" not in arrays:
        notes.append(f"fps is not stated in the file; taken as {DEFAULT_FPS:g}")
    with naming(path):
        motion = Motion.create(
            rotvec,
            _rows(arrays, "transl", (frames, 3), path=path),
            fps=number(arrays, "fps", path=path) if "fps" in arrays else DEFAULT_FPS,
            betas=_one_shape(arrays, path),
            expression=_rows(arrays, "expression", (frames, 10), path=path),
            joints_present=present,
            body_id="smplx",
            meta={"source_format": "smplx_params", "notes": notes},
        )
    return motion if body is None else onto_body(motion, body)


def write_smplx_params(path: str | Path, motion: Motion) -> None:
    """Write the motion under smplx's argument names plus `fps`, atomically; betas `(1, 10)`."""
    require_frames(motion, "a parameter npz")
    arrays = {key: getattr(motion, key).float().numpy() for key in POSE_FIELDS}
    arrays |= {key: getattr(motion, key).float().numpy() for key in ("expression", "transl")}
    arrays |= {"betas": motion.betas.float().numpy()[None], "fps": np.array(motion.fps)}
    write_npz(path, arrays)


def _pose(arrays: Arrays, key: str, frames: int | str, *, path: str | Path) -> Tensor:
    count = POSE_FIELDS[key]
    given = arrays.get(key)
    if given is not None and given.ndim == 3 and given.shape[-1] == 3:
        arrays = {key: given.reshape(len(given), 3 * given.shape[1])}
    elif given is not None and count == 15 and given.ndim == 2 and given.shape[1] < 45:
        raise FileFormatError(
            f"{path}: {key} has shape {given.shape}, PCA components of a hand model; "
            "expected 45 rotation numbers a frame (use_pca=False)"
        )
    elif given is not None and key == "body_pose" and given.ndim == 2 and given.shape[1] == 69:
        # SMPL has 23 body joints; its two hand joints at the end have no place here.
        arrays = {key: given[:, :63]}
    return numbers(arrays, key, (frames, 3 * count), path=path).reshape(-1, count, 3)


def _rows(arrays: Arrays, key: str, shape: tuple[int, int], *, path: str | Path) -> Tensor:
    frames, size = shape
    if key not in arrays:
        return torch.zeros(frames, size)
    if arrays[key].shape in ((1, size), (size,)):
        return numbers({key: arrays[key].reshape(1, size)}, key, (1, size), path=path).repeat(
            frames, 1
        )
    return numbers(arrays, key, (frames, size), path=path)


def _one_shape(arrays: Arrays, path: str | Path) -> Tensor:
    if "betas" not in arrays:
        return torch.zeros(10)
    given = arrays["betas"]
    rows = numbers({"betas": given.reshape(-1, given.shape[-1] if given.ndim else 1)}, "betas",
                   ("N", "M"), path=path)  # fmt: skip
    if not len(rows) or (rows - rows[:1]).abs().max() > 1e-4:
        raise FileFormatError(f"{path}: betas differ between frames; one shape is expected")
    betas = torch.zeros(10)
    betas[: min(10, rows.shape[1])] = rows[0, :10]
    return betas
