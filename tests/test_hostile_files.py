"""Bad files and bad disks: one clear line each, exit code 1 or 2, nothing lost or half-written.

Videos have their own such tests beside the video reader.
"""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion import files
from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.errors import FileFormatError, HumanMotionError, OutputError, UsageError
from humanmotion.io import (
    convert_file,
    describe,
    fields,
    joints_csv,
    read_amass,
    read_any,
    read_cameras_json,
    read_coco_wholebody,
    read_colmap,
    read_joints_csv,
    read_keypoints_npz,
    read_motion,
    read_openpose,
    read_trc,
    trc,
    write_any,
    write_cameras_json,
    write_coco_wholebody,
    write_colmap,
    write_keypoints_npz,
    write_motion,
    write_openpose,
)
from humanmotion.io.convert import MOTION_ENDINGS
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.motion import Motion

FRAMES = 6
sniff_module = importlib.import_module("humanmotion.io.sniff")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def motion(body) -> Motion:
    rng = torch.Generator().manual_seed(0)
    rotvec = 0.3 * torch.randn(FRAMES, 55, 3, generator=rng)
    return Motion.create(
        rotvec, torch.zeros(FRAMES, 3), fps=30.0, body_id=body.body_id, body_sha256=body.sha256
    )


@pytest.fixture(scope="module")
def keypoints() -> Keypoints:
    joints = len(JOINT_SETS["coco_17"])
    return Keypoints(
        xy=torch.ones(FRAMES, joints, 2), confidence=torch.ones(FRAMES, joints),
        times=torch.arange(FRAMES, dtype=torch.float64), joint_set="coco_17", width=64, height=48,
    )  # fmt: skip


@pytest.fixture(scope="module")
def camera() -> Camera:
    K = intrinsics(50.0, width=64, height=48).expand(FRAMES, 3, 3).clone()
    return Camera(K=K, R_w2c=torch.eye(3).repeat(FRAMES, 1, 1), t_w2c=torch.zeros(FRAMES, 3),
                  width=64, height=48)  # fmt: skip


@pytest.fixture
def good(motion, body, tmp_path):
    """Path of the motion written with an ending."""

    def write(ending: str) -> Path:
        write_any(tmp_path / f"good{ending}", motion, body=body)
        return tmp_path / f"good{ending}"

    return write


def one_line(error: HumanMotionError, path: Path) -> None:
    text = str(error)
    assert "\n" not in text and 10 < len(text) < 500, text
    assert error.exit_code in (1, 2)
    assert path.name in text, f"{text!r} does not name the file"


def refused(path: Path, body: BodyModel, *words: str) -> None:
    """`path` is refused in one line with these words, and `describe` says what is wrong."""
    with pytest.raises(HumanMotionError) as caught:
        read_any(path, body=body)
    one_line(caught.value, path)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    try:
        problems = describe(path, body=body)["problems"]
    except HumanMotionError as error:
        one_line(error, path)
    else:
        assert problems and not any("\n" in line for line in problems)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def with_arrays(path: Path, **arrays) -> Path:
    with np.load(path, allow_pickle=False) as old:
        merged = {k: old[k] for k in old.files} | arrays
    np.savez(path, **{k: v for k, v in merged.items() if v is not None})
    return path


