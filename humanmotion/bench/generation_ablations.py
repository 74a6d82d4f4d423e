"""Rows of `bench generation` for what is left out or changed; on val, where choices may be made.

References stand in for a video: the training clip whose caption is most alike, spoilt as capture
spoils it. The gate is that of `humanmotion generate --reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.bench.generation_material import (
    Held,
    Made,
    Makes,
    Material,
    embedded_motion,
    made_by,
    maker,
)
from humanmotion.bench.generation_physics import mean_moves
from humanmotion.bench.generation_references import spoilt
from humanmotion.bench.generation_retrieval import ORACLE, figures, retrieved
from humanmotion.bench.report import Row
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.features import features_of
from humanmotion.generation.sampler import TextToMotion
from humanmotion.jobs.generate_reference import judged

STEPS, GUIDANCES = (2, 4, 6, 20, 50), (1.0, 2.5, 7.5)
STARTS, SHIFTS = (0.5, 0.85, 1.0), (1.0, 3.0, 8.0)


def ablation_rows(
    material: Material, *, seeds: Sequence[int], most: int | None, repetitions: int, quick: bool
) -> list[Row]:
    """R@3, MM-Dist and sliding of each variant, with their spread over seeds; quick, of a few."""
    held, make = material.held("val", most=most), material.make
    judge = _Judge(material, held, tuple(seeds), repetitions)
    default = made_by(maker(make), held, seeds=seeds, material=material)
    rows = judge.rows("text-only", "text alone, as it is", default)
    if make.network.config.refers:
        rows += judge.branch_rows(default)
    for id_, what, makes in _variants(make)[: 1 if quick else None]:
        made = made_by(makes, held, seeds=seeds, material=material)
        rows += judge.rows(id_, what, made)
    return rows


def _variants(make: TextToMotion) -> list[tuple[str, str, Makes]]:
    """Ways to sample: id, what it is, and the way."""
    found = [(f"steps-{n}", f"{n} steps", maker(make, steps=n)) for n in STEPS]
    found += [(f"guidance-{g:g}", f"guidance {g:g}", maker(make, guidance=g)) for g in GUIDANCES]
    for start in STARTS:
        other = replace(make, sampling=replace(make.sampling, start=start))
        found.append((f"start-{start:g}", f"sampled from level {start:g} on", maker(other)))
    for shift in SHIFTS:
        what = f"levels of shift {shift:g}"
        other = replace(make, sampling=replace(make.sampling, shift=shift))
        found.append((f"shift-{shift:g}", what, maker(other)))
    return found


@dataclass(frozen=True)
class _Judge:
    """What the variants are measured with."""

    material: Material
    held: Held
    seeds: tuple[int, ...]
    repetitions: int

    def rows(self, id_: str, what: str, made: Made) -> list[Row]:
        """Rows of what was made once for each seed."""
        scale = {"R@3": ("", 1.0), "MM-Dist": ("", 1.0), "sliding": ("mm/frame", 1000.0)}
        each: dict[str, list[float]] = {name: [] for name in scale}
        for number, features in enumerate(made.features):
            found = figures(self.held, made.embedded[:, number : number + 1], self.repetitions)
            each["R@3"] += [found["R@3"].mean] if "R@3" in found else []
            each["MM-Dist"].append(found["MM-Dist"].mean)
            each["sliding"].append(mean_moves(features, self.material.body)["sliding"])
        return [
            _spread(f"ablation/{id_}/{name}", f"{what}: {name}, val", values, scale[name])
            for name, values in each.items()
        ]

    def branch_rows(self, by_text: Made) -> list[Row]:
        """References alone, and the gate between them and what text alone gives."""
        references = retrieved(self.material, self.held, deals=1)[ORACLE].features[0]
        seen = [spoilt(self.material, f, seed=i) for i, f in enumerate(references)]
        again = [features_of(motion, self.material.body) for motion in seen]
        told = embedded_motion(self.material.evaluator, again)
        alike = (self.held.text * told).sum(-1).tolist()
        through = [judged(f, similarity=fits).follow for f, fits in zip(again, alike, strict=True)]
        refined = self._made(lambda i, seed: features_of(
            cleaned(self.material.make.refine(seen[i], seed=seed), self.material.body),
            self.material.body))  # fmt: skip
        gated = _chosen(by_text, refined, torch.tensor(through))
        share = sum(through) / len(through)
        return [
            *self.rows("reference-only", "references alone", refined),
            *self.rows("gated", "references that the gate lets through, else text", gated),
            Row("ablation/gated/share", "references that the gate lets through", share, ""),
        ]

    def _made(self, refine: Callable[[int, int], Tensor]) -> Made:
        rounds = tuple(
            tuple(refine(i, seed) for i in range(len(self.held.clips))) for seed in self.seeds
        )
        each = [embedded_motion(self.material.evaluator, features) for features in rounds]
        return Made(rounds, torch.stack(each, 1))


def _chosen(by_text: Made, refined: Made, through: Tensor) -> Made:
    features = tuple(
        tuple(b if t else a for a, b, t in zip(*pair, through.tolist(), strict=True))
        for pair in zip(by_text.features, refined.features, strict=True)
    )
    embedded = torch.where(through[:, None, None], refined.embedded, by_text.embedded)
    return Made(features, embedded)


def _spread(id_: str, what: str, values: list[float], unit: tuple[str, float]) -> Row:
    if not values:
        return Row(id_, f"{what}: fewer clips than a batch", None, unit[0])
    found = unit[1] * torch.tensor(values)
    half = float(found.std()) if len(values) > 1 else 0.0
    told = f"{what}, +-{half:.3f} over {len(values)} seeds"
    return Row(id_, told, float(found.mean()), unit[0])
