"""Cuts by content and by the people; what looks like a cut and is none."""

from __future__ import annotations

import itertools
import json
import math

import cv2
import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.io.video import read_frames
from humanmotion.recovery.content import LEVEL, Content, ContentScorer
from humanmotion.recovery.person_jumps import person_jumps
from humanmotion.recovery.shots import Shot, find_shots


def scene(seed: int, height: int = 90, width: int = 160) -> np.ndarray:
    """A smooth coloured picture `(H, W, 3)`, float."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (height // 15 + 2, width // 15 + 2, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def film(pictures, seed: int = 0):
    """Pictures with a little camera noise, as uint8."""
    rng = np.random.default_rng(seed)
    return [(p + rng.normal(0, 2, p.shape)).clip(0, 255).astype(np.uint8) for p in pictures]


def score(pictures) -> tuple[Content, list[bool]]:
    scorer = ContentScorer()
    jumps = [scorer.add(p) for p in pictures]
    return scorer.result(), jumps


def cuts(pictures, tracks=()) -> list[int]:
    content, _ = score(pictures)
    return starts(content, tracks)


def starts(content, tracks) -> list[int]:
    times = torch.arange(len(content.change)) / 30
    return [shot.start for shot in find_shots(content, tracks, times=times)][1:]


def test_change_is_the_published_definition():
    """Mean over hue, saturation and value of the mean absolute difference, by loops."""
    pictures = film([scene(i) for i in range(3)])
    got = score(pictures)[0].change
    assert got[0] == 0
    for i in (1, 2):
        before, now = (cv2.cvtColor(p, cv2.COLOR_RGB2HSV) for p in pictures[i - 1 : i + 1])
        parts = []
        for c in range(3):
            total = 0
            for a, b in zip(
                before[..., c].ravel().tolist(), now[..., c].ravel().tolist(), strict=True
            ):
                total += abs(a - b)
            parts.append(total / before[..., c].size)
        assert got[i] == pytest.approx(sum(parts) / 3, abs=1e-3)


def test_the_size_of_the_picture_hardly_matters():
    small = film([scene(0), scene(1)])
    large = [cv2.resize(p, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR) for p in small]
    assert score(large)[0].change[1] == pytest.approx(float(score(small)[0].change[1]), rel=0.1)


@pytest.mark.parametrize("where", [(30,), (10, 40, 70), (8, 16, 24)])
def test_hard_cuts_are_found_to_the_frame(where):
    edges = [0, *where, 90]
    pictures = [scene(k) for k, (a, b) in enumerate(itertools.pairwise(edges)) for _ in range(a, b)]
    content, jumps = score(film(pictures))
    assert starts(content, ()) == list(where)
    assert [i for i, jump in enumerate(jumps) if jump] == list(where)


@pytest.mark.parametrize("length", [1, 3, 6])
def test_flashes_are_no_cuts(length):
    pictures = [scene(0)] * 60
    for i in range(30, 30 + length):
        pictures[i] = scene(0) * 0.2 + 200
    content, _ = score(film(pictures))
    assert content.change.max() > LEVEL
    assert starts(content, ()) == []


def test_a_flash_that_fades_is_no_cut():
    """Its second frame is lit less: neither of the changes within it lasts."""
    pictures = [scene(0)] * 60
    pictures[30], pictures[31] = scene(0) * 0.3 + 178, scene(0) * 0.65 + 89
    content, _ = score(film(pictures))
    assert content.change[31] > LEVEL and content.lasting[31] < LEVEL / 4
    assert starts(content, ()) == []


def test_a_flash_at_a_cut_hides_it_by_a_frame_at_most():
    pictures = [scene(0)] * 30 + [np.full((90, 160, 3), 250.0)] + [scene(1)] * 30
    found = cuts(film(pictures))
    assert len(found) == 1 and found[0] in (30, 31)


@pytest.mark.parametrize("length", [8, 16, 24])
def test_dissolves_are_cut_in_the_middle(length):
    ramp = np.linspace(0, 1, length + 2)[1:-1]
    mixed = [scene(0) * (1 - a) + scene(1) * a for a in ramp]
    found = cuts(film([scene(0)] * 40 + mixed + [scene(1)] * 40))
    assert len(found) == 1 and abs(found[0] - (40 + length / 2)) <= length / 3


@pytest.mark.parametrize("length", [7, 13, 25])
def test_a_dissolve_between_alike_views_that_move_is_cut(length):
    """Too little changes for a cut, but mixing loses detail; a view that only moves loses none."""
    rng = np.random.default_rng(5)
    walls = [
        cv2.GaussianBlur(rng.normal(0, 260, (90, 300, 3)).astype(np.float32), (0, 0), 7) + 120
        for _ in range(2)
    ]
    views = [[w[:, i // 2 : i // 2 + 160] for i in range(80)] for w in walls]
    share = np.clip((np.arange(80) - 40 + length / 2) / length, 0, 1)
    mixed = [a * (1 - s) + b * s for a, b, s in zip(*views, share, strict=True)]
    content, _ = score(film(mixed))
    assert content.change.max() < 0.7 * LEVEL > np.abs(mixed[20] - mixed[60]).mean()
    (found,) = starts(content, ())
    assert abs(found - 40) <= max(2, length / 4)
    assert cuts(film(views[0])) == cuts(film(views[1])) == []


def test_a_pan_is_no_cut():
    wide = scene(3, 90, 1200)
    assert cuts(film([wide[:, 6 * i : 6 * i + 160] for i in range(150)])) == []


def test_a_flickering_light_is_no_cut():
    rng = np.random.default_rng(0)
    gains = 1 - 0.2 * (rng.random(120) < 0.2)
    assert cuts(film([scene(2) * g for g in gains])) == []


def still(count: int) -> Content:
    """The content of a plain wall, whoever stands before it."""
    return Content(*(torch.zeros(count) for _ in range(3)))


def path(stick, i, *, yaw=0.0, x=300.0, tall=200.0):
    return stick.sighting(x + i, 240, yaw=yaw + 0.01 * i, swing=math.sin(i / 4), tall=tall)


@pytest.mark.parametrize("turn_deg", [60, 90, 135])
@pytest.mark.parametrize("shift", [60, 150])
def test_a_change_of_view_alone_is_a_cut(stick, turn_deg, shift):
    """The background shows nothing; the person is elsewhere and turned from one frame to the next."""
    sightings = [
        path(stick, i) if i < 30 else path(stick, i, yaw=math.radians(turn_deg), x=300 + shift)
        for i in range(60)
    ]
    assert starts(still(60), [stick.track(sightings)]) == [30]


def test_a_turn_without_any_shift_needs_a_little_content(stick):
    """Turned in place: the heading is one sign, a small sudden change of the picture the other."""
    sightings = [path(stick, i, yaw=1.5 * (i >= 30)) for i in range(60)]
    assert starts(still(60), [stick.track(sightings)]) == []
    change = torch.full((60,), 1.0)
    change[30] = 9.0
    content = Content(change, change.clone(), torch.zeros(60))
    assert starts(content, [stick.track(sightings)]) == [30]


def test_everybody_replaced_is_a_cut(stick):
    a = [path(stick, i) if i < 30 else None for i in range(60)]
    b = [None if i < 30 else path(stick, i, x=200) for i in range(60)]
    assert starts(still(60), [stick.track(a), stick.track(b)]) == [30]


def test_one_of_two_who_leaves_as_another_comes_is_no_cut(stick):
    a = [path(stick, i) if i < 30 else None for i in range(60)]
    b = [None if i < 30 else path(stick, i, x=100) for i in range(60)]
    c = [path(stick, i, x=450) for i in range(60)]
    assert starts(still(60), [stick.track(t) for t in (a, b, c)]) == []


def test_one_of_two_who_jumps_is_no_cut(stick):
    """A tracker's mistake moves one person; a cut moves all."""
    a = [path(stick, i, x=100 if i < 30 else 320, yaw=0 if i < 30 else 1.2) for i in range(60)]
    c = [path(stick, i, x=450, tall=260) for i in range(60)]
    assert starts(still(60), [stick.track(a), stick.track(c)]) == []


