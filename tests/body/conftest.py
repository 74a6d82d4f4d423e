"""A small random body with a person's joints, in the layout of a real body file, and fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.files import asset
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

JOINT_MAPS = {"SMPL-X": [*range(55)], "SMPL-H": [*range(22), *range(25, 55)], "SMPL": [*range(24)]}

_LEFT_AND_MIDDLE = {
    "pelvis": (0, 0, 0), "left_hip": (0.08, -0.08, 0), "left_knee": (0.1, -0.48, 0.01),
    "left_ankle": (0.1, -0.88, -0.02), "left_foot": (0.12, -0.94, 0.1), "spine1": (0, 0.1, 0),
    "spine2": (0, 0.22, 0), "spine3": (0, 0.3, 0), "neck": (0, 0.5, 0), "head": (0, 0.6, 0.02),
    "left_collar": (0.05, 0.42, 0), "left_shoulder": (0.18, 0.44, 0),
    "left_elbow": (0.45, 0.44, -0.01), "left_wrist": (0.7, 0.44, 0), "jaw": (0, 0.57, 0.04),
    "left_eye_smplhf": (0.03, 0.66, 0.09),
}  # fmt: skip
_FINGER_Z = {"index": 0.03, "middle": 0.01, "ring": -0.01, "pinky": -0.03, "thumb": 0.05}


def rest_joints() -> np.ndarray:
    """`(55, 3)` metres, T-pose, y up, facing +z."""
    places = dict(_LEFT_AND_MIDDLE)
    for finger, z in _FINGER_Z.items():
        for i in (1, 2, 3):
            places[f"left_{finger}{i}"] = (0.76 + 0.03 * i, 0.44, z)
    for name, (x, y, z) in list(places.items()):
        if name.startswith("left"):
            places[name.replace("left", "right")] = (-x, y, z)
    return np.array([places[name] for name in SMPLX_JOINTS], np.float64)


def make_synthetic_body(
    kind: str = "SMPL-X", *, vertices: int = 240, columns: int = 20, correctives: float = 0.0,
    seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays of a body file of the given kind; `columns` of shapedirs, size of the correctives."""
    rng = np.random.default_rng(seed)
    joint_map = JOINT_MAPS[kind]
    count = len(joint_map)
    places = rest_joints()[joint_map] if kind != "SMPL" else _smpl_joints()
    parents = [-1, *(_parent(kind, j) for j in range(1, count))]
    owner = np.arange(vertices) % count
    template = places[owner] + rng.normal(0, 0.02, (vertices, 3))
    weights = rng.uniform(0, 0.2, (vertices, count)) * (rng.uniform(size=(vertices, count)) < 0.05)
    weights[np.arange(vertices), owner] += 1.0
    regressor = (owner[None] == np.arange(count)[:, None]) * 1.0
    shapedirs = rng.normal(0, 0.01, (vertices, 3, columns))
    kintree = np.array([parents, range(count)], np.int64).astype(np.uint32)
    return {
        "v_template": template,
        "shapedirs": shapedirs,
        "posedirs": correctives * rng.normal(size=(vertices, 3, 9 * (count - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": kintree,
        "f": rng.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32),
        "hands_meanl": rng.normal(size=45) * 0.1,
        "hands_meanr": rng.normal(size=45) * 0.1,
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "lmk_faces_idx": np.arange(51),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
    }


def _smpl_joints() -> np.ndarray:
    places = rest_joints()
    hands = places[[20, 21]] + [(0.08, 0, 0), (-0.08, 0, 0)]
    return np.concatenate((places[:22], hands))


def _parent(kind: str, joint: int) -> int:
    if kind == "SMPL" and joint >= 22:
        return joint - 2
    return JOINT_MAPS[kind].index(SMPLX_PARENTS[JOINT_MAPS[kind][joint]])


def write_body(folder: Path, arrays: dict[str, np.ndarray], name: str = "body") -> Path:
    """The arrays as an npz file in `folder`."""
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def synthetic_body() -> Callable[..., dict[str, np.ndarray]]:
    """`make_synthetic_body`."""
    return make_synthetic_body


@pytest.fixture(scope="session")
def save_body() -> Callable[..., Path]:
    """`write_body`."""
    return write_body


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SMPL-X-like file with pose correctives."""
    return write_body(tmp_path_factory.mktemp("body"), make_synthetic_body(correctives=0.005))


@pytest.fixture(scope="session")
def small(small_file: Path) -> BodyModel:
    return BodyModel.load(small_file)


@pytest.fixture(scope="session")
def default_path() -> Path:
    try:
        return asset("body/default.npz")
    except InputError:
        pytest.skip("the default body is not built in this checkout")


@pytest.fixture(scope="session")
def default(default_path: Path) -> BodyModel:
    return BodyModel.load(default_path)


@pytest.fixture
def parameters() -> Callable[..., dict[str, torch.Tensor]]:
    """Random smplx-like parameters of any leading shape."""

    def make(
        *lead: int, seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        widths = {"global_orient": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3}
        widths |= {"reye_pose": 3, "left_hand_pose": 45, "right_hand_pose": 45}
        scales = dict.fromkeys(widths, 0.5) | {"global_orient": 1.5}
        widths |= {"betas": 10, "expression": 10, "transl": 3}
        return {
            name: torch.randn(*lead, width, generator=generator).to(dtype) * scales.get(name, 1.5)
            for name, width in widths.items()
        }

    return make
