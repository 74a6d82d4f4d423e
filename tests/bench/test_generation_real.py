"""Rows of real motion: each figure is that of the clips, and small splits say so."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.generation_real import real_rows
from humanmotion.body import BodyModel
from humanmotion.generation.features import FPS, features_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.mbench_joints import jitter_degree


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def splits(body) -> list[EvaluatorPairs]:
    """Forty walks in train and three in test, each a little later than the one before."""
    walk = walking_motion(body, seconds=4)
    pieces = [features_of(walk[i : i + 45], body) for i in range(43)]
    captions = ["", "a person walks"]
    said = MiniLM.load().encode(captions)
    rows = [
        {
            "id": f"s/{i}", "split": "train" if i < 40 else "test", "captions": captions[1:],
            "mirrored_captions": captions[1:], "given": 1, "frames": len(pieces[0]),
            "start": i * len(pieces[0]), "action": "walk", "source": "s",
        }
        for i in range(43)
    ]  # fmt: skip
    shards = Shards(
        rows, torch.cat(pieces), torch.ones(43, 22).bool(), captions, said.tokens.half(),
        said.mask, said.sentence,
    )  # fmt: skip
    number = {c: i for i, c in enumerate(captions)}
    parts = (tuple(range(40)), tuple(range(40, 43)))
    return [EvaluatorPairs(shards, clips, number, varied=False) for clips in parts]


def test_rows(splits, body):
    torch.manual_seed(0)
    network = Evaluator(EvaluatorConfig(width=16, hidden=32, blocks=1, heads=2)).eval()
    rows = real_rows(network, splits, names=("train", "test"), body=body, repetitions=2)
    by_id = {row.id: row for row in rows}
    assert len(by_id) == len(rows)
    # With one caption for all, whatever is found is right.
    assert by_id["real-train-R@1"].value == 1.0
    assert (
        by_id["real-test-R@3"].value is None and "fewer than a batch" in by_id["real-test-R@3"].what
    )
    assert by_id["real-test-FID"].value > 0 and "real-train-FID" not in by_id
    shards = splits[0].shards
    clips = [shards.of_clip(i)[:, 126:192].unflatten(-1, (22, 3)) for i in range(40)]
    mean = sum(jitter_degree(c) for c in clips) / 40
    assert by_id["real-train-jitter"].value == pytest.approx(mean, rel=1e-5)
    speed = by_id["real-train-dynamic"].value * FPS
    # The pelvis goes a metre and a quarter a second; about it, arms and legs swing.
    assert 1.2 < speed < 3
