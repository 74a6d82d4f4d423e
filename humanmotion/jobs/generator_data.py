"""Windows of captioned motion for the generator, out of the shards that `data build` writes.

Windows are played slower or faster, half of them in a mirror with mirrored captions, and encoded anew
in the frame of their own first pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError
from humanmotion.generation.features import (
    JOINTS,
    POSE,
    SIZE,
    canonical,
    decode,
    encode,
)
from humanmotion.jobs.shards import Shards
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.rotations import matrix_to_sixd, sixd_to_matrix

FRAMES = (40, 200)
"""Least and most frames of a window; a shorter clip is taken whole."""
LEAST = 16
"""Frames of the shortest clip that is used."""
SPEED = (0.8, 1.25)


@dataclass(frozen=True)
class Batch:
    """`B` windows of `T` frames, the shorter ones padded."""

    features: Tensor
    """`(B, T, 276)`; 0 behind the end."""
    mask: Tensor
    """`(B, T)` bool: False behind the end."""
    known: Tensor
    """`(B, 276)` bool: numbers that the source recorded."""
    text: Tensor
    """Tokens `(B, L, d)` of one caption each."""
    text_mask: Tensor
    """`(B, L)` bool."""
    captioned: Tensor
    """`(B)` bool: False where a clip has no caption."""


@dataclass(frozen=True)
class Chosen:
    """Which `B` windows a batch has."""

    clip: Tensor
    """`(B)`."""
    mirror: Tensor
    """Whether it is seen in a mirror `(B)` bool."""
    places: Tensor
    """Where in its clip each pose lies `(B, T + 1)`, in frames."""
    frames: Tensor
    """How many frames it has `(B)`."""
    caption: Tensor
    """Row of its text `(B)`."""


@dataclass(frozen=True)
class GeneratorWindows:
    """All clips of one split, one after the other."""

    rest: Tensor
    """Rest joints of the body `(55, 3)`."""
    turns: Tensor
    """Local rotations `(N, 22, 6)`, two columns each."""
    pelvis: Tensor
    """`(N, 3)` metres."""
    clips: Tensor
    """First frame and number of frames of each clip `(C, 2)`."""
    known: Tensor
    """Joints whose rotation is real `(C, 22)` bool."""
    captions: Tensor
    """Rows of the text of each clip, as it is and in a mirror, `(C, 2, K)`."""
    counts: Tensor
    """How many of them there are `(C, 2)`."""
    tokens: Tensor
    """`(U, L, d)` float16."""
    token_mask: Tensor
    """`(U, L)` bool."""
    varied: bool
    """Whether windows change speed and side."""

    @classmethod
    def read(cls, folder: str | Path, *, split: str, body: BodyModel) -> GeneratorWindows:
        """The clips of a split; raises InputError without any, FileFormatError for damaged shards."""
        shards = Shards.read(folder)
        rows = shards.rows
        _check(shards, folder)
        chosen = clips_of(rows, split)
        if not chosen:
            raise InputError(f"{folder} holds no clip of the {split} split of {LEAST} frames")
        own = [rows[i] for i in chosen]
        rotations, transl = decode(shards.features)
        captions, counts = _caption_rows(own, shards.captions)
        rest = body.rest_joints()
        return cls(
            rest=rest, turns=matrix_to_sixd(rotations), pelvis=transl + rest[0],
            clips=torch.tensor([(r["start"], r["frames"]) for r in own]),
            known=shards.known[chosen], captions=captions, counts=counts,
            tokens=shards.tokens, token_mask=shards.mask, varied=split == "train",
        )  # fmt: skip

    def to(self, device: torch.device | str) -> GeneratorWindows:
        """The same on `device`."""
        tensors: dict[str, Any] = {
            f.name: getattr(self, f.name).to(device) for f in fields(self) if f.type == "Tensor"
        }
        return replace(self, **tensors)

    @property
    def text_width(self) -> int:
        """Numbers of a text token."""
        return self.tokens.shape[-1]

    def draw(self, count: int, *, generator: torch.Generator) -> Batch:
        """`count` windows, all at most as long as one length drawn for the batch."""
        return self.batch(self.choose(count, generator=generator, lengths=FRAMES))

    def choose(self, count: int, *, generator: torch.Generator, lengths: tuple[int, int]) -> Chosen:
        """`count` windows, all at most as long as one length drawn for the batch.

        `lengths` are the least and the most that may be. Each so many frames of a clip, or part of
        them, are as likely. A clip that is no longer than the batch's length is taken whole, so that
        its caption describes what is seen.
        """
        at = generator.device
        u = torch.rand(4, count, generator=generator, device=at)
        length = torch.randint(lengths[0], lengths[1] + 1, (), generator=generator, device=at)
        weights = (self.clips[:, 1] / lengths[1]).ceil()
        clip = torch.multinomial(weights, count, replacement=True, generator=generator)
        speed, mirror = torch.ones_like(u[0]), torch.zeros_like(u[0], dtype=torch.bool)
        if self.varied:
            speed = SPEED[0] * (SPEED[1] / SPEED[0]) ** u[0]
            mirror = u[1] < 0.5
        places, frames = self._places(clip, speed, u[2], length=int(length))
        return Chosen(clip, mirror, places, frames, self._caption(clip, mirror, u[3]))

    def batch(self, chosen: Chosen) -> Batch:
        """The motion and the text of chosen windows."""
        clip, mirror = chosen.clip, chosen.mirror
        features = self._encoded(chosen.places, clip, mirror)
        steps = torch.arange(features.shape[1], device=clip.device)
        mask = steps < chosen.frames[:, None]
        token_mask = self.token_mask[chosen.caption]
        words = slice(int(token_mask.sum(1).max()))
        return Batch(
            features=features * mask[..., None], mask=mask,
            known=known_numbers(self._known(clip, mirror)),
            text=self.tokens[chosen.caption, words].float(), text_mask=token_mask[:, words],
            captioned=self.counts[clip, mirror.long()] > 0,
        )  # fmt: skip

    def only(self, clips: Sequence[int]) -> GeneratorWindows:
        """Some of the clips alone, by their numbers here."""
        at = torch.tensor(clips, dtype=torch.long, device=self.clips.device)
        return replace(self, clips=self.clips[at], known=self.known[at],
                       captions=self.captions[at], counts=self.counts[at])  # fmt: skip

    def _places(
        self, clip: Tensor, speed: Tensor, u: Tensor, *, length: int
    ) -> tuple[Tensor, Tensor]:
        """Where in its clip each pose of a window lies `(B, T + 1)`, and how many frames it has `(B)`.

        A window of T frames takes T + 1 poses; what lies behind its end repeats the clip's last one.
        """
        last = self.clips[clip, 1] - 1
        frames = (last / speed).floor().long().clamp(max=length)
        steps = torch.arange(int(frames.max()) + 1, device=clip.device)
        # From a whole frame on: at its own speed a window is what was recorded.
        first = ((last - frames * speed).clamp(min=0) * u).floor()
        places = first[:, None] + steps * speed[:, None]
        return torch.minimum(places, last[:, None]), frames

    def _encoded(self, places: Tensor, clip: Tensor, mirror: Tensor) -> Tensor:
        start, held = self.clips[clip].unbind(-1)
        low = places.floor().long()
        share = (places - low)[..., None]
        high = start[:, None] + torch.minimum(low + 1, held[:, None] - 1)
        low = start[:, None] + low
        turns = torch.lerp(self.turns[low], self.turns[high], share[..., None])
        pelvis = torch.lerp(self.pelvis[low], self.pelvis[high], share)
        rotations = sixd_to_matrix(turns)
        sign = rotations.new_tensor((-1.0, 1.0, 1.0))
        other = rotations[:, :, list(MIRROR_JOINTS[:JOINTS])] * sign[:, None] * sign
        flip = mirror[:, None, None]
        rotations = torch.where(flip[..., None, None], other, rotations)
        pelvis = torch.where(flip, pelvis * sign, pelvis)
        turned, moved, _ = canonical(rotations, pelvis - self.rest[0], rest=self.rest)
        return encode(turned, moved, rest=self.rest)

    def _known(self, clip: Tensor, mirror: Tensor) -> Tensor:
        known = self.known[clip]
        return torch.where(mirror[:, None], known[:, list(MIRROR_JOINTS[:JOINTS])], known)

    def _caption(self, clip: Tensor, mirror: Tensor, u: Tensor) -> Tensor:
        side = mirror.long()
        which = (u * self.counts[clip, side]).long()
        return self.captions[clip, side, which]


def clips_of(rows: Sequence[dict[str, Any]], split: str) -> list[int]:
    """Numbers of the clips of a split that are used, in the order of `GeneratorWindows`."""
    return [i for i, r in enumerate(rows) if r["split"] == split and r["frames"] >= LEAST]


def known_numbers(known: Tensor) -> Tensor:
    """Which of the 276 numbers `(..., 276)` are real where the rotations of joints `(..., 22)` are.

    Without the root's, nothing of the world is: such are motions seen by a moving camera.
    """
    out = known.new_zeros(*known.shape[:-1], SIZE)
    out[..., POSE] = known[..., 1:].repeat_interleave(6, -1)
    out[..., POSE.stop :] = known[..., :1]
    return out


def statistics(windows: GeneratorWindows, *, draws: int = 32) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `(276)` of what is drawn, recorded numbers alone."""
    generator = torch.Generator(windows.turns.device).manual_seed(0)
    total = torch.zeros(3, SIZE, dtype=torch.float64, device=windows.turns.device)
    for _ in range(draws):
        batch = windows.draw(32, generator=generator)
        there = (batch.mask[..., None] & batch.known[:, None]).double()
        values = batch.features.double()
        total += torch.stack([(values**k * there).sum((0, 1)) for k in range(3)])
    count = total[0].clamp(min=1)
    mean = total[1] / count
    return mean.float(), (total[2] / count - mean**2).clamp(min=0).sqrt().float()


