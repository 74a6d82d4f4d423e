"""The shipped default body: its file, rest pose, shape, bending, landmarks, and its build."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from humanmotion.body import build_shape, build_skeleton, default
from humanmotion.errors import InputError
from humanmotion.files import asset, npz_shapes, read_npz, write_npz
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS, SMPLX_PARENTS

INDEX = {name: i for i, name in enumerate(SMPLX_JOINTS)}
FACE = ("head", "jaw", "neck", "left_eye_smplhf", "right_eye_smplhf")
FINGERS = ("index", "middle", "ring", "pinky")


class Body:
    """Slow, obvious skinning of the file's arrays."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.template = arrays["v_template"].astype(float)
        self.shapes = arrays["shapedirs"].astype(float)
        self.regressor = arrays["J_regressor"].astype(float)
        self.weights = arrays["weights"].astype(float)

    def shaped(self, betas):
        return self.template + self.shapes[:, :, : len(betas)] @ np.asarray(betas)

    def pose(self, turns):
        """Vertices for `{joint name: axis-angle}`."""
        joints = self.regressor @ self.template
        out = np.zeros_like(self.template)
        rotation, place = [], []
        for j, name in enumerate(SMPLX_JOINTS):
            own = Rotation.from_rotvec(turns.get(name, (0, 0, 0))).as_matrix()
            p = SMPLX_PARENTS[j]
            rotation.append(own if p < 0 else rotation[p] @ own)
            place.append(joints[j] if p < 0 else place[p] + rotation[p] @ (joints[j] - joints[p]))
            moved = (self.template - joints[j]) @ rotation[j].T + place[j]
            out += self.weights[:, [j]] * moved
        return out

    def landmarks(self, name):
        ids, weights = (self.arrays[f"landmark_{name}_{k}"] for k in ("vertices", "weights"))
        return np.einsum("lk,lka->la", weights, self.template[ids])


@pytest.fixture(scope="module")
def body():
    return Body(read_npz(asset("body/default.npz")))


def bone_directions(joints):
    bones = np.array([joints[j] - joints[SMPLX_PARENTS[j]] for j in range(1, 22)])
    return bones / np.linalg.norm(bones, axis=1, keepdims=True)


def angles_deg(a, b):
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


class TestFile:
    def test_size_and_plain_arrays(self):
        path = asset("body/default.npz")
        assert path.stat().st_size <= 6e6
        assert all("O" not in dtype for _, dtype in npz_shapes(path).values())

    def test_keys_have_smplx_shapes(self, body):
        shape = {key: value.shape for key, value in body.arrays.items()}
        count = 13380 + 2 * 72
        assert shape["v_template"] == (count, 3) and shape["shapedirs"] == (count, 3, 20)
        assert shape["posedirs"] == (count, 3, 486) and shape["weights"] == (count, 55)
        assert shape["J_regressor"] == (55, count) and shape["f"] == (2 * 13518, 3)
        assert shape["lmk_faces_idx"] == (51,) and shape["dynamic_lmk_faces_idx"] == (79, 17)
        assert shape["hands_meanl"] == (45,) and shape["hands_componentsr"] == (45, 45)
        assert tuple(body.arrays["kintree_table"][0]) == SMPLX_PARENTS
        assert not body.arrays["posedirs"].any()

    def test_weights_and_regressor_are_averages(self, body):
        assert (body.weights >= 0).all() and ((body.weights > 0).sum(1) <= 4).all()
        np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-6)
        assert (body.weights.max(0) > 0.4).all(), "every joint leads some skin"
        assert (body.regressor >= 0).all()
        np.testing.assert_allclose(body.regressor.sum(1), 1, atol=1e-6)

    def test_hand_components_are_orthonormal(self, body):
        for side in "lr":
            basis = body.arrays[f"hands_components{side}"].astype(float)
            np.testing.assert_allclose(basis @ basis.T, np.eye(45), atol=1e-6)

    def test_faces_look_outwards_and_use_every_vertex(self, body):
        a, b, c = (body.template[body.arrays["f"][:, i]] for i in range(3))
        assert np.einsum("fa,fa->", a, np.cross(b, c)) / 6 == pytest.approx(0.065, abs=0.015)
        assert len(np.unique(body.arrays["f"])) == len(body.template)


