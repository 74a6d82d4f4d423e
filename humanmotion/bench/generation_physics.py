"""Rows of `bench generation` on feet, floor, jitter and how much moves, over real motion's.

All at 20 fps, on the joints of the same captions' real and generated motions, means over clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.bench.generation_material import Held, Made, joints_in
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.generation.features import FPS
from humanmotion.jobs.clip_filters import measured
from humanmotion.metrics import (
    floor_float,
    floor_penetration,
    foot_contact,
    foot_sliding,
    foot_speed,
    jitter,
    low_passed,
    sole_height,
)
from humanmotion.metrics.contact import CONTACT_SPEED

MOST, LEAST_JITTER, DYNAMIC = 1.2, 0.7, 0.2
_UNITS = {
    "contact": ("", 1.0), "sliding": ("mm/frame", 1000.0), "sliding_low": ("mm/frame", 1000.0),
    "penetration": ("mm", 1000.0), "floating": ("mm", 1000.0),
    "jitter": ("m/s^3", 1.0), "dynamic": ("m/s", 1.0),
}  # fmt: skip
TOLD = {
    "contact": "share of feet that stand",
    "sliding": "step of feet that stand",
    "sliding_low": "step along the floor of soles within 2 cm of it, however fast",
    "penetration": "depth of the lower sole under the floor",
    "floating": "height of the lower sole where it is slower than 0.15 m/s",
    "jitter": "jitter under 6 Hz",
    "dynamic": "speed of all joints",
}


def moves(joints: Tensor, body: BodyModel, *, fps: float = FPS) -> dict[str, float]:
    """What the rows are of, of joints `(T, 22, 3)` of ten frames or more; metres and seconds."""
    sole = body.sole_offset().to(joints)
    contact = foot_contact(joints, sole=sole, fps=fps)
    height = sole_height(joints, sole=sole)
    lower = height <= height.amin(-1, keepdim=True)
    slow = foot_speed(joints, fps=fps) < CONTACT_SPEED
    sure = torch.ones(joints.shape[:2])
    return {
        "contact": float(contact.float().mean()),
        "sliding": float(foot_sliding(joints, contact)),
        "sliding_low": measured(joints, sure, sole=sole)["sliding"],
        "penetration": float(floor_penetration(joints, sole=sole).mean()),
        "floating": float(floor_float(joints, lower & slow, sole=sole)),
        "jitter": float(jitter(low_passed(joints, fps=fps), fps=fps).mean()),
        "dynamic": fps * float(joints.diff(dim=0).norm(dim=-1).mean()),
    }


def mean_moves(clips: Sequence[Tensor], body: BodyModel) -> dict[str, float]:
    """Means over clips of features `(T, 276)`, each as likely; a foot that never stands slides 0."""
    each = [moves(joints_in(clip), body) for clip in clips]
    return {name: float(torch.tensor([e[name] for e in each]).mean()) for name in _UNITS}


def physics_rows(
    helds: Sequence[Held],
    mades: Sequence[Made],
    body: BodyModel,
    *,
    name: str = "ours",
    barred: bool = True,
) -> list[Row]:
    """Both sides in full, and ratios with their bars; all splits together."""
    real = mean_moves([f for held in helds for f in held.features], body)
    own = mean_moves([f for made in mades for each in made.features for f in each], body)
    rows = []
    for key, (unit, scale) in _UNITS.items():
        what = f"{name}: {TOLD[key]}"
        rows.append(Row(f"physics/{name}/{key}", what, scale * own[key], unit,
                        baseline=Baseline("real motion", scale * real[key])))  # fmt: skip
    return rows + (_bars(name, own, real) if barred else [])


def _bars(name: str, own: dict[str, float], real: dict[str, float]) -> list[Row]:
    rows = []
    ratio = {key: own[key] / max(real[key], 1e-9) for key in _UNITS}
    bars: tuple[tuple[str, str, float, bool], ...] = (
        ("sliding", "sliding", MOST, False), ("sliding_low", "sliding_low", MOST, False),
        ("penetration", "penetration", MOST, False),
        ("floating", "floating", MOST, False), ("jitter_high", "jitter", MOST, False),
        ("jitter_low", "jitter", LEAST_JITTER, True),
        ("dynamic_high", "dynamic", 1 + DYNAMIC, False),
        ("dynamic_low", "dynamic", 1 - DYNAMIC, True),
    )  # fmt: skip
    for id_, key, bar, least in bars:
        told = f"{name}: {TOLD[key]}, over real motion's"
        rows.append(Row(f"physics-ratio/{name}/{id_}", told, ratio[key], "", bar,
                        ">=" if least else "<="))  # fmt: skip
    return rows
