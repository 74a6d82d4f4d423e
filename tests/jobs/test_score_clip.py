"""What a clip is read as, from every format; and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from humanmotion.errors import InputError, UsageError
from humanmotion.io.bvh import write_bvh
from humanmotion.io.joints_csv import write_joints_csv
from humanmotion.io.npz import write_motion
from humanmotion.io.trc import write_trc
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.score_clip import ReadOptions, read_clip
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.mbench_joints import joint_metrics

CORRECTED, RELEASED = ReadOptions(), ReadOptions(mode="released")


@pytest.fixture(scope="module")
def walk(body):
    return walking_motion(body, seconds=3.0)


@pytest.fixture(scope="module")
def joints(walk, body):
    """(T, 22, 3) at 20 fps, y up, as the benchmark's files are."""
    x, y, z = body.joints_of(walk.resample(20.0))[:, :22].unbind(-1)
    return torch.stack((-x, z, y), -1).numpy()


def _metrics(path, options=CORRECTED):
    clip = read_clip(path, options)
    values = joint_metrics(clip.joints, mode=options.mode, scene=clip.scene)
    return {name: found.value for name, found in values.items()}


def _npy(tmp_path, array):
    path = tmp_path / "clip.npy"
    np.save(path, array)
    return path


def test_every_format_of_one_motion_scores_alike(tmp_path, walk, body, joints):
    write_motion(tmp_path / "a.npz", walk)
    write_bvh(tmp_path / "a.bvh", walk, body)
    write_trc(tmp_path / "a.trc", walk, body)
    write_joints_csv(tmp_path / "a.csv", walk, body)
    np.save(tmp_path / "a.npy", joints)
    truth = _metrics(tmp_path / "a.npz", ReadOptions(floor=0.0))
    for ending in ("bvh", "trc", "csv"):
        found = _metrics(tmp_path / f"a.{ending}", ReadOptions(floor=0.0))
        assert found == pytest.approx(truth, rel=0.02, abs=1e-4), ending
    # Rotations and joints are brought to 20 fps in two ways: SLERP here, a spline there.
    found = _metrics(tmp_path / "a.npy", ReadOptions(floor=0.0))
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=0.1, abs=1e-3), name


def test_released_mode_scores_what_the_benchmark_would_be_handed(tmp_path, walk, joints):
    write_motion(tmp_path / "a.npz", walk)
    here = _metrics(tmp_path / "a.npz", RELEASED)
    assert here == pytest.approx(_metrics(_npy(tmp_path, joints), RELEASED), abs=1e-6)
    assert "Foot_Clearance" not in here


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("unit", [1.0, 100.0, 1000.0])
def test_way_up_and_units_are_found(tmp_path, joints, up, unit):
    truth = _metrics(_npy(tmp_path, joints))
    x, y, z = np.moveaxis(joints, -1, 0)
    turned = joints if up == "y" else np.stack((x, -z, y), -1)
    path = _npy(tmp_path, turned * unit)
    assert _metrics(path) == pytest.approx(truth, rel=1e-4, abs=1e-6)
    notes = read_clip(path, CORRECTED).notes
    assert any("metres" in note for note in notes) == (unit != 1.0)


def test_longer_sets_that_begin_with_ours_are_cut(tmp_path, joints):
    longer = np.concatenate((joints, joints[:, -2:]), 1)
    assert read_clip(_npy(tmp_path, longer), CORRECTED).joints.shape[1] == 22


def test_other_joint_orders_are_refused(tmp_path, joints):
    g = np.random.default_rng(0)
    swap = [SMPLX_JOINTS.index(
        re.sub("left|right", lambda m: {"left": "right", "right": "left"}[m[0]], name)
    ) for name in SMPLX_JOINTS[:22]]  # fmt: skip
    mirrored = joints * np.array((-1.0, 1, 1))
    for array, words in (
        (joints[:, :17], "17 joints, as H36M and COCO have"),
        (joints[:, :19], "19 joints"),
        (joints[:, g.permutation(22)], "order"),
        (joints[:, ::-1], "order"),
        (joints[:, swap], "swapped"),
        (mirrored, "mirrored"),
    ):
        with pytest.raises((InputError, UsageError), match=words):
            read_clip(_npy(tmp_path, array), CORRECTED)


