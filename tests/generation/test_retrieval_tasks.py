"""The ten labels and the one label, put to an evaluator of random weights that is made to know some."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.features import features_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.generation.retrieval_tasks import RetrievalJudge, choice_hits, match_threshold

WRONG = [f"someone is {x}" for x in ("running", "sitting", "swimming", "sleeping", "cooking",
                                     "dancing", "reading", "falling", "jumping")]  # fmt: skip


@pytest.fixture(scope="module")
def judge(body) -> RetrievalJudge:
    torch.manual_seed(0)
    network = Evaluator(EvaluatorConfig(width=16, hidden=32, blocks=1, heads=2)).eval()
    return RetrievalJudge(network, MiniLM.load(), body)


def test_cosines_are_those_of_the_evaluator_one_label_at_a_time(judge, wandering, body):
    found = judge.similarities(wandering, WRONG)
    features = features_of(wandering, body)[None]
    there = torch.ones(features.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        motion = judge.evaluator.embed_motion(features, there)[0]
        slow = [
            judge.evaluator.embed_text(said.tokens, said.mask)[0] @ motion
            for said in (judge.encoder.encode([x]) for x in WRONG)
        ]
    assert torch.allclose(found, torch.stack(slow), atol=1e-5)


def test_the_choice_is_right_where_no_other_label_fits_as_well(judge, wandering):
    found = judge.similarities(wandering, WRONG)
    best = WRONG[int(found.argmax())]
    others = [x for x in WRONG if x != best]
    assert judge.choice(wandering, right=best, wrong=others).value == 1.0
    for label in others:
        wrong = [x for x in WRONG if x != label]
        assert judge.choice(wandering, right=label, wrong=wrong).value == 0.0
    # The same words twice are no better than each other.
    assert judge.choice(wandering, right=best, wrong=[best]).value == 0.0
    assert judge.choice(wandering, right=best, wrong=[]).value is None


def test_a_match_is_above_the_threshold(judge, wandering):
    cosine = float(judge.similarities(wandering, WRONG[:1])[0])
    assert judge.match(wandering, label=WRONG[0], threshold=cosine - 1e-3).value == 1.0
    assert judge.match(wandering, label=WRONG[0], threshold=cosine + 1e-3).value == 0.0


def test_clips_too_short_and_labels_that_are_none_are_told(judge, wandering):
    for found in (
        judge.choice(wandering[:1], right="a", wrong=["b"]),
        judge.match(wandering[:1], label="a", threshold=0.0),
    ):
        assert found.value is None and "needs two" in found.reason
    with pytest.raises(UsageError, match="letters"):
        judge.match(wandering, label=" ", threshold=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_of_all(seed):
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(30, generator=generator) * 0.3 + 0.4
    others = torch.randn(50, generator=generator) * 0.3

    def rate(t):
        return float((own > t).double().mean() + (others <= t).double().mean())

    every = torch.cat((own, others)).tolist()
    assert rate(match_threshold(own, others)) == pytest.approx(
        max(rate(t + e) for t in every for e in (-1e-6, 1e-6))
    )


def test_a_threshold_lies_between_what_it_tells_apart():
    assert match_threshold(torch.tensor((0.8, 0.9)), torch.tensor((0.1, 0.2))) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="0 own"):
        match_threshold(torch.zeros(0), torch.zeros(3))


def _pairs(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text, motion = torch.randn(2, count, 32, generator=torch.Generator().manual_seed(0))
    same = torch.arange(count) % 20 == (torch.arange(count) % 20)[:, None]
    return *(x / x.norm(dim=-1, keepdim=True) for x in (text, motion)), same


def test_ten_way_hits_are_all_for_twins_and_one_in_ten_by_chance():
    text, motion, same = _pairs(2000)
    hits = choice_hits(text, motion, same=same, generator=torch.Generator().manual_seed(1))
    assert float(hits.float().mean()) == pytest.approx(0.1, abs=0.03)
    assert choice_hits(text, text, same=same, generator=torch.Generator().manual_seed(1)).all()


def test_texts_that_mean_the_same_are_no_wrong_labels():
    text, _, same = _pairs(200)
    alike = text[torch.arange(200) % 20]
    assert choice_hits(alike, alike, same=same, generator=torch.Generator().manual_seed(0)).all()
    with pytest.raises(UsageError, match="9 texts"):
        few = torch.ones(5, 5, dtype=torch.bool)
        choice_hits(text[:5], text[:5], same=few, generator=torch.Generator())