class TestRestPose:
    def test_stands_upright_facing_z(self, body):
        assert np.ptp(body.template[:, 1]) == pytest.approx(1.70, abs=1e-4)
        points = dict(zip(JOINT_SETS["mediapipe_33"], body.landmarks("mediapipe33"), strict=True))
        assert points["left_wrist"][0] > 0.5 > -0.5 > points["right_wrist"][0]
        assert points["left_big_toe"][2] > points["left_heel"][2] + 0.12
        assert points["nose"][2] > points["left_ear"][2] + 0.05

    def test_left_is_the_mirror_image_of_right(self, body):
        flipped = body.template * [-1, 1, 1]
        assert cKDTree(body.template).query(flipped)[0].max() < 1e-6
        joints = body.regressor @ body.template
        other = joints[build_skeleton.OTHER_SIDE] * [-1, 1, 1]
        np.testing.assert_allclose(joints, other, atol=1e-5)

    def test_bones_point_where_motion_data_expects(self, body, data):
        with np.load(data / "cmu/skeleton.npz") as skeleton:
            wanted = bone_directions(skeleton["rest"])
        joints = body.regressor @ body.template
        assert angles_deg(bone_directions(joints), wanted).max() < 1.0

    def test_soles_are_flat_on_one_level(self, body):
        for side in ("left", "right"):
            sole = body.template[body.arrays[f"sole_{side}"]]
            assert np.ptp(sole[:, 1]) < 0.0125 and np.ptp(sole[:, 2]) > 0.2

    def test_fingers_are_straight_and_the_palm_is_down(self, body):
        joints = body.regressor @ body.template
        for finger in FINGERS:
            a, b, c = (joints[INDEX[f"left_{finger}{i}"]] for i in (1, 2, 3))
            straight = angles_deg((b - a) / np.linalg.norm(b - a), (c - b) / np.linalg.norm(c - b))
            assert straight < 8
        thumb, pinky = joints[INDEX["left_thumb3"]], joints[INDEX["left_pinky1"]]
        assert thumb[2] > pinky[2] + 0.05, "thumb in front, so the palm looks down"


class TestShape:
    def test_first_coefficient_is_size(self, body):
        taller = [np.ptp(body.shaped([b])[:, 1]) for b in (-2, 0, 2)]
        assert taller[1] - taller[0] > 0.1 and taller[2] - taller[1] > 0.1

    def test_limbs_keep_their_rest_directions(self, body):
        rng = np.random.default_rng(0)
        plain = bone_directions(body.regressor @ body.template)
        limbs = [INDEX[f"left_{n}"] - 1 for n in ("knee", "ankle", "elbow", "wrist")]
        for _ in range(20):
            now = bone_directions(body.regressor @ body.shaped(rng.normal(size=10)))
            assert angles_deg(now, plain)[limbs].max() < 2.5

    def test_expressions_move_the_face_only(self, body):
        moved = np.abs(body.shapes[:, :, 10:]).max((1, 2)) > 1e-6
        led = body.weights[:, [INDEX[n] for n in FACE]].sum(1)
        assert moved.any() and (led[moved] > 0.99).all()
        assert (np.abs(body.shapes[:, :, 10:]).max((0, 1)) > 0.002).all()

    def test_closing_an_eye_closes_it(self, body):
        table = dict(
            zip(body.arrays["landmark_face_mediapipe_ids"].tolist(), range(68), strict=True)
        )
        upper, lower = table[385], table[380]
        ids, w = body.arrays["landmark_face_vertices"], body.arrays["landmark_face_weights"]
        lids = np.einsum("lk,lka->la", w, body.shaped([0] * 18 + [1.0])[ids])
        open_lids = body.landmarks("face")
        gap = open_lids[upper, 1] - open_lids[lower, 1]
        assert lids[upper, 1] - lids[lower, 1] < 0.4 * gap


