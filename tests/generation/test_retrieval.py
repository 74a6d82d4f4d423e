"""The evaluator: blind to the world and to padding, and losses against slow twins."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS, encode
from humanmotion.generation.retrieval import (
    SEEN,
    TEMPERATURE,
    Evaluator,
    EvaluatorConfig,
    contrast,
    looked_at,
)
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.rotations import rotation_about_z

SMALL = EvaluatorConfig(width=16, hidden=32, blocks=2, heads=2, text_width=8, dropout=0.0)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def network() -> Evaluator:
    torch.manual_seed(0)
    return Evaluator(SMALL).eval()


@pytest.fixture(scope="module")
def poses(body) -> tuple[torch.Tensor, torch.Tensor]:
    walk = walking_motion(body, seconds=3).resample(FPS)
    return walk.rotations[:, :22], walk.transl


@pytest.fixture(scope="module")
def features(poses, body) -> torch.Tensor:
    return encode(*poses, rest=body.rest_joints())


class TestWhatIsSeen:
    def test_where_in_the_world_does_not_matter(self, poses, features, body):
        rotations, transl = poses
        rest = body.rest_joints()
        turn = rotation_about_z(torch.tensor(2.3))
        turned = torch.cat((turn @ rotations[:, :1], rotations[:, 1:]), 1)
        moved = (transl + rest[0]) @ turn.mT + torch.tensor((4.0, -7.0, 0.0)) - rest[0]
        other = encode(turned, moved, rest=rest)
        assert torch.allclose(looked_at(other), looked_at(features), atol=1e-4)
        # Height does: it is seen above the floor.
        lifted = encode(rotations, transl + torch.tensor((0, 0, 0.5)), rest=rest)
        assert torch.allclose(
            looked_at(lifted)[:, 2] - looked_at(features)[:, 2], torch.tensor(0.5)
        )

    def test_slow_twin(self, features):
        seen = looked_at(features)
        for t in (0, 20, len(features) - 1):
            p, v = (features[t, s : s + 66].reshape(22, 3) for s in (126, 192))
            x = p[2] - p[1]
            x = torch.tensor((x[0], x[1], 0.0)) / math.hypot(x[0], x[1])
            basis = torch.stack((x, torch.linalg.cross(torch.tensor((0, 0, 1.0)), x),
                                 torch.tensor((0, 0, 1.0))))  # fmt: skip
            origin = torch.tensor((p[0, 0], p[0, 1], 0.0))
            places = torch.stack([basis @ (q - origin) for q in p]).flatten()
            moves = torch.stack([20 * basis @ q for q in v]).flatten()
            assert torch.allclose(seen[t, :132], torch.cat((places, moves)), atol=1e-5)
        # The walk turns by 40 degrees a second, swaying a little.
        assert float(seen[:, -1].mean()) == pytest.approx(math.radians(40), rel=0.02)
        assert seen.shape == (len(features), SEEN)

    def test_wrong_features(self, network):
        with pytest.raises(UsageError, match="expected"):
            network.embed_motion(torch.zeros(1, 5, 263), torch.ones(1, 5).bool())


class TestEmbedding:
    def test_padding_changes_nothing(self, network, features):
        alone = network.embed_motion(features[None, :37], torch.ones(1, 37).bool())
        mask = torch.arange(len(features)) < 37
        padded = network.embed_motion(torch.stack((features, features)), torch.stack((mask, mask)))
        assert torch.allclose(padded[0], alone[0], atol=1e-5)
        tokens, there = torch.randn(1, 5, 8), torch.tensor([[True] * 3 + [False] * 2])
        text = network.embed_text(tokens, there)
        assert torch.allclose(text, network.embed_text(tokens[:, :3], there[:, :3]), atol=1e-5)
        assert torch.allclose(text.norm(dim=-1), torch.ones(1))

    def test_a_text_is_its_sentence_through_one_layer(self, network):
        tokens = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(2))
        mean = tokens[0].mean(0)
        out = network.text[1].weight @ (mean / mean.norm() * 8**0.5) + network.text[1].bias
        found = network.embed_text(tokens, torch.ones(1, 3).bool())[0]
        assert torch.allclose(found, out / out.norm(), atol=1e-6)

    def test_training_and_evaluation_compute_the_same(self, network, features):
        mask = torch.ones(1, len(features)).bool()
        with torch.no_grad():
            fast = network.embed_motion(features[None], mask)
        slow = network.embed_motion(features[None], mask)
        assert slow.requires_grad and torch.allclose(fast, slow, atol=1e-5)

    def test_the_shipped_size_fits(self):
        count = sum(p.numel() for p in Evaluator(EvaluatorConfig()).state_dict().values())
        assert 2 * count <= 5 << 20

    @pytest.mark.parametrize("wrong", [{"width": 10}, {"blocks": 0}, {"dropout": 1.0}])
    def test_sizes_that_cannot_be(self, wrong):
        with pytest.raises(ValueError, match="must"):
            replace(SMALL, **wrong)


class TestLosses:
    def test_contrast_slow_twin(self):
        a, b = normalize(torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
        same = torch.eye(6).bool()
        same[0, 1] = same[1, 0] = True
        total = 0.0
        for text, motion in ((a, b), (b, a)):
            for i in range(6):
                scores = {
                    j: float(torch.cosine_similarity(text[i], motion[j], dim=0)) / TEMPERATURE
                    for j in range(6)
                    if i == j or not same[i, j]
                }
                total += math.log(sum(map(math.exp, scores.values()))) - scores[i]
        assert float(contrast(a, b, same)) == pytest.approx(total / 12, rel=1e-5)

    def test_every_weight_learns(self, network, features):
        text, motion = network(
            torch.stack((features, features.flip(0))), torch.ones(2, len(features)).bool(),
            torch.randn(2, 4, 8), token_mask=torch.ones(2, 4).bool(),
        )  # fmt: skip
        contrast(text, motion, torch.eye(2).bool()).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
        network.zero_grad()