@pytest.mark.parametrize("frames", [range(30, 31), range(25, 45), range(30, 60)])
def test_swapped_sides_are_no_cut(stick, frames):
    sightings = [path(stick, i, yaw=0.3) for i in range(60)]
    sightings = [stick.swapped(s) if i in frames else s for i, s in enumerate(sightings)]
    assert person_jumps([stick.track(sightings)], 60).sum() == 0


def test_a_slip_of_one_frame_is_no_cut(stick):
    sightings = [path(stick, i) for i in range(60)]
    sightings[30] = path(stick, 30, x=500, yaw=1.5)
    assert starts(still(60), [stick.track(sightings)]) == []


def test_fast_motion_is_no_cut(stick):
    """A run across, a spin of two turns a second, and both."""
    run = [stick.sighting(20 * i, 240, swing=math.sin(i)) for i in range(30)]
    spin = [stick.sighting(300, 240, yaw=4 * math.pi * i / 30) for i in range(60)]
    both = [stick.sighting(15 * i, 240, yaw=4 * math.pi * i / 30) for i in range(40)]
    for sightings in (run, spin, both):
        assert starts(still(len(sightings)), [stick.track(sightings)]) == []


def test_signs_do_not_depend_on_size_or_place(stick):
    def signs(scale, x):
        sightings = [
            stick.sighting(x + scale * (i + 120 * (i >= 15)), 240 * scale,
                           yaw=1.4 * (i >= 15), tall=200 * scale)
            for i in range(30)
        ]  # fmt: skip
        return person_jumps([stick.track(sightings)], 30)

    plain = signs(1.0, 100)
    assert plain[15] >= 2
    assert torch.equal(signs(3.0, 700), plain)