class TestMovement:
    def test_jaw_opens_and_eyes_turn_alone(self, body):
        opened = np.linalg.norm(body.pose({"jaw": (0.3, 0, 0)}) - body.template, axis=1)
        assert opened.max() > 0.02 and opened[body.weights[:, INDEX["jaw"]] == 0].max() < 1e-6
        eye = body.weights[:, INDEX["left_eye_smplhf"]] > 0
        turned = np.linalg.norm(body.pose({"left_eye_smplhf": (0, 0.4, 0)}) - body.template, axis=1)
        assert 0.003 < turned[eye].max() < 0.01 and turned[~eye].max() < 1e-6

    @pytest.mark.parametrize(("side", "sign"), [("left", -1), ("right", 1)])
    def test_a_fist_brings_the_finger_tips_to_the_palm(self, body, side, sign):
        turns = {
            f"{side}_{finger}{i}": (0, 0, sign * angle)
            for finger in FINGERS
            for i, angle in ((1, 1.48), (2, 1.75), (3, 1.2))
        }
        hand = JOINT_SETS["mediapipe_543"][33 : 33 + 21]
        tips = [hand.index(f"left_hand_{finger}4") for finger in FINGERS]
        ids, w = (body.arrays[f"landmark_hand21_{side}_{k}"] for k in ("vertices", "weights"))
        fist = np.einsum("lk,lka->la", w, body.pose(turns)[ids])
        flat = body.landmarks(f"hand21_{side}")
        for tip in tips:
            assert np.linalg.norm(flat[tip] - flat[0]) > 0.12
            assert np.linalg.norm(fist[tip] - fist[0]) < 0.09
            assert fist[tip, 1] < fist[0, 1], "below the wrist: on the palm's side"

    @pytest.mark.parametrize(
        ("joint", "turn", "kept"),
        [
            ("left_wrist", (1.0, 0, 0), 0.8),
            ("left_elbow", (1.2, 0, 0), 0.7),
            ("left_shoulder", (1.0, 0, 0), 0.8),
        ],
    )
    def test_twisting_does_not_wring_the_arm(self, body, joint, turn, kept):
        place = (body.regressor @ body.template)[INDEX[joint]]
        ring = np.abs(body.template[:, 0] - place[0]) < 0.012
        ring &= np.abs(body.template[:, 1] - place[1]) < 0.1
        ring &= body.template[:, 0] > 0

        def area(vertices):
            centred = vertices[ring][:, 1:] - vertices[ring][:, 1:].mean(0)
            return np.sqrt(np.linalg.det(centred.T @ centred / ring.sum()))

        assert area(body.pose({joint: turn})) > kept**2 * area(body.template)

    def test_a_squat_keeps_most_of_the_volume(self, body):
        def volume(vertices):
            a, b, c = (vertices[body.arrays["f"][:, i]] for i in range(3))
            return np.einsum("fa,fa->", a, np.cross(b, c)) / 6

        squat = {}
        for side in ("left", "right"):
            squat |= {f"{side}_hip": (-1.8, 0, 0), f"{side}_knee": (2.0, 0, 0)}
            squat |= {f"{side}_ankle": (-0.5, 0, 0)}
        assert volume(body.pose(squat)) == pytest.approx(volume(body.template), rel=0.08)


class TestLandmarks:
    @pytest.mark.parametrize(
        "name", ["mediapipe33", "coco17", "hand21_left", "hand21_right", "face"]
    )
    def test_are_weighted_means(self, body, name):
        weights = body.arrays[f"landmark_{name}_weights"]
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
        assert (weights >= 0).all()

    def test_limb_landmarks_lie_near_their_joints(self, body):
        joints = body.regressor @ body.template
        points = dict(zip(JOINT_SETS["mediapipe_33"], body.landmarks("mediapipe33"), strict=True))
        for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            for side in ("left", "right"):
                distance = points[f"{side}_{name}"] - joints[INDEX[f"{side}_{name}"]]
                assert np.linalg.norm(distance) < 0.04

    def test_face_points_lie_on_the_features(self, body):
        face = body.landmarks("face")
        eyes = (body.regressor @ body.template)[
            [INDEX["right_eye_smplhf"], INDEX["left_eye_smplhf"]]
        ]
        for corners, eye in (((36, 39), eyes[0]), ((42, 45), eyes[1])):
            middle = face[list(corners)].mean(0)
            assert np.abs(middle[:2] - eye[:2]).max() < 0.008
        assert face[30, 2] == face[:, 2].max(), "the tip of the nose is furthest forwards"
        brows, nose, lips, chin = (
            face[17:27, 1].mean(),
            face[33, 1],
            face[[51, 57], 1].mean(),
            face[8, 1],
        )
        assert brows > eyes[:, 1].mean() > nose > lips > chin
        np.testing.assert_allclose(face[:17] * [-1, 1, 1], face[16::-1], atol=1e-3)


