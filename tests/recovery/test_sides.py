"""Left and right put back where a detector swapped them, and left alone where it did not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from humanmotion.joint_sets import JOINT_SETS
from humanmotion.recovery.detection import PersonBox, Sighting
from humanmotion.recovery.sides import MAX_EDGE, settle_sides

SET = "mediapipe_33"


def walk(stick, count=80):
    """A figure that walks a bow, turning half aside."""
    return {
        i: stick.sighting(150 + 3 * i, 240, yaw=0.01 * i, swing=math.sin(i / 4))
        for i in range(count)
    }


def settled(sightings, joint_set, **given) -> dict[int, Sighting]:
    return dict(settle_sides(sightings, joint_set, **given))


def same(a: dict[int, Sighting], b: dict[int, Sighting]) -> bool:
    return a.keys() == b.keys() and all(
        np.allclose(a[f].xy, b[f].xy)
        and np.allclose(a[f].xyz, b[f].xyz, atol=1e-5)
        and np.allclose(a[f].sides, b[f].sides)
        for f in a
    )


def spoilt(stick, truth, frames):
    return {f: stick.swapped(s) if f in frames else s for f, s in truth.items()}


def test_right_labels_stay(stick):
    truth = walk(stick)
    assert same(settled(truth, SET), truth)


@pytest.mark.parametrize("frames", [range(30, 31), range(20, 45), [5, 6, 40, 41, 42, 60]])
def test_bursts_are_undone(stick, frames):
    truth = walk(stick)
    assert same(settled(spoilt(stick, truth, frames), SET), truth)


def test_it_is_idempotent(stick):
    rng = np.random.default_rng(0)
    truth = walk(stick)
    noisy = {
        f: replace(s, xy=s.xy + rng.normal(0, 4, s.xy.shape).astype(np.float32))
        for f, s in spoilt(stick, truth, range(20, 40)).items()
    }
    once = settled(noisy, SET)
    assert same(settled(once, SET), once)


def test_half_a_body_is_put_back(stick):
    """Only the legs swapped; their depths are left, since nobody took front for back."""
    truth = {i: stick.sighting(150 + 3 * i, 240, yaw=0.2) for i in range(80)}
    rows = [i for i, n in enumerate(JOINT_SETS[SET]) if n.split("_")[-1] in
            ("hip", "knee", "ankle", "heel", "toe")]  # fmt: skip
    found = dict(truth)
    for f in range(30, 40):
        whole, xy = stick.swapped(truth[f]), truth[f].xy.copy()
        xy[rows] = whole.xy[rows]
        found[f] = replace(truth[f], xy=xy)
    out = settled(found, SET)
    assert all(np.allclose(out[f].xy, truth[f].xy) for f in truth)


def test_a_long_swap_to_the_end_is_left(stick):
    """It may as well be another view: only a swap that comes back is a mistake for sure."""
    truth = walk(stick)
    long = spoilt(stick, truth, range(80 - 2 * MAX_EDGE, 80))
    assert same(settled(long, SET), long)
    short = spoilt(stick, truth, range(80 - MAX_EDGE // 2, 80))
    assert same(settled(short, SET), truth)


def test_shots_are_settled_apart(stick):
    """After a cut to a view from behind, sides are where they are."""
    front = {i: stick.sighting(300, 240, yaw=0.1) for i in range(30)}
    behind = {i: stick.sighting(300, 240, yaw=math.pi + 0.1) for i in range(30, 38)}
    both = front | behind
    assert same(settled(both, SET, breaks=frozenset({30})), both)


def test_gaps_part_runs(stick):
    front = {i: stick.sighting(300, 240, yaw=0.1) for i in range(30)}
    later = {i: stick.sighting(300, 240, yaw=math.pi + 0.1) for i in range(60, 68)}
    assert same(settled(front | later, SET), front | later)


def test_hands_and_face_go_with_the_body(stick):
    """In the set of 543 points fingers change sides with their doubt, and the face hangs on."""
    names = JOINT_SETS["mediapipe_543"]
    rng = np.random.default_rng(0)

    def whole(i):
        body = stick.sighting(150 + 3 * i, 240, yaw=0.3)
        xy, xyz = np.zeros((543, 2), np.float32), np.zeros((543, 3), np.float32)
        xy[:33], xyz[:33] = body.xy, body.xyz
        for first, wrist in ((33, 15), (54, 16)):
            xy[first : first + 21] = body.xy[wrist] + offsets[first : first + 21, :2] * 100
            xyz[first : first + 21] = body.xyz[wrist] + offsets[first : first + 21]
        xyz[75:] = body.xyz[0] + offsets[75:]
        sure, sides = np.full(543, 0.9, np.float32), np.ones(543, np.float32)
        sides[33:75] = 0.8
        return Sighting(xy, sure, xyz, sides, PersonBox(150 + 3 * i, 240, 250, 0, 0.9))

    def wrong(seen):
        order = np.array([names.index(mirror(n)) if i < 75 else i for i, n in enumerate(names)])
        xyz = seen.xyz[order].copy()
        xyz[:33, 2] *= -1
        for first, wrist in ((33, 15), (54, 16)):
            hand = seen.xyz[order[first : first + 21]]
            xyz[first : first + 21] = hand - hand[0] + xyz[wrist]
        xyz[75:] += xyz[0] - seen.xyz[0]
        sides = seen.sides[order].copy()
        sides[33:75] = 1 - sides[33:75]
        return Sighting(seen.xy[order], seen.confidence[order], xyz, sides, seen.box)

    def mirror(name):
        return name.replace("left", "*").replace("right", "left").replace("*", "right")

    offsets = rng.normal(0, 0.04, (543, 3)).astype(np.float32)
    offsets[[33, 54]] = 0
    truth = {i: whole(i) for i in range(40)}
    found = {i: wrong(s) if 12 <= i < 20 else s for i, s in truth.items()}
    assert not np.allclose(found[15].xy, truth[15].xy)
    assert same(settled(found, "mediapipe_543"), truth)