def test_shots_part_the_video():
    """In order, without gaps, none empty, none shorter than allowed, whatever the scores are."""
    rng = np.random.default_rng(0)
    for frames in (1, 2, 7, 30, 200):
        change = torch.tensor(rng.gamma(0.3, 30, frames), dtype=torch.float32)
        content = Content(change, change * torch.rand(frames), change.roll(3))
        shots = find_shots(content, (), times=torch.arange(frames) / 30)
        assert shots[0].start == 0 and shots[-1].stop == frames
        assert all(a.stop == b.start for a, b in itertools.pairwise(shots))
        assert sum(len(s) for s in shots) == frames
        assert len(shots) == 1 or min(len(s) for s in shots) >= 8


def test_wrong_lengths_are_named(stick):
    with pytest.raises(UsageError, match="5 times, 6 content scores"):
        find_shots(still(6), (), times=torch.arange(5))
    with pytest.raises(UsageError, match="tracks of"):
        track = stick.track([path(stick, i) for i in range(4)])
        find_shots(still(5), [track], times=torch.arange(5))
    with pytest.raises(UsageError, match="at least 1"):
        find_shots(still(0), (), times=torch.arange(0))
    with pytest.raises(UsageError, match="has no frame"):
        Shot(4, 4)


def test_content_of_every_clip_of_the_data_set(data):
    """Cuts to the frame, and no false one, by content alone."""
    rows = (data / "videos" / "index.jsonl").read_text().splitlines()
    for row in map(json.loads, rows):
        scorer = ContentScorer()
        for _, image in read_frames(data / "videos" / row["file"], max_side=320):
            scorer.add(image)
        assert starts(scorer.result(), ()) == row["cuts"], row["id"]
