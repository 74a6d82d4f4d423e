"""A video whose camera is known: COLMAP's path and lens are taken, whatever their world."""

from __future__ import annotations

import pytest
import roma
import torch

from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.files import read_json
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.colmap import write_colmap
from humanmotion.jobs.reconstruct import reconstruct


@pytest.fixture
def colmap(done, tmp_path):
    """The cameras that filmed the clip, in a world of COLMAP's kind: no up, no scale."""
    true = done.truth.camera
    R = true.R_w2c @ roma.rotvec_to_rotmat(torch.tensor([0.4, -1.1, 0.7]))
    write_colmap(tmp_path / "sparse", Camera(true.K, R, 0.2 * true.t_w2c, true.width, true.height))
    return tmp_path / "sparse"


def test_its_lens_and_its_rest_are_taken(done, colmap, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, camera=colmap, quality="draft")
    report = read_json(files.report_json)
    assert [shot["camera"] for shot in report["shots"]] == ["static", "static"]
    found, _ = read_cameras_json(files.cameras)
    torch.testing.assert_close(found.K, done.truth.camera.K, rtol=1e-4, atol=1e-2)


def test_another_path_is_followed_anew(done, colmap, tmp_path, no_detector) -> None:
    folder = done.copy(tmp_path / "out", stages_only=True)
    reconstruct(done.video, output=folder, camera=colmap, quality="draft")
    again = reconstruct(done.video, output=folder, quality="draft", overwrite=True)
    assert read_json(again.report_json)["seconds"]["camera"] > 0


def refused(said, done, folder, **options) -> None:
    with pytest.raises(UsageError, match=said) as error:
        reconstruct(done.video, output=folder, **options)
    assert "\n" not in str(error.value)


def test_what_does_not_belong_to_the_video_is_told(done, colmap, tmp_path, no_detector) -> None:
    true = done.truth.camera
    refused("leave --focal out", done, tmp_path / "a", camera=colmap, focal=800.0)
    refused("is a video file", done, tmp_path / "b", camera=done.video)
    other = Camera(true.K, true.R_w2c, true.t_w2c, 1280, 720)
    write_colmap(tmp_path / "large", other)
    refused("1280x720, these are of 640x360", done, tmp_path / "c", camera=tmp_path / "large")
    # Before any work where far too few are there, else as soon as the frames are counted.
    for count, folder in (
        (10, tmp_path / "d"),
        (59, done.copy(tmp_path / "out", stages_only=True)),
    ):
        write_colmap(tmp_path / f"{count}", true[slice(0, count)])
        refused(f"{count} cameras for 60 frames", done, folder, camera=tmp_path / f"{count}")
