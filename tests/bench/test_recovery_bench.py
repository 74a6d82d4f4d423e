"""Rows of `bench recovery`: what fails must show, and what is measured must be what was meant."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.bench import recovery, recovery_truth
from humanmotion.bench.clip_run import OWN_STAGES, ClipRun
from humanmotion.bench.real_pairs import GIVEN
from humanmotion.bench.recovery_truth import (
    LANDMARKS,
    heading_errors,
    landmark_errors_mm,
    reference_pixels,
    w_mpjpe_mm,
)
from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.errors import InputError
from humanmotion.files import write_json, write_npz
from humanmotion.io.cameras_json import write_cameras_json
from humanmotion.io.npz import write_motion
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix

CLIP = {
    "id": "edit", "file": "edit.mp4", "cuts": [4], "camera_motion": "static",
    "calibration": "calib.json", "shots": "shots.json", "reference": "truth.npz",
    "frame_offset": 2,
}  # fmt: skip
LEVEL = torch.tensor(((1.0, 0, 0), (0, 0, -1), (0, 1, 0)))
"""A camera that looks along y, z up."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "edit.mp4").write_bytes(b"video")
    (tmp_path / "index.jsonl").write_text(json.dumps(CLIP) + "\n")
    return tmp_path


def failed(exit_code: int):
    return lambda video, output, *, seed: ClipRun(output, exit_code, 0.5, 1.0, None)


