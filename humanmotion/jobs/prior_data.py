"""Poses of motion-capture folders for training and testing pose priors.

A joint that its source does not carry, never moves over a clip, or is known to get wrong is *missing*
there: its token is not recorded. Nothing is filled with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.errors import InputError
from humanmotion.files import read_npz
from humanmotion.jobs.data import Clip, good_frames, list_clips, runs
from humanmotion.motion import JOINTS
from humanmotion.prior.space import EXPRESSION, EXPRESSION_TOKEN, MIRROR_TOKENS, TOKENS, token_mask
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

SETS = ("cmu", "rocketbox", "mannequin_cc0")
"""The default mixture: what may be shipped."""
FROZEN = np.deg2rad(0.5)
"""A joint that varies less than this over a clip was not recorded by its source, in radians."""
UNRELIABLE = {"cmu": token_mask("left_wrist", "right_wrist")}
"""Joints that a set gets wrong, by its README."""
STEP = np.deg2rad(1.0)
"""Poses nearer than this to the last kept one, on average over the joints, are left out: half of all
frames are people who stand."""
_ANGLE_STEP = np.pi / 32767
_FLIP = torch.tensor((1.0, -1.0, -1.0))


@dataclass(frozen=True)
class PoseSet:
    """`N` poses, clip after clip, in the order of time within each."""

    rotvec: Tensor
    """Local rotation vectors of the 54 joints `(N, 54, 3)`, radians."""
    expression: Tensor
    """`(N, 10)`."""
    recorded: Tensor
    """Tokens that are real, `(N, 55)` bool."""
    clip: Tensor
    """Number of the clip of each pose `(N)`; a jump within a clip starts a new number."""
    names: tuple[str, ...]
    """`set/clip` of each number."""

    def __len__(self) -> int:
        return len(self.rotvec)

    def __getitem__(self, rows: Tensor) -> PoseSet:
        """The poses at `rows` (indices or bool)."""
        return PoseSet(
            self.rotvec[rows], self.expression[rows], self.recorded[rows], self.clip[rows],
            self.names,
        )  # fmt: skip

    @property
    def rotations(self) -> Tensor:
        """`(N, 54, 3, 3)`."""
        return rotvec_to_matrix(self.rotvec)

    def mirrored(self) -> PoseSet:
        """Every pose seen in a mirror."""
        joints = list(MIRROR_TOKENS[:EXPRESSION_TOKEN])
        face = self.expression[:, [*range(EXPRESSION - 2), EXPRESSION - 1, EXPRESSION - 2]]
        return PoseSet(
            self.rotvec[:, joints] * _FLIP,
            face,
            self.recorded[:, list(MIRROR_TOKENS)],
            self.clip,
            self.names,
        )


def read_poses(data: str | Path, *, split: str, sets: Sequence[str] = SETS) -> PoseSet:
    """All good frames of one split of the sets that lie in `data`; raises InputError without any."""
    parts = []
    for name in sets:
        folder = Path(data) / name
        if (folder / "index.jsonl").exists():
            parts += [p for c in list_clips(folder, split=split) for p in _clip_parts(c)]
    if not parts:
        raise InputError(f"{data} holds none of {', '.join(sets)} with a {split} split")
    lengths = torch.tensor([len(rotvec) for _, rotvec, _ in parts])
    recorded = torch.stack([mask for _, _, mask in parts])
    return PoseSet(
        rotvec=torch.cat([rotvec for _, rotvec, _ in parts]),
        expression=torch.zeros(int(lengths.sum()), EXPRESSION),
        recorded=recorded.repeat_interleave(lengths, 0),
        clip=torch.arange(len(parts)).repeat_interleave(lengths),
        names=tuple(name for name, _, _ in parts),
    )


def _clip_parts(clip: Clip) -> list[tuple[str, Tensor, Tensor]]:
    """Unbroken runs of good frames of a clip, each with its name and recorded tokens."""
    if clip.excluded:
        return []
    members = ("poses", "face", "hands")
    stored = read_npz(clip.folder / clip.shard, keys=[f"{clip.id}/{m}" for m in members])
    frames = len(stored[f"{clip.id}/poses"])
    full, carried = np.zeros((frames, JOINTS, 3), np.float32), np.zeros(JOINTS, bool)
    for member, first, count in (("poses", 0, 22), ("face", 22, 3), ("hands", 25, 30)):
        values = stored.get(f"{clip.id}/{member}")
        if values is not None:
            full[:, first : first + count] = values.reshape(frames, count, 3) * _ANGLE_STEP
            carried[first : first + count] = True
    good = good_frames(clip, frames)
    moves = full[good].std(0).max(-1) > FROZEN if good.any() else carried
    mask = torch.zeros(TOKENS, dtype=torch.bool)
    mask[:EXPRESSION_TOKEN] = torch.from_numpy((carried & moves)[1:])
    mask &= ~UNRELIABLE.get(clip.folder.name, torch.zeros_like(mask))
    name, poses = f"{clip.folder.name}/{clip.id}", torch.from_numpy(full[:, 1:])
    return [(name, poses[a:b], mask) for a, b in runs(good)]


def distinct(poses: PoseSet) -> Tensor:
    """Rows `(K)` of poses that differ from the last one kept of their clip by STEP on average."""
    rows: list[int] = []
    body = poses.rotations[:, :21]
    clip = poses.clip.tolist()
    for i in range(len(poses)):
        if (
            not rows
            or clip[rows[-1]] != clip[i]
            or float(geodesic_distance(body[rows[-1]], body[i]).mean()) > STEP
        ):
            rows.append(i)
    return torch.tensor(rows)


def windows(poses: PoseSet, *, frames: int, stride: int) -> Tensor:
    """Rows `(W, frames)` of windows within clips; shorter clips give none."""
    found = []
    lengths = torch.unique_consecutive(poses.clip, return_counts=True)[1]
    start = 0
    for length in lengths.tolist():
        for first in range(0, length - frames + 1, stride):
            found.append(torch.arange(start + first, start + first + frames))
        start += length
    return torch.stack(found) if found else torch.zeros(0, frames, dtype=torch.long)
