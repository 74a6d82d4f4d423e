"""BVH: exact round trip of our own, other programs' skeletons, a slow reader of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.io import read_bvh, write_bvh
from humanmotion.io.axes import turn_up
from humanmotion.io.bvh_text import parse_bvh
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.rotations import rotvec_to_matrix

BAR_METRES = 1e-4


def worst(body, a, b) -> float:
    return float((body.joints_of(a) - body.joints_of(b)).norm(dim=-1).max())


def naive_positions(path):
    """Joint name to positions `(T, 3)` in the file's units; a slow reader of its own."""
    words = path.read_text().split()
    stack, joints, at = [], [], words.index("MOTION")
    i = 0
    while i < at:
        if words[i] in ("ROOT", "JOINT"):
            joints.append({"name": words[i + 1], "parent": stack[-1] if stack else None})
        elif words[i] == "End":
            joints.append({"name": None, "parent": stack[-1], "channels": []})
        elif words[i] == "{":
            stack.append(len(joints) - 1)
        elif words[i] == "}":
            stack.pop()
        elif words[i] == "OFFSET":
            joints[-1]["offset"] = np.array(words[i + 1 : i + 4], float)
        elif words[i] == "CHANNELS":
            joints[-1]["channels"] = words[i + 2 : i + 2 + int(words[i + 1])]
        i += 1
    frames = int(words[at + 2])
    rows = np.array(words[at + 6 :], float).reshape(frames, -1)
    out = {joint["name"]: [] for joint in joints if joint["name"]}
    for row in rows:
        numbers, placed = iter(row), []
        for joint in joints:
            R, move = np.eye(3), joint["offset"].copy()
            for channel in joint["channels"]:
                value, axis = next(numbers), "XYZ".index(channel[0])
                if channel.endswith("position"):
                    move[axis] = value
                    continue
                c, s = math.cos(math.radians(value)), math.sin(math.radians(value))
                a, b = (axis + 1) % 3, (axis + 2) % 3
                turn = np.eye(3)
                turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
                R = R @ turn
            if joint["parent"] is not None:
                before_R, before = placed[joint["parent"]]
                move, R = before + before_R @ move, before_R @ R
            placed.append((R, move))
            if joint["name"]:
                out[joint["name"]].append(move)
    return {name: np.array(track) for name, track in out.items()}


