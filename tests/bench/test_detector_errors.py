"""Errors of a detector against known places: hand-made cases, and rows with both detectors in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.bench.detector_errors import (
    Misses,
    compare,
    detector_rows,
    figures,
    gathered,
    made_up_misses,
    true_pixels,
)
from humanmotion.bench.edit_runs import Watched, detector_misses
from humanmotion.bench.ms_mocap import filmed
from humanmotion.bench.rendered import make_edit
from humanmotion.body import BodyModel
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.content import Content
from humanmotion.recovery.detector_noise import NONE, DetectorNoise
from humanmotion.recovery.initial_pose import SET, mark
from humanmotion.recovery.people import People

BODY = BodyModel.load()


@pytest.fixture(scope="module")
def walk():
    return replace(walking_motion(BODY, seconds=4.0), meta={"source": "demo/walk"})


@pytest.fixture
def true():
    """Two frames of 33 places over 400 pixels of height, sides 80 pixels apart."""
    generator = torch.Generator().manual_seed(0)
    places = 100 + 50 * torch.rand(2, 33, 2, generator=generator)
    places[:, 0], places[:, 1] = torch.tensor((120.0, 50.0)), torch.tensor((120.0, 450.0))
    for limb in ("elbow", "wrist", "knee", "ankle"):
        places[:, mark(f"left_{limb}"), 0], places[:, mark(f"right_{limb}"), 0] = 90.0, 170.0
    return places


def _seen(xy: torch.Tensor, confidence: float = 0.9) -> Keypoints:
    times = torch.arange(len(xy), dtype=torch.float64) / 30
    return Keypoints(xy, torch.full(xy.shape[:2], confidence), times, SET, 600, 500)


def test_distances_are_shares_of_the_height(true) -> None:
    found = compare(_seen(true + torch.tensor((0.0, 8.0))), true)
    assert found.away.shape == (66,) and torch.allclose(found.away, torch.tensor(0.02))
    assert not found.exchanged.any() and found.exchanged.shape == (8,)
    assert not found.missed.any()


def test_what_is_unknown_outside_or_not_found_is_left_out(true) -> None:
    there = true.clone()
    true[0, 5] = torch.nan
    seen = _seen(there)
    assert compare(seen, true).away.shape == (33,)
    there[1, 20, 0] = 601.0
    assert compare(_seen(there), torch.cat((true[:1], there[1:]))).away.shape == (32,)
    lost = replace(seen, confidence=torch.zeros(2, 33))
    found = compare(lost, true)
    assert found.missed.tolist() == [True] and len(found.away) == 0


def test_exchanged_sides_are_seen_where_they_lie_apart(true) -> None:
    xy = true.clone()
    left, right = mark("left_knee"), mark("right_knee")
    xy[0, [left, right]] = true[0, [right, left]]
    found = compare(_seen(xy), true)
    assert int(found.exchanged.sum()) == 1 and found.exchanged.shape == (8,)
    near = true.clone()
    near[:, right] = near[:, left] + 10
    assert compare(_seen(near), near).exchanged.shape == (6,)


def test_figures_of_a_made_up_detector_follow_its_noise(walk) -> None:
    def told(noise: DetectorNoise) -> dict[str, float]:
        seq = filmed(walk, BODY, shots=2, noise=noise, seed=0)
        return figures(compare(seq.keypoints, true_pixels(seq, BODY)))

    none, plain = told(NONE), told(DetectorNoise())
    doubled = told(replace(DetectorNoise(), scale=2.0))
    assert none["median"] < 1e-3 and none["exchanged"] == none["missed"] == 0
    assert 0.5 < plain["median"] < 4 and plain["rank"] > 0.1 and plain["p90"] > plain["median"]
    assert doubled["median"] == pytest.approx(2 * plain["median"], rel=0.1)
    assert doubled["confidence"] < plain["confidence"]
    swapping = told(replace(NONE, swap_chance=0.2))
    assert swapping["exchanged"] > 5


def test_both_detectors_stand_in_one_row(true) -> None:
    near, far = compare(_seen(true + 1), true), compare(_seen(true + 20, 0.3), true)
    rows = {r.id: r for r in detector_rows("real", "2 frames", found=near, made_up=far)}
    row = rows["detector/real/median"]
    assert row.baseline is not None and row.value < row.baseline.value
    assert rows["detector/real/confidence"].value == pytest.approx(0.9)
    assert rows["detector/real/confidence"].baseline.value == pytest.approx(0.3)
    alone = detector_rows("real", "2 frames", found=near, made_up=None)
    assert all(r.baseline is None for r in alone)
    both = gathered([near, far])
    assert len(both.away) == 132 and figures(both)["p90"] > figures(near)["p90"]


def test_of_rendered_shots_the_true_places_are_those_of_the_film(walk) -> None:
    edit = make_edit([walk], BODY, shots=1, seed=0, kind="pan")
    motion, camera = edit.motions[0], edit.takes[0].camera
    marks = BODY.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    xy = camera.project(marks)
    seen = Keypoints(xy, torch.ones(xy.shape[:2]), motion.times, SET, camera.width, camera.height)
    content = Content(*(torch.zeros(len(edit)) for _ in range(3)))
    people = People((seen,), motion.times, content, camera.width, camera.height, {})
    found = detector_misses(edit, Watched(people, ()), BODY)
    assert len(found.away) > 100 and float(found.away.max()) < 1e-5
    nobody = detector_misses(edit, Watched(None, ()), BODY)
    assert bool(nobody.missed.all()) and len(nobody.missed) == len(edit)
    assert isinstance(gathered([found, nobody]), Misses)


def test_the_made_up_one_is_measured_on_sequences_of_val(data: Path, tmp_path: Path) -> None:
    found, other = (made_up_misses(data, BODY, seeds=[seed]) for seed in (0, 1))
    assert found is not None and 0.5 < figures(found)["median"] < 4
    assert other is not None and figures(other) != figures(found)
    assert made_up_misses(tmp_path, BODY) is None
