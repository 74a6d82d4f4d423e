"""Bodies and motions that the format tests share."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.joint_sets import SMPLX_PARENTS
from humanmotion.keypoints import JOINT_SETS, Keypoints
from humanmotion.motion import Motion
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

FRAMES = 40
UPRIGHT = torch.tensor((math.pi / 2, 0.0, 0.0))


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def other_body(body, tmp_path_factory) -> BodyModel:
    """A user's body: small, with pose correctives and more than four influences a vertex."""
    rng = np.random.default_rng(5)
    rest = body.rest_joints().double().numpy()
    rings = [rest + 0.05 * rng.standard_normal((55, 3)) for _ in range(6)]
    template = np.concatenate([*rings, rest])
    vertices = len(template)
    near = np.linalg.norm(template[:, None] - rest, axis=-1)
    weights = np.exp(-((near / 0.08) ** 2)) + 1e-12
    weights[weights < np.sort(weights, 1)[:, -7:-6]] = 0
    regressor = np.zeros((55, vertices))
    regressor[np.arange(55), 6 * 55 + np.arange(55)] = 1
    path = tmp_path_factory.mktemp("body") / "theirs.npz"
    np.savez(
        path,
        v_template=template,
        shapedirs=0.01 * rng.standard_normal((vertices, 3, 20)),
        posedirs=0.005 * rng.standard_normal((vertices, 3, 9 * 54)),
        J_regressor=regressor,
        weights=weights / weights.sum(1, keepdims=True),
        kintree_table=np.array([[p % 2**32 for p in SMPLX_PARENTS], range(55)]),
        f=rng.integers(0, vertices, (300, 3)),
    )
    return BodyModel.load(path)


def smooth_motion(body: BodyModel, *, frames: int = FRAMES, seed: int = 0, joints: int = 55):
    """Random smooth movement upright in the world, all joints at work, on the floor roughly."""
    rng = torch.Generator().manual_seed(seed)
    seconds = torch.arange(frames, dtype=torch.float64) / 30
    speed = 1 + 4 * torch.rand(joints, 3, generator=rng, dtype=torch.float64)
    phase = 6.3 * torch.rand(joints, 3, generator=rng, dtype=torch.float64)
    rotvec = 0.5 * torch.sin(seconds[:, None, None] * speed + phase).float()
    spin = rotvec_to_matrix(torch.stack((0 * seconds, 0 * seconds, 2 * seconds), -1).float())
    root = spin @ rotvec_to_matrix(UPRIGHT) @ rotvec_to_matrix(rotvec[:, 0])
    rotvec[:, 0] = matrix_to_rotvec(root)
    path = torch.stack((seconds, torch.sin(seconds), 0.1 * torch.cos(3 * seconds)), -1).float()
    betas = torch.randn(10, generator=rng)
    height = float(body.leg_length(betas)) + 0.1
    transl = path + torch.tensor((0.0, 0.0, height)) - body.rest_joints(betas)[0]
    motion = Motion.create(
        rotvec, transl, fps=30.0, betas=betas,
        body_id=body.body_id, body_sha256=body.sha256, meta={"source": "test", "person": 1},
    )  # fmt: skip
    return motion


@pytest.fixture(scope="session")
def motion(body) -> Motion:
    return smooth_motion(body)


@pytest.fixture(scope="session")
def full_motion(motion) -> Motion:
    """The same with everything a motion can carry: face, shots, contacts, absence."""
    rng = torch.Generator().manual_seed(1)
    frames = len(motion)
    confidence = torch.rand(frames, 55, generator=rng)
    confidence[5:8] = 0
    return replace(
        motion,
        expression=torch.randn(frames, 10, generator=rng) * torch.tensor((1.0, 0.5) + (0.0,) * 8),
        contact=torch.rand(frames, 2, generator=rng),
        confidence=confidence,
        shot_id=(torch.arange(frames) >= 25).long(),
        times=motion.times + 0.004 * torch.rand(frames, generator=rng, dtype=torch.float64),
    )


@pytest.fixture(scope="session")
def camera() -> Camera:
    """A camera that walks round the origin 3 m away, 1.5 m high, looking at 1 m."""
    angle = torch.linspace(0.0, 1.0, FRAMES)
    centre = torch.stack((3 * angle.cos(), 3 * angle.sin(), 1.5 + 0 * angle), -1)
    forward = torch.nn.functional.normalize(torch.tensor((0.0, 0.0, 1.0)) - centre, dim=-1)
    up = torch.tensor((0.0, 0.0, 1.0)).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    rows = torch.stack((right, torch.linalg.cross(forward, right), forward), -2)
    K = intrinsics(900.0, width=640, height=480).expand(FRAMES, 3, 3).clone()
    t = -(rows @ centre[..., None])[..., 0]
    return Camera(K=K, R_w2c=rows, t_w2c=t, width=640, height=480)


@pytest.fixture(scope="session")
def make_motion():
    """`smooth_motion`."""
    return smooth_motion


@pytest.fixture(scope="session")
def make_keypoints():
    """`some_keypoints`."""
    return some_keypoints


@pytest.fixture(scope="session")
def assert_same():
    """`same_motion`."""
    return same_motion


def some_keypoints(joint_set: str, *, seed: int = 0, frames: int = 6) -> Keypoints:
    rng = torch.Generator().manual_seed(seed)
    joints = len(JOINT_SETS[joint_set])
    confidence = torch.rand(frames, joints, generator=rng)
    confidence[2] = 0
    return Keypoints(
        xy=400 * torch.rand(frames, joints, 2, generator=rng) * (confidence > 0)[..., None],
        confidence=confidence,
        times=torch.arange(frames, dtype=torch.float64) / 25,
        joint_set=joint_set,
        width=640,
        height=480,
    )


@pytest.fixture(scope="session")
def mocap(data, body) -> list[Motion]:
    """Three real clips of 200 frames, one of them with a floor roll or the like."""
    folder = data / "cmu"
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    clips = []
    for row in [r for r in rows if r["split"] == "val" and r["frames"] > 260][:3]:
        with np.load(folder / row["shard"]) as shard:
            poses = shard[row["id"] + "/poses"][:200].astype(np.float32) * (np.pi / 32767)
            pelvis = shard[row["id"] + "/pelvis"][:200] / 2000 + shard[row["id"] + "/origin"]
        rotvec = torch.from_numpy(poses).reshape(-1, 22, 3)
        transl = torch.from_numpy(pelvis).float() - body.rest_joints()[0]
        clips.append(
            Motion.create(rotvec, transl, fps=30.0, body_id=body.body_id, body_sha256=body.sha256)
        )
    return clips


def same_motion(a: Motion, b: Motion, *, atol: float = 0.0) -> None:
    """Every field equal, within `atol` for numbers."""
    for name in a.__dataclass_fields__:
        left, right = getattr(a, name), getattr(b, name)
        if isinstance(left, torch.Tensor):
            assert left.dtype == right.dtype, name
            torch.testing.assert_close(left, right, atol=atol, rtol=0, msg=name)
        else:
            assert left == right, name
