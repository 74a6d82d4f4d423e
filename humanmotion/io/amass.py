"""AMASS npz: the SMPL-H releases (`poses`, `mocap_framerate`) and the SMPL-X ones (split keys).

World z up, metres, hands flat at zero, `trans` is smplx's `transl`: pelvis = trans + J0(betas).
Sources: nghorbani/amass (README, `poses` layout), the SMPL-X release's stageii files;
nghorbani/human_body_prior, body_model.py, which poses them and adds no mean hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import npz_shapes, read_npz, write_npz
from humanmotion.io.fields import Arrays, naming, number, numbers, words
from humanmotion.io.hands import FLAG, Hands, hands_of_file, with_flat_hands
from humanmotion.io.onto_body import onto_body
from humanmotion.io.sampling import evenly_sampled, require_frames
from humanmotion.motion import JOINTS, Motion

RATE_KEYS = ("mocap_frame_rate", "mocap_framerate")
_SPLIT = {
    "root_orient": (0, 1),
    "pose_body": (1, 21),
    "pose_jaw": (22, 1),
    "pose_eye": (23, 2),
    "pose_hand": (25, 30),
}
"""Split key to first joint and count in the order of the 55 joints."""
_JOINTS_OF_POSES = {
    165: tuple(range(55)),
    156: (*range(22), *range(25, 55)),
    72: tuple(range(22)),
    66: tuple(range(22)),
}
"""Width of `poses` to the joints it holds (SMPL-X, SMPL-H, SMPL, body only)."""
_TEXT_KEYS = ("gender", "surface_model_type", "body_id", "body_sha256")
KEYS = ("poses", *_SPLIT, "trans", "betas", *RATE_KEYS, FLAG, *_TEXT_KEYS)
KNOWN_EXTRAS = (
    "dmpls", "marker_data", "marker_labels", "labels", "num_betas", "mocap_time_length",
    "markers_latent", "latent_labels", "markers_latent_vids", "markers", "markers_obs",
    "labels_obs",
)  # fmt: skip
"""Keys of the releases that say nothing about the movement."""
MAX_POSE_GAP = 1e-4


def read_amass(
    path: str | Path, *, body: BodyModel | None = None, hands: Hands | None = None
) -> Motion:
    """The motion of an AMASS file, old or new keys.

    Without `body` it keeps the file's shape, and names its body "<model>_<gender>". With one, it is
    put onto that body (see onto_body). `hands="mean"` is for files of others in this layout whose
    hands are measured from the mean hand. Raises FileFormatError: keys missing, of a wrong shape,
    or saying two different things; UsageError: `hands` against what the file says.
    """
    arrays = read_npz(path, keys=_readable_keys(path))
    transl = numbers(arrays, "trans", ("T", 3), path=path)
    rotvec, present = _rotations(arrays, len(transl), path)
    model = words(arrays, "surface_model_type", path=path, default=_model(present))
    gender = words(arrays, "gender", path=path, default="neutral")
    betas, cut = _betas(arrays, path)
    with naming(path):
        motion = Motion.create(
            rotvec,
            transl,
            fps=_rate(arrays, path),
            betas=betas,
            joints_present=present,
            body_id=words(arrays, "body_id", path=path, default=f"{model}_{gender}"),
            body_sha256=words(arrays, "body_sha256", path=path, default=""),
            meta={"source_format": "amass"} | ({"betas_cut": cut} if cut else {}),
        )
    if hands_of_file(arrays, hands, path=path) == "mean" and (hands or present[25:].any()):
        motion = with_flat_hands(motion, body, path=path)
    return motion if body is None else onto_body(motion, body)


def write_amass(path: str | Path, motion: Motion) -> None:
    """Write AMASS's SMPL-X keys (and `poses` (T,165) in their order), atomically.

    A variable rate is resampled to the nominal one, which is all the format can say. The body's
    name goes into an extra key, `body_id`; expression, confidence and contacts have no place.
    """
    require_frames(motion, "AMASS npz")
    motion = evenly_sampled(motion)
    poses = motion.rotvec.reshape(len(motion), 3 * JOINTS).float()
    betas = torch.cat((motion.betas, motion.betas.new_zeros(6))).float()
    parts = {k: poses[:, 3 * at : 3 * (at + n)].numpy() for k, (at, n) in _SPLIT.items()}
    write_npz(
        path,
        {
            "gender": np.array("neutral"),
            "surface_model_type": np.array("smplx"),
            "mocap_frame_rate": np.array(motion.fps),
            "mocap_time_length": np.array(len(motion) / motion.fps),
            "trans": motion.transl.float().numpy(),
            "poses": poses.numpy(),
            **parts,
            "betas": betas.numpy(),
            "num_betas": np.array(16),
            "body_id": np.array(motion.body_id, np.str_),
            "body_sha256": np.array(motion.body_sha256, np.str_),
        },
    )


def _readable_keys(path: str | Path) -> list[str]:
    # Some releases keep `gender` as a Python object; it is a label we can do without.
    shapes = npz_shapes(path)
    return [k for k in KEYS if k in shapes and not (k in _TEXT_KEYS and shapes[k][1] == "object")]


def _rate(arrays: Arrays, path: str | Path) -> float:
    rates = {number(arrays, key, path=path) for key in RATE_KEYS if key in arrays}
    if not rates:
        raise FileFormatError(f"{path} lacks the key mocap_frame_rate; frames a second are needed")
    if len(rates) > 1:
        raise FileFormatError(f"{path} gives two frame rates, {sorted(rates)}; remove one")
    return rates.pop()


def _rotations(arrays: Arrays, frames: int, path: str | Path) -> tuple[Tensor, Tensor]:
    """Rotation vectors `(T, 55, 3)` and which joints the file holds, `(55)`."""
    rotvec, present = torch.zeros(frames, JOINTS, 3), torch.zeros(JOINTS, dtype=torch.bool)
    if "poses" not in arrays and "root_orient" not in arrays:
        raise FileFormatError(f"{path} has neither poses nor root_orient and pose_body")
    if "poses" in arrays:
        values = numbers(arrays, "poses", (frames, "N"), path=path)
        if values.shape[1] not in _JOINTS_OF_POSES:
            raise FileFormatError(
                f"{path}: poses has {values.shape[1]} columns; accepted are "
                f"{', '.join(map(str, _JOINTS_OF_POSES))}"
            )
        joints = torch.tensor(_JOINTS_OF_POSES[values.shape[1]])
        width = values.shape[1] // 3
        rotvec[:, joints] = values.reshape(frames, width, 3)[:, : len(joints)]
        present[joints] = True
    if "root_orient" in arrays:
        _overlay_split(arrays, rotvec, present, path=path)
    return rotvec, present


def _overlay_split(arrays: Arrays, rotvec: Tensor, present: Tensor, *, path: str | Path) -> None:
    for key, (at, count) in _SPLIT.items():
        if key not in arrays and key not in ("root_orient", "pose_body"):
            continue
        value = numbers(arrays, key, (len(rotvec), 3 * count), path=path)
        value = value.reshape(len(rotvec), count, 3)
        part = slice(at, at + count)
        if present[part].all() and not torch.allclose(rotvec[:, part], value, atol=MAX_POSE_GAP):
            raise FileFormatError(f"{path}: poses and {key} say different things; remove one")
        rotvec[:, part], present[part] = value, True


def _model(present: Tensor) -> str:
    return "smplx" if present[22] else "smplh"


def _betas(arrays: Arrays, path: str | Path) -> tuple[Tensor, int]:
    """The first 10 shape values, and how many of the others are not zero."""
    if "betas" not in arrays:
        return torch.zeros(10), 0
    if arrays["betas"].ndim == 2 and len(arrays["betas"]) == 1:
        arrays = {"betas": arrays["betas"][0]}
    given = numbers(arrays, "betas", ("N",), path=path)
    betas = torch.zeros(10)
    betas[: min(10, len(given))] = given[:10]
    return betas, int((given[10:] != 0).sum())
