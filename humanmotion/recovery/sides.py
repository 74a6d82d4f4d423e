"""Undoing the detector's left/right mistakes, which come in bursts.

Seen from behind or half aside, a detector may call the left arm right for a while, and with it
takes front for back: its depths come out mirrored. Within one run of frames the body's points
hardly move from one frame to the next, so the labels that make them move least (Viterbi over four
states: arms swapped or not, legs swapped or not) show where a burst begins and ends. Which side of
a change is the mistake follows from the majority, and a little from the hand model, which names
hands on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from humanmotion.joint_sets import JOINT_SETS
from humanmotion.recovery.body_rows import mirrored_name
from humanmotion.recovery.detection import Floats, Sighting

STATES = ((0, 0), (1, 1), (1, 0), (0, 1))
"""Whether the upper and the lower body are swapped."""
SWAPPED = 0.003
"""Cost of one swapped frame, in sides of the square around the person: the majority decides."""
TWISTED = 0.005
"""Cost of one frame with only half of the body swapped."""
HAND = 0.002
"""Weight of the log odds by which the hand model says which hand it sees."""
LARGEST_STEP = 0.3
"""Motion between two frames counts up to this many sides: one wild point decides nothing."""
MAX_EDGE = 12
"""Frames of the longest swap undone at a run's end, where it may as well be a change of view."""
MAX_GAP = 3
"""Frames without the person after which labels before and after are unrelated."""
_LOWER = ("hip", "knee", "ankle", "heel", "toe")

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Layout:
    upper: Rows  # left and right points of arms and head, no fingers
    lower: Rows
    body: Rows  # both and the points on the middle line
    mirror: Rows  # (J) each row's row on the other side, fingers too
    face: Rows  # face mesh; it hangs on the nose
    hands: tuple[Rows, Rows]  # finger rows, left and right
    wrists: tuple[int, int]
    nose: int


def settle_sides(
    sightings: Mapping[int, Sighting], joint_set: str, *, breaks: frozenset[int] = frozenset()
) -> Iterator[tuple[int, Sighting]]:
    """Frame by frame the same sightings with swapped sides put back, one held at a time.

    `breaks` are first frames of shots.
    """
    layout = _layout(joint_set)
    for run in _runs(sorted(sightings), breaks):
        for frame, state in zip(run, _states(sightings, run, layout), strict=True):
            seen = sightings[frame]
            yield frame, _swapped(seen, state, layout) if any(state) else seen


