"""Shards of a few made-up clips, in the form that `humanmotion data build` writes."""

from __future__ import annotations

from pathlib import Path

import torch

from humanmotion.body import BodyModel
from humanmotion.files import write_tensors
from humanmotion.generation.features import features_of
from humanmotion.jobs import shards
from humanmotion.motion import Motion

WIDTH = 12
SIDES = {"waves": "waves", "raises the left arm": "raises the right arm", "turns": "turns"}
"""Captions and their mirror images."""
SPLITS = ("train", "train", "val", "train", "train")
FRAMES = (150, 400, 120, 90, 20)
"""At 30 fps; the last clip is too short to be used."""


def made_up(number: int, frames: int) -> Motion:
    """A person who sways in a manner of their own, the left elbow bent."""
    generator = torch.Generator().manual_seed(number)
    time = torch.arange(frames)[:, None, None] / 30
    rate, phase = torch.randn(2, 22, 3, generator=generator)
    turns = 0.3 * torch.sin(2 * rate * time + phase)
    turns[:, 0, 0] += torch.pi / 2
    turns[:, 18, 1] -= 1
    way = torch.stack((0.3 * time[:, 0, 0], torch.sin(time[:, 0, 0]), 0.8 + 0 * time[:, 0, 0]), 1)
    return Motion.create(turns, way, fps=30)


def write_shards(folder: Path) -> Path:
    """Five clips of three captions; clip 1 has none, clip 3's left wrist was not recorded."""
    body = BodyModel.load()
    features = [features_of(made_up(i, n), body) for i, n in enumerate(FRAMES)]
    rows, start = [], 0
    for i, (split, values) in enumerate(zip(SPLITS, features, strict=True)):
        own = [] if i == 1 else [list(SIDES)[(i + 1) % 3]]
        rows.append({
            "id": f"clip_{i}", "source": "made_up", "split": split, "action": "sway",
            "captions": own, "mirrored_captions": [SIDES[c] for c in own],
            "given": len(own), "frames": len(values), "start": start,
        })  # fmt: skip
        start += len(values)
    captions = ["", *sorted({*SIDES, *SIDES.values()})]
    known = torch.ones(len(rows), 22, dtype=torch.bool)
    known[3, 20] = False
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(len(captions), 6, WIDTH, generator=generator).half()
    mask = torch.arange(6) < torch.randint(1, 7, (len(captions), 1), generator=generator)
    mask[0, :2] = True
    folder.mkdir(parents=True, exist_ok=True)
    shards.write_shards(folder, rows, features=torch.cat(features), known=known)
    sentences = torch.randn(len(captions), WIDTH, generator=generator)
    text = {"tokens": tokens, "mask": mask, "sentences": sentences}
    write_tensors(folder / "text.safetensors", text)
    shards.write_lines(folder / "captions.jsonl", captions)
    return folder
