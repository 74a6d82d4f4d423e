"""Laws of the skin that is inside, and winding numbers of every face by a slow, plain sum."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.body_inside import BodyInside
from humanmotion.metrics.body_penetration import BodyPenetration
from humanmotion.metrics.winding import winding_numbers
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def metric(body) -> BodyInside:
    return BodyInside(body)


def _motion(*turns: tuple[str, int, float]) -> Motion:
    pose = torch.zeros(1, 22, 3)
    for joint, axis, degrees in turns:
        pose[0, SMPLX_JOINTS.index(joint), axis] = math.radians(degrees)
    return Motion.create(pose, torch.zeros(1, 3), fps=20.0)


def _posed(body: BodyModel, *turns: tuple[str, int, float]) -> torch.Tensor:
    return body.pose(_motion(*turns)).vertices[0]


def _slow_winding(vertices: torch.Tensor, faces: torch.Tensor, at: int) -> float:
    """From the definition, a face at a time by rows: solid angles over that of the whole sphere."""
    corners = vertices.double()[faces]
    a, b, c = (corners - corners[at].mean(0)).unbind(1)
    x, y, z = (v.norm(dim=-1) for v in (a, b, c))
    below = x * y * z + (a * b).sum(-1) * z + (b * c).sum(-1) * x + (c * a).sum(-1) * y
    angles = 2 * torch.atan2((a * torch.linalg.cross(b, c)).sum(-1), below)
    return float((angles.sum() - angles[at]) / (4 * math.pi))


def _ball(rings: int, centre: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """A ball of radius 1 with its faces turned outward."""
    up, round_ = torch.arange(1, rings) * math.pi / rings, torch.arange(2 * rings) * math.pi / rings
    up, round_ = (x.flatten() for x in torch.meshgrid(up, round_, indexing="ij"))
    points = torch.stack((up.sin() * round_.cos(), up.sin() * round_.sin(), up.cos()), -1)
    points = torch.cat((points, torch.tensor(((0.0, 0, 1), (0, 0, -1)))))
    wide, faces = 2 * rings, []
    for j in range(wide):
        k = (j + 1) % wide
        faces += [(len(points) - 2, j, k)]
        for i in range(rings - 2):
            here, below = i * wide, (i + 1) * wide
            faces += [(here + j, below + j, here + k), (here + k, below + j, below + k)]
        last = (rings - 2) * wide
        faces += [(len(points) - 1, last + k, last + j)]
    return points + torch.tensor(centre), torch.tensor(faces)


def _two_balls(body: BodyModel, apart: float) -> tuple[BodyInside, torch.Tensor]:
    """A metric of two separate balls, and they as far apart as is asked, a little off the axes."""
    one, faces = _ball(24, (0.0, 0.0, 0.0))
    whole = torch.cat((faces, faces + len(one)))
    rest = torch.cat((one, one + torch.tensor((9.0, 0, 0))))
    small = dataclasses.replace(body, faces=whole, template=rest)
    return BodyInside(small), torch.cat((one, one + torch.tensor((apart, 0.013, 0.021))))


@pytest.mark.parametrize("apart", [2.1, 1.5, 1.0, 0.5])
def test_balls_in_each_other_have_the_caps_of_spheres_inside(body, apart):
    metric, vertices = _two_balls(body, apart)
    cap = max(0.0, 100 * (1 - apart / 2) / 2)
    assert metric.of_mesh(vertices) == pytest.approx(cap, abs=0.5)
    inside = metric.inside(vertices)
    centres = vertices[metric.body.faces].mean(1)
    half = len(centres) // 2
    middles = vertices.view(2, -1, 3).mean(1)
    other = torch.cat((centres[:half] - middles[1], centres[half:] - middles[0])).norm(dim=-1)
    assert bool(inside[other < 0.98].all()) and not bool(inside[other > 1.0].any())


def test_a_hole_in_the_mesh_changes_little(body):
    metric, vertices = _two_balls(body, 1.0)
    far = metric.body.faces[metric.body.faces.ne(len(vertices) - 1).all(1)]
    holed = BodyInside(dataclasses.replace(metric.body, faces=far))
    assert holed.of_mesh(vertices) == pytest.approx(metric.of_mesh(vertices), rel=0.02)


def test_nothing_is_inside_at_rest_nor_in_a_bent_joint(body, metric):
    assert metric.of_mesh(body.template) == 0.0
    for bent in (("left_elbow", 1, -90), ("left_knee", 0, 90), ("left_hip", 0, -70)):
        assert metric.of_mesh(_posed(body, bent)) == 0.0
    assert metric.of_mesh(_posed(body, ("left_shoulder", 2, -60))) == 0.0


def test_more_of_an_arm_inside_is_more_where_triangles_that_cross_are_fewer(body, metric):
    found = [
        metric.both_of_mesh(_posed(body, ("left_shoulder", 2, d))) for d in (-75, -80, -85, -88)
    ]
    assert found[3][0] < found[2][0]
    assert all(a[1] < b[1] for a, b in itertools.pairwise(found)) and found[-1][1] > 5


def test_a_hand_in_the_chest_is_inside_and_the_chest_about_it_is_not(body, metric):
    forward = ("left_shoulder", 1, -90), ("left_elbow", 1, -145)
    vertices = _posed(body, *forward)
    inside = metric.inside(vertices)
    part = body.weights.argmax(1)[body.faces].mode(1).values
    names = tuple(f"left_{x}" for x in ("wrist", "index", "middle", "ring"))
    hand = torch.tensor([i for i, name in enumerate(body.joint_names) if name.startswith(names)])
    assert float(inside[torch.isin(part, hand)].double().mean()) > 0.5
    assert 1.0 < metric.of_mesh(vertices) < 15.0


@pytest.mark.parametrize(
    "turns",
    [(("left_shoulder", 2, -85),), (("left_shoulder", 1, -90), ("left_elbow", 1, -145))],
)
def test_faces_are_inside_as_their_own_winding_numbers_say(body, metric, turns):
    vertices = _posed(body, *turns)
    inside, at_rest = metric.inside(vertices), body.template
    generator = torch.Generator().manual_seed(0)
    crossing = metric.penetration.meeting_pairs(vertices).flatten().unique()
    chosen = torch.cat([x[torch.randperm(len(x), generator=generator)[:30]] for x in
                        (torch.arange(len(inside)), inside.nonzero()[:, 0], crossing)])  # fmt: skip
    slow = torch.tensor([_slow_winding(vertices, body.faces, int(i)) for i in chosen])
    assert torch.allclose(slow * 2, (slow * 2).round(), atol=1e-6)
    assert torch.allclose(winding_numbers(vertices, body.faces, chosen).float(), slow, atol=1e-6)
    before = winding_numbers(at_rest, body.faces, chosen) > 1
    own = slow > 1
    assert int(own.sum()) > 30 and not bool(inside[chosen][~own].any())
    # Left out are the eyes in their sockets alone.
    assert bool((inside[chosen] == own)[~before].all())


def test_where_the_body_is_and_which_way_it_faces_changes_nothing(body, metric):
    vertices = _posed(body, ("left_shoulder", 2, -85)).double()
    turn = rotvec_to_matrix(torch.tensor((0.4, -1.1, 2.0), dtype=torch.float64))
    moved = vertices @ turn.T + torch.tensor((3.0, -8.0, 1.0)).double()
    assert torch.equal(metric.inside(moved), metric.inside(vertices))
    assert metric.of_mesh(3 * moved) == pytest.approx(metric.of_mesh(vertices), rel=1e-9)


def test_means_are_of_the_frames_that_penetration_looks_at(body, metric):
    motion = _motion(("left_shoulder", 2, -85))
    penetration, inside = metric(motion)
    assert penetration == BodyPenetration(body)(motion)
    assert inside.value == pytest.approx(metric.of_mesh(body.pose(motion).vertices[0]))
    nobody = dataclasses.replace(motion, confidence=0 * motion.confidence)
    assert [value.reason for value in metric(nobody)] == ["no frame shows the person"] * 2
    with pytest.raises(UsageError, match="stride 0"):
        metric(motion, stride=0)
    with pytest.raises(UsageError, match="finite"):
        metric.of_mesh(body.template * torch.nan)
