"""Rendered edits: what is true of them, pictures as said, and rows that can fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion.bench import rendered
from humanmotion.bench.edit_lists import edits, fingerprint, pairs, single_shots
from humanmotion.bench.edit_runs import Watched, found_boxes, true_boxes
from humanmotion.bench.edits import cut_rows, identity_rows, single_rows
from humanmotion.bench.published_shots import TESTS, published_cuts
from humanmotion.bench.rendered import Flash, frames, make_edit
from humanmotion.bench.rendered_cameras import TRAVEL_METRES, TURN_PX, travelled_metres, turned_px
from humanmotion.body import BodyModel
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.content import Content, ContentScorer
from humanmotion.recovery.people import People
from humanmotion.recovery.shots import find_shots
from humanmotion.recovery.virtual_cameras import KINDS

BODY = BodyModel.load()


@pytest.fixture(scope="module")
def motion():
    return replace(walking_motion(BODY, seconds=7.0), meta={"source": "demo/walk"})


@pytest.fixture
def tiny(monkeypatch):
    """Pictures of a few pixels; who is filmed and how stays the same."""
    monkeypatch.setattr(rendered, "SIZE", (160, 90))


def _edits(motion, count: int, **wanted):
    return [make_edit([motion], BODY, seed=s, **({"shots": 3} | wanted)) for s in range(count)]


def test_the_same_seed_is_the_same_video(motion, tiny) -> None:
    a, b, c = (make_edit([motion], BODY, shots=2, seed=s) for s in (4, 4, 5))
    assert fingerprint([a]) == fingerprint([b]) != fingerprint([c])
    first, again = (next(frames(e, BODY))[1] for e in (a, b))
    assert first.shape == (90, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_shots_fill_the_edit_and_overlap_at_dissolves_only(motion) -> None:
    mixed = 0
    for edit in _edits(motion, 12):
        edges = [0, *(t.cut for t in edit.transitions), len(edit)]
        assert min(np.diff(edges)) >= 45
        assert edit.takes[0].start == 0 and edit.takes[-1].stop == len(edit)
        for before, after, t in zip(edit.takes, edit.takes[1:], edit.transitions, strict=False):
            length = t.last - t.first + 1
            assert before.stop - after.start == (length if t.dissolve else 0)
            assert t.first <= t.cut <= t.last and length <= 25
            assert (before.room == after.room) == t.same_scene
            assert len(after.camera) == after.stop - after.start
            mixed += t.dissolve
    assert mixed


@pytest.mark.parametrize("kind", KINDS)
def test_cameras_are_what_they_are_called(motion, kind) -> None:
    for edit in _edits(motion, 3, shots=1, kind=kind):
        (take,) = edit.takes
        moved = travelled_metres(take.camera), turned_px(take.camera)
        assert take.kind == kind
        assert moved[0] >= TRAVEL_METRES if kind == "moving" else moved[0] < 1e-4
        assert moved[1] < 0.1 if kind == "static" else kind == "moving" or moved[1] >= TURN_PX
        low, high = rendered.corners(edit.rooms[0])
        assert bool((take.camera.centre > torch.tensor(low)).all())
        assert bool((take.camera.centre < torch.tensor(high)).all())


def test_pictures_show_the_cuts_the_mixtures_and_the_flashes(motion, tiny, monkeypatch) -> None:
    monkeypatch.setattr(rendered, "GRAIN", 0.0)
    edit = next(
        e for e in _edits(motion, 30)
        if {t.dissolve for t in e.transitions} == {True, False}
        and all(t.kind == "static" for t in e.takes)
    )  # fmt: skip
    lit = replace(edit, flashes=(Flash(10, (0.8,), None), Flash(20, (0.8,), (0.5, 0.3))))
    plain, flashed = ([p.astype(float) for _, p in frames(e, BODY)]
                      for e in (replace(edit, flashes=()), lit))  # fmt: skip
    changed = [t for t, (a, b) in enumerate(zip(plain, flashed, strict=True)) if (a != b).any()]
    assert changed == [10, 20] and flashed[10].mean() > plain[10].mean() + 20
    hard = next(t for t in edit.transitions if not t.dissolve)
    step = [np.abs(b - a).mean() for a, b in pairwise(plain)]
    assert step[hard.cut - 1] > 3 * max(step[hard.cut - 2], step[hard.cut])
    mixed = next(t for t in edit.transitions if t.dissolve)
    ends, middle = (plain[mixed.first - 1], plain[mixed.last + 1]), plain[mixed.cut]
    # Bodies move on meanwhile, rooms stand.
    assert np.median(np.abs(middle - sum(ends) / 2)) < 0.15 * np.median(np.abs(ends[1] - ends[0]))


def test_cuts_and_dissolves_are_found_in_the_pictures_alone(motion, tiny) -> None:
    edit = next(
        e for e in _edits(motion, 30, flashed=1.0) if any(t.dissolve for t in e.transitions)
    )
    scorer = ContentScorer()
    for _, picture in frames(edit, BODY):
        scorer.add(picture)
    content = scorer.result()
    found = find_shots(content, (), times=torch.arange(len(edit)) / 30)
    spans = [(t.first, t.last) for t in edit.transitions]
    assert len(found) == len(spans) + 1
    assert all(a - 1 <= s.start <= b + 1 for s, (a, b) in zip(found[1:], spans, strict=True))


def _people(edit, boxes: list[torch.Tensor]) -> People:
    """Tracks that fill these boxes `(T, 4)`."""
    times, count = torch.arange(len(edit)) / 30, len(edit)
    tracks = []
    for box in boxes:
        share = torch.linspace(0, 1, 33)[:, None]
        xy = box[:, None, :2] + share * (box[:, None, 2:] - box[:, None, :2])
        seen = (box[:, 2] > box[:, 0]).float()[:, None].expand(-1, 33)
        tracks.append(Keypoints(xy, seen, times, "mediapipe_33", 640, 360))
    none = torch.zeros(count)
    return People(tuple(tracks), times, Content(none, none, none), 640, 360, seconds={})


def test_rows_hold_for_what_is_right_and_miss_for_what_is_not(motion) -> None:
    made = _edits(motion, 3)
    right = [(e, Watched(None, tuple(t.cut for t in e.transitions))) for e in made]
    late = [(e, Watched(None, tuple(t.last + 2 for t in e.transitions))) for e in made]
    rows, worse = ({r.id: r for r in cut_rows(s)} for s in (right, late))
    assert rows["f1/1"].passed is True and rows["f1/0"].value == 1.0
    assert worse["f1/1"].passed is False and worse["f1/2"].value == 1.0
    assert rows["published: scene/f1"].value == 0.0


def test_a_kind_taken_for_another_and_a_cut_that_is_none(motion) -> None:
    made = [make_edit([motion], BODY, shots=1, seed=s, kind=k) for s, k in enumerate(KINDS)]
    right = [(e, Watched(None, (), (e.takes[0].kind,))) for e in made]
    wrong = [(e, Watched(None, (20,), ("static",))) for e in made]
    assert all(r.passed for r in single_rows(right))
    cuts, camera = single_rows(wrong)
    assert cuts.value == 3 and cuts.passed is False
    assert camera.value == pytest.approx(100 / 3) and camera.passed is False
    assert "pan: 1 static" in camera.what


def test_true_boxes_are_where_people_are_and_swapped_tracks_cost(motion) -> None:
    other = replace(motion, meta={"source": "demo/other"})
    edit = make_edit([motion, other], BODY, shots=2, seed=1)
    true = true_boxes(edit, BODY)
    assert [t.shape for t in true] == [(len(edit), 4)] * 2
    shown = [float((t[:, 2] > t[:, 0]).float().mean()) for t in true]
    assert min(shown) > 0.9 and all(float(t.amin()) >= 0 for t in true)
    people, half = _people(edit, true), len(edit) // 2
    assert all(torch.allclose(a, b) for a, b in zip(found_boxes(people), true, strict=True))
    swapped = [torch.cat((true[i][:half], true[1 - i][half:])) for i in (0, 1)]
    best, crossed, none = (
        identity_rows([(edit, Watched(p, ()))], BODY)[0]
        for p in (people, _people(edit, swapped), None)
    )
    assert best.value == 1.0 and best.passed is True
    assert crossed.value < 0.7 and crossed.passed is False and none.value == 0.0


def test_the_published_tests_in_series() -> None:
    """A jump of the content, then one of the box, then one of the joints within the same box."""
    frames_, joints = 80, 33
    generator = torch.Generator().manual_seed(0)
    pose = 100 * torch.rand(joints, 2, generator=generator)
    pose[0], pose[1] = torch.tensor((0.0, 0.0)), torch.tensor((100.0, 100.0))
    xy = pose.expand(frames_, joints, 2).clone()
    xy[40:] += 300
    xy[60:] = 400 - (xy[60:] - 300)
    xy[60:] += 300 - xy[60:].amin()
    change = torch.zeros(frames_)
    change[20] = 30.0
    track = Keypoints(xy, torch.ones(frames_, joints), torch.arange(frames_) / 30, "mediapipe_33",
                      640, 640)  # fmt: skip
    content = Content(change, change, torch.zeros(frames_))
    cuts = [published_cuts(content, [track], tests=t) for t in TESTS]
    assert cuts == [[20], [20, 40], [20, 40, 60]]


def test_lists_hold_what_is_asked_for(data: Path) -> None:
    made = list(edits(data, BODY, split="val", counts={2: 2, 3: 1}))
    assert [len(e.takes) for e in made] == [2, 2, 3] and len({e.name for e in made[:2]}) == 2
    shots = list(single_shots(data, BODY, split="val", each=1))
    assert sorted(e.takes[0].kind for e in shots) == sorted(KINDS)
    (two,) = pairs(data, BODY, split="val", wanted=1)
    assert len(two.motions) == 2 and two.motions[0].meta != two.motions[1].meta
    assert len(two.motions[0]) == len(two.motions[1]) == len(two)
