"""Measure the shipped pose statistics: `python -m humanmotion.jobs.pose_statistics DATA -o FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanmotion.files import read_npz, write_npz
from humanmotion.jobs.data import good_frames, list_clips
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.pose_statistics import measure

Floats = NDArray[np.float64]
SETS = ("cmu", "rocketbox", "mannequin_cc0")
EVERY = 6
"""One frame in six (5 a second): neighbours say the same thing."""
FROZEN_DEGREES = 0.5
"""A joint that moves less over a clip was not recorded by its source."""

MIRROR = np.array((1.0, -1.0, -1.0))
"""Rotation vectors of the other side."""


def collect_body(data: Path) -> tuple[Floats, Floats]:
    """Training poses `(N, 63)` of the default mixture and which numbers were recorded, `(N, 63)`."""
    mirror = np.array(MIRROR_JOINTS[1:22]) - 1
    parts = []
    for turn in _clips(data, "poses"):
        moves = turn.std(0).max(-1) > np.deg2rad(FROZEN_DEGREES)
        weight = np.broadcast_to(moves[None, :, None], turn.shape).astype(float)[:, 1:]
        parts.append((turn[:, 1:], weight))
        parts.append((turn[:, 1:][:, mirror] * MIRROR, weight[:, mirror]))
    return _stack([p for p, _ in parts]), _stack([w for _, w in parts])


def collect_hand(data: Path) -> Floats:
    """Left hands and mirrored right hands of the training clips that carry fingers, `(N, 45)`."""
    hands = list(_clips(data, "hands"))
    return _stack([h[:, :15] for h in hands] + [h[:, 15:] * MIRROR for h in hands])


def _clips(data: Path, member: str) -> Iterator[Floats]:
    """Rotation vectors `(n, J, 3)` of one member of every usable training clip, thinned."""
    for name in SETS:
        for clip in list_clips(data / name, split="train"):
            stored = read_npz(clip.folder / clip.shard, keys=[f"{clip.id}/{member}"])
            if clip.excluded or not stored:
                continue
            turn = stored[f"{clip.id}/{member}"].astype(np.float64) * (np.pi / 32767)
            turn = turn[good_frames(clip, len(turn))]
            yield turn.reshape(len(turn), -1, 3)[::EVERY]


def _stack(parts: list[Floats]) -> Floats:
    return np.concatenate([p.reshape(len(p), -1) for p in parts])


def main() -> None:
    """Read the data folder, write the statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    hand = collect_hand(given.data)
    ones = np.ones_like(hand)
    right = (hand.reshape(-1, 15, 3) * MIRROR).reshape(hand.shape)
    fields = {
        "body_pose": measure(*collect_body(given.data)),
        "left_hand_pose": measure(hand, ones),
        "right_hand_pose": measure(right, ones),
    }
    write_npz(
        given.output, {f"{f}/{k}": v for f, values in fields.items() for k, v in values.items()}
    )


if __name__ == "__main__":
    main()