class TestOurOwn:
    @pytest.mark.parametrize("centimetres", [True, False])
    def test_round_trip(self, motion, body, tmp_path, centimetres):
        write_bvh(tmp_path / "m.bvh", motion, body, centimetres=centimetres)
        again = read_bvh(tmp_path / "m.bvh", body=body)
        assert worst(body, motion, again) < BAR_METRES / 10
        torch.testing.assert_close(again.betas, motion.betas, atol=2e-3, rtol=0)
        assert again.joints_present.all() and again.fps == 30.0
        assert again.body_id == body.body_id

    def test_with_a_users_body(self, make_motion, other_body, tmp_path):
        motion = make_motion(other_body)
        write_bvh(tmp_path / "m.bvh", motion, other_body)
        again = read_bvh(tmp_path / "m.bvh", body=other_body)
        assert worst(other_body, motion, again) < BAR_METRES / 10

    def test_real_clips(self, mocap, body, tmp_path):
        for motion in mocap:
            write_bvh(tmp_path / "m.bvh", motion, body)
            again = read_bvh(tmp_path / "m.bvh", body=body)
            assert worst(body, motion, again) < BAR_METRES / 10
            file = parse_bvh(tmp_path / "m.bvh")
            movement = torch.from_numpy(np.unwrap(file.values[:, 3:].numpy(), period=360, axis=0))
            assert float(movement.diff(dim=0).abs().max()) < 90
            assert torch.equal(movement, file.values[:, 3:])

    def test_a_slow_reader_finds_the_joints_where_the_body_has_them(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion[:5], body)
        theirs = naive_positions(tmp_path / "m.bvh")
        ours = turn_up(body.joints_of(motion[:5]), "y").numpy() * 100
        assert list(theirs) and set(theirs) == set(SMPLX_JOINTS)
        for joint, name in enumerate(SMPLX_JOINTS):
            np.testing.assert_allclose(theirs[name], ours[:, joint], atol=100 * BAR_METRES / 10)

    def test_it_rests_in_a_t_pose_facing_z(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion, body)
        rest = dict(zip(*(lambda f: (f.skeleton.names, f.rest()))(parse_bvh(tmp_path / "m.bvh")),
                        strict=True))  # fmt: skip
        arm = rest["left_wrist"] - rest["left_shoulder"]
        assert arm[0] / arm.norm() > 0.98, "left arm along +x"
        leg = rest["left_ankle"] - rest["left_hip"]
        assert leg[1] / leg.norm() < -0.98, "legs down"
        foot = rest["left_foot"] - rest["left_ankle"]
        assert foot[2] > 0, "toes to +z"
        assert torch.equal(rest["pelvis"], torch.zeros(3, dtype=torch.float64))

    def test_standing_upright_has_zero_angles(self, motion, body, tmp_path):
        still = motion.with_rotations(torch.eye(3).expand(len(motion), 55, 3, 3).clone())
        still = replace(
            still, global_orient=torch.tensor((math.pi / 2, 0, 0)).repeat(len(motion), 1)
        )
        write_bvh(tmp_path / "m.bvh", still, body)
        assert parse_bvh(tmp_path / "m.bvh").values[:, 3:].abs().max() < 1e-4

    def test_a_face_shifts_only_the_joints_above_the_chest(self, full_motion, body, tmp_path):
        moving = replace(full_motion, times=torch.arange(len(full_motion)).double() / 30)
        rng = torch.Generator().manual_seed(0)
        moving = replace(moving, expression=1.5 * torch.randn(len(moving), 10, generator=rng))
        write_bvh(tmp_path / "m.bvh", moving, body)
        again = read_bvh(tmp_path / "m.bvh", body=body)
        still = replace(moving, expression=torch.zeros_like(moving.expression))
        assert worst(body, still, again) < BAR_METRES / 10, "the body with a still face"
        gap = (body.joints_of(moving) - body.joints_of(again)).norm(dim=-1).amax(0)
        shifted = {name for name, x in zip(SMPLX_JOINTS, gap.tolist(), strict=True) if x > 1e-5}
        assert shifted == {"neck", "head", "jaw", "left_eye_smplhf", "right_eye_smplhf"}
        assert float(gap.max()) < 0.6e-3

    def test_blocks_leave_no_seam(self, motion, body, tmp_path, monkeypatch):
        write_bvh(tmp_path / "whole.bvh", motion, body)
        monkeypatch.setattr("humanmotion.io.bvh._BLOCK", 7)
        write_bvh(tmp_path / "parts.bvh", motion, body)
        assert (tmp_path / "parts.bvh").read_text() == (tmp_path / "whole.bvh").read_text()

    def test_a_variable_rate_is_resampled(self, motion, body, tmp_path):
        times = motion.times.clone()
        times[20:] += 0.5
        write_bvh(tmp_path / "m.bvh", replace(motion, times=times), body)
        assert len(parse_bvh(tmp_path / "m.bvh").values) == len(motion) + 15

    def test_no_frames(self, motion, body, tmp_path):
        with pytest.raises(UsageError, match="no frames; BVH needs at least one"):
            write_bvh(tmp_path / "m.bvh", motion[:0], body)


