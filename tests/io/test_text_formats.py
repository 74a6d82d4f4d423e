"""TRC, CSV, OpenPose, COCO-WholeBody, COLMAP and cameras.json: round trips and foreign flavours."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.io import (
    read_cameras_json,
    read_coco_wholebody,
    read_colmap,
    read_joints_csv,
    read_openpose,
    read_trc,
    write_cameras_json,
    write_coco_wholebody,
    write_colmap,
    write_joints_csv,
    write_openpose,
    write_trc,
)
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS


class TestTrc:
    def test_round_trip(self, full_motion, body, tmp_path):
        write_trc(tmp_path / "m.trc", full_motion, body)
        track = read_trc(tmp_path / "m.trc")
        assert track.names == SMPLX_JOINTS
        torch.testing.assert_close(track.positions, body.joints_of(full_motion), atol=1e-6, rtol=0)
        torch.testing.assert_close(track.times, full_motion.times, atol=1e-6, rtol=0)

    def test_layout_of_opensim(self, make_motion, body, tmp_path):
        motion = make_motion(body, joints=22)
        write_trc(tmp_path / "m.trc", motion, body)
        lines = (tmp_path / "m.trc").read_text().split("\n")
        assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "m.trc"]
        facts = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
        assert facts["NumFrames"] == "40" and facts["NumMarkers"] == "22"
        assert facts["Units"] == "m" and facts["DataRate"] == "30"
        assert lines[3].split("\t")[:6] == ["Frame#", "Time", "pelvis", "", "", "left_hip"]
        assert lines[4].split("\t")[2:6] == ["X1", "Y1", "Z1", "X2"]
        cells = lines[6].split("\t")
        assert len(cells) == 2 + 66 and cells[0] == "1"
        # y up: the head is above the pelvis in y.
        heights = np.array(cells[2:], float).reshape(22, 3)[:, 1]
        assert heights[15] > heights[0] > heights[10]

    def test_millimetres_of_others(self, motion, body, tmp_path):
        write_trc(tmp_path / "m.trc", motion, body)
        text = (tmp_path / "m.trc").read_text().replace("\tm\t30\t1\t", "\tmm\t30\t1\t")
        (tmp_path / "mm.trc").write_text(text)
        a, b = read_trc(tmp_path / "m.trc"), read_trc(tmp_path / "mm.trc")
        torch.testing.assert_close(a.positions, 1000 * b.positions)

    def test_a_marker_that_was_not_seen(self, motion, body, tmp_path):
        write_trc(tmp_path / "m.trc", motion, body)
        lines = (tmp_path / "m.trc").read_text().split("\n")
        cells = lines[8].split("\t")
        for gap, match in ((slice(5, 8), None), (slice(5, 6), "some of its"), (slice(0), "line 9")):
            broken = cells[:-1] if match == "line 9" else list(cells)
            broken[gap] = [""] * len(broken[gap])
            text = "\n".join((*lines[:8], "\t".join(broken), *lines[9:]))
            (tmp_path / "n.trc").write_text(text)
            if match is None:
                track = read_trc(tmp_path / "n.trc")
                assert (~track.seen).nonzero().tolist() == [[2, 1]]
                assert not track.positions[2, 1].any()
            else:
                with pytest.raises(FileFormatError, match=match):
                    read_trc(tmp_path / "n.trc")


class TestCsv:
    def test_round_trip(self, motion, body, tmp_path):
        write_joints_csv(tmp_path / "m.csv", motion, body)
        track = read_joints_csv(tmp_path / "m.csv")
        torch.testing.assert_close(track.positions, body.joints_of(motion), atol=1e-6, rtol=0)
        assert track.names == SMPLX_JOINTS and bool(track.seen.all())

    @pytest.mark.parametrize("gap", ["", "nan"])
    def test_a_joint_that_was_not_seen(self, gap, tmp_path):
        path = tmp_path / "m.csv"
        path.write_text(f"time,a_x,a_y,a_z,b_x,b_y,b_z\n0,1,2,3,{gap},{gap},{gap}\n")
        track = read_joints_csv(path)
        assert track.seen.tolist() == [[True, False]]
        path.write_text(f"time,a_x,a_y,a_z\n0,1,2,{gap}\n")
        with pytest.raises(FileFormatError, match="only some of its coordinates at frame 0"):
            read_joints_csv(path)

    def test_any_spreadsheet_reads_it(self, motion, body, tmp_path):
        write_joints_csv(tmp_path / "m.csv", motion, body)
        with (tmp_path / "m.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == len(motion)
        knee = body.joints_of(motion)[7, 4]
        found = [float(rows[7][f"left_knee_{axis}"]) for axis in "xyz"]
        assert found == pytest.approx(knee.tolist(), abs=1e-6)
        assert float(rows[7]["time"]) == pytest.approx(7 / 30, abs=1e-6)


class TestOpenPose:
    def test_round_trip(self, make_keypoints, tmp_path):
        person = make_keypoints("openpose_135")
        write_openpose(tmp_path / "out", [person])
        files = sorted(p.name for p in (tmp_path / "out").iterdir())
        assert files[0] == "frame_000000000000_keypoints.json" and len(files) == len(person)
        again = read_openpose(tmp_path / "out", width=640, height=480, fps=25.0)
        torch.testing.assert_close(again.xy, person.xy, atol=1e-4, rtol=0)
        torch.testing.assert_close(again.confidence, person.confidence, atol=1e-4, rtol=0)
        torch.testing.assert_close(again.times, person.times)

    def test_layout_of_openpose(self, make_keypoints, tmp_path):
        people = [make_keypoints("openpose_135", seed=s) for s in (0, 1)]
        write_openpose(tmp_path, people)
        first = json.loads((tmp_path / "frame_000000000000_keypoints.json").read_text())
        sizes = {"pose": 75, "face": 210, "hand_left": 63, "hand_right": 63}
        for part, size in sizes.items():
            assert len(first["people"][1][f"{part}_keypoints_2d"]) == size
        names = JOINT_SETS["openpose_135"]
        wrist = people[1].xy[0, names.index("left_wrist")].tolist()
        assert first["people"][1]["hand_left_keypoints_2d"][:2] == pytest.approx(wrist, abs=1e-4)
        absent = json.loads((tmp_path / "frame_000000000002_keypoints.json").read_text())
        assert absent["people"] == []

    def test_one_file_and_body_only(self, tmp_path):
        person = {"person_id": [-1], "pose_keypoints_2d": [10.0, 20.0, 0.5] * 25,
                  "face_keypoints_2d": [], "hand_left_keypoints_2d": []}  # fmt: skip
        (tmp_path / "one.json").write_text(json.dumps({"version": 1.3, "people": [person]}))
        again = read_openpose(tmp_path / "one.json", width=64, height=48)
        assert len(again) == 1
        assert again.confidence[0, :25].tolist() == [0.5] * 25
        assert not again.confidence[0, 25:].any()

    def test_the_second_person(self, make_keypoints, tmp_path):
        people = [make_keypoints("openpose_135", seed=s) for s in (0, 1)]
        write_openpose(tmp_path, people)
        again = read_openpose(tmp_path, width=640, height=480, person=1)
        torch.testing.assert_close(again.xy[0], people[1].xy[0], atol=1e-4, rtol=0)
        assert not read_openpose(tmp_path, width=640, height=480, person=2).confidence.any()

    def test_a_wrong_count_is_named(self, tmp_path):
        bad = {"people": [{"pose_keypoints_2d": [1.0] * 74}]}
        (tmp_path / "a_keypoints.json").write_text(json.dumps(bad))
        with pytest.raises(FileFormatError, match="pose_keypoints_2d has 74 numbers, expected 75"):
            read_openpose(tmp_path, width=1, height=1)


class TestCocoWholebody:
    def test_round_trip(self, make_keypoints, tmp_path):
        people = [make_keypoints("coco_wholebody_133", seed=s) for s in (0, 1)]
        write_coco_wholebody(tmp_path / "c.json", people)
        again = read_coco_wholebody(tmp_path / "c.json")
        assert len(again) == 2
        for a, b in zip(again, people, strict=True):
            torch.testing.assert_close(a.xy, b.xy, atol=1e-4, rtol=0)
            torch.testing.assert_close(a.confidence, b.confidence, atol=1e-4, rtol=0)
            torch.testing.assert_close(a.times, b.times)
            assert (a.width, a.height) == (640, 480)

    def test_layout_of_coco(self, make_keypoints, tmp_path):
        write_coco_wholebody(tmp_path / "c.json", [make_keypoints("coco_wholebody_133")])
        value = json.loads((tmp_path / "c.json").read_text())
        one = value["annotations"][0]
        sizes = {"keypoints": 51, "foot_kpts": 18, "face_kpts": 204, "lefthand_kpts": 63,
                 "righthand_kpts": 63, "bbox": 4}  # fmt: skip
        assert {k: len(one[k]) for k in sizes} == sizes
        assert one["category_id"] == 1 and one["iscrowd"] == 0 and one["foot_valid"] is True
        assert len(value["images"]) == 6 and len(value["annotations"]) == 5

    def test_flags_of_the_original_set(self, tmp_path):
        images = [{"id": 9, "width": 640, "height": 480}]
        flags = [0, 1, 2] * 6
        flat = [v for f in flags[:17] for v in (5.0, 6.0, f)]
        value = {"images": images, "annotations": [{"image_id": 9, "keypoints": flat}]}
        (tmp_path / "c.json").write_text(json.dumps(value))
        (person,) = read_coco_wholebody(tmp_path / "c.json", fps=10.0)
        assert person.confidence[0, :17].tolist() == [f / 2 for f in flags[:17]]
        assert not person.confidence[0, 17:].any()

    def test_other_sets_are_mapped_by_name(self, make_keypoints, tmp_path):
        coco17 = make_keypoints("coco_17")
        write_coco_wholebody(tmp_path / "c.json", [coco17])
        (again,) = read_coco_wholebody(tmp_path / "c.json")
        torch.testing.assert_close(again.to_set("coco_17").xy, coco17.xy, atol=1e-4, rtol=0)

    def test_people_of_different_lengths(self, make_keypoints, tmp_path):
        people = [make_keypoints("coco_17"), make_keypoints("coco_17", frames=5)]
        with pytest.raises(UsageError, match=r"different frame counts: \[6, 5\]"):
            write_coco_wholebody(tmp_path / "c.json", people)


class TestColmap:
    def test_round_trip(self, camera, tmp_path):
        write_colmap(tmp_path / "sparse", camera)
        again = read_colmap(tmp_path / "sparse")
        for name in ("K", "R_w2c", "t_w2c"):
            torch.testing.assert_close(
                getattr(again, name), getattr(camera, name), atol=1e-6, rtol=1e-6
            )
        assert (again.width, again.height) == (640, 480)

    def test_layout(self, camera, tmp_path):
        write_colmap(tmp_path, camera)
        lines = (tmp_path / "cameras.txt").read_text().splitlines()
        assert lines[1:] == ["1 PINHOLE 640 480 900 900 320 240"]
        images = [x for x in (tmp_path / "images.txt").read_text().split("\n") if x[:1] != "#"]
        assert len(images) == 2 * len(camera) + 1 and images[1] == ""
        assert images[0].split()[8:] == ["1", "frame_000000.png"]
        assert (tmp_path / "points3D.txt").exists()

    def test_a_zoom_makes_several_cameras(self, camera, tmp_path):
        K = camera.K.clone()
        K[20:, 0, 0] = K[20:, 1, 1] = 1200
        write_colmap(tmp_path, replace(camera, K=K))
        torch.testing.assert_close(read_colmap(tmp_path).K, K)

    def test_numbers_in_names_count_as_numbers(self, camera, tmp_path):
        write_colmap(tmp_path, camera)
        file = tmp_path / "images.txt"
        file.write_text(re.sub(r"frame_0*(\d+)", r"frame_\1", file.read_text()))
        torch.testing.assert_close(read_colmap(tmp_path).t_w2c, camera.t_w2c)

    def test_files_of_colmap_itself(self, tmp_path):
        (tmp_path / "cameras.txt").write_text(
            "# Camera list\n1 SIMPLE_RADIAL 3072 2304 2559.81 1536 1152 0\n"
        )
        (tmp_path / "images.txt").write_text(
            "# Image list\n# Number of images: 2\n"
            "2 0.5 0.5 0.5 0.5 1 2 3 1 b.jpg\n2362.39 248.498 58396 1784.7 268.254 59027\n"
            "1 1 0 0 0 0 0 0 1 a name.jpg\n\n"
        )
        camera = read_colmap(tmp_path)
        assert len(camera) == 2
        assert camera.t_w2c.tolist() == [[0, 0, 0], [1, 2, 3]], "in the order of names"
        # The unit quaternion (1, 1, 1, 1) / 2 turns x to y, y to z, z to x.
        expected = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        torch.testing.assert_close(camera.R_w2c[1], expected)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("1 OPENCV 64 48 50 50 32 24 0.1 0 0 0", "lens distortion"),
            ("1 FISHEYE 64 48 50 50 32 24", "accepted are SIMPLE_PINHOLE"),
            ("1 PINHOLE 64 48 50", "too few parameters"),
            ("1 PINHOLE sixty 48 50", "line 1 is not a camera"),
            ("2 PINHOLE 64 48 50 50 32 24", "names cameras"),
        ],
    )
    def test_what_is_refused(self, tmp_path, line, words):
        (tmp_path / "cameras.txt").write_text(line + "\n")
        (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.jpg\n\n")
        with pytest.raises(FileFormatError, match=words):
            read_colmap(tmp_path)


def test_cameras_json_round_trip(camera, tmp_path):
    times = torch.arange(len(camera), dtype=torch.float64) / 24
    write_cameras_json(tmp_path / "cameras.json", camera, times=times, notes={"shots": [0, 40]})
    again, when = read_cameras_json(tmp_path / "cameras.json")
    assert torch.equal(when, times)
    for name in ("K", "R_w2c", "t_w2c"):
        assert torch.equal(getattr(again, name), getattr(camera, name))
    with pytest.raises(UsageError, match="3 times given for 40"):
        write_cameras_json(tmp_path / "cameras.json", camera, times=times[:3])
