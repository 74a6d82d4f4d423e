"""The report's numbers, each against a motion in which it is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from humanmotion.jobs.report import page_report, quality, report_values, reprojection_percent
from humanmotion.motion import Motion
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.result import Reconstruction
from humanmotion.recovery.shots import Shot


def _still(body, transl: torch.Tensor, *, fps: float = 30.0) -> Motion:
    """Standing upright at `transl` `(T, 3)` over the height at which the soles touch the floor."""
    rotvec = torch.zeros(len(transl), 55, 3)
    rotvec[:, 0, 0] = math.pi / 2
    motion = Motion.create(rotvec, transl, fps=fps, body_id=body.body_id)
    sole = body.joints_of(motion)[0, [10, 11], 2] - body.sole_offset()
    lift = torch.tensor((0.0, 0.0, float((transl[0, 2] - sole).min())))
    return motion.with_rotations(motion.rotations, transl=motion.transl + lift)


@pytest.fixture
def result(done) -> Reconstruction:
    truth = done.truth
    cut = CutAlignment(30, math.radians(40), math.radians(7), True, 0.1, (1.0, 0.0, 0.0), 0.05, 1)
    share = torch.full((60,), 0.02)
    share[:5] = 0.0
    return Reconstruction(
        people=(truth.motion,), camera=truth.camera, shots=(Shot(0, 30), Shot(30, 60)),
        camera_kinds=("static", "pan"), cuts=(cut,), reprojection=share, warnings=("dark",),
    )  # fmt: skip


def test_how_deep_soles_sink(body) -> None:
    place = torch.zeros(10, 3)
    assert quality(_still(body, place), body)["deepest_sole_mm"] == pytest.approx(0, abs=0.01)
    sunk = _still(body, place)
    sunk = sunk.with_rotations(sunk.rotations, transl=sunk.transl - torch.tensor((0, 0, 0.03)))
    assert quality(sunk, body)["deepest_sole_mm"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_sliding_does_not_depend_on_the_frame_rate(body, fps) -> None:
    """A body pushed at 6 cm/s slides 2 mm per frame at 30 fps, however it was filmed."""
    place = torch.zeros(30, 3)
    place[:, 0] = torch.arange(30) * 0.06 / fps
    found = quality(_still(body, place, fps=fps), body)
    assert found["sliding_in_own_contacts_mm_per_frame"] == pytest.approx(2.0, rel=1e-3)
    assert found["path_metres"] == pytest.approx(29 * 0.06 / fps, rel=1e-3)
    assert found["jitter_m_per_s3"] < 2


def test_a_shaken_motion_has_jitter(body) -> None:
    place = torch.zeros(30, 3)
    place[::2, 0] = 0.001
    # x alternates by 1 mm: its third difference is 4 of that a frame.
    found = quality(_still(body, place), body)["jitter_m_per_s3"]
    assert found == pytest.approx(0.004 * 2 * 30**3 / 2, rel=0.01)


def test_one_frame_has_a_quality(body) -> None:
    found = quality(_still(body, torch.zeros(1, 3)), body)
    assert all(math.isfinite(v) for v in found.values()) and found["path_metres"] == 0


def test_frames_without_keypoints_say_nothing(result) -> None:
    assert reprojection_percent(result) == pytest.approx(2.0)
    assert reprojection_percent(replace(result, reprojection=torch.zeros(60))) == 0.0


def test_the_values_are_plain_and_in_their_units(result, body) -> None:
    values = report_values(result, body, seconds={"people": 1.23456789}, source="a.mp4")
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["seconds"] == {"people": 1.2346}
    assert values["warnings"] == ["dark"] and values["people"] == 1
    (cut,) = values["cuts"]
    assert (cut["frame"], cut["flipped"], cut["people_on_both_sides"]) == (30, True, 1)
    assert cut["time_seconds"] == pytest.approx(1.0)
    assert cut["yaw_deg"] == pytest.approx(40) and cut["yaw_sigma_deg"] == pytest.approx(7)
    first, second = values["shots"]
    assert (first["camera"], second["camera"]) == ("static", "pan")
    assert first["end_seconds"] == second["start_seconds"] == pytest.approx(1.0)
    assert second["end_seconds"] == pytest.approx(2.0)
    assert first["focal_px"] == pytest.approx(0.95 * 640)


def test_the_page_plots_every_frame(result, body, done) -> None:
    page = page_report(result, body)
    series = {s.name: s for s in page.series}
    assert set(series) == {"pelvis height", "speed", "left foot", "right foot", "reprojection"}
    assert {len(s.values) for s in page.series} == {60} == {len(page.times)}
    assert series["reprojection"].values[:5] == [None] * 5
    assert series["reprojection"].values[5] == pytest.approx(2.0)
    pelvis = body.joints_of(done.truth.motion)[:, 0]
    step = (pelvis[2:, :2] - pelvis[:-2, :2]).norm(dim=-1) * 15
    assert series["speed"].values[1:-1] == pytest.approx(step.tolist(), abs=1e-3)
    assert page.cuts[0].yaw_deg == pytest.approx(40) and page.cuts[0].notes
    assert [span.label for span in page.shots] == ["static", "pan"]
    assert page.warnings == ("dark",)
