"""motion.npz, AMASS, SMPL-X parameters, keypoints.npz: round trips, old keys, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.io import (
    read_amass,
    read_any,
    read_camera,
    read_keypoints_npz,
    read_motion,
    read_smplx_params,
    smplx_params,
    write_amass,
    write_keypoints_npz,
    write_motion,
    write_smplx_params,
)
from humanmotion.metrics.contact import stance_sole_height


def changed(path, **arrays):
    """The npz at `path` with some arrays replaced; None removes one."""
    with np.load(path) as old:
        merged = {k: old[k] for k in old.files} | arrays
    np.savez(path, **{k: v for k, v in merged.items() if v is not None})
    return path


class TestMotionNpz:
    def test_round_trip_is_exact(self, full_motion, tmp_path, assert_same):
        write_motion(tmp_path / "m.npz", full_motion)
        assert_same(read_motion(tmp_path / "m.npz"), full_motion)
        assert read_camera(tmp_path / "m.npz") is None

    def test_camera_round_trip_leaves_the_notes_alone(
        self, full_motion, camera, tmp_path, assert_same
    ):
        write_motion(tmp_path / "m.npz", full_motion, camera=camera)
        again = read_camera(tmp_path / "m.npz")
        assert (again.width, again.height) == (camera.width, camera.height)
        for name in ("K", "R_w2c", "t_w2c"):
            assert torch.equal(getattr(again, name), getattr(camera, name))
        assert_same(read_motion(tmp_path / "m.npz"), full_motion)

    def test_the_documented_schema(self, full_motion, camera, tmp_path):
        write_motion(tmp_path / "m.npz", full_motion, camera=camera)
        T = len(full_motion)
        with np.load(tmp_path / "m.npz") as file:
            shapes = {key: file[key].shape for key in file.files}
            assert int(file["version"]) == 1
        assert shapes == {
            "version": (), "fps": (), "times": (T,), "body_id": (), "body_sha256": (),
            "joints_present": (55,), "global_orient": (T, 3), "body_pose": (T, 63),
            "left_hand_pose": (T, 45), "right_hand_pose": (T, 45), "jaw_pose": (T, 3),
            "leye_pose": (T, 3), "reye_pose": (T, 3), "betas": (10,), "expression": (T, 10),
            "transl": (T, 3), "confidence": (T, 55), "contact": (T, 2), "shot_id": (T,),
            "K": (T, 3, 3), "R_w2c": (T, 3, 3), "t_w2c": (T, 3), "meta": (),
        }  # fmt: skip

    def test_without_shots_and_cameras_their_keys_are_left_out(self, motion, tmp_path):
        write_motion(tmp_path / "m.npz", motion)
        with np.load(tmp_path / "m.npz") as file:
            assert not {"shot_id", "K", "R_w2c", "t_w2c"} & set(file.files)

    def test_no_frames(self, motion, tmp_path, assert_same):
        write_motion(tmp_path / "m.npz", motion[:0])
        assert_same(read_motion(tmp_path / "m.npz"), motion[:0])

    def test_a_camera_of_another_length_is_refused(self, motion, camera, tmp_path):
        with pytest.raises(UsageError, match="camera has 3 frames, the motion 40"):
            write_motion(tmp_path / "m.npz", motion, camera=camera[:3])
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("key", ["times", "body_pose", "betas", "confidence", "fps"])
    def test_a_missing_key_is_named(self, motion, tmp_path, key):
        write_motion(tmp_path / "m.npz", motion)
        with pytest.raises(FileFormatError, match=f"lacks the key {key}"):
            read_motion(changed(tmp_path / "m.npz", **{key: None}))

    def test_a_later_version_is_refused(self, motion, tmp_path):
        write_motion(tmp_path / "m.npz", motion)
        with pytest.raises(FileFormatError, match="is version 2 of motion"):
            read_motion(changed(tmp_path / "m.npz", version=np.array(2)))

    def test_half_a_camera_is_refused(self, motion, camera, tmp_path):
        write_motion(tmp_path / "m.npz", motion, camera=camera)
        with pytest.raises(FileFormatError, match="lacks the key t_w2c"):
            read_camera(changed(tmp_path / "m.npz", t_w2c=None))


class TestAmass:
    def test_round_trip(self, motion, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        again = read_amass(tmp_path / "a.npz")
        assert torch.equal(again.rotvec, motion.rotvec)
        assert torch.equal(again.transl, motion.transl)
        assert torch.equal(again.betas, motion.betas)
        assert (again.fps, again.body_id) == (motion.fps, motion.body_id)
        assert again.joints_present.all()

    def test_the_keys_others_look_for(self, motion, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        T = len(motion)
        with np.load(tmp_path / "a.npz") as file:
            assert str(file["surface_model_type"]) == "smplx"
            assert str(file["gender"]) == "neutral"
            assert float(file["mocap_frame_rate"]) == 30.0
            sizes = {"root_orient": 3, "pose_body": 63, "pose_hand": 90, "pose_jaw": 3,
                     "pose_eye": 6, "trans": 3, "poses": 165}  # fmt: skip
            for key, size in sizes.items():
                assert file[key].shape == (T, size), key
            assert file["betas"].shape == (16,)

    def test_old_keys(self, motion, tmp_path):
        rotvec = motion.rotvec.clone()
        rotvec[:, 22:25] = 0
        poses = torch.cat((rotvec[:, :22], rotvec[:, 25:]), 1).reshape(len(motion), 156)
        betas = np.concatenate((motion.betas.numpy(), np.ones(6)))
        np.savez(
            tmp_path / "old.npz", poses=poses.double().numpy(), trans=motion.transl.numpy(),
            betas=betas, mocap_framerate=np.array(120.0), gender=np.array(b"female"),
            dmpls=np.zeros((len(motion), 8)),
        )  # fmt: skip
        again = read_amass(tmp_path / "old.npz")
        assert torch.equal(again.rotvec, rotvec)
        assert again.fps == 120.0
        assert again.body_id == "smplh_female"
        assert again.meta["betas_cut"] == 6
        assert not again.joints_present[22:25].any() and again.joints_present[25:].all()

    def test_trans_is_the_transl_of_smplx(self, motion, body, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        with np.load(tmp_path / "a.npz") as file:
            trans, betas = torch.from_numpy(file["trans"]), torch.from_numpy(file["betas"][:10])
        pelvis = body.joints_of(motion)[:, 0]
        torch.testing.assert_close(trans + body.rest_joints(betas)[0], pelvis)

    def test_onto_another_body_shape_is_dropped_and_soles_stand(self, motion, body, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        path = changed(tmp_path / "a.npz", body_id=np.array("smplx_neutral"), body_sha256=None)
        moved = read_amass(path, body=body)
        assert moved.body_id == body.body_id
        assert not moved.betas.any()
        assert torch.equal(moved.rotvec, motion.rotvec)
        # The other body's leg is not known: mocap's own is taken.
        scale = float(body.leg_length()) / 0.855
        torch.testing.assert_close(moved.transl.diff(dim=0), scale * motion.transl.diff(dim=0))
        stance = stance_sole_height(body.joints_of(moved), sole=body.sole_offset(), fps=moved.fps)
        assert abs(float(stance)) < 1e-4
        (note,) = moved.meta["notes"]
        assert f"path scaled by {scale:.3f} (legs of 0.803 m for 0.855 m)" in note
        assert read_amass(path).body_id == "smplx_neutral"

    def test_hands_are_flat_unless_said_otherwise(self, motion, body, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        means = body.hand_means.reshape(-1)
        assert means.any()
        for hands, added in ((None, 0.0), ("flat", 0.0), ("mean", 1.0)):
            again = read_amass(tmp_path / "a.npz", body=body, hands=hands)
            expected = motion.rotvec[:, 25:].flatten(1) + added * means
            torch.testing.assert_close(again.rotvec[:, 25:].flatten(1), expected)
        path = changed(tmp_path / "a.npz", flat_hand_mean=np.array(False))
        again = read_amass(path, body=body)
        torch.testing.assert_close(again.rotvec[:, 25:].flatten(1), expected)

    def test_the_users_body_keeps_its_shape(self, motion, other_body, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        path = changed(tmp_path / "a.npz", body_id=None)
        theirs = replace(other_body, body_id="SMPL-X:SMPLX_NEUTRAL")
        kept = read_amass(path, body=theirs)
        assert torch.equal(kept.betas, motion.betas) and torch.equal(kept.transl, motion.transl)
        woman = replace(other_body, body_id="SMPL-X:SMPLX_FEMALE")
        assert not read_amass(path, body=woman).betas.any()
        man = changed(path, gender=np.array("male"))
        assert not read_amass(man, body=woman).betas.any(), "male is not part of female"

    def test_gender_as_a_python_object_is_passed_over(self, motion, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        path = changed(tmp_path / "a.npz", gender=np.array("male", dtype=object), body_id=None)
        assert read_amass(path).body_id == "smplx_neutral"

    def test_two_statements_are_refused(self, motion, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        with np.load(tmp_path / "a.npz") as file:
            poses = file["poses"] + 0.1
        with pytest.raises(FileFormatError, match="poses and root_orient say different things"):
            read_amass(changed(tmp_path / "a.npz", poses=poses))
        path = changed(tmp_path / "a.npz", poses=None, mocap_framerate=np.array(60.0))
        with pytest.raises(FileFormatError, match="two frame rates"):
            read_amass(path)

    def test_no_rate_is_refused(self, motion, tmp_path):
        write_amass(tmp_path / "a.npz", motion)
        with pytest.raises(FileFormatError, match="mocap_frame_rate"):
            read_amass(changed(tmp_path / "a.npz", mocap_frame_rate=None))

    def test_a_variable_rate_is_resampled(self, motion, tmp_path):
        times = motion.times.clone()
        times[20:] += 1.0
        write_amass(tmp_path / "a.npz", replace(motion, times=times))
        assert len(read_amass(tmp_path / "a.npz")) == len(motion) + 30


class TestSmplxParams:
    def test_round_trip(self, full_motion, tmp_path):
        write_smplx_params(tmp_path / "p.npz", full_motion)
        again = read_smplx_params(tmp_path / "p.npz")
        for name in ("rotvec", "betas", "expression", "transl", "fps"):
            a, b = getattr(again, name), getattr(full_motion, name)
            assert a == b if name == "fps" else torch.equal(a, b), name

    def test_smplx_takes_the_arrays_as_they_are(self, full_motion, body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", full_motion)
        with np.load(tmp_path / "p.npz") as file:
            arrays = {k: file[k] for k in file.files if k in smplx_params.KEYS}
        not_smplx = {"fps", "flat_hand_mean", "body_id", "body_sha256", "note"}
        arguments = {k: torch.from_numpy(v) for k, v in arrays.items() if k not in not_smplx}
        joints = body(**arguments).joints
        torch.testing.assert_close(joints, body.joints_of(full_motion))

    def test_it_comes_back_on_the_same_body(self, full_motion, body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", full_motion)
        again = read_smplx_params(tmp_path / "p.npz", body=body)
        assert torch.equal(body.joints_of(again), body.joints_of(full_motion))
        assert (again.body_id, again.body_sha256) == (body.body_id, body.sha256)
        assert not any("put onto" in note for note in again.meta["notes"])

    def test_shape_of_a_body_that_is_not_smplx_is_said_to_be_its_own(self, full_motion, tmp_path):
        write_smplx_params(tmp_path / "p.npz", full_motion)
        with np.load(tmp_path / "p.npz") as file:
            assert str(file["body_id"]) == full_motion.body_id and bool(file["flat_hand_mean"])
            assert "on SMPL-X they mean nothing" in str(file["note"])
        for theirs in (
            replace(full_motion, body_id="smplx_male"),
            replace(full_motion, body_id="SMPL-X:SMPLX_MALE"),
            replace(full_motion, betas=torch.zeros(10), expression=0 * full_motion.expression),
        ):
            write_smplx_params(tmp_path / "p.npz", theirs)
            with np.load(tmp_path / "p.npz") as file:
                assert "note" not in file.files

    def test_other_meanings_of_our_keys_are_passed_over(self, motion, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        path = changed(tmp_path / "p.npz", body_id=np.arange(3), body_sha256=np.array([{}]),
                       note=None)  # fmt: skip
        assert read_smplx_params(path).body_id == "smplx"

    def test_mean_hands_become_flat_ones(self, motion, body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        path = changed(tmp_path / "p.npz", flat_hand_mean=np.array(False))
        again = read_smplx_params(path, body=body)
        assert body.hand_means.any()
        for name, mean in zip(("left_hand_pose", "right_hand_pose"), body.hand_means, strict=True):
            torch.testing.assert_close(getattr(again, name), getattr(motion, name) + mean)
        assert torch.equal(again.rotvec[:, :25], motion.rotvec[:, :25])
        assert any(f"that of body {body.body_id} was added" in n for n in again.meta["notes"])
        with pytest.raises(UsageError, match="says flat_hand_mean=False, so its hands are mean"):
            read_smplx_params(path, body=body, hands="flat")
        changed(path, flat_hand_mean=np.array(2))
        with pytest.raises(FileFormatError, match="flat_hand_mean is 2"):
            read_smplx_params(path, body=body)

    def test_mean_hands_of_a_file_that_does_not_say(self, motion, body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        path = changed(tmp_path / "p.npz", flat_hand_mean=None)
        flat, mean = (read_any(path, body=body, hands=hands) for hands in (None, "mean"))
        assert torch.equal(flat.left_hand_pose, motion.left_hand_pose)
        torch.testing.assert_close(mean.left_hand_pose, motion.left_hand_pose + body.hand_means[0])
        changed(path, left_hand_pose=None)
        one = read_any(path, body=body, hands="mean")
        assert not one.left_hand_pose.any() and not one.joints_present[25:40].any()
        changed(path, right_hand_pose=None)
        with pytest.raises(UsageError, match="holds no hands"):
            read_any(path, body=body, hands="mean")

    def test_without_a_mean_hand_fingers_are_left_out(self, motion, body, other_body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        path = changed(tmp_path / "p.npz", flat_hand_mean=np.array(False))
        assert not other_body.hand_means.any()
        for given in (None, other_body):
            again = read_smplx_params(path, body=given)
            assert not again.rotvec[:, 25:].any() and not again.joints_present[25:].any()
            assert not again.confidence[:, 25:].any()
            assert any("fingers are left out" in note for note in again.meta["notes"])

    @pytest.mark.parametrize("shape", [(4, 0), (0, 10), (0,), (2, 2, 0)], ids=str)
    def test_betas_without_numbers(self, motion, tmp_path, shape):
        write_smplx_params(tmp_path / "p.npz", motion)
        with pytest.raises(FileFormatError, match=r"betas has shape .* which holds no shape"):
            read_smplx_params(changed(tmp_path / "p.npz", betas=np.zeros(shape)))

    def test_no_frames(self, motion, body, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        with np.load(tmp_path / "p.npz") as file:
            none = {k: file[k][:0] for k in file.files if file[k].shape[:1] == (len(motion),)}
        for betas in (np.zeros((0, 10)), np.ones((1, 10))):
            path = changed(tmp_path / "p.npz", **none, betas=betas, body_id=None)
            assert len(read_smplx_params(path, body=body)) == 0
        with pytest.raises(UsageError, match="no frames; a parameter npz needs at least one"):
            write_smplx_params(tmp_path / "none.npz", motion[:0])

    def test_without_rate_30_is_taken_and_noted(self, motion, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        with pytest.raises(UsageError, match="says 30 fps; leave --fps 25 out"):
            read_smplx_params(tmp_path / "p.npz", fps=25.0)
        again = read_smplx_params(changed(tmp_path / "p.npz", fps=None))
        assert again.fps == 30.0
        assert any("fps is not stated" in note for note in again.meta["notes"])
        again = read_smplx_params(tmp_path / "p.npz", fps=25.0)
        assert again.fps == 25.0
        assert not any("fps" in note for note in again.meta["notes"])

    def test_joints_in_a_dimension_of_their_own_and_smpl_poses(self, motion, tmp_path):
        T = len(motion)
        pose = motion.body_pose.numpy()
        np.savez(
            tmp_path / "p.npz", global_orient=motion.global_orient.numpy()[:, None],
            body_pose=np.concatenate((pose, np.zeros((T, 6))), 1), betas=np.ones((T, 10)),
            transl=motion.transl.numpy(),
        )  # fmt: skip
        again = read_smplx_params(tmp_path / "p.npz")
        assert torch.equal(again.body_pose, motion.body_pose)
        assert torch.equal(again.global_orient, motion.global_orient)
        assert torch.equal(again.betas, torch.ones(10))
        assert again.joints_present.nonzero()[:, 0].tolist() == list(range(22))

    def test_pca_hands_and_changing_shapes_are_refused(self, motion, tmp_path):
        write_smplx_params(tmp_path / "p.npz", motion)
        with pytest.raises(FileFormatError, match=r"left_hand_pose .* PCA"):
            read_smplx_params(
                changed(tmp_path / "p.npz", left_hand_pose=np.zeros((len(motion), 12)))
            )
        write_smplx_params(tmp_path / "p.npz", motion)
        with pytest.raises(FileFormatError, match="betas differ between frames"):
            read_smplx_params(changed(tmp_path / "p.npz", betas=np.eye(10)))


@pytest.mark.parametrize("joint_set", ["coco_17", "mediapipe_543"])
@pytest.mark.parametrize("with_xyz", [False, True])
def test_keypoints_npz_round_trip(make_keypoints, tmp_path, joint_set, with_xyz):
    keypoints = make_keypoints(joint_set)
    if with_xyz:
        xyz = torch.randn(*keypoints.confidence.shape, 3)
        keypoints = replace(keypoints, xyz=xyz)
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    again = read_keypoints_npz(tmp_path / "k.npz")
    for name in ("xy", "confidence", "times"):
        assert torch.equal(getattr(again, name), getattr(keypoints, name))
    assert (again.width, again.height, again.joint_set) == (640, 480, joint_set)
    assert torch.equal(again.xyz, xyz) if with_xyz else again.xyz is None