MIXAMO = {
    "pelvis": "mixamorig:Hips", "spine1": "mixamorig:Spine", "spine2": "mixamorig:Spine1",
    "spine3": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase", "collar": "Shoulder",
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
DAZ = {
    "pelvis": "hip", "spine1": "abdomen", "spine3": "chest", "neck": "neck", "head": "head",
    "hip": "Thigh", "knee": "Shin", "ankle": "Foot", "foot": "Toe", "collar": "Collar",
    "shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
UNREAL = {
    "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03",
    "neck": "neck_01", "head": "head", "hip": "thigh", "knee": "calf", "ankle": "foot",
    "foot": "ball", "collar": "clavicle", "shoulder": "upperarm", "elbow": "lowerarm",
    "wrist": "hand",
}  # fmt: skip
SHORT_SMPL = {
    "pelvis": "Pelvis", "spine1": "Spine1", "spine2": "Spine2", "spine3": "Spine3", "neck": "Neck",
    "head": "Head", "hip": "Hip", "knee": "Knee", "ankle": "Ankle", "foot": "Foot",
    "collar": "Collar", "shoulder": "Shoulder", "elbow": "Elbow", "wrist": "Wrist",
}  # fmt: skip
NAMINGS = {
    "mixamo": (MIXAMO, "mixamorig:{Side}{word}"), "daz": (DAZ, "{s}{word}"),
    "unreal": (UNREAL, "{word}_{s}"), "smpl": (SHORT_SMPL, "{S}_{word}"),
}  # fmt: skip


def renamed(text: str, naming: str) -> str:
    words, pattern = NAMINGS[naming]
    out = []
    for line in text.splitlines():
        kind, _, name = line.strip().partition(" ")
        if kind in ("ROOT", "JOINT"):
            side, _, part = name.partition("_")
            if part in words and side in ("left", "right"):
                new = pattern.format(Side=side.title(), s=side[0], S=side[0].upper(),
                                     word=words[part])  # fmt: skip
            else:
                new = words.get(name, f"extra_{name}")
            line = line.replace(name, new)
        out.append(line)
    return "\n".join(out) + "\n"


class TestOthers:
    @pytest.mark.parametrize("naming", NAMINGS)
    def test_names_of_other_programs(self, motion, body, tmp_path, naming):
        plain = replace(motion, betas=torch.zeros(10))
        write_bvh(tmp_path / "m.bvh", plain, body)
        text = renamed((tmp_path / "m.bvh").read_text(), naming)
        (tmp_path / "n.bvh").write_text(text)
        again = read_bvh(tmp_path / "n.bvh", body=body)
        found = again.joints_present[:22]
        assert found.sum() >= (22 if naming != "daz" else 21), "all body joints are found"
        # Same rest pose and proportions: the joints coincide up to the floor's height.
        gap = (body.joints_of(plain) - body.joints_of(again))[:, :22]
        known = gap[:, found]
        known = known - known[..., 2].mean() * torch.tensor((0.0, 0.0, 1.0))
        if naming != "daz":
            assert float(known.norm(dim=-1).max()) < BAR_METRES

    @pytest.mark.parametrize("scale", [0.01, 1 / 2.54, 10.0, 0.45 / 2.54])
    def test_units_do_not_matter(self, motion, body, tmp_path, scale):
        write_bvh(tmp_path / "m.bvh", motion, body)
        text = renamed((tmp_path / "m.bvh").read_text(), "mixamo")
        (tmp_path / "n.bvh").write_text(scaled(text, scale))
        (tmp_path / "cm.bvh").write_text(text)
        a = read_bvh(tmp_path / "n.bvh", body=body)
        b = read_bvh(tmp_path / "cm.bvh", body=body)
        assert worst(body, a, b) < BAR_METRES

    def test_an_a_pose_at_rest_keeps_the_bones_directions(self, motion, body, tmp_path):
        # Their arms hang 45 degrees at rest, so the same movement has other angles in the file.
        write_bvh(tmp_path / "m.bvh", motion, body)
        (tmp_path / "n.bvh").write_text(
            with_arms_down(renamed((tmp_path / "m.bvh").read_text(), "mixamo"))
        )
        file = parse_bvh(tmp_path / "n.bvh")
        theirs, _ = file.posed()
        ours = body.joints_of(read_bvh(tmp_path / "n.bvh", body=body))
        bones = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
        for side in ("left", "right"):
            for upper, lower in bones:
                a, b = (
                    turn_up(theirs[:, file.skeleton.names.index(
                        f"mixamorig:{side.title()}{MIXAMO[part]}")], "z").float()
                    for part in (upper, lower)
                )  # fmt: skip
                c, d = (ours[:, SMPLX_JOINTS.index(f"{side}_{part}")] for part in (upper, lower))
                cosine = torch.nn.functional.cosine_similarity(b - a, d - c)
                assert float(cosine.min()) > 1 - 1e-6, (side, upper)

    def test_z_up_files_are_noticed(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion, body)
        text = renamed((tmp_path / "m.bvh").read_text(), "mixamo")
        (tmp_path / "y.bvh").write_text(text)
        (tmp_path / "z.bvh").write_text(swapped_to_z_up(text))
        a, b = (read_bvh(tmp_path / f"{up}.bvh", body=body) for up in "yz")
        assert worst(body, a, b) < BAR_METRES
        assert any("z up" in note for note in b.meta["notes"])

    def test_channel_order_is_the_files_own(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion, body)
        file = parse_bvh(tmp_path / "m.bvh")
        head, _, tail = (tmp_path / "m.bvh").read_text().partition("MOTION\n")
        lines = tail.splitlines()
        # The same rotations as XYZ angles, from matrices.
        _, R = file.posed()
        rows = []
        for frame, row in enumerate(file.values.tolist()):
            cells = row[:3]
            for joint, parent in enumerate(file.skeleton.parents):
                local = R[frame, joint] if parent < 0 else R[frame, parent].T @ R[frame, joint]
                y = math.asin(max(-1.0, min(1.0, float(local[0, 2]))))
                x = math.atan2(-local[1, 2], local[2, 2])
                z = math.atan2(-local[0, 1], local[0, 0])
                cells += [math.degrees(v) for v in (x, y, z)]
            rows.append(" ".join(f"{c:.7f}" for c in cells))
        head = head.replace("Yrotation Zrotation Xrotation", "Xrotation Yrotation Zrotation")
        (tmp_path / "x.bvh").write_text("\n".join((f"{head}MOTION", *lines[:2], *rows)) + "\n")
        assert worst(body, motion, read_bvh(tmp_path / "x.bvh", body=body)) < BAR_METRES

    def test_without_position_channels_it_stays_in_place(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion, body)
        head, _, tail = (tmp_path / "m.bvh").read_text().partition("MOTION\n")
        head = head.replace("6 Xposition Yposition Zposition ", "3 ")
        lines = tail.splitlines()
        rows = [line.split(" ", 3)[3] for line in lines[2:]]
        (tmp_path / "n.bvh").write_text("\n".join((f"{head}MOTION", *lines[:2], *rows)) + "\n")
        again = read_bvh(tmp_path / "n.bvh", body=body)
        assert float((again.transl - again.transl[:1]).abs().max()) < 1e-6
        assert any("no position channels" in note for note in again.meta["notes"])

    def test_frame_times_with_few_digits(self, motion, body, tmp_path):
        write_bvh(tmp_path / "m.bvh", motion, body)
        text = (tmp_path / "m.bvh").read_text()
        for digits, fps in (
            ("0.033333", 30.0), ("0.0083333", 120.0), ("0.0416667", 24.0), ("0.016667", 60.0),
            ("0.008333", 120.0), ("0.016666", 60.0), ("0.0166670000", 60.0), ("0.0333", 30.0),
            ("1.6667e-02", 60.0), ("0.033367", 30000 / 1001), ("0.0417", 24.0), ("0.1", 10.0),
            ("0.04", 25.0), ("1", 1.0), ("0.0125", 80.0), ("0.03", 33.333), ("0.0285714", 35.0),
        ):  # fmt: skip
            new = text.replace("Frame Time: 0.0333333333", f"Frame Time: {digits}")
            assert new != text
            (tmp_path / "n.bvh").write_text(new)
            assert read_bvh(tmp_path / "n.bvh", body=body).fps == pytest.approx(fps, abs=1e-4)

    def test_not_a_person(self, tmp_path, body):
        (tmp_path / "n.bvh").write_text(
            "HIERARCHY\nROOT box\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation\n"
            "End Site\n{\nOFFSET 0 1 0\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.1\n0 0 0\n"
        )
        with pytest.raises(FileFormatError, match="no joint found for pelvis, left_hip"):
            read_bvh(tmp_path / "n.bvh", body=body)


def scaled(text: str, factor: float) -> str:
    """A BVH's text with lengths multiplied."""
    out, moving = [], False
    for line in text.splitlines():
        if line.strip().startswith("OFFSET"):
            pad, _, rest = line.partition("OFFSET ")
            line = f"{pad}OFFSET " + " ".join(f"{float(v) * factor:.9f}" for v in rest.split())
        elif moving:
            cells = [float(v) for v in line.split()]
            line = " ".join(f"{v:.9f}" for v in [c * factor for c in cells[:3]] + cells[3:])
        moving = moving or line.startswith("Frame Time")
        out.append(line)
    return "\n".join(out) + "\n"


def rewritten(text: str, place, channels) -> str:
    """A BVH's text with `place(name, offset, depth names)` offsets and new rotation channels."""
    file_lines, names = text.splitlines(), []
    out = []
    for line in file_lines:
        kind, _, rest = line.strip().partition(" ")
        if kind in ("ROOT", "JOINT"):
            names.append(rest)
        if kind == "OFFSET":
            offset = place(names[-1], np.array(rest.split(), float))
            line = line[: line.index("OFFSET")] + "OFFSET " + " ".join(f"{v:.8f}" for v in offset)
        out.append(line)
    at = next(i for i, line in enumerate(out) if line.startswith("Frame Time")) + 1
    rows = [channels(np.array(line.split(), float)) for line in out[at:]]
    return "\n".join(out[:at] + [" ".join(f"{v:.8f}" for v in row) for row in rows]) + "\n"


def with_arms_down(text: str) -> str:
    """Their arms rest 45 degrees lower; angles are kept, so the figure moves differently."""
    s = math.sqrt(0.5)
    down = {"Left": np.array([[s, s, 0], [-s, s, 0], [0, 0, 1]]),
            "Right": np.array([[s, -s, 0], [s, s, 0], [0, 0, 1]])}  # fmt: skip

    def place(name, offset):
        for side, turn in down.items():
            if any(name.endswith(side + part) for part in ("ForeArm", "Hand")):
                return turn @ offset
        return offset

    return rewritten(text, place, lambda row: row)


def swapped_to_z_up(text: str) -> str:
    """The same figure in a z-up world: offsets, path and rotation axes (x, y, z) -> (x, -z, y)."""

    def row(values):
        x, y, z = values[:3]
        # Ry Rz Rx about the old axes is Rz(y) Ry(-z) Rx about the new: channels are renamed too.
        angles = values[3:].reshape(-1, 3) * (1, -1, 1)
        return np.concatenate(((x, -z, y), angles.reshape(-1)))

    def place(name, offset):
        return np.array((offset[0], -offset[2], offset[1]))

    new = rewritten(text, place, row)
    return new.replace("Yrotation Zrotation Xrotation", "Zrotation Yrotation Xrotation")


def test_rotations_of_the_test_helpers_are_right():
    # Rz(a) in y-up axes is a turn about -y of the z-up world.
    turn = turn_up(turn_up(rotvec_to_matrix(torch.tensor((0.0, 0.0, 0.3))), "z").mT, "z").mT
    torch.testing.assert_close(turn, rotvec_to_matrix(torch.tensor((0.0, -0.3, 0.0))))