def test_feet_in_other_units_are_named(tmp_path, joints):
    array = joints.copy()
    array[:, 10] *= 100
    with pytest.raises(UsageError, match=r"left_foot .* other units"):
        read_clip(_npy(tmp_path, array), CORRECTED)
    array = joints * 3.7
    with pytest.raises(UsageError, match="person's"):
        read_clip(_npy(tmp_path, array), CORRECTED)


def test_one_frame_is_a_clip_without_movement(tmp_path, joints):
    found = _metrics(_npy(tmp_path, joints[:1]))
    assert found["Jitter_Degree"] is None and found["Ground_Penetration"] is not None


def _csv(path, joints, names):
    head = ["time", *(f"{n}_{a}" for n in names for a in "xyz")]
    rows = [",".join(head)]
    for t, frame in enumerate(joints):
        cells = ("" if np.isnan(v) else f"{v:.6f}" for v in frame.reshape(-1))
        rows.append(",".join((f"{t / 20:.3f}", *cells)))
    path.write_text("\n".join(rows) + "\n")
    return path


class TestTracks:
    def _z_up(self, joints):
        x, y, z = np.moveaxis(joints, -1, 0)
        return np.stack((x, -z, y), -1)

    def test_names_of_other_programs_and_joints_that_are_missing(self, tmp_path, joints):
        named = {"hip_r": 2, "hip_l": 1, "knee_r": 5, "knee_l": 4, "ankle_r": 8, "ankle_l": 7,
                 "mtp_r": 11, "mtp_l": 10, "LShoulder": 16, "RShoulder": 17}  # fmt: skip
        here = self._z_up(joints)[:, list(named.values())]
        clip = read_clip(_csv(tmp_path / "a.csv", here, named), CORRECTED)
        # The pelvis is the middle of the hips.
        assert int(clip.scene.present.sum()) == 11
        assert "11 of 22 joints" in clip.notes[-1]
        values = joint_metrics(clip.joints, scene=clip.scene)
        assert all(found.value is not None for found in values.values())

    def test_without_feet_the_others_are_still_there(self, tmp_path, joints):
        keep = [i for i in range(22) if i not in (10, 11)]
        names = [SMPLX_JOINTS[i] for i in keep]
        clip = read_clip(_csv(tmp_path / "a.csv", self._z_up(joints)[:, keep], names), CORRECTED)
        values = joint_metrics(clip.joints, scene=clip.scene)
        assert values["Jitter_Degree"].value > 0
        assert "not in the clip" in values["Foot_Sliding"].reason

    def test_short_gaps_are_filled_and_long_ones_named(self, tmp_path, joints):
        here = self._z_up(joints).copy()
        here[10:12, 7] = np.nan
        clip = read_clip(_csv(tmp_path / "a.csv", here, SMPLX_JOINTS[:22]), CORRECTED)
        assert np.abs(clip.joints[10:12, 7].numpy() - self._z_up(joints)[10:12, 7]).max() < 0.05
        here[10:30, 7] = np.nan
        with pytest.raises(UsageError, match=r"not seen for .* from frame 10"):
            read_clip(_csv(tmp_path / "a.csv", here, SMPLX_JOINTS[:22]), CORRECTED)

    def test_names_of_nobody_are_refused(self, tmp_path, joints):
        names = [f"marker{i}" for i in range(22)]
        with pytest.raises(UsageError, match="0 of the body's 22 joints"):
            read_clip(_csv(tmp_path / "a.csv", joints, names), CORRECTED)

    def test_released_mode_takes_no_tracks(self, tmp_path, joints):
        path = _csv(tmp_path / "a.csv", joints, SMPLX_JOINTS[:22])
        with pytest.raises(UsageError, match="--mode corrected"):
            read_clip(path, RELEASED)
