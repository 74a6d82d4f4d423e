"""`convert`, `convert-body` and `view` on the command line: paths out, notes apart, JSON."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.cli.main import main
from humanmotion.files import asset
from humanmotion.io import read_keypoints_npz, read_motion, write_motion, write_smplx_params
from humanmotion.motion import Motion


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """An SMPL-X parameter file, which is read with notes."""
    path = tmp_path_factory.mktemp("in") / "p.npz"
    write_smplx_params(path, Motion.create(torch.zeros(4, 55, 3), torch.zeros(4, 3), fps=30.0))
    return path


def test_paths_on_stdout_notes_on_stderr(params, tmp_path, capsys):
    target = tmp_path / "m.npz"
    assert main(["convert", str(params), str(target)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{target}\n"
    assert err.startswith("humanmotion: note: axes are not stated in the file")


def test_quiet_and_json(params, tmp_path, capsys):
    target = tmp_path / "m.npz"
    assert main(["convert", str(params), str(target), "--quiet", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["output"] == str(target) and "axes are not stated" in found["notes"][0]
    assert err == ""


def test_openpose_with_size_and_rate(tmp_path, capsys):
    person = {"pose_keypoints_2d": [1.0] * 75}
    source, target = tmp_path / "op", tmp_path / "k.npz"
    source.mkdir()
    for frame in range(2):
        name = f"f_{frame:012d}_keypoints.json"
        (source / name).write_text(json.dumps({"people": [person]}))
    assert main(["convert", str(source), str(target)]) == 2
    assert "give it as --size WIDTHxHEIGHT" in capsys.readouterr().err
    options = ["--size", "640x480", "--fps", "25"]
    assert main(["convert", str(source), str(target), *options]) == 0
    keypoints = read_keypoints_npz(target)
    assert (keypoints.width, keypoints.height) == (640, 480)
    assert keypoints.times.tolist() == [0.0, 1 / 25]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "640"], "expected WIDTHxHEIGHT in pixels"),
        (["--size", "0x480"], "expected WIDTHxHEIGHT in pixels"),
        (["--size", "640x480"], "--size is for OpenPose files only"),
        (["--fps", "25"], "leave --fps 25 out"),
        (["--fps", "nan"], "it must be above 0"),
        (["--units", "metres"], "--units is for writing .bvh only"),
        (["--units", "feet"], "'feet' is not one of"),
        (["--hands", "mean"], "says flat_hand_mean=True, so its hands are flat"),
    ],
    ids=str,
)
def test_options_without_meaning_are_refused(params, tmp_path, capsys, options, words):
    assert main(["convert", str(params), str(tmp_path / "m.npz"), *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_hands(params, tmp_path):
    with np.load(params) as file:
        arrays = {key: file[key] for key in file.files if key != "flat_hand_mean"}
    np.savez(tmp_path / "p.npz", **arrays)
    for hands, moved in (("flat", False), ("mean", True)):
        target = tmp_path / f"{hands}.npz"
        assert main(["convert", str(tmp_path / "p.npz"), str(target), "--hands", hands]) == 0
        assert bool(read_motion(target).left_hand_pose.any()) == moved


def test_a_given_body_is_used_or_refused(tmp_path, capsys):
    with np.load(asset("body/default.npz")) as file:
        np.savez(tmp_path / "b.npz", **{k: file[k] for k in file.files if k != "body_id"})
    body = BodyModel.load()
    rest = Motion.create(torch.zeros(4, 55, 3), torch.zeros(4, 3), fps=30.0, body_id="someone's")
    write_motion(tmp_path / "m.npz", rest)
    arguments = ["convert", str(tmp_path / "m.npz"), str(tmp_path / "o.npz")]
    assert main(arguments) == 0
    assert read_motion(tmp_path / "o.npz").body_id == "someone's"
    assert main([*arguments, "--overwrite", "--body", str(tmp_path / "b.npz")]) == 0
    assert read_motion(tmp_path / "o.npz").body_id == "SMPL-X:b" != body.body_id
    assert "made on body someone's; put onto SMPL-X:b" in capsys.readouterr().err
    to_cameras = ["convert", str(tmp_path / "m.npz"), str(tmp_path / "c.json")]
    assert main([*to_cameras, "--body", str(tmp_path / "b.npz")]) == 2
    assert "which need no body; leave --body out" in capsys.readouterr().err


def test_a_pickled_body(tmp_path, capsys):
    keys = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
    with np.load(asset("body/default.npz")) as file:
        arrays = {key: file[key] for key in keys}
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(arrays))
    arguments = ["convert-body", str(tmp_path / "b.pkl"), str(tmp_path / "b.npz")]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'b.npz'}\n"
    assert err == "humanmotion: note: SMPL-X body, 13524 vertices, 55 of 55 joints\n"
    assert main([*arguments, "--overwrite", "--quiet", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "output": str(tmp_path / "b.npz"), "body": "SMPL-X:b", "kind": "SMPL-X",
        "vertices": 13524, "joints": 55,
    }  # fmt: skip


def test_a_page(params, tmp_path, capsys):
    page = tmp_path / "p.html"
    assert main(["view", str(params), "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{page}\n"
    assert "humanmotion: note: p: axes are not stated" in err
    arguments = ["view", str(params), "--html", str(page), "--overwrite"]
    assert main([*arguments, "--quiet", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"page": str(page)} and err == ""
