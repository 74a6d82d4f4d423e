"""Faults of `bench mbench` that joints alone do not show: a body in itself, another clip's text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from humanmotion.bench.mbench_clips import SIZES
from humanmotion.bench.mbench_matrix import Change
from humanmotion.bench.report import Row
from humanmotion.body import BodyModel
from humanmotion.generation.retrieval_tasks import WRONG, choice_hits
from humanmotion.jobs.evaluator_scores import Embedded
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.body_inside import BodyInside
from humanmotion.metrics.mbench_joints import JOINTS
from humanmotion.metrics.mbench_names import CHOICE, MESH_INSIDE, MESH_PENETRATION
from humanmotion.metrics.text import repeated
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z

SELF_INTERSECTION, WRONG_TEXT = "self-intersection", "wrong text"
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the clips that are given another one's text; a text moves no joint and has no size in metres."""
LEAST_STEP = 1e-9
"""A step that is no more than this is none."""
ARMS = ("left_shoulder", "right_shoulder")
LIMBS = (*ARMS, "left_hip", "right_hip")
_FULL_TURN = math.pi / 2
_HALVINGS = 14


def self_intersection(
    clips: Sequence[Motion], body: BodyModel, *, stride: int, sizes: Sequence[float] = SIZES
) -> tuple[list[Row], list[Change]]:
    """The least steps of both metrics while all limbs go into the body, and their rise at 2 cm.

    Looked at is every `stride`-th frame of each clip. Body penetration counts triangles that cross:
    arms that go in alone, by the same mean displacement and so farther, are wholly inside in the end
    and raise it no more. Their rows have no bar; the metric of what is inside is there for them.
    """
    metric = BodyInside(body)
    told = ", ".join(f"{100 * size:g}" for size in sizes)
    own: list[Row] = []
    changes: list[Change] = []
    for joints, what, barred in ((LIMBS, "", True), (ARMS, ", arms alone", False)):
        at: list[list[float]] = []
        for size in (0.0, *sizes):
            found = [metric(turned_in(c, size, body, joints=joints), stride=stride) for c in clips]
            of_each = zip(*found, strict=True)
            at.append([sum(v.value or 0.0 for v in values) / len(clips) for values in of_each])
        names = MESH_PENETRATION, MESH_INSIDE
        by_name = dict(zip(names, zip(*at, strict=True), strict=True))
        own += [
            Row(f"sensitivity-{SELF_INTERSECTION}{what}-{name}",
                f"{SELF_INTERSECTION}{what}, {len(clips)} clips: least step of {name} the right way "
                f"over mean displacements of 0, {told} cm",
                min(b - a for a, b in pairwise(values)), "%",
                *((LEAST_STEP, ">=") if barred else (None, None)))
            for name, values in by_name.items()
        ]  # fmt: skip
        after = sizes.index(0.02) + 1
        changes += [
            Change(SELF_INTERSECTION, name, values[0], values[after], True, "2 cm", unit="%")
            for name, values in by_name.items() if barred
        ]  # fmt: skip
    return own, changes


def turned_in(
    motion: Motion, size: float, body: BodyModel, *, joints: Sequence[str] = LIMBS
) -> Motion:
    """Upper arms and thighs turned into the body until the 22 joints are `size` metres away.

    Arms down, legs together and past each other; in the mean over frames and joints, or a quarter turn,
    whichever comes first.
    """
    places = body.joints_of(motion)[:, :JOINTS]

    def away(turn: float) -> float:
        spoilt = body.joints_of(_turned(motion, turn, joints))[:, :JOINTS]
        return float((spoilt - places).norm(dim=-1).mean())

    low, high = 0.0, _FULL_TURN
    for _ in range(_HALVINGS if size > 0 else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if away(middle) < size else (low, middle)
    return _turned(motion, low, joints)


def _turned(motion: Motion, radians: float, joints: Sequence[str]) -> Motion:
    """Limbs turned about their parent's forward axis, which is z where it stands at rest."""
    turns = motion.rotations.clone()
    for name in joints:
        joint, sign = SMPLX_JOINTS.index(name), -1.0 if name.startswith("left") else 1.0
        turns[:, joint] = rotation_about_z(turns.new_tensor(sign * radians)) @ turns[:, joint]
    return motion.with_rotations(turns)


def wrong_text(real: Embedded | None, *, seed: int = 0) -> tuple[list[Row], list[Change]]:
    """The least fall of the 10-way task as more real clips are given another one's text.

    Not run without the evaluator's vectors of real clips, or where too few are of other actions.
    """
    id = f"sensitivity-{WRONG_TEXT}-{CHOICE}"
    if real is None or int((~real.right).sum(1).min()) < WRONG:
        why = "the evaluator's weights" if real is None else "more clips of other actions"
        return [Row(id, f"{CHOICE} under {WRONG_TEXT}; needs {why}", None, "")], []
    at = [_right(real, share, seed=seed) for share in (0.0, *SHARES)]
    told = ", ".join(f"{100 * share:g}" for share in SHARES)
    own = Row(
        id, f"{WRONG_TEXT}, {len(real.text)} real clips: least fall of {CHOICE} over shares of 0, "
        f"{told} % wrong", min(a - b for a, b in pairwise(at)), "", LEAST_STEP, ">=",
    )  # fmt: skip
    return [own], [Change(WRONG_TEXT, CHOICE, at[0], at[-1], True, "100 %")]


def _right(real: Embedded, share: float, *, seed: int) -> float:
    """How often the 10-way task is right when a share of the clips has another one's text."""
    rows = swapped(real.right, share, seed=seed)

    def once(own: Embedded, generator: torch.Generator) -> float:
        hits = choice_hits(
            own.text[rows], own.motion, same=own.right[rows][:, rows], generator=generator
        )
        return float(hits.double().mean())

    return repeated(partial(once, real), seed=seed).mean


def swapped(same: Tensor, share: float, *, seed: int) -> Tensor:
    """Whose text each clip has `(N)`: its own, or for a share of them one that means something else.

    A greater share takes in the smaller ones. `same` `(N, N)` bool: texts that mean the same; a clip
    whose text means the same as all others keeps it.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(same), generator=generator)
    donors = torch.rand(same.shape, generator=generator).masked_fill(same, -1.0).argmax(1)
    rows = torch.arange(len(same))
    order = order[~same[order].all(1)]
    chosen = order[: round(share * len(order))]
    rows[chosen] = donors[chosen]
    return rows
