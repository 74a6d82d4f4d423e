"""Body files are told apart by their keys, agree with smplx, and bad ones get one clear line."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import BodyError, FileFormatError, InputError
from humanmotion.files import sha256
from humanmotion.joint_sets import SMPLX_PARENTS

ABSENT = {"SMPL-X": [], "SMPL-H": [22, 23, 24], "SMPL": [*range(22, 55)]}


def open_smplx(kind: str, arrays, batch: int):
    smplx = pytest.importorskip("smplx")
    options = {"create_transl": True, "batch_size": batch}
    if kind == "SMPLH":
        options |= {"use_pca": False, "flat_hand_mean": True}
    with contextlib.redirect_stdout(io.StringIO()):
        data = smplx.utils.Struct(**arrays)
        return getattr(smplx, kind)("", data_struct=data, **options)


@pytest.mark.parametrize("kind", ["SMPL-X", "SMPL-H", "SMPL"])
def test_kinds_are_recognised(tmp_path, synthetic_body, save_body, kind: str) -> None:
    path = save_body(tmp_path, synthetic_body(kind), name="neutral")
    body = BodyModel.load(path)
    assert (body.kind, body.body_id, body.sha256) == (kind, f"{kind}:neutral", sha256(path))
    absent = torch.tensor([joint in ABSENT[kind] for joint in range(55)])
    assert torch.equal(body.joints_present, ~absent)
    assert not body.weights[:, absent].any()
    assert torch.allclose(body.weights.sum(1), torch.ones(len(body.weights)), atol=1e-5)
    joints = body.rest_joints(torch.ones(10))
    for joint in ABSENT[kind]:
        # One product for all joints: rows of the same numbers may be rounded otherwise.
        assert torch.allclose(joints[joint], joints[SMPLX_PARENTS[joint]], atol=1e-6, rtol=0)
    turned = torch.eye(3).repeat(55, 1, 1)
    turned[absent] = torch.tensor(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    assert torch.equal(body.vertices(turned), body.vertices(torch.eye(3).repeat(55, 1, 1)))


def test_smplh_agrees_with_smplx(tmp_path, synthetic_body, save_body, parameters) -> None:
    arrays = synthetic_body("SMPL-H", vertices=6890, columns=16, correctives=0.003)
    given = parameters(4)
    names = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    given = {name: given[name] for name in names}
    ours = BodyModel.load(save_body(tmp_path, arrays))(**given)
    theirs = open_smplx("SMPLH", arrays, 4)(**given)
    present = [*range(22), *range(25, 55)]
    assert (ours.vertices - theirs.vertices).norm(dim=-1).max() < 1e-5
    assert (ours.joints[:, present] - theirs.joints[:, :52]).norm(dim=-1).max() < 1e-5


def test_smpl_agrees_with_smplx(tmp_path, synthetic_body, save_body, parameters) -> None:
    arrays = synthetic_body("SMPL", vertices=6890, columns=10, correctives=0.003)
    given = {k: v for k, v in parameters(4).items() if k in ("global_orient", "betas", "transl")}
    body_pose = parameters(4)["body_pose"]
    ours = BodyModel.load(save_body(tmp_path, arrays))(body_pose=body_pose, **given)
    # SMPL's last two joints, the hands, stay at rest: SMPL-X has no joints for them.
    hands = torch.zeros(4, 6)
    theirs = open_smplx("SMPL", arrays, 4)(body_pose=torch.cat((body_pose, hands), -1), **given)
    assert (ours.vertices - theirs.vertices).norm(dim=-1).max() < 1e-5
    assert (ours.joints[:, :22] - theirs.joints[:, :22]).norm(dim=-1).max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "columns", "shape", "expression"),
    [
        ("SMPL-X", 400, slice(0, 10), slice(300, 310)),
        ("SMPL-X", 310, slice(0, 10), slice(300, 310)),
        ("SMPL-X", 20, slice(0, 10), slice(10, 20)),
        ("SMPL-X", 16, slice(0, 10), slice(0, 0)),
        ("SMPL-X", 6, slice(0, 6), slice(0, 0)),
        ("SMPL-H", 16, slice(0, 10), slice(0, 0)),
        ("SMPL", 300, slice(0, 10), slice(0, 0)),
    ],
)
def test_columns(tmp_path, synthetic_body, save_body, kind, columns, shape, expression) -> None:
    arrays = synthetic_body(kind, columns=columns)
    body = BodyModel.load(save_body(tmp_path, arrays))
    for got, wanted in ((body.shapedirs, shape), (body.exprdirs, expression)):
        expected = np.zeros((240, 3, 10), np.float32)
        part = arrays["shapedirs"][:, :, wanted]
        expected[:, :, : part.shape[2]] = part
        assert np.array_equal(got.numpy(), expected)


def test_hand_means_soles_and_odd_keys(tmp_path, synthetic_body, save_body) -> None:
    arrays = synthetic_body()
    extra = {
        "sole_left": np.array([3, 4]), "sole_right": np.array([5]), "body_id": np.array("mine"),
        "part2num": np.array({"a": 1}, dtype=object), "vt": np.zeros((3, 2)),
    }  # fmt: skip
    body = BodyModel.load(save_body(tmp_path, arrays | extra))
    assert body.body_id == "mine"
    assert [side.tolist() for side in body.soles] == [[3, 4], [5]]
    assert np.allclose(body.hand_means[1], arrays["hands_meanr"])


def damaged(arrays, **changes):
    return {key: value for key, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None, "f": None}, "lacks weights, f; a body file is an npz with the keys"),
        ({"J_regressor": np.array(object())}, "J_regressor is a Python object.*convert-body"),
        ({"kintree_table": np.zeros((2, 16), int)}, r"\(2, 16\); \(2, 55\) of SMPL-X"),
        ({"kintree_table": np.zeros((2, 55), int)}, "joint 4 hangs below 0, not as in SMPL-X"),
        ({"weights": np.full((240, 55), np.nan)}, "weights holds numbers that are not finite"),
        ({"weights": np.full((240, 55), 1.0)}, "weights of a vertex sum to 1 only within 54"),
        ({"weights": np.ones((100, 55))}, r"\(100, 55\), expected numbers \(240, 55\)"),
        ({"v_template": np.zeros((0, 3))}, "v_template is"),
        ({"v_template": np.zeros(())}, "v_template is"),
        ({"shapedirs": np.zeros((240, 3))}, "shapedirs is"),
        ({"posedirs": np.zeros((240, 3, 9))}, "posedirs is"),
        ({"v_template": np.full((240, 3), "a")}, "v_template is <U1"),
        ({"f": np.array([[0, 1, 240]])}, "f must hold vertex indices from 0 to 239"),
        ({"f": np.array([[0, 1, -2]])}, "f must hold vertex indices"),
        ({"f": np.ones((4, 3))}, "f must hold vertex indices"),
        ({"hands_meanl": np.zeros(3)}, r"hands_meanl is float64 \(3,\), expected numbers \(45,\)"),
        ({"hands_meanr": np.full(45, "a")}, r"hands_meanr is <U1 \(45,\)"),
        ({"hands_meanr": np.full(45, 1e300)}, "hands_meanr holds numbers beyond 100000"),
        ({"shapedirs": np.zeros((240, 3, 0))}, r"expected numbers \(240, 3, 1 or more\)"),
        ({"f": np.zeros((0, 3), int)}, r"f is int64 \(0, 3\), expected numbers \(1 or more, 3\)"),
        ({"kintree_table": np.full((2, 55), "0")}, "kintree_table must hold joint numbers, whole"),
        ({"body_id": np.array(["a", "b"])}, "body_id must be one line of text"),
        ({"body_id": np.array("a\nb")}, "body_id must be one line of text"),
        ({"body_id": np.array(7)}, "body_id must be one line of text"),
        ({"sole_left": np.array([999])}, "sole_left must hold vertex indices"),
        ({"landmark_coco17_vertices": np.zeros((17, 2), int),
          "landmark_coco17_weights": np.zeros((17, 2))}, "landmark_coco17_vertices.*above 0"),
        ({"landmark_coco17_vertices": np.full((17, 2), 999),
          "landmark_coco17_weights": np.ones((17, 2))}, "landmark_coco17_vertices must hold"),
        ({"landmark_coco17_weights": np.ones((17, 2))}, "landmark_coco17 needs both"),
        ({"lmk_faces_idx": np.full(51, 480)}, "lmk_faces_idx must hold triangle indices .* 479"),
        ({"lmk_faces_idx": np.full(51, "a")}, r"lmk_faces_idx is <U1 \(51,\)"),
        ({"lmk_faces_idx": np.full(51, 0.5)}, "lmk_faces_idx must hold triangle indices"),
        ({"lmk_bary_coords": np.ones((50, 3))}, r"lmk_bary_coords is .* expected numbers \(51, 3\)"),
        ({"lmk_bary_coords": np.full((51, 3), np.nan)}, "lmk_bary_coords holds numbers that are"),
        ({"lmk_bary_coords": np.full((51, 3), 5.0)}, "shares that sum to 1"),
        ({"dynamic_lmk_faces_idx": np.zeros((79, 16), int)}, r"expected numbers \(1 or more, 17\)"),
    ],
)  # fmt: skip
def test_bad_bodies(tmp_path, synthetic_body, save_body, changes, message: str) -> None:
    path = save_body(tmp_path, damaged(synthetic_body(), **changes))
    with pytest.raises(BodyError, match=message) as caught:
        BodyModel.load(path)
    assert "\n" not in str(caught.value)


def with_cell(array, place, value):
    out = array.astype(float)
    out[place] = value
    return out


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_kintree_that_is_no_joint_number(tmp_path, synthetic_body, save_body, value) -> None:
    arrays = synthetic_body()
    arrays["kintree_table"] = with_cell(arrays["kintree_table"], (0, 5), value)
    with pytest.raises(BodyError, match="kintree_table must hold joint numbers, whole and finite"):
        BodyModel.load(save_body(tmp_path, arrays))


def test_kintree_in_floats_is_read(tmp_path, synthetic_body, save_body) -> None:
    arrays = synthetic_body()
    arrays["kintree_table"] = arrays["kintree_table"].astype(float)
    assert BodyModel.load(save_body(tmp_path, arrays)).kind == "SMPL-X"


@pytest.mark.parametrize(("factor", "tall"), [(100, "1.."), (1000, "1..."), (0.1, "0.1")])
def test_bodies_in_other_units(tmp_path, synthetic_body, save_body, factor, tall: str) -> None:
    arrays = synthetic_body()
    arrays["v_template"] = arrays["v_template"] * factor
    message = f"the body in v_template is {tall}.* m tall .*0.3 to 3.0 m are accepted"
    with pytest.raises(BodyError, match=message) as caught:
        BodyModel.load(save_body(tmp_path, arrays))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["v_template", "shapedirs", "posedirs", "J_regressor"])
@pytest.mark.parametrize("factor", [1e38, 1e300])
def test_numbers_that_float32_cannot_hold(
    tmp_path, synthetic_body, save_body, key: str, factor: float
) -> None:
    arrays = synthetic_body(correctives=0.01)
    arrays[key] = arrays[key] * factor
    with pytest.raises(BodyError, match=f"{key} holds numbers beyond 100000|m tall"):
        BodyModel.load(save_body(tmp_path, arrays))


def test_skinning_weights_are_shares(tmp_path, synthetic_body, save_body) -> None:
    arrays = synthetic_body()
    clean = arrays["weights"]
    owner = clean[7].argmax()
    for joint, less, accepted in ((owner + 1, 4.0, False), (owner + 1, 1e-3, False),
                                  (owner + 1, 9e-7, True)):  # fmt: skip
        arrays["weights"] = clean.copy()
        arrays["weights"][7, [owner, joint]] = (1 + less, -less)
        arrays["weights"][7, np.delete(np.arange(55), [owner, joint])] = 0
        path = save_body(tmp_path, arrays)
        if accepted:
            BodyModel.load(path)
            continue
        with pytest.raises(BodyError, match=r"weights go down to -.* a share from 0 to 1"):
            BodyModel.load(path)


def test_weights_kept_in_half_precision_are_read(tmp_path, synthetic_body, save_body) -> None:
    arrays = synthetic_body()
    arrays["weights"] = arrays["weights"].astype(np.float16)
    assert BodyModel.load(save_body(tmp_path, arrays)).weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "ids", "weights", "message"),
    [
        (
            "mediapipe33",
            (5, 1),
            (5, 1),
            r"landmark_mediapipe33_weights .*expected numbers \(33, 1 or more",
        ),
        (
            "hand21_left",
            (20, 1),
            (20, 1),
            r"landmark_hand21_left_weights .*expected numbers \(21, 1 or",
        ),
        ("face", (0, 3), (0, 3), "landmark_face_weights is"),
        ("face", (4, 3), (4, 2), r"landmark_face_vertices \(4, 3\) and _weights \(4, 2\)"),
        ("face", (4,), (4,), "landmark_face_weights is"),
    ],
)
def test_landmark_tables_of_the_wrong_size(
    tmp_path, synthetic_body, save_body, name, ids, weights, message
) -> None:
    table = {
        f"landmark_{name}_vertices": np.zeros(ids, int),
        f"landmark_{name}_weights": np.ones(weights),
    }
    with pytest.raises(BodyError, match=message):
        BodyModel.load(save_body(tmp_path, synthetic_body() | table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.full((4, 2), "1")}, "landmark_face_weights is <U1"),
        ({"weights": np.full((4, 2), np.inf)}, "landmark_face_weights holds numbers that are not"),
        ({"weights": np.tile((5.0, -4.0), (4, 1))}, "with weights above 0"),
        ({"vertices": np.full((4, 2), "1")}, "landmark_face_vertices must hold vertex indices"),
        ({"mediapipe_ids": np.array(["1", "2", "3", "4"])}, "mediapipe_ids must hold face-mesh"),
        ({"mediapipe_ids": np.zeros((4, 2), int)}, r"mediapipe_ids has shape \(4, 2\)"),
        ({"mediapipe_ids": np.zeros(3, int)}, r"mediapipe_ids has shape \(3,\)"),
        ({"mediapipe_ids": np.full(4, 468)}, "mediapipe_ids must hold face-mesh indices"),
        ({"mediapipe_ids": np.full(4, np.nan)}, "mediapipe_ids must hold face-mesh indices"),
    ],
)
def test_bad_face_tables(tmp_path, synthetic_body, save_body, change, message: str) -> None:
    table = {
        "vertices": np.zeros((4, 2), int),
        "weights": np.ones((4, 2)),
        "mediapipe_ids": np.arange(4),
    }
    table = {f"landmark_face_{key}": value for key, value in (table | change).items()}
    with pytest.raises(BodyError, match=message) as caught:
        BodyModel.load(save_body(tmp_path, synthetic_body() | table))
    assert "\n" not in str(caught.value)


def test_what_is_no_npz(tmp_path) -> None:
    path = tmp_path / "body.npz"
    with pytest.raises(InputError, match="does not exist"):
        BodyModel.load(path)
    path.write_bytes(b"not a zip file at all")
    with pytest.raises(FileFormatError, match="not an npz"):
        BodyModel.load(path)
