"""Hands out of noise: the body untouched, the same bytes again, any length, all routes to a motion."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.control import Control, directed
from humanmotion.generation.features import features_of, motion_of, place_of, seen_from
from humanmotion.generation.hand_flow import (
    KEPT,
    NOISE_FRAMES,
    WINDOW,
    HandFlow,
    HandMaker,
    HandsConfig,
    hand_noise,
    load_hands,
    noise_of_frames,
)
from humanmotion.generation.hands import HANDS_SIZE, hand_rotations, hands_of
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.streaming import stream
from humanmotion.motion import Motion, concat

WALK, WAVE = "a person walks in a circle", "someone waves with the right hand"
BODY = ("global_orient", "body_pose", "transl", "betas", "times", "contact", "leye_pose")


@pytest.fixture(scope="module")
def network() -> HandFlow:
    """Random weights about a half-closed hand."""
    torch.manual_seed(0)
    made = HandFlow(HandsConfig(width=32, hidden=48, blocks=1, heads=2)).eval()
    made.requires_grad_(False)
    torch.nn.init.normal_(made.head.head.weight, std=0.1)
    turns = torch.zeros(1, 55, 3)
    turns[:, 25:, 2] = 0.5
    made.mean.copy_(hands_of(Motion.create(turns, torch.zeros(1, 3), fps=20))[0])
    made.spread.fill_(0.05)
    return made


@pytest.fixture(scope="module")
def maker(network, rest) -> HandMaker:
    return HandMaker(network, rest)


@pytest.fixture(scope="module")
def features(wandering, body) -> torch.Tensor:
    return features_of(wandering, body)


@pytest.fixture(scope="module")
def both(make, maker) -> tuple[TextToMotion, TextToMotion]:
    """With hands and without."""
    return replace(make, hands=maker), replace(make, hands=None)


def text(words: int = 5, beyond: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randn(words, 384, generator=torch.Generator().manual_seed(2))
    tokens = torch.cat((tokens, torch.full((beyond, 384), 9.0)))
    return tokens, torch.arange(words + beyond) < words


class TestNetwork:
    def ask(self, network, *, frames=30, body=None, mask=None, words=4):
        generator = torch.Generator().manual_seed(0)
        state, seen = (torch.randn(2, frames, n, generator=generator) for n in (HANDS_SIZE, 276))
        tokens = torch.randn(2, words, 384, generator=generator)
        return network(
            state, torch.tensor([300.0, 800.0]), body=seen if body is None else body,
            text=tokens, text_mask=torch.tensor([[True] * words, [False] * words]), mask=mask,
        )  # fmt: skip

    def test_body_and_text_count_and_text_only_where_it_is_known(self, network):
        plain = self.ask(network)
        assert plain.shape == (2, 30, HANDS_SIZE)
        assert not torch.allclose(plain, self.ask(network, body=torch.zeros(2, 30, 276)))
        generator = torch.Generator().manual_seed(9)
        state, seen = torch.randn(1, 9, 186, generator=generator), torch.randn(1, 9, 276)

        def told(tokens, there):
            return network(state, torch.tensor([500.0]), body=seen, text=tokens,
                           text_mask=torch.full(tokens.shape[:2], there))  # fmt: skip

        one, other = torch.randn(2, 1, 3, 384, generator=generator)
        assert not torch.allclose(told(one, True), told(other, True))
        assert torch.allclose(told(one, False), told(other, False))
        assert torch.allclose(told(one, False), told(one[:, :0], False), atol=1e-6)

    def test_what_lies_behind_the_end_is_not_seen(self, network):
        mask = torch.arange(30).expand(2, -1) < 20
        a = self.ask(network, mask=mask)
        seen = torch.randn(2, 30, 276, generator=torch.Generator().manual_seed(4))
        changed = torch.where(mask[..., None], seen, 50.0)
        b, c = (self.ask(network, body=x, mask=mask) for x in (seen, changed))
        assert torch.allclose(b[:, :20], c[:, :20], atol=1e-5) and not torch.allclose(a, b)

    def test_where_a_frame_lies_makes_nothing_tremble(self, network):
        """Of the same numbers in every frame; a wave of one radian a frame would make 0.5."""
        generator = torch.Generator().manual_seed(3)
        state, seen = (torch.randn(1, 1, n, generator=generator) for n in (HANDS_SIZE, 276))
        said = network(
            state.expand(1, 100, -1), torch.tensor([500.0]), body=seen.expand(1, 100, -1),
            text=torch.zeros(1, 0, 384), text_mask=torch.zeros(1, 0, dtype=torch.bool),
        )[0]  # fmt: skip
        assert float(said.std(0).mean()) > 1e-3
        assert float(said.diff(n=2, dim=0).std()) < 0.05 * float(said.std(0).mean())

    @pytest.mark.parametrize(
        "wrong", [{"width": 30}, {"blocks": 0}, {"dropout": 1.0}, {"shift": 0.0}, {"text_width": 0}]
    )
    def test_sizes_that_cannot_be(self, wrong):
        with pytest.raises(ValueError, match=r"must|shift"):
            HandsConfig(**wrong)

    def test_the_shipped_sizes_fit_the_budget(self):
        numbers = sum(p.numel() for p in HandFlow(HandsConfig()).parameters())
        assert 2 * numbers <= 2.5e6


class TestNoise:
    def test_is_of_variance_one_at_every_frame_and_number(self):
        noise = hand_noise(400, 30, generator=torch.Generator().manual_seed(0))
        assert noise.shape == (400, 30, HANDS_SIZE)
        assert float((noise.std((0, 2)) - 1).abs().max()) < 0.02
        assert float(noise.mean((0, 2)).abs().max()) < 0.02

    def test_is_as_smooth_as_a_gaussian_makes_it(self):
        """A slow twin, frame by frame; and what a frame says of those beside it."""
        noise = hand_noise(1, 8, generator=torch.Generator().manual_seed(1))[0]
        side = 15
        white = torch.randn(1, 8 + 2 * side, HANDS_SIZE, generator=torch.Generator().manual_seed(1))
        kernel = [math.exp(-0.5 * (k / NOISE_FRAMES) ** 2) for k in range(-side, side + 1)]
        length = math.sqrt(sum(w * w for w in kernel))
        for t in range(8):
            own = sum(w / length * white[0, t + k] for k, w in enumerate(kernel))
            torch.testing.assert_close(noise[t], own, atol=1e-5, rtol=0)
        many = hand_noise(400, 30, generator=torch.Generator().manual_seed(2))
        for apart in (1, 5, 10):
            said = float((many[:, 0] * many[:, apart]).mean())
            assert said == pytest.approx(math.exp(-((apart / NOISE_FRAMES) ** 2) / 4), abs=0.02)

    def test_frames_of_a_seed_are_parts_of_one_endless_noise(self):
        whole = noise_of_frames(3, first=0, frames=120)
        for first, frames in ((0, 1), (7, 40), (61, 59)):
            part = noise_of_frames(3, first=first, frames=frames)
            torch.testing.assert_close(part, whole[first : first + frames], atol=1e-5, rtol=0)
        assert float(whole.std()) == pytest.approx(1, abs=0.05)
        assert not torch.allclose(whole, noise_of_frames(4, first=0, frames=120))


class TestMaker:
    def test_hands_are_rotations_the_same_for_a_seed(self, maker, features):
        hands = maker(features, text=text(), seed=3, steps=4)
        assert hands.shape == (len(features), HANDS_SIZE)
        eye = torch.eye(3).expand(len(features), 31, 3, 3)
        turns = hand_rotations(hands)
        torch.testing.assert_close(turns.mT @ turns, eye, atol=1e-5, rtol=0)
        assert torch.equal(hands, maker(features, text=text(), seed=3, steps=4))
        assert not torch.equal(hands, maker(features, text=text(), seed=4, steps=4))
        assert not torch.equal(hands, maker(features, seed=3, steps=4))

    def test_where_somebody_stands_and_what_lies_beside_the_text_do_not_matter(
        self, maker, features, rest
    ):
        hands = maker(features, text=text(), seed=3, steps=2)
        assert torch.equal(hands, maker(features, text=text(beyond=7), seed=3, steps=2))
        away = seen_from(features, place_of(features[30:]), rest=rest)
        torch.testing.assert_close(
            maker(away, text=text(), seed=3, steps=2), hands, atol=1e-3, rtol=0
        )

    def test_tokens_of_another_encoder_are_not_read(self, maker, features):
        other = torch.randn(4, 768), torch.ones(4, dtype=torch.bool)
        assert torch.equal(maker(features, text=other, steps=2), maker(features, steps=2))

    def test_what_is_held_stays_and_is_gone_on_from(self, maker, features):
        first = maker(features[:25], seed=1, steps=4)
        whole = maker(features, seed=2, steps=4, held=first[:20])
        assert torch.equal(whole[:20], first[:20]) and len(whole) == len(features)
        other = maker(features, seed=2, steps=4, held=maker(features[:25], seed=7, steps=4)[:20])
        assert not torch.equal(whole[20:], other[20:])
        # At the seam nothing changes its speed at once, whatever the network says.
        steps = whole.diff(dim=0).abs().mean(-1)
        bend = whole.diff(n=2, dim=0).abs().mean(-1)
        assert float(bend[18]) < 1e-3 and float(steps[19]) < 2 * float(steps[18]) + 1e-3
        eye = torch.eye(3).expand(len(features), 31, 3, 3)
        turns = hand_rotations(whole)
        torch.testing.assert_close(turns.mT @ turns, eye, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("frames", [1, 3, WINDOW, WINDOW + 1, 3 * WINDOW])
    def test_any_length(self, maker, features, frames):
        long = features.repeat(-(-frames // len(features)), 1)[:frames]
        hands = maker(long, seed=0, steps=1)
        assert hands.shape == (frames, HANDS_SIZE) and torch.isfinite(hands).all()
        start = maker(long[:WINDOW], seed=0, steps=1)
        assert torch.equal(hands[: len(start)], start)

    def test_no_features(self, maker):
        with pytest.raises(UsageError, match="expected"):
            maker(torch.zeros(0, 276))


class TestMotions:
    def same_body(self, a: Motion, b: Motion) -> None:
        for name in BODY:
            assert torch.equal(getattr(a, name), getattr(b, name)), name

    def handed(self, motion: Motion) -> None:
        assert int(motion.joints_present.sum()) == 53
        for pose in (motion.left_hand_pose, motion.right_hand_pose, motion.jaw_pose):
            assert float(pose.std(0).max()) > 0.01

    def test_prompts(self, both):
        with_, without = (m([WALK, WAVE], num=2, seconds=[1.0, 2.0], seed=5, steps=2) for m in both)
        for a, b in zip(with_, without, strict=True):
            self.same_body(a, b)
            self.handed(a)
            assert int(b.joints_present.sum()) == 22
        alone = both[0](WAVE, seconds=2.0, seed=5, steps=2, num=1)[0]
        assert len({float(m.left_hand_pose.sum()) for m in (*with_, alone)}) == 5

    def test_hands_do_not_depend_on_the_other_prompts_but_by_the_body(self, both):
        """The numbers of one sample, given the same features."""
        make = both[0]
        features = features_of(make(WALK, seconds=1.0, steps=2)[0], make.body)
        many = make.condition([WALK, f"{WAVE}, then jumps, and sits down on a chair"])
        one = make.condition([WALK])
        found = [
            make.fingers(features, text=(c.text[0], c.text_mask[0]), seed=1) for c in (many, one)
        ]
        torch.testing.assert_close(*found, atol=1e-3, rtol=0)

    def test_references(self, both, wandering):
        a, b = (m.refine(wandering, seed=2, steps=2) for m in both)
        self.same_body(a, b)
        self.handed(a)

    def test_keyframes(self, both, body):
        control = Control.of(body, path=[(0.0, 0.0, 0.0), (1.0, 0.3, 0.8)])
        a, b = (directed(m, WALK, control, seconds=2.0, num=2, steps=2)[1] for m in both)
        for name in ("transl", "times"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        # Turns towards keyframes go through matrices, whatever the hands do.
        torch.testing.assert_close(a.body_pose, b.body_pose, atol=1e-5, rtol=0)
        self.handed(a)

    def test_streams_join(self, both):
        a, b = (concat(list(stream(m, WALK, seconds=7.3, steps=2, seed=3))) for m in both)
        self.same_body(a, b)
        self.handed(a)
        steps = torch.cat((a.left_hand_pose, a.jaw_pose), -1).diff(dim=0).abs().mean(-1)
        seams = torch.tensor([89, 179])
        inside = torch.ones(len(steps), dtype=torch.bool)
        inside[seams] = False
        assert float(steps[seams].max()) <= 1.5 * float(steps[inside].max())
        short = concat(list(stream(both[0], WALK, seconds=3.0, steps=2, seed=3)))
        assert torch.equal(a.left_hand_pose[:90], short.left_hand_pose)

    def test_streams_hold_a_second_of_hands(self, both):
        assert KEPT < WINDOW
        chunks = [len(c) for c in stream(both[0], WALK, seconds=13.0, steps=1)]
        assert chunks == [90, 90, 90, 90, 30]


class TestWeights:
    def written(self, network, folder):
        path = folder / "hands.safetensors"
        write_tensors(path, network.state_dict())
        write_json(path.with_suffix(".json"), asdict(network.config))
        return path

    def test_those_beside_a_generator_are_taken(self, network, weights, tmp_path, features, maker):
        generator = tmp_path / "generator.safetensors"
        for end in (".safetensors", ".json"):
            source = weights.with_suffix(end)
            generator.with_suffix(end).write_bytes(source.read_bytes())
        self.written(network, tmp_path)
        make = TextToMotion.from_pretrained(generator)
        assert torch.equal(make.hands(features, steps=2), maker(features, steps=2))

    def test_the_shipped_ones_otherwise(self, make, features):
        assert make.hands is not None
        config = make.hands.network.config
        assert replace(config, dropout=0.0) == HandsConfig()
        motion = motion_of(features, make.body)
        assert torch.isfinite(make.hands(features)).all() and len(motion) == len(features)

    def test_other_weights(self, network, tmp_path):
        path = self.written(network, tmp_path)
        write_json(path.with_suffix(".json"), {"width": 64})
        with pytest.raises(FileFormatError, match="no network of hands of this version"):
            load_hands(path)
