"""The captions a generator was taught from: out of its shards, and in a file beside its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.known import KnownCaptions, best_threshold
from humanmotion.generation.sampler import KNOWN
from humanmotion.jobs.shards import Shards


def known_captions(shards: Shards) -> KnownCaptions:
    """Captions of the train split, as they are and in a mirror, and the threshold by the val split.

    Val captions of actions that train has are the known ones, those of other actions the unknown ones.
    Raises UsageError for shards without both.
    """
    train = [row for row in shards.rows if row["split"] == "train"]
    captions = list(dict.fromkeys(
        c for row in train for name in ("captions", "mirrored_captions") for c in row[name]
    ))  # fmt: skip
    sentences = _sentences(shards, captions)
    actions = {row["action"] for row in train}
    near = {True: dict[str, float](), False: dict[str, float]()}
    for row in (row for row in shards.rows if row["split"] == "val"):
        own = row["captions"][: row["given"]]
        alike = (_sentences(shards, own) @ sentences.mT).amax(-1) if own else torch.zeros(0)
        near[row["action"] in actions] |= dict(zip(own, alike.tolist(), strict=True))
    known, unknown = (list(near[is_known].values()) for is_known in (True, False))
    return KnownCaptions(tuple(captions), sentences.half(), best_threshold(known, unknown))


def _sentences(shards: Shards, captions: list[str]) -> Tensor:
    number = {caption: i for i, caption in enumerate(shards.captions)}
    return shards.sentences[[number[c] for c in captions]]


def write_known_beside(weights: Path, shards: Shards) -> None:
    """Write what was learnt beside new weights; none where val cannot say what is unknown."""
    path = weights.with_name(KNOWN)
    try:
        write_known(path, known_captions(shards))
    except UsageError:
        path.unlink(missing_ok=True)


def write_known(path: str | Path, known: KnownCaptions) -> None:
    """Write `<path>.safetensors` and `<path>.json`."""
    path = Path(path)
    write_tensors(path.with_suffix(".safetensors"), {"sentences": known.sentences})
    write_json(
        path.with_suffix(".json"), {"threshold": known.threshold, "captions": list(known.captions)}
    )
