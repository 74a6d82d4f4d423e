"""`hands.safetensors` beside the shards: fingers and jaw of the clips whose source carries them.

`known` `(clips, 3)` says which of left hand, right hand and jaw are real (a part that does not move
over a whole take was not recorded); `starts` `(clips)` in which row of `hands` `(N, 186)` a clip's
frames begin, -1 for a clip of which nothing is known. The numbers are those of generation/hands.py at
20 fps, frame by frame those of the features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.generation.hands import HAND_JOINTS, HANDS_SIZE, PARTS
from humanmotion.jobs.prior_data import FROZEN
from humanmotion.jobs.shards import Shards
from humanmotion.motion import Motion

FILE = "hands.safetensors"
BENT = math.radians(110)
"""More than this no finger bends at a joint, in radians; rigs that do are held there."""


@dataclass(frozen=True)
class HandTracks:
    """What that file holds."""

    hands: Tensor
    """`(N, 186)`."""
    known: Tensor
    """`(clips, 3)` bool."""
    starts: Tensor
    """`(clips)`, -1 without hands."""

    @classmethod
    def read(cls, folder: str | Path, shards: Shards) -> HandTracks:
        """Raises InputError for shards built without hands, FileFormatError for those of others."""
        path = Path(folder) / FILE
        if not path.exists():
            raise InputError(
                f"{folder} has no {FILE}, it was built before hands were kept; build it again with "
                f"`humanmotion data build SOURCES -o {folder}`"
            )
        held = read_tensors(path)
        try:
            out = cls(held["hands"], held["known"].bool(), held["starts"])
        except KeyError as error:
            raise FileFormatError(f"{path} is none of `data build`: it lacks {error}") from error
        frames = torch.tensor([row["frames"] for row in shards.rows])
        there = out.starts >= 0
        fits = out.known.shape == (len(frames), len(PARTS)) and len(out.starts) == len(frames)
        if not fits or int(frames[there].sum()) != len(out.hands):
            raise FileFormatError(f"{path} is not of the same build as its index; build it again")
        return out


def write_hands(folder: Path, hands: Sequence[Tensor], known: Tensor) -> None:
    """Write the hands `(T, 186)` of every clip of which a part is known, `(clips, 3)`."""
    starts, at, kept = [], 0, [torch.zeros(0, HANDS_SIZE)]
    for own, there in zip(hands, known.any(-1).tolist(), strict=True):
        starts.append(at if there else -1)
        if there:
            kept.append(own)
            at += len(own)
    tensors = {"hands": torch.cat(kept), "known": known, "starts": torch.tensor(starts)}
    write_tensors(folder / FILE, tensors)


def recorded_parts(motion: Motion) -> Tensor:
    """Which of left hand, right hand and jaw `(3)` bool a motion carries and moves."""
    joints = torch.tensor(HAND_JOINTS)
    moves = motion.rotvec[:, joints].std(0).amax(-1) > FROZEN
    present = motion.joints_present[joints]
    parts = [slice(part.start // 6, part.stop // 6) for part in PARTS.values()]
    return torch.stack([present[p].all() & moves[p].any() for p in parts])


def within_reach(motion: Motion) -> Motion:
    """The motion with no finger bent by more than BENT at a joint; the body keeps its bits."""

    def held(pose: Tensor) -> Tensor:
        turns = pose.unflatten(-1, (-1, 3))
        angle = turns.norm(dim=-1, keepdim=True)
        return torch.where(angle > BENT, turns * (BENT / angle), turns).flatten(-2)

    return replace(motion, left_hand_pose=held(motion.left_hand_pose),
                   right_hand_pose=held(motion.right_hand_pose))  # fmt: skip
