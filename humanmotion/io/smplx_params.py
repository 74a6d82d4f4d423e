"""SMPL-X parameter npz: arrays under smplx's own argument names, one row a frame.

Written by many fitters; none of them says the rate or which way is up, so `fps` is read when it is
there (30 otherwise) and the world is taken to be ours (z up); both assumptions are noted in `meta`.
Ours say also which body they are for, because shape and face mean nothing on another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import npz_shapes, read_npz, write_npz
from humanmotion.io.fields import Arrays, naming, number, numbers, words
from humanmotion.io.hands import FLAG, Hands, hands_of_file, with_flat_hands
from humanmotion.io.onto_body import onto_body
from humanmotion.io.sampling import require_frames
from humanmotion.motion import JOINTS, POSE_FIELDS, Motion

_TEXT_KEYS = ("body_id", "body_sha256", "note")
KEYS = (*POSE_FIELDS, "betas", "expression", "transl", "fps", FLAG, *_TEXT_KEYS)
DEFAULT_FPS = 30.0


def read_smplx_params(
    path: str | Path,
    *,
    body: BodyModel | None = None,
    hands: Hands | None = None,
    fps: float | None = None,
) -> Motion:
    """The motion of a parameter file; `global_orient`, `body_pose` are needed, the rest may lack.

    Its body is the one it names, else "smplx"; or, with `body`, that one (shape kept when it is the
    same, see onto_body). Pose arrays may be `(T, n)` or `(T, n/3, 3)`, betas `(10,)`, `(1, 10)` or
    equal rows. `hands` and `fps` are for files that do not say them. Raises FileFormatError for a
    file that does not fit (PCA hands are named as such), UsageError for an option it contradicts.
    """
    arrays = read_npz(path, keys=_readable_keys(path))
    rotvec, present = _rotations(arrays, path)
    frames = len(rotvec)
    rate, notes = _rate(arrays, fps, path)
    with naming(path):
        motion = Motion.create(
            rotvec,
            _rows(arrays, "transl", (frames, 3), path=path),
            fps=rate,
            betas=_one_shape(arrays, frames, path),
            expression=_rows(arrays, "expression", (frames, 10), path=path),
            joints_present=present,
            body_id=words(arrays, "body_id", path=path, default="smplx"),
            body_sha256=words(arrays, "body_sha256", path=path, default=""),
            meta={"source_format": "smplx_params", "notes": notes},
        )
    if hands_of_file(arrays, hands, path=path) == "mean" and (hands or present[25:].any()):
        motion = with_flat_hands(motion, body, path=path)
    return motion if body is None else onto_body(motion, body)


def write_smplx_params(path: str | Path, motion: Motion) -> None:
    """Write the motion under smplx's argument names, atomically; betas `(1, 10)`.

    Beside them: `fps`, `flat_hand_mean` (true), the body's name and hash, and for a body that is
    not SMPL-X a `note` that betas and expression are its own.
    """
    require_frames(motion, "a parameter npz")
    arrays = {key: getattr(motion, key).float().numpy() for key in POSE_FIELDS}
    arrays |= {key: getattr(motion, key).float().numpy() for key in ("expression", "transl")}
    arrays |= {"betas": motion.betas.float().numpy()[None], "fps": np.array(motion.fps)}
    arrays |= {
        FLAG: np.array(True),
        "body_id": np.array(motion.body_id, np.str_),
        "body_sha256": np.array(motion.body_sha256, np.str_),
    }
    if note := foreign_shape(motion):
        arrays["note"] = np.array(note, np.str_)
    write_npz(path, arrays)


def foreign_shape(motion: Motion) -> str:
    """A sentence for who takes the motion's shape and face for SMPL-X's; empty where they may."""
    if not motion.body_id or motion.body_id.lower().replace("-", "").startswith("smplx"):
        return ""
    if not motion.betas.any() and not motion.expression.any():
        return ""
    return (
        f"betas and expression belong to body {motion.body_id}; on SMPL-X they mean nothing, so "
        "set them to zero there"
    )


def _readable_keys(path: str | Path) -> list[str]:
    # Other programs use such names for other things; only text is a name of ours.
    shapes = npz_shapes(path)
    texts = {key for key in _TEXT_KEYS if key in shapes and np.dtype(shapes[key][1]).kind in "US"}
    return [key for key in KEYS if key not in _TEXT_KEYS or key in texts]


def _rate(arrays: Arrays, fps: float | None, path: str | Path) -> tuple[float, list[str]]:
    """Frames a second, and what was assumed."""
    notes = ["axes are not stated in the file; taken as z up"]
    if "fps" in arrays:
        own = number(arrays, "fps", path=path)
        if fps is not None:
            raise UsageError(f"{path} says {own:g} fps; leave --fps {fps:g} out")
        return own, notes
    if fps is not None:
        return fps, notes
    return DEFAULT_FPS, [*notes, f"fps is not stated in the file; taken as {DEFAULT_FPS:g} (--fps)"]


def _rotations(arrays: Arrays, path: str | Path) -> tuple[Tensor, Tensor]:
    """Rotation vectors `(T, 55, 3)` and which joints the file holds, `(55)`."""
    root = _pose(arrays, "global_orient", "T", path=path)
    rotvec, present = torch.zeros(len(root), JOINTS, 3), torch.zeros(JOINTS, dtype=torch.bool)
    at = 0
    for name, count in POSE_FIELDS.items():
        if name in arrays or name == "body_pose":
            rotvec[:, at : at + count] = _pose(arrays, name, len(root), path=path)
            present[at : at + count] = True
        at += count
    return rotvec, present


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


def _one_shape(arrays: Arrays, frames: int, path: str | Path) -> Tensor:
    betas = torch.zeros(10)
    if "betas" not in arrays:
        return betas
    given = arrays["betas"]
    if not given.size and (frames or not given.shape[-1]):
        raise FileFormatError(
            f"{path}: betas has shape {given.shape}, which holds no shape; expected (10,), (1, 10) "
            "or a row a frame"
        )
    if not given.size:
        return betas
    rows = numbers({"betas": given.reshape(-1, given.shape[-1] if given.ndim else 1)}, "betas",
                   ("N", "M"), path=path)  # fmt: skip
    if (rows - rows[:1]).abs().max() > 1e-4:
        raise FileFormatError(f"{path}: betas differ between frames; one shape is expected")
    betas[: min(10, rows.shape[1])] = rows[0, :10]
    return betas
