"""`humanmotion bench generation`: motion from text beside real motion, peers and its own parts alone.

Figures of real motion come first. Nothing is chosen on the seen and test splits; what is left out or
changed is measured on val.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanmotion.bench.generation_ablations import ablation_rows
from humanmotion.bench.generation_attention import FRAMES, sparse_rows
from humanmotion.bench.generation_choice import choice_rows
from humanmotion.bench.generation_control import clips, control_rows
from humanmotion.bench.generation_hands import rows as hand_rows
from humanmotion.bench.generation_material import SPLITS, Held, Made, Material, made_by, maker
from humanmotion.bench.generation_physics import physics_rows
from humanmotion.bench.generation_real import real_rows
from humanmotion.bench.generation_references import reference_rows
from humanmotion.bench.generation_retrieval import (
    FREE,
    LIGHT,
    MDM,
    OURS,
    retrieval_rows,
    retrieved,
    scored,
)
from humanmotion.bench.generation_speed import speed_rows
from humanmotion.bench.generation_streaming import drift_rows, seam_rows, streaming_rows
from humanmotion.bench.report import BenchReport, Row
from humanmotion.errors import InputError
from humanmotion.files import sha256
from humanmotion.jobs.data_build import build_data
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.hand_shards import FILE, HandTracks
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.text import BATCH


@dataclass(frozen=True)
class Size:
    """How much is run."""

    seeds: tuple[int, ...]
    """Samples of each caption."""
    ablation_seeds: tuple[int, ...]
    clips: int | None
    """Of each split; None is all."""
    controlled: int | None
    """Clips that are given back in part."""
    repetitions: int
    turns: int
    frames: tuple[int, ...]
    """Lengths at which sparse attention is tried."""
    minutes: float
    prompts: int


WHOLE = Size((0, 1, 2, 3, 4), (0, 1, 2), None, 24, 20, 9, FRAMES, 10.0, 3)
QUICK = Size((0,), (0,), BATCH, 3, 20, 2, (200, 1024), 0.5, 1)


def run(data: Path | None, *, quick: bool, weights: Path | None = None) -> BenchReport:
    """Everything about the generator on the shards or the data folder `data`.

    `weights` holds what is to be measured in the place of what is shipped: `generator`, `light`,
    `evaluator` and `mdm_0`. Raises InputError without data, or without a generator and an evaluator.
    """
    if data is None:
        raise InputError(
            "bench generation is measured on motion; give --data DIR or HUMANMOTION_DATA"
        )
    with tempfile.TemporaryDirectory() as work:
        folder = shards_in(data, Path(work))
        shards = Shards.read(folder)
        tracks = HandTracks.read(folder, shards) if (folder / FILE).exists() else None
    material = Material.read(shards, weights=weights)
    size = QUICK if quick else WHOLE
    rows, listed = generation_rows(material, size, quick=quick)
    rows += _hands(material, tracks, size)
    return BenchReport.create(
        "generation", rows, seeds=size.seeds, data=data, quick=quick, listed=listed
    )


def shards_in(data: Path, work: Path) -> Path:
    """The folder itself where it holds shards, else what is built of its sets."""
    if (data / "features.safetensors").exists():
        return data
    sets = sorted(p.parent for p in data.glob("*/index.jsonl"))
    whole = [data] if (data / "index.jsonl").exists() else [p for p in sets if p.name in DEFAULT]
    if not whole:
        raise InputError(
            f"{data} holds neither shards of `humanmotion data build` nor one of {', '.join(DEFAULT)}"
        )
    build_data(whole, output=work)
    return work


DEFAULT = ("cmu", "rocketbox", "mannequin_cc0")
"""Sets of the default mixture."""


def generation_rows(
    material: Material, size: Size, *, quick: bool
) -> tuple[list[Row], dict[str, Any]]:
    """All rows, and what is told in the JSON beside them."""
    helds = [material.held(split, most=size.clips) for split in SPLITS]
    count = sum(p.numel() for p in material.make.network.parameters())
    which = f"parameters of the generator, sha256 {sha256(material.weights)[:16]}"
    rows = [Row("weights", which, count / 1e6, "million")]
    rows += _real(material, size)
    rows += speed_rows(material.make, material.light, material.weights, turns=size.turns)
    mades = _mades(material, helds, size.seeds)
    rows += retrieval_rows(scored(helds, mades, repetitions=size.repetitions))
    told, questions = choice_rows(material, helds, mades[OURS])
    rows += told + physics_rows(helds, mades[OURS], material.body)
    bare = [made_by(maker(material.make), held, seeds=size.seeds[:1], material=material,
                    cleanup=False) for held in helds]  # fmt: skip
    rows += physics_rows(helds, bare, material.body, name="ours without clean-up", barred=False)
    rows += reference_rows(material, most=size.controlled)
    chosen = clips(material, most=size.controlled)
    rows += control_rows(material, chosen)
    rows += seam_rows(material, chosen) if chosen else []
    rows += drift_rows(material, prompts=size.prompts)
    rows += streaming_rows(material, minutes=size.minutes)
    rows += sparse_rows(
        material.make, frames=size.frames, turns=min(size.turns, 3) if not quick else 1
    )
    rows += ablation_rows(material, seeds=size.ablation_seeds, most=size.clips,
                          repetitions=size.repetitions, quick=quick)  # fmt: skip
    return rows, {"choices": questions}


def _real(material: Material, size: Size) -> list[Row]:
    names = ("train", "val", *SPLITS)
    pairs = [EvaluatorPairs.of(material.shards, split=name) for name in names]
    return real_rows(material.evaluator, pairs, names=names, body=material.body,
                     repetitions=size.repetitions)  # fmt: skip


def _hands(material: Material, tracks: HandTracks | None, size: Size) -> list[Row]:
    if tracks is None or material.make.hands is None:
        return []
    return [
        row
        for split in SPLITS
        for row in hand_rows(material.make.hands, (material.shards, tracks), split=split,
                             body=material.body, seeds=size.ablation_seeds, most=size.controlled)
    ]  # fmt: skip


def _mades(
    material: Material, helds: Sequence[Held], seeds: Sequence[int]
) -> dict[str, list[Made]]:
    """What each system there is makes of each split."""
    systems = {OURS: maker(material.make), FREE: maker(material.make, guidance=0.0)}
    if material.light is not None:
        systems[LIGHT] = maker(material.light)
    if material.mdm is not None:
        systems[MDM] = material.mdm
    mades = {
        name: [made_by(makes, held, seeds=seeds, material=material) for held in helds]
        for name, makes in systems.items()
    }
    for held in helds:
        for name, made in retrieved(material, held, deals=len(seeds)).items():
            mades.setdefault(name, []).append(made)
    return mades