@pytest.mark.parametrize("exit_code", [-9, 1])
def test_a_clip_that_dies_misses_every_bar(folder, monkeypatch, exit_code) -> None:
    monkeypatch.setattr(recovery, "run_clip", failed(exit_code))
    report = recovery.run(folder, quick=True)
    held = {row.id: row.passed for row in report.rows if row.bar is not None}
    assert held == {"edit/finishes": False, "edit/memory": True, "edit/cuts": False,
                    "edit/seam": False, f"pairs/{GIVEN}/yaw": None}  # fmt: skip
    assert report.exit_code == 3
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_reference_bar_counts_for_a_whole_view(folder, monkeypatch) -> None:
    (folder / "index.jsonl").write_text(json.dumps(CLIP | {"cuts": []}))
    monkeypatch.setattr(recovery, "run_clip", failed(1))
    rows = {row.id: row for row in recovery.run(folder, quick=True).rows}
    assert rows["edit/pa_mpjpe"].passed is False and rows["edit/pa_mpjpe"].bar == 75.0
    assert rows["edit/reprojection"].passed is False and rows["edit/reprojection"].bar == 2.0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "lists no video"), ("[1, 2]", "row 1 needs the fields id and file"),
        ('{"id": "a"}', "row 1 needs"), ('{"id": "a", "file": "b.mp4"}', "b.mp4, which is not"),
    ],
)  # fmt: skip
def test_an_index_that_cannot_be_meant(folder, line, says) -> None:
    (folder / "index.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=says):
        recovery.run(folder, quick=True)


def test_unknown_facts_ask_for_nothing(folder, monkeypatch) -> None:
    bare = {"id": "edit", "file": "edit.mp4", "cuts": None, "camera_motion": None}
    (folder / "index.jsonl").write_text(json.dumps(bare))
    said = {"frames": 8, "cuts": [{"frame": 3}], "shots": [{"camera": "pan"}],
            "quality": {"reprojection_percent": 1.0},
            "seconds": dict.fromkeys(OWN_STAGES, 1.0)}  # fmt: skip
    monkeypatch.setattr(
        recovery, "run_clip", lambda video, output, *, seed: ClipRun(output, 0, 0.5, 1.0, said)
    )
    report = recovery.run(folder, quick=True)
    assert report.exit_code == 0
    assert not [r for r in report.rows if r.id in ("edit/cuts", "edit/camera", "edit/pa_mpjpe")]


@pytest.fixture
def result(tmp_path):
    """A walk of eight frames, seen by a camera that jumps by 70 degrees at frame 4."""
    body = BodyModel.load()
    generator = torch.Generator().manual_seed(0)
    rotvec = 0.3 * torch.randn(8, 55, 3, generator=generator)
    motion = Motion.create(rotvec, torch.randn(8, 3, generator=generator), fps=30.0,
                           body_id=body.body_id, body_sha256=body.sha256)  # fmt: skip
    angle = torch.tensor([0.0] * 4 + [math.radians(70)] * 4)
    R = LEVEL @ rotation_about_z(angle).mT
    K = intrinsics(torch.full((8,), 500.0), width=640, height=480)
    camera = Camera(K=K, R_w2c=R, t_w2c=torch.zeros(8, 3), width=640, height=480)
    out = tmp_path / "out"
    out.mkdir()
    write_motion(out / "motion.npz", motion, camera=camera)
    write_cameras_json(out / "cameras.json", camera, times=motion.times)
    write_json(out / "report.json", {"cuts": [{"frame": 4, "yaw_sigma_deg": 12.0}]})
    return body, motion, out


def test_landmarks_are_compared_frame_with_shifted_frame(result, tmp_path) -> None:
    body, motion, out = result
    marks = body.landmarks(
        "mediapipe_33", motion.rotations, betas=motion.betas, transl=motion.transl
    ).numpy()
    xyz = np.full((5, 33, 3), np.nan)
    xyz[:] = marks[2:7]
    # A similarity is taken out; what no view saw is left out.
    xyz = xyz * 1.7 + 3.0
    xyz[4, JOINT_SETS["mediapipe_33"].index(LANDMARKS[0])] = np.nan
    write_npz(tmp_path / "truth.npz", {"xyz": xyz})
    error = landmark_errors_mm(CLIP, tmp_path, out)
    assert torch.isfinite(error).tolist() == [True] * 4 + [False]
    assert error[:4].max() < 1e-2
    wrong = landmark_errors_mm(CLIP | {"frame_offset": 0}, tmp_path, out)
    assert wrong.nanmedian() > 20


def test_the_same_run_is_measured_without_the_prior(result, tmp_path, folder, monkeypatch) -> None:
    """A view's row carries the figure of a second fit, which the summary counts."""
    body, motion, out = result
    (folder / "index.jsonl").write_text(
        json.dumps(CLIP | {"cuts": [], "shots": None, "frame_offset": 0})
    )
    marks = body.landmarks(
        "mediapipe_33", motion.rotations, betas=motion.betas, transl=motion.transl
    ).numpy()
    write_npz(folder / "truth.npz", {"xyz": marks})
    worse = tmp_path / "worse"
    worse.mkdir()
    away = 0.1 * torch.randn(8, 55, 3, generator=torch.Generator().manual_seed(1))
    write_motion(worse / "motion.npz", replace(motion, body_pose=motion.body_pose
                                               + away[:, 1:22].flatten(1)))  # fmt: skip
    said = {"frames": 8, "cuts": [], "shots": [{"camera": "static"}],
            "quality": {"reprojection_percent": 1.0},
            "seconds": dict.fromkeys(OWN_STAGES, 1.0)}  # fmt: skip
    monkeypatch.setattr(
        recovery, "run_clip", lambda video, output, *, seed: ClipRun(out, 0, 0.5, 1.0, said)
    )
    monkeypatch.setattr(
        recovery, "reconstruct_without", lambda video, part, *, done, output, seed: worse
    )
    rows = {row.id: row for row in recovery.run(folder, quick=True).rows}
    view = rows["edit/pa_mpjpe"]
    assert view.baseline is not None and view.value < 1e-2 < view.baseline.value
    assert rows["prior/views_better"].passed is True
    assert rows["prior/gain"].value > 1


def test_the_whole_edit_is_aligned_on_its_beginning_alone(result, tmp_path, monkeypatch) -> None:
    body, motion, out = result
    monkeypatch.setattr(recovery_truth, "ALIGNED", 3)
    marks = body.landmarks(
        "mediapipe_33", motion.rotations, betas=motion.betas, transl=motion.transl
    ).numpy()
    clip = CLIP | {"frame_offset": 0}
    # A similarity of the beginning is taken out; a step of half a metre after it is not.
    xyz = 1.5 * marks + 2.0
    xyz[4:, :, 0] += 1.5 * 0.5
    xyz[6, JOINT_SETS["mediapipe_33"].index(LANDMARKS[0])] = np.nan
    write_npz(tmp_path / "truth.npz", {"xyz": xyz})
    error = w_mpjpe_mm(clip, tmp_path, out)
    assert error.shape == (7,) and float(error[:4].max()) < 1
    assert error[4:] == pytest.approx(750.0, abs=2)
    monkeypatch.setattr(recovery_truth, "ALIGNED", 8)
    assert math.isnan(float(w_mpjpe_mm(clip, tmp_path, out)))


def test_the_reference_is_seen_through_the_calibrated_lens(tmp_path) -> None:
    camera = {"K": [[1000.0, 0, 320], [0, 1000.0, 240], [0, 0, 1]], "R": LEVEL.tolist(),
              "t": [0.0, 0.0, 4.0], "dist": [0.1, 0.0, 0.0, 0.0, 0.0]}  # fmt: skip
    write_json(tmp_path / "calib.json", {"cameras": {"a": camera}})
    xyz = np.zeros((2, 33, 3))
    xyz[0, 0], xyz[1, 7] = (0.4, 0.0, 0.8), np.nan
    write_npz(tmp_path / "truth.npz", {"xyz": xyz})
    pixels = reference_pixels(CLIP | {"camera": "a"}, tmp_path)
    # x = 0.1, y = -0.2 before the lens, r^2 = 0.05: pushed out by 0.5 percent.
    assert pixels[0, 0].tolist() == pytest.approx([320 + 100.5, 240 - 201.0], abs=1e-3)
    assert pixels[0, 1].tolist() == pytest.approx([320, 240])
    assert torch.isnan(pixels[1, 7]).all() and torch.isfinite(pixels[1, 8]).all()


def test_failed_views_miss_the_bar_on_yaw_between_them(folder, monkeypatch) -> None:
    camera = {"K": torch.eye(3).tolist(), "R": LEVEL.tolist(), "t": [0.0, 0.0, 4.0]}
    write_json(folder / "calib.json", {"cameras": {"a": camera, "b": camera}})
    clips = [CLIP | {"id": c, "cuts": [], "shots": None, "camera": c} for c in "ab"]
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, clips)))
    write_npz(folder / CLIP["reference"], {"xyz": np.zeros((7, 33, 3), np.float32)})
    monkeypatch.setattr(recovery, "run_clip", failed(1))
    rows = {row.id: row for row in recovery.run(folder, quick=True).rows}
    assert rows[f"pairs/{GIVEN}/yaw"].passed is False
    # Whom a failed run did not find was missed in every frame.
    assert rows["detector/real/missed"].value == 100.0
    assert math.isnan(rows["detector/real/median"].value)


