"""Laws of body penetration, and all pairs of small meshes and of parts of the body."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.body_penetration import (
    MOST_PAIRS,
    RINGS,
    BodyPenetration,
    near_on_surface,
)
from humanmotion.metrics.triangle_tree import triangles_meet
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix
from tests.metrics.whole_numbers import meet_in_whole_numbers


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def metric(body) -> BodyPenetration:
    return BodyPenetration(body)


def _motion(*degrees: float, joint: str = "left_shoulder", axis: int = 2) -> Motion:
    turns = torch.zeros(len(degrees), 22, 3)
    turns[:, SMPLX_JOINTS.index(joint), axis] = torch.tensor(degrees) * math.pi / 180
    return Motion.create(turns, torch.zeros(len(degrees), 3), fps=20.0)


def _arm(body: BodyModel, degrees: float) -> torch.Tensor:
    return body.pose(_motion(degrees)).vertices[0]


def test_a_body_at_rest_is_not_in_itself_though_its_eyes_are_in_their_sockets(body, metric):
    assert metric.of_mesh(body.template) == 0.0
    assert BodyPenetration(body, mode="released").of_mesh(body.template) > 1.0


@pytest.mark.parametrize(
    ("joint", "axis", "degrees"), [("left_elbow", 1, -90), ("left_knee", 0, 90)]
)
def test_a_bent_joint_is_no_penetration(metric, joint, axis, degrees):
    assert metric(_motion(degrees, joint=joint, axis=axis)).value == 0.0


def test_eyes_that_look_about_stay_in_their_sockets(body, metric):
    looking = dataclasses.replace(_motion(0.0), leye_pose=torch.tensor(((0.3, -0.4, 0.0),)))
    assert metric(looking).value == 0.0
    vertices = body.pose(looking).vertices[0]
    moved = BodyPenetration(body, mode="released").meeting_pairs(vertices)
    at_rest = BodyPenetration(body, mode="released").meeting_pairs(body.template)
    assert set(map(tuple, moved.tolist())) - set(map(tuple, at_rest.tolist()))


def test_an_arm_goes_deeper_and_the_value_rises(metric):
    values = [metric(_motion(d)).value for d in (-60, -70, -75, -80, -85)]
    assert values[0] == 0.0
    assert all(a < b for a, b in itertools.pairwise(values))
    assert values[-1] > 0.4


@pytest.mark.parametrize("mode", ["corrected", "released"])
def test_where_the_body_is_and_which_way_it_faces_changes_nothing(body, mode):
    metric, vertices = BodyPenetration(body, mode=mode), _arm(body, -80)
    turn = rotvec_to_matrix(torch.tensor((0.4, -1.1, 2.0), dtype=torch.float64))
    moved = vertices.double() @ turn.T + torch.tensor((3.0, -8.0, 1.0)).double()
    assert metric.of_mesh(moved) == metric.of_mesh(vertices.double())


def test_the_mean_is_that_of_every_stride_th_frame(metric):
    motion = _motion(-85, 0, -75, 0, -70, 0, 0)
    each = [metric.of_mesh(metric.body.pose(motion[i : i + 1]).vertices[0]) for i in range(7)]
    assert metric(motion, stride=1).value == pytest.approx(sum(each) / 7)
    assert metric(motion, stride=3).value == pytest.approx((each[0] + each[3] + each[6]) / 3)
    assert metric(motion).value == pytest.approx(each[0])


def test_frames_without_the_person_are_no_part_of_it(metric):
    motion = _motion(-85, 0, -75)
    seen = motion.confidence * torch.tensor((0.0, 1.0, 1.0))[:, None]
    away = dataclasses.replace(motion, confidence=seen)
    assert metric(away, stride=2).value == pytest.approx(metric(motion[2:]).value)
    nobody = dataclasses.replace(motion, confidence=0 * seen)
    assert metric(nobody).value is None
    assert metric(nobody).reason == "no frame shows the person"


def test_part_of_the_body_against_all_pairs(body):
    """An upper arm in the torso's side: 150 faces, every pair of them in whole micrometres."""
    vertices = (_arm(body, -85) * 1e6).round().double()
    metric = BodyPenetration(body, mode="released")
    found = metric.meeting_pairs(vertices)
    assert len(found) > 500
    far = (metric.meeting_pairs(body.template.double()) * 1).flatten().unique()
    new = found[~torch.isin(found, far).any(1)]
    chosen = new[:60].flatten().unique()[:150].tolist()
    corners = vertices[body.faces].long().tolist()
    faces = body.faces.tolist()
    slow = [
        (a, b) for a, b in itertools.combinations(chosen, 2)
        if not set(faces[a]) & set(faces[b]) and meet_in_whole_numbers(corners[a], corners[b])
    ]  # fmt: skip
    inside = torch.isin(found, torch.tensor(chosen)).all(1)
    assert sorted(map(tuple, found[inside].tolist())) == slow
    assert len(slow) >= 50


