"""Running the job again: what is kept, what is redone, what survives being killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import OutputError, UsageError
from humanmotion.files import read_json, read_npz
from humanmotion.io.bvh_read import read_bvh
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.npz import read_motion
from humanmotion.io.video import read_frames
from humanmotion.jobs.reconstruct import reconstruct

SAME = ("motion.npz", "motion.bvh", "motion.glb", "cameras.json")


def test_results_are_kept_unless_told_otherwise(done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out")
    before = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    with pytest.raises(OutputError, match=r"report\.json exists already; pass --overwrite"):
        reconstruct(done.video, output=folder)
    assert before == {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_second_run_takes_what_is_known(done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out")
    files = reconstruct(done.video, output=folder, overwrite=True)
    seconds = read_json(files.report_json)["seconds"]
    assert [seconds[s] for s in ("people", "shots", "camera", "pose", "world")] == [0.0] * 5
    assert seconds["export"] > 0
    _same_results(folder, done)


def test_a_stage_and_those_after_it_are_redone(done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out")
    stages = folder / "stages"
    before = {p.name: p.stat().st_mtime_ns for p in stages.iterdir()}
    told: list[str] = []
    files = reconstruct(
        done.video, output=folder, from_stage="world",
        progress=lambda stage, share: told.append(stage) if share == 0 else None,
    )  # fmt: skip
    after = {p.name: p.stat().st_mtime_ns for p in stages.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"5_world.npz"}
    assert list(dict.fromkeys(told)) == ["world", "export"]
    assert read_json(files.report_json)["seconds"]["world"] > 0
    _same_results(folder, done)


def test_a_given_focal_length_redoes_the_camera_but_not_the_detection(
    done, tmp_path, no_detector
) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, focal=600.0)
    assert read_json(files.report_json)["shots"][0]["focal_px"] == pytest.approx(600)
    camera, _ = read_cameras_json(files.cameras)
    assert camera.K[:, 0, 0].tolist() == pytest.approx([600.0] * 60)


def test_another_prior_redoes_the_poses_but_not_the_detection(done, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, prior=None)
    seconds = read_json(files.report_json)["seconds"]
    assert [seconds[s] for s in ("people", "shots", "camera")] == [0.0] * 3
    assert seconds["pose"] > 0
    plain, led = (read_motion(f / "motion.npz") for f in (folder, done.files.folder))
    assert not torch.equal(plain.body_pose, led.body_pose)


def test_another_video_is_looked_at_anew(done, tmp_path, part) -> None:
    folder = done.copy(tmp_path / "out")
    (folder / "motion_p2.npz").write_bytes(b"of somebody in the first video")
    files = reconstruct(part(30, 42), output=folder, overwrite=True)
    assert len(read_motion(files.motions[0])) == 12
    assert read_json(files.report_json)["seconds"]["people"] > 0
    assert not (folder / "motion_p2.npz").exists()


def test_files_that_are_not_ours_are_not_replaced(done, tmp_path, no_detector) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cameras.json").write_text("my own")
    with pytest.raises(OutputError, match=r"cameras\.json exists already; pass --overwrite"):
        reconstruct(done.video, output=folder)
    assert (folder / "cameras.json").read_text() == "my own"


def test_the_video_itself_is_never_replaced(done, tmp_path, no_detector) -> None:
    video = tmp_path / "overlay.mp4"
    shutil.copy(done.video, video)
    with pytest.raises(UsageError, match="another folder"):
        reconstruct(video, output=tmp_path, overwrite=True)
    assert video.read_bytes() == done.video.read_bytes()


# One child process loads the package, then forks once for each place to die at: a signal of the
# kernel, at the moment a finished temporary file would be moved into place, or in mid-stage.
KILLER = """
import os, signal, sys
from pathlib import Path
import humanmotion.files
from humanmotion.jobs.reconstruct import reconstruct

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def run(video, output, stage, share, target):
    def progress(at, done):
        if at == stage and done >= share:
            die()
    move = os.replace
    def replace(source, goal):
        if Path(goal).name == target:
            die()
        move(source, goal)
    os.replace = replace
    reconstruct(video, output=output, progress=progress)

video, *jobs = sys.argv[1:]
for job in jobs:
    output, stage, share, target = job.split(",")
    child = os.fork()
    if child == 0:
        run(video, output, stage, float(share), target)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
PLACES = {
    "people": ("people", 0.5, ""),  # in the middle of looking for people
    "pose file": ("", 0, "4_pose.npz"),  # its temporary is whole, the file not there yet
    "second file": ("", 0, "motion.glb"),
    "overlay": ("export", 0.5, ""),  # half the frames are encoded
    "report": ("", 0, "report.json"),  # all but the last file
}


@pytest.fixture(scope="module")
def killed(done, tmp_path_factory) -> dict[str, Path]:
    """A folder left by each death; all but the first had the people found before."""
    folders = {name: tmp_path_factory.mktemp("killed") / "out" for name in PLACES}
    jobs = []
    for name, (stage, share, target) in PLACES.items():
        if name != "people":
            (folders[name] / "stages").mkdir(parents=True)
            shutil.copy(done.files.folder / "stages" / "1_people.npz", folders[name] / "stages")
        jobs.append(f"{folders[name]},{stage},{share},{target}")
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, str(done.video), *jobs],
        capture_output=True, text=True, timeout=120, check=True,
        # Bytes are the same for the same number of threads only: sums are split among them.
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip
    assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(PLACES), ran.stderr
    return folders


@pytest.mark.parametrize("name", list(PLACES)[1:])
def test_a_killed_run_leaves_whole_files_and_goes_on(name, killed, done, no_detector) -> None:
    folder = killed[name]
    assert not (folder / "report.json").exists()
    _visible_files_open(folder)
    reconstruct(done.video, output=folder)
    _same_results(folder, done)


def test_killed_while_looking_for_people_starts_over_with_the_same_bytes(killed, done) -> None:
    """Also: the whole job twice gives the same bytes."""
    folder = killed["people"]
    assert not [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    reconstruct(done.video, output=folder)
    _same_results(folder, done)


def _same_results(folder: Path, done) -> None:
    for name in SAME:
        assert (folder / name).read_bytes() == (done.files.folder / name).read_bytes(), name
    ours, theirs = (read_json(f / "report.json") for f in (folder, done.files.folder))
    for report in (ours, theirs):
        del report["seconds"]
    assert ours == theirs
    assert sum(1 for _ in read_frames(folder / "overlay.mp4")) == ours["frames"]


def _visible_files_open(folder: Path) -> None:
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert files
    body = BodyModel.load()
    readers = {
        ".npz": read_npz,
        ".glb": lambda p: json.loads(
            p.read_bytes()[20 : 20 + int.from_bytes(_length(p), "little")]
        ),
        ".bvh": lambda p: read_bvh(p, body=body),
        ".json": read_json,
        ".mp4": lambda p: list(read_frames(p)),
        ".html": lambda p: p.read_text(encoding="utf-8").index("</html>"),
    }
    for path in files:
        readers[path.suffix](path)


def _length(path: Path) -> bytes:
    data = path.read_bytes()
    assert int.from_bytes(data[8:12], "little") == len(data)
    return data[12:16]
