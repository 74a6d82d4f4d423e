"""Rows that say what the prior gains: paired frames, views of one moment, failures counted."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.bench.prior_gain import ViewGain, gain_rows


def view(without: list[float], fitted: list[float], reference: str = "a") -> ViewGain:
    return ViewGain("prior", reference, torch.tensor(without), torch.tensor(fitted))


def test_no_views_no_rows() -> None:
    assert gain_rows([]) == []


def test_three_of_four_views_hold_the_bar() -> None:
    good, bad = view([70.0] * 40, [68.0] * 40), view([70.0] * 40, [71.0] * 40)
    better, gain = gain_rows([good, good, good, bad])
    assert (better.value, better.bar, better.passed) == (3.0, 3, True)
    assert gain.value == pytest.approx(1.25) and gain.unit == "mm"
    # The same gain in every frame: nothing is unsure.
    assert "95 % interval 1.2 to 1.2" in gain.what and "2000 draws, blocks of 16" in gain.what
    assert gain_rows([good, good, bad, bad])[0].passed is False


def test_parts_are_counted_apart() -> None:
    helped = view([70.0] * 40, [68.0] * 40)
    both = ViewGain("lifter and prior", "a", torch.full((40,), 75.0), torch.full((40,), 76.0))
    rows = {row.id: row for row in gain_rows([helped, both])}
    assert rows["prior/views_better"].passed is True
    assert rows["lifter and prior/views_better"].passed is False
    assert rows["lifter and prior/gain"].value == pytest.approx(-1)


def test_a_failed_run_is_no_better_view_and_no_frame() -> None:
    failed = view([math.nan], [math.nan])
    (better,) = gain_rows([failed])
    assert better.value == 0.0 and better.passed is False
    better, gain = gain_rows([failed, view([5.0, 6.0], [4.0, 4.0], "b")])
    assert better.value == 1.0 and gain.value == pytest.approx(1.5)


def test_views_of_one_moment_are_one_sample() -> None:
    views = [
        view([1.0, 1.0, math.nan], [0.0, 0.0, 0.0]),
        view([3.0, math.nan, math.nan], [0.0] * 3),
    ]
    _, gain = gain_rows(views)
    # Frame 0: the mean of 1 and 3; frame 1: 1 alone; frame 2 has no whole reference.
    assert gain.value == pytest.approx(1.5)
