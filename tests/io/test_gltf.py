"""GLB read back by a reader of its own: json, struct and numpy, nothing shared with the writer."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.io import glb_bytes, write_glb
from humanmotion.rotations import rotvec_to_matrix

JOINT_BAR, VERTEX_BAR = 1e-4, 1e-3
TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)


class Glb:
    """A glTF player in as few lines as it takes."""

    def __init__(self, data: bytes) -> None:
        magic, version, size, json_size, json_kind = struct.unpack("<4sIII4s", data[:20])
        assert (magic, version, size, json_kind) == (b"glTF", 2, len(data), b"JSON")
        self.json = json.loads(data[20 : 20 + json_size])
        bin_size, bin_kind = struct.unpack("<I4s", data[20 + json_size : 28 + json_size])
        assert bin_kind == b"BIN\0"
        self.blob = data[28 + json_size : 28 + json_size + bin_size]
        self.nodes = self.json["nodes"]
        self.parent = {c: i for i, n in enumerate(self.nodes) for c in n.get("children", [])}

    def array(self, accessor: int) -> np.ndarray:
        a = self.json["accessors"][accessor]
        view = self.json["bufferViews"][a["bufferView"]]
        start = view.get("byteOffset", 0) + a.get("byteOffset", 0)
        assert start % 4 == 0
        dtype, width = DTYPES[a["componentType"]], TYPES[a["type"]]
        flat = np.frombuffer(self.blob, dtype, a["count"] * width, start)
        return flat.reshape(a["count"], width) if width > 1 else flat

    def channels(self):
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                assert sampler["interpolation"] == "LINEAR"
                yield (
                    channel["target"]["node"], channel["target"]["path"],
                    self.array(sampler["input"]), self.array(sampler["output"]),
                )  # fmt: skip

    def pose(self, time: float) -> list[dict]:
        """Each node's translation, rotation (xyzw) and weights at a time."""
        state = [
            {"translation": np.array(n.get("translation", (0, 0, 0)), float),
             "rotation": np.array(n.get("rotation", (0, 0, 0, 1)), float)}
            for n in self.nodes
        ]  # fmt: skip
        for node, path, times, values in self.channels():
            values = values.reshape(len(times), -1).astype(float)
            i = int(np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2))
            share = float(np.clip((time - times[i]) / (times[i + 1] - times[i]), 0, 1))
            mixed = (1 - share) * values[i] + share * values[i + 1]
            state[node][path] = mixed / np.linalg.norm(mixed) if path == "rotation" else mixed
        return state

    def world(self, state, node: int) -> np.ndarray:
        x, y, z, w = state[node]["rotation"]
        local = np.eye(4)
        local[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        local[:3, 3] = state[node]["translation"]
        return self.world(state, self.parent[node]) @ local if node in self.parent else local

    def joints(self, time: float, skin: int = 0) -> np.ndarray:
        """World positions of a skin's joints, turned to z up, `(55, 3)`."""
        state = self.pose(time)
        places = [self.world(state, j)[:3, 3] for j in self.json["skins"][skin]["joints"]]
        return np.array(places) @ Z_UP.T

    def vertices(self, time: float, skin: int = 0) -> np.ndarray:
        state = self.pose(time)
        node = next(i for i, n in enumerate(self.nodes) if n.get("skin") == skin)
        mesh = self.json["meshes"][self.nodes[node]["mesh"]]
        primitive = mesh["primitives"][0]
        attributes = primitive["attributes"]
        points = self.array(attributes["POSITION"]).astype(float)
        weights = state[node].get("weights", mesh.get("weights", []))
        for target, weight in zip(primitive.get("targets", []), weights, strict=True):
            points = points + weight * self.array(target["POSITION"])
        info = self.json["skins"][skin]
        inverse = self.array(info["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        moves = np.stack([self.world(state, j) for j in info["joints"]]) @ inverse
        chosen = moves[self.array(attributes["JOINTS_0"])]
        blended = (chosen * self.array(attributes["WEIGHTS_0"])[..., None, None]).sum(1)
        homogeneous = np.concatenate((points, np.ones((len(points), 1))), 1)
        return (blended @ homogeneous[..., None])[:, :3, 0] @ Z_UP.T


def five(motion):
    return np.linspace(0, len(motion) - 1, 5).round().astype(int)


def gaps(glb: Glb, motion, body, *, skin: int = 0) -> tuple[float, float]:
    """Worst joint and vertex distance in metres at five frames."""
    some = torch.from_numpy(five(motion))
    truth = body.pose(motion[some])
    start = float(motion.times[0])
    times = [float(motion.times[i]) - start for i in some]
    joints = np.stack([glb.joints(t, skin) for t in times]) - truth.joints.numpy()
    vertices = np.stack([glb.vertices(t, skin) for t in times]) - truth.vertices.numpy()
    return tuple(float(np.linalg.norm(g, axis=-1).max()) for g in (joints, vertices))


class TestDefaultBody:
    def test_joints_and_skin_come_back(self, motion, body, tmp_path):
        (residual,) = write_glb(tmp_path / "m.glb", [(motion, body)])
        joint, vertex = gaps(Glb((tmp_path / "m.glb").read_bytes()), motion, body)
        assert joint < JOINT_BAR / 10
        assert vertex < VERTEX_BAR / 10
        assert residual < VERTEX_BAR / 10

    def test_real_clips(self, mocap, body):
        for motion in mocap:
            joint, vertex = gaps(Glb(glb_bytes([(motion, body)])), motion, body)
            assert joint < JOINT_BAR and vertex < VERTEX_BAR

    def test_expression_becomes_morphs_of_the_used_directions(self, full_motion, body):
        glb = Glb(glb_bytes([(full_motion, body)]))
        primitive = glb.json["meshes"][0]["primitives"][0]
        assert len(primitive["targets"]) == 2
        joint, vertex = gaps(glb, full_motion, body)
        still = replace(full_motion, expression=torch.zeros_like(full_motion.expression))
        _, without = gaps(Glb(glb_bytes([(still, body)])), full_motion, body)
        assert vertex < VERTEX_BAR < without
        assert joint < JOINT_BAR / 10

    def test_the_mesh_rests_in_a_t_pose_with_unit_normals_outward(self, motion, body):
        glb = Glb(glb_bytes([(motion, body)]))
        attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
        points, normals = (glb.array(attributes[k]) for k in ("POSITION", "NORMAL"))
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
        size = np.ptp(points, axis=0)
        assert size[0] > 1.2 and size[1] > 1.4 and size[2] < 0.7
        # Closed surfaces enclose a volume: outward normals point away from the middle on average.
        assert ((points - points.mean(0)) * normals).sum(-1).mean() > 0.02
        np.testing.assert_allclose(glb.array(attributes["WEIGHTS_0"]).sum(-1), 1, atol=1e-5)

    def test_quaternions_never_change_sign(self, motion, body):
        glb = Glb(glb_bytes([(motion, body)]))
        tracks = [v for _, path, _, v in glb.channels() if path == "rotation"]
        assert len(tracks) == 55
        for track in tracks:
            assert (np.sum(track[1:] * track[:-1], -1) > 0).all()
            np.testing.assert_allclose(np.linalg.norm(track, axis=-1), 1, atol=1e-6)

    def test_between_frames_it_moves_on_the_way(self, motion, body):
        glb = Glb(glb_bytes([(motion, body)]))
        middle = glb.joints(3.5 / 30)
        a, b = glb.joints(3 / 30), glb.joints(4 / 30)
        assert np.linalg.norm(middle - (a + b) / 2, axis=-1).max() < 5e-3

    def test_joints_that_rest_have_no_channel(self, make_motion, body):
        motion = make_motion(body, joints=22)
        glb = Glb(glb_bytes([(motion, body)]))
        assert len(list(glb.channels())) == 23
        assert gaps(glb, motion, body)[1] < VERTEX_BAR

    def test_one_frame_is_a_pose(self, motion, body):
        glb = Glb(glb_bytes([(motion[:1], body)]))
        assert "animations" not in glb.json
        truth = body.joints_of(motion[:1])[0].numpy()
        assert np.abs(glb.joints(0.0) - truth).max() < JOINT_BAR

    def test_time_stamps_are_kept(self, full_motion, body):
        glb = Glb(glb_bytes([(full_motion, body)]))
        _, _, times, _ = next(iter(glb.channels()))
        expected = (full_motion.times - full_motion.times[0]).numpy()
        np.testing.assert_allclose(times, expected, atol=1e-5)

    def test_the_same_motion_gives_the_same_bytes(self, motion, body):
        assert glb_bytes([(motion, body)]) == glb_bytes([(motion, body)])


class TestOtherBody:
    def test_the_residual_is_what_a_reader_finds(self, make_motion, other_body, tmp_path):
        motion = make_motion(other_body)
        (residual,) = write_glb(tmp_path / "m.glb", [(motion, other_body)])
        joint, vertex = gaps(Glb((tmp_path / "m.glb").read_bytes()), motion, other_body)
        assert joint < JOINT_BAR
        assert vertex > VERTEX_BAR, "this body has correctives that glTF cannot hold"
        assert residual == pytest.approx(vertex, rel=0.01)


class TestSeveralPeopleAndCamera:
    def test_two_people(self, motion, make_motion, body):
        second = make_motion(body, seed=7, frames=30)
        second = replace(second, times=second.times + 0.5)
        glb = Glb(glb_bytes([(motion, body), (second, body)], names=["ann", "bob"]))
        assert gaps(glb, motion, body)[1] < VERTEX_BAR
        places = glb.joints(0.5 + 10 / 30, skin=1)
        assert np.abs(places - body.joints_of(second[10:11])[0].numpy()).max() < JOINT_BAR
        names = [n["name"] for n in glb.nodes]
        assert len(set(names)) == len(names)
        assert "ann:pelvis" in names and "bob:pelvis" in names

    def test_a_moving_camera_projects_as_ours(self, motion, body, camera):
        glb = Glb(glb_bytes([(motion, body)], camera=camera))
        node = next(i for i, n in enumerate(glb.nodes) if "camera" in n)
        lens = glb.json["cameras"][0]["perspective"]
        pixels = camera.project(body.joints_of(motion)).numpy()
        for frame in five(motion):
            time = frame / 30
            pose = glb.world(glb.pose(time), node)
            points = (glb.joints(time) @ Z_UP - pose[:3, 3]) @ pose[:3, :3]
            # glTF: looking along -z; y up; yfov over the whole height.
            f = 1 / math.tan(lens["yfov"] / 2)
            x = f / lens["aspectRatio"] * points[:, 0] / -points[:, 2]
            y = f * points[:, 1] / -points[:, 2]
            theirs = np.stack(((x + 1) * 320, (1 - y) * 240), -1)
            assert np.abs(theirs - pixels[frame]).max() < 0.1

    def test_at_a_cut_the_camera_stays_until_it_jumps(self, full_motion, body, camera):
        jumped = replace(camera, t_w2c=camera.t_w2c + 2 * full_motion.shot_id[:, None])
        glb = Glb(glb_bytes([(full_motion, body)], camera=jumped))
        node = next(i for i, n in enumerate(glb.nodes) if "camera" in n)
        cut = float(full_motion.times[25] - full_motion.times[0])
        before, after = (glb.pose(t)[node]["translation"] for t in (cut - 2e-3, cut + 1e-4))
        expected = jumped.centre.numpy() @ Z_UP
        assert np.abs(before - expected[24]).max() < 1e-3
        assert np.abs(after - expected[25]).max() < 1e-2

    def test_a_still_camera_has_no_channel(self, motion, body, camera):
        glb = Glb(glb_bytes([(motion, body)], camera=camera[:1]))
        node = next(i for i, n in enumerate(glb.nodes) if "camera" in n)
        assert node not in {n for n, *_ in glb.channels()}
        place = glb.pose(0.0)[node]["translation"] @ Z_UP.T
        np.testing.assert_allclose(place, camera.centre[0].numpy(), atol=1e-5)

    def test_wrong_use(self, motion, body, camera):
        with pytest.raises(UsageError, match="no motion given"):
            glb_bytes([])
        with pytest.raises(UsageError, match="has no frames"):
            glb_bytes([(motion[:0], body)])
        with pytest.raises(UsageError, match="camera has 3 frames"):
            glb_bytes([(motion, body)], camera=camera[:3])
        with pytest.raises(UsageError, match="1 names for 2 motions"):
            glb_bytes([(motion, body)] * 2, names=["a"])


def test_the_reader_turns_as_the_package_does():
    xyzw = np.array((0, 0, math.sin(0.2), math.cos(0.2)))
    state = [{"translation": np.zeros(3), "rotation": xyzw}]
    glb = Glb.__new__(Glb)
    glb.parent = {}
    turn = rotvec_to_matrix(torch.tensor((0.0, 0.0, 0.4), dtype=torch.float64)).numpy()
    np.testing.assert_allclose(glb.world(state, 0)[:3, :3], turn, atol=1e-12)
