"""Prompts to motions through the real encoder: lengths, seeds, places, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import write_json
from humanmotion.generation.control import Control, directed
from humanmotion.generation.features import features_of, motion_of
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.streaming import stream
from humanmotion.generation.vimogen import ViMoGen

WALK, WAVE = "a person walks in a circle", "someone waves with the right hand"


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.33, 5.0, 10.0])
def test_a_motion_has_its_seconds_at_thirty_frames_each(make, seconds) -> None:
    (motion,) = make(WALK, seconds=seconds, steps=2)
    assert motion.fps == 30 and len(motion) == round(30 * seconds)
    assert motion.body_id == make.body.body_id and int(motion.joints_present.sum()) == 53
    assert motion.meta["text"] == WALK


def test_the_same_seed_is_the_same_motion(make) -> None:
    a, b, c = (make(WALK, seed=s, steps=2)[0] for s in (3, 3, 4))
    assert torch.equal(a.rotvec, b.rotvec) and torch.equal(a.transl, b.transl)
    assert not torch.equal(a.rotvec, c.rotvec)


def test_several_prompts_and_samples_come_in_order_each_as_if_alone(make) -> None:
    found = make([WALK, WAVE], num=2, seconds=[2.0, 3.0], seed=1, steps=2)
    assert [m.meta["text"] for m in found] == [WALK, WALK, WAVE, WAVE]
    assert [len(m) for m in found] == [60, 60, 90, 90]
    alone = make(WALK, num=2, seconds=2.0, seed=1, steps=2)
    for a, b in zip(found, alone, strict=False):
        torch.testing.assert_close(a.rotvec, b.rotvec, atol=1e-3, rtol=0)
    assert not torch.equal(found[0].rotvec, found[1].rotvec)


def test_more_samples_than_go_through_at_once(make) -> None:
    found = make(WALK, num=19, seconds=0.5, steps=2)
    assert len(found) == 19 and len({float(m.transl.sum()) for m in found}) == 19


def test_the_text_counts_and_guidance_widens_its_part(make) -> None:
    def apart(guidance):
        a, b = (make(prompt, steps=2, guidance=guidance)[0] for prompt in (WALK, WAVE))
        return float((a.body_pose - b.body_pose).abs().mean())

    assert apart(0.0) < 1e-6 < apart(1.0) < 0.5 * apart(4.0)


def test_a_reference_is_followed_by_the_other_branch(make, wandering) -> None:
    first = make.refine(wandering, seed=2, steps=2)
    again = make.refine(wandering, seed=2, steps=2)
    other = make.refine(wandering.mirror(), seed=2, steps=2)
    assert torch.equal(first.rotvec, again.rotvec)
    assert not torch.equal(first.rotvec, other.rotvec)
    assert abs(first.duration - wandering.duration) <= 0.1 and first.fps == 30


def test_a_reference_stays_on_its_path(make, wandering, body) -> None:
    own = replace(make, network=_hinted(make.network))
    found = own.refine(wandering, seed=2, steps=2)
    given = motion_of(features_of(wandering, body), body).resample(30.0)
    frames = min(len(found), len(given))
    apart = (found.transl[:frames] - given.transl[:frames]).norm(dim=-1)
    assert float(apart.max()) < 0.02


def _hinted(network: ViMoGen) -> ViMoGen:
    torch.manual_seed(0)
    sizes = replace(network.config, predicts="residual", noise="motion", hints=True)
    found = ViMoGen(sizes).eval().requires_grad_(False)
    found.mean.copy_(network.mean)
    found.spread.copy_(network.spread)
    return found


def test_foreign_prompts_are_answered_with_a_note(make) -> None:
    (motion,) = make("una persona camina en un círculo", seconds=0.5, steps=2)
    assert any("English" in note for note in motion.meta["notes"])


class TestHostileInput:
    @pytest.mark.parametrize(
        ("prompt", "message"),
        [
            ("", "empty"),
            ("🕺💃", "no words"),
            ("walk " * 10_000, "at most"),
            (["walk", ""], "empty"),
        ],
    )
    def test_prompts(self, make, prompt, message):
        with pytest.raises(UsageError, match=message):
            make(prompt)

    @pytest.mark.parametrize("seconds", [-1.0, 0.0, 11.0, 1e9, float("nan")])
    def test_lengths(self, make, seconds):
        with pytest.raises(UsageError, match=r"give 0.5 to 10"):
            make(WALK, seconds=seconds)

    def test_lengths_for_other_prompts(self, make):
        with pytest.raises(UsageError, match="3 lengths for 1 prompts"):
            make(WALK, seconds=[1.0, 2.0, 3.0])

    @pytest.mark.parametrize("num", [0, -3, 100_000])
    def test_counts(self, make, num):
        with pytest.raises(UsageError, match="1 to 1000 in all"):
            make(WALK, num=num)

    @pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
    def test_seeds(self, make, wandering, body, seed):
        calls = (
            lambda: make(WALK, seed=seed),
            lambda: make.refine(wandering, seed=seed),
            lambda: stream(make, WALK, seed=seed),
            lambda: directed(make, WALK, Control.of(body), seconds=2.0, seed=seed),
        )
        for call in calls:
            with pytest.raises(UsageError, match="whole number from 0 to"):
                call()

    def test_no_prompt(self, make):
        with pytest.raises(UsageError, match="1 to 1000 in all"):
            make([])

    def test_long_references(self, make, wandering):
        from humanmotion.motion import Motion

        long = Motion.create(torch.zeros(400, 22, 3), torch.zeros(400, 3), fps=30)
        with pytest.raises(UsageError, match="at most 10 s are refined"):
            make.refine(long)

    def test_other_weights(self, weights, tmp_path):
        path = tmp_path / "generator.safetensors"
        path.write_bytes(weights.read_bytes())
        write_json(path.with_suffix(".json"), {"width": 64})
        with pytest.raises(FileFormatError, match="no generator of this version"):
            TextToMotion.from_pretrained(path)

    def test_another_encoder(self, weights):
        class Wide:
            width = 768

            def encode(self, prompts):
                raise AssertionError("never asked")

        with pytest.raises(UsageError, match="tokens of 768 numbers"):
            TextToMotion.from_pretrained(weights, encoder=Wide())


class TestOwnSampling:
    """What a weights' `.json` says of how they are drawn from."""

    def copied(self, weights, tmp_path, sampling):
        from humanmotion.files import read_json

        path = tmp_path / "generator.safetensors"
        path.write_bytes(weights.read_bytes())
        told = read_json(weights.with_suffix(".json"))
        write_json(path.with_suffix(".json"), told | {"sampling": sampling})
        return path

    def test_is_the_default(self, weights, make, tmp_path, body):
        sampling = {"steps": 2, "guidance": 1.0, "start": 1.0}
        own = TextToMotion.from_pretrained(self.copied(weights, tmp_path, sampling))
        assert own.sampling.steps == 2 and make.sampling.steps == 10
        other = make(WALK, seconds=1.0, steps=2, guidance=1.0)[0]
        given = own(WALK, seconds=1.0)[0]
        # Steps and guidance may be given; the start is the weights' own.
        assert not torch.equal(given.rotvec, other.rotvec)
        assert torch.equal(given.rotvec, own(WALK, seconds=1.0, steps=2, guidance=1.0)[0].rotvec)
        pieces = [next(stream(m, WALK, seconds=1.0)) for m in (own, make)]
        assert not torch.equal(pieces[0].rotvec, pieces[1].rotvec)
        control = Control.of(body, path=[(0.0, 0.0, 0.0)])
        by_two = directed(own, WALK, control, seconds=1.0)[0]
        assert torch.equal(
            by_two.rotvec, directed(own, WALK, control, seconds=1.0, steps=2)[0].rotvec
        )

    @pytest.mark.parametrize("wrong", [{"steps": 0}, {"pace": 1}, [2], {"guidance": -1.0}])
    def test_that_cannot_be(self, weights, tmp_path, wrong):
        with pytest.raises(FileFormatError, match="no such sampling"):
            TextToMotion.from_pretrained(self.copied(weights, tmp_path, wrong))
