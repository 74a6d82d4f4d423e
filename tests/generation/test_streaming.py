"""Streams: exact joins, any length, one second of memory, the same however it is cut."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.streaming import stream
from humanmotion.motion import concat

WALK, WAVE = "a person walks in a circle", "someone waves with the right hand"


def together(chunks):
    return concat(list(chunks))


@pytest.mark.parametrize("seconds", [0.5, 3.0, 7.3, 14.0])
def test_a_stream_has_its_seconds_without_a_gap(make, seconds) -> None:
    chunks = list(stream(make, WALK, seconds=seconds, steps=2))
    assert sum(map(len, chunks)) == round(30 * seconds)
    times = torch.cat([c.times for c in chunks])
    torch.testing.assert_close(times, torch.arange(len(times)).double() / 30, atol=1e-6, rtol=0)
    assert all(c.fps == 30 and c.meta["text"] == WALK for c in chunks)


def test_windows_join_as_smoothly_as_they_run(make, body) -> None:
    """No step at a seam is larger than the largest within the windows."""
    motion = together(stream(make, WALK, seconds=12.0, steps=4))
    steps = body.joints_of(motion)[:, :22].diff(dim=0).norm(dim=-1).mean(-1)
    seams = torch.tensor([90, 180, 270]) - 1
    inside = torch.ones(len(steps), dtype=torch.bool)
    inside[seams] = False
    assert float(steps[seams].max()) <= 1.5 * float(steps[inside].max())


def test_what_was_handed_out_does_not_depend_on_what_follows(make) -> None:
    short = together(stream(make, WALK, seconds=6.0, steps=2, seed=4))
    long = together(itertools.islice(stream(make, WALK, steps=2, seed=4), 4))
    assert len(long) == 360
    assert torch.equal(long.rotvec[:180], short.rotvec)
    assert torch.equal(long.transl[:180], short.transl)
    other = together(stream(make, WALK, seconds=6.0, steps=2, seed=5))
    assert not torch.equal(other.rotvec, short.rotvec)


def test_a_second_prompt_goes_on_where_the_first_ended(make) -> None:
    both = list(stream(make, [WALK, WAVE], seconds=[4.2, 3.0], steps=2, seed=1))
    first = together(stream(make, WALK, seconds=4.2, steps=2, seed=1))
    assert [c.meta["text"] for c in both] == [WALK, WALK, WAVE]
    assert torch.equal(together(both[:2]).rotvec, first.rotvec)
    step = (both[2].transl[0] - both[1].transl[-1]).norm()
    assert float(step) < 2 * float(first.transl.diff(dim=0).norm(dim=-1).max())


class TestHostileInput:
    @pytest.mark.parametrize("seconds", [0.0, -2.0, math.nan])
    def test_lengths(self, make, seconds):
        with pytest.raises(UsageError, match=r"0.5 or more"):
            stream(make, WALK, seconds=seconds)

    def test_only_the_last_has_no_end(self, make):
        with pytest.raises(UsageError, match="prompt 1 of 2"):
            stream(make, [WALK, WAVE], seconds=math.inf)

    def test_other_counts(self, make):
        for prompts, seconds in (([WALK], [1.0, 2.0]), ([], 3.0)):
            with pytest.raises(UsageError, match="lengths for"):
                stream(make, prompts, seconds=seconds)

    def test_prompts(self, make):
        with pytest.raises(UsageError, match="empty"):
            stream(make, [WALK, ""], seconds=1.0)
