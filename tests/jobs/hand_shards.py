"""Hands for the made-up clips of generator_shards.py, in the form that `data build` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.generation.features import rowwise_sixd
from humanmotion.jobs.hand_shards import write_hands
from humanmotion.jobs.shards import Shards
from humanmotion.rotations import rotvec_to_matrix

KNOWN = ((True, False, True), (False, False, False), (True, True, False), (False, True, True))
"""Left hand, right hand, jaw of clips 0 to 3; clip 4 is too short to be used."""


def made_up_hands(number: int, frames: int) -> Tensor:
    """Fingers `(T, 186)` at 20 fps that open and close in a manner of their own."""
    generator = torch.Generator().manual_seed(100 + number)
    rate, phase = torch.randn(2, 31, 3, generator=generator)
    time = torch.arange(frames)[:, None, None] / 20
    turns = 0.3 * torch.sin(2 * rate * time + phase)
    return rowwise_sixd(rotvec_to_matrix(turns)).flatten(-2)


def add_hands(folder: Path, *, clips: Sequence[int] = (0, 1, 2, 3)) -> Path:
    """Write the hands of some of the clips in `folder`."""
    rows = Shards.read(folder).rows
    known = [KNOWN[i] if i in clips else (False,) * 3 for i in range(len(rows))]
    hands = [made_up_hands(i, row["frames"]) for i, row in enumerate(rows)]
    write_hands(folder, hands, torch.tensor(known))
    return folder
