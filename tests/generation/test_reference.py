"""References of any length: windows that cover them, joins that do not jump."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.features import features_of
from humanmotion.generation.reference import MOST_FRAMES, followed, parts_of
from humanmotion.generation.sampling import Sampling
from humanmotion.generation.streaming import AHEAD, KEPT, window
from humanmotion.motion import Motion, concat
from humanmotion.rotations import geodesic_distance


@pytest.mark.parametrize("frames", [1, 199, 200, 201, 202, 378, 379, 400, 1234, 12_000])
def test_windows_cover_all_frames_once(frames) -> None:
    parts = parts_of(frames)
    assert parts[0].start == 0 and parts[-1].until == parts[-1].end == frames
    for part in parts:
        assert part.start < part.until <= part.end <= min(part.until + AHEAD, frames)
        assert part.end - part.start <= MOST_FRAMES
    for a, b in pairwise(parts):
        assert b.start == a.until - KEPT and b.until > a.until


def test_a_short_one_is_refined_as_it_is(make, wandering) -> None:
    a, b = followed(make, wandering, seed=3, steps=2), make.refine(wandering, seed=3, steps=2)
    assert torch.equal(a.rotvec, b.rotvec) and torch.equal(a.transl, b.transl)


def test_poses_of_a_long_one_do_not_jump_where_windows_meet(make, wandering) -> None:
    long = concat([wandering, wandering.mirror()] * 4)
    made = followed(make, long, steps=4)
    assert made.fps == 30 and abs(made.duration - long.duration) < 0.15
    steps = geodesic_distance(made.rotations[1:, 1:22], made.rotations[:-1, 1:22]).mean(-1)
    seams = [round(1.5 * part.until) - 1 for part in parts_of(round(20 * long.duration))[:-1]]
    near = torch.tensor([s + k for s in seams for k in (-1, 0, 1)])
    inside = torch.ones(len(steps), dtype=torch.bool)
    inside[near] = False
    assert len(seams) == 2 and float(steps[near].max()) <= 1.2 * float(steps[inside].max())


@pytest.mark.parametrize("frames", [1, 7, 20])
def test_a_window_keeps_what_was_made_to_the_last_digit(make, wandering, body, frames) -> None:
    held = features_of(wandering, body)[10 : 10 + frames]
    found = window(make, make.condition(["a person walks"]), held, frames=60, seed=0,
                   sampling=Sampling(steps=2))  # fmt: skip
    assert found.shape == (60, 276) and torch.equal(found[:frames], held)


def test_what_was_made_does_not_depend_on_what_follows(make, wandering) -> None:
    """Windows of one size that refer to the same frames are the same."""
    long = concat([wandering] * 8)
    first = followed(make, long, steps=2)
    end = long.transl.clone()
    turned = long.rotvec.clone()
    turned[-60:] *= 0.5
    other = followed(make, Motion.create(turned[:, :22], end, fps=30), steps=2)
    until = parts_of(round(20 * long.duration))[0].until
    same = round(1.5 * until) - 2
    torch.testing.assert_close(first.rotvec[:same], other.rotvec[:same], atol=1e-5, rtol=0)
    assert not torch.equal(first.rotvec[-30:], other.rotvec[-30:])


def test_what_cannot_be_followed(make) -> None:
    still = Motion.create(torch.zeros(2, 22, 3), torch.zeros(2, 3), fps=0.001)
    with pytest.raises(UsageError, match="at most 600 s are followed"):
        followed(make, still)
    for frames in (1, 2, 5):
        brief = Motion.create(torch.zeros(frames, 22, 3), torch.zeros(frames, 3), fps=30)
        for make_anew in (followed, type(make).refine):
            with pytest.raises(UsageError, match=r"give 0\.2 s or more"):
                make_anew(make, brief)