def test_a_calibration_that_lacks_something_is_said_before_anything_runs(folder) -> None:
    write_json(folder / "calib.json", {"cameras": {"a": {"K": torch.eye(3).tolist()}}})
    clip = CLIP | {"cuts": [], "shots": None, "camera": "a"}
    (folder / "index.jsonl").write_text(json.dumps(clip))
    with pytest.raises(InputError, match="camera 'a' lacks R, t"):
        recovery.run(folder, quick=True)


def test_heading_errors_against_the_calibration(result, tmp_path) -> None:
    _, _, out = result
    world = rotvec_to_matrix(torch.tensor((0.0, 0.0, 2.0)))
    turned = [LEVEL @ rotation_about_z(torch.tensor(math.radians(a))).mT for a in (0, 95)]
    cameras = {name: {"R": (R @ world).tolist()} for name, R in zip("ab", turned, strict=True)}
    write_json(tmp_path / "calib.json", {"cameras": cameras})
    shots = [{"camera": "a", "edit_frames": [0, 3]}, {"camera": "b", "edit_frames": [4, 7]}]
    write_json(tmp_path / "shots.json", {"shots": shots})
    ((cut, error, sigma),) = heading_errors(CLIP, tmp_path, out)
    assert (cut, sigma) == (4, 12.0)
    assert error == pytest.approx(25.0, abs=1e-2)
