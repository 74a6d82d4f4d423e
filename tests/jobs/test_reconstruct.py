"""The main job on a clip whose truth is known: what it writes, and how good that is."""

from __future__ import annotations

import base64
import json
import re
import struct

import numpy as np
import pytest
import torch

from humanmotion.files import read_json
from humanmotion.io.bvh_read import read_bvh
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.npz import read_camera, read_motion
from humanmotion.io.video import probe, read_frames
from humanmotion.jobs.demo import compare
from humanmotion.metrics import floor_penetration, foot_contact, foot_sliding, pa_mpjpe

FRAMES = 60


@pytest.fixture(scope="module")
def motion(done):
    return read_motion(done.files.motions[0])


@pytest.fixture(scope="module")
def report(done):
    return read_json(done.files.report_json)


def test_only_the_named_files_are_there(done) -> None:
    names = {path.name for path in done.files.folder.iterdir()}
    assert names == {
        "motion.npz", "motion.glb", "motion.bvh", "cameras.json", "overlay.mp4", "report.html",
        "report.json", "stages",
    }  # fmt: skip
    assert done.files.motions == (done.files.folder / "motion.npz",)
    stages = sorted(path.name for path in (done.files.folder / "stages").iterdir())
    assert [name.split("_")[0] for name in stages] == ["1", "2", "3", "4", "5"]


def test_the_motion_has_the_video_s_frames_and_body(motion, body, done) -> None:
    assert len(motion) == FRAMES and motion.fps == pytest.approx(30, abs=1e-3)
    assert torch.allclose(motion.times, torch.arange(FRAMES).double() / 30, atol=1e-4)
    assert motion.body_id == body.body_id and motion.body_sha256 == body.sha256
    assert motion.meta["source"] == done.video.name and motion.meta["person"] == 0
    assert bool((motion.confidence[:, :22] > 0).any(-1).all())


def test_the_cut_is_where_it_was_made(motion, report, done) -> None:
    assert tuple(cut["frame"] for cut in report["cuts"]) == done.truth.cuts == (30,)
    assert motion.shot_id.tolist() == [0] * 30 + [1] * 30
    assert [(s["start_frame"], s["stop_frame"]) for s in report["shots"]] == [(0, 30), (30, 60)]


def test_the_pose_is_the_filmed_one(motion, done, body) -> None:
    mine, true = (body.joints_of(m)[:, :22] for m in (motion, done.truth.motion))
    error = 1000 * pa_mpjpe(mine, true)
    assert error.mean() < 80 and error.max() < 160
    # Not a mirrored person: the exchange of left and right is far worse.
    mirrored = body.joints_of(motion.mirror())[:, :22]
    assert 1000 * pa_mpjpe(mirrored, true).mean() > 1.3 * error.mean()


def test_the_world_is_the_filmed_one(done, body) -> None:
    errors = compare(done.truth, done.files.folder, body)
    assert errors["pose_error_mm"] < 80
    assert errors["world_error_mm"] < 300
    assert errors["root_path_error_mm"] < 300
    assert errors["yaw_error_at_cut_deg"] < 20
    assert errors["sliding_in_true_contacts_mm_per_frame"] < 6


def test_feet_neither_sink_nor_slide(motion, body, report) -> None:
    joints, sole = body.joints_of(motion)[:, :22], body.sole_offset(motion.betas)
    assert floor_penetration(joints, sole=sole).max() < 1e-3
    contact = foot_contact(joints, sole=sole, fps=motion.fps)
    assert contact.any(-1).float().mean() > 0.5
    assert foot_sliding(joints, contact) < 1e-3
    assert report["quality"]["deepest_sole_mm"] < 1
    assert report["quality"]["sliding_in_own_contacts_mm_per_frame"] < 1


