"""What the main job says to odd input: one line that names what was given and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from humanmotion.errors import (
    HumanMotionError,
    InputError,
    NothingFoundError,
    OutputError,
    UsageError,
    VideoError,
)
from humanmotion.files import read_json
from humanmotion.io.npz import read_motion
from humanmotion.io.video import read_frames
from humanmotion.jobs.demo import run_demo
from humanmotion.jobs.exports import _write_bvh
from humanmotion.jobs.reconstruct import reconstruct
from humanmotion.motion import Motion


def _one_line(error: pytest.ExceptionInfo[HumanMotionError]) -> str:
    text = str(error.value)
    assert text and "\n" not in text
    return text


@pytest.mark.parametrize("person", [1, 5, -1])
def test_a_person_that_is_not_there(person, done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    with pytest.raises(UsageError) as error:
        reconstruct(done.video, output=folder, person=person)
    text = _one_line(error)
    assert error.value.exit_code == 2
    assert f"person {person} given" in text and "1 found" in text
    assert [p.name for p in folder.iterdir()] == ["stages"]


def test_the_first_person_is_the_default(done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, person=0)
    assert files.motions[0].read_bytes() == done.files.motions[0].read_bytes()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"from_stage": "dance"}, "'dance'"),
        ({"focal": 0.0}, "focal length 0.0"),
        ({"focal": float("nan")}, "focal length nan"),
        ({"camera": "drone"}, "'drone'"),
    ],
)
def test_wrong_options_are_told_before_any_work(
    options, named, done, tmp_path, no_detector
) -> None:
    with pytest.raises(UsageError, match=named) as error:
        reconstruct(done.video, output=tmp_path / "out", **options)
    _one_line(error)


def test_a_video_with_nobody(empty_room, tmp_path) -> None:
    with pytest.raises(NothingFoundError) as error:
        reconstruct(empty_room, output=tmp_path / "out")
    assert "no person was found in 8 pictures" in _one_line(error)
    assert error.value.exit_code == 1
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_a_missing_video(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.mp4 does not exist"):
        reconstruct(tmp_path / "none.mp4", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_file_is_no_video(tmp_path) -> None:
    (tmp_path / "words.mp4").write_text("no video at all\n" * 50)
    with pytest.raises(VideoError, match=r"words\.mp4") as error:
        reconstruct(tmp_path / "words.mp4", output=tmp_path / "out")
    _one_line(error)


def test_a_missing_body(done, tmp_path, no_detector) -> None:
    with pytest.raises(InputError, match=r"nobody\.npz") as error:
        reconstruct(done.video, output=tmp_path / "out", body=tmp_path / "nobody.npz")
    _one_line(error)


def test_an_output_that_is_a_file(done, tmp_path, no_detector) -> None:
    (tmp_path / "out").write_text("a file")
    for output in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(OutputError, match="cannot be written") as error:
            reconstruct(done.video, output=output)
        assert str(output) in _one_line(error)
    assert (tmp_path / "out").read_text() == "a file"


def test_an_output_that_cannot_be_written(done, tmp_path, no_detector) -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        closed = Path("/proc/humanmotion")  # permissions do not stop the super-user; this does
        if not closed.parent.is_dir():
            pytest.skip("no folder here that the super-user cannot write to")
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot be written") as error:
        reconstruct(done.video, output=closed)
    assert str(closed) in _one_line(error)


def test_a_video_of_one_frame(part, tmp_path, body) -> None:
    files = reconstruct(part(12, 13), output=tmp_path / "out")
    motion = read_motion(files.motions[0])
    assert len(motion) == 1
    report = read_json(files.report_json)
    assert report["cuts"] == [] and report["frames"] == 1
    assert report["quality"]["deepest_sole_mm"] < 1
    assert sum(1 for _ in read_frames(files.overlay)) == 1
    pelvis, head = body.joints_of(motion)[0, [0, 15], 2]
    assert 0.6 < pelvis < 1.2 and head > pelvis + 0.4


def test_a_body_without_fingers_or_face_is_said_to_follow_none(
    done, tmp_path, bodies, no_detector
) -> None:
    path = bodies.write_body(tmp_path, bodies.make_synthetic_body("SMPL"))
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, body=path)
    warnings = "; ".join(read_json(files.report_json)["warnings"])
    assert "has no finger joints" in warnings and "has no face points" in warnings
    assert not read_motion(files.motions[0]).joints_present[25:].any()


def test_another_body_from_a_file(done, tmp_path, bodies, no_detector) -> None:
    """A body of the SMPL-X layout with shape, fingers and correctives, but no landmark tables."""
    arrays = bodies.make_synthetic_body("SMPL-X", correctives=0.002)
    path = bodies.write_body(tmp_path, arrays)
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, body=path)
    motion, ours = read_motion(files.motions[0]), read_motion(done.files.motions[0])
    assert len(motion) == 60 and motion.body_sha256 != ours.body_sha256
    report = read_json(files.report_json)
    assert report["seconds"]["camera"] == 0 and report["seconds"]["pose"] > 0
    assert report["body"] == motion.body_id
    assert report["quality"]["reprojection_percent"] < 12
    assert not [line for line in report["warnings"] if "confidence 0" in line]
    assert files.glb.stat().st_size > 1000 and files.report_html.exists()


@pytest.mark.parametrize("name", ["motion_p2.npz", "motion_p7.npz", "motion.glb"])
def test_somebody_elses_files_are_kept(name, done, tmp_path) -> None:
    theirs = tmp_path / "out" / name
    (theirs.parent / "stages").mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(OutputError, match=f"{name} exists already"):
        reconstruct(done.video, output=theirs.parent)
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize("name", ["demo.mp4", "truth.npz"])
def test_the_demo_keeps_them_too(name, tmp_path) -> None:
    theirs = tmp_path / name
    theirs.write_text("mine")
    with pytest.raises(OutputError, match=f"{name} exists already"):
        run_demo(tmp_path)
    assert theirs.read_text() == "mine"


def test_another_detector_takes_the_embedded_ones_place(done, tmp_path, no_detector) -> None:
    class Blind:
        joint_set = "mediapipe_543"
        asked = 0

        def find(self, image, *, thorough):
            Blind.asked += 1
            return []

        def look(self, image, box):
            raise AssertionError("there is nobody to look at")

        def close(self) -> None:
            pass

    with pytest.raises(NothingFoundError):
        reconstruct(done.video, output=tmp_path / "out", detector=Blind)
    assert Blind.asked


def test_times_too_far_apart_for_bvh_cost_that_file_only(tmp_path, body) -> None:
    stale = tmp_path / "motion.bvh"
    stale.write_text("of an earlier run")
    times = torch.tensor((0.0, 0.1, 2e5), dtype=torch.float64)
    motion = Motion.create(torch.zeros(3, 55, 3), torch.zeros(3, 3), fps=30, times=times)
    (note,) = _write_bvh(stale, motion, body)
    assert note.startswith("no BVH written: ") and not stale.exists()
