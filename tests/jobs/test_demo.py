"""The demo: its clip is what it says, its comparison is zero for the truth, and it runs."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import OutputError
from humanmotion.io.cameras_json import write_cameras_json
from humanmotion.io.npz import read_camera, read_motion, write_motion
from humanmotion.io.video import probe, read_frames
from humanmotion.jobs import demo
from humanmotion.jobs.demo import compare, run_demo
from humanmotion.jobs.demo_clip import make_demo_clip
from humanmotion.metrics import floor_penetration, foot_sliding
from humanmotion.rotations import rotation_about_z


@pytest.mark.parametrize(("shots", "cuts"), [(1, ()), (2, (45,))])
def test_the_clip_is_what_was_asked_for(shots, cuts, body) -> None:
    clip = make_demo_clip(body, seconds=3, size=(320, 240), shots=shots)
    assert len(clip.motion) == len(clip.camera) == 90 and clip.cuts == cuts
    assert (clip.camera.width, clip.camera.height) == (320, 240)
    places = torch.unique(clip.camera.centre.round(decimals=3), dim=0)
    assert len(places) == shots


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (400, 400)])
def test_the_whole_person_is_filmed_all_the_time(size, body) -> None:
    clip = make_demo_clip(body, seconds=4, size=size)
    points = clip.camera.to_camera(body.joints_of(clip.motion))
    assert points[..., 2].min() > 1
    pixels = clip.camera.project(body.joints_of(clip.motion))
    assert pixels.min() > 0
    assert pixels[..., 0].max() < size[0] and pixels[..., 1].max() < size[1]


def test_the_truth_stands_on_the_floor(body) -> None:
    motion = make_demo_clip(body, seconds=4, size=(320, 240)).motion
    joints = body.joints_of(motion)
    assert floor_penetration(joints, sole=body.sole_offset()).max() < 0.02
    assert foot_sliding(joints, motion.contact) < 0.008
    assert 0.5 < motion.transl[:, :2].diff(dim=0).norm(dim=-1).sum() < 8


def test_the_film_is_the_clip(done) -> None:
    info = probe(done.video)
    assert (info.width, info.height) == (640, 360)
    assert sum(1 for _ in read_frames(done.video)) == len(done.truth.motion) == 60


def test_the_truth_compared_with_itself_has_no_error(done, body, tmp_path) -> None:
    truth = done.truth
    write_motion(tmp_path / "motion.npz", truth.motion)
    write_cameras_json(tmp_path / "cameras.json", truth.camera, times=truth.motion.times)
    errors = compare(truth, tmp_path, body)
    slide = errors.pop("sliding_in_true_contacts_mm_per_frame")
    joints = body.joints_of(truth.motion)
    assert slide == pytest.approx(
        1000 * float(foot_sliding(joints, truth.motion.contact)), rel=1e-3
    )
    assert all(value < 0.1 for value in errors.values()), errors


def test_a_second_shot_turned_by_ten_degrees_is_found(done, body, tmp_path) -> None:
    truth = done.truth
    turn = rotation_about_z(torch.tensor(0.1745329))
    motion = truth.motion
    rotations, transl = motion.rotations.clone(), motion.transl.clone()
    rotations[30:, 0] = turn @ rotations[30:, 0]
    R = truth.camera.R_w2c.clone()
    R[30:] = R[30:] @ turn.mT
    camera = type(truth.camera)(truth.camera.K, R, truth.camera.t_w2c, 640, 360)
    write_motion(tmp_path / "motion.npz", motion.with_rotations(rotations, transl=transl))
    write_cameras_json(tmp_path / "cameras.json", camera, times=motion.times)
    errors = compare(truth, tmp_path, body)
    assert errors["yaw_error_at_cut_deg"] == pytest.approx(10, abs=0.1)
    assert errors["pose_error_mm"] < 0.1 and errors["world_error_mm"] > 10


def test_the_demo_runs_and_keeps_its_results(tmp_path, monkeypatch) -> None:
    # The same job at a smaller size, so that it is quick.
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    monkeypatch.setattr(demo, "SIZE", (480, 270))
    stages: list[str] = []
    told = run_demo(tmp_path, progress=lambda stage, share: stages.append(stage))
    assert list(dict.fromkeys(stages)) == [
        "film", "people", "shots", "camera", "pose", "world", "export",
    ]  # fmt: skip
    assert told["cuts_true"] == told["cuts_found"] == [15]
    assert told["folder"] == str(tmp_path) and told["report"].endswith("report.html")
    assert told["overlay"] == str(tmp_path / "overlay.mp4")
    assert told["pose_error_mm"] < 100
    truth = read_motion(tmp_path / "truth.npz")
    assert len(truth) == 30 and read_camera(tmp_path / "truth.npz") is not None
    assert sum(1 for _ in read_frames(tmp_path / "demo.mp4")) == 30
    with pytest.raises(OutputError, match="pass --overwrite"):
        run_demo(tmp_path, progress=lambda stage, share: pytest.fail("it began all over"))