def _caption_rows(rows: Sequence[dict[str, Any]], captions: list[str]) -> tuple[Tensor, Tensor]:
    """Numbers of the captions `(C, 2, K)`, padded with 0, and how many there are `(C, 2)`."""
    numbers = {caption: number for number, caption in enumerate(captions)}
    names = ("captions", "mirrored_captions")
    found = [[numbers[c] for c in row[name]] for row in rows for name in names]
    most = max(1, *map(len, found))
    held = torch.tensor([[*f, *[0] * (most - len(f))] for f in found])
    counts = torch.tensor([len(f) for f in found])
    return held.unflatten(0, (-1, 2)), counts.unflatten(0, (-1, 2))


def _check(shards: Shards, folder: str | Path) -> None:
    """Raise FileFormatError, naming the line, for clips that the other files do not hold."""
    known = set(shards.captions)
    if len(shards.known) != len(shards.rows):
        raise FileFormatError(
            f"{folder}: {len(shards.rows)} clips in the index, {len(shards.known)} in the features; "
            "build it again"
        )
    for number, row in enumerate(shards.rows, 1):
        where = f"{folder}/index.jsonl line {number}"
        missing = {"split", "captions", "mirrored_captions", "frames", "start"} - row.keys()
        if missing:
            raise FileFormatError(f"{where} lacks {', '.join(sorted(missing))}")
        if not 0 <= row["start"] <= row["start"] + row["frames"] <= len(shards.features):
            raise FileFormatError(f"{where}: the clip lies beyond the features")
        said = [c for c in (*row["captions"], *row["mirrored_captions"]) if c not in known]
        if said:
            raise FileFormatError(f"{where}: captions.jsonl lacks {said[0]!r}")
