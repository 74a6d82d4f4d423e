"""Pairs of motion and caption for the evaluator, out of the shards that `data build` writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from humanmotion.errors import InputError
from humanmotion.generation.captions import sides
from humanmotion.generation.features import mirrored
from humanmotion.generation.retrieval import looked_at
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.text import same_captions

LEAST = 0.7
"""Share of a clip that is shown at least, so that its caption stays true."""
SHORTEST = 32
"""Frames from which clips are shown in part."""
GIVEN = 0.7
"""Share of the captions drawn that the source wrote; the others may be computed ones."""


@dataclass(frozen=True)
class Pairs:
    """`B` motions of `T` frames, padded, and a caption each."""

    features: Tensor
    """`(B, T, 276)`."""
    mask: Tensor
    """`(B, T)` bool."""
    tokens: Tensor
    """`(B, L, d)`."""
    token_mask: Tensor
    """`(B, L)` bool."""
    same: Tensor
    """Captions whose sentences are alike `(B, B)` bool, see `same_captions`."""
    opposed: Tensor
    """Captions that speak of different sides `(B, B)` bool, however alike their sentences are."""
    rows: Tensor
    """Which of the shards' captions each is `(B)`."""


@dataclass(frozen=True)
class EvaluatorPairs:
    """The captioned clips of one split."""

    shards: Shards
    clips: tuple[int, ...]
    number: dict[str, int]
    """Row of each caption."""
    varied: bool
    """Whether clips are shown in part and in a mirror, and computed captions are drawn."""

    @classmethod
    def of(cls, shards: Shards, *, split: str) -> EvaluatorPairs:
        """Clips that went somewhere in the world and have captions of their source.

        Raises InputError for a split without any.
        """
        clips = tuple(
            i
            for i, row in enumerate(shards.rows)
            if row["split"] == split and row["given"] and bool(shards.known[i, 0])
        )
        if not clips:
            raise InputError(f"the shards hold no captioned clip of the {split} split")
        number = {caption: i for i, caption in enumerate(shards.captions)}
        return cls(shards, clips, number, split == "train")

    def unvaried(self) -> EvaluatorPairs:
        """The same, clips whole and as they are."""
        return replace(self, varied=False)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(133)` of what the evaluator sees of all clips."""
        seen = torch.cat([looked_at(self.shards.of_clip(i)) for i in self.clips])
        return seen.mean(0), seen.std(0).clamp(min=1e-3)

    def draw(self, count: int, *, generator: torch.Generator) -> Pairs:
        """`count` pairs, each clip as likely, every clip once before one comes twice."""
        rounds = -(-count // len(self.clips))
        order = [torch.randperm(len(self.clips), generator=generator) for _ in range(rounds)]
        chosen = torch.cat(order)[:count].tolist()
        return self.pairs([self.clips[i] for i in chosen], generator=generator)

    def pairs(self, clips: list[int], *, generator: torch.Generator) -> Pairs:
        """These clips, with a caption drawn for each."""
        shown = [self._shown(i, torch.rand(5, generator=generator).tolist()) for i in clips]
        features = [f for f, _ in shown]
        rows = torch.tensor([row for _, row in shown])
        side = torch.tensor([sides(self.shards.captions[row]) for _, row in shown])
        sided = side.any(-1)
        lengths = torch.tensor([len(f) for f in features])
        longest = int(self.shards.mask[rows].sum(-1).max())
        return Pairs(
            features=pad_sequence(features, batch_first=True),
            mask=torch.arange(int(lengths.max())) < lengths[:, None],
            tokens=self.shards.tokens[rows, :longest].float(),
            token_mask=self.shards.mask[rows, :longest],
            same=same_captions(self.shards.sentences[rows]),
            opposed=(side[:, None] != side).any(-1) & sided[:, None] & sided,
            rows=rows,
        )

    def _shown(self, clip: int, u: list[float]) -> tuple[Tensor, int]:
        row, features = self.shards.rows[clip], self.shards.of_clip(clip)
        flip = self.varied and u[0] < 0.5
        captions = row["mirrored_captions" if flip else "captions"]
        if not self.varied or u[1] < GIVEN:
            captions = captions[: row["given"]]
        caption = self.number[captions[int(u[2] * len(captions))]]
        if self.varied and len(features) > SHORTEST:
            length = round(len(features) * (LEAST + (1 - LEAST) * u[3]))
            first = round((len(features) - length) * u[4])
            features = features[first : first + length]
        return (mirrored(features) if flip else features), caption
