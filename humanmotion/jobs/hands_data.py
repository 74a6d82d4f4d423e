"""Windows of body and hands for the network of hands, out of the shards that `data build` writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.generation.features import rowwise_sixd
from humanmotion.generation.hand_flow import WINDOW
from humanmotion.generation.hands import (
    hand_rotations,
    mirrored_hands,
    mirrored_parts,
    numbers_of_parts,
)
from humanmotion.jobs.generator_data import LEAST, Batch, Chosen, GeneratorWindows, clips_of
from humanmotion.jobs.hand_shards import HandTracks
from humanmotion.jobs.shards import Shards

LENGTHS = (40, WINDOW)
"""Least and most frames of a window; a shorter clip is taken whole."""


@dataclass(frozen=True)
class HandBatch:
    """`B` windows of `T` frames, the shorter ones padded."""

    body: Batch
    hands: Tensor
    """`(B, T, 186)`; behind the end whatever."""
    asked: Tensor
    """`(B, T, 186)` bool: numbers that are there and were recorded."""


@dataclass(frozen=True)
class HandWindows:
    """All clips of one split of which a hand or the jaw is known."""

    windows: GeneratorWindows
    hands: Tensor
    """`(N, 186)` of all clips, one after the other."""
    starts: Tensor
    """In which row the hands of each clip begin `(C)`."""
    known: Tensor
    """Left hand, right hand, jaw of each clip `(C, 3)` bool."""

    @classmethod
    def read(cls, folder: str | Path, *, split: str, body: BodyModel) -> HandWindows:
        """The clips of a split; raises InputError without any, FileFormatError for damaged shards."""
        shards = Shards.read(folder)
        tracks = HandTracks.read(folder, shards)
        clips = torch.tensor(clips_of(shards.rows, split), dtype=torch.long)
        there = (tracks.starts[clips] >= 0).nonzero()[:, 0]
        if not len(there):
            raise InputError(
                f"{folder} holds no clip of the {split} split of {LEAST} frames whose fingers or jaw "
                "were recorded; build it from sources that carry them"
            )
        windows = GeneratorWindows.read(folder, split=split, body=body).only(there.tolist())
        chosen = clips[there]
        return cls(windows, tracks.hands, tracks.starts[chosen], tracks.known[chosen])

    def to(self, device: torch.device | str) -> HandWindows:
        """The same on `device`."""
        moved = {name: getattr(self, name).to(device) for name in ("hands", "starts", "known")}
        return replace(self, windows=self.windows.to(device), **moved)

    def draw(self, count: int, *, generator: torch.Generator) -> HandBatch:
        """`count` windows, played slower or faster, half of them in a mirror, as the body's are."""
        chosen = self.windows.choose(count, generator=generator, lengths=LENGTHS)
        body = self.windows.batch(chosen)
        known = self.known[chosen.clip]
        known = torch.where(chosen.mirror[:, None], mirrored_parts(known), known)
        asked = body.mask[..., None] & numbers_of_parts(known)[:, None]
        return HandBatch(body, self._played(chosen), asked)

    def _played(self, chosen: Chosen) -> Tensor:
        """Hands `(B, T, 186)` at the places of the windows' poses, but the last."""
        places = chosen.places[:, :-1]
        last = self.windows.clips[chosen.clip, 1:] - 1
        low = places.floor().long()
        start = self.starts[chosen.clip, None]
        first, second = self.hands[start + low], self.hands[start + torch.minimum(low + 1, last)]
        values = torch.lerp(first, second, (places - low)[..., None])
        values = rowwise_sixd(hand_rotations(values)).flatten(-2)
        return torch.where(chosen.mirror[:, None, None], mirrored_hands(values), values)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(186)` of recorded numbers, as they are and in a mirror."""
        total = torch.zeros(3, self.hands.shape[1], dtype=torch.float64, device=self.hands.device)
        for start, frames, known in zip(
            self.starts, self.windows.clips[:, 1], self.known, strict=True
        ):
            own = self.hands[start : start + frames].double()
            for values, parts in ((own, known), (mirrored_hands(own), mirrored_parts(known))):
                there = numbers_of_parts(parts).double()
                total += torch.stack([(values**k).sum(0) * there for k in range(3)])
        count = total[0].clamp(min=1)
        mean = total[1] / count
        return mean.float(), (total[2] / count - mean**2).clamp(min=0).sqrt().float()