def test_the_whole_body_against_every_pair_by_the_exact_test(body, metric):
    """Without the tree: one face in forty against all the others."""
    vertices = _arm(body, -85)
    corners, faces = vertices[body.faces], body.faces
    found = BodyPenetration(body, mode="released").meeting_pairs(vertices)
    for face in range(0, len(faces), len(faces) // 40):
        others = torch.arange(face + 1, len(faces))
        meet = triangles_meet(corners[face].expand(len(others), 3, 3), corners[others])
        shared = (faces[others][:, :, None] == faces[face]).flatten(1).any(1)
        slow = others[meet & ~shared].tolist()
        assert sorted(found[found[:, 0] == face][:, 1].tolist()) == slow


def _needle_through_sheets(sheets: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A triangle, number 0, through so many others."""
    sheet = torch.tensor(((-1.0, -1, 0), (2, -1, 0), (-1, 2, 0)))
    stack = [sheet + torch.tensor((0.0, 0, i)) for i in range(sheets)]
    needle = torch.tensor(((0.0, 0, -1), (0.1, 0, -1), (0, 0.05, sheets)))
    return torch.cat((needle, *stack)), torch.arange(3 * (sheets + 1)).view(-1, 3)


@pytest.mark.parametrize("sheets", [0, 1, MOST_PAIRS, 12])
def test_a_triangle_counts_for_eight_pairs_at_most(body, sheets):
    vertices, faces = _needle_through_sheets(sheets)
    small = dataclasses.replace(body, faces=faces, template=vertices)
    released = BodyPenetration(small, mode="released")
    assert len(released.meeting_pairs(vertices)) == sheets
    assert released.of_mesh(vertices) == pytest.approx(100 * min(sheets, MOST_PAIRS) / (sheets + 1))
    # What meets at rest is left out.
    assert BodyPenetration(small).of_mesh(vertices) == 0.0


def test_rings_are_those_of_a_walk_along_edges():
    faces = torch.tensor([(i, i + 1, i + 2) for i in range(9)])
    found = set(map(tuple, near_on_surface(faces, 11, rings=RINGS).tolist()))
    # A strip of triangles: an edge goes one or two vertices on.
    assert found == {(i, j) for i in range(11) for j in range(11) if abs(i - j) <= 2 * RINGS}


def test_bad_input_is_told_in_one_line(body, metric):
    with pytest.raises(UsageError, match="vertices"):
        metric.of_mesh(body.template[:-1])
    with pytest.raises(UsageError, match="finite"):
        metric.of_mesh(body.template * torch.nan)
    with pytest.raises(UsageError, match="stride 0"):
        metric(_motion(0), stride=0)
    with pytest.raises(UsageError, match='"released"'):
        BodyPenetration(body, mode="fast")
    with pytest.raises(UsageError, match="no faces"):
        BodyPenetration(dataclasses.replace(body, faces=body.faces[:0]))


def test_a_frame_is_quick(body, metric):
    vertices = _arm(body, -85)
    metric.of_mesh(vertices)
    took = []
    for _ in range(3):
        start = time.process_time()
        metric.of_mesh(vertices)
        took.append(time.process_time() - start)
    assert min(took) < 0.2
