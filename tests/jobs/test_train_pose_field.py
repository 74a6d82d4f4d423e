"""Training a pose field on a folder made here: labels that are distances, and a run that resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError
from humanmotion.files import asset, read_json, write_json
from humanmotion.jobs.network_run import read_settings
from humanmotion.jobs.pose_field_data import (
    FEW,
    SPREAD,
    _filled,
    labelled,
    perturbed,
    quaternion_product,
    real_poses,
    turned,
)
from humanmotion.jobs.pose_field_weights import WEIGHTS, load_pose_field
from humanmotion.jobs.prior_data import distinct, read_poses
from humanmotion.jobs.train_pose_field import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_pose_field import train_pose_field
from humanmotion.prior.pose_field import (
    JOINTS,
    PoseFieldConfig,
    body_quaternions,
    mirrored,
    pose_distance,
)
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = """
seed = 1
[labels]
train = 3000
val = 600
[stopping]
every = 20
patience = 100
[network]
width = 24
layers = 2
[training]
steps = 160
batch = 64
warmup = 10
learning_rate = 1e-2
ema = 0.9
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def trained(swaying, config, tmp_path_factory) -> Path:
    return train_pose_field(swaying, output=tmp_path_factory.mktemp("out"), config=config)


def test_what_a_source_did_not_record_is_lent_by_the_nearest_full_pose(swaying):
    poses = read_poses(swaying, split="train")
    poses = poses[distinct(poses)]
    found, recorded = real_poses(swaying, split="train"), poses.recorded[:, :JOINTS]
    own = body_quaternions(poses.rotvec[:, :JOINTS])
    assert torch.equal(found[recorded], own[recorded])
    assert (~recorded).sum() > 0
    full = own[recorded.all(1)]
    for pose, there, filled in zip(own, recorded, found, strict=True):
        away = (pose - full)[:, there].square().sum((1, 2))
        assert torch.equal(filled[~there], full[away.argmin()][~there])


def test_lending_leaves_a_full_pose_alone():
    poses = body_quaternions(torch.randn(7, JOINTS, 3))
    there = torch.ones(7, JOINTS, dtype=torch.bool)
    assert torch.equal(_filled(poses, there, poses.flip(0)), poses)


def test_turning_is_a_product_of_rotations():
    first, second = torch.randn(
        2, 9, JOINTS, 3, generator=torch.Generator().manual_seed(0)
    ).double()
    product = matrix_to_rotvec(rotvec_to_matrix(first) @ rotvec_to_matrix(second))
    found = turned(body_quaternions(first), second)
    assert torch.allclose(pose_distance(found, body_quaternions(product)), torch.zeros(9).double(),
                          atol=1e-7)  # fmt: skip
    unit = torch.tensor((1.0, 0, 0, 0))
    assert torch.equal(quaternion_product(unit, found[0, 0].float()), found[0, 0].float())


def test_perturbed_poses_are_as_far_as_drawn_in_few_joints_or_all():
    still = body_quaternions(torch.zeros(4000, JOINTS, 3))
    found = perturbed(still, generator=torch.Generator().manual_seed(0))
    far = pose_distance(found, still)
    clean = far < 1e-4
    assert 0.08 < clean.float().mean() < 0.12
    # Half-Gaussian, but for joints that came round: few of them are turned far.
    some = far[~clean]
    assert some.median() == pytest.approx(0.6745 * SPREAD, rel=0.1)
    moved = (found != still).any(-1).sum(1)[~clean]
    assert 0.45 < (moved <= FEW).float().mean() < 0.55
    assert (moved[moved > FEW] == JOINTS).all()


def test_labels_are_distances_to_the_nearest_known_pose_or_its_mirror_image(swaying):
    known = real_poses(swaying, split="train")
    made = labelled(known, known, count=200, seed=0)
    both = torch.cat((known, mirrored(known)))
    slow = torch.stack([pose_distance(p, both).amin() for p in made.poses])
    # By chords the nearest is sometimes not found, but one that is hardly farther.
    excess = made.distance - slow
    assert excess.min() > -1e-5 and excess.mean() < 0.01 * slow.mean()
    assert (excess < 1e-5).float().mean() > 0.9
    # A mirror changes nothing of what is drawn.
    poses, distance = made.draw(200, generator=torch.Generator().manual_seed(0))
    slow = torch.stack([pose_distance(p, both).amin() for p in poses])
    excess = distance - slow
    assert excess.min() > -1e-5 and excess.mean() < 0.01 * slow.mean()


def test_it_learns_how_far_poses_are(swaying, trained):
    field, known = load_pose_field(trained), real_poses(swaying, split="train")
    made = labelled(known, known, count=400, seed=7)
    with torch.no_grad():
        error = (field(made.poses) - made.distance).abs().mean()
        real = field(known).mean()
    mean = (made.distance - made.distance.median()).abs().mean()
    assert error < 0.5 * mean
    assert real < 0.3 * made.distance.mean()
    assert trained.stat().st_size < 1 << 20


def test_a_killed_run_ends_with_the_same_bytes(swaying, config, trained, tmp_path):
    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        train_pose_field(swaying, output=tmp_path, config=config, progress=kill)
    again = train_pose_field(swaying, output=tmp_path, config=config)
    assert trained.read_bytes() == again.read_bytes()


def test_another_config_does_not_go_on_with_the_same_folder(swaying, trained, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("seed = 1", "seed = 2"))
    with pytest.raises(InputError, match="another config"):
        train_pose_field(swaying, output=trained.parent, config=other)


@pytest.mark.parametrize(
    ("line", "instead"),
    [("width = 24", "width = 0"), ("[labels]", "[other]"), ("val = 600", "val = 0"),
     ("val = 600", "val = 'many'"), ("batch = 64", "")],
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused(swaying, tmp_path, line, instead):
    path = tmp_path / "bad.toml"
    path.write_text(CONFIG.replace(line, instead))
    with pytest.raises(InputError, match=r"no config of a pose field|give 1 or more"):
        train_pose_field(swaying, output=tmp_path / "out", config=path)


def test_data_and_weights_that_cannot_be_are_told(trained, config, tmp_path):
    with pytest.raises(InputError, match="holds none of"):
        train_pose_field(tmp_path, output=tmp_path / "out", config=config)
    write_json(tmp_path / "pose_field.json", {"width": 25, "layers": 2})
    copy = tmp_path / "pose_field.safetensors"
    copy.write_bytes(trained.read_bytes())
    with pytest.raises(InputError, match="no pose field of this version"):
        load_pose_field(copy)


def test_the_shipped_config_is_that_of_the_shipped_weights():
    shipped = read_json(asset(WEIGHTS).with_suffix(".json"))
    assert shipped == read_settings(CONFIG_FILE, PoseFieldConfig, what="pose field")["network"]
    assert asset(WEIGHTS).stat().st_size <= 1 << 20
