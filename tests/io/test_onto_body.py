"""A motion on another body: path scaled by the legs, soles on the floor, camera moved along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.files import asset
from humanmotion.io import read_any, read_camera, read_motion, write_motion
from humanmotion.io.convert import convert_file, read_with_camera
from humanmotion.io.onto_body import SOURCE_LEG_METRES, onto_body, place_onto_body
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion

GROWTH = 1.2


@pytest.fixture(scope="module")
def tall_file(tmp_path_factory):
    """The default body, 1.2 times as large, under another name."""
    with np.load(asset("body/default.npz")) as file:
        arrays = {key: file[key] for key in file.files}
    path = tmp_path_factory.mktemp("tall") / "tall.npz"
    larger = {"v_template": GROWTH * arrays["v_template"], "body_id": np.array("tall")}
    np.savez(path, **arrays | larger)
    return path


@pytest.fixture(scope="module")
def tall(tall_file) -> BodyModel:
    return BodyModel.load(tall_file)


@pytest.fixture
def standing(motion) -> Motion:
    """The motion without a shape: the same body as `tall`, but for its size."""
    return replace(motion, betas=torch.zeros(10))


def stance(motion, body) -> float:
    joints = body.joints_of(motion)
    sole = body.sole_offset(motion.betas)
    return float(stance_sole_height(joints, sole=sole, fps=motion.fps))


def test_a_larger_body_makes_larger_steps(standing, body, tall):
    moved = onto_body(standing, tall)
    before, after = body.joints_of(standing), tall.joints_of(moved)
    # A similar body in the same pose: the whole movement grows, and steps do not slide.
    torch.testing.assert_close(after.diff(dim=0), GROWTH * before.diff(dim=0), atol=1e-5, rtol=1e-4)
    assert abs(stance(moved, tall)) < 1e-4
    (note,) = moved.meta["notes"]
    assert "path scaled by 1.200 (legs of 0.964 m for 0.803 m)" in note
    assert "cm so that the standing sole is on the floor" in note


def test_shape_is_in_the_leg(motion, body, tall):
    moved, placement = place_onto_body(motion, tall)
    ratio = float(tall.leg_length() / body.leg_length(motion.betas))
    assert placement.scale == pytest.approx(ratio, rel=1e-5)
    before, after = body.joints_of(motion)[:, 0], tall.joints_of(moved)[:, 0]
    torch.testing.assert_close(after.diff(dim=0), ratio * before.diff(dim=0), atol=1e-5, rtol=1e-4)


def test_an_unknown_body_has_a_usual_leg(motion, body, tall):
    theirs = replace(motion, body_id="smplx_male", body_sha256="")
    for target in (body, tall):
        _, placement = place_onto_body(theirs, target)
        assert placement.scale == pytest.approx(float(target.leg_length()) / SOURCE_LEG_METRES)


def test_back_again_is_the_same_path(standing, body, tall):
    # The tall body is not known when it is left, so the scale back is another.
    there, one = place_onto_body(standing, tall)
    back, two = place_onto_body(there, body)
    assert one.scale * two.scale == pytest.approx(float(tall.leg_length()) / SOURCE_LEG_METRES)
    assert torch.equal(back.rotvec, standing.rotvec)
    assert len(back.meta["notes"]) == 2


def test_the_same_body_is_left_alone(motion, body, assert_same):
    assert_same(onto_body(motion, body), motion)


def test_a_renamed_file_is_known_by_its_hash(motion, body):
    renamed = replace(body, body_id="SMPL-X:mine")
    moved = onto_body(motion, renamed)
    assert torch.equal(moved.betas, motion.betas) and torch.equal(moved.transl, motion.transl)
    assert moved.body_id == "SMPL-X:mine"


def test_another_file_of_the_name_is_noted(motion, body):
    moved = onto_body(replace(motion, body_sha256="0" * 64), body)
    assert torch.equal(moved.betas, motion.betas)
    assert moved.meta["notes"] == [
        f"made on another file of body {body.body_id}; its shape is kept"
    ]


def test_no_name_is_this_body(motion, body):
    moved = onto_body(replace(motion, body_id="", body_sha256=""), body)
    assert (moved.body_id, moved.body_sha256) == (body.body_id, body.sha256)
    assert torch.equal(moved.transl, motion.transl)
    assert "no body is named" in moved.meta["notes"][0]


def test_no_frames(motion, tall):
    assert len(onto_body(motion[:0], tall)) == 0


def test_the_camera_still_sees_the_pelvis_where_it_was(motion, camera, body, tall, tmp_path):
    write_motion(tmp_path / "m.npz", motion, camera=camera)
    moved, theirs = read_with_camera(tmp_path / "m.npz", body=tall)
    before = camera.project(body.joints_of(motion)[:, :1])
    after = theirs.project(tall.joints_of(moved)[:, :1])
    torch.testing.assert_close(after, before, atol=0.05, rtol=1e-4)
    convert_file(tmp_path / "m.npz", tmp_path / "o.npz", body=tall)
    torch.testing.assert_close(read_camera(tmp_path / "o.npz").t_w2c, theirs.t_w2c)
    torch.testing.assert_close(read_motion(tmp_path / "o.npz").transl, moved.transl)
    assert not torch.allclose(theirs.t_w2c, camera.t_w2c, atol=1e-2)


def test_notes_are_kept(motion, tall, tmp_path):
    write_motion(tmp_path / "m.npz", replace(motion, meta={"notes": ["first"]}))
    notes = read_any(tmp_path / "m.npz", body=tall).meta["notes"]
    assert notes[0] == "first" and len(notes) == 2
