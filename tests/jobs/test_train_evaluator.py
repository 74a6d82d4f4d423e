"""Training an evaluator on shards of walks made here: it learns to tell them apart, and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError
from humanmotion.generation.captions import mirrored_caption
from humanmotion.generation.features import JOINTS, features_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval_tasks import match_threshold
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.evaluator_scores import (
    embed,
    load_evaluator,
    own_and_others,
    read_threshold,
    retrieval_figures,
)
from humanmotion.jobs.network_run import read_settings
from humanmotion.jobs.shards import Shards, unique_captions, write_shards, write_texts
from humanmotion.jobs.train_evaluator import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_evaluator import train_evaluator
from humanmotion.motion import Motion

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = """
seed = 1
[stopping]
every = 10
patience = 100
[network]
width = 16
hidden = 32
blocks = 1
heads = 2
dropout = 0.0
[training]
steps = 60
batch = 16
warmup = 2
learning_rate = 5e-3
ema = 0.9
"""
COUNT = 56


@pytest.fixture(scope="module")
def shards(tmp_path_factory, body) -> Path:
    """People who walk or stand, in train and in val, each with a caption, mirrored or not."""
    folder = tmp_path_factory.mktemp("shards")
    walk = walking_motion(body, seconds=4)
    rows, features = [], []
    for i in range(COUNT):
        kind, split = i % 4, "val" if i >= COUNT // 2 and i % 2 else "train"
        piece = walk[i : i + 60]
        if kind >= 2:
            same = torch.full((60,), i)
            piece = Motion.create(
                walk.rotvec[same], walk.transl[same], fps=30.0, body_id=body.body_id
            )
        if kind % 2:
            piece = piece.mirror()
        text = ("walks to the left", "walks to the right", "stands left", "stands right")[kind]
        captions = [f"a person {text}", "a person is there"]
        features.append(features_of(piece, body))
        rows.append({
            "id": f"s/{i}", "source": "s", "split": split, "action": text, "take": f"s/{i}",
            "captions": captions, "mirrored_captions": [mirrored_caption(c) for c in captions],
            "given": 1, "frames": len(features[-1]),
            "start": sum(len(f) for f in features[:-1]),
        })  # fmt: skip
    known = torch.ones(COUNT, JOINTS, dtype=torch.bool)
    write_shards(folder, rows, features=torch.cat(features), known=known)
    write_texts(folder, unique_captions(rows), MiniLM.load())
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def trained(shards, config, tmp_path_factory) -> Path:
    return train_evaluator(shards, output=tmp_path_factory.mktemp("out"), config=config)


class TestPairs:
    def test_every_clip_comes_once_before_one_comes_twice(self, shards):
        pairs = EvaluatorPairs.of(Shards.read(shards), split="val").unvaried()
        drawn = pairs.draw(len(pairs.clips), generator=torch.Generator().manual_seed(0))
        found = {tuple(f.flatten()[:50].tolist()) for f in drawn.features}
        assert len(found) == len({tuple(pairs.shards.of_clip(i).flatten()[:50].tolist())
                                  for i in pairs.clips})  # fmt: skip

    def test_sides_are_opposed_however_alike_their_sentences_are(self, shards):
        pairs = EvaluatorPairs.of(Shards.read(shards), split="train").unvaried()
        drawn = pairs.pairs(list(pairs.clips[:4]), generator=torch.Generator().manual_seed(0))
        assert drawn.same[0, 1] and drawn.opposed[0, 1] and not drawn.opposed[0, 2]

    def test_val_shows_clips_whole_with_their_sources_words(self, shards):
        pairs = EvaluatorPairs.of(Shards.read(shards), split="val")
        assert not pairs.varied
        clip = pairs.clips[0]
        one = pairs.pairs([clip], generator=torch.Generator().manual_seed(0))
        assert torch.equal(one.features[0], pairs.shards.of_clip(clip))
        caption = pairs.shards.captions.index(pairs.shards.rows[clip]["captions"][0])
        length = int(pairs.shards.mask[caption].sum())
        assert torch.equal(one.tokens[0, :length], pairs.shards.tokens[caption, :length].float())

    def test_mirrored_motion_comes_with_mirrored_words(self, shards):
        pairs = EvaluatorPairs.of(Shards.read(shards), split="train")
        left = next(i for i in pairs.clips if "walks" in pairs.shards.rows[i]["captions"][0])
        turns = set()
        for seed in range(20):
            drawn = pairs.pairs([left], generator=torch.Generator().manual_seed(seed))
            # Row-wise 6D of the root's turn: its third number is the sine about z.
            turning = float(drawn.features[0, :, 266].sum())
            row = next(
                i for i, t in enumerate(pairs.shards.tokens)
                if torch.equal(t[: drawn.tokens.shape[1]].float(), drawn.tokens[0])
            )  # fmt: skip
            words = pairs.shards.captions[row]
            if "there" not in words:
                turns.add((turning > 0, "left" in words))
        assert len(turns) == 2 and len({a == b for a, b in turns}) == 1

    def test_an_empty_split(self, shards):
        with pytest.raises(InputError, match="no captioned clip of the test split"):
            EvaluatorPairs.of(Shards.read(shards), split="test")


class TestTraining:
    def test_it_tells_what_it_was_shown(self, trained, shards):
        evaluator = load_evaluator(trained)
        seen = embed(evaluator, EvaluatorPairs.of(Shards.read(shards), split="train"))
        figures = retrieval_figures(seen, repetitions=2)
        # Of four kinds that are told apart, the nearest is of the right one.
        assert figures["R@1"].mean > 0.9
        assert figures["R@1"].mean <= figures["R@2"].mean <= figures["R@3"].mean
        assert figures["R@3 of shuffled pairs"].mean < figures["R@1"].mean

    def test_the_bound_of_the_yes_no_task_is_that_of_the_val_clips(self, trained, shards):
        real = embed(load_evaluator(trained), EvaluatorPairs.of(Shards.read(shards), split="val"))
        bound = match_threshold(*own_and_others(real))
        assert read_threshold(trained) == pytest.approx(bound, abs=1e-6)

    def test_the_same_bytes_after_an_interruption(self, trained, shards, config, tmp_path):
        calls = []

        def stop(stage: str, share: float) -> None:
            calls.append(share)
            if len(calls) == 25:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_evaluator(shards, output=tmp_path, config=config, progress=stop)
        again = train_evaluator(shards, output=tmp_path, config=config)
        assert again.read_bytes() == trained.read_bytes()

    def test_another_config_is_another_run(self, trained, shards, config, tmp_path):
        other = tmp_path / "other.toml"
        other.write_text(CONFIG.replace("steps = 60", "steps = 61"))
        with pytest.raises(InputError, match="a run of another config"):
            train_evaluator(shards, output=trained.parent, config=other)

    def test_the_shipped_config_is_one(self):
        from humanmotion.generation.retrieval import EvaluatorConfig

        assert read_settings(CONFIG_FILE, EvaluatorConfig, what="evaluator")["seed"] == 0
