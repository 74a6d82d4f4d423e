"""Who is who over a cut and behind another: one to one, by clothes, pose and build."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from humanmotion.recovery.appearance import (
    OTHER_SHOT_COLOURS,
    SAME_SHOT_COLOURS,
    Piece,
    body_colours,
    colour_distance,
    link,
)
from humanmotion.recovery.body_rows import body_rows
from humanmotion.recovery.masks import hide_person
from humanmotion.recovery.tracking import Tracker

BLUE, RED = (40, 60, 200), (200, 40, 40)
NAVY, GREEN = (20, 30, 90), (40, 140, 60)
FPS = 30.0
ROWS = body_rows("mediapipe_33")
TIMES = [i / FPS for i in range(200)]


def piece(stick, frames, colours, *, swing=0.0, x=100):
    """Somebody who holds a pose."""
    out = Piece()
    for frame in frames:
        out.add(frame, stick.sighting(x, 240, swing=swing), colours.astype(np.float32))
    return out


def clothes(**shares):
    """Shares of bins, the same for torso and thighs."""
    half = np.zeros(len(Piece().colours) // 2)
    for name, share in shares.items():
        half[int(name[1:])] = share
    return np.concatenate((half, half)) / half.sum()


def mixed(distance: float):
    """Clothes at such a colour distance from those of bin 3."""
    shares = np.linspace(0, 1, 400)
    apart = [colour_distance(clothes(b3=1 - s, b90=s), clothes(b3=1)) for s in shares]
    return clothes(
        b3=1 - shares[np.searchsorted(apart, distance)], b90=np.interp(distance, apart, shares)
    )


def test_over_a_cut_all_are_joined_at_once(stick):
    """As in a slow twin that tries every pairing, whatever the order of the pieces."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        bins = rng.dirichlet(np.full(6, 1.0), 6)
        dressed = [clothes(**{f"b{16 * i}": v for i, v in enumerate(row)}) for row in bins]
        before = [piece(stick, range(40), c) for c in dressed[:3]]
        after = [piece(stick, range(40, 80), c) for c in dressed[3:]]
        cost = np.array([[colour_distance(a.colours, b.colours) for b in after] for a in before])
        if cost.max() >= OTHER_SHOT_COLOURS:
            continue
        best = min(permutations(range(3)), key=lambda order: sum(cost[range(3), order]))
        linked = link([*after, *before], TIMES, jumps=[40], cuts=[40])
        assert len(linked) == 3
        for a, column in zip(before, best, strict=True):
            (whole,) = [p for p in linked if p.sightings[0].box is a.sightings[0].box]
            assert whole.sightings[40].box is after[column].sightings[40].box


def test_in_one_uniform_people_are_known_by_what_they_do(stick):
    """Same clothes: who strides before the cut strides after it, wherever the camera puts them."""
    dress = clothes(b3=1)
    before = [piece(stick, range(40), dress, swing=s, x=x) for s, x in ((0, 100), (2, 500))]
    after = [piece(stick, range(40, 80), dress, swing=s, x=x) for s, x in ((2, 100), (0, 500))]
    for order in ([*before, *after], [*after[::-1], *before]):
        linked = link(order, TIMES, jumps=[40], cuts=[40], rows=ROWS)
        assert len(linked) == 2
        for person in linked:
            assert np.allclose(person.sightings[0].xyz, person.sightings[40].xyz)


def test_who_fades_out_takes_nobody_from_who_stays(stick):
    """A few frames of somebody in a dissolve look more alike than the next shot does."""
    before = piece(stick, range(40), clothes(b3=1))
    fading = piece(stick, range(40, 46), clothes(b3=1))
    after = piece(stick, range(41, 80), mixed(0.3), x=500)
    linked = link([before, fading, after], TIMES, jumps=[40], cuts=[40], rows=ROWS)
    assert sorted(linked[0].sightings) == [*range(40), *range(41, 80)]


@pytest.mark.parametrize(("unlike", "people"), [
    (OTHER_SHOT_COLOURS - 0.03, 1), (OTHER_SHOT_COLOURS + 0.05, 2),
])  # fmt: skip
def test_shot_and_reverse_shot_of_two_people_are_two(stick, unlike, people):
    """Both stand: that the pose goes on tells nothing, and other clothes are somebody else's."""
    before = piece(stick, range(40), clothes(b3=1))
    after = piece(stick, range(40, 80), mixed(unlike))
    assert len(link([before, after], TIMES, jumps=[40], cuts=[40], rows=ROWS)) == people


def test_the_last_of_all_is_known_when_everybody_else_is(stick):
    """Two and two, one of them sure; a third person makes the other doubtful again."""
    sure, far = clothes(b70=1), mixed(OTHER_SHOT_COLOURS + 0.05)
    before = [piece(stick, range(40), c) for c in (clothes(b3=1), clothes(b40=1))]
    after = [piece(stick, range(40, 80), c) for c in (far, clothes(b40=1))]
    assert len(link([*before, *after], TIMES, jumps=[40], cuts=[40], rows=ROWS)) == 2
    third = piece(stick, range(40, 80), sure)
    assert len(link([*before, *after, third], TIMES, jumps=[40], cuts=[40], rows=ROWS)) == 4


