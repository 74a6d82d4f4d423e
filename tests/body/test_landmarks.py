from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.body.smplx_file import read_body
from humanmotion.errors import BodyError
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.rotations import rotvec_to_matrix


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    ids = {"mediapipe33": (33, 1), "coco17": (17, 3), "face": (4, 2), "hand21_left": (21, 2)}
    out: dict[str, np.ndarray] = {"landmark_face_mediapipe_ids": np.array([1, 4, 33, 61])}
    for name, shape in ids.items():
        out[f"landmark_{name}_vertices"] = rng.integers(0, 240, shape)
        out[f"landmark_{name}_weights"] = rng.uniform(0.1, 1, shape)
    return out


@pytest.fixture(scope="module")
def marked(tmp_path_factory, tables, synthetic_body, save_body) -> BodyModel:
    return BodyModel.load(save_body(tmp_path_factory.mktemp("m"), synthetic_body() | tables))


@pytest.fixture(scope="module")
def posed() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return {
        "rotations": rotvec_to_matrix(torch.randn(3, 55, 3) * 0.5),
        "betas": torch.randn(10),
        "expression": torch.randn(3, 10),
        "transl": torch.randn(3, 3),
    }


def test_one_vertex_landmarks_are_vertices(marked: BodyModel, posed, tables) -> None:
    vertices = marked.vertices(**posed)[:, tables["landmark_mediapipe33_vertices"][:, 0]]
    assert torch.allclose(marked.landmarks("mediapipe_33", **posed), vertices, atol=1e-6)


def test_landmark_is_a_virtual_vertex(marked: BodyModel, tables) -> None:
    share = tables["landmark_coco17_weights"]
    share = torch.from_numpy(share / share.sum(1, keepdims=True)).float()
    ids = torch.from_numpy(tables["landmark_coco17_vertices"])
    skin = marked.landmark_skin("coco_17")
    pairs = [(skin.template, marked.template), (skin.shapedirs, marked.shapedirs)]
    pairs += [(skin.exprdirs, marked.exprdirs), (skin.weights, marked.weights)]
    for got, source in pairs:
        mean = torch.einsum("lk,lk...->l...", share, source[ids])
        assert torch.allclose(got, mean, atol=1e-6)
    rest = marked.landmarks("coco_17", torch.eye(3).expand(55, 3, 3))
    assert torch.allclose(rest, skin.template, atol=1e-6)


def test_rigidly_held_landmarks_are_means_of_their_vertices(marked: BodyModel, tables) -> None:
    turn = torch.eye(3).repeat(55, 1, 1)
    turn[0] = rotvec_to_matrix(torch.tensor((0.5, 1.0, -0.3)))
    share = torch.from_numpy(tables["landmark_coco17_weights"]).float()
    share = share / share.sum(1, keepdim=True)
    vertices = marked.vertices(turn)[tables["landmark_coco17_vertices"]]
    expected = (share[..., None] * vertices).sum(1)
    assert torch.allclose(marked.landmarks("coco_17", turn), expected, atol=1e-6)


def test_sets_and_ids(
    tmp_path, synthetic_body, save_body, marked: BodyModel, small: BodyModel
) -> None:
    everything = {"mediapipe_33", "coco_17", "face", "hand21_left", "hand21_right"}
    assert set(marked.landmark_sets) == set(small.landmark_sets) == everything
    assert marked.face_mesh_ids == (1, 4, 33, 61)
    assert len(small.face_mesh_ids) == len(small.landmark_skin("face").template) == 68
    smpl = BodyModel.load(save_body(tmp_path, synthetic_body("SMPL")))
    assert (smpl.landmark_sets, smpl.face_mesh_ids) == (("mediapipe_33", "coco_17"), ())
    with pytest.raises(BodyError, match=r"'face' given; body .* has mediapipe_33, coco_17"):
        smpl.landmarks("face", torch.eye(3).expand(55, 3, 3))


@pytest.mark.parametrize("kind", ["SMPL-X", "SMPL-H", "SMPL"])
def test_bodies_without_tables_get_places_that_make_sense(
    tmp_path, synthetic_body, save_body, kind: str
) -> None:
    body = BodyModel.load(save_body(tmp_path, synthetic_body(kind, vertices=2000)))
    joints = body.rest_joints()
    for set_name in ("mediapipe_33", "coco_17"):
        skin = body.landmark_skin(set_name)
        place = dict(zip(JOINT_SETS[set_name], skin.template, strict=True))
        assert torch.allclose(place["left_knee"], joints[4], atol=1e-6)
        assert torch.allclose(skin.weights.sum(1), torch.ones(len(skin.weights)), atol=1e-5)
        for name, point in place.items():
            if name.startswith("left"):
                assert point[0] > 0, name
        assert place["nose"][2] > joints[15, 2]
        assert place["left_ear"][0] > 0.02 and place["right_ear"][0] < -0.02
    place = dict(
        zip(JOINT_SETS["mediapipe_33"], body.landmark_skin("mediapipe_33").template, strict=True)
    )
    assert place["left_big_toe"][2] > joints[10, 2] > place["left_heel"][2]
    assert place["left_index"][2] > place["left_pinky"][2]
    assert place["left_index"][0] > joints[20, 0]


def test_default_body_has_all_sets(default: BodyModel) -> None:
    assert set(default.landmark_sets) == {
        "mediapipe_33", "coco_17", "hand21_left", "hand21_right", "face"
    }  # fmt: skip
    sizes = {name: len(default.landmark_skin(name).template) for name in default.landmark_sets}
    assert (sizes["mediapipe_33"], sizes["coco_17"], sizes["hand21_left"]) == (33, 17, 21)
    assert len(default.face_mesh_ids) == sizes["face"]


def test_places_found_on_the_default_body_are_near_its_table(default_path, default) -> None:
    # The table follows a detector, which sets some landmarks centimetres off the joint or feature.
    arrays = dataclasses.replace(read_body(default_path), landmarks={})
    found = BodyModel.from_arrays(arrays).landmark_skin("mediapipe_33").template
    apart = (found - default.landmark_skin("mediapipe_33").template).norm(dim=-1)
    assert apart.max() < 0.08 and apart.median() < 0.03