@pytest.fixture(scope="module")
def model():
    smplx = pytest.importorskip("smplx")
    return smplx.SMPLX(
        str(asset("body/default.npz")), use_pca=False, flat_hand_mean=True, num_betas=10,
        num_expression_coeffs=10, use_face_contour=True,
    )  # fmt: skip


class TestSmplx:
    def test_loads_and_agrees_with_the_obvious_skinning(self, body, model):
        torch = pytest.importorskip("torch")
        rng = np.random.default_rng(1)
        pose = rng.normal(scale=0.4, size=(21, 3))
        turns = dict(zip(SMPLX_JOINTS[1:22], pose, strict=True))
        out = model(body_pose=torch.tensor(pose.reshape(1, -1), dtype=torch.float32))
        np.testing.assert_allclose(out.vertices[0].detach(), body.pose(turns), atol=1e-5)

    def test_extra_joints_and_face_come_out_where_smplx_looks_for_them(self, body, model):
        joints = model().joints[0].detach().numpy()
        points = dict(zip(JOINT_SETS["coco_17"], body.landmarks("coco17"), strict=True))
        names = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
        for joint, name in zip(joints[55:60], names, strict=True):
            assert np.linalg.norm(joint - points[name]) < 0.02
        tips = [4, 8, 12, 16, 20]
        for row, side in ((66, "left"), (71, "right")):
            hand = body.landmarks(f"hand21_{side}")
            assert np.linalg.norm(joints[row : row + 5] - hand[tips], axis=1).max() < 0.025
        np.testing.assert_allclose(joints[76:127], body.landmarks("face")[17:], atol=1e-5)
        np.testing.assert_allclose(joints[127:], body.landmarks("face")[:17], atol=1e-5)


class TestBuild:
    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"base\.obj\.gz is missing"):
            default.build(tmp_path)
        assert default.main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "out.npz")]) == 1
        assert not (tmp_path / "out.npz").exists()

    def test_a_missing_morph_is_named(self, data, tmp_path):
        shutil.copytree(data / "body", tmp_path / "body")
        gone = tmp_path / "body/targets/shape/macro/asian-male-young.target.gz"
        gone.chmod(0o600)
        gone.parent.chmod(0o700)
        gone.unlink()
        with pytest.raises(InputError, match=r"asian-male-young\.target\.gz is missing"):
            default.build(tmp_path / "body")

    def test_gives_the_same_bytes_twice(self, data, tmp_path, monkeypatch):
        # Fewer people than the shipped body has, and files read once: the whole takes 12 s a time.
        monkeypatch.setattr(default, "_SAMPLES", 12)
        monkeypatch.setattr(default, "_REGRESSED", 8)
        source = default.read_source(data / "body")
        morphs = build_shape.read_morphs(source)
        monkeypatch.setattr(default, "read_source", lambda _: source)
        monkeypatch.setattr(build_shape, "read_morphs", lambda _: morphs)
        for name in ("first", "second"):
            write_npz(tmp_path / name, default.build(data / "body").arrays)
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()

    def test_gives_the_shipped_body(self, body, data):
        # Not its bytes: on another processor the regressor is made of other, equally good vertices.
        built = Body(default.build(data / "body").arrays)
        layout = [{k: (v.dtype, v.shape) for k, v in b.arrays.items()} for b in (built, body)]
        assert layout[0] == layout[1] and list(layout[0]) == list(layout[1])
        for key in ("f", "kintree_table", "source_vertices", "joint_names", "body_id"):
            assert np.array_equal(built.arrays[key], body.arrays[key])
        for key in ("v_template", "shapedirs", "weights"):
            np.testing.assert_allclose(built.arrays[key], body.arrays[key], atol=1e-6)
        joints = [b.regressor @ b.template for b in (built, body)]
        np.testing.assert_allclose(*joints, atol=1e-6)
        for name in ("mediapipe33", "coco17", "hand21_left", "hand21_right", "face"):
            np.testing.assert_allclose(built.landmarks(name), body.landmarks(name), atol=1e-6)