def _runs(frames: list[int], breaks: frozenset[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for frame in frames:
        last = runs[-1][-1] if runs else -MAX_GAP - 2
        if frame - last > MAX_GAP + 1 or any(last < b <= frame for b in breaks):
            runs.append([])
        runs[-1].append(frame)
    return runs


def _states(
    sightings: Mapping[int, Sighting], run: list[int], layout: _Layout
) -> list[tuple[int, int]]:
    """The cheapest state of each sighting in one run of frames."""
    cost = _own_costs(sightings[run[0]], layout)
    back = []
    for before, after in pairwise(sightings[frame] for frame in run):
        move = _move_costs(before, after, layout)
        total = cost[:, None] + move
        back.append(total.argmin(0))
        cost = total.min(0) + _own_costs(after, layout)
    path = [int(cost.argmin())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    upper, lower = (np.array([STATES[i][half] for i in reversed(path)]) for half in (0, 1))
    return list(zip(_bursts(upper), _bursts(lower), strict=True))


def _bursts(swapped: NDArray[np.int64]) -> list[int]:
    """The same without long swaps that touch either end."""
    out = swapped.copy()
    for part in (out, out[::-1]):
        plain = np.flatnonzero(part == 0)
        first = int(plain[0]) if len(plain) else len(part)
        if first > MAX_EDGE:
            part[:first] = 0
    return [int(v) for v in out]


def _own_costs(sighting: Sighting, layout: _Layout) -> Floats:
    """`(4)`: what each state costs at one frame, whatever its neighbours are."""
    odds = 0.0
    for rows in layout.hands:
        seen = float(sighting.confidence[rows].mean()) if len(rows) else 0.0
        if seen > 0:
            right_side = float(np.clip(sighting.sides[rows].mean(), 0.1, 0.9))
            odds += seen * np.log(right_side / (1 - right_side))
    return np.array(
        [
            SWAPPED * (upper + lower) / 2 + TWISTED * (upper != lower) + HAND * odds * upper
            for upper, lower in STATES
        ],
        np.float32,
    )


def _move_costs(before: Sighting, after: Sighting, layout: _Layout) -> Floats:
    """`(4, 4)`: motion of the points from one frame to the next if each is in a given state."""
    moves = [
        _moves(before, after, (rows, layout.mirror[rows])) for rows in (layout.upper, layout.lower)
    ]
    table = [[sum(moves[k][a[k] != b[k]] for k in (0, 1)) / 2 for b in STATES] for a in STATES]
    return np.array(table, np.float32)


def _moves(before: Sighting, after: Sighting, pair: tuple[Rows, Rows]) -> tuple[float, float]:
    """Mean motion in sides of the square, with labels as they are and with one of both swapped."""
    side = max(before.box.side, after.box.side)
    out = []
    rows = pair[0]
    for other in pair:
        weight = before.confidence[rows] * after.confidence[other]
        apart = np.linalg.norm(before.xy[rows] - after.xy[other], axis=1) / side
        total = float(weight.sum())
        moved = float((weight * np.minimum(apart, LARGEST_STEP)).sum()) / max(total, 1e-6)
        out.append(moved if total > 0.5 else 0.0)
    return out[0], out[1]


def _swapped(sighting: Sighting, state: tuple[int, int], layout: _Layout) -> Sighting:
    upper, lower = state
    order = np.arange(len(layout.mirror))
    for rows, swap in ((layout.upper, upper), (layout.lower, lower)):
        if swap:
            order[rows] = layout.mirror[rows]
    sides, xyz = sighting.sides.copy(), sighting.xyz[order]
    if upper and lower:
        # The detector took front for back.
        xyz[layout.body, 2] *= -1
        xyz[layout.face] += xyz[layout.nose] - sighting.xyz[layout.nose]
    for rows, wrist in zip(layout.hands, layout.wrists, strict=True):
        if upper and len(rows):
            order[rows] = layout.mirror[rows]
            sides[rows] = 1 - sighting.sides[order[rows]]
            fingers = sighting.xyz[order[rows]]
            xyz[rows] = fingers - fingers[:1] + xyz[wrist]
    return replace(
        sighting,
        xy=sighting.xy[order],
        confidence=sighting.confidence[order],
        xyz=xyz,
        sides=sides,
    )


def _layout(joint_set: str) -> _Layout:
    names = JOINT_SETS[joint_set]
    place = {name: i for i, name in enumerate(names)}
    mirror = [place.get(mirrored_name(name), i) for i, name in enumerate(names)]
    fingers = tuple(
        np.array([i for i, n in enumerate(names) if n.startswith(f"{side}_hand_")], np.int64)
        for side in ("left", "right")
    )
    face = [i for i, name in enumerate(names) if name.startswith(("mesh_", "face_"))]
    body = [i for i, name in enumerate(names) if i not in face and "_hand_" not in name]
    sided = [i for i in body if mirror[i] != i]
    low = [i for i in sided if any(word in names[i] for word in _LOWER)]
    return _Layout(
        upper=np.array([i for i in sided if i not in low]),
        lower=np.array(low),
        body=np.array(body),
        face=np.array(face, np.int64),
        mirror=np.array(mirror),
        hands=(fingers[0], fingers[1]),
        wrists=(names.index("left_wrist"), names.index("right_wrist")),
        nose=names.index("nose"),
    )
