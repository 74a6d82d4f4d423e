"""The folder that `data build` writes and training reads.

`index.jsonl` has one clip a line (id, source, split, action, captions, mirrored_captions, frames,
start, ...); `features.safetensors` holds `features` `(sum T, 276)` at 20 fps, not normalised, and
`known` `(clips, 22)`, the joints whose rotation is real; `captions.jsonl` holds every caption once, the
first one empty, and
`text.safetensors`, in its order, the frozen encoder's `tokens` `(U, L, 384)` float16, `mask` `(U, L)`
and `sentences` `(U, 384)`. Hands lie in a file of their own, see hand_shards.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.errors import FileFormatError
from humanmotion.files import read_tensors, write_tensors, write_text
from humanmotion.generation.text import TextEncoder
from humanmotion.jobs.data import read_index

BATCH = 64
"""Captions encoded at once."""


@dataclass(frozen=True)
class Shards:
    """What such a folder holds."""

    rows: list[dict[str, Any]]
    features: Tensor
    """`(sum T, 276)`."""
    known: Tensor
    """`(clips, 22)` bool."""
    captions: list[str]
    tokens: Tensor
    """`(U, L, d)` float16."""
    mask: Tensor
    """`(U, L)` bool."""
    sentences: Tensor
    """`(U, d)`."""

    @classmethod
    def read(cls, folder: str | Path) -> Shards:
        """Raises InputError for a folder without them, FileFormatError for files that do not fit."""
        folder = Path(folder)
        rows, captions = (read_index(folder / f"{n}.jsonl") for n in ("index", "captions"))
        held = read_tensors(folder / "features.safetensors")
        text = read_tensors(folder / "text.safetensors")
        try:
            out = cls(
                rows=rows, features=held["features"], known=held["known"].bool(),
                captions=[str(c) for c in captions], tokens=text["tokens"],
                mask=text["mask"].bool(), sentences=text["sentences"],
            )  # fmt: skip
            frames = sum(row["frames"] for row in rows)
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"{folder} is no folder of `data build`: {error}") from error
        if frames != len(out.features) or len(captions) != len(out.tokens):
            raise FileFormatError(f"{folder}: the files are not of one build; build it again")
        return out

    def of_clip(self, number: int) -> Tensor:
        """Features `(T, 276)` of one clip."""
        row = self.rows[number]
        return self.features[row["start"] : row["start"] + row["frames"]]


def write_shards(
    folder: Path, rows: Sequence[dict[str, Any]], *, features: Tensor, known: Tensor
) -> None:
    """Write clips, the index last; captions are written by `write_texts`."""
    write_tensors(folder / "features.safetensors", {"features": features, "known": known})
    write_lines(folder / "index.jsonl", rows)


def write_texts(folder: Path, captions: Sequence[str], encoder: TextEncoder) -> None:
    """Write captions and what the encoder makes of them."""
    said = [encoder.encode(captions[i : i + BATCH]) for i in range(0, len(captions), BATCH)]
    longest = max((s.tokens.shape[1] for s in said), default=1)
    width = encoder.width
    tokens = [functional.pad(s.tokens, (0, 0, 0, longest - s.tokens.shape[1])) for s in said]
    mask = [functional.pad(s.mask, (0, longest - s.mask.shape[1])) for s in said]
    tensors = {
        "tokens": torch.cat([torch.zeros(0, longest, width), *tokens]).half(),
        "mask": torch.cat([torch.zeros(0, longest, dtype=torch.bool), *mask]),
        "sentences": torch.cat([torch.zeros(0, width), *(s.sentence for s in said)]),
    }
    write_tensors(folder / "text.safetensors", tensors)
    write_lines(folder / "captions.jsonl", captions)


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON value a line."""
    write_text(path, "".join(json.dumps(v, ensure_ascii=False) + "\n" for v in values))


def unique_captions(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The text that says nothing, then every caption once, in the order of first use."""
    names = ("captions", "mirrored_captions")
    return list(dict.fromkeys(("", *(c for row in rows for name in names for c in row[name]))))
