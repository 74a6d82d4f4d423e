"""Rows of `bench generation` for the branch that reads a motion: what it makes of spoilt ones."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.bench.generation_material import Material
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.generation.corruption import Corruption, corrupted
from humanmotion.generation.features import (
    JOINTS,
    REFERENCE,
    canonical,
    motion_of,
)
from humanmotion.generation.sampler import FILE_FPS
from humanmotion.metrics import foot_contact, foot_sliding, jitter, mpjpe
from humanmotion.motion import Motion

SPOILING = Corruption(lost=0.0)
"""As in training, but no frame is lost: a motion has them all."""
LEAST_FRAMES = 40
BARS = {"jitter": 0.5, "sliding": 0.6, "pose": 0.7}
"""Most of the spoilt motion's own."""
_UNITS = {"jitter": ("m/s^3", 1.0), "sliding": ("mm/frame", 1000.0), "pose": ("mm", 1000.0)}
_TOLD = {
    "jitter": "jitter", "sliding": "sliding of feet that truly stand",
    "pose": "MPJPE about the hips",
}  # fmt: skip


def spoilt(material: Material, features: Tensor, *, seed: int) -> Motion:
    """The motion at 20 fps of features `(T, 276)`, rotations spoilt as capture spoils them."""
    network, generator = material.make.network, torch.Generator().manual_seed(seed)
    clean = network.normalised(features)[None, :, REFERENCE]
    there = torch.ones(clean.shape[:2], dtype=torch.bool)
    shaken, _ = corrupted(clean, there, generator=generator, kind=SPOILING)
    values = features.clone()
    values[:, REFERENCE] += (shaken - clean)[0] * network.spread[REFERENCE]
    return motion_of(values, material.body)


def reference_rows(material: Material, *, most: int | None) -> list[Row]:
    """Over held-out clips: the refined motion's figures over those of the spoilt one."""
    if not material.make.network.config.refers:
        return [Row(f"M2M/{k}", f"{_TOLD[k]}; the weights read text alone", None, "", bar, "<=")
                for k, bar in BARS.items()]  # fmt: skip
    held = material.held("test", most=most)
    chosen = [f for f in held.features if len(f) >= LEAST_FRAMES]
    before, after = [], []
    for seed, features in enumerate(chosen):
        truth = motion_of(features, material.body)
        worse = spoilt(material, features, seed=seed)
        better = material.make.refine(worse, seed=seed)
        both = _judged((truth, worse, better), material.body)
        before.append(both[0])
        after.append(both[1])
    rows = []
    for name, bar in BARS.items():
        unit, scale = _UNITS[name]
        old, new = (scale * float(torch.tensor([x[name] for x in each]).mean())
                    for each in (before, after))  # fmt: skip
        told = f"{_TOLD[name]}, {len(chosen)} spoilt test clips refined"
        rows += [
            Row(f"M2M/{name}-refined", told, new, unit, baseline=Baseline("spoilt", old)),
            Row(
                f"M2M/{name}", f"{told}, over the spoilt ones'", new / max(old, 1e-9), "", bar, "<="
            ),
        ]
    return rows


def _judged(
    motions: tuple[Motion, Motion, Motion], body: BodyModel
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures at 30 fps of a spoilt and of a refined motion against the truth."""
    true, worse, better = (body.joints_of(m.resample(FILE_FPS))[:, :JOINTS] for m in motions)
    # The refined one stands where its reference starts, and faces where that faces.
    place = _place(motions[1], body)
    better = better @ place[0].mT + place[1]
    frames = min(len(true), len(worse), len(better))
    true = true[:frames]
    stands = foot_contact(true, sole=body.sole_offset(), fps=FILE_FPS)
    worse_told, better_told = (
        {
            "jitter": float(jitter(joints[:frames], fps=FILE_FPS).mean()),
            "sliding": float(foot_sliding(joints[:frames], stands)),
            "pose": float(mpjpe(joints[:frames], true).mean()),
        }
        for joints in (worse, better)
    )
    return worse_told, better_told


def _place(motion: Motion, body: BodyModel) -> tuple[Tensor, Tensor]:
    rotations = motion.rotations[:, :JOINTS]
    place = canonical(rotations, motion.transl, rest=body.rest_joints())[2]
    return place.turn, place.origin
