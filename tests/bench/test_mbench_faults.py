"""Faults on a mesh and of texts: of the size asked for, nested, and told by their own metrics."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.mbench_faults import (
    ARMS,
    LIMBS,
    self_intersection,
    swapped,
    turned_in,
    wrong_text,
)
from humanmotion.bench.mbench_mesh import retrieval_rows
from humanmotion.body import BodyModel
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_scores import Embedded
from humanmotion.metrics.body_inside import BodyInside


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def walk(body):
    return walking_motion(body, seconds=1.0).resample(20.0)


@pytest.mark.parametrize("size", [0.005, 0.02, 0.04])
@pytest.mark.parametrize(
    ("joints", "moved"), [(ARMS, {18, 19, 20, 21}), (LIMBS, {4, 5, 7, 8, 10, 11, 18, 19, 20, 21})]
)
def test_limbs_go_as_far_as_is_asked(walk, body, size, joints, moved):
    spoilt = turned_in(walk, size, body, joints=joints)
    before, after = (body.joints_of(m)[:, :22] for m in (walk, spoilt))
    assert float((after - before).norm(dim=-1).mean()) == pytest.approx(size, rel=1e-2)
    found = (after - before).norm(dim=-1).amax(0)
    assert set((found > 1e-5).nonzero()[:, 0].tolist()) == moved
    # Legs go together, and past each other in the end: the left ankle to the right one's side.
    if 7 in moved:
        apart = [
            float(((j[:, 7] - j[:, 8]) * (j[:, 1] - j[:, 2])).sum(-1).mean())
            for j in (before, after)
        ]
        assert apart[1] < apart[0]
    assert torch.allclose(turned_in(walk, 0.0, body).body_pose, walk.body_pose, atol=1e-5)


def test_a_body_that_is_more_in_itself_scores_more(walk, body):
    rows, (matrix, matrix_in) = self_intersection([walk], body, stride=100, sizes=(0.02, 0.04))
    metric = BodyInside(body)
    for joints, own, own_in in ((LIMBS, *rows[:2]), (ARMS, *rows[2:])):
        (clean, clean_in), (two, two_in), (four, four_in) = (
            metric.both_of_mesh(
                body.pose(turned_in(walk, size, body, joints=joints)[:1]).vertices[0]
            )
            for size in (0.0, 0.02, 0.04)
        )
        assert own.value == pytest.approx(min(two - clean, four - two))
        assert own_in.value == pytest.approx(min(two_in - clean_in, four_in - two_in))
        # What is inside rises at each step, whatever goes in.
        assert own_in.value > 0
        if joints == LIMBS:
            assert (matrix.clean, matrix.spoilt) == pytest.approx((clean, two))
            assert (matrix_in.clean, matrix_in.spoilt) == pytest.approx((clean_in, two_in))
    assert [row.id for row in rows[:2]] == [
        "sensitivity-self-intersection-Mesh_Penetration",
        "sensitivity-self-intersection-Mesh_Inside",
    ]
    assert all(row.passed is not None for row in rows[:2])
    assert all(row.passed is None for row in rows[2:])


def _embedded(count: int = 60) -> Embedded:
    text = torch.randn(count, 16, generator=torch.Generator().manual_seed(0))
    text = text / text.norm(dim=-1, keepdim=True)
    return Embedded(text, text, torch.arange(count) // 2 == (torch.arange(count) // 2)[:, None])


def test_texts_are_swapped_for_others_and_a_greater_share_takes_in_the_smaller():
    same, own = _embedded().same, torch.arange(60)
    before = torch.zeros(60, dtype=torch.bool)
    for share in (0.0, 0.25, 0.5, 1.0):
        rows = swapped(same, share, seed=3)
        wrong = rows != own
        assert int(wrong.sum()) == round(60 * share)
        assert not bool(same[own[wrong], rows[wrong]].any())
        assert bool((wrong | ~before).all())
        before = wrong


def test_a_text_that_means_the_same_as_all_others_is_swapped_for_none():
    same = torch.eye(4, dtype=torch.bool)
    same[2] = same[:, 2] = True
    rows = swapped(same, 1.0, seed=0)
    assert int(rows[2]) == 2 and not bool(same[torch.arange(4), rows][[0, 1, 3]].any())


def test_the_ten_way_task_falls_with_every_wrong_text_and_is_not_run_without_an_evaluator():
    (own,), (matrix,) = wrong_text(_embedded())
    # A quarter of the clips at each step, of which a guess gets at most one in ten.
    assert own.passed is True and own.value > 0.2
    assert matrix.row.value < -0.9
    (row,), none = wrong_text(None)
    assert row.value is None and row.passed is None and not none


def test_clips_of_one_action_are_no_wrong_answers_and_too_few_others_are_not_run():
    own = _embedded()
    action = torch.arange(60) // 20
    known = Embedded(own.text, own.motion, own.same, action[:, None] == action)
    assert bool(known.right[0, 19]) and not bool(known.right[0, 20])
    assert bool((own.right == own.same).all())
    rows, changes = wrong_text(known)
    assert rows[0].value is not None and changes
    few = torch.arange(60) < 55
    lonely = Embedded(own.text, own.motion, own.same, few[:, None] & few)
    rows, changes = wrong_text(lonely)
    assert rows[0].value is None and not changes and "other actions" in rows[0].what
    found = {row.id: row for row in retrieval_rows([("seen", lonely)])}
    assert found["real/MCC-retrieval/seen"].value is None
