"""The prior's steps: the pull is that of the chart they are written in, and nothing else is moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from humanmotion.body.carried_points import landmark_points
from humanmotion.camera import intrinsics, project
from humanmotion.jobs.fit import load_prior
from humanmotion.keypoints import Keypoints
from humanmotion.prior.model import FIT_TRUST, PosePrior
from humanmotion.prior.space import SIZE
from humanmotion.recovery import plausible_pose
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.landmark_terms import Observed, State, observe
from humanmotion.recovery.plausible_pose import make_plausible
from humanmotion.recovery.quality import STANDARD
from humanmotion.rotations import rotvec_to_matrix

FRAMES = 20


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    return load_prior()


def scene(
    body, prior: PosePrior, *, confidence: float = 0.95, fps: float = 30.0
) -> tuple[State, Observed]:
    """A still figure near the mean pose, seen from the front, and a fit that is right."""
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(1, SIZE, generator=generator).expand(FRAMES, SIZE)
    upright = torch.tensor(((1.0, 0, 0), (0, -1, 0), (0, 0, -1)))
    rotations = prior.space.to_rotations(pose, upright.expand(FRAMES, 3, 3))
    rotations[:, 22:] = torch.eye(3)
    marks = landmark_points(body, SET, joints=tuple(range(22)), betas=torch.zeros(10))
    pelvis = torch.tensor((0.0, 0.0, 4.0)).expand(FRAMES, 3)
    points = body.landmarks(SET, rotations, transl=pelvis - marks.rest[0])
    K = intrinsics(1000.0, width=720, height=1280).expand(FRAMES, 3, 3)
    times = torch.arange(FRAMES, dtype=torch.float64) / fps
    sure = torch.full(points.shape[:2], confidence)
    keypoints = Keypoints(project(points, K), sure, times, SET, 720, 1280, points - pelvis[:, None])
    seen = observe(keypoints, K, torch.zeros(FRAMES, dtype=torch.long))
    return State(rotations, pelvis, torch.zeros(10), marks), seen


def test_the_pull_is_the_state_s_own(prior) -> None:
    generator = torch.Generator().manual_seed(1)
    pose, expected = torch.randn(2, 4, SIZE, generator=generator, dtype=torch.float64)
    space = replace(prior.space, mean=prior.space.mean.double(), spread=prior.space.spread.double())
    blocks = torch.zeros(4, 69, 69, dtype=torch.float64)
    right = torch.zeros(4, 69, dtype=torch.float64)
    plausible_pose._add_pull(blocks, right, pose, expected=expected, space=space, precision=2.0)
    turn = torch.zeros(4, 21, 3, dtype=torch.float64, requires_grad=True)

    def away(turn: Tensor) -> Tensor:
        turned = space.to_rotations(pose)
        body = rotvec_to_matrix(turn) @ turned[:, 1:22]
        moved = space.to_state(torch.cat((turned[:, :1], body, turned[:, 22:]), 1))
        return (moved - expected)[:, :63]

    cost = 0.5 * 2.0 * away(turn).square().sum()
    (slope,) = torch.autograd.grad(cost, turn)
    assert torch.allclose(right[:, 3:66], -slope.flatten(1), atol=1e-4, rtol=1e-4)
    one = torch.autograd.functional.jacobian(lambda t: away(t)[0], turn.detach())[:, 0].flatten(1)
    assert torch.allclose(blocks[0, 3:66, 3:66], 2.0 * one.T @ one, atol=1e-4, rtol=1e-4)
    for rest in (slice(0, 3), slice(66, 69)):
        assert not blocks[:, rest].any() and not right[:, rest].any()


def test_a_right_and_likely_pose_stays(body, prior) -> None:
    state, seen = scene(body, prior)
    moved = make_plausible(state, seen, prior)
    before, after = (
        body.joints(s.rotations, transl=s.pelvis - s.marks.rest[0])[:, :22] for s in (state, moved)
    )
    assert (after - before).norm(dim=-1).mean() < 0.02
    assert torch.equal(moved.rotations[:, 22:], state.rotations[:, 22:])
    assert torch.equal(moved.betas, state.betas)


def test_where_nothing_is_seen_the_prior_leads(body, prior) -> None:
    state, seen = scene(body, prior, confidence=0.0)
    wild = state.rotations.clone()
    wild[:, 18] = rotvec_to_matrix(torch.tensor((0.0, 0.0, 2.5))) @ wild[:, 18]
    pose = prior.space.to_state(wild)
    moved = make_plausible(replace(state, rotations=wild), seen, prior)
    found = prior.space.to_state(moved.rotations)
    # Shown nothing, the prior expects its mean.
    assert found[:, :63].norm(dim=-1).mean() < 0.5 * pose[:, :63].norm(dim=-1).mean()
    assert torch.isfinite(moved.pelvis).all()


@pytest.mark.parametrize("fps", [12.0, 30.0, 60.0])
def test_the_prior_sees_thirty_frames_a_second_and_each_shot_alone(body, prior, fps) -> None:
    state, seen = scene(body, prior, fps=fps)
    seen = replace(seen, shot_id=(torch.arange(FRAMES) >= 8).long())
    asked: list[int] = []

    class Listening:
        space = prior.space

        def liveliness(self, pose: Tensor, level: Tensor) -> Tensor:
            assert level.shape == (len(pose), 172)
            return prior.liveliness(pose, level)

        def denoise(
            self, pose: Tensor, rho: Tensor, *, kind: str, classes: Tensor, trust: float
        ) -> Tensor:
            assert kind == "motion" and trust == FIT_TRUST and rho.shape == (len(pose), 55)
            assert torch.isinf(rho[:, 21:]).all()
            assert classes.shape[0] == max(-(-(len(pose) - 60) // 30), 0) + 1
            asked.append(len(pose))
            return pose

    make_plausible(state, seen, Listening())  # type: ignore[arg-type]
    assert asked[:2] == [int(7 * 30 / fps + 1e-6) + 1, int(11 * 30 / fps + 1e-6) + 1]
    assert len(asked) == 2 * STANDARD.prior_steps


def test_a_frame_counts_less_the_faster_they_come() -> None:
    counts = [plausible_pose._sightings(fps, 0.05) for fps in (10.0, 20.0, 60.0)]
    assert counts == pytest.approx([1.0, 1.0, 1 / 3])
