"""People over time: who is who through crossings, absences and cuts; and one pass on real pixels."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import NothingFoundError, UsageError
from humanmotion.io.video import read_frames
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.appearance import Piece, colour_distance, link
from humanmotion.recovery.detection import MediaPipeDetector, Sighting
from humanmotion.recovery.people import find_people, viewing_warnings
from humanmotion.recovery.shelf import RecentPictures
from humanmotion.recovery.shots import find_shots
from humanmotion.recovery.tracking import KEPT_PICTURES, Tracker

BLUE, RED, GREEN = (40, 60, 200), (200, 40, 40), (40, 180, 60)
FPS = 30.0


def film(stick, script, colors, *, jumps=()):
    """Run the tracker over a script: for each frame a dict of name to sighting."""
    detector = stick.StickDetector([list(frame.values()) for frame in script])
    tracker = Tracker(detector, max_people=4)
    for i, frame in enumerate(script):
        dressed = [(seen, colors[name]) for name, seen in frame.items()]
        tracker.step(i / FPS, stick.picture(i, dressed), jump=i in jumps)
    return tracker.followed().people(), detector


def frames_of(people, script, name):
    """How many frames of each found person are the named one."""
    return [
        sum(
            f in found and found[f].box is frame[name].box
            for f, frame in enumerate(script)
            if name in frame
        )
        for found in people
    ]


def test_one_walker_is_one_track(stick):
    script = [{"a": stick.sighting(80 + 5 * i, 240, swing=np.sin(i / 4))} for i in range(80)]
    people, _ = film(stick, script, {"a": BLUE})
    assert len(people) == 1 and sorted(people[0]) == list(range(80))


def test_crossing_people_keep_their_tracks(stick):
    script = [
        {
            "a": stick.sighting(60 + 5 * i, 220, tall=190),
            "b": stick.sighting(580 - 5 * i, 260, tall=210),
        }
        for i in range(100)
    ]
    people, _ = film(stick, script, {"a": BLUE, "b": RED})
    assert len(people) == 2
    assert max(frames_of(people, script, "a")) >= 90
    assert max(frames_of(people, script, "b")) >= 90


def test_who_leaves_and_returns_is_one_person(stick):
    def at(i):
        if i < 40:
            return {"a": stick.sighting(300 + 8 * i, 240)}
        return {} if i < 90 else {"a": stick.sighting(620 - 8 * (i - 90), 240)}

    script = [at(i) for i in range(130)]
    people, _ = film(stick, script, {"a": BLUE})
    assert len(people) == 1
    assert not set(people[0]) & set(range(40, 90))


def test_somebody_else_is_another_person(stick):
    script = [
        {"a": stick.sighting(300, 240)}
        if i < 40
        else {}
        if i < 90
        else {"b": stick.sighting(330, 240)}
        for i in range(130)
    ]
    people, _ = film(stick, script, {"a": BLUE, "b": RED})
    assert len(people) == 2


def test_a_short_loss_is_bridged_without_colours(stick):
    """Blinded for five frames, at the same place: the same person whatever the light does."""
    script = [
        {} if 30 <= i < 35 else {"dark" if i < 30 else "lit": stick.sighting(200 + i, 240)}
        for i in range(60)
    ]
    people, _ = film(stick, script, {"dark": (60, 50, 40), "lit": (110, 90, 70)})
    assert len(people) == 1 and len(people[0]) == 55


def test_over_a_cut_people_are_known_by_their_clothes(stick):
    """After the cut each stands where the other stood."""
    left, right = stick.sighting(160, 240), stick.sighting(480, 240)
    script = [{"a": left, "b": right} if i < 30 else {"b": left, "a": right} for i in range(60)]
    people, _ = film(stick, script, {"a": BLUE, "b": RED}, jumps={30})
    assert len(people) == 2
    for name in ("a", "b"):
        assert sorted(frames_of(people, script, name)) == [0, 60]


def test_a_cut_that_only_the_tracks_show_parts_who_was_followed_over_it(stick):
    """Each is where the other was, a little off: the tracker goes on, the clothes tell."""
    rows = [
        ({"a": stick.sighting(160, 240), "b": stick.sighting(480, 240)})
        if i < 30
        else {"b": stick.sighting(170, 240), "a": stick.sighting(470, 240)}
        for i in range(60)
    ]
    colors = {"a": BLUE, "b": RED}
    detector = stick.StickDetector([list(frame.values()) for frame in rows])
    tracker = Tracker(detector, max_people=4)
    for i, frame in enumerate(rows):
        dressed = [(seen, colors[name]) for name, seen in frame.items()]
        tracker.step(i / FPS, stick.picture(i, dressed), jump=False)
    people = tracker.followed().people([30])
    assert len(people) == 2
    for name in ("a", "b"):
        assert max(frames_of(people, rows, name)) >= 58
        assert min(frames_of(people, rows, name)) == 0


def test_who_stands_close_beside_another_is_found(stick):
    """Half a body height apart in the picture is room for two."""
    script = [{"a": stick.sighting(300, 240), "b": stick.sighting(345, 244)} for _ in range(30)]
    people, _ = film(stick, script, {"a": BLUE, "b": RED})
    assert len(people) == 2


def _piece(first: int, count: int, x: float, *, bin_: int, stick) -> Piece:
    colours = np.zeros_like(Piece().colours)
    colours[bin_] = colours[bin_ + 128] = 1.0
    piece = Piece()
    for frame in range(first, first + count):
        piece.add(frame, stick.sighting(x, 240), colours)
    return piece


def test_a_piece_keeps_its_colours_when_split(stick):
    piece = _piece(0, 10, 100, bin_=3, stick=stick)
    early, late = piece.split([4])
    assert (early.start, early.stop, late.start, late.stop) == (0, 3, 4, 9)
    assert np.allclose(early.colours + late.colours, piece.colours)
    (whole,) = piece.split([])
    assert [s.box for s in whole.sightings.values()] == [s.box for s in piece.sightings.values()]


def test_over_a_cut_a_place_means_nothing(stick):
    """Who stands at the same place in other clothes is the same person only within a shot."""
    before = _piece(0, 30, 100, bin_=3, stick=stick)
    after, elsewhere = (
        _piece(30, 30, x, bin_=b, stick=stick) for x, b in ((100, 3 + 48), (600, 3))
    )
    times = [i / FPS for i in range(60)]
    within = link([before, after], times, jumps=[])
    assert len(within) == len(link([before, after], times, jumps=[], cuts=[30])) == 2
    joined = link([before, after, elsewhere], times, jumps=[], cuts=[30])
    assert sorted(joined[0].sightings) == list(range(60))
    assert {p.sightings[30].box.x for p in joined if 0 in p.sightings} == {600}


def test_a_newcomer_is_followed_back(stick):
    """Searches are rare while somebody is followed; what they missed is filled in."""
    script = [
        {"a": stick.sighting(150, 240)} | ({"b": stick.sighting(460, 240)} if i >= 12 else {})
        for i in range(60)
    ]
    people, detector = film(stick, script, {"a": BLUE, "b": RED})
    assert max(frames_of(people, script, "b")) == 48
    assert len(detector.searches) <= 3


def test_searches_are_due_even_in_slow_motion(stick):
    """At a high rate a second holds more pictures than are kept."""
    script = [{"a": stick.sighting(150, 240)} for _ in range(3 * KEPT_PICTURES)]
    detector = stick.StickDetector([list(frame.values()) for frame in script])
    tracker = Tracker(detector, max_people=4)
    for i, frame in enumerate(script):
        tracker.step(i / 1000, stick.picture(i, [(frame["a"], BLUE)]), jump=False)
    assert len(detector.searches) >= 3


def test_a_swap_of_sides_is_no_motion(stick):
    """The detector calling left right in one frame does not end a track."""
    script = [{"a": stick.sighting(300, 240)} for _ in range(40)]
    script[20] = {"a": stick.swapped(script[20]["a"])}
    people, detector = film(stick, script, {"a": BLUE})
    assert len(people) == 1 and len(people[0]) == 40
    assert 20 not in detector.searches


def test_two_finds_on_one_person_are_one(stick):
    """A second box on the same body, a little off, starts no second track."""
    script = [
        {"a": stick.sighting(300, 240), "ghost": stick.sighting(306, 300, tall=80)}
        for _ in range(40)
    ]
    people, _ = film(stick, script, {"a": BLUE, "ghost": BLUE})
    assert len(people) == 1 and frames_of(people, script, "a") == [40]


def run(stick, script, colors, **options):
    detector = stick.StickDetector([list(frame.values()) for frame in script])
    frames = (
        (i / FPS, stick.picture(i, [(seen, colors[name]) for name, seen in frame.items()]))
        for i, frame in enumerate(script)
    )
    return find_people(frames, detector, **options)


def test_people_are_sorted_and_absent_frames_are_empty(stick):
    script = [
        ({"small": stick.sighting(120, 240, tall=120)})
        | ({"big": stick.sighting(420, 240, tall=300)} if 20 <= i < 60 else {})
        for i in range(80)
    ]
    people = run(stick, script, {"small": BLUE, "big": RED})
    big, small = people.tracks
    assert len(people) == len(big) == len(small) == 80
    assert big.seen.nonzero()[:, 0].tolist() == list(range(20, 60))
    assert not big.confidence[:20].any() and not big.xy[:20].any() and not big.xyz[:20].any()
    assert torch.allclose(big.xy[30], torch.from_numpy(script[30]["big"].xy))
    assert torch.allclose(people.times, torch.arange(80) / FPS)
    assert set(people.seconds) == {"decode", "boxes", "keypoints", "content"}
    assert min(people.seconds.values()) >= 0 and people.warnings == ()


def test_keypoints_refer_to_the_full_picture(stick):
    script = [{"a": stick.sighting(300, 240)} for _ in range(10)]
    plain = run(stick, script, {"a": BLUE})
    doubled = run(stick, script, {"a": BLUE}, size=(2 * 640, 2 * 480))
    assert (doubled.width, doubled.height, doubled.tracks[0].width) == (1280, 960, 1280)
    assert torch.allclose(doubled.tracks[0].xy, 2 * plain.tracks[0].xy)
    assert torch.equal(doubled.tracks[0].xyz, plain.tracks[0].xyz)


def test_only_the_largest_are_followed(stick):
    script = [
        {n: stick.sighting(80 + 160 * n, 240, tall=100 + 20 * n) for n in range(4)}
        for _ in range(20)
    ]
    people = run(stick, script, dict.fromkeys(range(4), BLUE), max_people=2)
    assert len(people.tracks) == 2
    assert people.tracks[0].xy[0, :, 0].mean() == pytest.approx(80 + 160 * 3, abs=2)


def test_a_swap_burst_is_undone(stick):
    script = [{"a": stick.sighting(200 + 2 * i, 240, yaw=0.4)} for i in range(60)]
    people = run(stick, script, {"a": BLUE})
    script = [{"a": stick.swapped(f["a"])} if 20 <= i < 35 else f for i, f in enumerate(script)]
    again = run(stick, script, {"a": BLUE})
    assert torch.allclose(again.tracks[0].xy, people.tracks[0].xy)
    assert torch.allclose(again.tracks[0].xyz, people.tracks[0].xyz, atol=1e-6)


def test_nobody_and_wrong_use(stick):
    with pytest.raises(NothingFoundError, match="5 pictures"):
        run(stick, [{}] * 5, {})
    with pytest.raises(UsageError, match="max_people is 0"):
        run(stick, [{}] * 5, {}, max_people=0)


def test_small_and_upside_down_people_are_pointed_out() -> None:
    names = JOINT_SETS["mediapipe_33"]
    xy = torch.linspace(0, 100, 33)[None, :, None].expand(5, 33, 2).clone()
    xy[:, names.index("nose")] = 0.0
    for side in ("left", "right"):
        xy[:, names.index(f"{side}_ankle")] = 100.0
    points = Keypoints(
        joint_set="mediapipe_33", xy=xy, confidence=torch.ones(5, 33),
        times=torch.arange(5, dtype=torch.float64) / 30, width=200, height=200,
    )  # fmt: skip
    assert viewing_warnings(points) == []
    (small,) = viewing_warnings(replace(points, xy=0.4 * xy))
    assert "40 pixels tall" in small
    (turned,) = viewing_warnings(replace(points, xy=100 - xy))
    assert "upside down" in turned
    assert viewing_warnings(replace(points, confidence=torch.zeros(5, 33))) == []


def test_colour_distance_is_a_distance(stick):
    rng = np.random.default_rng(0)
    a, b = (rng.random(256).astype(np.float32) ** 8 for _ in range(2))
    assert colour_distance(a, a) == pytest.approx(0, abs=1e-3)
    assert colour_distance(a, b) == pytest.approx(colour_distance(b, a))
    assert 0 < colour_distance(a, b) < 1
    assert colour_distance(3 * a, b) == pytest.approx(colour_distance(a, b), abs=1e-5)


def test_two_painted_people_through_a_cut(painted, body):
    """The real detector: two people walk, then the camera is elsewhere and sees them turned."""
    studio = painted.Studio(body, width=640, height=480)
    other = np.ascontiguousarray(studio.wall[::-1, :, ::-1] // 2)

    def frames():
        for i in range(24):
            cut = i >= 12
            x, turn = 0.02 * i, 2.0 if cut else 0.3
            blue = (
                (0.9 - x, 4.2, turn, painted.BLUE) if cut else (-0.9 + x, 4.2, turn, painted.BLUE)
            )
            red = (-0.8, 4.4, turn, painted.RED) if cut else (0.8, 4.4, turn, painted.RED)
            picture, marks = studio.paint(blue, red, wall=other if cut else None)
            truth.append(marks)
            yield i / FPS, picture

    truth: list = []
    with closing(MediaPipeDetector()) as detector:
        people = find_people(frames(), detector)
    assert [s.start for s in find_shots(people.content, people.tracks, times=people.times)] == [
        0,
        12,
    ]
    assert len(people.tracks) == 2
    for track in people.tracks:
        assert track.seen.all()
        apart = torch.tensor(
            [
                [
                    float(np.median(np.linalg.norm(track.xy[i, :33].numpy() - m, axis=1)))
                    for m in marks
                ]
                for i, marks in enumerate(truth)
            ]
        )
        assert len(set(apart.argmin(1).tolist())) == 1  # the same of the two throughout
        assert apart.min(1).values.max() < 12


def test_the_three_shot_edit(data):
    with closing(MediaPipeDetector()) as detector:
        people = find_people(
            read_frames(data / "videos" / "pose2sim_multishot_3shot.mp4", max_side=960),
            detector,
            max_people=2,
            size=(1080, 1920),
        )
    shots = find_shots(people.content, people.tracks, times=people.times)
    assert [s.start for s in shots] == [0, 32, 64]
    main = people.tracks[0]
    assert main.seen.all()
    boxes = main.boxes()
    assert (boxes[:, 3] - boxes[:, 1]).min() > 500


def test_points_that_nothing_is_fitted_to_are_not_kept(stick, monkeypatch) -> None:
    """Of a detector with a face mesh the iBUG points are kept, and the rest as it was."""
    script = [{"a": stick.sighting(300 + i, 240)} for i in range(12)]
    whole = JOINT_SETS["mediapipe_543"]
    rng = np.random.default_rng(0)

    def meshed(seen):
        def more(part):
            tail = (len(whole) - 33, *part.shape[1:])
            return np.concatenate((part, rng.random(tail, np.float32)))

        return Sighting(
            more(seen.xy), more(seen.confidence), more(seen.xyz), more(seen.sides), seen.box
        )

    script = [{"a": meshed(frame["a"])} for frame in script]
    monkeypatch.setattr(stick.StickDetector, "joint_set", "mediapipe_543")
    (track,) = run(stick, script, {"a": BLUE}).tracks
    assert track.joint_set == "mediapipe_143"
    columns = [whole.index(name) for name in JOINT_SETS["mediapipe_143"]]
    for i, frame in enumerate(script):
        assert np.allclose(track.xy[i].numpy(), frame["a"].xy[columns])
        # Metres are kept in half precision.
        assert np.allclose(track.xyz[i].numpy(), frame["a"].xyz[columns], rtol=5e-4, atol=5e-4)


def test_kept_pictures_are_the_last_ones_backwards() -> None:
    recent = RecentPictures(KEPT_PICTURES)
    assert not list(recent.backwards())
    for frame in range(KEPT_PICTURES + 7):
        picture = np.full((4, 6, 3), frame, np.uint8)
        recent.add(frame, picture)
        picture[:] = 0
    found = [(frame, int(image[0, 0, 0])) for frame, image in recent.backwards()]
    assert found == [(f, f) for f in range(KEPT_PICTURES + 6, 6, -1)]
    recent.add(99, np.zeros((6, 4, 3), np.uint8))
    assert [frame for frame, _ in recent.backwards()] == [99]
    recent.clear()
    assert not list(recent.backwards())
