"""What is concluded from joint positions alone, on poses and bodies that are known."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body.carried_points import positions
from humanmotion.body.named_points import named_points, set_points
from humanmotion.errors import UsageError
from humanmotion.jobs.fit_input import at_rate
from humanmotion.jobs.joint_checks import (
    check_sides,
    metres_per_unit,
    shape_of_bones,
    to_z_up,
    up_axis,
)
from humanmotion.jobs.joint_names import plain_name, recognise
from humanmotion.rotations import rotation_about_z

SETS = ("smplx_55", "coco_17", "openpose_25", "mediapipe_33")


def seen(body, walk, joint_set: str, betas: torch.Tensor | None = None):
    """Points and their places `(T, L, 3)` over a walk."""
    which = list(set_points(body, joint_set).values())[:33]
    points = named_points(body, which, joints=(0,),
                          betas=torch.zeros(10) if betas is None else betas)  # fmt: skip
    return which, positions(points, walk.rotations, body.joints_of(walk)[:, 0])


@pytest.mark.parametrize("joint_set", SETS)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_unit_axis_and_sides_of_every_set(joint_set, noise, body, walk) -> None:
    points, xyz = seen(body, walk, joint_set)
    xyz = xyz + noise * torch.randn(xyz.shape, generator=torch.Generator().manual_seed(0))
    for size, unit in ((1, 1.0), (100, 0.01), (1000, 0.001)):
        assert metres_per_unit(size * xyz, points, body, source="f") == unit
    for turned, up in (
        (xyz, "z"),
        (xyz @ rotation_about_z(torch.tensor(2.0)).T, "z"),
        (xyz[..., [0, 2, 1]] * torch.tensor((1.0, 1, -1)), "y"),
        (xyz[..., [0, 2, 1]] * torch.tensor((1.0, -1, 1)), "-y"),
        (xyz * torch.tensor((1.0, -1, -1)), "-z"),
    ):
        assert up_axis(turned, points, body) == up
        assert up_axis(to_z_up(turned, up), points, body) == "z"
        check_sides(turned, points, source="f")
    assert up_axis(xyz[..., [2, 1, 0]], points, body) is None
    with pytest.raises(UsageError, match="swapped, or it is mirrored"):
        check_sides(xyz * torch.tensor((1.0, -1.0, 1.0)), points, source="f")


def test_too_few_points_to_tell_sides_are_believed(body, walk) -> None:
    points, xyz = seen(body, walk, "smplx_55")
    few = [i for i, p in enumerate(points) if p.name in ("pelvis", "left_wrist", "head")]
    check_sides(-xyz[:, few], [points[i] for i in few], source="f")


@pytest.mark.parametrize("joint_set", SETS)
def test_bones_show_the_size(joint_set, body, walk) -> None:
    for size in (-1.5, 0.0, 1.5):
        betas = torch.tensor((size, -size / 2, *[0.0] * 8))
        points, xyz = seen(body, walk, joint_set, betas)
        found = body.rest_joints(shape_of_bones(xyz, points, body))
        gap = (found - body.rest_joints(betas))[:22]
        gap = (gap - gap[:1]).norm(dim=-1).mean()
        assert float(gap) < 0.016
    one = [points[0]]
    assert not shape_of_bones(xyz[:, :1], one, body).any()


def test_noise_does_not_make_people_tall(body, walk) -> None:
    points, xyz = seen(body, walk, "coco_17")
    noise = 0.1 * torch.randn(10, *xyz.shape, generator=torch.Generator().manual_seed(0))
    found = shape_of_bones((xyz + noise).flatten(0, 1), points, body)
    gap = (body.rest_joints(found) - body.rest_joints())[:22]
    assert float((gap - gap[:1]).norm(dim=-1).mean()) < 0.03


@pytest.mark.parametrize(
    "name", ["left_hip", "LeftHip", "L-Hip", "l_hip", "LHip", " left hip", "Left.Hip", "L_HIP"]
)
def test_spellings(name) -> None:
    assert plain_name(name) == "left_hip"


def test_the_set_that_knows_most_names_is_taken(body) -> None:
    names = ["MidHip", "Neck", "LShoulder", "RAnkle", "gizmo", "vertex_12"]
    found = recognise(names, body, source="f")
    assert found.joint_set == "openpose_25" and found.unknown == ("gizmo",)
    assert found.columns == (0, 1, 2, 3, 5)
    assert recognise([*names[2:4], "pelvis"], body, source="f").joint_set == "smplx_55"
    told = recognise(["left_hip", "left_knee", "left_ankle"], body, source="f", joint_set="coco_17")
    assert told.points[0].sources[0][0] == "coco_17"
    with pytest.raises(UsageError, match="accepted are smplx_55, coco_17"):
        recognise(names, body, source="f", joint_set="kinect")


def test_gaps_stay_gaps_at_another_rate() -> None:
    times = torch.arange(7, dtype=torch.float64) / 60
    values = torch.arange(7.0)[:, None].clone()
    values[2], values[5] = torch.nan, torch.nan
    new, found = at_rate(times, values, source="f")
    assert new.tolist() == [t / 30 for t in range(4)]
    assert found[[0, 2, 3], 0].tolist() == [0, 4, 6] and bool(found[1].isnan())
