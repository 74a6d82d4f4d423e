"""Nothing is replaced unasked, and every option of `convert` does something or is refused."""

from __future__ import annotations

import json

import pytest
import torch

from humanmotion.errors import OutputError, UsageError
from humanmotion.io import (
    read_any,
    read_cameras_json,
    read_coco_wholebody,
    read_keypoints_npz,
    write_any,
    write_cameras_json,
    write_coco_wholebody,
    write_colmap,
    write_keypoints_npz,
    write_openpose,
)
from humanmotion.io.bvh_text import parse_bvh
from humanmotion.io.convert import content, convert_file

COLMAP = ("cameras.txt", "images.txt", "points3D.txt")


@pytest.fixture
def files(motion, camera, make_keypoints, body, tmp_path):
    """A source of every kind, by name."""
    person = make_keypoints("openpose_135")
    paths = {
        name: tmp_path / "in" / name
        for name in ("m.npz", "m.amass.npz", "m.smplx.npz", "m.bvh", "k.npz", "coco.json")
    }
    for name in ("m.npz", "m.amass.npz", "m.smplx.npz", "m.bvh"):
        write_any(paths[name], motion, body=body)
    write_keypoints_npz(paths["k.npz"], person)
    write_coco_wholebody(paths["coco.json"], [person])
    paths |= {name: tmp_path / "in" / name for name in ("openpose", "sparse", "cameras.json")}
    write_openpose(paths["openpose"], [person])
    write_colmap(paths["sparse"], camera)
    write_cameras_json(paths["cameras.json"], camera, times=motion.times)
    return paths


def without_times(path):
    value = json.loads(path.read_text())
    for image in value["images"]:
        del image["timestamp"]
    path.write_text(json.dumps(value))
    return path