def with_member(path: Path, key: str, content: bytes) -> Path:
    """The npz with one member's bytes replaced."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members[f"{key}.npy"] = content
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    return path


NPZ = [".npz", ".amass.npz", ".smplx.npz"]
POSE_KEY = {".npz": "body_pose", ".amass.npz": "pose_body", ".smplx.npz": "body_pose"}
MOVE_KEY = {".npz": "transl", ".amass.npz": "trans", ".smplx.npz": "transl"}


@pytest.mark.parametrize("ending", NPZ)
class TestNpz:
    def test_objects_are_never_unpickled(self, good, body, tmp_path, ending):
        mark = tmp_path / "mark"
        objects = np.array([Bomb(mark)], dtype=object)
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, objects, allow_pickle=True)
        path = with_member(good(ending), POSE_KEY[ending], buffer.getvalue())
        refused(path, body, "Python objects", "can run code")
        assert not mark.exists()
        # The bomb is real: where unpickling is allowed it goes off.
        with np.load(path, allow_pickle=True) as theirs:
            _ = theirs[POSE_KEY[ending]]
        assert mark.exists()

    def test_objects_under_unknown_keys_are_left_alone(self, good, body, tmp_path, ending):
        mark = tmp_path / "mark"
        path = good(ending)
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
        with_member(path, "notes", buffer.getvalue())
        read_any(path, body=body)
        problems = describe(path, body=body)["problems"]
        assert any("unknown key 'notes'" in line for line in problems)
        assert any("'notes' holds Python objects" in line for line in problems)
        assert not mark.exists()

    @pytest.mark.parametrize(
        "shape", [(FRAMES, 62), (FRAMES + 1, 63), (63,), (), (0, 63), (2, 3, 4)], ids=str
    )
    def test_wrong_shapes(self, good, body, ending, shape):
        key = POSE_KEY[ending]
        refused(with_arrays(good(ending), **{key: np.zeros(shape, np.float32)}), body, key, "shape")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    def test_numbers_that_are_not_finite(self, good, body, ending, value):
        key = MOVE_KEY[ending]
        bad = np.zeros((FRAMES, 3))
        bad[3, 1] = value
        refused(with_arrays(good(ending), **{key: bad}), body, key, "not finite at row 3")

    @pytest.mark.parametrize(
        "array", [np.full((FRAMES, 63), "x"), np.zeros((FRAMES, 63), complex),
                  np.zeros((FRAMES, 63), "M8[s]"), np.zeros((FRAMES, 63), [("a", "f4")])],
        ids=["text", "complex", "dates", "records"],
    )  # fmt: skip
    def test_what_is_not_numbers(self, good, body, ending, array):
        refused(with_arrays(good(ending), **{POSE_KEY[ending]: array}), body, "expected numbers")

    @pytest.mark.parametrize("dtype", [">f8", "<f2", "longdouble", ">i2", "u4"])
    def test_odd_number_types_are_read(self, good, body, ending, dtype):
        key = MOVE_KEY[ending]
        path = with_arrays(good(ending), **{key: np.full((FRAMES, 3), 7, dtype)})
        assert float(read_any(path, body=body).transl[0, 0]) == 7

    def test_a_header_that_claims_100_gb(self, good, body, ending):
        buffer = io.BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": (25_000_000_000,)}
        np.lib.format.write_array_header_2_0(buffer, header)
        start = time.perf_counter()
        refused(with_member(good(ending), POSE_KEY[ending], buffer.getvalue()), body,
                "claims to unpack to more")  # fmt: skip
        assert time.perf_counter() - start < 5

    def test_a_member_cut_off(self, good, body, ending):
        path = good(ending)
        with zipfile.ZipFile(path) as archive:
            content = archive.read(f"{POSE_KEY[ending]}.npy")
        refused(with_member(path, POSE_KEY[ending], content[:-7]), body)

    def test_every_truncation(self, good, body, ending):
        path = good(ending)
        whole = path.read_bytes()
        for size in (1, 3, 4, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            refused(path, body)

    def test_damaged_bytes(self, good, body, ending):
        path = good(ending)
        whole = bytearray(path.read_bytes())
        rng = np.random.default_rng(0)
        for _ in range(40):
            bad = bytearray(whole)
            for at in rng.integers(0, len(bad), 5):
                bad[at] ^= int(rng.integers(1, 256))
            path.write_bytes(bad)
            try:
                read_any(path, body=body)
            except HumanMotionError as error:
                one_line(error, path)

    def test_an_encrypted_archive(self, good, body, ending):
        path = good(ending)
        data = bytearray(path.read_bytes())
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = data.find(mark)
            while at >= 0:
                data[at + offset] |= 1
                at = data.find(mark, at + 4)
        path.write_bytes(data)
        refused(path, body)

    def test_unknown_keys_are_ignored_and_named(self, good, body, ending):
        path = with_arrays(good(ending), favourite_colour=np.ones(3))
        read_any(path, body=body)
        problems = describe(path, body=body)["problems"]
        assert any("unknown key 'favourite_colour' is ignored" in line for line in problems)


class TestSizes:
    """Small files that would take all memory; the caps are patched low in their place."""

    @pytest.mark.parametrize("ending", NPZ)
    def test_too_many_frames_are_seen_in_the_headers(self, good, body, ending, monkeypatch):
        path = good(ending)
        monkeypatch.setattr(sniff_module, "MAX_FRAMES", FRAMES)
        read_any(path, body=body)
        monkeypatch.setattr(sniff_module, "MAX_FRAMES", FRAMES - 1)
        monkeypatch.setattr(files, "read_npz", None)
        refused(path, body, "has 6 frames; at most 5 are read")

    @pytest.mark.parametrize("ending", NPZ)
    def test_too_many_numbers(self, good, body, ending, monkeypatch):
        path = good(ending)
        monkeypatch.setattr(sniff_module, "MAX_NUMBERS", 500)
        refused(path, body, "claims to unpack to more than 500 numbers")

    def test_a_reader_called_by_its_own_name(self, good, monkeypatch):
        path = good(".npz")
        monkeypatch.setattr(fields, "MAX_FRAMES", FRAMES - 1)
        with pytest.raises(FileFormatError, match="6 frames; at most 5"):
            read_motion(path)

    @pytest.mark.parametrize("ending", [".csv", ".trc"])
    def test_rows_without_end(self, good, body, ending, monkeypatch):
        path, module = good(ending), {".csv": joints_csv, ".trc": trc}[ending]
        monkeypatch.setattr(module, "MAX_FRAMES", FRAMES)
        assert describe(path, body=body)["problems"] == []
        with path.open("a") as stream:
            stream.write("not read any more\n" * 3)
        assert describe(path, body=body)["error"].endswith("more than 6 frames; split the file")

    @pytest.mark.parametrize("ending", [".csv", ".trc"])
    def test_no_rows(self, good, body, ending):
        path = good(ending)
        path.write_text("\n".join(path.read_text().splitlines()[: 1 if ending == ".csv" else 5]))
        assert describe(path, body=body)["error"] == f"{path} has no frames"

    def test_rows_of_a_bvh_are_counted_as_they_come(self, good, body):
        path = good(".bvh")
        with path.open("a") as stream:
            stream.write("not a number\n")
        refused(path, body, "says 6 frames and holds more")

    @pytest.mark.parametrize("ending", [".bvh", ".amass.npz"])
    def test_a_gap_that_would_be_filled_without_end(self, good, motion, body, ending):
        times = motion.times + 2e5 * (motion.times > 0.14)
        with pytest.raises(UsageError) as caught:
            write_any(good(".npz").with_suffix(ending), replace(motion, times=times), body=body)
        assert "longest gap, 200000 s after frame 4" in str(caught.value)

    def test_a_motion_without_frames(self, motion, body, tmp_path):
        for ending in MOTION_ENDINGS[1:]:
            if ending not in (".npz", ".smplx.npz"):
                with pytest.raises(UsageError, match="the motion has no frames"):
                    write_any(tmp_path / f"none{ending}", motion[:0], body=body)


class TestAmassOnly:
    def test_no_frames(self, good, body):
        path = good(".amass.npz")
        with np.load(path) as old:
            empty = {k: old[k][:0] for k in old.files if old[k].shape[:1] == (FRAMES,)}
        assert len(read_any(with_arrays(path, **empty), body=body)) == 0
        assert describe(path, body=body)["problems"] == ["the motion has no frames"]

    def test_a_row_of_betas(self, good):
        path = with_arrays(good(".amass.npz"), betas=np.arange(16.0)[None])
        assert read_amass(path).betas.tolist() == list(range(10))
        with_arrays(path, betas=np.zeros((2, 16)))
        with pytest.raises(FileFormatError, match="betas has shape"):
            read_amass(path)


class TestMotionNpzOnly:
    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("meta", np.array("[" * 10_000), "nested"),
            ("meta", np.array("{"), "is not JSON"),
            ("meta", np.array("[1]"), "must be a JSON object"),
            ("meta", np.array(3.0), "must be one string"),
            ("fps", np.array(0.0), "fps is 0"),
            ("fps", np.array(np.nan), "fps is not finite"),
            ("fps", np.array([30.0, 30.0]), "shape"),
            ("times", np.zeros(FRAMES), "times must rise"),
            ("times", np.arange(FRAMES)[::-1].copy(), "times must rise"),
            ("confidence", np.full((FRAMES, 55), 2.0), "confidence leaves [0, 1] at frame 0"),
            ("version", np.array(99), "version 99"),
            ("body_id", np.array(["a", "b"]), "must be one string"),
            ("meta", np.array('{"notes": 3}'), "notes must be a list of texts, not 3"),
            ("meta", np.array('{"notes": null}'), "notes must be a list of texts, not None"),
            ("joints_present", np.full(55, 7.5), "joints_present must hold 0 or 1 at row 0"),
            ("shot_id", np.full(FRAMES, 0.5), "shot_id must hold whole numbers at row 0"),
            ("shot_id", np.full(FRAMES, 9e18), "shot_id must hold whole numbers at row 0"),
            ("body_pose", np.full((FRAMES, 63), 1e30), "body_pose reaches 1e+30 at frame 0"),
            ("betas", np.full(10, 1e30), "betas reaches 1e+30"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_values_that_cannot_be(self, good, body, key, value, words):
        refused(with_arrays(good(".npz"), **{key: value}), body, words)

    @pytest.mark.parametrize("target", ["out.glb", "out.json"])
    def test_a_camera_without_focal_length(self, motion, camera, body, tmp_path, target):
        write_motion(tmp_path / "m.npz", motion, camera=camera)
        path = with_arrays(tmp_path / "m.npz", K=np.zeros((FRAMES, 3, 3)))
        with pytest.raises(FileFormatError, match="no positive focal length") as caught:
            convert_file(path, tmp_path / target, body=body)
        one_line(caught.value, path)
        assert "no positive focal length" in describe(path, body=body)["error"]


class TestNotAFile:
    @pytest.mark.parametrize("ending", [".npz", ".bvh", ".json", ".trc", ".csv", ".glb"])
    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 1000, b"\xff\xfe\x00binary\x80", b"hello", b"PK\x03\x04"],
        ids=["empty", "zeros", "binary", "text", "zip start"],
    )  # fmt: skip
    def test_content_that_is_not_what_the_name_says(self, body, tmp_path, ending, content):
        path = tmp_path / f"bad{ending}"
        path.write_bytes(content)
        refused(path, body)

    def test_a_folder_a_missing_file_and_no_ending(self, body, tmp_path):
        (tmp_path / "folder.npz").mkdir()
        (tmp_path / "noending").write_text("x")
        for name in ("folder.npz", "missing.npz", "noending"):
            refused(tmp_path / name, body)


def bvh_lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


class TestBvh:
    def without(self, good, keep) -> Path:
        path = good(".bvh")
        path.write_text("\n".join(line for i, line in enumerate(bvh_lines(path)) if keep(i, line)))
        return path

    def test_a_joint_without_channels(self, good, body):
        lines = bvh_lines(good(".bvh"))
        knee = next(i for i, line in enumerate(lines) if "left_knee" in line)
        path = self.without(good, lambda i, _: i != knee + 3)
        count = len(bvh_lines(good(".bvh"))[-1].split())
        # Its numbers are gone too, or the rows would not fit first.
        path = self.without(good, lambda i, _: i != knee + 3)
        text = path.read_text().splitlines()
        at = next(i for i, line in enumerate(text) if line.startswith("Frame Time")) + 1
        rows = [" ".join(line.split()[: count - 3]) for line in text[at:]]
        path.write_text("\n".join(text[:at] + rows))
        refused(path, body, "left_knee", "CHANNELS")

    def test_channels_missing_and_rows_as_they_were(self, good, body):
        path = good(".bvh")
        text = path.read_text().replace("CHANNELS 3 Yrotation Zrotation Xrotation",
                                        "CHANNELS 2 Yrotation Zrotation", 1)  # fmt: skip
        path.write_text(text)
        refused(path, body, "168 numbers, the channels need 167")

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("CHANNELS 3 Y", "CHANNELS 4 Y", "must give a count"),
            ("Zrotation", "Wrotation", "must give a count"),
            ("Zrotation", "Yrotation", "must give a count"),
            ("OFFSET 0.00000000", "OFFSET nan", "needs 3 numbers"),
            ("OFFSET 0.0", "OFFSET x", "could not convert"),
            ("JOINT spine1", "JOINT left_hip", "is there twice"),
            ("JOINT spine1", "ROOT spine1", "stands where it cannot"),
            ("JOINT spine1", "JOINT", "without a name"),
            ("MOTION", "MOTIONS", "MOTION"),
            ("Frames: 6", "Frames: 1000000000000", "says 1e+12 frames of 55 joints"),
            ("Frames: 6", "Frames: 5", "says 5 frames and holds more"),
            ("Frames: 6", "Frames: -1", "must begin with"),
            ("Frames: 6", "Frames: many", "could not convert"),
            ("Frame Time: 0.0333333333", "Frame Time: 0", "must begin with"),
            ("Frame Time: 0.0333333333", "Frame Time: nan", "must begin with"),
            ("Frame Time: 0.0333333333", "Frame Time:", "must begin with"),
            ("{", "", ""),
            ("}", "", ""),
            ("HIERARCHY", "HIERARCHY\n}", "closing brace"),
            ("End Site", "Site", "not known in BVH"),
        ],
    )
    def test_damaged_text(self, good, body, old, new, words):
        path = good(".bvh")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        refused(path, body, words)

    @pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
    def test_numbers_that_are_not_finite(self, good, body, value):
        path = good(".bvh")
        lines = bvh_lines(path)
        cells = lines[-2].split()
        cells[40] = value
        lines[-2] = " ".join(cells)
        path.write_text("\n".join(lines))
        refused(path, body, "not finite at frame 4")
        assert any("1 numbers are not finite" in p for p in describe(path, body=body)["problems"])

    def test_every_truncation(self, good, body):
        path = good(".bvh")
        whole = path.read_text()
        for share in np.linspace(0, 0.999, 40):
            path.write_text(whole[: int(share * len(whole))])
            refused(path, body)

    def test_joints_nested_10_000_deep(self, body, tmp_path):
        path = tmp_path / "deep.bvh"
        one = "JOINT j{}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n"
        nest = "".join(one.format(i) for i in range(10_000)).replace("JOINT j0\n", "ROOT j0\n")
        path.write_text(f"HIERARCHY\n{nest}{'}' * 10_000}\nMOTION\nFrames: 0\nFrame Time: 1\n")
        refused(path, body, "more than 2048 joints")

    def test_few_bytes_that_would_fill_the_memory(self, body, tmp_path):
        path = tmp_path / "long.bvh"
        joints = "".join(f"JOINT j{i} {{ OFFSET 0 1 0\nCHANNELS 0\n}}\n" for i in range(1000))
        head = f"HIERARCHY\nROOT r {{ OFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}}}\n"
        path.write_text(f"{head}MOTION\nFrames: 20000\nFrame Time: 1\n" + "0\n" * 20_000)
        refused(path, body, "split the file")


class TestJson:
    READERS = (
        lambda p: read_openpose(p, width=1, height=1), read_coco_wholebody, read_cameras_json,
    )  # fmt: skip

    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize(
        "text",
        [
            "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "{", "null", "[]",
            '"people"', "3", '{"people": 3}', '{"people": [3]}',
            '{"people": [{"pose_keypoints_2d": {}}]}',
            '{"people": [{"pose_keypoints_2d": [1, 2]}]}', '{"images": [], "annotations": []}',
            '{"images": [3], "annotations": []}', '{"images": [{"id": []}], "annotations": [[]]}',
            '{"images": [{"id": 1}], "annotations": [{"image_id": 2}]}',
            '{"images": [{"id": 1, "width": 1, "height": 1}], '
            '"annotations": [{"image_id": 1, "keypoints": 3}]}',
            '{"images": [{"id": 1, "width": "x", "height": 1}], "annotations": [[1]]}',
            '{"images": [{"id": 1, "width": 1e999, "height": 1}], "annotations": []}',
            '{"version": 1, "width": 1, "height": 1, "frames": 3}',
            '{"version": 1, "width": 1, "height": 1, "frames": [{}]}',
            '{"version": 1, "width": 1, "height": 1, "frames": []}',
            '{"version": 1, "width": [], "height": 1, '
            '"frames": [{"time": 0, "K": [[1]], "R_w2c": 3, "t_w2c": "x"}]}',
        ],
        ids=lambda text: text[:40],
    )  # fmt: skip
    def test_what_is_not_it(self, tmp_path, body, reader, text):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(HumanMotionError) as caught:
            reader(path)
        one_line(caught.value, path)
        refused(path, body)

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
    def test_numbers_that_are_not_finite(self, tmp_path, value):
        flat = ", ".join([value, *["1.0"] * 74])
        path = tmp_path / "a.json"
        path.write_text(f'{{"people": [{{"pose_keypoints_2d": [{flat}]}}]}}')
        with pytest.raises(FileFormatError, match="not finite") as caught:
            read_openpose(path, width=1, height=1)
        one_line(caught.value, path)
        path.write_text(
            '{"images": [{"id": 1, "width": 1, "height": 1}], "annotations": '
            f'[{{"image_id": 1, "keypoints": [{value}, {", ".join(["1"] * 50)}]}}]}}'
        )
        with pytest.raises(FileFormatError, match="not finite") as caught:
            read_coco_wholebody(path)
        one_line(caught.value, path)

    def test_few_bytes_that_would_fill_the_memory(self, tmp_path):
        path = tmp_path / "many.json"
        images = [{"id": i, "width": 1, "height": 1} for i in range(2000)]
        people = [{"image_id": i, "track_id": i, "keypoints": [0] * 51} for i in range(2000)]
        path.write_text(json.dumps({"images": images, "annotations": people}))
        with pytest.raises(FileFormatError, match="too many people"):
            read_coco_wholebody(path)


class TestOtherText:
    @pytest.mark.parametrize(
        "text",
        [
            "time,a_x,a_y,a_z\n0,1,2\n", "time,a_x,a_y,a_z\n0,1,2,x\n", "time\n0\n", "a,b\n1,2\n",
            "time,a_x,a_y,a_z\n0,1,2,nan\n", "time,a_x,a_y,a_z\n1,0,0,0\n0,0,0,0\n",
            "time,a_x,a_y,a_z\n0,1,2," + "9" * 200_000 + "\n",
        ],
        ids=["short", "word", "no joints", "header", "nan", "back in time", "huge cell"],
    )  # fmt: skip
    def test_csv(self, tmp_path, body, text):
        path = tmp_path / "bad.csv"
        path.write_text(text)
        with pytest.raises(FileFormatError) as caught:
            read_joints_csv(path)
        one_line(caught.value, path)
        assert describe(path, body=body)["problems"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [("PathFileType", "Nothing"), ("\tm\t", "\tfurlong\t"), ("pelvis", ""), ("\t0.", "\tx."),
         ("NumMarkers\tUnits", "Units\tNumMarkers"), ("\t0.000000\t", "\tnan\t")],
    )  # fmt: skip
    def test_trc(self, good, body, old, new):
        path = good(".trc")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(FileFormatError) as caught:
            read_trc(path)
        one_line(caught.value, path)
        assert describe(path, body=body)["problems"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("cameras.txt", ""), ("cameras.txt", "1 PINHOLE 1e9 48 50 50 32 24\n"),
            ("cameras.txt", "1 PINHOLE 64 48 nan 50 32 24\n"),
            ("cameras.txt", "1 PINHOLE 0 48 50 50 32 24\n"),
            ("images.txt", "# nothing\n"), ("images.txt", "1 0 0 0 0 0 0 0 1 a.png\n\n"),
            ("images.txt", "1 1 0 0 0 nan 0 0 1 a.png\n\n"), ("images.txt", "1 1 0 0\n\n"),
            ("images.txt", "1 inf 0 0 0 0 0 0 1 a.png\n\n"),
            ("images.txt", "1 1 0 0 0 0 0 0 7 a.png\n\n"),
        ],
    )  # fmt: skip
    def test_colmap(self, camera, tmp_path, body, name, text):
        folder = tmp_path / "sparse"
        write_colmap(folder, camera)
        (folder / name).write_text(text)
        with pytest.raises(HumanMotionError) as caught:
            read_colmap(folder)
        one_line(caught.value, folder)
        assert describe(folder, body=body)["problems"]

    @pytest.mark.parametrize("change", ["cut", "sizes", "json", "deep"])
    def test_glb(self, good, body, change):
        path = good(".glb")
        data = path.read_bytes()
        if change == "cut":
            data = data[: len(data) // 2]
        elif change == "sizes":
            data = data[:12] + b"\xff\xff\xff\xff" + data[16:]
        elif change == "json":
            data = data[:20] + b"[" + data[21:]
        else:
            data = data[:20] + b"[" * 5000 + data[5020:]
        path.write_bytes(data)
        (problem,) = describe(path, body=body)["problems"]
        one_line(FileFormatError(problem), path)

    @pytest.mark.parametrize(
        "document",
        [
            '{"nodes": 3}', '{"animations": 3}', '{"animations": [3]}', '{"skins": {"a": 1}}',
            '{"animations": [{"samplers": [{"input": 0}]}], "accessors": [{"max": ["abc"]}]}',
            '{"animations": [{"samplers": [{"input": 0}]}], "accessors": [{"max": [NaN]}]}',
            '{"animations": [{"samplers": [{"input": 0}]}], "accessors": [{"max": {"0": 1}}]}',
            '{"animations": [{"samplers": [{"input": 0}, {"input": 1}]}], '
            '"accessors": [{"max": ["a"]}, {"max": [1.0]}]}',
            '{"buffers": [{"byteLength": 100}]}', '{"buffers": [{"byteLength": "many"}]}',
        ],
    )  # fmt: skip
    def test_glb_documents_that_are_none(self, body, tmp_path, document):
        text = document.encode() + b" " * (-len(document) % 4)
        path = tmp_path / "bad.glb"
        path.write_bytes(b"glTF" + struct.pack("<4I", 2, 20 + len(text), len(text), 0x4E4F534A)
                         + text)  # fmt: skip
        facts = describe(path, body=body)
        one_line(FileFormatError(facts["error"]), path)
        assert "damaged GLB" in facts["error"] and "duration_s" not in facts

    def test_a_glb_cut_in_half_that_states_its_new_size(self, good, body):
        path = good(".glb")
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.write_bytes(half[:8] + struct.pack("<I", len(half)) + half[12:])
        assert "it is cut off" in describe(path, body=body)["error"]

    @pytest.mark.parametrize("times", [("NaN", "1"), ("5", "1"), ("1", "1"), ("0", "1e999")])
    def test_times_of_cameras(self, camera, body, tmp_path, times):
        path = tmp_path / "c.json"
        write_cameras_json(path, camera[:2], times=torch.arange(2, dtype=torch.float64) + 7)
        text = path.read_text()
        for old, new in zip(("7.0", "8.0"), times, strict=True):
            text = text.replace(f'"time": {old}', f'"time": {new}')
        path.write_text(text)
        with pytest.raises(FileFormatError, match="times") as caught:
            read_cameras_json(path)
        one_line(caught.value, path)

    def test_keypoints_npz(self, keypoints, body, tmp_path):
        path = tmp_path / "k.npz"
        for change in (
            {"xy": np.zeros((FRAMES, 3, 2))}, {"joint_set": np.array("martian")}, {"xy": None},
            {"confidence": np.full((FRAMES, 17), 2.0)}, {"width": np.array("wide")},
            {"width": np.array(1e300)}, {"height": np.array(0)}, {"width": np.array(64.5)},
            {"keypoints_version": np.array(2)}, {"xy": np.full((FRAMES, 17, 2), np.nan)},
        ):  # fmt: skip
            write_keypoints_npz(path, keypoints)
            with_arrays(path, **change)
            with pytest.raises(FileFormatError) as caught:
                read_keypoints_npz(path)
            one_line(caught.value, path)
            assert describe(path, body=body)["problems"]


@contextmanager
def files_of_at_most(size: int):
    """The kernel refuses to let any file grow beyond `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def writers(motion, body, keypoints, camera):
    """Target name to what writes it."""
    motions = {
        f"out{ending}": lambda path: write_any(path, motion, body=body) for ending in MOTION_ENDINGS
    }
    return motions | {
        "keypoints.npz": lambda path: write_keypoints_npz(path, keypoints),
        "coco.json": lambda path: write_coco_wholebody(path, [keypoints]),
        "cameras.json": lambda path: write_cameras_json(path, camera, times=keypoints.times),
    }


class TestDisk:
    def test_full(self, writers, tmp_path):
        for name, write in writers.items():
            path = tmp_path / name
            path.write_text("precious")
            with files_of_at_most(300), pytest.raises(OutputError) as caught:
                write(path)
            one_line(caught.value, path)
            assert path.read_text() == "precious", "nothing lost"
            path.unlink()
            assert not list(tmp_path.iterdir()), "nothing half-written"

    def test_no_space_left(self, writers, tmp_path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        for name, write in writers.items():
            with pytest.raises(OutputError, match="No space left on device") as caught:
                write(tmp_path / name)
            one_line(caught.value, tmp_path / name)
            assert not list(tmp_path.iterdir())

    def test_full_while_a_folder_is_written(self, camera, keypoints, tmp_path):
        for write in (
            lambda folder: write_colmap(folder, camera),
            lambda folder: write_openpose(folder, [keypoints]),
        ):
            folder = tmp_path / "folder"
            folder.mkdir()
            with files_of_at_most(20), pytest.raises(OutputError):
                write(folder)
            assert not list(folder.iterdir())
            folder.rmdir()

    def test_folder_not_writable(self, writers, camera, keypoints, tmp_path):
        (tmp_path / "file").write_text("precious")
        for name, write in writers.items():
            with pytest.raises(OutputError) as caught:
                write(tmp_path / "file" / name)
            one_line(caught.value, tmp_path / "file" / name)
        for write in (
            lambda folder: write_colmap(folder, camera),
            lambda folder: write_openpose(folder, [keypoints]),
        ):
            with pytest.raises(OutputError):
                write(tmp_path / "file" / "folder")
        assert (tmp_path / "file").read_text() == "precious"

    def test_read_only_folder(self, writers, tmp_path):
        if os.geteuid() == 0:
            folder = Path("/proc/self")
        else:
            folder = tmp_path / "locked"
            folder.mkdir(mode=0o500)
        for name, write in writers.items():
            with pytest.raises(OutputError) as caught:
                write(folder / name)
            one_line(caught.value, folder / name)

    def test_a_bad_source_leaves_the_target_alone(self, good, body, tmp_path):
        source, target = good(".bvh"), tmp_path / "out.glb"
        source.write_text(source.read_text()[:5000])
        target.write_text("precious")
        with pytest.raises(FileFormatError):
            convert_file(source, target, body=body)
        assert target.read_text() == "precious"


class TestKilled:
    SCRIPT = """
import sys
from pathlib import Path
from humanmotion.body import BodyModel
from humanmotion.io import read_any, write_any
body, folder = BodyModel.load(), Path(sys.argv[1])
motion = read_any(folder / "good.npz", body=body)
while True:
    for ending in (".npz", ".bvh", ".glb"):
        write_any(folder / f"out{ending}", motion, body=body)
    print("ready", flush=True)
"""

    def test_whatever_is_there_is_whole(self, good, motion, body, tmp_path):
        good(".npz")
        rng = np.random.default_rng(0)
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", self.SCRIPT, str(tmp_path)], stdout=subprocess.PIPE
            )
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.3 + 0.4 * rng.random())
            process.kill()
            process.wait()
            process.stdout.close()
            for ending in (".npz", ".bvh"):
                again = read_any(tmp_path / f"out{ending}", body=body)
                assert len(again) == len(motion)
            assert describe(tmp_path / "out.glb", body=body)["problems"] == []
            # What the kill left behind is hidden: no program takes it for a result.
            seen = {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")}
            assert seen == {"good.npz", "out.npz", "out.bvh", "out.glb"}
