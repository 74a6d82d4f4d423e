"""`fit keypoints` on pictures of a known walk."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.body.carried_points import positions
from humanmotion.body.named_points import named_points, set_points
from humanmotion.camera import Camera, intrinsics
from humanmotion.cli.main import main
from humanmotion.errors import InputError, UsageError
from humanmotion.files import read_npz
from humanmotion.io.cameras_json import write_cameras_json
from humanmotion.io.keypoints_json import write_coco_wholebody, write_openpose
from humanmotion.io.keypoints_npz import write_keypoints_npz
from humanmotion.io.npz import read_camera, read_motion, write_motion
from humanmotion.jobs.fit_keypoints import fit_keypoints, level_camera
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints

SIZE = (640, 480)
FOCAL = 700.0


@pytest.fixture(scope="module")
def camera(walk) -> Camera:
    """Level, 4 m away, at 1.1 m, in front of the walk's middle."""
    K = intrinsics(FOCAL, width=640, height=480).expand(len(walk), 3, 3)
    level = level_camera(K, width=640, height=480)
    place = walk.transl[len(walk) // 2] * torch.tensor((1.0, 1.0, 0)) + torch.tensor((0, -4.0, 1.1))
    return replace(level, t_w2c=-(level.R_w2c @ place[:, None])[..., 0])


def filmed(walk, body, camera, joint_set: str = "coco_17") -> Keypoints:
    found = set_points(body, joint_set)
    points = named_points(body, list(found.values()), joints=(0,), betas=walk.betas)
    xyz = positions(points, walk.rotations, body.joints_of(walk)[:, 0])
    names = JOINT_SETS[joint_set]
    xy, confidence = torch.zeros(len(walk), len(names), 2), torch.zeros(len(walk), len(names))
    columns = [names.index(name) for name in found]
    xy[:, columns], confidence[:, columns] = camera.project(xyz), 1.0
    return Keypoints(xy, confidence, walk.times, joint_set, 640, 480)


def missed(body, motion, keypoints) -> torch.Tensor:
    """Pixels `(T, L)` between the written motion under its written camera and the keypoints."""
    again = filmed(read_motion(motion), body, read_camera(motion), keypoints.joint_set)
    return (again.xy - keypoints.xy).norm(dim=-1)[:, again.confidence[0] > 0]


@pytest.mark.parametrize("joint_set", ["coco_17", "openpose_25", "mediapipe_33"])
def test_keypoints_are_met_under_a_known_camera(
    joint_set, walk, body, camera, weights, tmp_path
) -> None:
    keypoints = filmed(walk, body, camera, joint_set)
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    write_cameras_json(tmp_path / "c.json", camera, times=walk.times)
    paths = fit_keypoints(tmp_path / "k.npz", output=tmp_path / "o.npz", sigma_px=1.0,
                          camera=tmp_path / "c.json", weights=weights)  # fmt: skip
    assert float(missed(body, paths[0], keypoints).mean()) < 1.5
    found = read_motion(paths[0])
    # The untrained prior guesses depth; it stands where it stood to a step.
    gap = body.joints_of(found)[:, 0] - body.joints_of(walk)[:, 0]
    assert float(gap.norm(dim=-1).mean()) < 0.5
    assert float(body.joints_of(found)[:, 15, 2].min()) > 1.2
    std = read_npz(paths[1])["joint_std_metres"]
    assert std.shape == (len(walk), 55) and std[:, :22].max() > 0


def test_an_unknown_camera_is_said_and_written(walk, body, camera, weights, tmp_path) -> None:
    keypoints = filmed(walk, body, camera)
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    said: list[str] = []
    [path, _] = fit_keypoints(tmp_path / "k.npz", output=tmp_path / "o.npz", weights=weights,
                              note=said.append)  # fmt: skip
    assert "taken as 800 pixels, the picture's diagonal" in said[0] and "level" in said[1]
    assert float(read_camera(path).K[0, 0, 0]) == 800
    assert read_motion(path).meta["notes"] == said
    joints = body.joints_of(read_motion(path))
    soles = (joints[:, [10, 11], 2] - body.sole_offset()).amin(-1)
    assert float(soles.median().abs()) < 1e-4
    assert float(missed(body, path, keypoints).mean()) < 8


def test_people_who_are_gone_for_a_while(walk, body, camera, weights, tmp_path) -> None:
    keypoints = filmed(walk, body, camera)
    confidence = keypoints.confidence.clone()
    confidence[9:12], confidence[2, 9] = 0, 0
    write_keypoints_npz(tmp_path / "k.npz", replace(keypoints, confidence=confidence,
                        times=3 + keypoints.times * 1.2))  # fmt: skip
    paths = fit_keypoints(tmp_path / "k.npz", output=tmp_path / "o.npz", focal=FOCAL,
                          weights=weights)  # fmt: skip
    motion = read_motion(paths[0])
    assert [t for t in range(len(motion)) if not motion.confidence[t].any()] == [9, 10, 11]
    assert motion.fps == pytest.approx(25) and float(motion.times[0]) == 3
    place = motion.transl
    assert float((place[10] - (place[8] + place[12]) / 2).norm()) < 0.3


def test_openpose_and_coco_files(walk, body, camera, weights, tmp_path) -> None:
    short = walk[slice(0, 4)]
    person = filmed(short, body, camera[slice(0, 4)], "openpose_135")
    write_openpose(tmp_path / "op", [person])
    write_coco_wholebody(tmp_path / "c.json", [filmed(short, body, camera[slice(0, 4)],
                         "coco_wholebody_133")])  # fmt: skip
    fit_keypoints(tmp_path / "op", output=tmp_path / "a.npz", size=SIZE, focal=FOCAL,
                  weights=weights, stills=True)  # fmt: skip
    fit_keypoints(tmp_path / "c.json", output=tmp_path / "b.npz", focal=FOCAL, weights=weights,
                  stills=True, hands=True)  # fmt: skip
    assert read_motion(tmp_path / "b.npz").joints_present[25:].all()
    assert not read_motion(tmp_path / "a.npz").joints_present[25:].any()
    with pytest.raises(UsageError, match="--size WIDTHxHEIGHT"):
        fit_keypoints(tmp_path / "op", output=tmp_path / "n.npz", weights=weights)
    with pytest.raises(UsageError, match="holds 1, counted from 0"):
        fit_keypoints(tmp_path / "c.json", output=tmp_path / "n.npz", person=3, weights=weights)


def test_a_shape_that_is_known_is_taken(walk, body, camera, weights, tmp_path) -> None:
    tall = replace(walk[slice(0, 3)], betas=torch.tensor((2.0, *[0.0] * 9)))
    keypoints = filmed(tall, body, camera[slice(0, 3)])
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    write_motion(tmp_path / "tall.npz", tall)
    [path, _] = fit_keypoints(tmp_path / "k.npz", output=tmp_path / "o.npz", focal=FOCAL,
                              shape=tmp_path / "tall.npz", weights=weights)  # fmt: skip
    assert torch.equal(read_motion(path).betas, tall.betas)


def test_what_cannot_be_meant(walk, body, camera, weights, tmp_path) -> None:
    keypoints = filmed(walk, body, camera)
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    nobody = replace(keypoints, confidence=torch.zeros_like(keypoints.confidence))
    write_keypoints_npz(tmp_path / "nobody.npz", nobody)
    write_cameras_json(tmp_path / "c.json", camera, times=walk.times)
    write_cameras_json(tmp_path / "few.json", camera[slice(0, 5)], times=walk.times[:5])
    write_cameras_json(tmp_path / "big.json", replace(camera, width=1280), times=walk.times)
    write_motion(tmp_path / "w.npz", walk)

    def refused(error, match, source="k.npz", **options) -> None:
        with pytest.raises(error, match=match) as caught:
            fit_keypoints(tmp_path / source, output=tmp_path / "n.npz", weights=weights, **options)
        assert "\n" not in str(caught.value) and not (tmp_path / "n.npz").exists()

    refused(InputError, "no three keypoints of person 0", source="nobody.npz")
    refused(UsageError, "is a motion file; keypoints are read from", source="w.npz")
    refused(UsageError, "leave --focal out", camera=tmp_path / "c.json", focal=100.0)
    refused(UsageError, "5 cameras for 21 frames", camera=tmp_path / "few.json")
    refused(UsageError, "1280x480, these are of 640x480", camera=tmp_path / "big.json")
    refused(UsageError, "is a keypoints file; cameras are read", camera=tmp_path / "k.npz")
    refused(UsageError, "holds no camera", camera=tmp_path / "w.npz")
    refused(UsageError, "leave --size out", size=SIZE)
    refused(UsageError, "fps 30", fps=30.0)


def test_the_command(walk, body, camera, weights, tmp_path, capsys) -> None:
    write_openpose(tmp_path / "op", [filmed(walk, body, camera, "openpose_135")])
    given = ["fit", "keypoints", str(tmp_path / "op"), "-o", str(tmp_path / "o.npz"), "--weights",
             str(weights)]  # fmt: skip
    assert main([*given, "--size", "640x480", "--focal", "700", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "o_std.npz" in out and "30 frames a second assumed" in err
    assert main([*given, "--size", "640", "--overwrite"]) == 2
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err
    assert main([*given, "--up", "y", "--overwrite"]) == 2
    assert "leave --up out" in capsys.readouterr().err
