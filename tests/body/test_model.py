"""Laws of the body model, and its agreement with two slow twins."""

from __future__ import annotations

import contextlib
import io
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel, kinematics
from humanmotion.errors import BodyError
from humanmotion.joint_sets import SMPLX_PARENTS
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix

SHAPES = [(), (1,), (2, 3), (0,), (2, 0)]


def rotations_of(parameters) -> Tensor:
    names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose")
    names += ("left_hand_pose", "right_hand_pose")
    rotvec = torch.cat([parameters[name] for name in names], -1)
    return rotvec_to_matrix(rotvec.reshape(*rotvec.shape[:-1], 55, 3))


def placing(parameters) -> dict[str, Tensor]:
    return {name: parameters[name] for name in ("betas", "expression", "transl")}


def slow_twin(arrays, rotations, betas, expression, transl):
    """One body, one vertex at a time, as the SMPL paper writes it (equations 2-9), in float64."""
    template, dirs = arrays["v_template"], arrays["shapedirs"]
    shaped = template + dirs[:, :, :10] @ betas + dirs[:, :, 10:20] @ expression
    rest = arrays["J_regressor"] @ shaped
    shaped = shaped + arrays["posedirs"] @ (rotations[1:] - np.eye(3)).reshape(-1)
    world, place = [rotations[0]], [rest[0]]
    for j in range(1, 55):
        p = SMPLX_PARENTS[j]
        place.append(place[p] + world[p] @ (rest[j] - rest[p]))
        world.append(world[p] @ rotations[j])
    vertices = [
        sum(w * (world[j] @ (v - rest[j]) + place[j]) for j, w in enumerate(row) if w)
        for v, row in zip(shaped, arrays["weights"], strict=True)
    ]
    return np.array(vertices) + transl, np.array(place) + transl


def open_smplx(path, batch: int, kind: str = "SMPLX", **extra):
    smplx = pytest.importorskip("smplx")
    with contextlib.redirect_stdout(io.StringIO()):
        return getattr(smplx, kind)(
            str(path), ext="npz", use_pca=False, flat_hand_mean=True, batch_size=batch, **extra
        )


def test_loop_twin_agrees(small: BodyModel, parameters, synthetic_body) -> None:
    arrays = synthetic_body(correctives=0.005)
    given = parameters(2)
    out = small.to(dtype=torch.float64)(**{k: v.double() for k, v in given.items()})
    for i in range(2):
        one = {k: v[i].double() for k, v in given.items()}
        vertices, joints = slow_twin(
            arrays, rotations_of(one).numpy(), *(placing(one)[k].numpy() for k in placing(one))
        )
        # The file is kept in float32, the twin reads it in float64.
        assert np.abs(out.vertices[i].numpy() - vertices).max() < 2e-6
        assert np.abs(out.joints[i].numpy() - joints).max() < 2e-6


@pytest.mark.parametrize("columns", [20, 400])
def test_smplx_agrees_on_a_full_file(
    tmp_path, parameters, synthetic_body, save_body, columns: int
) -> None:
    arrays = synthetic_body(vertices=10475, columns=columns, correctives=0.003)
    path = save_body(tmp_path, arrays)
    given = parameters(5)
    ours, theirs = BodyModel.load(path)(**given), open_smplx(path, 5)(**given)
    assert (ours.vertices - theirs.vertices).norm(dim=-1).max() < 1e-5
    assert (ours.joints - theirs.joints[:, :55]).norm(dim=-1).max() < 1e-5


def test_smplx_agrees_on_the_default_body(default, default_path, parameters) -> None:
    peer = open_smplx(default_path, 20)
    for seed in range(10):
        given = parameters(20, seed=seed)
        with torch.no_grad():
            ours, theirs = default(**given), peer(**given)
        assert (ours.vertices - theirs.vertices).norm(dim=-1).max() < 1e-5
        assert (ours.joints - theirs.joints[:, :55]).norm(dim=-1).max() < 1e-5


@pytest.mark.parametrize("lead", SHAPES)
def test_any_batch_shape(small: BodyModel, parameters, lead: tuple[int, ...]) -> None:
    given = parameters(*lead)
    out, rotations = small(**given), rotations_of(given)
    count = len(small.template)
    assert out.vertices.shape == (*lead, count, 3)
    assert out.joints.shape == (*lead, 55, 3)
    assert small.landmarks("coco_17", rotations, **placing(given)).shape == (*lead, 17, 3)
    assert small.frames(rotations, betas=given["betas"])[1].shape == (*lead, 55, 3, 3)
    assert small.rest_joints(given["betas"]).shape == (*lead, 55, 3)
    assert small.sole_offset(given["betas"]).shape == (*lead, 2)
    assert small.leg_length(given["betas"]).shape == lead
    flat = {k: v.reshape(-1, v.shape[-1]) for k, v in given.items()}
    for i in range(len(flat["transl"])):
        alone = small(**{k: v[i] for k, v in flat.items()})
        assert torch.allclose(alone.vertices, out.vertices.reshape(-1, count, 3)[i], atol=2e-6)


def test_arguments_broadcast(small: BodyModel, parameters) -> None:
    many, one = parameters(4), parameters(seed=3)
    mixed = many | {"betas": one["betas"], "transl": one["transl"], "global_orient": many[
        "global_orient"][:1]}  # fmt: skip
    full = {k: v.expand(4, v.shape[-1]) for k, v in mixed.items()}
    assert torch.allclose(small(**mixed).vertices, small(**full).vertices, atol=1e-6)
    only_moved = small.vertices(torch.eye(3).expand(55, 3, 3), transl=many["transl"])
    assert only_moved.shape == (4, len(small.template), 3)
    assert torch.allclose(only_moved[2] - many["transl"][2], small.template, atol=1e-6)


