"""Which of ten captions does a motion show? Nine are of other actions, the same ones in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from humanmotion.bench.generation_material import Held, Made, Material, embedded_text
from humanmotion.bench.report import Baseline, Row
from humanmotion.metrics.text import SAME

OTHERS = 9
LEAST_SEEN = 0.6


@dataclass(frozen=True)
class Question:
    """One clip's captions to choose from."""

    clip: str
    """Its id."""
    asked: str
    distractors: tuple[str, ...]
    rows: tuple[int, ...]
    """All of them among the shards' captions, the right one first."""


def questions(material: Material, held: Held) -> list[Question]:
    """For each clip its caption and nine of other actions of the shards, in the order of a hash.

    Captions that mean the same as the right one are no distractors.
    """
    shards = material.shards
    by_action = _captions_by_action(material)
    number = {caption: i for i, caption in enumerate(shards.captions)}
    found = []
    for clip, caption in zip(held.clips, held.captions, strict=True):
        row = shards.rows[clip]
        own = shards.sentences[number[caption]]
        others: list[str] = []
        for action in sorted(by_action, key=lambda a: _hash(row["id"], a)):
            options = sorted(by_action[action], key=lambda c: _hash(row["id"], c))
            fit = [c for c in options if float(shards.sentences[number[c]] @ own) <= SAME]
            if action != row["action"] and fit and fit[0] not in others:
                others.append(fit[0])
            if len(others) == OTHERS:
                break
        rows = tuple(number[c] for c in (caption, *others))
        found.append(Question(row["id"], caption, tuple(others), rows))
    return found


def _captions_by_action(material: Material) -> dict[str, list[str]]:
    """Given captions of each action of all splits."""
    found: dict[str, list[str]] = {}
    for row in material.shards.rows:
        found.setdefault(row["action"], []).extend(row["captions"][: row.get("given", 0)])
    return {action: sorted(set(captions)) for action, captions in found.items() if captions}


def _hash(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()


def choice_rows(
    material: Material, helds: Sequence[Held], mades: Sequence[Made]
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The share that is told rightly on each split, and every question for the JSON."""
    rows, listed = [], []
    for held, made in zip(helds, mades, strict=True):
        asked = questions(material, held)
        right = _right(material, asked, made.embedded)
        real = _right(material, asked, held.real[:, None])
        bar = LEAST_SEEN if held.name == "seen" else None
        rows.append(Row(
            f"choice/{held.name}",
            f"motions that fit their own caption best of ten, {held.name} (chance 0.1)",
            float(right.float().mean()), "", bar, None if bar is None else ">=",
            Baseline("real motion", float(real.float().mean())),
        ))  # fmt: skip
        for question, told in zip(asked, right, strict=True):
            listed.append({
                "split": held.name, "clip": question.clip, "asked": question.asked,
                "distractors": list(question.distractors), "right": told.tolist(),
            })  # fmt: skip
    return rows, listed


def _right(material: Material, asked: Sequence[Question], made: Tensor) -> Tensor:
    """Whether each sample `(N, S, d)` is nearest to its own caption `(N, S)` bool."""
    shards, found = material.shards, []
    for question, samples in zip(asked, made, strict=True):
        rows = torch.tensor(question.rows)
        text = embedded_text(material.evaluator, shards.tokens[rows], shards.mask[rows])
        found.append((samples @ text.mT).argmax(-1) == 0)
    return torch.stack(found)
