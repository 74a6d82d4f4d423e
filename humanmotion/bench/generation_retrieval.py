"""Rows of `bench generation` in the evaluator's space: does a motion show what its text says?

Each repetition draws anew which of a caption's samples is looked at, and how captions are dealt into
batches. Numbers hold for this evaluator alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.bench.generation_material import (
    SPLITS,
    Held,
    Made,
    Material,
    embedded_motion,
)
from humanmotion.bench.report import Baseline, Row
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.text import (
    BATCH,
    Repeated,
    diversity,
    frechet_distance,
    kernel_distance,
    matching_distance,
    multimodality,
    r_precision,
    repeated,
)

OURS, LIGHT, FREE, MDM = "ours", "light", "unconditional", "MDM"
SHUFFLED, ORACLE = "shuffled retrieval", "oracle"
LEAST_OF_REAL, LEAST_OF_TEACHER = 0.85, 0.9
TOLD = {
    OURS: "ours", LIGHT: "the light student", FREE: "ours, text dropped", MDM: "MDM, trained alike",
    SHUFFLED: "a training clip by captions dealt at random",
    ORACLE: "oracle: the training clip whose caption is most alike",
}  # fmt: skip
Found = dict[str, Repeated]
"""By name of the measure."""


@dataclass(frozen=True)
class Scored:
    """What each system makes of each split, by system and split."""

    real: Mapping[str, Found]
    by: Mapping[tuple[str, str], Found]


def scored(
    helds: Sequence[Held], mades: Mapping[str, Sequence[Made]], *, repetitions: int
) -> Scored:
    """Every measure of every system, on each split and on both together."""
    real = {held.name: figures(held, held.real[:, None], repetitions) for held in helds}
    by = {
        (system, held.name): figures(held, made.embedded, repetitions)
        for system, each in mades.items()
        for held, made in zip(helds, each, strict=True)
    }
    for system, each in mades.items():
        whole = torch.cat([m.embedded for m in each])
        by[system, BOTH] = _alike(torch.cat([h.real for h in helds]), whole, repetitions)
    return Scored(real, by)


BOTH = "held out"


def figures(held: Held, made: Tensor, repetitions: int) -> Found:
    """R-precision, MM-Dist, FID, KID, diversity and multimodality of samples `(N, S, d)`."""
    text, same = held.text, held.same

    def rank(k: int) -> Callable[[torch.Generator], float]:
        return lambda g: r_precision(text, _drawn(made, g), same=same, generator=g)[k - 1]

    measures = {f"R@{k}": rank(k) for k in (1, 2, 3)} if len(text) >= BATCH else {}
    measures["MM-Dist"] = lambda g: matching_distance(text, _drawn(made, g))
    if made.shape[1] > 1:
        measures["multimodality"] = lambda g: multimodality(made, generator=g)
    found = {k: repeated(m, repetitions=repetitions) for k, m in measures.items()}
    return found | _alike(held.real, made, repetitions)


def _alike(real: Tensor, made: Tensor, repetitions: int) -> Found:
    """How far samples `(N, S, d)` lie as a set from real motions `(N, d)`."""
    measures: dict[str, Callable[[torch.Generator], float]] = {
        "FID": lambda g: frechet_distance(real, _drawn(made, g)),
        "KID": lambda g: kernel_distance(real, _drawn(made, g)),
        "diversity": lambda g: diversity(_drawn(made, g), generator=g),
    }
    if len(real) < 2:
        return {}
    return {k: repeated(m, repetitions=repetitions) for k, m in measures.items()}


def _drawn(made: Tensor, generator: torch.Generator) -> Tensor:
    """One sample of each text `(N, d)`."""
    which = torch.randint(made.shape[1], (len(made),), generator=generator)
    return made[torch.arange(len(made)), which]


def retrieval_rows(found: Scored) -> list[Row]:
    """Every figure, then what must hold."""
    rows = [
        Row(f"{system}/{split}/{name}",
            f"{TOLD[system]}, {split}: {name}, +-{value.half_width:.3f} over {value.repetitions}",
            value.mean, "", baseline=_real(found, split, name))
        for (system, split), each in found.by.items()
        for name, value in each.items()
    ]  # fmt: skip
    rows += [_share(found, OURS, "seen", bar=LEAST_OF_REAL), _share(found, OURS, "test", bar=None)]
    rows += [_against_teacher(found, split) for split in SPLITS]
    rows += [_gain(found, name, peer) for name in ("FID", "KID") for peer in (FREE, MDM)]
    return rows + [_beats(found, split) for split in SPLITS]


def _real(found: Scored, split: str, name: str) -> Baseline | None:
    own = found.real.get(split, {})
    return Baseline("real motion", own[name].mean) if name in own and name != "FID" else None


def _share(found: Scored, system: str, split: str, *, bar: float | None) -> Row:
    """R@3 over real motion's."""
    real = found.real.get(split, {}).get("R@3")
    own = found.by.get((system, split), {}).get("R@3")
    what = f"R@3 over real motion's, {split}"
    value = None if own is None or real is None else own.mean / max(real.mean, 1e-9)
    peer = None if real is None else Baseline("real motion", real.mean)
    return Row(f"R@3-share/{split}", what, value, "", bar, None if bar is None else ">=", peer)


