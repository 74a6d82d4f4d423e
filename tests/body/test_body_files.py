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
        assert torch.equal(joints[joint], joints[SMPLX_PARENTS[joint]])
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
        ({"weights": np.ones((100, 55))}, r"weights is float64 \(100, 55\), expected \(240, 55\)"),
        ({"v_template": np.zeros((0, 3))}, "v_template is"),
        ({"v_template": np.zeros(())}, "v_template is"),
        ({"shapedirs": np.zeros((240, 3))}, "shapedirs is"),
        ({"posedirs": np.zeros((240, 3, 9))}, "posedirs is"),
        ({"v_template": np.full((240, 3), "a")}, "v_template is <U1"),
        ({"f": np.array([[0, 1, 240]])}, "f must hold vertex indices from 0 to 239"),
        ({"f": np.array([[0, 1, -2]])}, "f must hold vertex indices"),
        ({"f": np.ones((4, 3))}, "f must hold vertex indices"),
        ({"hands_meanl": np.zeros(3)}, "hands_meanl must hold 45"),
        ({"sole_left": np.array([999])}, "sole_left must hold vertex indices"),
        ({"landmark_coco17_vertices": np.zeros((17, 2), int),
          "landmark_coco17_weights": np.zeros((17, 2))}, "landmark_coco17_vertices.*above 0"),
        ({"landmark_coco17_vertices": np.full((17, 2), 999),
          "landmark_coco17_weights": np.ones((17, 2))}, "landmark_coco17_vertices must hold"),
    ],
)  # fmt: skip
def test_bad_bodies(tmp_path, synthetic_body, save_body, changes, message: str) -> None:
    path = save_body(tmp_path, damaged(synthetic_body(), **changes))
    with pytest.raises(BodyError, match=message) as caught:
        BodyModel.load(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_npz(tmp_path) -> None:
    path = tmp_path / "body.npz"
    with pytest.raises(InputError, match="does not exist"):
        BodyModel.load(path)
    path.write_bytes(b"not a zip file at all")
    with pytest.raises(FileFormatError, match="not an npz"):
        BodyModel.load(path)