def test_blocks_and_chunks_do_not_show(small, small_file, parameters, monkeypatch) -> None:
    given = parameters(7)
    whole = small(**given).vertices
    monkeypatch.setattr("humanmotion.body.skinning.BLOCK_VERTICES", 64)
    monkeypatch.setattr("humanmotion.body.skinning.CACHE_NUMBERS", 2 * 12 * 64)
    cut = BodyModel.load(small_file)
    assert len(cut.blocks) == 4
    assert torch.allclose(cut(**given).vertices, whole, atol=1e-6)


def test_root_turns_about_the_pelvis_and_translation_adds(small: BodyModel, parameters) -> None:
    given = parameters(3)
    rotations, where = rotations_of(given), placing(given)
    pelvis = (
        small.rest_joints(where["betas"], where["expression"])[:, :1] + where["transl"][:, None]
    )
    turn = rotvec_to_matrix(torch.tensor((0.3, -1.1, 2.0)))
    turned = rotations.clone()
    turned[:, 0] = turn @ rotations[:, 0]
    for call in (small.vertices, small.joints, lambda r, **w: small.landmarks("coco_17", r, **w)):
        before, after = call(rotations, **where), call(turned, **where)
        assert torch.allclose((before - pelvis) @ turn.T + pelvis, after, atol=1e-5)
        moved = call(rotations, **where | {"transl": where["transl"] + 1.0})
        assert torch.allclose(before + 1.0, moved, atol=1e-5)
    assert torch.allclose(small.joints(rotations, **where)[:, :1], pelvis, atol=1e-6)


def test_joints_frames_and_call_are_one(small: BodyModel, parameters) -> None:
    given = parameters(3)
    rotations, where = rotations_of(given), placing(given)
    joints = small.joints(rotations, **where)
    assert torch.equal(joints, small(**given).joints)
    positions, world = small.frames(rotations, **where)
    assert torch.equal(joints, positions)
    for joint, parent in enumerate(SMPLX_PARENTS):
        chained = rotations[:, joint] if parent < 0 else world[:, parent] @ rotations[:, joint]
        assert torch.allclose(world[:, joint], chained, atol=1e-5)


def test_rest_pose_is_the_template(small: BodyModel) -> None:
    out = small(global_orient=torch.zeros(3), body_pose=torch.zeros(63))
    assert torch.allclose(out.vertices, small.template, atol=1e-6)
    assert torch.allclose(out.joints, small.rest_joints(), atol=1e-6)


def test_shapes_are_linear_in_the_dirs(small: BodyModel, parameters) -> None:
    given = parameters()
    shaped = small.vertices(
        torch.eye(3).expand(55, 3, 3), betas=given["betas"], expression=given["expression"]
    )
    moved = small.shapedirs @ given["betas"] + small.exprdirs @ given["expression"]
    assert torch.allclose(shaped, small.template + moved, atol=1e-5)


def test_sole_and_leg(small: BodyModel, parameters) -> None:
    betas = parameters(4)["betas"]
    joints = small.rest_joints(betas)
    shaped = small.template + (small.shapedirs @ betas[:, None, :, None])[..., 0]
    for side, ids in enumerate(small.soles):
        height = joints[:, 10 + side, 1] - shaped[:, ids, 1].amin(-1)
        assert torch.allclose(small.sole_offset(betas)[:, side], height, atol=1e-6)
    left = (joints[:, 1] - joints[:, 4]).norm(dim=-1) + (joints[:, 4] - joints[:, 7]).norm(dim=-1)
    right = (joints[:, 2] - joints[:, 5]).norm(dim=-1) + (joints[:, 5] - joints[:, 8]).norm(dim=-1)
    assert torch.allclose(small.leg_length(betas), (left + right) / 2, atol=1e-6)
    assert 0.7 < float(small.leg_length()) < 0.9


def test_a_motion_is_posed_in_its_world(small: BodyModel) -> None:
    torch.manual_seed(0)
    motion = Motion.create(torch.randn(5, 55, 3) * 0.4, torch.randn(5, 3), fps=30)
    out = small.pose(motion)
    assert torch.equal(out.joints, small.joints_of(motion))
    rotvec = motion.rotvec[3]
    alone = small.vertices(rotvec_to_matrix(rotvec), transl=motion.transl[3])
    assert torch.allclose(out.vertices[3], alone, atol=1e-6)


def test_wrong_widths_are_named(small: BodyModel) -> None:
    zeros = torch.zeros
    with pytest.raises(BodyError, match=r"body_pose has shape \(69,\), expected \(\.\.\., 63\)"):
        small(global_orient=zeros(3), body_pose=zeros(69))
    with pytest.raises(BodyError, match="betas has shape"):
        small.rest_joints(zeros(16))
    with pytest.raises(BodyError, match="rotations has shape"):
        small.joints(zeros(22, 3, 3))
    with pytest.raises(BodyError, match="transl has shape"):
        small.joints(torch.eye(3).expand(55, 3, 3), transl=zeros(2))


def test_default_body_loads_fast(default_path) -> None:
    BodyModel.load()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        BodyModel.load()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3


def test_many_bodies_are_posed_in_blocks_as_in_one(monkeypatch) -> None:
    body, generator = BodyModel.load(), torch.Generator().manual_seed(0)
    turned = rotvec_to_matrix(0.5 * torch.randn(9, 2, 55, 3, generator=generator))
    betas = torch.randn(9, 1, 10, generator=generator)
    whole = body.frames(turned, betas=betas)
    monkeypatch.setattr(kinematics, "BLOCK", 4)
    for one, parts in zip(whole, body.frames(turned, betas=betas), strict=True):
        assert one.shape == parts.shape
        torch.testing.assert_close(one, parts)
