"""Front and back exchanged: same picture, an involution, and the choice among chains."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.flip import reverse_depth
from humanmotion.recovery.flip_choice import choose_flips
from humanmotion.recovery.pose_track import PoseTrack


@pytest.fixture(scope="module")
def track(body, walk) -> PoseTrack:
    frames = 20
    down = torch.tensor(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    rotations = walk[0][:frames].clone()
    rotations[:, 0] = down @ rotations[:, 0]
    confidence = torch.rand(frames, 55, generator=torch.Generator().manual_seed(0))
    return PoseTrack(
        rotations=rotations, transl=torch.tensor((0.3, 1.0, 400.0)).repeat(frames, 1),
        betas=torch.zeros(10), expression=torch.zeros(frames, 10), confidence=confidence,
        times=torch.arange(frames).double() / 30,
    )  # fmt: skip


def _joints(body, track):
    return body.joints(track.rotations, transl=track.transl)


def test_a_far_body_keeps_its_picture_with_sides_swapped(body, track) -> None:
    joints = _joints(body, track)
    other = _joints(body, reverse_depth(track, pelvis=joints[:, 0]))
    swapped = other[:, list(MIRROR_JOINTS)]
    offset = joints - joints[:, :1]
    # Left and right of the default body differ by some millimetres.
    assert ((swapped - joints)[..., :2].abs() < 0.02).all()
    assert (((swapped - joints[:, :1])[..., 2] + offset[..., 2]).abs() < 0.02).all()
    assert torch.allclose(joints[:, 0], other[:, 0], atol=1e-4)


def test_twice_is_nothing(body, track) -> None:
    pelvis = _joints(body, track)[:, 0]
    back = reverse_depth(reverse_depth(track, pelvis=pelvis), pelvis=pelvis)
    assert torch.allclose(back.rotations, track.rotations, atol=1e-5)
    assert torch.equal(back.confidence, track.confidence)


def test_a_reversed_track_is_a_track(body, track) -> None:
    turned = reverse_depth(track, pelvis=_joints(body, track)[:, 0])
    assert torch.allclose(torch.linalg.det(turned.rotations), torch.ones(20, 55), atol=1e-4)
    assert turned.confidence[3, 1] == track.confidence[3, 2]
    assert replace(turned) == turned


@pytest.mark.parametrize("seed", range(6))
def test_the_chosen_chain_is_the_cheapest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shots = rng.uniform(0, 4, (5, 2))
    cuts = [rng.uniform(0, 4, (2, 2)) for _ in range(4)]

    def cost(chain):
        return sum(shots[i, c] for i, c in enumerate(chain)) + sum(
            cuts[i][chain[i], chain[i + 1]] for i in range(4)
        )

    chains = list(itertools.product((0, 1), repeat=5))
    best = min(chains, key=cost)
    got = choose_flips([tuple(s) for s in shots], cuts)
    assert got.flipped == tuple(bool(c) for c in best)
    weight = np.exp([-cost(c) for c in chains])
    for i in range(4):
        changes = np.array([c[i] != c[i + 1] for c in chains])
        other = weight[changes != (best[i] != best[i + 1])].sum() / weight.sum()
        assert got.doubt[i] == pytest.approx(other, abs=1e-9)


def test_one_shot_has_no_cut() -> None:
    got = choose_flips([(3.0, 1.0)], [])
    assert got.flipped == (True,) and got.doubt == ()