def _against_teacher(found: Scored, split: str) -> Row:
    own, teacher = (found.by.get((s, split), {}).get("R@3") for s in (LIGHT, OURS))
    what = f"R@3 of the light student over its teacher's, {split}"
    value = None if own is None or teacher is None else own.mean / max(teacher.mean, 1e-9)
    peer = None if teacher is None else Baseline("teacher", teacher.mean)
    return Row(f"light-share/{split}", what, value, "", LEAST_OF_TEACHER, ">=", peer)


def _gain(found: Scored, name: str, peer: str) -> Row:
    """How much nearer to real motion ours lies than `peer` does, all held-out clips together."""
    own, other = (found.by.get((s, BOTH), {}).get(name) for s in (OURS, peer))
    value = None if own is None or other is None else other.mean - own.mean
    against = None if other is None else Baseline(peer, other.mean)
    what = f"{name}: what {TOLD[peer]} is farther from real motion, all held out"
    return Row(f"gain/{name}/{peer}", what, value, "", 0.0, ">=", against)


def _beats(found: Scored, split: str) -> Row:
    own, other = (found.by.get((s, split), {}).get("R@3") for s in (OURS, SHUFFLED))
    value = None if own is None or other is None else own.mean - other.mean
    against = None if other is None else Baseline(TOLD[SHUFFLED], other.mean)
    what = f"R@3 gained over {TOLD[SHUFFLED]}, {split}"
    return Row(f"gain/R@3/{SHUFFLED}/{split}", what, value, "", 0.0, ">=", against)


def retrieved(material: Material, held: Held, *, deals: int) -> dict[str, Made]:
    """Training clips in the place of generated ones: by the caption most alike, and by captions dealt
    among the clips at random, `deals` times."""
    nearest, owners = nearest_captions(material.shards, material.shards.sentences[held.rows])
    dealt = []
    for deal in range(deals):
        order = torch.randperm(len(owners), generator=torch.Generator().manual_seed(deal))
        dealt.append(owners[order][nearest])
    return {
        ORACLE: _clips(material, [owners[nearest]]),
        SHUFFLED: _clips(material, dealt),
    }


def nearest_captions(shards: Shards, sentences: Tensor) -> tuple[Tensor, Tensor]:
    """Which caption of a training clip is most alike each sentence `(N, d)`, `(N)`; whose each is.

    Raises InputError for shards without captioned training clips.
    """
    numbers, owners = _captions(EvaluatorPairs.of(shards, split="train"))
    return (sentences @ shards.sentences[numbers].mT).argmax(1), owners


def _captions(train: EvaluatorPairs) -> tuple[Tensor, Tensor]:
    """Rows of the given captions of all training clips, and whose each is."""
    found = [
        (train.number[caption], clip)
        for clip in train.clips
        for caption in train.shards.rows[clip]["captions"][: train.shards.rows[clip]["given"]]
    ]
    numbers, owners = torch.tensor(found).unbind(-1)
    return numbers, owners


def _clips(material: Material, choices: Sequence[Tensor]) -> Made:
    features = tuple(
        tuple(material.shards.of_clip(int(i)) for i in chosen.tolist()) for chosen in choices
    )
    each = [embedded_motion(material.evaluator, own) for own in features]
    return Made(features, torch.stack(each, 1))
