"""Faults on a mesh and of texts: of the size asked for, nested, and told by their own metrics."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.mbench_faults import (
    arms_in,
    self_intersection,
    swapped,
    wrong_text,
)
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
def test_arms_go_as_far_as_is_asked(walk, body, size):
    spoilt = arms_in(walk, size, body)
    before, after = (body.joints_of(m)[:, :22] for m in (walk, spoilt))
    assert float((after - before).norm(dim=-1).mean()) == pytest.approx(size, rel=1e-2)
    # Only arms move, and both hands towards the middle of the body or past it.
    moved = (after - before).norm(dim=-1).amax(0)
    assert set((moved > 1e-5).nonzero()[:, 0].tolist()) == {18, 19, 20, 21}
    assert torch.allclose(arms_in(walk, 0.0, body).body_pose, walk.body_pose, atol=1e-5)


def test_a_body_that_is_more_in_itself_scores_more(walk, body):
    (own, own_in), (matrix, matrix_in) = self_intersection(
        [walk], body, stride=100, sizes=(0.02, 0.04)
    )
    metric = BodyInside(body)
    (clean, clean_in), (two, two_in), (four, four_in) = (
        metric.both_of_mesh(body.pose(arms_in(walk, size, body)[:1]).vertices[0])
        for size in (0.0, 0.02, 0.04)
    )
    # An arm that is wholly inside crosses no surface, so only the first step need rise.
    assert clean < two and (matrix.clean, matrix.spoilt) == pytest.approx((clean, two))
    assert own.value == pytest.approx(min(two - clean, four - two))
    # What is inside rises at each.
    assert (matrix_in.clean, matrix_in.spoilt) == pytest.approx((clean_in, two_in))
    assert own_in.value == pytest.approx(min(two_in - clean_in, four_in - two_in))
    assert own_in.passed is True and own_in.id.endswith("Mesh_Inside")
    assert own.id == "sensitivity-self-intersection-Mesh_Penetration"


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
