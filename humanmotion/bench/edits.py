"""From pixels: cuts, kinds of camera and identities in rendered edits; no false cut in real videos.

Rendered edits are described in `rendered`; everything here runs the real detector on their pictures.
A video in which nobody is found has no cuts, no people and the kind of camera that odometry says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from humanmotion.bench.detector_errors import (
    MADE_UP_SEEDS,
    detector_rows,
    gathered,
    made_up_misses,
)
from humanmotion.bench.edit_lists import edits, fingerprint, pairs, single_shots
from humanmotion.bench.edit_runs import (
    Watched,
    detector_misses,
    found_boxes,
    true_boxes,
    watch_edit,
    watch_video,
)
from humanmotion.bench.published_shots import TESTS, published_cuts
from humanmotion.bench.recovery import listed_videos, videos_folder
from humanmotion.bench.rendered import Edit, Transition
from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body import BodyModel
from humanmotion.metrics.cuts import CutScore, match_cuts, score_cuts
from humanmotion.metrics.identity import IdentityScore, identity_score
from humanmotion.recovery.detection import Detector, MediaPipeDetector
from humanmotion.recovery.people import People
from humanmotion.recovery.shots import find_shots
from humanmotion.recovery.virtual_cameras import KINDS

SPLIT = "test"
TOLERANCES = (0, 1, 2)
QUICK_VIDEOS = 1


@dataclass(frozen=True)
class Amount:
    """How much is rendered."""

    edits: dict[int, int]
    """By number of shots."""
    singles: int
    """Of each kind of camera."""
    pairs: int


FULL, QUICK = Amount({2: 22, 3: 12, 4: 6}, 20, 6), Amount({2: 1, 3: 1}, 1, 1)
Run = list[tuple[Edit, Watched]]


def run(data: Path | None, *, quick: bool) -> BenchReport:
    """Render, watch and score; raises InputError when `data` holds no motion capture or videos."""
    body, amount = BodyModel.load(), QUICK if quick else FULL
    folder = videos_folder(data)
    cut = list(edits(data, body, split=SPLIT, counts=amount.edits))
    single = list(single_shots(data, body, split=SPLIT, each=amount.singles))
    paired = list(pairs(data, body, split=SPLIT, wanted=amount.pairs))
    with closing(MediaPipeDetector()) as detector:
        rows = _list_rows(cut, fingerprint([*cut, *single, *paired]))
        rows += cut_rows([(e, watch_edit(e, body, detector)) for e in cut])
        alone = [(e, watch_edit(e, body, detector, camera=True)) for e in single]
        rows += single_rows(alone) + _detector_rows(alone, body, data, quick=quick)
        rows += _video_rows(folder, detector, quick=quick)
        rows += identity_rows([(e, watch_edit(e, body, detector)) for e in paired], body)
    return BenchReport.create("edits", rows, seeds=[0], data=data, quick=quick)


def _list_rows(made: Sequence[Edit], known: str) -> list[Row]:
    """What the edits are made of, held to what was asked for."""
    cuts = [t for e in made for t in e.transitions]
    flashed = [bool(e.flashes) for e in made]
    return [
        Row("list", f"edits of {SPLIT} clips with {len(cuts)} cuts, list {known}",
            float(len(made)), ""),
        Row("list/same_scene", "cuts within one scene",
            _percent([t.same_scene for t in cuts]), "%", 40.0, ">="),
        Row("list/dissolves", "cuts that are dissolves",
            _percent([t.dissolve for t in cuts]), "%", 15.0, ">="),
        Row("list/flashed", "edits with flashes", _percent(flashed), "%", 15.0, ">="),
    ]  # fmt: skip


def _percent(held: Sequence[bool]) -> float:
    return 100 * sum(held) / max(len(held), 1)


def _spans(edit: Edit) -> list[tuple[int, int]]:
    return [(t.first, t.last) for t in edit.transitions]


def cut_rows(seen: Run) -> list[Row]:
    """Recall, precision and F1 of the cuts; ours, by kind of cut, with less, and the published."""
    rows = []
    for tolerance in TOLERANCES:
        score = _score(seen, lambda w: w.cuts, tolerance)
        bar: Sequence[Any] = (0.95, ">=") if tolerance == 1 else ()
        what = f"cuts within {tolerance} frames"
        rows += [
            Row(f"f1/{tolerance}", f"F1 of {what}", score.f1, "", *bar),
            Row(f"recall/{tolerance}", f"recall of {what} ({score.hits} of {score.true})",
                score.recall, ""),
            Row(f"precision/{tolerance}", f"precision of {what} ({score.hits} of {score.found})",
                score.precision, ""),
        ]  # fmt: skip
    return rows + _kind_rows(seen) + _other_rows(seen)


def _score(seen: Run, cuts: Callable[[Watched], Sequence[int]], tolerance: int) -> CutScore:
    scores = [score_cuts(cuts(w), _spans(e), tolerance=tolerance) for e, w in seen]
    return sum(scores, CutScore())


_KINDS: dict[str, tuple[str, Callable[[Transition], bool]]] = {
    "hard_same": ("hard cuts within one scene", lambda t: not t.dissolve and t.same_scene),
    "hard_other": ("hard cuts to another scene", lambda t: not t.dissolve and not t.same_scene),
    "dissolve": ("dissolves", lambda t: t.dissolve),
}


def _kind_rows(seen: Run) -> list[Row]:
    """Recall of each kind of cut, and how far from its middle a dissolve is found."""
    matched = [
        (t, m)
        for e, w in seen
        for t, m in zip(e.transitions, match_cuts(w.cuts, _spans(e), tolerance=1), strict=True)
    ]
    rows = []
    for name, (what, belongs) in _KINDS.items():
        hit = [m is not None for t, m in matched if belongs(t)]
        if hit:
            text = f"recall of {what} within 1 frame ({sum(hit)} of {len(hit)})"
            rows.append(Row(f"recall/{name}", text, sum(hit) / len(hit), ""))
    away = [abs(m - t.cut) for t, m in matched if t.dissolve and m is not None]
    if away:
        middle = float(torch.tensor(away).float().median())
        rows.append(Row("dissolve/away", "found dissolves from their middle, median", middle,
                        "frames"))  # fmt: skip
    return rows


def _other_rows(seen: Run) -> list[Row]:
    """The same inputs through less of our detector, and through the published three tests."""
    ways: dict[str, Callable[[People], Sequence[int]]] = {
        "ours: content alone": lambda p: _cuts(p, tracks=False),
        "ours: people alone": lambda p: _cuts(_without_content(p)),
        "ours without heading": lambda p: _cuts(_without_heading(p)),
        "ours without dissolves": lambda p: _cuts(_without_dissolves(p)),
    }
    for tests in TESTS:
        ways[f"published: {tests}"] = partial(_published, tests)
    ours, rows = _score(seen, lambda w: w.cuts, 1), []
    for name, way in ways.items():
        score = _score(seen, partial(_of_people, way), 1)
        what = f"{name}: F1 within 1 frame (recall {score.recall:.2f}, "
        what += f"precision {score.precision:.2f})"
        peer = Baseline("ours", ours.f1)
        rows.append(Row(f"{name}/f1", what, score.f1, "", baseline=peer))
    return rows


def _of_people(way: Callable[[People], Sequence[int]], watched: Watched) -> Sequence[int]:
    return [] if watched.people is None else way(watched.people)


def _published(tests: str, people: People) -> Sequence[int]:
    return published_cuts(people.content, people.tracks, tests=tests)


def _cuts(people: People, *, tracks: bool = True) -> list[int]:
    known = people.tracks if tracks else ()
    return [s.start for s in find_shots(people.content, known, times=people.times)[1:]]


def _without_content(people: People) -> People:
    none = torch.zeros(len(people))
    return replace(
        people, content=replace(people.content, change=none, lasting=none, dissolve=none)
    )


def _without_heading(people: People) -> People:
    return replace(people, tracks=tuple(replace(t, xyz=None) for t in people.tracks))


def _without_dissolves(people: People) -> People:
    content = replace(people.content, dissolve=torch.zeros(len(people)))
    return replace(people, content=content)


def single_rows(seen: Run) -> list[Row]:
    """Shots without a cut: what is found all the same, and what their cameras are taken for."""
    wrong = sum(len(w.cuts) for _, w in seen)
    flashed = sum(bool(e.flashes) for e, _ in seen)
    called = Counter((e.takes[0].kind, w.kinds[0]) for e, w in seen)
    text = "; ".join(
        f"{true}: " + ", ".join(f"{called[true, k]} {k}" for k in KINDS if called[true, k])
        for true in KINDS
    )
    right = [e.takes[0].kind == w.kinds[0] for e, w in seen]
    missed = sum(w.people is None for _, w in seen)
    return [
        Row("false_cuts/rendered", f"cuts found in {len(seen)} shots without one ({flashed} of them "
            f"flashed at, {missed} without anybody found)", float(wrong), "", 0, "<="),
        Row("camera", f"kind of camera right in rendered shots (found {text})", _percent(right), "%",
            95.0, ">="),
    ]  # fmt: skip


def _detector_rows(seen: Run, body: BodyModel, data: Path | None, *, quick: bool) -> list[Row]:
    """What the made-up detector of ms-mocap was fitted to, here on clips that it was not."""
    found = gathered([detector_misses(e, w, body) for e, w in seen])
    seeds = MADE_UP_SEEDS[:1] if quick else MADE_UP_SEEDS
    made_up = made_up_misses(data, body, seeds=seeds)
    return detector_rows("rendered", f"{len(seen)} rendered shots", found=found, made_up=made_up)


def _video_rows(folder: Path, detector: Detector, *, quick: bool) -> list[Row]:
    """Real videos: cuts missed or invented, and the kind of camera."""
    clips = listed_videos(folder / "index.jsonl")
    if quick:
        clips = sorted(clips, key=lambda c: (folder / c["file"]).stat().st_size)[:QUICK_VIDEOS]
    seen = [(c, watch_video(folder / c["file"], detector)) for c in clips]
    single = [(c, w) for c, w in seen if c.get("cuts") == []]
    cut = [(c, w) for c, w in seen if c.get("cuts")]
    named = [(c, w) for c, w in seen if c.get("camera_motion")]
    odd = [c["id"] for c, w in named if set(w.kinds) != {c["camera_motion"]}]
    text = f"real videos whose camera is not called right, of {len(named)} ({', '.join(odd)})"
    rows = [
        Row("false_cuts/real", f"cuts found in {len(single)} real videos without one",
            float(sum(len(w.cuts) for _, w in single)), "", 0, "<="),
        Row("camera/real", text, float(len(odd)), "", 0, "<="),
    ]  # fmt: skip
    if cut:
        wrong = sum(len({*w.cuts} ^ {*c["cuts"]}) for c, w in cut)
        rows.append(Row("cuts/real", f"cuts missed or invented in {len(cut)} real edits",
                        float(wrong), "", 0, "<="))  # fmt: skip
    return rows


def identity_rows(seen: Run, body: BodyModel) -> list[Row]:
    """Two people over the whole edit: the same track for the same person."""
    scores = [identity_score(found_boxes(w.people), true_boxes(e, body)) for e, w in seen]
    total = sum(scores, IdentityScore())
    worst = min(s.idf1 for s in scores)
    tracks = sum(0 if w.people is None else len(w.people.tracks) for _, w in seen) / len(seen)
    what = f"IDF1 of two people over {len(seen)} edits ({tracks:.1f} tracks an edit)"
    return [
        Row("idf1", what, total.idf1, "", 0.9, ">="),
        Row("idf1/worst", "IDF1 of the worst edit", worst, ""),
    ]
