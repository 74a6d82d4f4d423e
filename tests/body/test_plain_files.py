"""Files with smplx's own keys only, as SMPL-X is published: hands and face are found all the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.body.hand_landmarks import _OFFICIAL_TIPS
from humanmotion.files import read_npz
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS
from humanmotion.rotations import rotvec_to_matrix

OURS = ("landmark_", "sole_", "body_id", "joint_names", "source_vertices", "vertex_colours")
HAND = [n.removeprefix("left_hand_") for n in JOINT_SETS["mediapipe_543"][33:54]]
REST = torch.eye(3).repeat(55, 1, 1)


@pytest.fixture(scope="module")
def plain_arrays(default_path) -> dict[str, np.ndarray]:
    arrays = read_npz(default_path)
    return {key: value for key, value in arrays.items() if not key.startswith(OURS)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, plain_arrays, save_body) -> BodyModel:
    return BodyModel.load(save_body(tmp_path_factory.mktemp("plain"), plain_arrays))


def millimetres(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return 1000 * (a - b).norm(dim=-1)


def test_all_sets_are_there(plain: BodyModel, default: BodyModel) -> None:
    assert set(plain.landmark_sets) == set(default.landmark_sets)
    assert plain.face_mesh_ids == default.face_mesh_ids


@pytest.mark.parametrize("side", ["left", "right"])
def test_hands_lie_where_the_default_table_has_them(plain, default, side: str) -> None:
    name = f"hand21_{side}"
    assert millimetres(plain.landmarks(name, REST), default.landmarks(name, REST)).max() < 0.5
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        betas = torch.randn(10, generator=generator)
        pair = [body.landmarks(name, REST, betas=betas) for body in (plain, default)]
        assert millimetres(*pair).max() < 4


@pytest.mark.parametrize(("side", "sign"), [("left", -1.0), ("right", 1.0)])
def test_hands_bend_as_the_default_table_does(plain, default, side: str, sign: float) -> None:
    pose = torch.zeros(55, 3)
    for finger in ("index", "middle", "ring", "pinky"):
        for i in (1, 2, 3):
            pose[SMPLX_JOINTS.index(f"{side}_{finger}{i}"), 2] = sign
    pair = [body.landmarks(f"hand21_{side}", rotvec_to_matrix(pose)) for body in (plain, default)]
    apart = millimetres(*pair)
    assert apart.max() < 5 and apart.mean() < 1.5


def test_the_face_is_that_of_smplx_keys(plain: BodyModel, default: BodyModel) -> None:
    for expression in torch.eye(10)[:3]:
        pair = [b.landmarks("face", REST, expression=expression) for b in (plain, default)]
        assert millimetres(*pair).max() < 0.1


def test_a_face_without_contour_or_without_plain_arrays(tmp_path, plain_arrays, save_body) -> None:
    inner = {k: v for k, v in plain_arrays.items() if not k.startswith("dynamic")}
    body = BodyModel.load(save_body(tmp_path, inner))
    assert len(body.landmark_skin("face").template) == 51 == len(body.face_mesh_ids)
    none = {k: v for k, v in inner.items() if not k.startswith("lmk")}
    assert "face" not in BodyModel.load(save_body(tmp_path, none)).landmark_sets
    objects = none | {"lmk_faces_idx": np.array({"a": 1}, dtype=object)}
    assert "face" not in BodyModel.load(save_body(tmp_path, objects)).landmark_sets


@pytest.mark.parametrize(("kind", "hands"), [("SMPL-H", True), ("SMPL", False)])
def test_only_a_body_with_fingers_has_hands(tmp_path, synthetic_body, save_body, kind, hands):
    body = BodyModel.load(save_body(tmp_path, synthetic_body(kind)))
    for side in ("left", "right"):
        assert (f"hand21_{side}" in body.landmark_sets) == hands
    assert "face" not in body.landmark_sets, "neither kind has a jaw"


@pytest.mark.parametrize("side", ["left", "right"])
def test_finger_tips_of_the_official_mesh(tmp_path, synthetic_body, save_body, side: str) -> None:
    arrays = synthetic_body(vertices=10475)
    # Not the farthest vertices here, but those that smplx takes.
    for finger, vertex in _OFFICIAL_TIPS[side].items():
        arrays["weights"][vertex] = np.eye(55)[SMPLX_JOINTS.index(f"{side}_{finger}3")]
    body = BodyModel.load(save_body(tmp_path, arrays))
    skin = body.landmark_skin(f"hand21_{side}")
    for finger, vertex in _OFFICIAL_TIPS[side].items():
        row = HAND.index(f"{finger}4")
        assert torch.equal(skin.shapedirs[row], body.shapedirs[vertex])
        assert (skin.template[row] - body.template[vertex]).norm() < 0.02


def test_a_finger_without_skin_ends_beyond_its_last_joint(
    tmp_path, synthetic_body, save_body
) -> None:
    arrays = synthetic_body()
    second, last = (SMPLX_JOINTS.index(f"left_index{i}") for i in (2, 3))
    arrays["weights"][:, second] += arrays["weights"][:, last]
    arrays["weights"][:, last] = 0
    body = BodyModel.load(save_body(tmp_path, arrays))
    joints = body.rest_joints()
    tip = body.landmark_skin("hand21_left").template[HAND.index("index4")]
    assert (tip - (2 * joints[last] - joints[second])).norm() < 0.01