def test_the_cameras_are_one_a_frame_in_both_files(done) -> None:
    camera, times = read_cameras_json(done.files.cameras)
    same = read_camera(done.files.motions[0])
    assert (camera.width, camera.height, len(times)) == (640, 360, FRAMES)
    for name in ("K", "R_w2c", "t_w2c"):
        assert torch.allclose(getattr(camera, name), getattr(same, name), atol=1e-5)
    # Both stand still, which the clip's did.
    for shot in (slice(0, 30), slice(30, 60)):
        assert torch.equal(camera.R_w2c[shot], camera.R_w2c[shot][:1].expand(30, 3, 3))
        assert (camera.centre[shot] - camera.centre[shot][0]).norm(dim=-1).max() < 0.01


def test_the_person_is_in_the_picture_where_the_truth_is(motion, done, body) -> None:
    camera, _ = read_cameras_json(done.files.cameras)
    mine = camera.project(body.joints_of(motion)[:, :22])
    true = done.truth.camera.project(body.joints_of(done.truth.motion)[:, :22])
    tall = float((true.amax(1) - true.amin(1))[:, 1].median())
    assert (mine - true).norm(dim=-1).mean() < 0.06 * tall


def test_the_glb_is_whole_and_animated(done) -> None:
    data = done.files.glb.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + size])
    assert len(tree["skins"]) == 1 and len(tree["animations"]) >= 1 and tree["cameras"]


def test_the_bvh_holds_the_same_motion(done, motion, body) -> None:
    back = read_bvh(done.files.bvh, body=body)
    assert len(back) == FRAMES and back.fps == pytest.approx(30, abs=0.01)
    apart = (body.joints_of(back) - body.joints_of(motion)).norm(dim=-1)
    assert 1000 * float(apart.max()) < 0.1


def test_the_overlay_draws_the_person_and_nothing_else(done, body) -> None:
    info = probe(done.files.overlay)
    assert (info.width, info.height) == (640, 360)
    drawn = np.stack([f for _, f in read_frames(done.files.overlay)]).astype(int)
    plain = np.stack([f for _, f in read_frames(done.video)]).astype(int)
    assert drawn.shape == plain.shape == (FRAMES, 360, 640, 3)
    change = np.abs(drawn - plain).mean(-1)
    points = done.truth.camera.project(body.joints_of(done.truth.motion)[:, :22])
    for frame in range(0, FRAMES, 7):
        (x0, y0), (x1, y1) = points[frame].amin(0).int(), points[frame].amax(0).int()
        trunk = change[frame, y0 : y1 + 1, x0 : x1 + 1]
        outside = np.ones((360, 640), bool)
        outside[max(y0 - 50, 0) : y1 + 40, max(x0 - 50, 0) : x1 + 50] = False
        assert (trunk > 25).mean() > 0.25
        assert change[frame][outside].mean() < 6


def test_the_page_needs_nothing_else(done) -> None:
    text = done.files.report_html.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]*[./]""", _without_js(text))
    assert "Content-Security-Policy" in text
    glb = re.search(r'<script type="[a-z/]+" id="glb">(.*?)</script>', text, re.DOTALL)
    assert base64.b64decode(glb[1]) == done.files.glb.read_bytes()


def _without_js(text: str) -> str:
    """The page's elements; the bodies of its scripts may name addresses in comments."""
    return re.sub(r"(<script[^>]*>).*?</script>", r"\1</script>", text, flags=re.DOTALL)


def test_the_report_says_what_was_done(report, done) -> None:
    assert report["source"] == done.video.name
    assert (report["frames"], report["people"]) == (FRAMES, 1)
    assert report["fps"] == pytest.approx(30, abs=1e-3)
    assert [shot["camera"] for shot in report["shots"]] == ["static", "static"]
    assert report["shots"][1]["start_seconds"] == pytest.approx(1.0, abs=1e-3)
    assert report["shots"][1]["end_seconds"] == pytest.approx(2.0, abs=1e-3)
    assert report["quality"]["reprojection_percent"] < 4
    assert max(report["glb_residual_mm"]) < 1
    seconds = report["seconds"]
    for stage in ("people", "shots", "camera", "pose", "world", "export"):
        assert seconds[stage] > 0
    inside = sum(v for k, v in seconds.items() if k.startswith("people/"))
    assert 0 < inside <= seconds["people"] * 1.01