class TestFoldersAreNotReplacedUnasked:
    @pytest.mark.parametrize("name", COLMAP)
    def test_any_member_of_a_colmap_model_counts(self, files, tmp_path, name):
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / name).write_text("precious")
        with pytest.raises(OutputError, match=rf"holds {name} already; pass --overwrite"):
            convert_file(files["cameras.json"], folder, overwrite=False)
        assert [(p.name, p.read_text()) for p in folder.iterdir()] == [(name, "precious")]
        convert_file(files["cameras.json"], folder, overwrite=True)
        assert sorted(p.name for p in folder.iterdir()) == sorted(COLMAP)
        assert (folder / name).read_text() != "precious"

    def test_an_openpose_result_is_not_mixed_with_an_older_one(self, files, tmp_path):
        folder = tmp_path / "out"
        convert_file(files["k.npz"], folder, overwrite=False)
        frames = sorted(p.name for p in folder.iterdir())
        (folder / "frame_000000000077_keypoints.json").write_text("old")
        with pytest.raises(OutputError, match=r"holds frame_\d+_keypoints\.json already"):
            convert_file(files["k.npz"], folder, overwrite=False)
        assert (folder / "frame_000000000077_keypoints.json").read_text() == "old"
        convert_file(files["k.npz"], folder, overwrite=True)
        assert sorted(p.name for p in folder.iterdir()) == frames

    def test_openpose_files_of_others_stay_in_any_case(self, files, tmp_path):
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / "clip_000000000000_keypoints.json").write_text("theirs")
        (folder / "notes.txt").write_text("mine")
        for overwrite, words in ((False, "already"), (True, "of another program")):
            with pytest.raises(OutputError, match=words):
                convert_file(files["k.npz"], folder, overwrite=overwrite)
        assert len(list(folder.iterdir())) == 2

    def test_other_files_of_a_folder_are_no_hindrance(self, files, tmp_path):
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        convert_file(files["k.npz"], folder, overwrite=False)
        convert_file(files["cameras.json"], folder, overwrite=False)
        assert (folder / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize(
        ("source", "target"),
        [("coco.json", "k.npz"), ("k.npz", "c.json"), ("sparse", "c.json"), ("m.npz", "m.bvh"),
         ("m.bvh", "m.npz"), ("m.npz", "o.npz"), ("k.npz", "plain"), ("sparse", "plain")],
    )  # fmt: skip
    def test_files(self, files, tmp_path, source, target):
        path = tmp_path / target
        path.write_text("precious")
        with pytest.raises(OutputError):
            convert_file(files[source], path, overwrite=False)
        assert path.read_text() == "precious"

    @pytest.mark.parametrize(
        ("source", "target"),
        [("m.npz", "m.bvh"), ("m.bvh", "m.npz"), ("k.npz", "k.json"), ("sparse", "c.json")],
    )
    def test_a_folder_in_the_place_of_a_file(self, files, tmp_path, source, target):
        (tmp_path / target).mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            convert_file(files[source], tmp_path / target)


class TestRates:
    def test_openpose_at_a_given_rate(self, files, tmp_path):
        target, size = tmp_path / "k.npz", (640, 480)
        assert convert_file(files["openpose"], target, size=size, fps=25.0) == ()
        assert read_keypoints_npz(target).times.tolist() == [i / 25 for i in range(6)]
        (note,) = convert_file(files["openpose"], target, size=size)
        assert "30 frames a second assumed" in note
        assert read_keypoints_npz(target).times[1] == pytest.approx(1 / 30)

    def test_coco_states_its_times_or_not(self, files, tmp_path):
        with pytest.raises(UsageError, match="states the time of every image"):
            convert_file(files["coco.json"], tmp_path / "k.npz", fps=25.0)
        assert convert_file(files["coco.json"], tmp_path / "k.npz") == ()
        bare = without_times(files["coco.json"])
        (note,) = convert_file(bare, tmp_path / "k.npz")
        assert "no times in the source" in note
        assert convert_file(bare, tmp_path / "c.json", fps=50.0) == ()
        assert read_coco_wholebody(tmp_path / "c.json")[0].times[1] == pytest.approx(1 / 50)

    def test_cameras(self, files, tmp_path):
        assert convert_file(files["sparse"], tmp_path / "c.json", fps=50.0) == ()
        assert read_cameras_json(tmp_path / "c.json")[1][1] == pytest.approx(1 / 50)

    @pytest.mark.parametrize(
        ("source", "target", "words"),
        [("m.npz", "o.bvh", "rate of its own"), ("m.bvh", "o.npz", "rate of its own"),
         ("m.amass.npz", "o.npz", "rate of its own"), ("m.smplx.npz", "o.npz", "says 30 fps"),
         ("k.npz", "o.json", "rate of its own"), ("cameras.json", "o", "rate of its own"),
         ("openpose", "o", "stores no times"), ("sparse", "o", "stores no times")],
    )  # fmt: skip
    def test_refused_where_it_means_nothing(self, files, tmp_path, source, target, words):
        size = (64, 48) if source == "openpose" else None
        with pytest.raises(UsageError, match=words):
            convert_file(files[source], tmp_path / target, fps=25.0, size=size)
        assert not (tmp_path / target).exists()

    @pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
    def test_no_rate(self, files, tmp_path, fps):
        with pytest.raises(UsageError, match="it must be above 0"):
            convert_file(files["openpose"], tmp_path / "k.npz", fps=fps, size=(64, 48))


class TestOtherOptions:
    @pytest.mark.parametrize("source", ["m.npz", "m.bvh", "k.npz", "coco.json", "sparse"])
    def test_size_is_for_openpose(self, files, tmp_path, source):
        with pytest.raises(UsageError, match="--size is for OpenPose files only"):
            convert_file(files[source], tmp_path / "o.json", size=(64, 48))

    @pytest.mark.parametrize("source", ["m.npz", "m.bvh", "k.npz", "sparse"])
    def test_hands_are_for_files_that_may_mean_either(self, files, tmp_path, source):
        with pytest.raises(UsageError, match="--hands is for AMASS and SMPL-X"):
            convert_file(files[source], tmp_path / "o.npz", hands="mean")

    def test_mean_hands(self, files, motion, body, tmp_path):
        convert_file(files["m.amass.npz"], tmp_path / "o.npz", hands="mean")
        again = read_any(tmp_path / "o.npz", body=body)
        torch.testing.assert_close(again.left_hand_pose, motion.left_hand_pose + body.hand_means[0])

    def test_units(self, files, motion, body, tmp_path):
        arms = {}
        for units in ("metres", "centimetres", None):
            convert_file(files["m.npz"], tmp_path / "o.bvh", units=units)
            arms[units] = parse_bvh(tmp_path / "o.bvh").rest()
            gap = body.joints_of(read_any(tmp_path / "o.bvh", body=body)) - body.joints_of(motion)
            assert float(gap.abs().max()) < 1e-4
        torch.testing.assert_close(100 * arms["metres"], arms["centimetres"], atol=1e-4, rtol=0)
        assert torch.equal(arms[None], arms["centimetres"])

    @pytest.mark.parametrize("target", ["o.npz", "o.glb", "o.trc", "o.csv", "o"])
    def test_units_of_other_formats_are_fixed(self, files, tmp_path, target):
        with pytest.raises(UsageError, match="--units is for writing"):
            convert_file(files["m.npz"], tmp_path / target, units="metres")

    def test_what_is_carried_over(self, files, tmp_path):
        for source, target, what in (
            ("m.npz", "o.npz", "motion"), ("m.bvh", "o.glb", "motion"), ("m.npz", "o", "cameras"),
            ("m.npz", "o.json", "cameras"), ("sparse", "o.json", "cameras"),
            ("k.npz", "o.npz", "keypoints"),
        ):  # fmt: skip
            assert content(files[source], tmp_path / target) == what
