"""Edits of real views: the right moments on both sides, near where nothing errs, rows that can fail."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.bench.ms_alignment import METHODS
from humanmotion.bench.real_pairs import (
    ESTIMATED,
    GIVEN,
    TRUE_LENS,
    WAYS,
    RealView,
    cut_together,
    is_calibrated_view,
    pair_rows,
    real_view,
    yaw_errors,
    yaw_rows,
)
from humanmotion.body import BodyModel
from humanmotion.camera import Camera, default_focal, intrinsics
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import write_json, write_npz
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.fit_person import Learnt
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.stage_codec import read_value, save_value
from humanmotion.jobs.stages import stage_path
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.content import Content
from humanmotion.recovery.detector_noise import NONE, detect
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.people import People
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix

BODY = BodyModel.load()
LEVEL = torch.tensor(((1.0, 0, 0), (0, 0, -1), (0, 1, 0)))
"""A camera that looks along y, z up."""
CLIP = {"id": "left", "file": "left.mp4", "cuts": [], "calibration": "calib.json", "camera": "a",
        "reference": "truth.npz", "frame_offset": 2}  # fmt: skip
WIDTH, HEIGHT = 1280, 720


def _view(motion, name: str, *, degrees: float) -> RealView:
    """A walk without noise before a level camera that goes round the origin by so much."""
    R = LEVEL @ rotation_about_z(torch.tensor(math.radians(degrees))).T
    focal = default_focal(WIDTH, HEIGHT)
    K = intrinsics(torch.full((len(motion),), focal), width=WIDTH, height=HEIGHT)
    centre = R.T @ torch.tensor((0.0, 0.0, -6.0)) + torch.tensor((0.0, 0.0, 1.2))
    camera = Camera(
        K=K, R_w2c=R.repeat(len(motion), 1, 1), t_w2c=(-R @ centre).repeat(len(motion), 1),
        width=WIDTH, height=HEIGHT,
    )  # fmt: skip
    marks = BODY.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    joints = BODY.joints_of(motion)
    generator = torch.Generator().manual_seed(0)
    xy, said, xyz = detect(marks[None], joints[None], camera, fps=30.0, noise=NONE,
                           generator=generator)  # fmt: skip
    seen = Keypoints(xy[0], said[0], motion.times, SET, WIDTH, HEIGHT, xyz[0])
    return RealView(name, "walk", seen, K[0], R)


@pytest.fixture(scope="module")
def views():
    walk = walking_motion(BODY, seconds=2.0)
    middle = walk.transl.mean(0) * torch.tensor((1.0, 1.0, 0.0))
    walk = replace(walk, transl=walk.transl - middle)
    return _view(walk, "a", degrees=20), _view(walk, "b", degrees=110)


@pytest.fixture(scope="module")
def learnt():
    return Learnt(None, load_lifter())


def test_an_edit_shows_the_moments_of_each_view(views) -> None:
    a, b = views
    edit = cut_together(a, b, cut=20, frames=50)
    assert torch.equal(edit.keypoints.xy[:20], a.keypoints.xy[:20])
    assert torch.equal(edit.keypoints.xy[20:], b.keypoints.xy[20:50])
    assert torch.equal(edit.keypoints.xyz[20:], b.keypoints.xyz[20:50])
    assert [(s.start, s.stop) for s in edit.shots] == [(0, 20), (20, 50)]
    assert math.degrees(edit.turn_rad) % 360 == pytest.approx(90, abs=1e-3)
    assert edit.keypoints.times.diff().allclose(torch.tensor(1 / 30).double(), atol=1e-6)


def test_without_noise_every_way_is_near_and_a_wrong_calibration_is_not(views, learnt) -> None:
    a, b = views
    edit = cut_together(a, b, cut=30, frames=60)
    found = yaw_errors(edit, BODY, learnt)
    assert tuple(found) == WAYS
    assert found[GIVEN] < 12 and found[ESTIMATED] < 15
    # Others take the body for the same on both sides, and it walked on for a frame.
    assert all(found[m] < 20 for m in (*METHODS, TRUE_LENS)), found
    wrong = replace(b, R_w2c=b.R_w2c @ rotation_about_z(torch.tensor(math.radians(70))).T)
    missed = yaw_errors(replace(edit, views=(a, wrong)), BODY, learnt)
    assert all(50 < missed[way] < 90 for way in WAYS), missed


def test_up_is_told_to_all_but_the_one_that_estimates_it(views, learnt) -> None:
    edit = cut_together(*views, cut=30, frames=60)
    # Cameras said to look down by 40 degrees more: their headings stay the same, up does not.
    down = rotvec_to_matrix(torch.tensor((math.radians(40), 0.0, 0.0)))
    a, b = (replace(v, R_w2c=down @ v.R_w2c) for v in views)
    told = replace(edit, views=(a, b))
    assert told.turn_rad == pytest.approx(edit.turn_rad, abs=1e-5)
    plain, leaning = (yaw_errors(e, BODY, learnt) for e in (edit, told))
    assert leaning[ESTIMATED] == pytest.approx(plain[ESTIMATED], abs=0.01)
    assert abs(leaning[GIVEN] - plain[GIVEN]) > 1
    assert abs(leaning["PnP of the body"] - plain["PnP of the body"]) > 1


def test_pairs_are_of_one_event_and_a_failed_view_misses_the_bar(views, learnt) -> None:
    a, b = views
    for alone in ([a, replace(b, event="another")], [a], []):
        (row,) = pair_rows(alone, BODY, learnt)
        assert row.id == f"pairs/{GIVEN}/yaw" and row.passed is None
    rows = {r.id: r for r in pair_rows([a, replace(b, keypoints=None)], BODY, learnt)}
    row = rows[f"pairs/{GIVEN}/yaw"]
    assert math.isnan(row.value) and row.passed is False


def test_the_bar_is_on_the_median_of_ours_with_gravity_given() -> None:
    def told(*yaw: float) -> dict[str, float | None]:
        rows = yaw_rows([dict.fromkeys(WAYS, y) for y in yaw])
        assert [r.id for r in rows if r.bar is not None] == [f"pairs/{GIVEN}/yaw"]
        return {r.id: r.value for r in rows} | {"passed": rows[0].passed}

    assert told(3.0, 14.0, 170.0)["passed"] is True
    assert told(3.0, 16.0, 17.0)["passed"] is False
    assert told(0.0, 10.0)[f"pairs/{GIVEN}/yaw_p90"] == pytest.approx(9.0)


def test_which_clips_are_calibrated_views() -> None:
    assert is_calibrated_view(CLIP)
    for change in ({"cuts": [4]}, {"camera": None}, {"calibration": None}, {"reference": None}):
        assert not is_calibrated_view(CLIP | change)


def test_a_view_is_read_from_what_a_run_kept_and_begins_with_the_event(views, tmp_path) -> None:
    a, b = views
    content = Content(*(torch.zeros(len(a.keypoints)) for _ in range(3)))
    people = People((a.keypoints, b.keypoints), a.keypoints.times, content, WIDTH, HEIGHT, {})
    (tmp_path / "out/stages").mkdir(parents=True)
    save_value(stage_path(tmp_path / "out/stages", "people"), people, key="whatever")
    camera = {"K": a.K.tolist(), "R": a.R_w2c.tolist(), "t": [0.0, 0.0, 0.0]}
    write_json(tmp_path / "calib.json", {"cameras": {"a": camera}})
    view = real_view(CLIP, tmp_path, tmp_path / "out")
    assert torch.equal(view.keypoints.xy, a.keypoints.xy[2:])
    assert torch.allclose(view.R_w2c, a.R_w2c) and view.event == "truth.npz"
    assert real_view(CLIP, tmp_path, None).keypoints is None
    with pytest.raises(InputError, match="does not exist"):
        real_view(CLIP, tmp_path, tmp_path)


def test_what_is_no_stage_file_is_said_to_be_none(tmp_path) -> None:
    write_npz(tmp_path / "v.npz", {"a": torch.zeros(3).numpy()})
    with pytest.raises(FileFormatError, match="no stage file"):
        read_value(tmp_path / "v.npz", classes=(People,))