def film(stick, script, colors):
    """What the tracker makes of a script, and the detector that was asked."""
    detector = stick.StickDetector([list(frame.values()) for frame in script])
    tracker = Tracker(detector, max_people=4)
    for i, frame in enumerate(script):
        dressed = [(seen, colors[name]) for name, seen in frame.items()]
        tracker.step(i / FPS, stick.picture(i, dressed), jump=False)
    return tracker.followed().people(), detector


def names_of(person, script):
    """Whom a found person is made of."""
    return {n for f, seen in person.items() for n in script[f] if script[f][n].box is seen.box}


def test_who_is_hidden_takes_nobodys_place(stick):
    """In one uniform: while the one behind is not seen, the one before them is followed once."""

    def at(i):
        shown = {"b": stick.sighting(80 + 6 * i, 250)}
        return shown if 28 <= i < 46 else shown | {"a": stick.sighting(300, 235)}

    script = [at(i) for i in range(75)]
    people, _ = film(stick, script, {"a": BLUE, "b": BLUE})
    assert sorted(map(sorted, (names_of(p, script) for p in people))) == [["a"], ["b"]]
    assert sorted(map(len, people)) == [57, 75]


def test_who_is_missing_is_looked_for_less_and_less(stick):
    """Soon at first, then as seldom as ever; who comes back is followed back to when they did."""

    def script(gone):
        both = [{"a": stick.sighting(150, 240), "b": stick.sighting(460, 240)}] * 200
        return [f if i < 31 or i >= 31 + gone else {"a": f["a"]} for i, f in enumerate(both)]

    _, detector = film(stick, script(169), {"a": BLUE, "b": RED})
    pauses = np.diff([f for f in detector.searches if f >= 31])
    assert pauses[0] <= 6 and pauses[:5].tolist() == sorted(pauses[:5]) and pauses.max() == 30
    assert len(pauses) < 14
    rows = script(50)
    people, _ = film(stick, rows, {"a": BLUE, "b": RED})
    assert sorted(map(len, people)) == [150, 200]


def test_nobody_for_a_minute_is_no_trouble(stick):
    people, detector = film(
        stick, [{}] * 2000 + [{"a": stick.sighting(300, 240)}] * 40, {"a": BLUE}
    )
    assert [len(p) for p in people] == [40]
    assert len(detector.searches) > 1900


def test_who_comes_back_keeps_what_was_seen_of_them_before(stick):
    """A leaves; B, in the same kit and unseen so far, is found where A was."""

    def at(i):
        shown = {"a": stick.sighting(300, 240)} if i < 41 else {}
        return shown | ({"b": stick.sighting(380, 240)} if i >= 45 else {})

    script = [at(i) for i in range(80)]
    people, _ = film(stick, script, {"a": BLUE, "b": BLUE})
    for i in range(41):
        assert any(i in p and p[i].box is script[i]["a"].box for p in people)


def test_somebody_in_other_clothes_who_comes_soon_after_is_somebody_else(stick):
    """As different as clothes are within a shot, and less than OTHER_CLOTHES; not in the same place."""
    image = stick.picture(0, [(stick.sighting(300, 240), NAVY)])
    navy = body_colours(image, stick.sighting(300, 240), ROWS)
    image = stick.picture(0, [(stick.sighting(300, 240), GREEN)])
    green = body_colours(image, stick.sighting(300, 240), ROWS)
    assert colour_distance(navy, green) > SAME_SHOT_COLOURS

    def at(i):
        shown = {"a": stick.sighting(300, 240)} if i < 41 else {}
        return shown | ({"b": stick.sighting(420, 240)} if i >= 65 else {})

    people, _ = film(stick, [at(i) for i in range(110)], {"a": NAVY, "b": GREEN})
    assert sorted(map(len, people)) == [41, 45]


def test_narrow_paint_lies_within_wide(stick):
    seen = stick.sighting(300, 240)
    masks = []
    for width in (0.5, 1.0):
        mask = np.full((480, 640), 255, np.uint8)
        hide_person(
            mask, seen.xy.astype(float), seen.confidence, joint_set="mediapipe_33", width=width
        )
        masks.append(mask == 0)
    narrow, wide = masks
    assert (narrow <= wide).all() and narrow.sum() < 0.8 * wide.sum()


def test_clothes_behind_another_are_read_where_they_show(stick):
    seen = stick.sighting(300, 240)
    image = stick.picture(0, [(seen, BLUE)])
    whole = body_colours(image, seen, ROWS)
    shown = np.full(image.shape[:2], 255, np.uint8)
    shown[:, :300] = 0
    half = image.copy()
    half[:, :300] = RED
    assert np.allclose(body_colours(half, seen, ROWS, shown=shown), whole, atol=1e-3)
    assert colour_distance(body_colours(half, seen, ROWS), whole) > 0.3
    assert not body_colours(image, seen, ROWS, shown=np.zeros_like(shown)).any()
