"""Any format to any other by ending, and what `describe` says of good and bad files."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import FileFormatError, InputError, OutputError, UsageError
from humanmotion.files import asset
from humanmotion.io import (
    EXTENSIONS,
    convert_file,
    describe,
    read_any,
    read_cameras_json,
    read_coco_wholebody,
    read_colmap,
    read_keypoints_npz,
    read_motion,
    sniff,
    write_any,
    write_colmap,
    write_keypoints_npz,
    write_motion,
    write_openpose,
)
from humanmotion.io.convert import MOTION_ENDINGS
from humanmotion.motion import Motion

READABLE = (".npz", ".amass.npz", ".smplx.npz", ".bvh")
KINDS = {".npz": "motion", ".amass.npz": "amass", ".smplx.npz": "smplx_params", ".bvh": "bvh",
         ".glb": "glb", ".trc": "trc", ".csv": "csv"}  # fmt: skip


@pytest.fixture(scope="module")
def written(motion, body, tmp_path_factory):
    """The motion in every format it can be written to, by ending."""
    folder = tmp_path_factory.mktemp("written")
    paths = {ending: folder / f"walk{ending}" for ending in MOTION_ENDINGS}
    for path in paths.values():
        write_any(path, motion, body=body)
    return paths


class TestByEnding:
    def test_every_ending_is_recognised_by_its_content(self, written):
        assert {ending: sniff(path) for ending, path in written.items()} == KINDS
        assert set(MOTION_ENDINGS) == set(KINDS)

    @pytest.mark.parametrize("ending", READABLE)
    def test_reading_gives_the_motion_back(self, written, motion, body, ending):
        again = read_any(written[ending], body=body)
        gap = body.joints_of(again) - body.joints_of(motion)
        assert float(gap.norm(dim=-1).max()) < 1e-4

    @pytest.mark.parametrize("ending", [".glb", ".trc", ".csv"])
    def test_formats_without_rotations_say_so(self, written, body, ending):
        with pytest.raises(UsageError, match="holds no joint rotations"):
            read_any(written[ending], body=body)

    def test_unknown_endings_list_the_accepted_ones(self, motion, body, tmp_path):
        (tmp_path / "m.fbx").write_text("x")
        with pytest.raises(UsageError) as caught:
            read_any(tmp_path / "m.fbx", body=body)
        assert all(ending in str(caught.value) for ending in EXTENSIONS)
        with pytest.raises(UsageError) as caught:
            write_any(tmp_path / "m.obj", motion, body=body)
        assert all(ending in str(caught.value) for ending in MOTION_ENDINGS)

    def test_a_missing_file(self, body, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            read_any(tmp_path / "none.bvh", body=body)

    def test_two_formats_in_one_file_are_refused(self, written, motion, body, tmp_path):
        with np.load(written[".amass.npz"]) as a, np.load(written[".npz"]) as b:
            np.savez(tmp_path / "both.npz", **{k: a[k] for k in a.files},
                     **{k: b[k] for k in b.files if k not in a.files})  # fmt: skip
        with pytest.raises(FileFormatError, match="could be motion or amass"):
            read_any(tmp_path / "both.npz", body=body)

    def test_no_overwriting_unless_asked(self, motion, body, tmp_path):
        (tmp_path / "m.bvh").write_text("precious")
        with pytest.raises(OutputError, match="exists already"):
            write_any(tmp_path / "m.bvh", motion, body=body, overwrite=False)
        assert (tmp_path / "m.bvh").read_text() == "precious"


class TestConvertFile:
    @pytest.mark.parametrize("target", MOTION_ENDINGS)
    def test_motion(self, written, body, tmp_path, target):
        notes = convert_file(written[".bvh"], tmp_path / f"out{target}", body=body)
        assert sniff(tmp_path / f"out{target}") == KINDS[target]
        assert any("units taken as cm" in note for note in notes)
        assert any("mm of the body's own" in note for note in notes) == (target == ".glb")

    def test_a_motion_of_another_body(self, written, other_body, motion, tmp_path, assert_same):
        notes = convert_file(written[".npz"], tmp_path / "o.bvh", body=other_body)
        assert any(f"made on body {motion.body_id}" in note for note in notes)
        again = read_any(tmp_path / "o.bvh", body=other_body)
        torch.testing.assert_close(again.rotations, motion.rotations, atol=1e-5, rtol=0)
        assert float(again.betas.abs().max()) < 1e-2
        assert convert_file(written[".npz"], tmp_path / "o.npz") == ()
        assert_same(read_motion(tmp_path / "o.npz"), motion)

    @pytest.mark.parametrize("ending", [".npz", ".amass.npz", ".smplx.npz"])
    def test_npz_to_npz_onto_a_given_body(self, written, body, other_body, tmp_path, ending):
        target = tmp_path / f"o{ending}"
        notes = convert_file(written[".npz"], target, body=other_body)
        assert any(f"put onto {other_body.body_id}" in note for note in notes)
        with np.load(target) as file:
            assert str(file["body_id"]) == other_body.body_id
            assert not file["betas"].any()
        assert convert_file(written[".npz"], target, body=body)[1:] == ()

    def test_shape_of_another_body_than_smplx_is_noted(self, written, motion, tmp_path):
        for ending in (".amass.npz", ".smplx.npz"):
            (note,) = convert_file(written[".npz"], tmp_path / f"o{ending}")
            assert note.startswith(f"betas and expression belong to body {motion.body_id}")

    def test_keypoints_all_ways(self, make_keypoints, body, tmp_path):
        person = make_keypoints("openpose_135")
        write_openpose(tmp_path / "op", [person])
        with pytest.raises(UsageError, match="lack the picture's size"):
            convert_file(tmp_path / "op", tmp_path / "c.json", body=body)
        convert_file(tmp_path / "op", tmp_path / "c.json", body=body, size=(640, 480))
        convert_file(tmp_path / "c.json", tmp_path / "k.npz", body=body)
        convert_file(tmp_path / "k.npz", tmp_path / "again", body=body)
        (coco,) = read_coco_wholebody(tmp_path / "c.json")
        stored = read_keypoints_npz(tmp_path / "k.npz")
        assert torch.equal(stored.xy, coco.xy)
        assert len(list((tmp_path / "again").iterdir())) == len(person)

    def test_cameras_all_ways(self, motion, camera, body, tmp_path):
        write_motion(tmp_path / "m.npz", motion, camera=camera)
        convert_file(tmp_path / "m.npz", tmp_path / "c.json", body=body)
        again, times = read_cameras_json(tmp_path / "c.json")
        assert torch.equal(times, motion.times) and torch.equal(again.t_w2c, camera.t_w2c)
        convert_file(tmp_path / "c.json", tmp_path / "sparse", body=body)
        torch.testing.assert_close(read_colmap(tmp_path / "sparse").t_w2c, camera.t_w2c)
        notes = convert_file(tmp_path / "sparse", tmp_path / "d.json", body=body)
        assert "no times" in notes[0]

    def test_pairs_that_do_not_go_together(self, written, motion, camera, body, tmp_path):
        with pytest.raises(UsageError, match="holds no camera"):
            convert_file(written[".npz"], tmp_path / "c.json", body=body)
        with pytest.raises(UsageError, match="trc file, which holds no joint rotations"):
            convert_file(written[".trc"], tmp_path / "c.npz", body=body)
        with pytest.raises(UsageError, match=r"folder of results; name the file, .*motion\.npz"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "motion.npz").write_bytes(b"")
            convert_file(tmp_path / "run", tmp_path / "c.npz", body=body)
        write_colmap(tmp_path / "sparse", camera)
        with pytest.raises(UsageError, match="ending"):
            convert_file(tmp_path / "sparse", tmp_path / "c.bvh", body=body)


class TestDescribe:
    @pytest.mark.parametrize("ending", MOTION_ENDINGS)
    def test_every_format(self, written, body, ending):
        facts = describe(written[ending], body=body)
        assert facts["format"] == KINDS[ending]
        if ending != ".glb":
            assert facts["frames"] == 40
            assert facts["fps"] == pytest.approx(30, abs=0.01)
        assert "up" in facts["axes"]

    def test_a_standing_person_has_no_problem(self, standing, body, tmp_path):
        write_motion(tmp_path / "m.npz", standing)
        facts = describe(tmp_path / "m.npz", body=body)
        assert facts["problems"] == []
        assert facts["body"] == body.body_id and facts["joints"] == 55
        assert facts["shapes"]["body_pose"] == [30, 63]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("jump", "more than 60 degrees a frame: 1, the first at frame 10 (left_elbow)"),
            ("sunk", "feet are under the floor in 30 frames, at deepest 20 cm"),
            ("floating", "feet stand 20 cm above the floor"),
            ("y up", "the file seems to be y up, not z up"),
            ("gap", "the longest step is 1.033 s"),
            ("absent", "the person is absent (confidence 0) in 7 of 30 frames"),
            ("fast", "the body moves at 300 m/s at frame 20"),
        ],
    )
    def test_problems_are_named(self, standing, body, tmp_path, change, words):
        write_motion(tmp_path / "m.npz", spoiled(standing, change))
        problems = describe(tmp_path / "m.npz", body=body)["problems"]
        assert any(words in line for line in problems), problems

    def test_numbers_that_are_not_finite_and_unknown_keys(self, standing, body, tmp_path):
        write_motion(tmp_path / "m.npz", standing)
        with np.load(tmp_path / "m.npz") as old:
            arrays = {k: old[k] for k in old.files}
        arrays["transl"][4, 1] = np.nan
        np.savez(tmp_path / "m.npz", **arrays, speed=np.ones(3), odd=np.array([{}], dtype=object))
        problems = describe(tmp_path / "m.npz", body=body)["problems"]
        for words in ("transl holds 1 numbers that are not finite", "unknown key 'speed'",
                      "'odd' holds Python objects", "transl is not finite at row 4"):  # fmt: skip
            assert any(words in line for line in problems), (words, problems)

    def test_a_body(self, body):
        facts = describe(asset("body/default.npz"), body=body)
        assert (facts["format"], facts["body"], facts["kind"]) == ("body", body.body_id, "SMPL-X")
        assert facts["vertices"] == len(body.template) and facts["joints"] == 55
        assert facts["landmark_sets"] == list(body.landmark_sets) and facts["problems"] == []
        assert facts["shapes"]["v_template"] == [len(body.template), 3]

    def test_a_damaged_body(self, body, tmp_path):
        with np.load(asset("body/default.npz")) as old:
            arrays = {k: old[k] for k in old.files}
        np.savez(tmp_path / "b.npz", **arrays | {"v_template": np.full((5, 3), np.nan)})
        facts = describe(tmp_path / "b.npz", body=body)
        assert facts["error"] in facts["problems"] and "b.npz" in facts["error"]

    def test_no_number_is_one_that_json_lacks(self, body, tmp_path):
        path = tmp_path / "c.csv"
        path.write_text("time,a_x,a_y,a_z\n0,0,0,0\n1e-320,0,0,0\n")
        facts = describe(path, body=body)
        assert facts["frames"] == 2 and facts["fps"] is None
        json.dumps(facts, allow_nan=False)

    def test_jumps_are_found_across_blocks(self, standing, body, tmp_path, monkeypatch):
        write_motion(tmp_path / "m.npz", spoiled(standing, "jump"))
        whole = describe(tmp_path / "m.npz", body=body)["problems"]
        assert len(whole) == 1
        for block in (1, 9, 10, 11):
            monkeypatch.setattr("humanmotion.io.motion_problems.BLOCK", block)
            assert describe(tmp_path / "m.npz", body=body)["problems"] == whole

    def test_folders_and_keypoints(self, make_keypoints, camera, body, tmp_path):
        write_openpose(tmp_path / "op", [make_keypoints("openpose_135")])
        facts = describe(tmp_path / "op", body=body)
        assert (facts["format"], facts["frames"], facts["people"]) == ("openpose", 6, 1)
        assert facts["problems"] == ["nobody is in 1 of 6 frames"]
        write_keypoints_npz(tmp_path / "k.npz", make_keypoints("coco_17"))
        facts = describe(tmp_path / "k.npz", body=body)
        assert facts["picture"] == "640x480"
        assert facts["problems"] == ["person 0 is absent in 1 of 6 frames"]
        write_colmap(tmp_path / "sparse", camera)
        facts = describe(tmp_path / "sparse", body=body)
        assert facts["frames"] == 40 and facts["focal_px"] == 900.0
        assert facts["moves_m"] == pytest.approx(6 * math.sin(0.5), abs=0.01)


@pytest.fixture(scope="module")
def standing(body) -> Motion:
    """Someone who stands still on the floor for a second."""
    rotvec = torch.zeros(30, 55, 3)
    rotvec[:, 0, 0] = math.pi / 2
    rest = body.rest_joints()
    height = body.sole_offset().mean() + rest[0, 1] - rest[10, 1]
    pelvis = torch.stack((torch.zeros(()), torch.zeros(()), height)).expand(30, 3)
    return Motion.create(
        rotvec, pelvis - rest[0], fps=30.0, body_id=body.body_id, body_sha256=body.sha256
    )


def spoiled(motion: Motion, change: str) -> Motion:
    lift = torch.tensor((0.0, 0.0, 0.2))
    if change == "sunk":
        return replace(motion, transl=motion.transl - lift)
    if change == "floating":
        return replace(motion, transl=motion.transl + lift)
    if change == "y up":
        return replace(motion, global_orient=torch.zeros_like(motion.global_orient))
    if change == "fast":
        late = (motion.times >= 20 / 30)[:, None]
        return replace(motion, transl=motion.transl + late * torch.tensor((10.0, 0.0, 0.0)))
    if change == "gap":
        return replace(motion, times=motion.times + 1.0 * (motion.times > 0.5))
    if change == "absent":
        confidence = motion.confidence.clone()
        confidence[:7] = 0
        return replace(motion, confidence=confidence)
    body_pose = motion.body_pose.clone()
    body_pose[10:, 3 * 17] = 1.5
    return replace(motion, body_pose=body_pose)
